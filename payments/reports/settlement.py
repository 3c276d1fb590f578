"""What a merchant earned and what was taken off, entry by entry: the settlement statement.

Every figure is read from the ledger's postings, not from the payment: `gross` is what the channel
owes more or less, `fee` what was posted to our income, `net` by how much we owe the merchant more
or less. Payments and refunds only say what an entry is about. An entry that only moves money
between a merchant's own accounts earns nothing and has no line.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from msgspec import Struct

from payments.calendar import business_date, rfc3339
from payments.clearing.batch import Batch
from payments.ledger import Postings, unpack_postings
from payments.ledger import Row as EntryRow
from payments.payment import Payment
from payments.refund import Refund
from payments.reports.homeward import NOWHERE, Placed
from payments.reports.tables import Cell, Column, Figures, Kind, Row, Table, Tally

ITEMIZED: Final = "settlement_statement.itemized.1"
SUMMARY: Final = "settlement_statement.summary.1"

COLUMNS: Final = (
    Column("batch_id"),
    Column("payout_id"),
    Column("payout_effective_on"),
    Column("business_date"),
    Column("merchant_id"),
    Column("store_id"),
    Column("terminal_id"),
    Column("balance_transaction_id"),
    Column("reporting_category"),
    Column("created"),
    Column("available_on"),
    Column("order_ref"),
    Column("payment_id"),
    Column("refund_id"),
    Column("channel"),
    Column("way"),
    Column("channel_trade_no"),
    Column("currency"),
    Column("gross", Kind.AMOUNT),
    Column("fee", Kind.AMOUNT),
    Column("fee_rate_bp"),
    Column("tax"),
    Column("tip", Kind.AMOUNT),
    Column("net", Kind.AMOUNT),
    Column("description"),
)
"""Rates and taxes have no source yet: those cells are empty."""

SUMMARY_COLUMNS: Final = (
    Column("reporting_category"),
    Column("currency"),
    Column("count", Kind.COUNT),
    Column("gross", Kind.AMOUNT),
    Column("fee", Kind.AMOUNT),
    Column("net", Kind.AMOUNT),
)

PAYMENT, REFUND, SPLIT, PAYOUT, ADJUSTMENT = "payment", "refund", "split", "payout", "adjustment"
NET: Final = ("gross", "fee", "net")


class Source(Struct, frozen=True, gc=False):
    """Where the objects behind entries are looked up: None for an id that is not there.

    `place`: how far an entry of a merchant, with this business date, has come on its way home.
    """

    payment: Callable[[str], Payment | None]
    refund: Callable[[str], Refund | None]
    place: Callable[[EntryRow, str, int], Placed] = lambda row, merchant, date: NOWHERE


class Scope(Struct, frozen=True, gc=False):
    """What is asked for; None: all of it. `business_date`: yyyymmdd; the batch's of its members."""

    merchant: str | None = None
    business_date: int | None = None

    def has(self, merchant: str, date: int) -> bool:
        return self.merchant in (None, merchant) and self.business_date in (None, date)


class _About(Struct, frozen=True, gc=False):
    """What an entry is about: a payment, a refund with its payment, or neither."""

    payment: Payment | None
    refund: Refund | None
    date: int

    @property
    def merchant(self) -> str | None:
        found = self.refund or self.payment
        return None if found is None else found.merchant


def itemized_table(
    entries: Iterable[tuple[EntryRow, Source]],
    scope: Scope,
    metadata: tuple[str, ...] = (),
    batches: Sequence[Batch] = (),
) -> Table:
    """The statement. `metadata`: names whose values become columns of their own.

    `batches`: those whose members are all within the scope, with the figures that were filed.
    """
    return Table(
        type=ITEMIZED,
        columns=(*COLUMNS, *(Column(f"metadata.{name}") for name in metadata)),
        rows=_rows(entries, scope, metadata),
        key="balance_transaction_id",
        groupings={
            "Summary": ("reporting_category", "currency"),
            "Fees": ("channel", "way", "currency"),
        },
        extracts={"Refunds": ("reporting_category", REFUND)},
        nets=NET,
        totals=True,
        batches=tuple(_figures(batch) for batch in batches),
    )


def _figures(batch: Batch) -> Figures:
    assert batch.netted is not None, batch.id
    totals = batch.netted.totals
    taken = (totals.refunds, totals.discounts, totals.fees, totals.splits)
    return Figures(
        batch.id, str(batch.business_date), batch.currency, totals.items, totals.gross, *taken,
        totals.net,
    )  # fmt: skip


def summary_table(entries: Iterable[tuple[EntryRow, Source]], scope: Scope) -> Table:
    """The same, added up by category and currency."""

    def rows() -> Iterator[Row]:
        itemized = itemized_table(entries, scope)
        tally = Tally(itemized)
        for row in itemized.rows:
            tally.add(row)
        wanted = [itemized.summed.index(name) for name in NET]
        for key, sums in tally.sorted_groups("Summary"):
            yield (*key, sums.rows, *(sums.values[at] for at in wanted))

    return Table(
        type=SUMMARY, columns=SUMMARY_COLUMNS, rows=rows(), key="reporting_category", nets=NET
    )


def _rows(
    entries: Iterable[tuple[EntryRow, Source]], scope: Scope, metadata: tuple[str, ...]
) -> Iterator[Row]:
    for row, source in entries:
        postings = unpack_postings(row[7])
        earned = _earned(postings)
        if scope.merchant is not None and scope.merchant not in earned:
            continue
        about = _about(row, source)
        for merchant, net in earned.items():
            placed = source.place(row, merchant, about.date)
            if scope.has(merchant, placed.business_date or about.date):
                for category, gross, fee in _parts(postings, about, merchant, net):
                    yield _row(row, about, placed, merchant, category, gross, fee, metadata)


def _earned(postings: Postings) -> dict[str, int]:
    """merchant -> by how much an entry makes more what we owe it."""
    earned: dict[str, int] = {}
    for account, minor in postings:
        family, _, rest = account.partition(":")
        if family == "merchant":
            merchant = rest.partition(":")[0]
            earned[merchant] = earned.get(merchant, 0) - minor
    return earned


def _parts(
    postings: Postings, about: _About, merchant: str, net: int
) -> Iterator[tuple[str, int, int]]:
    """An entry's lines for a merchant, as (category, gross, fee); gross - fee add up to `net`.

    What the channel and we account for is the payment or the refund. The rest of it went to, or
    came back from, those who have a share.
    """
    rest = net
    if about.merchant == merchant:
        gross = sum(minor for account, minor in postings if account.startswith("channel:"))
        fee = -sum(minor for account, minor in postings if account.startswith("fees:income"))
        if gross or fee:
            yield (PAYMENT if about.refund is None else REFUND), gross, fee
        rest -= gross - fee
        if rest:
            yield SPLIT, rest, 0
    elif rest and any(map(_pays, (account for account, _ in postings))):
        fee = -sum(minor for account, minor in postings if account.startswith("fees:income"))
        yield PAYOUT, rest + fee, fee
    elif rest:
        yield ADJUSTMENT, rest, 0


def _pays(account: str) -> bool:
    """Whether money leaves for a merchant by it: the bank's, or what a channel pays itself."""
    return account.startswith("custody:") or (
        account.startswith("channel:") and ":outside#" in account
    )


def _about(row: EntryRow, source: Source) -> _About:
    kind, _, _ = row[4].partition("_")
    if kind == "pay" and (payment := source.payment(row[4])) is not None:
        return _About(payment, None, payment.business_date)
    if kind == "rfd" and (refund := source.refund(row[4])) is not None:
        return _About(source.payment(refund.payment), refund, refund.business_date)
    return _About(None, None, business_date(row[5]))


def _row(
    row: EntryRow,
    about: _About,
    placed: Placed,
    merchant: str,
    category: str,
    gross: int,
    fee: int,
    metadata: tuple[str, ...],
) -> Row:
    payment, refund = about.payment, about.refund
    attempt = None if payment is None else payment.attempt
    trade_no = None if attempt is None else attempt.channel_trade_no
    if refund is not None:
        trade_no = refund.channel_refund_no
    cells: dict[str, Cell] = {
        "batch_id": placed.batch,
        "payout_id": placed.payout,
        "payout_effective_on": placed.paid_on,
        "available_on": placed.available_on,
        "business_date": str(about.date),
        "merchant_id": merchant,
        "balance_transaction_id": row[3],
        "reporting_category": category,
        "created": rfc3339(row[5]),
        "refund_id": None if refund is None else refund.id,
        "channel": None if attempt is None else attempt.channel,
        "channel_trade_no": trade_no,
        "currency": row[6].lower(),
        "gross": gross,
        "fee": fee,
        "tip": 0,
        "net": gross - fee,
        "description": None if refund is None else refund.reason,
    }
    if payment is not None:
        cells |= {
            "store_id": payment.store,
            "terminal_id": payment.terminal,
            "order_ref": payment.order_ref or payment.order_no,
            "payment_id": payment.id,
            "way": payment.way.value,
        }
        if category == PAYMENT:
            cells |= {"tip": payment.tip_amount, "description": payment.subject}
    values = (payment.metadata if payment is not None else {}) | (
        refund.metadata if refund is not None else {}
    )
    return (
        *(cells.get(column.name) for column in COLUMNS),
        *(values.get(name) for name in metadata),
    )
