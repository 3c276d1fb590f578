"""Balance transactions, the ledger and statements, described."""

from typing import Final

from gateway.handlers.papers import XLSX
from gateway.handlers.party_days import XML
from gateway.openapi.operation import (
    HTML,
    JSON,
    RUNNING,
    SPLITTING,
    Operation,
    Operations,
    Said,
    listing,
)
from gateway.openapi.shapes_papers import (
    BalanceMovementView,
    LedgerAccountView,
    LedgerEntryView,
    StatementView,
    StoreDayView,
)
from gateway.paper_filters import (
    ENTRY_FILTERS,
    LEDGER_ACCOUNT_FILTERS,
    STATEMENT_FILTERS,
    STORE_DAY_FILTERS,
    TRANSACTION_FILTERS,
)

PAPERS: Final[Operations] = {
    ("GET", "/v1/balance_transactions"): listing(
        "listBalanceTransactions", SPLITTING, BalanceMovementView, TRANSACTION_FILTERS,
        scope="ledger:read", kinds="balance transactions", problems=(),
        cursor="entry", back=False,
        text="One for each entry of the ledger that changes what a merchant or a receiver has, "
        "paged by `starting_after`. A receiver's share of a payment that was taken in another "
        "partition is told when it arrives at the receiver's own.",
    ),
    ("GET", "/v1/ledger/accounts"): listing(
        "listLedgerAccounts", RUNNING, LedgerAccountView, LEDGER_ACCOUNT_FILTERS,
        scope="ledger:read", kinds="ledger accounts", problems=(),
        text="For operators: the accounts whose names begin with `account` (a family and whose, "
        "such as `merchant:mch_…`; without it, our fees), stripes added up, by name.",
    ),
    ("GET", "/v1/ledger/entries"): listing(
        "listLedgerEntries", RUNNING, LedgerEntryView, ENTRY_FILTERS,
        scope="ledger:read", kinds="ledger entries", problems=(),
        cursor="entry", back=False,
        text="For operators: about one `source`, or of one `account` with its stripe.",
    ),
    ("GET", "/v1/statements"): Operation(
        "getStatement",
        SPLITTING,
        "Read a settlement statement",
        {200: Said("The statement, whole.", StatementView,
                   media=(JSON, "text/csv; charset=utf-8", HTML, XLSX, XML))},
        "A merchant's day: everything that its clearing batches of that business date hold, and "
        "what is not in a batch yet. At most 20 000 lines; longer days are written by `tillway "
        "report settlement`. `camt053` is what was available to it on a day in China that is over.",
        filters=STATEMENT_FILTERS,
        scope="ledger:read",
    ),
    ("GET", "/v1/reports/store_day"): Operation(
        "getStoreDay",
        SPLITTING,
        "Read a store's day",
        {200: Said("The day, whole.", StoreDayView, media=(JSON, "text/csv; charset=utf-8"))},
        "What each operator took at each terminal with each wallet on a business date, and what "
        "was given back on it. A terminal's key sees its own store.",
        filters=STORE_DAY_FILTERS,
        scope="ledger:read",
    ),
}  # fmt: skip
