-- make_tables --
CREATE TABLE endpoint (
    id   TEXT PRIMARY KEY,
    body BLOB NOT NULL
) STRICT, WITHOUT ROWID;
-- How far each shard's events were read: what is at or below has its deliveries.
CREATE TABLE cursor (
    shard INTEGER PRIMARY KEY,
    no    INTEGER NOT NULL
) STRICT;
-- Events that some endpoint wanted, with the bytes that are signed and sent.
CREATE TABLE event (
    no       INTEGER PRIMARY KEY,
    id       TEXT NOT NULL,
    merchant TEXT NOT NULL,
    source   TEXT NOT NULL,
    type     TEXT NOT NULL,
    at_ms    INTEGER NOT NULL,
    body     BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX event_id ON event (id);
CREATE INDEX event_source ON event (source);
-- One event on its way to one endpoint. `due_ms` is set for the first open one of its payment
-- alone (`source`): the next waits behind it. `step` counts in the plan, `tries` for ever.
CREATE TABLE delivery (
    no         INTEGER PRIMARY KEY,
    endpoint   TEXT NOT NULL,
    event      TEXT NOT NULL,
    source     TEXT NOT NULL,
    status     TEXT NOT NULL CHECK (status IN ('pending', 'delivered', 'failed', 'canceled')),
    step       INTEGER NOT NULL,
    tries      INTEGER NOT NULL,
    created_ms INTEGER NOT NULL,
    due_ms     INTEGER,
    ended_ms   INTEGER
) STRICT;
CREATE UNIQUE INDEX delivery_event ON delivery (event, endpoint);
CREATE INDEX delivery_endpoint ON delivery (endpoint, no);
CREATE INDEX delivery_due ON delivery (endpoint, due_ms) WHERE due_ms IS NOT NULL;
CREATE INDEX delivery_open ON delivery (endpoint, source, no) WHERE status = 'pending';
CREATE INDEX delivery_ended ON delivery (ended_ms) WHERE ended_ms IS NOT NULL;
CREATE TABLE attempt (
    delivery INTEGER NOT NULL,
    number   INTEGER NOT NULL,
    at_ms    INTEGER NOT NULL,
    status   INTEGER NOT NULL,
    took_ms  INTEGER NOT NULL,
    outcome  TEXT NOT NULL,
    trouble  TEXT NOT NULL,
    excerpt  TEXT NOT NULL,
    PRIMARY KEY (delivery, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE answered (
    scope       TEXT NOT NULL,
    key_digest  BLOB NOT NULL,
    fingerprint BLOB NOT NULL,
    status      INTEGER NOT NULL,
    object_id   TEXT NOT NULL,
    PRIMARY KEY (scope, key_digest)
) STRICT, WITHOUT ROWID;
CREATE TABLE nonce (
    created_s INTEGER NOT NULL,
    caller    TEXT NOT NULL,
    digest    INTEGER NOT NULL,
    PRIMARY KEY (created_s, caller, digest)
) STRICT, WITHOUT ROWID;

-- has_tables --
SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'endpoint';

-- last_delivery --
SELECT coalesce(max(no), 0) FROM delivery;

-- endpoints --
SELECT body FROM endpoint ORDER BY id;

-- set_endpoint --
INSERT OR REPLACE INTO endpoint (id, body) VALUES (?, ?);

-- drop_endpoint --
DELETE FROM endpoint WHERE id = ?;

-- cursors --
SELECT shard, no FROM cursor;

-- set_cursor --
-- Never back: a page that was read twice ends where it ended.
INSERT INTO cursor (shard, no) VALUES (?, ?)
ON CONFLICT (shard) DO UPDATE SET no = max(no, excluded.no);

-- reset_cursor --
-- The shard was set back: what it numbers anew must not be passed over.
INSERT OR REPLACE INTO cursor (shard, no) VALUES (?, ?);

-- add_event --
INSERT OR IGNORE INTO event (id, merchant, source, type, at_ms, body) VALUES (?, ?, ?, ?, ?, ?);

-- add_delivery --
-- Read again after a crash, it is there already and stays as it is.
INSERT INTO delivery (no, endpoint, event, source, status, step, tries, created_ms, due_ms)
SELECT ?1, ?2, ?3, ?4, 'pending', 0, 0, ?5, CASE WHEN EXISTS (
    SELECT 1 FROM delivery WHERE endpoint = ?2 AND source = ?4 AND status = 'pending'
) THEN NULL ELSE ?5 END
WHERE true
ON CONFLICT (event, endpoint) DO NOTHING;

-- again --
-- Asked for by hand: what ended begins its plan anew, what waits for its next try is due now.
INSERT INTO delivery (no, endpoint, event, source, status, step, tries, created_ms, due_ms)
SELECT ?1, ?2, ?3, ?4, 'pending', 0, 0, ?5, CASE WHEN EXISTS (
    SELECT 1 FROM delivery WHERE endpoint = ?2 AND source = ?4 AND status = 'pending'
) THEN NULL ELSE ?5 END
WHERE true
ON CONFLICT (event, endpoint) DO UPDATE SET
    status = 'pending', step = 0, ended_ms = NULL,
    due_ms = CASE WHEN EXISTS (
        SELECT 1 FROM delivery AS earlier
        WHERE earlier.endpoint = excluded.endpoint AND earlier.source = excluded.source
        AND earlier.status = 'pending' AND earlier.no < delivery.no
    ) THEN NULL ELSE excluded.created_ms END;

-- retry --
UPDATE delivery SET step = ?, tries = ?, due_ms = ? WHERE no = ? AND status = 'pending';

-- end --
UPDATE delivery SET status = ?, tries = ?, ended_ms = ?, due_ms = NULL
WHERE no = ? AND status = 'pending';

-- promote --
-- The next of the payment moves up.
UPDATE delivery SET due_ms = ?1 WHERE due_ms IS NULL AND no = (
    SELECT min(no) FROM delivery WHERE endpoint = ?2 AND source = ?3 AND status = 'pending'
);

-- cancel --
UPDATE delivery SET status = 'canceled', ended_ms = ?, due_ms = NULL
WHERE endpoint = ? AND status = 'pending';

-- add_attempt --
INSERT OR REPLACE INTO attempt (delivery, number, at_ms, status, took_ms, outcome, trouble, excerpt)
VALUES (?, ?, ?, ?, ?, ?, ?, ?);

-- due --
SELECT d.no, d.event, d.source, d.step, d.tries, d.created_ms, e.type, e.body
FROM delivery AS d JOIN event AS e ON e.id = d.event
WHERE d.endpoint = ? AND d.due_ms <= ? ORDER BY d.due_ms, d.no LIMIT ?;

-- next_due --
SELECT min(due_ms) FROM delivery WHERE endpoint = ? AND due_ms > ?;

-- open_counts --
SELECT endpoint, count(*) FROM delivery WHERE status = 'pending' GROUP BY endpoint;

-- open_count --
SELECT count(*) FROM delivery WHERE endpoint = ? AND status = 'pending';

-- deliveries_of_event --
SELECT no, endpoint, event, status, tries, created_ms, due_ms, ended_ms
FROM delivery WHERE event = ? ORDER BY no DESC;

-- deliveries_of_endpoint --
SELECT no, endpoint, event, status, tries, created_ms, due_ms, ended_ms
FROM delivery WHERE endpoint = ? AND no < ? ORDER BY no DESC LIMIT ?;

-- deliveries_of_source --
SELECT d.no, d.endpoint, d.event, d.status, d.tries, d.created_ms, d.due_ms, d.ended_ms
FROM event AS e JOIN delivery AS d ON d.event = e.id WHERE e.source = ? ORDER BY d.no LIMIT ?;

-- delivery --
SELECT no, endpoint, event, status, tries, created_ms, due_ms, ended_ms
FROM delivery WHERE event = ? AND endpoint = ?;

-- attempts --
SELECT number, at_ms, status, took_ms, outcome, trouble, excerpt
FROM attempt WHERE delivery = ? ORDER BY number DESC LIMIT ?;

-- type_of --
SELECT type FROM event WHERE id = ?;

-- prune_attempts --
DELETE FROM attempt WHERE delivery IN (
    SELECT no FROM delivery WHERE ended_ms < ?1 ORDER BY ended_ms LIMIT ?2
);

-- prune_deliveries --
DELETE FROM delivery WHERE no IN (
    SELECT no FROM delivery WHERE ended_ms < ?1 ORDER BY ended_ms LIMIT ?2
);

-- prune_events --
-- The oldest that no delivery needs any more.
DELETE FROM event WHERE no IN (
    SELECT e.no FROM event AS e WHERE e.no <= (SELECT min(no) FROM event) + ?1
    AND NOT EXISTS (SELECT 1 FROM delivery WHERE delivery.event = e.id)
);

-- answered --
SELECT fingerprint, status, object_id FROM answered WHERE scope = ? AND key_digest = ?;

-- add_answer --
INSERT OR IGNORE INTO answered (scope, key_digest, fingerprint, status, object_id)
VALUES (?, ?, ?, ?, ?);

-- recent_nonces --
SELECT caller, digest, created_s FROM nonce WHERE created_s >= ?;

-- add_nonce --
INSERT OR IGNORE INTO nonce (caller, digest, created_s) VALUES (?, ?, ?);

-- prune_nonces --
DELETE FROM nonce WHERE created_s < ?;
