"""Objects as the API and the webhooks show them: JSON rendered once, at the commit it belongs to.

The bytes made here are the answer's body and, wrapped, the event's: what the merchant is told over
HTTP and by webhook cannot differ.
"""

import hashlib
from collections.abc import Mapping
from typing import Final

from msgspec import Raw, Struct
from msgspec.json import Encoder

from payments.calendar import rfc3339
from payments.ids import BODY_LENGTH, derived_body
from payments.payment import CODE_WAYS, Payment, Status
from payments.refund import Refund
from payments.splitting.terms import Share

_encode: Final = Encoder().encode


class Presentation(Struct, frozen=True):
    """What a deployment adds: its mode, its public address and its tokens for payers' pages."""

    livemode: bool = False
    public_url: str = ""

    def pay_url(self, token: str) -> str:
        return f"{self.public_url}/p/{token}"

    def image_url(self, token: str) -> str:
        return f"{self.public_url}/p/{token}/code.svg"


class DiscountView(Struct):
    funder: str
    amount: int


class FailureView(Struct):
    code: str
    message: str
    channel_code: str | None


class RiskView(Struct):
    decision: str
    level: str | None
    rules: tuple[str, ...]


class RouteView(Struct):
    reason: str
    candidates: tuple[str, ...]


class CodeView(Struct):
    payload: str
    image_svg_url: str
    expires_at: str | None


class PaymentView(Struct, gc=False):
    """The payment object: every field is always there, null where it has no value."""

    id: str
    object: str
    merchant: str
    store: str | None
    terminal: str | None
    operator: str | None
    order_no: str
    order_ref: str | None
    table: str | None
    subject: str | None
    amount: int
    tip_amount: int
    amount_refunded: int
    payer_amount: int | None
    settle_amount: int | None
    discounts: tuple[DiscountView, ...]
    currency: str
    way: str
    entry: str
    wallet: str | None
    channel: str | None
    status: str
    code: CodeView | None
    client_params: dict[str, str] | None
    pay_url: str | None
    channel_trade_no: str | None
    fee: int
    net: int | None
    failure: FailureView | None
    risk: RiskView | None
    route: RouteView | None
    verdict_by: str | None
    overdue: bool
    late_success: bool
    expires_at: str | None
    business_date: int
    created: str
    succeeded_at: str | None
    metadata: dict[str, str]
    livemode: bool


def _payload(payment: Payment, shown: Presentation, token: str) -> str:
    """What the code of a payment says while it can be paid; "" for a payment without one."""
    if payment.way not in CODE_WAYS or payment.status is not Status.REQUIRES_PAYER:
        return ""
    if payment.way == "cashier":
        return shown.pay_url(token)
    return "" if payment.attempt is None else payment.attempt.code or ""


def payment_json(payment: Payment, shown: Presentation, token: str = "") -> bytes:
    """The payment object. `token`: of its payer's page; only codes have one."""
    p = payment
    attempt = p.attempt
    failure, risk, route = p.failure, p.risk, p.route
    code, client_params = None, None
    pay_url = shown.pay_url(token) if p.way == "cashier" and token else None
    payload = _payload(p, shown, token)
    if attempt is not None and p.page is None and p.status is Status.REQUIRES_PAYER:
        client_params, pay_url = attempt.client_params, attempt.pay_url or pay_url
    if payload:
        expires = rfc3339(p.expires_at) if p.expires_at else None
        code = CodeView(payload, shown.image_url(token), expires)
    view = PaymentView(
        p.id,
        "payment",
        p.merchant,
        p.store,
        p.terminal,
        p.operator,
        p.order_no,
        p.order_ref,
        p.table,
        p.subject,
        p.amount,
        p.tip_amount,
        p.amount_refunded,
        p.payer_amount,
        p.settle_amount,
        tuple(DiscountView(d.funder, d.amount) for d in p.discounts) if p.discounts else (),
        p.currency,
        p.way,
        p.entry,
        p.wallet,
        attempt.channel if attempt is not None else None,
        p.status,
        code,
        client_params,
        pay_url,
        attempt.channel_trade_no if attempt is not None else None,
        p.fee,
        p.settle_amount - p.fee
        if p.settle_amount is not None and p.status is Status.SUCCEEDED
        else None,
        FailureView(failure.code, failure.message, failure.channel_code) if failure else None,
        RiskView(risk.decision, risk.level, risk.rules) if risk else None,
        RouteView(route.reason, route.candidates) if route else None,
        rfc3339(p.verdict_by) if p.verdict_by else None,
        p.overdue,
        p.late_success or p.has_stray,
        rfc3339(p.expires_at) if p.expires_at else None,
        p.business_date,
        rfc3339(p.created),
        rfc3339(p.succeeded_at) if p.succeeded_at else None,
        p.metadata,
        shown.livemode,
    )
    return _encode(view)


class SplitReturnedView(Struct):
    """What a refund took back from a receiver. `debt`: the part of it that it now owes."""

    receiver: str
    amount: int
    debt: int


class RefundView(Struct, gc=False):
    id: str
    object: str
    payment: str
    merchant: str
    amount: int
    currency: str
    status: str
    method: str
    reason: str | None
    automatic: bool
    settle_returned: int
    fee_returned: int
    splits_returned: tuple[SplitReturnedView, ...]
    channel_refund_no: str | None
    failure: FailureView | None
    business_date: int
    created: str
    succeeded_at: str | None
    metadata: dict[str, str]
    livemode: bool


def refund_json(refund: Refund, shown: Presentation) -> bytes:
    """The refund object."""
    failure = refund.failure
    return _encode(
        RefundView(
            refund.id,
            "refund",
            refund.payment,
            refund.merchant,
            refund.amount,
            refund.currency,
            refund.status,
            refund.method,
            refund.reason,
            refund.automatic,
            refund.settle_back,
            refund.fee_back,
            tuple(SplitReturnedView(b.receiver, b.amount, b.debt) for b in refund.shares_back)
            if refund.shares_back
            else (),
            refund.channel_refund_no,
            FailureView(failure.code, failure.message, failure.channel_code) if failure else None,
            refund.business_date,
            rfc3339(refund.created),
            rfc3339(refund.succeeded_at) if refund.succeeded_at else None,
            refund.metadata,
            shown.livemode,
        )
    )


NO_STATES: Final[Mapping[str, str]] = {}


class SplitView(Struct, gc=False):
    id: str
    object: str
    payment: str
    merchant: str
    receiver: str
    currency: str
    amount: int
    returned: int
    status: str
    rule: str | None
    created: str
    metadata: dict[str, str]
    livemode: bool


def split_id(payment_id: str, receiver: str) -> str:
    """The id of a receiver's share: a pure function of payment and receiver.

    Of the payment as a whole: others of the same instant and partition share its time.
    """
    digest = hashlib.sha256(f"tillway split {payment_id} {receiver}".encode()).digest()
    return "spt_" + derived_body(payment_id, digest)


def splits_json(
    payment: Payment, shown: Presentation, states: Mapping[str, str] = NO_STATES
) -> bytes:
    """The shares of a payment as a list, in the order they were served; none before success.

    `states`: by receiver, where the channel divides the money.
    """
    views = [
        split_json(payment, share, shown, states.get(share.receiver)) for share in payment.shares
    ]
    return list_json(f"/v1/payments/{payment.id}/splits", views, has_more=False)


def split_json(
    payment: Payment, share: Share, shown: Presentation, state: str | None = None
) -> bytes:
    """One share of a payment. `state`: as the channel has it, where the channel divides."""
    is_returned = share.amount and share.returned == share.amount
    return _encode(
        SplitView(
            split_id(payment.id, share.receiver),
            "split",
            payment.id,
            payment.merchant,
            share.receiver,
            payment.currency,
            share.amount,
            share.returned,
            "returned" if is_returned else state or "booked",
            None if payment.split is None else payment.split.rule,
            rfc3339(payment.succeeded_at or payment.created),
            {},
            shown.livemode,
        )
    )


EVENT_LETTER: Final = {
    "payment.succeeded": "S",
    "payment.failed": "F",
    "payment.reversed": "R",
    "payment.closed": "C",
    "payment.overdue": "V",
    "payment.late_success": "T",
    "refund.succeeded": "S",
    "refund.failed": "F",
    "split.sent": "T",
    "split.settled": "P",
    "split.failed": "F",
    "split.returned": "B",
    "split.released": "L",
    "split.expired": "X",
    "clearing_batch.filed": "F",
    "clearing_batch.closed": "C",
    "settlement.sent": "T",
    "settlement.paid": "P",
    "settlement.rejected": "J",
    "settlement.returned": "B",
    "settlement.unknown": "U",
    "withdrawal.in_review": "W",
    "withdrawal.in_transit": "T",
    "withdrawal.paid": "P",
    "withdrawal.rejected": "J",
    "withdrawal.returned": "B",
    "withdrawal.unknown": "U",
    "reconciliation.opened": "N",
    "reconciliation.resolved": "D",
    "reconciliation.finished": "E",
}
"""Each type happens at most once in an object's life, so that an event's id needs no counter."""


def event_id(source: str, kind: str) -> str:
    """The id of an event: a pure function of what happened to whom."""
    return f"evt_{source[-BODY_LENGTH:]}{EVENT_LETTER[kind]}"


def event_json(kind: str, at_ms: int, body: bytes) -> bytes:
    """A Standard Webhooks body around an object already rendered."""
    head = f'{{"type":"{kind}","timestamp":"{rfc3339(at_ms)}","data":'
    return b"%b%b}" % (head.encode(), body)


class ListView(Struct):
    object: str
    url: str
    has_more: bool
    data: list[Raw]


def list_json(url: str, objects: list[bytes], *, has_more: bool) -> bytes:
    """A page of rendered objects, newest first."""
    return _encode(ListView("list", url, has_more, [Raw(item) for item in objects]))
