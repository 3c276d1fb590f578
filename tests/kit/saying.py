"""Words that the contract's sentences share."""

from typing import Any

from payments.channels.base import Unknown, Unpaid
from rigs import NUMBER, Stand

OVER = (Unpaid("closed"), Unpaid("reversed"))


def kept(stand: Stand, number: str = NUMBER) -> int:
    """What the channel has of this order's money, by its own books."""
    book = stand.books().get(number)
    return 0 if book is None else book.charges * book.amount_minor - book.refunded_minor


def is_taken(stand: Stand, answer: Any) -> bool:
    """How a channel that does not repeat itself answers a number again: go and ask."""
    return "repeats" not in stand.rig.can and isinstance(answer, Unknown)
