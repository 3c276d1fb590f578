"""What each route of the public API does, in words and in types: one entry a route.

Bodies, filters and lists are named by the very objects that the handlers use. What every operation
has in common (keys, versions, the problems of any request) is added by `paths.py`.
"""

from collections.abc import Mapping
from typing import Any, Final, Literal

from msgspec import Struct

from gateway.lists import (
    KEY_FILTERS,
    MERCHANT_FILTERS,
    PAYMENT_FILTERS,
    REFUND_FILTERS,
    STORE_FILTERS,
    TERMINAL_FILTERS,
    Filters,
)
from gateway.openapi.shapes import (
    BookView,
    CreatedKeyView,
    KeyView,
    MerchantView,
    RotatedKeyView,
    StatusView,
    StoreView,
    TerminalView,
    TestClockView,
    TimelineView,
    TrialBalanceView,
)
from gateway.schemas import (
    AdvanceClock,
    CancelRequest,
    CreateClock,
    CreatePayment,
    CreateRefund,
)
from payments.directory import (
    MerchantChange,
    NewKey,
    NewMerchant,
    NewStore,
    NewTerminal,
    Rotation,
)
from payments.view import PaymentView, RefundView

JSON: Final = "application/json"


class Said(Struct, frozen=True):
    """An answer that is not a problem. `shape`: a struct, a list of it, or nothing of ours."""

    text: str
    shape: type[Struct] | None = None
    form: Literal["object", "page", "array"] = "object"
    media: tuple[str, ...] = (JSON,)
    headers: tuple[str, ...] = ()


class Operation(Struct, frozen=True):
    """One route. `key`: whether it takes an Idempotency-Key. `problems`: codes of its own."""

    id: str
    tag: str
    summary: str
    answers: Mapping[int, Said]
    text: str = ""
    body: type[Struct] | None = None
    filters: Filters | None = None
    key: Literal["required", "optional", "none"] = "none"
    scope: str = ""
    problems: tuple[str, ...] = ()
    prefers: bool = False
    waits: bool = False
    prefix: str = ""
    media: tuple[str, ...] = (JSON,)


PAYMENTS: Final = "Payments"
REFUNDS: Final = "Refunds"
MERCHANTS: Final = "Merchants, stores, terminals"
KEYS: Final = "Keys"
TEST: Final = "Test helpers"
OPERATIONS_TAG: Final = "Operations"
CHANNELS: Final = "Channels"
PAYERS: Final = "Payer pages"
WEBHOOKS: Final = "Webhooks"
DESCRIPTION: Final = "This description"

TAGS: Final = {
    PAYMENTS: "Take money, watch it, undo it. HTTP says whether the request was understood; "
    "`status` says what happened to the money.",
    REFUNDS: "Money that goes back.",
    MERCHANTS: "Who sells, where, and on which device.",
    KEYS: "Credentials. A secret is shown once.",
    TEST: "Test mode only: the clock, the payer's part, and what the channel really took.",
    OPERATIONS_TAG: "How the gateway is, and whether its books balance.",
    CHANNELS: "Called by payment channels, not by you.",
    PAYERS: "What a payer's phone opens. The token in the path is the only key it has.",
    WEBHOOKS: "What we send to you.",
    DESCRIPTION: "What you are reading.",
}

_MOVED: Final = ("idempotency_mismatch", "quota_exceeded", "outcome_unknown")
_WRITTEN: Final = ("idempotency_mismatch", "outcome_unknown")
_ASKED: Final = ("outcome_unknown",)
"""What the directory answers is not a read of a shard: a lost answer is an unknown outcome."""


def _making(name: str, tag: str, shape: type[Struct], body: type[Struct], **more: Any) -> Operation:
    """POST of a new object of reference data."""
    kind = name.removeprefix("create").lower()
    problems = (*_WRITTEN, "conflict", "quota_exceeded", *more.pop("problems", ()))
    said = {201: Said(f"The new {kind}; its state now, if the key was used before.", shape)}
    return Operation(
        name, tag, f"Create a {kind}", said, body=body, key="optional", problems=problems, **more
    )


def _reading(name: str, tag: str, shape: type[Struct], prefix: str, **more: Any) -> Operation:
    kind = name.removeprefix("get").lower()
    said = {200: Said(f"The {kind}.", shape)}
    return Operation(name, tag, f"Read a {kind}", said, prefix=prefix, problems=_ASKED, **more)


def _listing(name: str, tag: str, shape: type[Struct], filters: Filters, **more: Any) -> Operation:
    kinds = name.removeprefix("list").lower()
    said = {200: Said(f"A page of {kinds}, newest first.", shape, "page")}
    problems = more.pop("problems", _ASKED)
    return Operation(name, tag, f"List {kinds}", said, filters=filters, problems=problems, **more)


def _acting(name: str, summary: str, text: str) -> Operation:
    return Operation(
        name,
        TEST,
        summary,
        {200: Said("The payment, a little later.", PaymentView)},
        text,
        body=CancelRequest,
        scope="test_helpers",
        prefix="pay",
        problems=_ASKED,
    )


PAYMENT_OPERATIONS: Final[dict[tuple[str, str], Operation]] = {
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
            *_MOVED, "merchant_suspended", "order_in_progress", "order_already_paid",
            "wallet_not_supported", "no_channel",
        ),
    ),
    ("GET", "/v1/payments"): _listing(
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
        problems=(*_MOVED, "not_cancelable", "not_refundable", "exceeds_paid"),
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
        problems=(*_MOVED, "not_refundable", "exceeds_paid"),
    ),
    ("GET", "/v1/refunds"): _listing(
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

REFERENCE_OPERATIONS: Final[dict[tuple[str, str], Operation]] = {
    ("POST", "/v1/merchants"): _making(
        "createMerchant", MERCHANTS, MerchantView, NewMerchant, scope="merchants:write",
        text="By a platform or an operator. In live mode it begins as an `application`.",
    ),
    ("GET", "/v1/merchants"): _listing(
        "listMerchants", MERCHANTS, MerchantView, MERCHANT_FILTERS, scope="merchants:read",
    ),
    ("GET", "/v1/merchants/{id}"): _reading(
        "getMerchant", MERCHANTS, MerchantView, "mch", scope="merchants:read",
    ),
    ("POST", "/v1/merchants/{id}"): Operation(
        "updateMerchant",
        MERCHANTS,
        "Change a merchant",
        {200: Said("The merchant.", MerchantView), 201: Said("As it stands now.", MerchantView)},
        "What is given is changed. `status` goes `application → in_review → active → suspended → "
        "closed`.",
        body=MerchantChange,
        key="optional",
        scope="merchants:write",
        prefix="mch",
        problems=(*_WRITTEN, "conflict"),
    ),
    ("POST", "/v1/stores"): _making(
        "createStore", MERCHANTS, StoreView, NewStore, scope="merchants:write",
    ),
    ("GET", "/v1/stores"): _listing(
        "listStores", MERCHANTS, StoreView, STORE_FILTERS, scope="merchants:read",
    ),
    ("GET", "/v1/stores/{id}"): _reading(
        "getStore", MERCHANTS, StoreView, "sto", scope="merchants:read",
    ),
    ("POST", "/v1/terminals"): _making(
        "createTerminal", MERCHANTS, TerminalView, NewTerminal, scope="merchants:write",
    ),
    ("GET", "/v1/terminals"): _listing(
        "listTerminals", MERCHANTS, TerminalView, TERMINAL_FILTERS, scope="merchants:read",
    ),
    ("GET", "/v1/terminals/{id}"): _reading(
        "getTerminal", MERCHANTS, TerminalView, "trm", scope="merchants:read",
    ),
    ("POST", "/v1/keys"): _making(
        "createKey", KEYS, CreatedKeyView, NewKey, scope="keys:write",
        text="Nobody can grant a scope that they have not. Live mode makes no bearer keys.",
    ),
    ("GET", "/v1/keys"): _listing(
        "listKeys", KEYS, KeyView, KEY_FILTERS, scope="keys:read",
    ),
    ("GET", "/v1/keys/{id}"): _reading("getKey", KEYS, KeyView, "key", scope="keys:read"),
    ("POST", "/v1/keys/{id}/rotate"): Operation(
        "rotateKey",
        KEYS,
        "Replace a key",
        {201: Said("The key that takes over, with its secret.", RotatedKeyView)},
        "Both work for `overlap_seconds`; then the old one has ended.",
        body=Rotation,
        key="optional",
        scope="keys:write",
        prefix="key",
        problems=(*_WRITTEN, "conflict"),
    ),
    ("DELETE", "/v1/keys/{id}"): Operation(
        "revokeKey",
        KEYS,
        "End a key at once",
        {200: Said("The key, revoked.", KeyView)},
        scope="keys:write",
        prefix="key",
        problems=(*_ASKED, "conflict"),
    ),
}  # fmt: skip

TEST_OPERATIONS: Final[dict[tuple[str, str], Operation]] = {
    ("POST", "/v1/test_helpers/clocks"): Operation(
        "createTestClock",
        TEST,
        "Get the test clock",
        {200: Said("The clock that there is.", TestClockView), 201: Said("It.", TestClockView)},
        "There is one a deployment. It moves business time and recovery; signature windows and "
        "webhook retries keep real time.",
        body=CreateClock,
        key="optional",
        scope="test_helpers",
        problems=_WRITTEN,
    ),
    ("GET", "/v1/test_helpers/clocks/{id}"): _reading(
        "getTestClock", TEST, TestClockView, "clk", scope="test_helpers",
    ),
    ("POST", "/v1/test_helpers/clocks/{id}/advance"): Operation(
        "advanceTestClock",
        TEST,
        "Move business time",
        {202: Said("It is on its way; read it until it is `ready`.", TestClockView)},
        "By `seconds`, or `to` an instant; forward only.",
        body=AdvanceClock,
        key="optional",
        scope="test_helpers",
        prefix="clk",
        problems=_WRITTEN,
    ),
    ("POST", "/v1/test_helpers/payments/{id}/pay"): _acting(
        "payAsPayer", "The payer pays", "The payer scans the code that is shown, and pays.",
    ),
    ("POST", "/v1/test_helpers/payments/{id}/decline"): _acting(
        "declineAsPayer", "The payer declines", "The payer scans the code and says no.",
    ),
    ("POST", "/v1/test_helpers/payments/{id}/pay_late"): _acting(
        "payLateAsPayer", "The payer pays too late",
        "The payer pays after the code was closed: the money goes back by itself.",
    ),
    ("POST", "/v1/test_helpers/payments/{id}/pay_twice"): _acting(
        "payTwiceAsPayer", "The payer pays twice", "The channel takes the money twice.",
    ),
    ("GET", "/v1/test_helpers/channels/{name}/books"): Operation(
        "getChannelBooks",
        TEST,
        "Read what a channel really took",
        {200: Said("One row an order.", BookView, "array")},
        scope="test_helpers",
    ),
}  # fmt: skip

OTHER_OPERATIONS: Final[dict[tuple[str, str], Operation]] = {
    ("GET", "/v1/status"): Operation(
        "getStatus",
        OPERATIONS_TAG,
        "Read how the gateway is",
        {200: Said("Readiness, and each shard.", StatusView)},
    ),
    ("GET", "/v1/ledger/trial_balance"): Operation(
        "getTrialBalance",
        OPERATIONS_TAG,
        "Read the trial balance",
        {200: Said("Debits, credits, and 0.", TrialBalanceView)},
        "In live mode for operators only: it sums up all merchants.",
        scope="ledger:read",
    ),
    ("POST", "/callbacks/{channel}/{account}/{token}"): Operation(
        "takeCallback",
        CHANNELS,
        "A channel reports a result",
        {
            200: Said("The channel's own word for thanks.", None, media=("*/*",)),
            400: Said("It is not a message of this channel.", None, media=("*/*",)),
            401: Said("Its signature does not hold.", None, media=("*/*",)),
            500: Said("Could not be taken; the channel sends it again.", None, media=("*/*",)),
        },
        "For channels only: signed by their scheme, and verified by their connector. The answer "
        "is worded as the channel expects it.",
        media=("*/*",),
        problems=("overloaded",),
    ),
}

_PAGE: Final = (
    "What a phone opens that scanned the code. A browser gets a page, problems too; a program that "
    "does not ask for HTML gets JSON, which may change."
)
_HTML: Final = "text/html; charset=utf-8"

PAYER_OPERATIONS: Final[dict[tuple[str, str], Operation]] = {
    ("GET", "/p/{token}"): Operation(
        "showPayerPage",
        PAYERS,
        "Open the payer's page",
        {
            200: Said("The page.", media=(JSON, _HTML)),
            303: Said("Back from the wallet's OAuth: on to the page.", media=(_HTML,)),
        },
        _PAGE,
        problems=("invalid_field", "quota_exceeded", "outcome_unknown", "no_channel"),
    ),
    ("GET", "/p/{token}/status"): Operation(
        "getPayerPageStatus",
        PAYERS,
        "Read how the payment stands, for the page's own script",
        {200: Said("How it stands.")},
        problems=("invalid_field", "quota_exceeded", "outcome_unknown"),
    ),
    ("POST", "/p/{token}/pay"): Operation(
        "payOnPayerPage",
        PAYERS,
        "Choose a wallet, and pay",
        {
            200: Said("The page.", media=(JSON, _HTML)),
            303: Said("On to the wallet's OAuth, or back to the page.", media=(_HTML,)),
        },
        "The form of the page.",
        media=("application/x-www-form-urlencoded", JSON),
        problems=(
            "invalid_field", "quota_exceeded", "outcome_unknown", "no_channel",
            "wallet_not_supported",
        ),
    ),
    ("GET", "/p/{token}/code.svg"): Operation(
        "getCodePicture",
        PAYERS,
        "Read a payment's code as a picture",
        {200: Said("The QR code, while it can be paid.", media=("image/svg+xml",))},
        problems=("quota_exceeded",),
    ),
}  # fmt: skip


def _page(name: str, summary: str, media: str) -> Operation:
    said = {200: Said("It.", media=(media,)), 304: Said("As you have it.", media=(media,))}
    return Operation(name, DESCRIPTION, summary, said)


DESCRIPTION_OPERATIONS: Final[dict[tuple[str, str], Operation]] = {
    ("GET", "/openapi.json"): _page("getOpenApi", "This document", JSON),
    ("GET", "/docs"): _page("getReader", "This document, to read and to try", _HTML),
    ("GET", "/docs/errors"): _page("getErrors", "A paragraph for each problem code", _HTML),
    ("GET", "/docs/scalar.js"): _page(
        "getReaderScript", "The reader's script", "text/javascript; charset=utf-8"
    ),
    ("GET", "/docs/reader.css"): _page(
        "getReaderStyle", "The style of these pages", "text/css; charset=utf-8"
    ),
}

OPERATIONS: Final[dict[tuple[str, str], Operation]] = {
    **PAYMENT_OPERATIONS,
    **REFERENCE_OPERATIONS,
    **TEST_OPERATIONS,
    **OTHER_OPERATIONS,
    **PAYER_OPERATIONS,
    **DESCRIPTION_OPERATIONS,
}
