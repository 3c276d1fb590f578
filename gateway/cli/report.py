"""`tillway report`: statements, lists and day sheets, as CSV, as a workbook or as a page."""

from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from msgspec import Struct, to_builtins

from gateway.cli.journals import (
    STANDARD_OUTPUT,
    From,
    To,
    counted,
    instant_of,
    merged,
    midnight_ms,
    open_journals,
    places,
    print_text,
    rows_of,
    write_sealed,
    write_text,
)
from gateway.cli.options import AsJson, ConfigFile, DataDir
from gateway.cli.output import EXIT_CHECK_FAILED, Step, complain, fields, progress, say

if TYPE_CHECKING:
    from payments.payment import Payment
    from payments.refund import Refund
    from payments.reports.homeward import Homeward
    from payments.reports.settlement import Scope
    from payments.reports.tables import Table
    from payments.storage.journal import Journal

METADATA_MAX: Final = 50
HOUR_MS: Final = 3_600_000
BEFORE_MS: Final = 36 * HOUR_MS
AFTER_MS: Final = 60 * HOUR_MS
"""A business date begins and ends within these of its midnight in China, wherever the store is."""


class Report(StrEnum):
    SETTLEMENT = "settlement"
    SUMMARY = "settlement-summary"
    STORE_DAY = "store-day"
    PAYMENTS = "payments"
    ENTRIES = "entries"
    TRIAL_BALANCE = "trial-balance"


class Format(StrEnum):
    CSV = "csv"
    XLSX = "xlsx"
    HTML = "html"
    CAMT053 = "camt053"


SUFFIX: Final = {Format.CAMT053: "xml"}
"""Where a file's name does not end in its format."""


class Amounts(StrEnum):
    MINOR = "minor"
    DECIMAL = "decimal"


TAKES: Final[dict[Report, frozenset[str]]] = {
    Report.SETTLEMENT: frozenset(
        {"merchant", "receiver", "business_date", "from", "to", "metadata"}
    ),
    Report.SUMMARY: frozenset({"merchant", "business_date", "from", "to"}),
    Report.STORE_DAY: frozenset({"merchant", "store", "business_date"}),
    Report.PAYMENTS: frozenset({"merchant", "business_date", "from", "to", "metadata"}),
    Report.ENTRIES: frozenset({"from", "to"}),
    Report.TRIAL_BALANCE: frozenset({"to"}),
}
"""What each report can be limited by."""


class Asked(Struct, frozen=True, kw_only=True):
    """What a report is to be of; None: everything. `business_date`: yyyymmdd."""

    report: Report
    merchant: str | None = None
    store: str | None = None
    business_date: int | None = None
    from_ms: int | None = None
    to_ms: int | None = None
    metadata: tuple[str, ...] = ()

    @property
    def scope(self) -> "Scope":
        from payments.reports.settlement import Scope

        return Scope(self.merchant, self.business_date)

    def has(self, at_ms: int) -> bool:
        """Whether an instant is within the time that was asked for."""
        return (self.from_ms is None or self.from_ms <= at_ms) and (
            self.to_ms is None or at_ms < self.to_ms
        )


def report(
    kind: Annotated[Report, typer.Argument(metavar="REPORT", help=f"{', '.join(Report)}.")],
    merchant: Annotated[str | None, typer.Option("--merchant", help="mch_…")] = None,
    receiver: Annotated[str | None, typer.Option("--receiver", help="rcv_…, for camt053.")] = None,
    store: Annotated[str | None, typer.Option("--store", help="sto_…, for store-day.")] = None,
    business_date: Annotated[
        str | None, typer.Option("--business-date", help="20261122, the store's own day.")
    ] = None,
    from_: From = None,
    to: To = None,
    metadata: Annotated[
        list[str] | None,
        typer.Option("--metadata", help="A name that becomes a column; more than once."),
    ] = None,
    format_: Annotated[Format, typer.Option("--format")] = Format.CSV,
    amount_format: Annotated[
        Amounts, typer.Option("--amount-format", help="Minor units, or with a point.")
    ] = Amounts.MINOR,
    bom: Annotated[bool, typer.Option("--bom", help="CSV that Excel opens as UTF-8.")] = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="A file; default: named after the report; `-`: standard output"),
    ] = None,
    config: ConfigFile = None,
    data: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Write a report from the books. A file comes with its checksum and manifest.

    Example: tillway report settlement --merchant mch_… --business-date 20261122 --format xlsx

    Example: tillway report store-day --business-date 20261122 --format html
    """
    given: dict[str, str | list[str] | None] = {
        "merchant": merchant,
        "receiver": receiver,
        "store": store,
        "business_date": business_date,
        "from": from_,
        "to": to,
        "metadata": metadata,
    }
    asked = _asked(kind, {name: value for name, value in given.items() if value})
    if format_ is Format.CAMT053:
        _bank_style(asked, receiver, out, config, data, as_json)
        return
    if receiver is not None:
        raise typer.BadParameter("only for camt053", param_hint="--receiver")
    if out == STANDARD_OUTPUT and format_ is Format.XLSX:
        raise typer.BadParameter("a workbook needs a file", param_hint="--out")
    path = out or Path(_name_of(kind, merchant, business_date, format_))
    with open_journals(config, data) as journals:
        total = sum(journal.entries_max for journal in journals)
        with progress("reporting", total, quiet=as_json or out == STANDARD_OUTPUT) as step:
            table = _table(asked, journals, step)
            about = {
                name: ", ".join(value) if isinstance(value, list) else value
                for name, value in given.items()
                if value
            }
            made = _Made(table, format_, amount_format, bom, about)
            sealed = _put_out(made, path, journals)
    if sealed is not None:
        shown = {"path": str(path), **sealed}
        say(shown, as_json=as_json, text=fields(shown))


def _asked(kind: Report, given: dict[str, Any]) -> Asked:
    """What was asked for, checked. Exit with usage for what this report cannot be limited by."""
    for name in given.keys() - TAKES[kind]:
        flag = "--" + name.replace("_", "-")
        raise typer.BadParameter(f"the report {kind} is not made by it", param_hint=flag)
    names = tuple(dict.fromkeys(given.get("metadata", ())))
    if len(names) > METADATA_MAX:
        raise typer.BadParameter(f"at most {METADATA_MAX} of them", param_hint="--metadata")
    date = given.get("business_date")
    if kind is Report.STORE_DAY and date is None:
        raise typer.BadParameter("which day?", param_hint="--business-date")
    if date is not None:
        midnight_ms(date, "--business-date")
    from_ms, to_ms = instant_of(given.get("from"), "--from"), instant_of(given.get("to"), "--to")
    if from_ms is not None and to_ms is not None and from_ms >= to_ms:
        raise typer.BadParameter("is not after --from: nothing is between them", param_hint="--to")
    return Asked(
        report=kind,
        merchant=_id_of(given, "merchant", "mch"),
        store=_id_of(given, "store", "sto"),
        business_date=None if date is None else int(date),
        from_ms=from_ms,
        to_ms=to_ms,
        metadata=names,
    )


def _id_of(given: dict[str, Any], name: str, prefix: str) -> str | None:
    """An id that was given. Exit with usage for a text that is none: its report would be empty."""
    from payments.ids import MalformedId, body_of

    identifier: str | None = given.get(name)
    try:
        if identifier is not None:
            body_of(identifier, prefix)
    except MalformedId as error:
        says = f"{identifier!r:.60} is no id of a {name}, {prefix}_…"
        raise typer.BadParameter(says, param_hint=f"--{name}") from error
    return identifier


def _name_of(kind: Report, merchant: str | None, date: str | None, format_: Format) -> str:
    suffix = SUFFIX.get(format_, format_.value)
    return ".".join([kind.value, *(part for part in (merchant, date) if part), suffix])


def _bank_style(
    asked: Asked,
    receiver: str | None,
    out: Path | None,
    config: Path | None,
    data: Path | None,
    as_json: bool,
) -> None:
    """What was available to one party on one day, as a bank tells it. Exit 1 for too much of it."""
    from gateway.cli.bank_style import write_bank_style

    party, date = asked.merchant or receiver, asked.business_date
    if asked.report is not Report.SETTLEMENT or date is None or (asked.from_ms or asked.to_ms):
        raise typer.BadParameter(
            "of a settlement, with --business-date alone", param_hint="--format"
        )
    if party is None or (asked.merchant and receiver):
        raise typer.BadParameter("say whose: --merchant or --receiver", param_hint="--format")
    path = out or Path(_name_of(asked.report, party, str(date), Format.CAMT053))
    with open_journals(config, data) as journals:
        sealed = write_bank_style(party, date, path, journals)
    if sealed is not None:
        shown = {"path": str(path), **sealed}
        say(shown, as_json=as_json, text=fields(shown))


# --- the tables -----------------------------------------------------------------------------


def _table(asked: Asked, journals: "list[Journal]", step: Step) -> "Table":
    from payments.reports import books, sales

    from_ms, to_ms, count = asked.from_ms, asked.to_ms, [0]
    if asked.business_date is not None and asked.report is not Report.STORE_DAY:
        # Booked on its date or later: a payment may take its time to succeed.
        day = midnight_ms(str(asked.business_date), "--business-date")
        from_ms = max(day - BEFORE_MS, day - BEFORE_MS if from_ms is None else from_ms)
    if asked.report in (Report.SETTLEMENT, Report.SUMMARY):
        return _settlement(asked, journals, from_ms, to_ms, step)
    if asked.report is Report.ENTRIES:
        return books.entries_table(counted(rows_of(merged(journals, from_ms, to_ms)), step, count))
    if asked.report is Report.TRIAL_BALANCE:
        rows = counted(rows_of(merged(journals, to_ms=to_ms)), step, count)
        return books.trial_balance_table(books.balances_of(rows))
    payments = counted(_payments(asked, journals), step, count)
    if asked.report is Report.PAYMENTS:
        return sales.payments_table(payments, asked.scope, asked.metadata)
    return sales.store_day_table(
        payments, _refunds(journals), _payment_of(journals), asked.scope, asked.store
    )


def _settlement(
    asked: Asked, journals: "list[Journal]", from_ms: int | None, to_ms: int | None, step: Step
) -> "Table":
    from payments.reports import settlement

    ways = {journal.path: _homeward(journal) for journal in journals}
    date = asked.business_date
    if date is not None and asked.from_ms is None:
        # Members of a date's batches may have been booked long before, while none was cut off.
        since = [way.since_ms(asked.merchant, date) for way in ways.values()]
        from_ms = min([from_ms or 0, *(at for at in since if at is not None)])
    holding = "merchant:" + ("" if asked.merchant is None else f"{asked.merchant}:")
    pairs = counted(merged(journals, from_ms, to_ms, holding), step, [0])
    sources = {
        journal.path: settlement.Source(journal.payment, journal.refund, ways[journal.path].place)
        for journal in journals
    }
    sourced = ((row, sources[journal.path]) for row, journal in pairs)
    if asked.report is Report.SUMMARY:
        return settlement.summary_table(sourced, asked.scope)
    whole = asked.from_ms is None and asked.to_ms is None
    chosen = [
        batch for way in ways.values() for batch in way.batches(asked.merchant, date) if whole
    ]
    # Without a limit they may be many: their rows are added up, and the batches are not listed.
    batches = chosen if date is not None or asked.merchant is not None else []
    return settlement.itemized_table(sourced, asked.scope, asked.metadata, batches)


def _homeward(journal: "Journal") -> "Homeward":
    from payments.clearing.batch import Batch
    from payments.reports.homeward import Homeward
    from payments.settlement.instruction import Instruction

    batches = journal.records("batch", Batch)
    instructions = journal.records("instruction", Instruction)
    return Homeward(batches, instructions, journal.booked_ms)


def _payments(asked: Asked, journals: "list[Journal]") -> "Iterator[Payment]":
    """Payments made within the time that was asked for, or around the business date."""
    from payments.calendar import INSTANT_MAX_MS

    first, last = asked.from_ms or 0, asked.to_ms or INSTANT_MAX_MS
    if asked.business_date is not None:
        day = midnight_ms(str(asked.business_date), "--business-date")
        first, last = max(first, day - BEFORE_MS), min(last, day + AFTER_MS)
    for journal in journals:
        # An id is made when the request arrives; a clock beside another's may differ.
        for payment in journal.payments(first - HOUR_MS, last):
            if asked.has(payment.created):
                yield payment


def _refunds(journals: "list[Journal]") -> "Iterator[Refund]":
    for journal in journals:
        yield from journal.refunds()


def _payment_of(journals: "list[Journal]") -> "Callable[[str], Payment | None]":
    def payment_of(identifier: str) -> "Payment | None":
        found = (journal.payment(identifier) for journal in journals)
        return next((payment for payment in found if payment is not None), None)

    return payment_of


# --- the files ------------------------------------------------------------------------------


class _Made:
    """A report on its way to a file. `about`: what it is of, in the words of the flags."""

    def __init__(
        self, table: "Table", format_: Format, amounts: Amounts, bom: bool, about: dict[str, str]
    ) -> None:
        from payments.reports.tables import Tally

        self.table = table
        self.tally: Tally = Tally(table)
        self._format = format_
        self._amounts = amounts
        self._bom = bom
        self._about = about

    def text(self) -> Iterator[str]:
        from payments.reports.csv_text import csv_text
        from payments.reports.html_page import html_page

        if self._format is Format.CSV:
            return csv_text(self.table, self.tally, self._amounts, bom=self._bom)
        title = self.table.type.partition(".")[0].replace("_", " ").capitalize()
        return html_page(self.table, self.tally, self._amounts, title=title, about=self._about)

    def write(self, path: Path) -> None:
        if self._format is Format.XLSX:
            from payments.reports.workbook import write_workbook

            write_workbook(path, self.table, self.tally, self._amounts)
        else:
            write_text(path, self.text())

    def manifest(self) -> dict[str, Any]:
        """Sums are minor units, whatever the format of amounts in the file."""
        return {
            "type": self.table.type,
            "format": self._format.value,
            "amount_format": self._amounts.value,
            "of": self._about,
            "rows": self.tally.rows,
            "sums_minor": self.tally.sums(),
            **({"batches": to_builtins(self.table.batches)} if self.table.batches else {}),
        }


def _put_out(made: _Made, path: Path, journals: "list[Journal]") -> dict[str, Any] | None:
    """Write the file with what goes with it, and return its manifest; or print it.

    Exit 1 when it would be too large to be read.
    """
    from payments.reports.tables import TooManyGroups
    from payments.reports.workbook import TooManyRows

    try:
        if path == STANDARD_OUTPUT:
            print_text(made.text())
            return None
        return write_sealed(
            path, made.write, lambda: {**made.manifest(), "entries_up_to": places(journals)}
        )
    except (TooManyGroups, TooManyRows) as error:
        complain(str(error))
        raise typer.Exit(EXIT_CHECK_FAILED) from error
