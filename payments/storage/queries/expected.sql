-- payments_between --
-- Ids begin with the instant at which they were made, so an index of ids is one of time.
SELECT id, no, body FROM payment WHERE id > ? AND id < ? ORDER BY id LIMIT ?;

-- refunds_between --
SELECT id, no, body FROM refund WHERE id > ? AND id < ? ORDER BY id LIMIT ?;

-- payment --
SELECT no, body FROM payment WHERE id = ?;

-- refund --
SELECT body FROM refund WHERE id = ?;

-- refunds_of --
SELECT body FROM refund WHERE payment_no = ? ORDER BY no;
