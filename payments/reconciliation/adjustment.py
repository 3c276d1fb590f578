"""What two people agreed to book of a difference: one balanced entry in one partition, booked once.

The reconciler proposes it and asks the shard that owns the partition; the shard keeps it under the
difference's id, so that the same one again changes nothing and another one is refused.
"""

from collections.abc import Callable
from typing import Final

from msgspec import Struct

from payments import chart
from payments.ids import BODY_LENGTH
from payments.ledger import Postings
from payments.reconciliation.bank import CREDITS_ACCOUNT
from payments.reconciliation.differences import UNCLAIMED, Act

STEP: Final = "J"
"""Last letter of the entry's id."""

ACTS_THAT_BOOK: Final = frozenset({Act.SUSPENSE, Act.ADJUST_FEE, Act.REFUND_DUPLICATE})
"""Proposals whose entry is booked when they are agreed to. The entries of a late success are those
of the payment itself, and a claim is a letter: neither books anything of its own."""

_MAY: Final = frozenset({("channel", "receivable"), ("suspense", ""), ("fees", "channel")})
"""Accounts that may be moved: what a channel owes, what it charged, and what nobody knows yet."""


_OF_CREDITS: Final = frozenset({"custody", "suspense"})
"""Families that may be moved for money that nobody expected at the bank."""


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
    if adjustment.account == CREDITS_ACCOUNT:
        return _partition_of_credit(adjustment, found)
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


def _partition_of_credit(adjustment: Adjustment, found: list[chart.Account]) -> int:
    """Money that came into custody and is nobody's yet: custody grows, and suspense with it."""
    by_family = {one.family: one for one in found}
    gains = [account for account, minor in adjustment.postings if minor > 0]
    if len(found) != 2 or by_family.keys() != _OF_CREDITS:
        raise BadAdjustment("a credit of nobody moves custody and suspense, and nothing else")
    if chart.parse(gains[0]).family != "custody":
        raise BadAdjustment("a credit adds to custody")
    suspended = by_family["suspense"]
    if suspended.owner != UNCLAIMED:
        raise BadAdjustment("a credit of nobody is kept apart from the channels' suspense")
    assert suspended.partition is not None, adjustment
    return suspended.partition


def below_floor(
    postings: Postings, currency: str, balance: Callable[[str, str], int]
) -> str | None:
    """Why the entry would take an account below zero, in words; None if it takes none there.

    `balance`: account, currency -> signed minor units as they stand.
    """
    for account, minor in postings:
        held = chart.natural(account, balance(account, currency))
        after = held + chart.natural(account, minor)
        if after < 0 and after < held and chart.is_limited(account):
            return f"{account} holds {held} {currency}; this takes {held - after} out of it"
    return None
