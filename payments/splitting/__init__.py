"""Who gets which part of a payment (清分): pure functions from terms and amounts to whole units."""
