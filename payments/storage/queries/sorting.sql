-- make_tables --
CREATE TABLE line (
    is_refund INTEGER NOT NULL,
    number    TEXT NOT NULL,
    row       INTEGER NOT NULL,
    body      BLOB NOT NULL
) STRICT;

-- add_line --
INSERT INTO line (is_refund, number, row, body) VALUES (?, ?, ?, ?);

-- sorted --
SELECT body FROM line WHERE is_refund = ? ORDER BY number, row;
