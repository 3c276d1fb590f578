-- What the way home of the money keeps: batches, cover, instructions, withdrawals, freezes.
--
-- One table of records: a shard has few of them beside its payments, and each is read by its id, by
-- its owner (a merchant or receiver) and kind, or when it is due. `no` is counted by the owner of
-- the file; a record keeps it for life.

-- migrate:up

CREATE TABLE record (
    no        INTEGER PRIMARY KEY,
    id        TEXT NOT NULL,
    kind      TEXT NOT NULL,
    owner     TEXT NOT NULL,
    partition INTEGER NOT NULL,
    due_ms    INTEGER,
    body      BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX record_id ON record (id);
CREATE INDEX record_owner ON record (kind, owner, no);
CREATE INDEX record_due ON record (due_ms) WHERE due_ms IS NOT NULL;
