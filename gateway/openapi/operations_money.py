"""Payments and refunds, described."""

from typing import Final

from gateway.lists import PAYMENT_FILTERS, REFUND_FILTERS
from gateway.openapi.operation import MOVED, PAYMENTS, REFUNDS, Operation, Operations, Said, listing
from gateway.openapi.shapes import TimelineView
from gateway.schemas import CancelRequest, CreatePayment, CreateRefund
from payments.view import PaymentView, RefundView

MONEY: Final[Operations] = {
    ("POST", "/v1/payments"): Operation(
        "createPayment",
        PAYMENTS,
        "Take a payment",
        {
            201: Said(
                "The payment is final, or waits for its payer. Look at `status`: a declined "
                "payment is a 201 with `status: failed`.", PaymentView,
            ),
            202: Said(
                "The verdict is pending. Read the payment, or repeat the request with the same "
                "key; a webhook will tell too.", PaymentView,
            ),
        },
        "Answers when the payment is final, at once for a code that waits for its payer, or after "
        "5 seconds (`Prefer: wait=n`).\n\nSent again with the same `Idempotency-Key` and body, it "
        "never has a second effect: it answers with the payment as it stands now and "
        "`Idempotent-Replayed: true`.",
        body=CreatePayment,
        key="required",
        scope="payments:write",
        prefers=True,
        problems=(
            *MOVED, "merchant_suspended", "order_in_progress", "order_already_paid",
            "wallet_not_supported", "no_channel",
        ),
    ),
    ("GET", "/v1/payments"): listing(
        "listPayments", PAYMENTS, PaymentView, PAYMENT_FILTERS, scope="payments:read",
        problems=("refused",),
        text="A platform's key that names no merchant sees the payments of all its merchants.",
    ),
    ("GET", "/v1/payments/{id}"): Operation(
        "getPayment",
        PAYMENTS,
        "Read a payment",
        {200: Said("The payment.", PaymentView)},
        "`?wait=n` holds the answer until the status changes or the seconds have passed.",
        scope="payments:read",
        waits=True,
        prefix="pay",
    ),
    ("GET", "/v1/payments/{id}/timeline"): Operation(
        "getPaymentTimeline",
        PAYMENTS,
        "Read everything that happened to a payment",
        {200: Said("The lines, oldest first.", TimelineView)},
        scope="payments:read",
        prefix="pay",
    ),
    ("POST", "/v1/payments/{id}/cancel"): Operation(
        "cancelPayment",
        PAYMENTS,
        "Cancel a payment",
        {
            200: Said("It is undone, or was never paid: the payment.", PaymentView),
            202: Said("It is durable, and under way: the payment.", PaymentView),
        },
        "Durable: a barcode payment under way is reversed even if it turns out paid; a code is "
        "closed, and is `succeeded` if it is found paid while closing; a `succeeded` barcode "
        "payment of the same business day gets a full refund.",
        body=CancelRequest,
        key="optional",
        scope="payments:write",
        prefers=True,
        prefix="pay",
        problems=(*MOVED, "not_cancelable", "not_refundable", "exceeds_paid"),
    ),
    ("POST", "/v1/payments/{id}/refunds"): Operation(
        "createRefund",
        REFUNDS,
        "Give money back",
        {
            201: Said("The refund is final. Look at `status`.", RefundView),
            202: Said("The channel has not decided yet: the refund.", RefundView),
        },
        "Refunds are asked in terms of the payment's `amount`; together they never exceed it, "
        "however many are asked for at once.",
        body=CreateRefund,
        key="required",
        scope="refunds:write",
        prefers=True,
        prefix="pay",
        problems=(*MOVED, "not_refundable", "exceeds_paid"),
    ),
    ("GET", "/v1/refunds"): listing(
        "listRefunds", REFUNDS, RefundView, REFUND_FILTERS, scope="payments:read",
        problems=("refused",),
        text="A platform's key that names no merchant sees the refunds of all its merchants.",
    ),
    ("GET", "/v1/refunds/{id}"): Operation(
        "getRefund",
        REFUNDS,
        "Read a refund",
        {200: Said("The refund.", RefundView)},
        scope="payments:read",
        prefix="rfd",
    ),
}  # fmt: skip
