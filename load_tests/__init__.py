"""Load tests: a stranger to the gateway. Talks HTTP to a process that it started, nothing else."""
