"""What the reconciler asks of a shard. Part of `actors/messages.py`, with its rules."""

from msgspec import Struct

from payments.reconciliation.adjustment import Adjustment


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
