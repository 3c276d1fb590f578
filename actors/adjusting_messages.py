"""What the reconciler asks of a shard. Part of `actors/messages.py`, with its rules."""

from msgspec import Struct

from payments.reconciliation.adjustment import Adjustment
from payments.reconciliation.notices import Notice


class Adjust(Struct, array_like=True, tag=145, gc=False):
    """Book what two people agreed to of a difference. Answered with Adjusted once it is durable.

    Sent again until it is answered: the difference's id makes it one entry.
    """

    ref: int
    adjustment: Adjustment


class Adjusted(Struct, array_like=True, tag=146, gc=False):
    """`why`: empty when the entry is booked, now or before; else why it is not, in words."""

    ref: int
    why: str = ""


class TellNotices(Struct, array_like=True, tag=147, gc=False):
    """Put these events into the outbox, each once. Answered with ToldNotices once it is durable."""

    ref: int
    notices: tuple[Notice, ...]


class ToldNotices(Struct, array_like=True, tag=148, gc=False):
    """They are in the outbox, now or before."""

    ref: int
