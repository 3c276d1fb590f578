"""Clearing: who is owed what for a business date, and when it is due."""
