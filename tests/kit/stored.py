"""What is in a world's store, in few words: for tests that look behind the shard's back."""

from typing import Any

from actors.live import decode_payment, decode_refund
from crashing import Crashing
from oracle import Rows, rows_of


def of(rows: Rows) -> list[tuple[Any, Any]]:
    """Payments by status and attempt state."""
    payments = [decode_payment(row[8]) for row in rows.payments]
    return [(each.status, each.attempt.state if each.attempt else None) for each in payments]


def left(world: Crashing) -> list[tuple[Any, Any]]:
    """What the crash left in the store."""
    return of(world.found)


def stored(world: Crashing) -> list[tuple[Any, Any]]:
    """What is in the store now."""
    return of(rows_of(world))


def refunds_of(rows: Rows) -> list[Any]:
    return [decode_refund(row[7]).status for row in rows.refunds]
