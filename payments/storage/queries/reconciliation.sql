-- make_tables --
-- One comparison of one bill. At most one is finished for an account and a day: the current one.
CREATE TABLE run (
    no        INTEGER PRIMARY KEY,
    id        TEXT NOT NULL,
    account   TEXT NOT NULL,
    bill_date INTEGER NOT NULL,
    status    TEXT NOT NULL CHECK (status IN ('running', 'finished', 'superseded')),
    body      BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX run_id ON run (id);
CREATE UNIQUE INDEX run_current ON run (account, bill_date) WHERE status = 'finished';
-- Differences. `first` and `last`: the bill dates that may explain one, 0 when none can.
CREATE TABLE item (
    no          INTEGER PRIMARY KEY,
    id          TEXT NOT NULL,
    run         INTEGER NOT NULL,
    kind        TEXT NOT NULL,
    line        TEXT NOT NULL,
    number      TEXT NOT NULL,
    standing    TEXT NOT NULL CHECK (standing IN ('open', 'resolved')),
    resolved_by TEXT NOT NULL,
    is_decided  INTEGER NOT NULL,
    first       INTEGER NOT NULL,
    last        INTEGER NOT NULL,
    body        BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX item_id ON item (id);
CREATE INDEX item_run ON item (run);
CREATE INDEX item_number ON item (number);
CREATE INDEX item_waits ON item (last) WHERE last > 0;
CREATE INDEX item_resolved_by ON item (resolved_by) WHERE resolved_by <> '';
-- Lines of a bill that belong to another day of ours.
CREATE TABLE crossed (
    number TEXT NOT NULL,
    line   TEXT NOT NULL,
    run    INTEGER NOT NULL,
    PRIMARY KEY (number, line, run)
) STRICT, WITHOUT ROWID;
CREATE INDEX crossed_run ON crossed (run);

-- has_tables --
SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'run';

-- last_run --
SELECT coalesce(max(no), 0) FROM run;

-- add_run --
INSERT INTO run (id, account, bill_date, status, body) VALUES (?, ?, ?, ?, ?);

-- set_run --
UPDATE run SET status = ?2, body = ?3 WHERE id = ?1;

-- running --
SELECT no FROM run WHERE status = 'running';

-- drop_items --
DELETE FROM item WHERE run = ?;

-- drop_crossed --
DELETE FROM crossed WHERE run = ?;

-- drop_run --
DELETE FROM run WHERE no = ?;

-- add_item --
INSERT INTO item (id, run, kind, line, number, standing, resolved_by, is_decided, first, last, body)
SELECT ?1, no, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11 FROM run WHERE id = ?2;

-- set_item --
UPDATE item SET kind = ?2, standing = ?3, resolved_by = ?4, is_decided = ?5, body = ?6 WHERE id = ?1;

-- add_crossed --
INSERT INTO crossed (number, line, run) SELECT ?2, ?3, no FROM run WHERE id = ?1;

-- run --
SELECT body FROM run WHERE id = ?;

-- current --
SELECT body FROM run WHERE account = ? AND bill_date = ? AND status = 'finished';

-- runs --
SELECT body FROM run WHERE status <> 'running' ORDER BY no DESC LIMIT ?;

-- items_after --
SELECT item.no, item.id, item.body FROM item JOIN run ON run.no = item.run
WHERE run.id = ? AND run.status <> 'running' AND item.no > ? ORDER BY item.no LIMIT ?;

-- item --
SELECT item.body, run.body FROM item JOIN run ON run.no = item.run
WHERE item.id = ? AND run.status <> 'running';

-- open_counts --
SELECT item.kind, count(*) FROM item JOIN run ON run.no = item.run
WHERE run.id = ? AND item.standing = 'open' GROUP BY item.kind;

-- crossed_in --
-- The comparison of another day's bill that has a line.
SELECT run.id FROM crossed JOIN run ON run.no = crossed.run
WHERE crossed.number = ? AND crossed.line = ? AND run.account = ? AND run.status = 'finished'
    AND run.bill_date <> ?;

-- touched --
-- Differences of other days' current comparisons that a finished or superseded comparison of an
-- account (?1) and day (?2) may change: lines that it has, days that wait for it, and what the
-- superseded one (?4) had explained. ?3 is the finished one.
SELECT item.id FROM item JOIN run ON run.no = item.run
WHERE run.account = ?1 AND run.bill_date <> ?2 AND run.status = 'finished' AND item.no IN (
    SELECT item.no FROM crossed JOIN run ON run.no = crossed.run
        JOIN item ON item.number = crossed.number AND item.line = crossed.line WHERE run.id = ?3
    UNION SELECT no FROM item WHERE last >= ?2 AND first <= ?2 AND last > 0
    UNION SELECT no FROM item WHERE resolved_by = ?4 AND resolved_by <> ''
)
ORDER BY item.no;

-- decided --
-- What people decided in a comparison.
SELECT item.body FROM item JOIN run ON run.no = item.run WHERE run.id = ? AND item.is_decided;

-- same_item --
-- The differences of a comparison about a number.
SELECT item.id, item.body FROM item JOIN run ON run.no = item.run
WHERE run.id = ? AND item.number = ?;

