-- entries --
SELECT no, partition, seq, id, source, at_ms, currency, postings, chain FROM entry ORDER BY no;

-- payments --
SELECT id, body FROM payment ORDER BY no;

-- has_entry --
SELECT 1 FROM entry WHERE source = ? AND id = ?;

-- balances --
SELECT account, currency, minor, entry_no FROM balance ORDER BY entry_no;

-- orders_twice --
SELECT merchant_no, order_hash FROM payment GROUP BY merchant_no, order_hash HAVING count(*) > 1;

-- payments_of_order --
SELECT body FROM payment WHERE merchant_no = ? AND order_hash = ?;
