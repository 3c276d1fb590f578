-- make_stamp --
-- The only table that every version of the schema has: what this file is.
CREATE TABLE IF NOT EXISTS stamp (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;

-- stamp --
SELECT name, value FROM stamp;

-- set_stamp --
INSERT OR REPLACE INTO stamp (name, value) VALUES (?, ?);

-- has_stamp --
SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'stamp';

-- has_anything --
SELECT count(*) FROM sqlite_schema;

-- quick_check --
PRAGMA quick_check(10);

-- integrity_check --
PRAGMA integrity_check(100);
