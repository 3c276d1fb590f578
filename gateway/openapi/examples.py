"""Examples: requests that a gateway takes, and answers rendered by the code that renders answers.

Tests send the requests to a running gateway, and hold the answers against their schemas.
"""

from typing import Any, Final

from msgspec import Struct
from msgspec.json import decode
from msgspec.structs import replace

from gateway.openapi.shapes import (
    BalanceView,
    BookView,
    CreatedKeyView,
    KeyView,
    MerchantView,
    PlateView,
    ReceiverView,
    RotatedKeyView,
    SplitRuleView,
    StatusView,
    StoreView,
    TerminalView,
    TestClockView,
    TimelineView,
    TrialBalanceView,
)
from payments.clearing.terms import PayoutMode
from payments.directory_view import view
from payments.payment import (
    Assessment,
    Attempt,
    AttemptState,
    Discount,
    Failure,
    Payment,
    Route,
    Status,
    Way,
)
from payments.reference import (
    Key,
    KeyOwner,
    KeyType,
    Merchant,
    MerchantStatus,
    Plate,
    Receiver,
    ReceiverAccount,
    ReceiverPayout,
    Record,
    SplitRule,
    Store,
    Terminal,
)
from payments.refund import Refund, RefundStatus
from payments.splitting.escrow import ReleaseView
from payments.splitting.terms import Part, Share, Terms
from payments.view import (
    PaymentView,
    Presentation,
    RefundView,
    SplitView,
    payment_json,
    refund_json,
    splits_json,
)

Json = Any

AT_MS: Final = 1_795_234_350_250
"""2026-11-21 12:12:30.250 in Shanghai: lunch."""

DAY: Final = 20261121
SHOWN: Final = Presentation(livemode=False, public_url="http://127.0.0.1:8080")
MERCHANT: Final = "mch_01M7Y4R8EA0004NX24X2R6GF"
STORE: Final = "sto_01M7Y4R9DJ000ERQGS3GJT5F"
TERMINAL: Final = "trm_01M7Y4R9X6000N5HKJDK4X76"
PLATE: Final = "qrp_01M7Y4RA5T000W8Q2M6ZC0BD"
RECEIVER: Final = "rcv_01M7Y4RA9Q000S6D1VJ8T3HX"
RULE: Final = "spl_01M7Y4RAC2000E4PZ9QK7W5N"
PAYMENT: Final = "pay_01M7Y4WH5A000W7H0V64525C"
CODE_PAYMENT: Final = "pay_01M7Y4WJ1E000P222NZMY6ZK"
REFUND: Final = "rfd_01M7Y5PABJ000PFXP5FCQGR9"
KEY: Final = "key_01M7Y4RACT000CG8DT0ASVTJ"
NEW_KEY: Final = "key_01M85W2P5A00062XHZRX9N8S"
CLOCK: Final = "clk_01M7Y4R8B6000QNEY2EP0N66"
ENDPOINT: Final = "whk_01M7Y4RB2M0003PZ7D5J9SWX"
EVENT: Final = f"evt_{PAYMENT[4:]}S"
HOOK_URL: Final = "http://127.0.0.1:9000/tillway"
TOKEN: Final = CODE_PAYMENT[4:] + "3f0c92d17ab8e645"
_PLATE_URL: Final = "http://127.0.0.1:8080/p/" + PLATE[4:] + "8e1d07c6a2f4b935"

NOODLES: Final = {"order_no": "20261121-0042", "amount": 3800, "currency": "cny"}
BARCODE: Final = {
    **NOODLES,
    "way": "barcode",
    "auth_code": "280000000000000042",
    "subject": "Beef noodles, table 7",
    "table": "7",
    "metadata": {"till": "front"},
}
QR: Final = {**NOODLES, "order_no": "20261121-0043", "way": "qr", "wallet": "wechat"}
CASHIER: Final = {**NOODLES, "order_no": "20261121-0044", "way": "cashier", "expires_in": 600}

REQUESTS: Final[dict[str, dict[str, tuple[str, Json]]]] = {
    "createPayment": {
        "barcode": ("The shop scans the payer's code", BARCODE),
        "qr": ("The payer scans a code for one wallet", QR),
        "cashier": ("One code for all wallets", CASHIER),
    },
    "createRefund": {
        "all": ("All that is left", {}),
        "part": ("A part", {"amount": 800, "reason": "The egg was missing"}),
    },
    "cancelPayment": {"cancel": ("There is nothing to say", {})},
    "createMerchant": {"merchant": ("A merchant", {"name": "Lao Wang Noodles"})},
    "updateMerchant": {"rename": ("Another name", {"name": "Lao Wang Noodles & Soup"})},
    "createStore": {
        "store": ("A shop that closes at three", {"name": "Station Road", "closing_minute": 180})
    },
    "createTerminal": {"terminal": ("A till", {"name": "Front till", "store": STORE})},
    "createQrPlate": {"plate": ("On the counter", {"store": STORE, "label": "Front counter"})},
    "updateQrPlate": {"disable": ("Out of use", {"status": "disabled"})},
    "createReceiver": {"receiver": ("Who delivers", {"name": "Fast Rider"})},
    "updateReceiver": {"disable": ("No new shares", {"status": "disabled"})},
    "createSplitRule": {
        "delivery": (
            "A fifth to the rider, of payments with the tag `delivery`",
            {"match": {"tag": "delivery"}, "parts": [{"receiver": RECEIVER, "ratio_ppm": 200_000}]},
        )
    },
    "updateSplitRule": {"disable": ("Out of use", {"status": "disabled"})},
    "createKey": {
        "bearer": (
            "A bearer key, for test mode",
            {"type": "bearer", "scopes": ["payments:write", "payments:read", "refunds:write"]},
        ),
        "hmac": ("A key that signs", {"type": "hmac-sha256", "scopes": ["payments:read"]}),
    },
    "rotateKey": {"overlap": ("Both work for a day", {"overlap_seconds": 86_400})},
    "createTestClock": {"clock": ("There is nothing to say", {})},
    "advanceTestClock": {
        "seconds": ("By a minute", {"seconds": 60}),
        "to": ("To an instant", {"to": "2026-12-01T00:00:00Z"}),
    },
    "createWebhookEndpoint": {
        "all": ("Everything", {"url": HOOK_URL, "events": ["*"]}),
        "refunds": ("Refunds alone", {"url": HOOK_URL, "events": ["refund.*"]}),
    },
    "updateWebhookEndpoint": {"pause": ("No more for now", {"status": "disabled"})},
    "patchWebhookEndpoint": {"pause": ("No more for now", {"status": "disabled"})},
    "rollWebhookSecret": {"hour": ("Both sign for an hour", {"overlap_seconds": 3_600})},
    "enableWebhookEndpoint": {"enable": ("There is nothing to say", {})},
    "resendEvent": {"all": ("To all that want it", {})},
    "resendEvents": {
        "day": (
            "What happened in an hour",
            {"from": "2026-11-21T04:00:00Z", "to": "2026-11-21T05:00:00Z"},
        )
    },
    **{
        f"{verb}AsPayer": {"act": ("There is nothing to say", {})}
        for verb in ("pay", "decline", "payLate", "payTwice")
    },
}


# --- Answers ----------------------------------------------------------------------------------

_PAID: Final = Payment(
    PAYMENT,
    MERCHANT,
    NOODLES["order_no"],  # type: ignore[arg-type]
    3800,
    "cny",
    Way.BARCODE,
    "alipay",
    Status.SUCCEEDED,
    Attempt(
        0,
        "alipay",
        "alipay-1",
        AttemptState.SUCCEEDED,
        AT_MS,
        channel_trade_no="2026112122001",
    ),
    AT_MS,
    DAY,
    b"",
    b"",
    store=STORE,
    terminal=TERMINAL,
    subject="Beef noodles, table 7",
    table="7",
    metadata={"till": "front"},
    verdict_by=AT_MS + 60_000,
    payer_amount=3300,
    settle_amount=3600,
    discounts=(Discount("channel", 300), Discount("merchant", 200)),
    fee=14,
    succeeded_at=AT_MS + 412,
    risk=Assessment("pass"),
    route=Route("priority", ("alipay-1", "unionpay-1")),
)  # fmt: skip
_DECLINED: Final = replace(
    _PAID,
    status=Status.FAILED,
    attempt=Attempt(0, "alipay", "alipay-1", AttemptState.FAILED, AT_MS),
    failure=Failure(
        "insufficient_funds", "The payer's balance is too low.", "ACQ.BUYER_BALANCE_NOT_ENOUGH"
    ),
    payer_amount=None,
    settle_amount=None,
    discounts=(),
    fee=0,
    succeeded_at=None,
)
_PENDING: Final = replace(
    _DECLINED,
    status=Status.PROCESSING,
    attempt=Attempt(0, "alipay", "alipay-1", AttemptState.UNKNOWN, AT_MS),
    failure=None,
)
_CODE: Final = replace(
    _PENDING,
    id=CODE_PAYMENT,
    order_no="20261121-0043",
    way=Way.QR,
    wallet="wechat",
    status=Status.REQUIRES_PAYER,
    attempt=Attempt(
        0,
        "wechat",
        "wechat-1",
        AttemptState.SHOWN,
        AT_MS,
        code="weixin://wxpay/bizpayurl?pr=Qm1Xv7Kzz",
    ),
    verdict_by=None,
    expires_at=AT_MS + 300_000,
    route=Route("only", ("wechat-1",)),
    subject=None,
    table=None,
    metadata={},
)
_PART: Final = Refund(
    REFUND,
    PAYMENT,
    MERCHANT,
    800,
    "cny",
    RefundStatus.SUCCEEDED,
    AT_MS + 845_000,
    DAY,
    b"",
    b"",
    reason="The egg was missing",
    settle_back=758,
    fee_back=3,
    channel_refund_no="2026112122001",
    succeeded_at=AT_MS + 845_630,
)

_TOKENS: Final = {CODE_PAYMENT: TOKEN}


def _payment(payment: Payment) -> Json:
    return decode(payment_json(payment, SHOWN, _TOKENS.get(payment.id, "")))


def _refund(refund: Refund) -> Json:
    return decode(refund_json(refund, SHOWN))


_SPLITS: Final = decode(
    splits_json(replace(_PAID, split=Terms((), rule=RULE), shares=(Share(RECEIVER, 717),)), SHOWN)
)
PAID: Final = _payment(_PAID)
DECLINED: Final = _payment(_DECLINED)
PENDING: Final = _payment(_PENDING)
CODE: Final = _payment(_CODE)
CANCELED: Final = _payment(replace(_PENDING, status=Status.REVERSED, cancel_requested=True))
REFUNDED: Final = _refund(_PART)
REFUNDING: Final = _refund(
    replace(
        _PART, status=RefundStatus.PROCESSING, settle_back=0, fee_back=0, channel_refund_no=None,
        succeeded_at=None,
    )
)  # fmt: skip


def _record(record: Record) -> Json:
    return view(record, livemode=False, real_ms=AT_MS)


RELEASE: Final[Json] = {
    "id": "rel_01M7Y4WH5A000W7H0V64525C",
    "object": "release",
    "payment": PAYMENT,
    "merchant": MERCHANT,
    "amount": 4_000,
    "held": 5_962,
    "currency": "cny",
    "created": "2026-11-22T03:10:03.120Z",
    "metadata": {},
    "livemode": False,
}
_EARLIER_MS: Final = AT_MS - 138_000
_KEY: Final = Key(
    KEY,
    KeyType.BEARER,
    KeyOwner.MERCHANT,
    MERCHANT,
    b"",
    ("payments:read", "payments:write", "refunds:write"),
    created=_EARLIER_MS,
    name="till",
)
A_KEY: Final = _record(_KEY)
_AT_WECHAT: Final = ReceiverAccount("wechat", "MERCHANT_ID", "1900000109", "PARTNER")
_SECRET: Final = "sk_test_…"  # noqa: S105 - shows where one would stand

SHAPES: Final[dict[type[Struct], Json]] = {
    PaymentView: PAID,
    RefundView: REFUNDED,
    MerchantView: _record(
        Merchant(MERCHANT, 1, "Lao Wang Noodles", MerchantStatus.ACTIVE, 0, created=_EARLIER_MS)
    ),
    StoreView: _record(Store(STORE, MERCHANT, "Station Road", 180, created=_EARLIER_MS)),
    TerminalView: _record(Terminal(TERMINAL, MERCHANT, STORE, "Front till", created=_EARLIER_MS)),
    ReceiverView: _record(
        Receiver(
            RECEIVER,
            MERCHANT,
            None,
            "Fast Rider",
            created=_EARLIER_MS,
            channel_accounts=(_AT_WECHAT,),
            payout=ReceiverPayout(PayoutMode.AUTO, 5_000),
        )
    ),
    SplitRuleView: _record(
        SplitRule(
            RULE, MERCHANT, (Part(RECEIVER, None, 200_000),), tag="delivery", created=_EARLIER_MS
        )
    ),
    SplitView: _SPLITS["data"][0],
    ReleaseView: RELEASE,
    BalanceView: {
        "object": "balance",
        "merchant": None,
        "receiver": RECEIVER,
        "currency": "cny",
        "pending": 717,
        "available": 0,
        "frozen": 0,
        "in_transit": 0,
        "debt": 0,
        "livemode": False,
    },
    PlateView: {
        **_record(Plate(PLATE, MERCHANT, STORE, "Front counter", created=_EARLIER_MS)),
        "url": _PLATE_URL,
        "payload": _PLATE_URL,
        "image_svg_url": f"{_PLATE_URL}/code.svg",
    },
    KeyView: A_KEY,
    CreatedKeyView: {**A_KEY, "secret": _SECRET},
    RotatedKeyView: {
        **_record(replace(_KEY, id=NEW_KEY, created=AT_MS, line=_KEY.id)),
        "secret": _SECRET,
        "replaces": _record(replace(_KEY, not_after=AT_MS + 86_400_000)),
    },
    TestClockView: {
        "id": CLOCK,
        "object": "test_clock",
        "created": A_KEY["created"],
        "livemode": False,
        "metadata": {},
        "now": PAID["created"],
        "status": "ready",
    },
    BookView: {
        "out_trade_no": PAYMENT[4:] + "00",
        "amount_minor": 3800,
        "refunded_minor": 800,
        "state": "paid",
        "charges": 1,
    },
    TimelineView: {
        "object": "timeline",
        "payment": PAYMENT,
        "data": [
            {"at": PAID["created"], "kind": "created", "amount": 3800, "way": "barcode"},
            {"at": PAID["created"], "kind": "risk", "decision": "pass", "rules": []},
            {"at": PAID["created"], "kind": "sending", "detail": "alipay-1"},
            {"at": PAID["succeeded_at"], "kind": "succeeded", "detail": ""},
            {
                "at": PAID["succeeded_at"],
                "kind": "event",
                "id": f"evt_{PAYMENT[4:]}S",
                "type": "payment.succeeded",
            },
        ],
    },
    StatusView: {
        "object": "status",
        "ready": True,
        "livemode": False,
        "front_door": "front-door-0",
        "modules": ["acquiring", "custody", "splitting"],
        "checks": {"shard-0": True, "reference": True, "accepting": True},
        "shards": [
            {
                "name": "shard-0",
                "ready": True,
                "live": 3,
                "queued": 0,
                "lanes": 6,
                "lanes_up": 6,
                "epoch": 1,
            }
        ],
    },
    TrialBalanceView: {
        "object": "trial_balance",
        "currencies": {"cny": {"debits": 7200, "credits": 7200, "residual": 0}},
        "payments": 2,
        "refunds": 1,
        "entries": 3,
        "events": 4,
    },
}

ANSWERS: Final[dict[tuple[str, int], dict[str, tuple[str, Json]]]] = {
    ("createPayment", 201): {
        "succeeded": ("Paid, with coupons", PAID),
        "failed": ("Declined by the payer's bank", DECLINED),
        "requires_payer": ("A code that waits for its payer", CODE),
    },
    ("createPayment", 202): {"processing": ("The payer enters a PIN", PENDING)},
    ("createRefund", 202): {"processing": ("The channel has not decided yet", REFUNDING)},
    ("cancelPayment", 200): {"reversed": ("Undone at the channel", CANCELED)},
    ("cancelPayment", 202): {"processing": ("Under way", PENDING)},
}

EVENTS: Final[dict[str, Json]] = {
    "split.released": RELEASE,
    "split.expired": {**RELEASE, "amount": 5_962, "held": 0},
    **{
        f"split.{status}": {**_SPLITS["data"][0], "status": status}
        for status in ("sent", "settled", "failed")
    },
    "split.returned": {
        **_SPLITS["data"][0],
        "returned": _SPLITS["data"][0]["amount"],
        "status": "returned",
    },
    "payment.succeeded": PAID,
    "payment.failed": DECLINED,
    "payment.reversed": CANCELED,
    "payment.closed": _payment(replace(_CODE, status=Status.CLOSED)),
    "payment.overdue": _payment(replace(_PENDING, overdue=True)),
    "payment.late_success": _payment(replace(_PENDING, status=Status.REVERSED, late_success=True)),
    "refund.succeeded": REFUNDED,
    "refund.failed": _refund(
        replace(
            _PART,
            status=RefundStatus.FAILED,
            failure=Failure("channel_error", "The channel refused the refund.", "NOT_ENOUGH"),
            settle_back=0,
            fee_back=0,
            channel_refund_no=None,
            succeeded_at=None,
        )
    ),
}
"""By type of event: the object that it carries."""
