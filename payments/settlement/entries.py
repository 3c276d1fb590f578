"""What clearing, cover, payouts and withdrawals do to the books: from amounts to postings.

The continuation of `payments.bookings`, with the same rules: debit positive, credit negative,
minor units, no leg of zero, and an entry's id is made of the id of what it is about and one letter
for the step, so that the same step booked again is refused by the store instead of doubled.

Merchants and receivers are *parties*. A party has a home, the partition in its id; there it is
paid out. Only a receiver has money in other partitions, where the payments were that it shares.
"""

from typing import Final

from msgspec import Struct

from payments import chart
from payments.ids import BODY_LENGTH, partition_of
from payments.ledger import Postings

RECEIVER_PREFIX: Final = "rcv_"

CLEARED: Final = "E"
ARRIVED: Final = "I"
COVERED: Final = "C"
MONEY_ARRIVED: Final = "J"
ADVANCED: Final = "A"
REPAID: Final = "K"
FROZEN: Final = "F"
THAWED: Final = "U"
HELD: Final = "H"
LET_GO: Final = "G"
SENT: Final = "S"
PAID: Final = "D"
REJECTED: Final = "X"
RETURNED: Final = "N"
OUTSIDE: Final = "O"
"""The steps after P, R, L and B of `payments.bookings`; two steps of one object never share one."""


def entry_id(source: str, step: str) -> str:
    """The id of the entry that books `step` of the object `source`."""
    return "ent_" + source[-BODY_LENGTH:] + step


class Accounts(Struct, frozen=True, gc=False):
    """The names of a party's accounts in one partition."""

    pending: str
    available: str
    frozen: str
    in_transit: str
    debt: str


def home_of(party: str) -> int:
    """The partition from which a merchant or receiver is paid out: the one in its id."""
    return partition_of(party)


def accounts_of(party: str, partition: int) -> Accounts:
    """A party's accounts. A merchant has them in its own partition only."""
    if party.startswith(RECEIVER_PREFIX):
        return Accounts(
            chart.receiver_pending(party, partition),
            chart.receiver_available(party, partition),
            chart.receiver_frozen(party, partition),
            chart.receiver_in_transit(party, partition),
            chart.receiver_debt(party, partition),
        )
    assert partition == home_of(party), (party, partition)
    return Accounts(
        chart.merchant_pending(party),
        chart.merchant_available(party),
        chart.merchant_frozen(party),
        chart.merchant_in_transit(party),
        chart.merchant_debt(party),
    )


# --- Clearing --------------------------------------------------------------------------------


def cleared(party: str, partition: int, to_debt: int, moved: int, to_fees: int = 0) -> Postings:
    """A batch is filed: the party's debt here is netted, and a share leaves for its home.

    `to_fees`: what a merchant owes of our fees on money that came past custody is netted too.
    """
    names = accounts_of(party, partition)
    owed = ((chart.merchant_fees_due(party), -to_fees),) if to_fees else ()
    return _without_zeros(
        (names.pending, to_debt + to_fees + moved),
        (names.debt, -to_debt),
        *owed,
        (chart.transit(partition, home_of(party)), -moved),
    )


def settled_outside(merchant: str, outside: tuple[tuple[str, int], ...]) -> Postings:
    """A batch is filed: what channels pay this merchant themselves is nobody's business here.

    `outside`: (channel account, minor units), below zero where refunds were more.
    """
    partition = home_of(merchant)
    return _without_zeros(
        *((chart.channel_outside(account, partition), -minor) for account, minor in outside),
        (chart.merchant_outside(merchant), sum(minor for _, minor in outside)),
    )


def arrived(party: str, partition: int, moved: int) -> Postings:
    """The second step of `cleared`, booked at the party's home: the share is pending there."""
    home = home_of(party)
    return _without_zeros(
        (chart.transit(partition, home), moved),
        (accounts_of(party, home).pending, -moved),
    )


# --- Cover -----------------------------------------------------------------------------------


def covered(
    custody: str,
    channel_account: str,
    merchant: str,
    receivable: int,
    channel_fee: int,
    released: int,
    carried: tuple[tuple[int, int], ...] = (),
    shares: tuple[tuple[str, int], ...] = (),
) -> Postings:
    """A merchant's share of the channel's credit is at the bank: the merchant's part is available.

    `receivable`: what the channel owed for this merchant; `channel_fee`: what it kept of that;
    `released`: the merchant's own part. `shares`: (receiver, amount) of those at home here.
    `carried`: (partition, amount) of receivers' money that goes on to their homes.
    """
    partition = home_of(merchant)
    names = accounts_of(merchant, partition)
    away = sum(amount for _, amount in carried)
    local = [(accounts_of(receiver, partition), amount) for receiver, amount in shares]
    return _without_zeros(
        (custody, receivable - channel_fee - away),
        (chart.fees_channel(partition), channel_fee),
        (chart.receivable(channel_account, partition), -receivable),
        (names.pending, released),
        (names.available, -released),
        *((each.pending, amount) for each, amount in local),
        *((each.available, -amount) for each, amount in local),
        *((chart.transit(partition, home), amount) for home, amount in carried),
    )


def money_arrived(custody: str, receiver: str, partition: int, amount: int) -> Postings:
    """The second step of `covered` at a receiver's home: money and share are together again."""
    home = home_of(receiver)
    names = accounts_of(receiver, home)
    return _without_zeros(
        (custody, amount),
        (chart.transit(partition, home), -amount),
        (names.pending, amount),
        (names.available, -amount),
    )


def advanced(custody: str, funder: str, party: str, amount: int, released: int) -> Postings:
    """A funder's money is at the bank for this party: `released` is available before the credit."""
    names = accounts_of(party, home_of(party))
    return _without_zeros(
        (custody, amount),
        (chart.advance(funder), -amount),
        (names.pending, released),
        (names.available, -released),
    )


def repaid(custody: str, funder: str, amount: int) -> Postings:
    """The credit came: the funder has its money back."""
    return _without_zeros((chart.advance(funder), amount), (custody, -amount))


def frozen(party: str, amount: int) -> Postings:
    """Held by order or dispute: no longer available."""
    names = accounts_of(party, home_of(party))
    return _without_zeros((names.available, amount), (names.frozen, -amount))


def thawed(party: str, amount: int) -> Postings:
    """The reason is gone: available again."""
    names = accounts_of(party, home_of(party))
    return _without_zeros((names.frozen, amount), (names.available, -amount))


# --- Payouts ---------------------------------------------------------------------------------


def held(party: str, total: int) -> Postings:
    """Taken out of available, on its way: with the request of a withdrawal, or with `sent`."""
    names = accounts_of(party, home_of(party))
    return _without_zeros((names.available, total), (names.in_transit, -total))


def let_go(party: str, total: int) -> Postings:
    """It did not go after all: available again, the fee with it."""
    names = accounts_of(party, home_of(party))
    return _without_zeros((names.in_transit, total), (names.available, -total))


def paid(custody: str, party: str, amount: int, fee: int) -> Postings:
    """The bank paid `amount`; our fee is earned only now."""
    home = home_of(party)
    return _without_zeros(
        (accounts_of(party, home).in_transit, amount + fee),
        (custody, -amount),
        (chart.fees_income(home), -fee),
    )


def returned(custody: str, party: str, amount: int, fee: int) -> Postings:
    """The bank had paid and took it back: what did not arrive costs nothing."""
    home = home_of(party)
    return _without_zeros(
        (custody, amount),
        (chart.fees_income(home), fee),
        (accounts_of(party, home).available, -(amount + fee)),
    )


def _without_zeros(*postings: tuple[str, int]) -> Postings:
    return tuple(posting for posting in postings if posting[1])
