"""The `simulated` channel: an outside party in our own process, with books of its own."""
