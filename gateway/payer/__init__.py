"""The payer's page: its words, its look, and which wallet opened it."""
