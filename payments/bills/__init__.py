"""Channels' bills: one shape of a line, cells that every layout shares, and the archive."""
