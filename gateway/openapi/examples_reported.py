"""Examples of payments that another gateway took."""

from typing import Any, Final

from msgspec.json import decode

from gateway.openapi.examples import AT_MS, DAY, MERCHANT, PAYMENT, RECEIVER, REFUND, SHOWN, STORE
from payments.calendar import rfc3339
from payments.payment import REPORTED, Attempt, AttemptState, Payment, Status, Way
from payments.refund import Refund, RefundStatus
from payments.splitting.terms import ShareBack
from payments.view import payment_json, refund_json

Json = dict[str, Any]

ACCOUNT: Final = "external"
TAKEN: Final = {
    "order_no": "A-1001",
    "channel_account": ACCOUNT,
    "channel_trade_no": "4200001234202611210000",
    "amount": 3800,
    "currency": "cny",
    "settle_amount": 3800,
    "fee": 14,
    "paid_at": rfc3339(AT_MS - 60_000),
    "splits": [{"receiver": RECEIVER, "amount": 500}],
    "store": STORE,
}
GIVEN_BACK: Final = {
    "amount": 800,
    "refunded_at": rfc3339(AT_MS + 3_600_000),
    "channel_refund_no": "5030001234202611210001",
}

REQUESTS: Final[dict[str, dict[str, tuple[str, Json]]]] = {
    "createReportedPayment": {"noodles": ("With a share for who delivers", TAKEN)},
    "createReportedRefund": {"part": ("A part", GIVEN_BACK)},
}

_PAID: Final = Payment(
    PAYMENT, MERCHANT, "A-1001", 3800, "cny", Way.EXTERNAL, None, Status.SUCCEEDED,
    Attempt(
        0, ACCOUNT, ACCOUNT, AttemptState.SUCCEEDED, AT_MS - 60_000,
        channel_trade_no="4200001234202611210000",
    ),
    AT_MS, DAY, b"", b"", store=STORE, entry=REPORTED, payer_amount=3800, settle_amount=3800,
    fee=14, succeeded_at=AT_MS - 60_000,
)  # fmt: skip
_BACK: Final = Refund(
    REFUND, PAYMENT, MERCHANT, 800, "cny", RefundStatus.SUCCEEDED, AT_MS + 3_660_000, DAY, b"", b"",
    settle_back=800, fee_back=3, channel_refund_no="5030001234202611210001",
    succeeded_at=AT_MS + 3_600_000, shares_back=(ShareBack(RECEIVER, 105),),
)  # fmt: skip

ANSWERS: Final[dict[tuple[str, int], dict[str, tuple[str, Json]]]] = {
    ("createReportedPayment", 201): {
        "noodles": ("Booked", decode(payment_json(_PAID, SHOWN))),
    },
    ("createReportedRefund", 201): {"part": ("Booked", decode(refund_json(_BACK, SHOWN)))},
}
