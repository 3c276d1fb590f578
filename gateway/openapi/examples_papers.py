"""Examples of the papers: one lunch, its payout and what the ledger says of them."""

from typing import Any, Final

from msgspec import Struct

from gateway.openapi.examples import AT_MS, MERCHANT, PAYMENT
from gateway.openapi.shapes_papers import (
    BalanceMovementView,
    FiledBatchView,
    LedgerAccountView,
    LedgerEntryView,
    LedgerPostingView,
    StatementView,
    StoreDayView,
)
from payments import bookings, chart
from payments.calendar import rfc3339
from payments.ledger import GENESIS, Entry, row_of
from payments.reports.sales import STORE_DAY
from payments.reports.settlement import COLUMNS, ITEMIZED

Json = Any
_ENTRY: Final = Entry(
    bookings.payment_entry_id(PAYMENT),
    PAYMENT,
    17,
    "cny",
    AT_MS,
    bookings.payment_booked("wechat-main", MERCHANT, 17, 3_800, 14),
)
_POSTINGS: Final[list[Json]] = [
    {"account": account, "amount": minor} for account, minor in _ENTRY.postings
]
_BATCH: Final[Json] = {
    "id": "bat_01M7Y4WH5A000W7H0V64525C",
    "sequence": 1,
    "status": "filed",
    "currency": "cny",
    "items": 1,
    "gross": 3_800,
    "refunds": 0,
    "discounts": 0,
    "fees": 14,
    "splits": 0,
    "net": 3_786,
}
_LINE: Final[Json] = {column.name: None for column in COLUMNS} | {
    "batch_id": _BATCH["id"],
    "business_date": "20261122",
    "merchant_id": MERCHANT,
    "balance_transaction_id": _ENTRY.id,
    "reporting_category": "payment",
    "created": rfc3339(AT_MS),
    "payment_id": PAYMENT,
    "currency": "cny",
    "gross": 3_800,
    "fee": 14,
    "tip": 0,
    "net": 3_786,
}

SHAPES: Final[dict[type[Struct], Json]] = {
    BalanceMovementView: {
        "object": "balance_transaction",
        "id": _ENTRY.id,
        "type": "payment",
        "merchant": MERCHANT,
        "receiver": None,
        "amount": 3_786,
        "fee": 14,
        "currency": "cny",
        "changes": {"pending": 3_786},
        "source": PAYMENT,
        "available_on": None,
        "created": rfc3339(AT_MS),
        "livemode": False,
        "metadata": {},
    },
    LedgerPostingView: _POSTINGS[0],
    LedgerEntryView: {
        "object": "ledger_entry",
        "id": _ENTRY.id,
        "source": PAYMENT,
        "currency": "cny",
        "created": rfc3339(AT_MS),
        "partition": 17,
        "sequence": 1,
        "hash": row_of(_ENTRY, 1, 1, GENESIS)[8].hex(),
        "postings": _POSTINGS,
        "livemode": False,
        "metadata": {},
    },
    LedgerAccountView: {
        "object": "ledger_account",
        "account": chart.merchant_pending(MERCHANT),
        "kind": "liability",
        "currency": "cny",
        "balance": -3_786,
        "livemode": False,
    },
    FiledBatchView: _BATCH,
    StoreDayView: {
        "object": "report",
        "type": STORE_DAY,
        "merchant": MERCHANT,
        "store": None,
        "business_date": "20261122",
        "rows": 1,
        "sums": {"cny": {"gross": 3_800, "discounts": 0, "tips": 0, "refunds": 0}},
        "data": [
            {
                "business_date": "20261122",
                "store_id": "",
                "operator": "anna",
                "terminal_id": "",
                "wallet": "alipay",
                "currency": "cny",
                "payments": 1,
                "gross": 3_800,
                "discounts": 0,
                "tips": 0,
                "refund_count": 0,
                "refunds": 0,
            }
        ],
        "livemode": False,
    },
    StatementView: {
        "object": "statement",
        "type": ITEMIZED,
        "merchant": MERCHANT,
        "business_date": "20261122",
        "rows": 1,
        "sums": {"cny": {"gross": 3_800, "fee": 14, "tip": 0, "net": 3_786}},
        "batches": [_BATCH],
        "data": [_LINE],
        "livemode": False,
    },
}
