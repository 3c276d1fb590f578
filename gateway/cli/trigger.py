"""`tillway trigger EVENT`: something real in test mode that ends in that event.

Nothing is faked: what is made is made over HTTP, as tills and back offices do it, and business time
moves by the test clock; then the event is waited for.
"""

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from gateway.cli.client import call
from gateway.cli.options import AsJson, DataDir, minor_units
from gateway.cli.output import EXIT_CHECK_FAILED, complain, note, say
from gateway.cli.triggers import PAID, PAYMENT_TRIGGERS, TIMEOUT_S, Make, barcode, until
from gateway.cli.triggers_home import ELSEWHERE, HOME_TRIGGERS, how_else, newest

AMOUNT: Final = 3_800
TRIGGERS: Final[dict[str, Make]] = {**PAYMENT_TRIGGERS, **HOME_TRIGGERS}


def trigger(
    event: Annotated[str, typer.Argument(help="E.g. payment.succeeded; --list shows all.")] = "",
    amount: Annotated[
        int, typer.Option("--amount", parser=minor_units, metavar="<int>", help="In minor units.")
    ] = AMOUNT,
    timeout: Annotated[int, typer.Option("--timeout", min=1, help="Seconds.")] = TIMEOUT_S,
    ending: Annotated[
        str | None,
        typer.Option(
            "--ending",
            help="By a barcode payment whose auth code ends so (9001 to 9012: test mode's).",
        ),
    ] = None,
    show_list: Annotated[bool, typer.Option("--list", help="What there is to trigger.")] = False,
    data: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Make something in test mode that ends in an event, and wait for the event.

    Example: tillway trigger payment.late_success

    Example: tillway trigger payment.succeeded --ending 9006
    """
    if show_list:
        told = {name: make.__doc__ or "" for name, make in TRIGGERS.items()}
        lines = [f"{name:<24}{text}" for name, text in told.items()]
        lines += ["", "Not by a command:"]
        lines += [f"{name:<24}{text}" for name, text in ELSEWHERE.items()]
        say(told, as_json=as_json, text="\n".join(lines))
        return
    if event not in TRIGGERS:
        how = how_else(event)
        none = f"{event or 'nothing'!r} is none of {', '.join(TRIGGERS)}"
        why = none if how is None else f"{event} is made by no command: {how}"
        raise typer.BadParameter(why, param_hint="EVENT")
    before = ""
    if ending is None:
        before = newest(event, data) if event in HOME_TRIGGERS else ""
        made = TRIGGERS[event](amount, data)
        what = (TRIGGERS[event].__doc__ or "").rstrip(".")
    elif event in HOME_TRIGGERS:
        raise typer.BadParameter(f"{event} is no ending of a payment", param_hint="--ending")
    elif len(ending) == len(PAID) and ending.isascii() and ending.isdigit():
        made = barcode(amount, ending, data)
        what = f"A barcode payment whose code ends in {ending}"
    else:
        raise typer.BadParameter("four digits, such as 9006", param_hint="--ending")
    if not as_json:
        note(f"made {made['id']}: {what}")
    found = _found(event, str(made["id"]), before, timeout, data)
    if not found:
        complain(
            f"no {event} of {made['id']} within {timeout} s; "
            f"see `tillway payments timeline {made['id']}`"
        )
        raise typer.Exit(EXIT_CHECK_FAILED)
    say(found, as_json=as_json)


def _found(
    event: str, made: str, before: str, timeout_s: int, data: Path | None
) -> dict[str, Any] | None:
    """The event of what was made, as soon as it is there.

    On the way home it is about another object: there the first one after `before` counts.
    """
    query = {"type": event, "limit": "1"}
    if event not in HOME_TRIGGERS:
        query["payment"] = made

    def look() -> dict[str, Any] | None:
        rows: list[dict[str, Any]] = call("GET", "/v1/events", data=data, query=query)["data"]
        return rows[0] if rows and rows[0]["id"] != before else None

    found: dict[str, Any] | None = until(look, timeout_s)
    return found
