"""What the channels' sandboxes share: decisions, books, callbacks, faults and the HTTP frame."""
