"""Payments that another gateway took, described."""

from typing import Final

from gateway.lists import PAYMENT_FILTERS
from gateway.openapi.operation import MOVED, REPORTED, Operation, Operations, Said, listing
from gateway.schemas import CreateReportedPayment, CreateReportedRefund
from payments.view import PaymentView, RefundView

ELSEWHERE: Final[Operations] = {
    ("POST", "/v1/reported_payments"): Operation(
        "createReportedPayment",
        REPORTED,
        "Report a payment that another gateway took",
        {201: Said("The payment: succeeded, and booked with its split.", PaymentView)},
        "It is booked as a payment of our own would be: the channel account owes it, the "
        "merchant and the receivers have it pending. No channel is asked. Its business date is "
        "that of `paid_at`, which may be at most 30 days ago. Sent again with the same "
        "`Idempotency-Key` and body, it answers with the payment as it stands now.",
        body=CreateReportedPayment,
        key="required",
        scope="payments:write",
        problems=(
            *MOVED, "merchant_suspended", "order_in_progress", "order_already_paid", "conflict",
        ),
    ),
    ("GET", "/v1/reported_payments"): listing(
        "listReportedPayments", REPORTED, PaymentView, PAYMENT_FILTERS, scope="payments:read",
        problems=("refused",), kinds="reported payments",
        text="`GET /v1/payments` has them too.",
    ),
    ("POST", "/v1/reported_payments/{id}/refunds"): Operation(
        "createReportedRefund",
        REPORTED,
        "Report that money of a reported payment went back",
        {201: Said("The refund: succeeded, and booked.", RefundView)},
        "The money went back where the payment was taken; here it is only booked, whatever the "
        "merchant has left.",
        body=CreateReportedRefund,
        key="required",
        scope="refunds:write",
        prefix="pay",
        problems=(*MOVED, "not_refundable", "exceeds_paid"),
    ),
}  # fmt: skip
