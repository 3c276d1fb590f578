-- records --
SELECT kind, body FROM record WHERE kind = ? ORDER BY no;

-- members --
-- Payments and refunds that were booked, in the order of booking, each with what it is about.
SELECT e.no, e.seq, e.currency, e.at_ms, e.id, e.postings, p.body, r.body
FROM entry AS e
LEFT JOIN payment AS p ON p.id = e.source
LEFT JOIN refund AS r ON r.id = e.source
WHERE substr(e.id, -1) IN ('P', 'R') AND (p.no IS NOT NULL OR r.no IS NOT NULL)
ORDER BY e.no;

-- payment_of --
SELECT body FROM payment WHERE id = ?;

-- refund_of --
SELECT body FROM refund WHERE id = ?;

-- steps_after --
-- Both steps of transits that were booked since.
SELECT id, postings FROM entry WHERE no > ? AND substr(id, -1) IN ('E', 'I', 'C', 'J');
