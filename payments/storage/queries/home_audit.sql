-- records --
SELECT kind, body FROM record WHERE kind = ? ORDER BY no;

-- members --
-- What batches take, in the order of booking, each with what it is about.
SELECT e.no, e.seq, e.id, e.at_ms, e.postings, coalesce(r.body, p.body), e.currency
FROM entry AS e
LEFT JOIN payment AS p ON p.id = e.source AND substr(e.id, -1) IN ('P', 'Q')
LEFT JOIN refund AS r ON r.id = e.source AND substr(e.id, -1) = 'R'
WHERE substr(e.id, -1) IN ('P', 'Q', 'R') AND (p.no IS NOT NULL OR r.no IS NOT NULL)
ORDER BY e.no;

-- payment_of --
SELECT body FROM payment WHERE id = ?;

-- refund_of --
SELECT body FROM refund WHERE id = ?;

-- steps_after --
-- Both steps of transits that were booked since.
SELECT id, postings FROM entry WHERE no > ? AND substr(id, -1) IN ('E', 'I', 'C', 'J');
