-- last --
-- What there is to read at this moment; later rows belong to the next reading.
SELECT (SELECT coalesce(max(no), 0) FROM entry), (SELECT coalesce(max(no), 0) FROM refund);

-- entries --
SELECT no, partition, seq, id, source, at_ms, currency, postings, chain FROM entry
WHERE no > ?1 AND no <= ?2 AND at_ms >= ?3 AND at_ms < ?4
ORDER BY no;

-- entries_holding --
-- Postings are packed with the names of their accounts as they are: a search of bytes finds them.
SELECT no, partition, seq, id, source, at_ms, currency, postings, chain FROM entry
WHERE no > ?1 AND no <= ?2 AND at_ms >= ?3 AND at_ms < ?4 AND instr(postings, ?5) > 0
ORDER BY no;

-- payments --
-- Ids begin with their time, so a range of them is a range of time.
SELECT id, body FROM payment WHERE id > ? AND id < ? ORDER BY id LIMIT ?;

-- refunds --
SELECT body FROM refund WHERE no > ? AND no <= ? ORDER BY no;

-- payment --
SELECT body FROM payment WHERE id = ?;

-- refund --
SELECT body FROM refund WHERE id = ?;

-- records --
SELECT body FROM record WHERE kind = ? ORDER BY no;

-- booked_at --
SELECT at_ms FROM entry WHERE source = ? AND id = ?;
