"""Receivers' money in a shard: what a refund takes from them, and what an owner has.

Both look at balances with everything decided so far, so that refunds in one commit do not count on
the same money.
"""

from typing import Final

from msgspec.json import Encoder

from actors.core import Core
from actors.link import Link
from actors.messages import ReadBalances
from payments import chart
from payments.bookings import Drawn
from payments.ledger import Postings
from payments.payment import Payment
from payments.splitting.returning import drawn

BALANCES: Final = ("pending", "available", "frozen", "in_transit", "debt")
"""What an answer about balances says, by the accounts' last words."""

PAST_US: Final = frozenset({"direct", "outside"})
_SHOWN_AS: Final = {"escrow": "frozen", "fees_due": "debt", "owed": "debt", "repay": "debt"}
_encode: Final = Encoder().encode


def draw(
    core: Core, payment: Payment, partition: int, settle_back: int, fee_back: int
) -> tuple[Drawn, ...]:
    """What one more refund takes from each receiver, and from where; empty without shares."""
    if not payment.shares:
        return ()
    balance, currency = core.books.balance, payment.currency
    taken = []
    backs = core.shares_back(payment, settle_back, fee_back)
    for share, back in zip(payment.shares, backs, strict=True):
        pending = -balance(chart.receiver_pending(share.receiver, partition), currency)
        available = -balance(chart.receiver_available(share.receiver, partition), currency)
        taken.append(Drawn(share.receiver, *drawn(back, pending, available)))
    return tuple(taken)


def out_of_what_there_is(core: Core, payment: Payment, postings: Postings) -> Postings:
    """A refund's entry with the merchant's part out of pending, then available, then as a debt.

    Money that was paid out since the refund was asked for is gone: the merchant owes it.
    """
    name, currency = chart.merchant_pending(payment.merchant), payment.currency
    back = sum(minor for account, minor in postings if account == name)
    pending = -core.books.balance(name, currency)
    if back <= pending or back <= 0:
        return postings
    available = -core.books.balance(chart.merchant_available(payment.merchant), currency)
    parts = drawn(back, max(0, pending), max(0, available))
    names = (
        name,
        chart.merchant_available(payment.merchant),
        chart.merchant_debt(payment.merchant),
    )
    legs = tuple(leg for leg in zip(names, parts, strict=True) if leg[1])
    return (*(posting for posting in postings if posting[0] != name), *legs)


def balances(core: Core, link: Link, command: ReadBalances) -> None:
    """Answer with what the owner has here: {currency: {pending, ...}}, as people read it."""
    sums: dict[str, dict[str, int]] = {}
    for (account, currency), minor in core.books.under(command.owner).items():
        here = sums.setdefault(currency, dict.fromkeys(BALANCES, 0))
        part = chart.parse(account).part
        if part in PAST_US:
            continue  # The channel pays it: it is never here.
        # Whoever reads it asks what it may spend: held by escrow or by order, it may not.
        here[_SHOWN_AS.get(part, part)] += chart.natural(account, minor)
    core.say(link, command.ref, 200, _encode(sums))
