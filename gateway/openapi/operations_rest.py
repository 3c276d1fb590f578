"""Test helpers, callbacks, payers' pages and the rest, described."""

from typing import Final

from gateway.openapi.operation import (
    ASKED,
    CHANNELS,
    DESCRIPTION,
    HTML,
    JSON,
    PAYERS,
    RUNNING,
    TEST,
    WRITTEN,
    Operation,
    Operations,
    Said,
    reading,
)
from gateway.openapi.shapes import BookView, StatusView, TestClockView, TrialBalanceView
from gateway.schemas import AdvanceClock, CancelRequest, CreateClock
from payments.view import PaymentView


def acting(name: str, summary: str, text: str) -> Operation:
    return Operation(
        name,
        TEST,
        summary,
        {200: Said("The payment, a little later.", PaymentView)},
        f"{text} What the channel refuses (the code is closed, say) is a 409, and nothing happens.",
        body=CancelRequest,
        scope="test_helpers",
        prefix="pay",
        problems=(*ASKED, "conflict"),
    )


AFTER: Final = {
    "name": "after",
    "in": "query",
    "description": "A page of the orders with greater numbers than this one, in order.",
    "schema": {"type": "string", "pattern": "^[0-9A-Za-z_-]{0,64}$"},
}

TEST_HELPERS: Final[Operations] = {
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
        problems=WRITTEN,
    ),
    ("GET", "/v1/test_helpers/clocks/{id}"): reading(
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
        problems=WRITTEN,
    ),
    ("POST", "/v1/test_helpers/payments/{id}/pay"): acting(
        "payAsPayer", "The payer pays", "The payer scans the code that is shown, and pays.",
    ),
    ("POST", "/v1/test_helpers/payments/{id}/decline"): acting(
        "declineAsPayer", "The payer declines", "The payer scans the code and says no.",
    ),
    ("POST", "/v1/test_helpers/payments/{id}/pay_late"): acting(
        "payLateAsPayer", "The payer pays too late",
        "The payer pays after the code was closed: the money goes back by itself.",
    ),
    ("POST", "/v1/test_helpers/payments/{id}/pay_twice"): acting(
        "payTwiceAsPayer", "The payer pays twice", "The channel takes the money twice.",
    ),
    ("GET", "/v1/test_helpers/channels/{name}/books"): Operation(
        "getChannelBooks",
        TEST,
        "Read what a channel really took",
        {200: Said("One row an order.", BookView, "array")},
        "More than 4000 orders are asked for in pages: with an empty `after`, then with the last "
        "row's number, until a page is empty.",
        query=(AFTER,),
        scope="test_helpers",
    ),
}  # fmt: skip

OTHERS: Final[Operations] = {
    ("GET", "/v1/status"): Operation(
        "getStatus",
        RUNNING,
        "Read how the gateway is",
        {200: Said("Readiness, and each shard.", StatusView)},
    ),
    ("GET", "/v1/ledger/trial_balance"): Operation(
        "getTrialBalance",
        RUNNING,
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
    "What a phone opens that scanned the code. It gets a page, and problems as pages; who asks for "
    "`application/json` gets JSON, which may change."
)

PAYER_PAGES: Final[Operations] = {
    ("GET", "/p/{token}"): Operation(
        "showPayerPage",
        PAYERS,
        "Open the payer's page",
        {
            200: Said("The page.", media=(JSON, HTML)),
            303: Said("Back from the wallet's OAuth: on to the page.", media=(HTML,)),
            410: Said("A plate that takes no payments.", media=(HTML,)),
        },
        _PAGE,
        is_page=True,
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
            200: Said("The page.", media=(JSON, HTML)),
            303: Said("On to the wallet's OAuth, or back to the page.", media=(HTML,)),
            410: Said("A plate that takes no payments.", media=(HTML,)),
        },
        "The form of the page.",
        is_page=True,
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


DESCRIPTIONS: Final[Operations] = {
    ("GET", "/openapi.json"): _page("getOpenApi", "This document", JSON),
    ("GET", "/docs"): _page("getReader", "This document, to read and to try", HTML),
    ("GET", "/docs/errors"): _page("getErrors", "A paragraph for each problem code", HTML),
    ("GET", "/docs/scalar.js"): _page(
        "getReaderScript", "The reader's script", "text/javascript; charset=utf-8"
    ),
    ("GET", "/docs/reader.css"): _page(
        "getReaderStyle", "The style of these pages", "text/css; charset=utf-8"
    ),
}

REST: Final[Operations] = {**TEST_HELPERS, **OTHERS, **PAYER_PAGES, **DESCRIPTIONS}
