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

-- runs_page --
-- Comparisons that finished, the newest first. ?1 account, ?2 bill date, ?3 status: '' or 0 for any;
-- ?4: the id after which the page begins, '' for the first.
SELECT body FROM run
WHERE status <> 'running' AND (?1 = '' OR account = ?1) AND (?2 = 0 OR bill_date = ?2)
    AND (?3 = '' OR status = ?3) AND (?4 = '' OR no < (SELECT no FROM run WHERE id = ?4))
ORDER BY no DESC LIMIT ?5;

-- items_page --
-- Differences of current comparisons, or of one (?1), the newest first. ?2 kind, ?3 standing,
-- ?4 owner: '' for any; ?5: the id after which the page begins. Who owns one follows from the rest.
SELECT item.id, item.body, run.body FROM item JOIN run ON run.no = item.run
WHERE (run.id = ?1 AND run.status <> 'running' OR ?1 = '' AND run.status = 'finished')
    AND (?2 = '' OR item.kind = ?2) AND (?3 = '' OR item.standing = ?3)
    AND (?4 = '' OR ?4 = CASE
        WHEN item.resolved_by <> '' OR item.kind IN ('expected_later', 'not_there_yet')
            THEN 'nobody'
        WHEN item.kind IN ('ours_only', 'status', 'late_success') THEN 'operations'
        ELSE 'finance' END)
    AND (?5 = '' OR item.no < (SELECT no FROM item WHERE id = ?5))
ORDER BY item.no DESC LIMIT ?6;

-- open_ages --
-- What is open now, by account, kind and the day of its bill.
SELECT run.account, item.kind, run.bill_date, count(*) FROM item JOIN run ON run.no = item.run
WHERE run.status = 'finished' AND item.standing = 'open' GROUP BY 1, 2, 3;

-- nonces_table --
-- Signed requests that count once; younger than the tables above, so it is added where it is missing.
CREATE TABLE IF NOT EXISTS nonce (
    caller  TEXT NOT NULL,
    digest  INTEGER NOT NULL,
    created INTEGER NOT NULL,
    PRIMARY KEY (caller, digest)
) STRICT, WITHOUT ROWID;

-- add_nonce --
INSERT OR IGNORE INTO nonce (caller, digest, created) VALUES (?, ?, ?);

-- prune_nonces --
DELETE FROM nonce WHERE created < ?;

-- told_table --
-- What merchants were told of, a comparison or a difference; younger than the tables above.
CREATE TABLE IF NOT EXISTS told (
    id       TEXT PRIMARY KEY,
    standing TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- has_told --
SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'told';

-- set_told --
INSERT INTO told (id, standing) VALUES (?, ?)
ON CONFLICT (id) DO UPDATE SET standing = excluded.standing;

-- untold_runs --
SELECT body FROM run
WHERE status = 'finished' AND NOT EXISTS (SELECT 1 FROM told WHERE told.id = run.id)
ORDER BY no LIMIT ?;

-- untold_items --
-- How a difference stands is `standing_of` of notices.py.
SELECT item.id, item.body, run.body, told.standing FROM item JOIN run ON run.no = item.run
LEFT JOIN told ON told.id = item.id
WHERE run.status = 'finished' AND told.standing IS NOT CASE
    WHEN item.standing = 'open' AND item.kind = 'expected_later' THEN 'waits'
    ELSE item.standing END
ORDER BY item.no LIMIT ?;
