-- add_spots --
-- A whole bucket at once, sorted: its pages are neighbors. A payment whose key and order share
-- 31 bits has one spot for both.
INSERT OR IGNORE INTO seek (spot) SELECT value FROM carray(?);

-- set_sieve --
INSERT OR REPLACE INTO sieve (bucket, payment_no, refund_no, bits) VALUES (?, ?, ?, ?);

-- sieves --
SELECT bucket, payment_no, refund_no, bits FROM sieve;

-- find --
-- Both kinds of hash spots of each place asked for.
SELECT s.spot FROM carray(?) AS asked CROSS JOIN seek AS s
WHERE s.spot BETWEEN asked.value AND asked.value + 0xFFFFFFFF;

-- count_spots --
-- Goes through all pages between two spots.
SELECT count(*) FROM seek WHERE spot BETWEEN ? AND ?;

-- newest_spots --
SELECT spot FROM seek WHERE spot > ? AND spot <= ? ORDER BY spot DESC LIMIT ?;

-- oldest_spots --
SELECT spot FROM seek WHERE spot > ? AND spot <= ? ORDER BY spot LIMIT ?;

-- payments_after --
SELECT no, merchant_no, key_hash, order_hash, auth_hash FROM payment WHERE no > ? ORDER BY no;

-- refunds_after --
SELECT no, merchant_no, key_hash FROM refund WHERE no > ? ORDER BY no;
