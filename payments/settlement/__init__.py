"""Settlement: cover from the bank, instructions to it, and withdrawals."""
