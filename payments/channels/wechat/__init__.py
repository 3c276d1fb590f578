"""WeChat Pay API v3: the wire for both sides, the connector, and a sandbox that answers it."""
