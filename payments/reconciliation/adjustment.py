"""What two people agreed to book of a difference: one balanced entry in one partition, booked once.

The reconciler proposes it and asks the shard that owns the partition; the shard keeps it under the
difference's id, so that the same one again changes nothing and another one is refused.
"""

from typing import Final

from msgspec import Struct

from payments import chart
from payments.ids import BODY_LENGTH
from payments.ledger import Postings
from payments.reconciliation.differences import Act

STEP: Final = "J"
"""Last letter of the entry's id."""

ACTS_THAT_BOOK: Final = frozenset({Act.SUSPENSE, Act.ADJUST_FEE, Act.REFUND_DUPLICATE})
"""Proposals whose entry is booked when they are agreed to. The entries of a late success are those
of the payment itself, and a claim is a letter: neither books anything of its own."""

_MAY: Final = frozenset({("channel", "receivable"), ("suspense", ""), ("fees", "channel")})
"""Accounts that may be moved: what a channel owes, what it charged, and what nobody knows yet."""


class Adjustment(Struct, frozen=True, array_like=True):
    """A record of a shard. `item`: the difference; `account`: the channel account.

    `maker`, `checker`: ids of the two keys. `at`: business ms of the booking. `postings`: signed
    minor units of `currency`.
    """

    item: str
    account: str
    act: Act
    currency: str
    postings: Postings
    maker: str
    checker: str
    at: int

    def is_same(self, other: "Adjustment") -> bool:
        """Whether both book the same thing, whenever that was and whoever wanted it."""
        return (self.item, self.currency, self.postings) == (
            other.item,
            other.currency,
            other.postings,
        )


class BadAdjustment(ValueError):
    """An entry that a difference may not have."""


def entry_id(item: str) -> str:
    """The id of the entry of a difference: one at most."""
    return "ent_" + item[-BODY_LENGTH:] + STEP


def partition_of_entry(adjustment: Adjustment) -> int:
    """The one partition whose accounts it moves. Raise BadAdjustment, chart.UnknownAccount."""
    if not adjustment.postings or sum(minor for _, minor in adjustment.postings) != 0:
        raise BadAdjustment("an entry needs postings, and they must come to zero")
    found = [chart.parse(account) for account, _ in adjustment.postings]
    if any((one.family, one.part) not in _MAY for one in found):
        raise BadAdjustment("a difference moves receivable, suspense and channel fees only")
    if any(one.owner not in ("", adjustment.account) for one in found):
        raise BadAdjustment("a difference moves accounts of its own channel account only")
    partitions = {one.partition for one in found}
    if len(partitions) != 1:
        raise BadAdjustment("an entry stays within one partition")
    partition = partitions.pop()
    assert partition is not None, adjustment
    return partition
