-- hold --
-- A query that has a row and was not asked for the next fixes what its connection sees meanwhile.
SELECT epoch FROM owner;

-- payments_at --
-- The array drives the look-up (CROSS JOIN keeps that order): one probe for each number.
SELECT p.no, p.id, p.merchant_no, p.partition, p.key_hash, p.order_hash, p.auth_hash, p.due_ms, p.body
FROM carray(?) AS asked CROSS JOIN payment AS p ON p.no = asked.value;

-- refunds_at --
SELECT r.no, r.id, r.payment_no, r.merchant_no, r.partition, r.key_hash, r.due_ms, r.body
FROM carray(?) AS asked CROSS JOIN refund AS r ON r.no = asked.value;

-- payment --
SELECT no, id, merchant_no, partition, key_hash, order_hash, auth_hash, due_ms, body
FROM payment WHERE id = ?;

-- payment_by_no --
SELECT no, id, merchant_no, partition, key_hash, order_hash, auth_hash, due_ms, body
FROM payment WHERE no = ?;

-- refund --
SELECT no, id, payment_no, merchant_no, partition, key_hash, due_ms, body FROM refund WHERE id = ?;

-- refunds_of --
SELECT no, id, payment_no, merchant_no, partition, key_hash, due_ms, body
FROM refund WHERE payment_no = ? ORDER BY no;

-- due_payments --
SELECT no, id, merchant_no, partition, key_hash, order_hash, auth_hash, due_ms, body
FROM payment WHERE due_ms IS NOT NULL AND due_ms <= ? ORDER BY due_ms, no LIMIT ?;

-- due_refunds --
SELECT no, id, payment_no, merchant_no, partition, key_hash, due_ms, body
FROM refund WHERE due_ms IS NOT NULL AND due_ms <= ? ORDER BY due_ms, no LIMIT ?;

-- entries_of --
SELECT no, partition, seq, id, source, at_ms, currency, postings, chain
FROM entry WHERE source = ? ORDER BY no;

-- entries_after --
SELECT no, partition, seq, id, source, at_ms, currency, postings, chain
FROM entry WHERE no > ? ORDER BY no LIMIT ?;

-- clearing_rows --
-- An entry's id ends in the letter of its step. The look-ups are by id, which sorts by time: the
-- pages that they touch lie together.
SELECT e.no, e.seq, e.id, e.at_ms, e.postings,
       CASE substr(e.id, -1) WHEN 'R' THEN (SELECT r.body FROM refund AS r WHERE r.id = e.source)
                             ELSE (SELECT p.body FROM payment AS p WHERE p.id = e.source) END
FROM entry AS e
WHERE e.no > ? AND e.no <= ? AND substr(e.id, -1) IN ('P', 'Q', 'R') ORDER BY e.no;

-- events_after --
SELECT no, partition, merchant_no, id, type, at_ms, body
FROM event WHERE no > ? ORDER BY no LIMIT ?;

-- event_stubs --
SELECT no, merchant_no, type, at_ms FROM event WHERE no > ? ORDER BY no LIMIT ?;

-- events_at --
SELECT e.no, e.partition, e.merchant_no, e.id, e.type, e.at_ms, e.body
FROM carray(?) AS asked CROSS JOIN event AS e ON e.no = asked.value;

-- event --
SELECT no, partition, merchant_no, id, type, at_ms, body FROM event WHERE id = ?;

-- events_of --
-- Ids of events begin with the body of what they are about: a range of the unique index.
SELECT no, partition, merchant_no, id, type, at_ms, body
FROM event WHERE id >= ? AND id < ? ORDER BY no;

-- balance --
SELECT account, currency, minor, entry_no FROM balance WHERE account = ? AND currency = ?;

-- balances_between --
SELECT account, currency, minor, entry_no FROM balance WHERE account >= ? AND account < ?;

-- balances --
SELECT account, currency, minor, entry_no FROM balance ORDER BY account, currency;

-- heads --
SELECT partition, seq, chain, entry_no FROM head ORDER BY partition;

-- counter --
SELECT merchant_no, body, payment_no FROM counter WHERE merchant_no = ?;

-- record --
SELECT no, id, kind, owner, partition, due_ms, body FROM record WHERE id = ?;

-- records_newest --
SELECT no, id, kind, owner, partition, due_ms, body
FROM record WHERE kind = ? AND owner = ? AND no > ? AND no < ? ORDER BY no DESC LIMIT ?;

-- records_oldest --
SELECT no, id, kind, owner, partition, due_ms, body
FROM record WHERE kind = ? AND owner = ? AND no > ? ORDER BY no LIMIT ?;

-- records_after --
SELECT no, id, kind, owner, partition, due_ms, body
FROM record WHERE kind = ? AND no > ? ORDER BY no LIMIT ?;

-- records_below --
-- Ids sort by time: what a list over all owners is paged by.
SELECT no, id, kind, owner, partition, due_ms, body
FROM record WHERE id >= ? AND id < ? ORDER BY id DESC LIMIT ?;

-- due_records --
SELECT no, id, kind, owner, partition, due_ms, body
FROM record WHERE due_ms IS NOT NULL AND due_ms <= ? ORDER BY due_ms, no LIMIT ?;

-- next_due_record --
SELECT min(due_ms) FROM record WHERE due_ms IS NOT NULL;

-- nonces --
-- Of every commit kept: pruning bounds them.
SELECT nonces FROM "commit" ORDER BY no;

-- numbers --
-- The last used of each number, and the oldest commit still kept.
SELECT (SELECT coalesce(max(no), 0) FROM payment), (SELECT coalesce(max(no), 0) FROM refund),
       (SELECT coalesce(max(no), 0) FROM entry), (SELECT coalesce(max(no), 0) FROM event),
       (SELECT coalesce(max(no), 0) FROM "commit"), (SELECT coalesce(min(no), 0) FROM "commit"),
       (SELECT coalesce(max(no), 0) FROM record);

-- last_marks --
SELECT marks FROM "commit" ORDER BY no DESC LIMIT 1;
