"""`tillway recon import --dialect camt053`: the bank's own file against the bills that are kept."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer

from gateway.cli.options import data_files, settings_from
from gateway.cli.output import EXIT_CHECK_FAILED, complain, note, say_rows

if TYPE_CHECKING:
    from payments.iso20022.entries import Entry
    from payments.reconciliation.bank_leg import Received

FILE_BYTES_MAX: Final = 16 * 1024 * 1024
"""A statement's page: 10 000 movements are less."""
COLUMNS: Final = ("account", "bill_date", "status", "due", "credited", "amount")


def import_statement(
    file: Path, dialect: str, config: Path | None, data: Path | None, *, as_json: bool
) -> None:
    """Compare a statement's credits with the bills of the days that they name, and keep it.

    Exit 1 when the file is refused, or a day that it names does not fit; a file is refused whole.
    """
    from gateway.home_settings import custody_of
    from payments.clock import SystemClock
    from payments.iso20022.trees import MessageRefused
    from payments.storage.comparing import Comparing
    from payments.storage.expected import is_live

    settings, paths = settings_from(config, {"data_dir": data}), data_files(config, data)
    try:
        account, entries = _entries(file, dialect)
    except MessageRefused as error:
        what = f"camt.{dialect.removeprefix('camt')}.001.08"
        complain(f"{file.name} is refused: {error}; ask the bank for {what} again, in one file")
        raise typer.Exit(EXIT_CHECK_FAILED) from error
    except OSError as error:
        raise typer.BadParameter(f"{file.name} cannot be read", param_hint="FILE") from error
    if settings.bank is not None and account != settings.bank.custody_account:
        own = settings.bank.custody_account
        complain(
            f"{file.name} is refused: it is of the account {account}, not of custody; "
            f"ask the bank for the file of {own}"
        )
        raise typer.Exit(EXIT_CHECK_FAILED)
    told = _credits(entries, _names(settings))
    settles = {
        each.account: each.settlement == "net"
        for each in settings.channels
        if each.settles_to == "custody"
    }
    comparing = Comparing(paths[0].parent, paths, SystemClock(), livemode=is_live(paths[0]))
    custody = "" if settings.bank is None else custody_of(settings)
    comparing.stand_at_bank(settles, told, custody)
    rows = _legs(comparing, {(each.account, each.bill_date) for each in told})
    say_rows({"data": rows, "credits": len(told)}, rows, COLUMNS, as_json=as_json)
    foreign = sum(not each.account for each in told)
    if foreign and not as_json:
        note(f"{foreign} credits name no channel account and day of ours")
    if foreign or any(row["status"] not in ("matched", "nothing_due") for row in rows):
        raise typer.Exit(EXIT_CHECK_FAILED)


def _entries(file: Path, dialect: str) -> "tuple[str, tuple[Entry, ...]]":
    """The account of a file and all its movements. Raise MessageRefused, OSError."""
    from payments.iso20022 import camt053, camt054
    from payments.iso20022.trees import MessageRefused

    with file.open("rb") as content:
        message = content.read(FILE_BYTES_MAX + 1)
    if len(message) > FILE_BYTES_MAX:
        raise MessageRefused(f"is larger than {FILE_BYTES_MAX} bytes")
    if dialect == "camt053":
        # A page of a longer day proves nothing: only a whole day adds up.
        day = camt053.join([camt053.decode(message)])
        return day.account, day.entries
    notice = camt054.decode(message)
    return notice.account, notice.entries


def _names(settings: Any) -> Mapping[str, str]:
    """What the text of a credit may call a channel account -> the account."""
    names = {each.merchant_number: each.account for each in settings.channels}
    names.pop("", None)
    return names | {each.account: each.account for each in settings.channels}


def _credits(entries: "tuple[Entry, ...]", names: Mapping[str, str]) -> "list[Received]":
    from payments.iso20022.entries import Kind
    from payments.reconciliation.bank_leg import Received
    from payments.settlement import remittance

    return [
        Received(
            each.sequence,
            each.reference,
            each.amount_minor,
            each.booked_ms,
            *(remittance.read(each.remittance, names) or ("", 0)),
        )
        for each in entries
        if each.kind is Kind.CREDIT
    ]


def _legs(comparing: Any, days: set[tuple[str, int]]) -> list[dict[str, Any]]:
    """How the days that a file names stand now; without a bill there is nothing to compare."""
    reader = comparing.reader()
    rows = []
    try:
        for account, date in sorted(day for day in days if day[0]):
            run = None if reader is None else reader.current(account, date)
            row: dict[str, Any] = {"account": account, "bill_date": date, "status": "no bill"}
            if run is not None and run.bank is not None:
                leg = run.bank
                row |= {
                    "status": leg.state.value,
                    "due": leg.due,
                    "credited": leg.credited,
                    "amount": leg.amount,
                }
            rows.append(row)
    finally:
        if reader is not None:
            reader.close()
    return rows
