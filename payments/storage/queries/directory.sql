-- make_tables --
-- Each record as it stands, numbered by the change that made it so; a new change takes a new number.
CREATE TABLE record (
    id TEXT PRIMARY KEY,
    change INTEGER NOT NULL,
    body BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX record_change ON record (change);
-- Answers given: kept for ever, one per (whose, key).
CREATE TABLE answered (
    scope TEXT NOT NULL,
    key_digest BLOB NOT NULL,
    fingerprint BLOB NOT NULL,
    status INTEGER NOT NULL,
    object_id TEXT NOT NULL,
    PRIMARY KEY (scope, key_digest)
) STRICT, WITHOUT ROWID;
CREATE TABLE nonce (
    created_s INTEGER NOT NULL,
    caller TEXT NOT NULL,
    digest INTEGER NOT NULL,
    PRIMARY KEY (created_s, caller, digest)
) STRICT, WITHOUT ROWID;
-- Small facts: the test clock, seeds that were planted.
CREATE TABLE mark (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;

-- has_tables --
SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'record';

-- last_change --
SELECT coalesce(max(change), 0) FROM record;

-- records_after --
SELECT change, body FROM record WHERE change > ? ORDER BY change LIMIT ?;

-- has_record --
SELECT count(*) FROM record WHERE id = ?;

-- set_records --
INSERT INTO record (id, change, body) VALUES (?, ?, ?)
ON CONFLICT (id) DO UPDATE SET change = excluded.change, body = excluded.body;

-- answered --
SELECT fingerprint, status, object_id FROM answered WHERE scope = ? AND key_digest = ?;

-- add_answers --
INSERT INTO answered (scope, key_digest, fingerprint, status, object_id) VALUES (?, ?, ?, ?, ?);

-- recent_nonces --
SELECT caller, digest, created_s FROM nonce WHERE created_s >= ?;

-- add_nonces --
INSERT OR IGNORE INTO nonce (caller, digest, created_s) VALUES (?, ?, ?);

-- prune_nonces --
DELETE FROM nonce WHERE created_s < ?;

-- mark --
SELECT value FROM mark WHERE name = ?;

-- set_marks --
INSERT OR REPLACE INTO mark (name, value) VALUES (?, ?);
