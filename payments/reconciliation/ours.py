"""The lines that our rows lead us to expect in a bill, and what we know of any number.

A payment belongs to the day in China on which the channel says that it took the money, a refund
likewise: that is the day of its bill. Where the channel did not say so, it is the day on which we
learned of it. Late successes and stray charges (see payments/lifecycle.py) are expected too: the
channel has the money.
"""

from collections.abc import Callable, Sequence

from payments.bills.lines import BillKind, BillState
from payments.fees import FeePlan, fee
from payments.ids import BODY_LENGTH, out_trade_no
from payments.payment import Attempt, AttemptState, Payment, Status
from payments.reconciliation.lines import Nature, Ours
from payments.refund import Refund, RefundStatus
from payments.splitting.sharing import shares_of

Refunds = Callable[[], Sequence[Refund]]
"""Reads the refunds of the payment in question; asked only about the few that need it."""

_STATE_OF = {
    RefundStatus.SUCCEEDED: BillState.SUCCEEDED,
    RefundStatus.PROCESSING: BillState.PROCESSING,
    RefundStatus.FAILED: BillState.FAILED,
}


def _happened_at(channel_at: int | None, asked_at: int, learned_at: int) -> int:
    """By the channel's own time where it is known. Never before it was asked, whatever its clock
    says: a day's rows are looked for among those that were begun by its end."""
    return learned_at if channel_at is None else max(channel_at, asked_at)


def charges_of(
    payment: Payment, account: str, plan: FeePlan | None, refunds: Refunds
) -> Sequence[Ours]:
    """Every charge of a payment on one channel account that a bill should have, by its number.

    `plan`: what the channel charges on this account; None when nobody told us.
    """
    attempt = payment.attempt
    if attempt is None or attempt.account != account:
        running: Sequence[Ours] = ()
    elif payment.status is Status.SUCCEEDED:
        running = (sale_of(payment, attempt, plan),)
    elif payment.late_success:
        running = (_late(payment, attempt, plan, refunds),)
    else:
        running = ()
    if not payment.earlier:
        return running
    strays = (one for one in payment.earlier if one.is_stray and one.account == account)
    return (*(_stray(payment, one, plan, refunds) for one in strays), *running)


def charge_of(
    payment: Payment, number: int, account: str, plan: FeePlan | None, refunds: Refunds
) -> Ours | None:
    """What we know of one attempt, however it ended; None if it was never made on this account."""
    attempts = (*payment.earlier, *(() if payment.attempt is None else (payment.attempt,)))
    attempt = next((one for one in attempts if one.number == number), None)
    if attempt is None or attempt.account != account:
        return None
    if attempt.is_stray:
        return _stray(payment, attempt, plan, refunds)
    is_running = payment.attempt is not None and payment.attempt.number == number
    if is_running and payment.status is Status.SUCCEEDED:
        return sale_of(payment, attempt, plan)
    if is_running and payment.late_success:
        return _late(payment, attempt, plan, refunds)
    return Ours(
        out_trade_no(payment.id, attempt.number),
        payment.id,
        BillKind.PAYMENT,
        Nature.SALE,
        _unpaid_state(attempt),
        payment.currency.lower(),
        payment.amount,
        payment.amount,
        0,
        None,
        attempt.sent_at,
        payment.history[-1].at if payment.history else payment.created,
        merchant=payment.merchant,
    )


def refund_of(refund: Refund, account: str) -> Ours | None:
    """What we know of a refund; None if it was asked of another channel account."""
    if refund.account != account:
        return None
    is_done = refund.status is RefundStatus.SUCCEEDED
    return Ours(
        refund.id[-BODY_LENGTH:],
        refund.id,
        BillKind.REFUND,
        Nature.LATE_REFUND if refund.automatic else Nature.REFUND,
        _STATE_OF[refund.status],
        refund.currency.lower(),
        refund.amount,
        refund.settle_back if is_done else refund.amount,
        0,
        None,
        refund.created,
        _happened_at(refund.channel_at, refund.created, refund.succeeded_at or refund.created),
        merchant=refund.merchant,
    )


def sale_of(payment: Payment, attempt: Attempt, plan: FeePlan | None) -> Ours:
    """The line of a payment that succeeded, by its running attempt."""
    settled = payment.settle_amount
    assert settled is not None, payment.id
    assert payment.succeeded_at is not None, payment.id
    by_channel = 0
    for discount in payment.discounts:
        if discount.funder == "channel":
            by_channel += discount.amount
    return Ours(
        out_trade_no(payment.id, attempt.number),
        payment.id,
        BillKind.PAYMENT,
        Nature.SALE,
        BillState.SUCCEEDED,
        payment.currency.lower(),
        payment.amount,
        settled,
        by_channel,
        None if plan is None else fee(plan, settled),
        attempt.sent_at,
        _happened_at(attempt.channel_at, attempt.sent_at, payment.succeeded_at),
        "",
        misshared(payment, settled) if payment.shares or payment.split else None,
        payment.merchant,
    )


def misshared(payment: Payment, settled: int) -> int | None:
    """What its receivers have together more than is due of what it settles, after our fee.

    None: each has what the terms give. Of a payment whose terms nobody kept only that is asked
    which must be so: together they have no more than there is.
    """
    shared = sum(share.amount for share in payment.shares)
    if payment.split is None:
        over = shared - (settled - payment.fee)
        return over if over > 0 else None
    due = shares_of(payment.split, settled, payment.fee)
    is_same = [(share.receiver, share.amount) for share in payment.shares] == [
        (share.receiver, share.amount) for share in due
    ]
    return None if is_same else shared - sum(share.amount for share in due)


def _late(payment: Payment, attempt: Attempt, plan: FeePlan | None, refunds: Refunds) -> Ours:
    settled = payment.amount if payment.settle_amount is None else payment.settle_amount
    remedy = _remedy(refunds, attempt)
    return _late_line(payment, attempt, plan, settled, "", remedy)


def _stray(payment: Payment, attempt: Attempt, plan: FeePlan | None, refunds: Refunds) -> Ours:
    remedy = _remedy(refunds, attempt)
    settled = payment.amount if remedy is None or remedy.stray is None else remedy.stray
    return _late_line(payment, attempt, plan, settled, f"attempt {attempt.number}", remedy)


def _late_line(
    payment: Payment,
    attempt: Attempt,
    plan: FeePlan | None,
    settled: int,
    detail: str,
    remedy: Refund | None,
) -> Ours:
    learned = [
        moment.at
        for moment in payment.history
        if moment.kind == "late_success" and moment.detail == detail
    ]
    return Ours(
        out_trade_no(payment.id, attempt.number),
        payment.id,
        BillKind.PAYMENT,
        Nature.LATE,
        BillState.SUCCEEDED,
        payment.currency.lower(),
        payment.amount,
        settled,
        # A coupon of the channel's is not kept with a late success: nobody asks for it again.
        0,
        None if plan is None else fee(plan, settled),
        attempt.sent_at,
        _happened_at(
            attempt.channel_at, attempt.sent_at, learned[-1] if learned else attempt.sent_at
        ),
        "" if remedy is None else remedy.id,
        merchant=payment.merchant,
    )


def _remedy(refunds: Refunds, attempt: Attempt) -> Refund | None:
    """The refund by itself that gives the money of an attempt back."""
    for refund in refunds():
        if refund.automatic and refund.attempt_no == attempt.number:
            return refund
    return None


def _unpaid_state(attempt: Attempt) -> BillState:
    if attempt.state is AttemptState.REVERSED:
        return BillState.REVERSED
    if attempt.state in (AttemptState.FAILED, AttemptState.CLOSED):
        return BillState.FAILED
    return BillState.PROCESSING
