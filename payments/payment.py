"""What a payment is: its states, its facts and how an event changes them (`apply`).

States of the payment, as the merchant sees them:

    requires_payer ──> processing ──> succeeded*        * final; refunds show in amount_refunded
          │                │  ├─────> failed*
          ├──> succeeded*  │  ├─────> reversed*         undone at the channel, never reported paid
          ├──> failed*     │  └─────> closed*           code ended unpaid
          └──> closed*     └ overdue: true past verdict_by

States of one attempt on one channel (`reliability.md` F in the words of this code):

    SENDING ──> SUCCEEDED* · FAILED* · SHOWN · AWAIT_PAYER · UNKNOWN
    SHOWN ──> AWAIT_PAYER · SUCCEEDED* · FAILED* · CLOSING
    AWAIT_PAYER, UNKNOWN ──> SUCCEEDED* · FAILED* · REVERSING · CLOSING
    REVERSING ──> REVERSED* · SUCCEEDED* (found paid, and nobody was told otherwise)
    CLOSING ──> CLOSED* · SUCCEEDED* (found paid while closing)

`lifecycle.py` decides which event happens; `apply` folds it and never refuses: it already happened.
"""

from enum import StrEnum
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

HISTORY_MAX: Final = 200
"""Lines of time line kept in a payment; later ones overwrite the last."""


class Status(StrEnum):
    REQUIRES_PAYER = "requires_payer"
    PROCESSING = "processing"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    REVERSED = "reversed"
    CLOSED = "closed"


FINAL: Final = frozenset({Status.SUCCEEDED, Status.FAILED, Status.REVERSED, Status.CLOSED})
UNPAID: Final = frozenset({Status.FAILED, Status.REVERSED, Status.CLOSED})


class Way(StrEnum):
    BARCODE = "barcode"
    QR = "qr"
    CASHIER = "cashier"
    JSAPI = "jsapi"
    APP = "app"
    H5 = "h5"


CODE_WAYS: Final = frozenset({Way.QR, Way.CASHIER, Way.JSAPI, Way.APP, Way.H5})


class AttemptState(StrEnum):
    SENDING = "sending"
    SHOWN = "shown"
    AWAIT_PAYER = "await_payer"
    UNKNOWN = "unknown"
    REVERSING = "reversing"
    CLOSING = "closing"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    REVERSED = "reversed"
    CLOSED = "closed"


STATUS_OF: Final[dict[AttemptState, Status]] = {
    AttemptState.SENDING: Status.PROCESSING,
    AttemptState.SHOWN: Status.REQUIRES_PAYER,
    AttemptState.AWAIT_PAYER: Status.PROCESSING,
    AttemptState.UNKNOWN: Status.PROCESSING,
    AttemptState.REVERSING: Status.PROCESSING,
    AttemptState.CLOSING: Status.PROCESSING,
    AttemptState.SUCCEEDED: Status.SUCCEEDED,
    AttemptState.FAILED: Status.FAILED,
    AttemptState.REVERSED: Status.REVERSED,
    AttemptState.CLOSED: Status.CLOSED,
}


class Failure(Struct, frozen=True, array_like=True, gc=False):
    """Why a payment did not happen. `code` is one of `api.md`'s, `channel_code` the channel's."""

    code: str
    message: str
    channel_code: str | None = None


class Discount(Struct, frozen=True, array_like=True, gc=False):
    """A coupon's share of the price. `funder`: channel or merchant. `amount`: minor units."""

    funder: str
    amount: int


class Moment(Struct, frozen=True, array_like=True, gc=False):
    """One line of a payment's time line. `at`: milliseconds since 1970, business time."""

    at: int
    kind: str
    detail: str = ""


class Assessment(Struct, frozen=True, array_like=True, gc=False):
    """What risk said. `decision`: pass, review or reject. `rules`: ids of those that spoke."""

    decision: str
    level: str | None = None
    rules: tuple[str, ...] = ()


class Route(Struct, frozen=True, array_like=True, gc=False):
    """Where the payment was sent and why. `candidates`: channel accounts in order of preference."""

    reason: str
    candidates: tuple[str, ...]


class Attempt(Struct, frozen=True, array_like=True, gc=False):
    """One try on one channel. Instants in ms; amounts in minor units of the payment's currency."""

    number: int
    channel: str
    account: str
    state: AttemptState
    sent_at: int
    inquiries: int = 0
    undos: int = 0
    channel_trade_no: str | None = None
    code: str | None = None
    failure: Failure | None = None
    mismatch: bool = False
    """The channel reported another amount or order: the charge is to be undone, not believed."""


class Payment(Struct, frozen=True, array_like=True, gc=False):
    """The whole state of a payment: what the store packs into one row.

    Amounts are minor units of `currency`; instants milliseconds since 1970 (business time);
    digests are keyed hashes. Append new fields at the end, with defaults: rows outlive releases.
    """

    id: str
    merchant: str
    order_no: str
    amount: int
    currency: str
    way: Way
    wallet: str | None
    status: Status
    attempt: Attempt | None
    created: int
    business_date: int
    key_digest: bytes
    fingerprint: bytes
    auth_digest: bytes | None = None
    store: str | None = None
    terminal: str | None = None
    operator: str | None = None
    subject: str | None = None
    order_ref: str | None = None
    table: str | None = None
    tip_amount: int = 0
    metadata: dict[str, str] = {}
    entry: str = "api"
    expires_at: int | None = None
    verdict_by: int | None = None
    next_action_at: int | None = None
    payer_amount: int | None = None
    settle_amount: int | None = None
    discounts: tuple[Discount, ...] = ()
    fee: int = 0
    succeeded_at: int | None = None
    failure: Failure | None = None
    risk: Assessment | None = None
    route: Route | None = None
    earlier: tuple[Attempt, ...] = ()
    amount_refunded: int = 0
    refunding: int = 0
    settle_returned: int = 0
    fee_returned: int = 0
    cancel_requested: bool = False
    overdue: bool = False
    late_success: bool = False
    late_checks: int = 0
    history: tuple[Moment, ...] = ()
    payer: str | None = None
    return_url: str | None = None
    cancel_digest: bytes | None = None

    @property
    def refundable(self) -> int:
        """What may still be refunded, in terms of `amount`: holds of running refunds excluded."""
        return self.amount - self.amount_refunded - self.refunding

    @property
    def is_final(self) -> bool:
        return self.status in FINAL


class Sent(Struct, frozen=True, gc=False):
    """A further attempt begins, on another channel: the first refused for its own reasons."""

    at: int
    attempt: Attempt
    next_action_at: int


class Succeeded(Struct, frozen=True, gc=False):
    """The channel took the money, proven by a signed answer with our number and amount."""

    at: int
    channel_trade_no: str | None
    payer_amount: int
    settle_amount: int
    discounts: tuple[Discount, ...]
    fee: int


class Failed(Struct, frozen=True, gc=False):
    at: int
    failure: Failure


class CodeShown(Struct, frozen=True, gc=False):
    """The channel made a code; the payer must act."""

    at: int
    code: str
    next_action_at: int


class PayerAwaited(Struct, frozen=True, gc=False):
    at: int
    next_action_at: int


class Unclear(Struct, frozen=True, gc=False):
    """Asked and not answered, or answered in a way nobody may believe. Money may have moved."""

    at: int
    reason: str
    next_action_at: int
    mismatch: bool = False


class Inquired(Struct, frozen=True, gc=False):
    """A query was sent; the next action is due when the channel's schedule says so."""

    at: int
    next_action_at: int


class UndoStarted(Struct, frozen=True, gc=False):
    """A reverse (barcode) or a close (code) was sent, or is sent again under the same number."""

    at: int
    state: AttemptState
    next_action_at: int


class Undone(Struct, frozen=True, gc=False):
    """The channel confirmed: reversed or closed; nothing was paid or it went back."""

    at: int
    state: AttemptState
    next_action_at: int | None


class CancelRequested(Struct, frozen=True, gc=False):
    at: int
    digest: bytes | None = None
    next_action_at: int | None = None


class BecameOverdue(Struct, frozen=True, gc=False):
    at: int
    next_action_at: int


class LateSuccess(Struct, frozen=True, gc=False):
    """Money turned up after we had said no: recorded, booked to suspense, refunded by itself."""

    at: int
    channel_trade_no: str | None
    payer_amount: int
    settle_amount: int


class LateChecked(Struct, frozen=True, gc=False):
    """A look at a payment that ended unpaid after a doubt: did money turn up after all?"""

    at: int
    next_action_at: int | None


class RefundHeld(Struct, frozen=True, gc=False):
    at: int
    amount: int
    refund: str


class RefundDone(Struct, frozen=True, gc=False):
    at: int
    amount: int
    settle_back: int
    fee_back: int
    refund: str


class RefundReleased(Struct, frozen=True, gc=False):
    at: int
    amount: int
    refund: str


PaymentEvent = (
    Sent
    | Succeeded
    | Failed
    | CodeShown
    | PayerAwaited
    | Unclear
    | Inquired
    | UndoStarted
    | Undone
    | CancelRequested
    | BecameOverdue
    | LateSuccess
    | LateChecked
    | RefundHeld
    | RefundDone
    | RefundReleased
)


def lengthen(history: tuple[Moment, ...], moment: Moment) -> tuple[Moment, ...]:
    """The time line with one more line; a full one keeps its beginning and its newest line."""
    if len(history) >= HISTORY_MAX:
        return (*history[: HISTORY_MAX - 1], moment)
    return (*history, moment)


def _in_state(payment: Payment, state: AttemptState, **changes: object) -> Attempt:
    assert payment.attempt is not None, payment.id
    return replace(payment.attempt, state=state, **changes)


def apply(payment: Payment, event: PaymentEvent) -> Payment:
    """Fold one event into the state. Never refuses."""
    return _FOLDS[type(event)](payment, event)


def _sent(payment: Payment, event: Sent) -> Payment:
    assert payment.attempt is not None
    return replace(
        payment,
        attempt=event.attempt,
        earlier=(*payment.earlier, payment.attempt),
        next_action_at=event.next_action_at,
        history=lengthen(payment.history, Moment(event.at, "sending", event.attempt.account)),
    )


def _succeeded(payment: Payment, event: Succeeded) -> Payment:
    return replace(
        payment,
        status=Status.SUCCEEDED,
        attempt=_in_state(
            payment, AttemptState.SUCCEEDED, channel_trade_no=event.channel_trade_no
        ),
        payer_amount=event.payer_amount,
        settle_amount=event.settle_amount,
        discounts=event.discounts,
        fee=event.fee,
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
        attempt=_in_state(payment, AttemptState.SHOWN, code=event.code),
        next_action_at=event.next_action_at,
        history=lengthen(payment.history, Moment(event.at, "code_shown")),
    )


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
        status=STATUS_OF[state],
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
        history=lengthen(payment.history, Moment(event.at, "inquired", str(attempt.inquiries))),
    )


def _undo_started(payment: Payment, event: UndoStarted) -> Payment:
    assert payment.attempt is not None
    attempt = _in_state(payment, event.state, undos=payment.attempt.undos + 1)
    return replace(
        payment,
        status=STATUS_OF[event.state],
        attempt=attempt,
        next_action_at=event.next_action_at,
        history=lengthen(payment.history, Moment(event.at, event.state, str(attempt.undos))),
    )


def _undone(payment: Payment, event: Undone) -> Payment:
    return replace(
        payment,
        status=STATUS_OF[event.state],
        attempt=_in_state(payment, event.state),
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
        attempt=replace(attempt, channel_trade_no=event.channel_trade_no),
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
    return replace(
        payment,
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


_FOLDS = {
    Sent: _sent,
    Succeeded: _succeeded,
    Failed: _failed,
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
}
