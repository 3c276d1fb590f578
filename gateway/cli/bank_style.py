"""`tillway report settlement --format camt053`: one party's available money, as a bank tells it."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from gateway.cli.journals import STANDARD_OUTPUT, merged, places, print_text, rows_of, write_sealed
from gateway.cli.output import EXIT_CHECK_FAILED, complain

if TYPE_CHECKING:
    from payments.storage.journal import Journal


def write_bank_style(
    party: str, date: int, path: Path, journals: "list[Journal]"
) -> dict[str, Any] | None:
    """Write the message with its checksum, and return its manifest; None for standard output.

    Exit with usage for what is no party, with 1 when the day does not fit into one message.
    """
    from payments import chart
    from payments.clock import SystemClock
    from payments.ids import MalformedId, partition_of
    from payments.iso20022.camt053 import encode
    from payments.money import Currency
    from payments.reports.bank_style import TooManyMovements, bank_statement

    prefix = chart.receiver_prefix if party.startswith("rcv_") else chart.merchant_prefix
    try:
        partition_of(party)
    except MalformedId as error:
        raise typer.BadParameter(f"{party[:40]!r} is no id of a merchant or receiver") from error
    rows = rows_of(merged(journals, holding=prefix(party)))
    try:
        made = bank_statement(party, date, rows, SystemClock().real_ms(), Currency.CNY)
    except TooManyMovements as error:
        complain(str(error))
        raise typer.Exit(EXIT_CHECK_FAILED) from error
    message = encode(made)
    if path == STANDARD_OUTPUT:
        print_text([message.decode("utf-8")])
        return None
    return write_sealed(
        path,
        lambda unfinished: _put(unfinished, message),
        lambda: {
            "type": "camt.053.001.08",
            "format": "camt053",
            "of": {"party": party, "business_date": str(date)},
            "rows": made.count,
            "opening_minor": made.opening_minor,
            "closing_minor": made.closing_minor,
            "entries_up_to": places(journals),
        },
    )


def _put(path: Path, message: bytes) -> None:
    path.write_bytes(message)
