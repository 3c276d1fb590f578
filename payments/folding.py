"""How an event changes a payment: `apply` folds it and never refuses, for it already happened.

A running shard, a restarted one and a test all come to the same state by the same folds.
"""

from collections.abc import Callable
from typing import Any, Final

from msgspec.structs import replace

from payments.payment import (
    STATUS_OF,
    Attempt,
    AttemptState,
    Moment,
    Page,
    Payment,
    Status,
    lengthen,
)
from payments.payment_events import (
    AttemptEnded,
    BecameOverdue,
    CancelRequested,
    ChoiceDropped,
    Chosen,
    CodeShown,
    EscrowReleased,
    Failed,
    Inquired,
    LateChecked,
    LateSuccess,
    PayerAwaited,
    PayerReturned,
    PaymentEvent,
    RefundDone,
    RefundHeld,
    RefundReleased,
    Sent,
    StrayPaid,
    Succeeded,
    Unclear,
    Undone,
    UndoStarted,
)


def _in_state(payment: Payment, state: AttemptState, **changes: object) -> Attempt:
    assert payment.attempt is not None, payment.id
    return replace(payment.attempt, state=state, **changes)


def apply(payment: Payment, event: PaymentEvent) -> Payment:
    """Fold one event into the state. Never refuses."""
    return _FOLDS[type(event)](payment, event)


def _sent(payment: Payment, event: Sent) -> Payment:
    before = () if payment.attempt is None else (payment.attempt,)
    page = payment.page
    return replace(
        payment,
        attempt=event.attempt,
        wallet=event.attempt.wallet or payment.wallet,
        page=None if page is None else replace(page, wanted=None),
        earlier=(*payment.earlier, *before),
        next_action_at=event.next_action_at,
        history=lengthen(payment.history, Moment(event.at, "sending", event.attempt.account)),
    )


def _succeeded(payment: Payment, event: Succeeded) -> Payment:
    escrow = payment.escrow
    if escrow is not None:
        shared = sum(share.amount for share in event.shares)
        escrow = replace(escrow, held=event.settle_amount - event.fee - shared)
    return replace(
        payment,
        status=Status.SUCCEEDED,
        attempt=_in_state(
            payment,
            AttemptState.SUCCEEDED,
            channel_trade_no=event.channel_trade_no,
            channel_at=event.channel_at,
        ),
        payer_amount=event.payer_amount,
        settle_amount=event.settle_amount,
        discounts=event.discounts,
        fee=event.fee,
        shares=event.shares,
        escrow=escrow,
        succeeded_at=event.at,
        next_action_at=None,
        history=lengthen(payment.history, Moment(event.at, "succeeded")),
    )


def _failed(payment: Payment, event: Failed) -> Payment:
    attempt = payment.attempt
    if attempt is not None:
        attempt = replace(attempt, state=AttemptState.FAILED, failure=event.failure)
    return replace(
        payment,
        status=Status.FAILED,
        attempt=attempt,
        failure=event.failure,
        next_action_at=None,
        history=lengthen(payment.history, Moment(event.at, "failed", event.failure.code)),
    )


def _code_shown(payment: Payment, event: CodeShown) -> Payment:
    return replace(
        payment,
        status=Status.REQUIRES_PAYER,
        attempt=_in_state(
            payment,
            AttemptState.SHOWN,
            code=event.code,
            client_params=event.client_params,
            pay_url=event.pay_url,
        ),
        next_action_at=event.next_action_at,
        history=lengthen(payment.history, Moment(event.at, "code_shown")),
    )


def _chosen(payment: Payment, event: Chosen) -> Payment:
    page = payment.page
    assert page is not None
    return replace(
        payment,
        page=Page(event.choice, page.choices + 1, None),
        history=lengthen(payment.history, Moment(event.at, "chosen", event.choice.wallet)),
    )


def _payer_returned(payment: Payment, event: PayerReturned) -> Payment:
    assert payment.attempt is not None
    return replace(payment, attempt=replace(payment.attempt, consent=event.consent))


def _attempt_ended(payment: Payment, event: AttemptEnded) -> Payment:
    assert payment.page is not None
    ended = _in_state(payment, event.state, failure=event.failure)
    detail = "" if event.failure is None else event.failure.code
    return replace(
        payment,
        status=Status.REQUIRES_PAYER,
        wallet=None,
        attempt=None,
        page=replace(payment.page, failure=event.failure),
        earlier=(*payment.earlier, ended),
        next_action_at=event.next_action_at,
        history=lengthen(payment.history, Moment(event.at, f"attempt_{event.state}", detail)),
    )


def _choice_dropped(payment: Payment, event: ChoiceDropped) -> Payment:
    page = payment.page
    assert page is not None
    return replace(
        payment,
        page=replace(page, wanted=None, failure=event.failure),
        next_action_at=event.next_action_at,
        history=lengthen(payment.history, Moment(event.at, "choice_dropped", event.failure.code)),
    )


def _stray_paid(payment: Payment, event: StrayPaid) -> Payment:
    earlier = tuple(
        replace(
            attempt,
            is_stray=True,
            channel_trade_no=event.channel_trade_no,
            channel_at=event.channel_at,
        )
        if attempt.number == event.number
        else attempt
        for attempt in payment.earlier
    )
    moment = Moment(event.at, "late_success", f"attempt {event.number}")
    return replace(payment, earlier=earlier, history=lengthen(payment.history, moment))


def _payer_awaited(payment: Payment, event: PayerAwaited) -> Payment:
    return replace(
        payment,
        status=Status.PROCESSING,
        attempt=_in_state(payment, AttemptState.AWAIT_PAYER),
        next_action_at=event.next_action_at,
        history=lengthen(payment.history, Moment(event.at, "await_payer")),
    )


def _unclear(payment: Payment, event: Unclear) -> Payment:
    assert payment.attempt is not None
    state = payment.attempt.state
    if state not in (AttemptState.REVERSING, AttemptState.CLOSING):
        state = AttemptState.UNKNOWN
    return replace(
        payment,
        status=Status.REQUIRES_PAYER
        if payment.is_page_open and not event.mismatch
        else STATUS_OF[state],
        attempt=_in_state(payment, state, mismatch=payment.attempt.mismatch or event.mismatch),
        next_action_at=event.next_action_at,
        history=lengthen(payment.history, Moment(event.at, "unknown", event.reason)),
    )


def _inquired(payment: Payment, event: Inquired) -> Payment:
    assert payment.attempt is not None
    attempt = replace(payment.attempt, inquiries=payment.attempt.inquiries + 1)
    return replace(
        payment,
        attempt=attempt,
        next_action_at=event.next_action_at,
        history=lengthen(payment.history, Moment(event.at, event.kind, str(attempt.inquiries))),
    )


def _undo_started(payment: Payment, event: UndoStarted) -> Payment:
    assert payment.attempt is not None
    attempt = _in_state(payment, event.state, undos=payment.attempt.undos + 1)
    # Of a page, only one attempt is closed; a payer may still choose another wallet.
    goes_on = payment.is_page_open and event.at < (payment.expires_at or 0)
    return replace(
        payment,
        status=Status.REQUIRES_PAYER if goes_on else STATUS_OF[event.state],
        attempt=attempt,
        next_action_at=event.next_action_at,
        history=lengthen(payment.history, Moment(event.at, event.state, str(attempt.undos))),
    )


def _undone(payment: Payment, event: Undone) -> Payment:
    return replace(
        payment,
        status=STATUS_OF[event.state],
        attempt=None if payment.attempt is None else _in_state(payment, event.state),
        next_action_at=event.next_action_at,
        overdue=False,
        history=lengthen(payment.history, Moment(event.at, event.state)),
    )


def _cancel_requested(payment: Payment, event: CancelRequested) -> Payment:
    return replace(
        payment,
        cancel_requested=True,
        cancel_digest=event.digest,
        next_action_at=event.next_action_at
        if event.next_action_at is not None
        else payment.next_action_at,
        history=lengthen(payment.history, Moment(event.at, "cancel_requested")),
    )


def _became_overdue(payment: Payment, event: BecameOverdue) -> Payment:
    return replace(
        payment,
        overdue=True,
        next_action_at=event.next_action_at,
        history=lengthen(payment.history, Moment(event.at, "overdue")),
    )


def _late_success(payment: Payment, event: LateSuccess) -> Payment:
    attempt = payment.attempt
    assert attempt is not None
    return replace(
        payment,
        attempt=replace(
            attempt, channel_trade_no=event.channel_trade_no, channel_at=event.channel_at
        ),
        late_success=True,
        payer_amount=event.payer_amount,
        settle_amount=event.settle_amount,
        next_action_at=None,
        history=lengthen(payment.history, Moment(event.at, "late_success")),
    )


def _late_checked(payment: Payment, event: LateChecked) -> Payment:
    return replace(
        payment,
        late_checks=payment.late_checks + 1,
        next_action_at=event.next_action_at,
        history=lengthen(payment.history, Moment(event.at, "late_check")),
    )


def _refund_held(payment: Payment, event: RefundHeld) -> Payment:
    return replace(
        payment,
        refunding=payment.refunding + event.amount,
        history=lengthen(payment.history, Moment(event.at, "refund_started", event.refund)),
    )


def _refund_done(payment: Payment, event: RefundDone) -> Payment:
    shares = payment.shares
    if shares:
        shares = tuple(
            replace(share, returned=share.returned + back)
            for share, back in zip(shares, event.shares_back, strict=True)
        )
    escrow = payment.escrow
    if escrow is not None:
        escrow = replace(escrow, held=escrow.held - event.held_back)
    return replace(
        payment,
        shares=shares,
        escrow=escrow,
        refunding=payment.refunding - event.amount,
        amount_refunded=payment.amount_refunded + event.amount,
        settle_returned=payment.settle_returned + event.settle_back,
        fee_returned=payment.fee_returned + event.fee_back,
        history=lengthen(payment.history, Moment(event.at, "refund_succeeded", event.refund)),
    )


def _refund_released(payment: Payment, event: RefundReleased) -> Payment:
    return replace(
        payment,
        refunding=payment.refunding - event.amount,
        history=lengthen(payment.history, Moment(event.at, "refund_failed", event.refund)),
    )


def _escrow_released(payment: Payment, event: EscrowReleased) -> Payment:
    escrow = payment.escrow
    assert escrow is not None, payment.id
    return replace(
        payment,
        escrow=replace(
            escrow,
            held=escrow.held - event.amount,
            released=escrow.released + event.amount,
            releases=escrow.releases + 1,
        ),
        history=lengthen(payment.history, Moment(event.at, "released", str(event.amount))),
    )


_FOLDS: Final[dict[type, Callable[[Payment, Any], Payment]]] = {
    Sent: _sent,
    Succeeded: _succeeded,
    Failed: _failed,
    Chosen: _chosen,
    PayerReturned: _payer_returned,
    AttemptEnded: _attempt_ended,
    ChoiceDropped: _choice_dropped,
    StrayPaid: _stray_paid,
    CodeShown: _code_shown,
    PayerAwaited: _payer_awaited,
    Unclear: _unclear,
    Inquired: _inquired,
    UndoStarted: _undo_started,
    Undone: _undone,
    CancelRequested: _cancel_requested,
    BecameOverdue: _became_overdue,
    LateSuccess: _late_success,
    LateChecked: _late_checked,
    RefundHeld: _refund_held,
    RefundDone: _refund_done,
    RefundReleased: _refund_released,
    EscrowReleased: _escrow_released,
}
