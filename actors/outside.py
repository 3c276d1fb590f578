"""Payments whose channel pays the merchant itself: what they cannot be, and how they are booked.

Which account that is, the settings say (`settles_to`); what was true when an attempt was made stays
true of it, whatever they say later.
"""

from collections.abc import Mapping

from actors.core import Core
from actors.lanes import Lanes
from actors.live import LivePayment
from actors.messages import Pay
from payments import bookings, chart
from payments.bookings import Drawn
from payments.errors import InvalidField
from payments.ledger import Postings
from payments.payment import Payment, Route, Way
from payments.refund import Refund
from payments.routing import CUSTODY, ChannelAccount, LaneFacts, serves


def carries(account: ChannelAccount, *, is_held: bool, is_split: bool) -> bool:
    """Whether the account can take a payment that is to be held, or whose money is to be split."""
    if is_held and account.settles_to != CUSTODY:
        return False
    return not (is_split and account.pays_merchant)


def route_of(
    lanes: Lanes, command: Pay, way: Way, wallet: str | None, facts: Mapping[str, LaneFacts]
) -> tuple[Route, ChannelAccount]:
    """The route of a new payment, over accounts that can carry it.

    As `Router.plan`; InvalidField where no account that serves the way and the wallet ever could.
    """
    hint, split = command.channel_hint, command.split
    is_held = command.escrow_at is not None
    is_split = split is not None and bool(split.parts)
    route, account = lanes.router.plan(way, wallet, facts, hint)
    if carries(account, is_held=is_held, is_split=is_split):
        return route, account
    unfit = _unable(lanes, is_held=is_held, is_split=is_split)
    if not any(serves(e, way, wallet) and e.name not in unfit for e in lanes.accounts):
        refuse_uncarried(account, is_held=is_held, is_split=is_split)
    return lanes.router.plan(way, wallet, facts, hint, unfit)


def unable(lanes: Lanes, payment: Payment) -> tuple[str, ...]:
    """Accounts that no further attempt of a payment may be made on: they pay its money out before
    it could be held or split.
    """
    split = payment.split
    is_split = split is not None and bool(split.parts)
    if payment.escrow is None and not is_split:
        return ()
    return _unable(lanes, is_held=payment.escrow is not None, is_split=is_split)


def _unable(lanes: Lanes, *, is_held: bool, is_split: bool) -> tuple[str, ...]:
    return tuple(
        each.name
        for each in lanes.accounts
        if not carries(each, is_held=is_held, is_split=is_split)
    )


def refuse_uncarried(account: ChannelAccount, *, is_held: bool, is_split: bool) -> None:
    """InvalidField for a payment that its channel account would pay out before anybody can act."""
    if not carries(account, is_held=is_held, is_split=False):
        raise InvalidField(
            "the channel pays this merchant's money out itself: it cannot be held",
            param="/escrow",
        )
    if not carries(account, is_held=False, is_split=is_split):
        raise InvalidField(
            f"the channel account {account.name} pays all of it to the merchant itself: nothing "
            'can be split; send "splits": [] for a payment without',
            param="/splits",
        )


def is_outside(payment: Payment, attempt_no: int) -> bool:
    """Whether the channel paid, or is to pay, the merchant itself what an attempt took."""
    attempt = payment.attempt_of(attempt_no)
    return attempt is not None and attempt.is_outside


def refund_postings(
    core: Core,
    live: LivePayment,
    refund: Refund,
    settle_back: int,
    fee_back: int,
    drawn: tuple[Drawn, ...],
    held: int,
) -> Postings:
    """The entry of a refund that succeeded, by where the payment's money went; minor units."""
    payment = live.payment
    about = (refund.account, payment.merchant, live.partition, settle_back, fee_back)
    if is_outside(payment, refund.attempt_no):
        fees_due = core.books.balance(chart.merchant_fees_due(payment.merchant), payment.currency)
        return bookings.outside_refund_booked(*about, fees_due)
    if drawn or held:
        return bookings.split_refund_booked(*about, drawn, held)
    return bookings.refund_booked(*about)
