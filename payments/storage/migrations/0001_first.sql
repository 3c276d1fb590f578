-- The first schema of a shard's file.
--
-- Numbers (`no`) are counted by the owner, rows are appended in that order, and every row carries
-- its partition. Hashes are signed 64-bit numbers; two different digests may share one. Ids sort by
-- time, so an index of ids grows at its end. What would grow everywhere at once (look-ups by hash,
-- lists by merchant) is in `seek`, which payments/storage/seek.py explains.

-- migrate:up

CREATE TABLE payment (
    no          INTEGER PRIMARY KEY,
    id          TEXT NOT NULL,
    merchant_no INTEGER NOT NULL,
    partition   INTEGER NOT NULL,
    key_hash    INTEGER NOT NULL,
    order_hash  INTEGER NOT NULL,
    auth_hash   INTEGER,
    due_ms      INTEGER,
    body        BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX payment_id ON payment (id);
CREATE INDEX payment_due ON payment (due_ms) WHERE due_ms IS NOT NULL;

CREATE TABLE refund (
    no          INTEGER PRIMARY KEY,
    id          TEXT NOT NULL,
    payment_no  INTEGER NOT NULL,
    merchant_no INTEGER NOT NULL,
    partition   INTEGER NOT NULL,
    key_hash    INTEGER NOT NULL,
    due_ms      INTEGER,
    body        BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX refund_id ON refund (id);
CREATE INDEX refund_payment ON refund (payment_no);
CREATE INDEX refund_due ON refund (due_ms) WHERE due_ms IS NOT NULL;

CREATE TABLE seek (
    spot INTEGER PRIMARY KEY
) STRICT;

CREATE TABLE sieve (
    bucket     INTEGER PRIMARY KEY,
    payment_no INTEGER NOT NULL,
    refund_no  INTEGER NOT NULL,
    bits       BLOB NOT NULL
) STRICT;

-- An entry's id derives from its source, so one index finds by source and refuses a second booking.
CREATE TABLE entry (
    no        INTEGER PRIMARY KEY,
    partition INTEGER NOT NULL,
    seq       INTEGER NOT NULL,
    id        TEXT NOT NULL,
    source    TEXT NOT NULL,
    at_ms     INTEGER NOT NULL,
    currency  TEXT NOT NULL,
    postings  BLOB NOT NULL,
    chain     BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX entry_source ON entry (source, id);

CREATE TABLE event (
    no          INTEGER PRIMARY KEY,
    partition   INTEGER NOT NULL,
    merchant_no INTEGER NOT NULL,
    id          TEXT NOT NULL,
    type        TEXT NOT NULL,
    at_ms       INTEGER NOT NULL,
    body        BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX event_id ON event (id);

CREATE TABLE balance (
    account  TEXT NOT NULL,
    currency TEXT NOT NULL,
    minor    INTEGER NOT NULL,
    entry_no INTEGER NOT NULL,
    PRIMARY KEY (account, currency)
) STRICT, WITHOUT ROWID;

CREATE TABLE head (
    partition INTEGER PRIMARY KEY,
    seq       INTEGER NOT NULL,
    chain     BLOB NOT NULL,
    entry_no  INTEGER NOT NULL
) STRICT;

CREATE TABLE counter (
    merchant_no INTEGER PRIMARY KEY,
    body        BLOB NOT NULL,
    payment_no  INTEGER NOT NULL
) STRICT;

CREATE TABLE "commit" (
    no     INTEGER PRIMARY KEY,
    epoch  INTEGER NOT NULL,
    at_ms  INTEGER NOT NULL,
    marks  BLOB NOT NULL,
    nonces BLOB NOT NULL
) STRICT;

-- One row: whose writes count.
CREATE TABLE owner (
    one       INTEGER PRIMARY KEY CHECK (one = 1),
    epoch     INTEGER NOT NULL,
    opened_ms INTEGER NOT NULL
) STRICT;
INSERT INTO owner (one, epoch, opened_ms) VALUES (1, 0, 0);
