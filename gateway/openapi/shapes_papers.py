"""Balance transactions, the ledger and statements, as their answers say them."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from payments.chart import Kind
from payments.reports.movements import Type


class BalanceMovementView(Struct):
    """What one entry of the ledger did to one merchant or receiver, in minor units.

    `amount`: by how much more it is owed in all; `changes`: by balance. `fee`: ours, taken off
    before. `available_on`: yyyymmdd, where something became available.
    """

    object: Literal["balance_transaction"]
    id: str
    type: Type
    merchant: str | None
    receiver: str | None
    amount: int
    fee: int
    currency: str
    changes: dict[str, int]
    source: str
    available_on: str | None
    created: str
    livemode: bool
    metadata: dict[str, str]


class LedgerPostingView(Struct):
    """One leg: minor units, a debit positive."""

    account: str
    amount: int


class LedgerEntryView(Struct):
    """Postings that sum to zero, with their place in the hash chain of their partition."""

    object: Literal["ledger_entry"]
    id: str
    source: str
    currency: str
    created: str
    partition: Annotated[int, Meta(ge=0)]
    sequence: Annotated[int, Meta(ge=1)]
    hash: str
    postings: list[LedgerPostingView]
    livemode: bool
    metadata: dict[str, str]


class LedgerAccountView(Struct):
    """An account of the chart, its stripes added up: debit less credit in minor units."""

    object: Literal["ledger_account"]
    account: str
    kind: Kind
    currency: str
    balance: int
    livemode: bool


class FiledBatchView(Struct):
    """A clearing batch of the statement: gross - refunds - discounts - fees - splits = net."""

    id: str
    sequence: int
    status: str
    currency: str
    items: int
    gross: int
    refunds: int
    discounts: int
    fees: int
    splits: int
    net: int


class StatementView(Struct):
    """A settlement statement. `data`: a row of `type` each, by column; `sums`: by currency."""

    object: Literal["statement"]
    type: str
    merchant: str
    business_date: str
    rows: Annotated[int, Meta(ge=0)]
    sums: dict[str, dict[str, int]]
    batches: list[FiledBatchView]
    data: list[dict[str, Any]]
    livemode: bool


class StoreDayView(Struct):
    """A store's day. `data`: a row of `type` each, by column; `sums`: by currency."""

    object: Literal["report"]
    type: str
    merchant: str
    store: str | None
    business_date: str
    rows: Annotated[int, Meta(ge=0)]
    sums: dict[str, dict[str, int]]
    data: list[dict[str, Any]]
    livemode: bool
