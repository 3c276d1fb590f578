-- record --
SELECT body FROM record WHERE id = ?;

-- records_between --
-- Ids begin with the instant at which their payment or refund was made.
SELECT id, body FROM record WHERE id > ? AND id < ? ORDER BY id LIMIT ?;

-- booked_at --
-- When the channel had divided, as we learned of it.
SELECT at_ms FROM entry WHERE source = ? AND id = ?;
