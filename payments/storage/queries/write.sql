-- add_payments --
-- The intent: a row for ever. A second row of the same id is refused.
INSERT INTO payment (no, id, merchant_no, partition, key_hash, order_hash, auth_hash, due_ms, body)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?);

-- change_payments --
-- What became of it: nothing but its state and the time of the next look.
UPDATE payment SET due_ms = ?, body = ? WHERE no = ?;

-- add_refunds --
INSERT INTO refund (no, id, payment_no, merchant_no, partition, key_hash, due_ms, body)
VALUES (?, ?, ?, ?, ?, ?, ?, ?);

-- change_refunds --
UPDATE refund SET due_ms = ?, body = ? WHERE no = ?;

-- add_records --
-- What stands beside the payments. A second record of the same id is refused.
INSERT INTO record (no, id, kind, owner, partition, due_ms, body) VALUES (?, ?, ?, ?, ?, ?, ?);

-- change_records --
UPDATE record SET due_ms = ?, body = ? WHERE no = ?;

-- add_entries --
-- Booked once: (source, id) is unique.
INSERT INTO entry (no, partition, seq, id, source, at_ms, currency, postings, chain)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?);

-- add_events --
INSERT INTO event (no, partition, merchant_no, id, type, at_ms, body) VALUES (?, ?, ?, ?, ?, ?, ?);

-- set_balances --
INSERT OR REPLACE INTO balance (account, currency, minor, entry_no) VALUES (?, ?, ?, ?);

-- set_heads --
INSERT OR REPLACE INTO head (partition, seq, chain, entry_no) VALUES (?, ?, ?, ?);

-- set_counters --
INSERT OR REPLACE INTO counter (merchant_no, body, payment_no) VALUES (?, ?, ?);

-- add_commit --
-- The fence: no row is written when another owner's epoch stands.
INSERT INTO "commit" (no, epoch, at_ms, marks, nonces)
SELECT ?1, ?2, ?3, ?4, ?5 FROM owner WHERE epoch = ?2;

-- prune_commits --
-- At most as many rows as the range holds; the newest is never in it.
DELETE FROM "commit" WHERE no BETWEEN ? AND ? AND at_ms < ?;

-- take_ownership --
UPDATE owner SET epoch = epoch + 1, opened_ms = ? WHERE one = 1 RETURNING epoch;
