"""Payments that somebody else's gateway took: what may be told of them, and when it is too late.

Such a payment enters as it is, succeeded, with its split. Nobody is asked about it here, so what is
told must be in itself without contradiction: it is refused before anything is booked.
"""

from typing import Final

from payments.calendar import DAY_MS
from payments.errors import ExceedsPaid, InvalidField, NotCancelable, NotRefundable
from payments.payment import Payment
from payments.routing import ChannelAccount

AHEAD_MAX_MS: Final = 60_000
"""How far the reporter's clock may run ahead of ours; what is within counts as now."""

AGE_MAX_MS: Final = 30 * DAY_MS
"""How old what is reported may be. Money may be held no longer than that: what is older needs
people, not a program."""

REFUND_AGE_MAX_MS: Final = 30 * DAY_MS
"""The same for refunds, by the day on which the money went back."""


def account_of(accounts: tuple[ChannelAccount, ...], name: str) -> ChannelAccount:
    """The account that took the payment. InvalidField unless it is one for reported payments."""
    external = [account for account in accounts if account.is_external]
    for account in external:
        if account.name == name:
            return account
    known = ", ".join(account.name for account in external) or "none is configured"
    raise InvalidField(
        f"payments can be reported for channel accounts of kind external: {known}",
        param="/channel_account",
    )


def paid_at(at_ms: int, now_ms: int) -> int:
    """The instant of payment that counts. InvalidField for the future, and for long ago."""
    return _told_at(at_ms, now_ms, AGE_MAX_MS, "/paid_at")


def refunded_at(at_ms: int, now_ms: int, payment: Payment) -> int:
    """The instant of a refund that counts. InvalidField also for one before the payment."""
    at = _told_at(at_ms, now_ms, REFUND_AGE_MAX_MS, "/refunded_at")
    if payment.succeeded_at is not None and at < payment.succeeded_at:
        raise InvalidField("this is before it was paid", param="/refunded_at")
    return at


def _told_at(at_ms: int, now_ms: int, age_max_ms: int, param: str) -> int:
    if at_ms > now_ms + AHEAD_MAX_MS:
        raise InvalidField("this has not happened yet", param=param)
    if at_ms < now_ms - age_max_ms:
        days = age_max_ms // DAY_MS
        raise InvalidField(f"this is more than {days} days ago; ask the operator", param=param)
    return min(at_ms, now_ms)


def settled(amount: int, settle_amount: int | None, fee: int) -> int:
    """What the channel settles, all of it if nothing is said. InvalidField for what cannot be."""
    settles = amount if settle_amount is None else settle_amount
    if settles > amount:
        raise InvalidField("more cannot be settled than was paid", param="/settle_amount")
    if fee > settles:
        raise InvalidField("the fee exceeds what is settled", param="/fee")
    return settles


def refund_amount(payment: Payment, asked: int | None) -> int:
    """How much of a reported payment went back, all that is left if nothing is said.

    NotRefundable for a payment that was taken here, ExceedsPaid for more than is left.
    """
    if not payment.is_reported:
        raise NotRefundable(f"{payment.id} was taken here: POST /v1/payments/{payment.id}/refunds")
    amount = payment.refundable if asked is None else asked
    if amount > payment.refundable or amount < 1:
        raise ExceedsPaid(
            f"{payment.refundable} of {payment.amount} is left to refund", param="amount"
        )
    return amount


def refuse_refund(payment: Payment) -> None:
    """NotRefundable for a reported payment: we have nobody to ask for its money."""
    if payment.is_reported:
        raise NotRefundable(
            f"{payment.id} was taken elsewhere: refund it there, and report that to "
            f"POST /v1/reported_payments/{payment.id}/refunds"
        )


def refuse_cancel(payment: Payment) -> None:
    """NotCancelable for a reported payment."""
    if payment.is_reported:
        raise NotCancelable(
            f"{payment.id} was taken elsewhere: refund it there, and report that to "
            f"POST /v1/reported_payments/{payment.id}/refunds"
        )
