"""`tillway ledger …`: the books of a data directory, recomputed from their rows.

Everything here reads the shards' files, beside a running gateway or without one.
"""

import json
from collections.abc import Iterable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from gateway.cli.journals import (
    STANDARD_OUTPUT,
    From,
    To,
    book_files,
    counted,
    instant_of,
    merged,
    open_journals,
    places,
    print_text,
    rows_of,
    write_sealed,
    write_text,
)
from gateway.cli.options import AsJson, ConfigFile, DataDir
from gateway.cli.output import EXIT_CHECK_FAILED, complain, fields, progress, say, say_rows

if TYPE_CHECKING:
    from payments.ledger import Row
    from payments.reports.books import Line, Statement, Wanted

app: Final = typer.Typer(no_args_is_help=True)
SUMS: Final = ("currency", "debits", "credits", "residual")
BALANCES: Final = ("balance", "debit", "credit", "currency", "account_kind", "account")


class Format(StrEnum):
    HLEDGER = "hledger"
    BEANCOUNT = "beancount"
    CSV = "csv"


@app.command()
def verify(config: ConfigFile = None, data: DataDir = None, as_json: AsJson = False) -> None:
    """Walk the hash chain, fold all balances anew, look for payments unbooked or doubled.

    And the way home of the money: every batch's members are its figures, each instruction,
    withdrawal and freeze is booked, nobody's money pays another.

    Exit code 1 when anything is wrong. Works on a running or a stopped gateway.

    Example: tillway ledger verify --data ./data --json
    """
    report = _report(config, data, quiet=as_json)
    shown = {name: value for name, value in report.items() if name != "currencies"}
    say(report, as_json=as_json, text=fields(shown))
    if not report["ok"]:
        complain("the books are not sound: stop paying out, keep a copy of the files, report it")
        raise typer.Exit(EXIT_CHECK_FAILED)


@app.command("trial-balance")
def trial_balance(config: ConfigFile = None, data: DataDir = None, as_json: AsJson = False) -> None:
    """Debits and credits by currency. Exit code 1 unless they are equal.

    Example: tillway ledger trial-balance --data ./data
    """
    report = _report(config, data, quiet=as_json)
    sums = report["currencies"]
    shown = {"trial_balance": report["trial_balance"], "currencies": sums}
    say_rows(shown, sums, SUMS, as_json=as_json)
    if report["trial_balance"]:
        raise typer.Exit(EXIT_CHECK_FAILED)


def _report(config: Any, data: Any, *, quiet: bool) -> dict[str, Any]:
    """All shards together."""
    from payments.storage.audit import audit_all, rows_of

    paths = book_files(config, data)
    with progress("recomputing the books", rows_of(paths), quiet=quiet) as step:
        audits, home = audit_all(paths, step)
    payments: dict[str, int] = {}
    sums: dict[str, dict[str, Any]] = {}
    for one in audits:
        for status, count in one.payments.items():
            payments[status] = payments.get(status, 0) + count
        for each in one.currencies:
            total = sums.setdefault(
                each.currency,
                {"currency": each.currency, "debits": 0, "credits": 0, "residual": 0},
            )
            for name in SUMS[1:]:
                total[name] += getattr(each, name)
    return {
        "ok": all(one.ok for one in audits),
        "payments": payments,
        "entries": sum(one.entries for one in audits),
        "doubled": sum(one.doubled for one in audits),
        "unbooked": sum(one.unbooked for one in audits),
        "broken": sum(one.broken for one in audits),
        "batches": home.batches,
        "transits_due": home.transits_due,
        "trial_balance": sum(one.residual for one in audits),
        "chain_ok": all(one.chain_ok for one in audits),
        "balances_ok": all(one.balances_ok for one in audits),
        "currencies": [sums[name] for name in sorted(sums)],
        "complaints": [complaint for one in audits for complaint in one.complaints],
    }


@app.command()
def balances(
    at: Annotated[
        str | None, typer.Option("--at", help="An instant or a date: before it. Default: now.")
    ] = None,
    stripes: Annotated[
        bool, typer.Option("--stripes", help="Shared accounts partition by partition.")
    ] = False,
    config: ConfigFile = None,
    data: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Every account's balance, now or at any instant of the past, from the entries alone.

    `balance` is debit less credit: what we owe is negative, and all of them add up to zero.

    Example: tillway ledger balances --at 2026-11-22 --data ./data
    """
    from payments.reports.books import balances_of, trial_balance_table

    at_ms = instant_of(at, "--at")
    with open_journals(config, data) as journals:
        total = sum(journal.entries_max for journal in journals)
        with progress("adding up", total, quiet=as_json) as step:
            rows = counted(rows_of(merged(journals, to_ms=at_ms)), step, [0])
            found = balances_of(rows, striped=stripes)
    table = trial_balance_table(found)
    shown = [dict(zip(table.names, row, strict=True)) for row in table.rows]
    say_rows({"at": at, "balances": shown}, shown, BALANCES, as_json=as_json)


@app.command()
def statement(
    account: Annotated[
        str | None, typer.Argument(help="Such as fees:income or merchant:mch_…:pending.")
    ] = None,
    merchant: Annotated[
        str | None, typer.Option("--merchant", help="mch_…: all that it is owed, less its debt.")
    ] = None,
    from_: From = None,
    to: To = None,
    config: ConfigFile = None,
    data: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """An account's or a merchant's opening balance, postings, running and closing balance.

    Amounts are minor units, turned the way people read them: more is more.

    Example: tillway ledger statement fees:income --from 2026-11-01 --to 2026-12-01
    """
    from payments.reports.books import Statement

    wanted = _wanted(account, merchant)
    from_ms, to_ms = instant_of(from_, "--from"), instant_of(to, "--to")
    made = Statement(wanted)
    with open_journals(config, data) as journals:
        if from_ms is not None:
            made.open(rows_of(merged(journals, None, from_ms, wanted.name)))
        lines = made.lines(rows_of(merged(journals, from_ms, to_ms, wanted.name)))
        about = {"of": merchant or account, "from": from_, "to": to}
        print_text(_json(about, made, lines) if as_json else _text(made, lines))


def _wanted(account: str | None, merchant: str | None) -> "Wanted":
    from payments.reports.books import NoSuchAccount, of_account, of_merchant

    try:
        if account is not None and merchant is None:
            return of_account(account)
        if merchant is not None and account is None:
            return of_merchant(merchant)
    except NoSuchAccount as error:
        raise typer.BadParameter(str(error)) from error
    raise typer.BadParameter("name an account, or a merchant with --merchant")


def _text(made: "Statement", lines: "Iterable[Line]") -> Iterator[str]:
    """The statement for people, line by line: it may be long."""
    from payments.calendar import rfc3339

    shape = "{:<24}  {:<29}  {:<28}  {:>14}  {:>14}  {:<3}  {}\n"
    yield shape.format("at", "entry", "source", "amount", "balance", "", "account")
    for currency, minor in sorted(made.opening.items()):
        yield shape.format("", "", "opening balance", "", minor, currency, "").rstrip() + "\n"
    for line in lines:
        yield shape.format(
            rfc3339(line.at_ms), line.entry, line.source, line.amount, line.balance,
            line.currency, line.account,
        )  # fmt: skip
    for currency, minor in sorted(made.closing.items()):
        yield shape.format("", "", "closing balance", "", minor, currency, "").rstrip() + "\n"


def _json(about: dict[str, Any], made: "Statement", lines: "Iterable[Line]") -> Iterator[str]:
    """The statement as one object, written while it is read."""
    from payments.calendar import rfc3339

    head = json.dumps({**about, "opening": made.opening}, ensure_ascii=False)
    yield head[:-1] + ', "lines": ['
    mark = ""
    for line in lines:
        shown = {
            "at": rfc3339(line.at_ms),
            "entry": line.entry,
            "source": line.source,
            "account": line.account,
            "currency": line.currency,
            "amount": line.amount,
            "balance": line.balance,
        }
        yield mark + json.dumps(shown)
        mark = ", "
    yield f'], "closing": {json.dumps(made.closing)}}}\n'


@app.command()
def export(
    format_: Annotated[
        Format, typer.Option("--format", help="For whose program.", show_default=False)
    ],
    out: Annotated[Path, typer.Option("--out", help="A file; `-` is standard output.")] = (
        STANDARD_OUTPUT
    ),
    config: ConfigFile = None,
    data: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """All entries, for another accounting program to add up, or as CSV.

    A file comes with its checksum (FILE.sha256) and manifest (FILE.manifest.json).

    Example: tillway ledger export --format hledger --out books.journal
    """
    if as_json and out == STANDARD_OUTPUT:
        raise typer.BadParameter("tells of a file: say which with --out", param_hint="--json")
    count = [0]
    with open_journals(config, data) as journals:
        total = sum(journal.entries_max for journal in journals)
        with progress("exporting", total, quiet=as_json or out == STANDARD_OUTPUT) as step:
            pieces = _exported(format_, counted(rows_of(merged(journals)), step, count))
            if out == STANDARD_OUTPUT:
                print_text(pieces)
                return
            sealed = write_sealed(
                out,
                lambda path: write_text(path, pieces),
                lambda: {
                    "type": "journal.1",
                    "format": format_.value,
                    "rows": count[0],
                    "entries_up_to": places(journals),
                },
            )
    shown = {"path": str(out), **sealed}
    say(shown, as_json=as_json, text=fields(shown))


def _exported(format_: Format, rows: "Iterable[Row]") -> Iterator[str]:
    from payments.reports.amounts import MINOR
    from payments.reports.books import entries_table
    from payments.reports.csv_text import csv_text
    from payments.reports.journals import JOURNALS
    from payments.reports.tables import Tally

    if format_ is Format.CSV:
        table = entries_table(rows)
        return csv_text(table, Tally(table), MINOR, bom=False)
    return JOURNALS[format_.value](rows)
