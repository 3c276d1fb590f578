"""What one entry does to one party: the row of its balance transaction."""

from enum import StrEnum
from typing import Final

from msgspec import Struct

from payments import chart
from payments.calendar import business_date
from payments.ledger import Row, unpack_postings
from payments.settlement import entries


class Type(StrEnum):
    """What a balance transaction is of."""

    PAYMENT = "payment"
    REFUND = "refund"
    SPLIT = "split"
    CLEARING = "clearing"
    WITHDRAWAL = "withdrawal"
    ADJUSTMENT = "adjustment"


CLEARING: Final = frozenset(
    {
        entries.CLEARED, entries.ARRIVED, entries.COVERED, entries.MONEY_ARRIVED,
        entries.OUTSIDE,
    }
)  # fmt: skip
PAYOUTS: Final = frozenset(
    {
        entries.HELD, entries.LET_GO, entries.SENT, entries.PAID, entries.REJECTED,
        entries.RETURNED,
    }
)  # fmt: skip


class Movement(Struct, frozen=True, gc=False):
    """One entry, as one party sees it; minor units, more is more.

    `amount`: by how much all that it is owed grows, its debt taken off; 0 where money only moves
    between its own accounts. `changes`: account's last word -> by how much it grows. `fee`: ours,
    which was taken off before. `available_on`: yyyymmdd, where something became available.
    """

    type: Type
    amount: int
    fee: int
    changes: dict[str, int]
    available_on: str | None


def movement_of(row: Row, party: str) -> Movement | None:
    """What an entry does to a merchant or receiver; None if no account of it changes."""
    amount = fee = 0
    changes: dict[str, int] = {}
    is_receiver = party.startswith(entries.RECEIVER_PREFIX)
    for name, minor in unpack_postings(row[7]):
        account = chart.parse(name)
        if account.owner == party:
            amount -= minor
            natural = chart.natural(name, minor)
            changes[account.part] = changes.get(account.part, 0) + natural
        elif account.family == "fees" and account.part == "income" and not is_receiver:
            fee -= minor
    if not changes:
        return None
    is_released = changes.get("available", 0) > 0
    return Movement(
        _type(row[3][-1], is_receiver),
        amount,
        fee,
        changes,
        str(business_date(row[5])) if is_released else None,
    )


def _type(step: str, is_receiver: bool) -> Type:
    """By the last letter of the entry's id: the step that it books."""
    if step in ("P", "Q", "V"):
        return Type.SPLIT if is_receiver or step == "Q" else Type.PAYMENT
    if step in ("W", "Y", "Z", "M"):  # The channel divided it, paid everybody, took it back.
        return Type.SPLIT if step in ("W", "M") else Type.CLEARING
    if step in ("R", "T"):
        return Type.REFUND
    if step in CLEARING:
        return Type.CLEARING
    return Type.WITHDRAWAL if step in PAYOUTS else Type.ADJUSTMENT
