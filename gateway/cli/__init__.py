"""The command line: one file a group, each command imports what it needs when it runs."""
