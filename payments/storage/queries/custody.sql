-- make_tables --
-- The bytes of an order, before the first of them leaves. Never changed, never removed.
CREATE TABLE message (
    no         INTEGER PRIMARY KEY,
    id         TEXT NOT NULL UNIQUE,
    created_ms INTEGER NOT NULL,
    body       BLOB NOT NULL
) STRICT;
-- One payment of an order by its EndToEndId. `version` counts what the bank said of it, `taken` how
-- much of that the shard has made durable. `due_ms`: when the bank is asked next, business time.
CREATE TABLE item (
    number      TEXT PRIMARY KEY,
    instruction TEXT NOT NULL,
    message     INTEGER NOT NULL,
    amount      INTEGER NOT NULL,
    state       TEXT NOT NULL CHECK (state IN
                ('sent', 'unknown', 'absent', 'accepted', 'paid', 'rejected', 'returned')),
    reference   TEXT NOT NULL,
    reason      TEXT NOT NULL,
    tries       INTEGER NOT NULL,
    unknown_ms  INTEGER,
    due_ms      INTEGER,
    version     INTEGER NOT NULL,
    taken       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX item_open ON item (number) WHERE due_ms IS NOT NULL OR taken < version;
-- Money that came in, by the number of its movement. `account` is empty where its text names none.
CREATE TABLE credit (
    no         INTEGER PRIMARY KEY,
    reference  TEXT NOT NULL,
    amount     INTEGER NOT NULL,
    at_ms      INTEGER NOT NULL,
    remittance TEXT NOT NULL,
    account    TEXT NOT NULL,
    bill_date  INTEGER NOT NULL,
    state      TEXT NOT NULL CHECK (state IN ('foreign', 'waiting', 'divided', 'matched')),
    short      INTEGER NOT NULL
) STRICT;
CREATE INDEX credit_open ON credit (no) WHERE state IN ('waiting', 'divided');
CREATE INDEX credit_state ON credit (state);
-- How a credit was divided: in which order, and what the channel kept. No claim has two credits.
CREATE TABLE share (
    claim    TEXT PRIMARY KEY,
    credit   INTEGER NOT NULL,
    position INTEGER NOT NULL,
    fee      INTEGER NOT NULL,
    is_below INTEGER NOT NULL,
    matched  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX share_open ON share (credit, position) WHERE matched = 0;
CREATE TABLE mark (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- has_tables --
SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'message';

-- last_message --
SELECT coalesce(max(no), 0) FROM message;

-- add_message --
INSERT INTO message (no, id, created_ms, body) VALUES (?, ?, ?, ?);

-- message --
SELECT body FROM message WHERE no = ?;

-- set_item --
INSERT INTO item (number, instruction, message, amount, state, reference, reason, tries,
    unknown_ms, due_ms, version, taken) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (number) DO UPDATE SET message = excluded.message, state = excluded.state,
    reference = excluded.reference, reason = excluded.reason, tries = excluded.tries,
    unknown_ms = excluded.unknown_ms, due_ms = excluded.due_ms, version = excluded.version,
    taken = excluded.taken;

-- item --
SELECT number, instruction, message, amount, state, reference, reason, tries, unknown_ms, due_ms,
    version, taken FROM item WHERE number = ?;

-- open_items --
SELECT number, instruction, message, amount, state, reference, reason, tries, unknown_ms, due_ms,
    version, taken FROM item WHERE due_ms IS NOT NULL OR taken < version ORDER BY number;

-- add_credit --
-- A movement that was read before, from a notice or a statement, is the same one.
INSERT INTO credit (no, reference, amount, at_ms, remittance, account, bill_date, state, short)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0) ON CONFLICT (no) DO NOTHING;

-- set_credit --
UPDATE credit SET state = ?, short = ? WHERE no = ?;

-- open_credits --
SELECT no, reference, amount, at_ms, account, bill_date, state, short FROM credit
WHERE state IN ('waiting', 'divided') ORDER BY no;

-- credits_since --
-- Every credit that was booked since an instant, in the order of the account.
SELECT no, reference, amount, at_ms, account, bill_date FROM credit WHERE at_ms >= ?
ORDER BY no LIMIT ?;

-- credit --
SELECT state FROM credit WHERE no = ?;

-- count_credits --
SELECT state, count(*) FROM credit GROUP BY state;

-- add_share --
INSERT INTO share (claim, credit, position, fee, is_below, matched) VALUES (?, ?, ?, ?, ?, 0);

-- set_matched --
UPDATE share SET matched = 1 WHERE claim = ?;

-- open_shares --
SELECT claim, fee, is_below FROM share WHERE credit = ? AND matched = 0 ORDER BY position;

-- share --
SELECT credit FROM share WHERE claim = ?;

-- set_mark --
INSERT INTO mark (name, value) VALUES (?, ?)
ON CONFLICT (name) DO UPDATE SET value = excluded.value;

-- mark --
SELECT value FROM mark WHERE name = ?;
