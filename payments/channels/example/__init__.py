"""A channel that does not exist: the smallest one that passes the contract, to be copied."""
