"""What may be asked of balance transactions, the ledger and statements in a query string."""

from typing import Final

from gateway.lists import CREATED, Filters, OneOf, day, identifier, name_of
from payments.reports.movements import Type

TRANSACTION_FILTERS: Final[Filters] = {
    "merchant": identifier,
    "receiver": identifier,
    "type": OneOf(Type),
    "source": identifier,
    **CREATED,
}
ENTRY_FILTERS: Final[Filters] = {"source": identifier, "account": name_of, **CREATED}
LEDGER_ACCOUNT_FILTERS: Final[Filters] = {"account": name_of}
STATEMENT_FILTERS: Final[Filters] = {
    "merchant": identifier,
    "business_date": day,
    "format": OneOf(("json", "csv", "html", "xlsx", "camt053")),
}
STORE_DAY_FILTERS: Final[Filters] = {
    "merchant": identifier,
    "store": identifier,
    "business_date": day,
    "format": OneOf(("json", "csv")),
}
