-- entries --
SELECT no, partition, seq, id, source, at_ms, currency, postings, chain FROM entry ORDER BY no;

-- last_numbers --
SELECT max(no) FROM entry UNION ALL SELECT max(no) FROM payment;

-- payments --
SELECT no, id, body FROM payment ORDER BY no;

-- payment --
SELECT no, body FROM payment WHERE id = ?;

-- has_entry --
SELECT 1 FROM entry WHERE source = ? AND id = ?;

-- balances --
SELECT account, currency, minor, entry_no FROM balance ORDER BY entry_no;

-- orders_twice --
SELECT merchant_no, order_hash FROM payment GROUP BY merchant_no, order_hash HAVING count(*) > 1;

-- payments_of_order --
SELECT body FROM payment WHERE merchant_no = ? AND order_hash = ?;

-- refunds_of --
SELECT body FROM refund WHERE payment_no = ?;

-- entry_ids --
SELECT id FROM entry WHERE source = ?;

-- postings_of --
SELECT postings FROM entry WHERE source = ?;

-- event_ids --
SELECT id FROM event WHERE id >= ? AND id < ?;

-- gaps --
-- Numbers are counted by the owner: what was numbered and is not there was taken away.
SELECT 'payment', max(no) - count(*) FROM payment UNION ALL
SELECT 'refund', max(no) - count(*) FROM refund UNION ALL
SELECT 'event', max(no) - count(*) FROM event;

-- older_epochs --
-- A commit of an owner after the commit of a newer one.
SELECT count(*) FROM "commit" AS later JOIN "commit" AS earlier ON earlier.no = later.no - 1
WHERE later.epoch < earlier.epoch;

-- keys_twice --
SELECT key_hash FROM (SELECT key_hash FROM payment UNION ALL SELECT key_hash FROM refund)
GROUP BY key_hash HAVING count(*) > 1;

-- bodies_of_key --
SELECT 'payment', body FROM payment WHERE key_hash = ?1 UNION ALL
SELECT 'refund', body FROM refund WHERE key_hash = ?1;
