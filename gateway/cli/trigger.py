"""`tillway trigger EVENT`: a real test payment that ends in that event.

Nothing is faked: the payment is made over HTTP like any till's, by an auth code whose ending the
sandboxes know, or by acting for its payer; then the event is waited for.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from gateway.cli.client import call
from gateway.cli.options import AsJson, DataDir
from gateway.cli.output import EXIT_CHECK_FAILED, complain, note, say
from gateway.cli.payments import act, new_key

AMOUNT: Final = 3_800
TIMEOUT_S: Final = 90
POLL_S: Final = 0.2
CODE_HEAD: Final = "28"
CODE_MIDDLE: Final = 12
DECLINED: Final = "9003"
WAITS_FOR_PIN: Final = "9002"
PAID: Final = "0001"

Make = Callable[[int, Path | None], dict[str, Any]]


def _barcode(amount: int, ending: str, data: Path | None, wait: int = 10) -> dict[str, Any]:
    from payments.ids import Entropy

    middle = int.from_bytes(Entropy().bytes(8), "big") % 10**CODE_MIDDLE
    body = {
        "order_no": f"trigger-{new_key()}",
        "amount": amount,
        "currency": "cny",
        "way": "barcode",
        "auth_code": f"{CODE_HEAD}{middle:0{CODE_MIDDLE}d}{ending}",
        "subject": "tillway trigger",
    }
    return _post("/v1/payments", body, data, {"Prefer": f"wait={wait}"})


def _code(amount: int, data: Path | None) -> dict[str, Any]:
    body = {
        "order_no": f"trigger-{new_key()}",
        "amount": amount,
        "currency": "cny",
        "way": "qr",
        "wallet": "wechat",  # Its orders can be closed at once, also before anybody scanned them.
        "subject": "tillway trigger",
    }
    return _post("/v1/payments", body, data)


def _post(
    path: str, body: dict[str, Any], data: Path | None, headers: dict[str, str] | None = None
) -> dict[str, Any]:
    sent = {"Idempotency-Key": new_key(), **(headers or {})}
    return call("POST", path, body, data=data, headers=sent)


def _succeeded(amount: int, data: Path | None) -> dict[str, Any]:
    """A barcode payment, paid at once."""
    return _barcode(amount, PAID, data)


def _failed(amount: int, data: Path | None) -> dict[str, Any]:
    """A barcode payment without enough money."""
    return _barcode(amount, DECLINED, data)


def _reversed(amount: int, data: Path | None) -> dict[str, Any]:
    """A barcode payment that waits for the PIN, canceled at the till."""
    made = _barcode(amount, WAITS_FOR_PIN, data, wait=1)
    _post(f"/v1/payments/{made['id']}/cancel", {}, data)
    return made


def _closed(amount: int, data: Path | None) -> dict[str, Any]:
    """A code that is canceled before anybody paid."""
    made = _code(amount, data)
    _post(f"/v1/payments/{made['id']}/cancel", {}, data)
    return made


def _late_success(amount: int, data: Path | None) -> dict[str, Any]:
    """A code that is paid after it was closed: the money goes back by itself."""
    made = _closed(amount, data)
    _until(lambda: call("GET", f"/v1/payments/{made['id']}", data=data)["status"] == "closed")
    act("pay_late", made["id"], data)
    return made


def _refund_succeeded(amount: int, data: Path | None) -> dict[str, Any]:
    """A payment, and all of it back."""
    made = _succeeded(amount, data)
    _post(f"/v1/payments/{made['id']}/refunds", {}, data)
    return made


TRIGGERS: Final[dict[str, Make]] = {
    "payment.succeeded": _succeeded,
    "payment.failed": _failed,
    "payment.reversed": _reversed,
    "payment.closed": _closed,
    "payment.late_success": _late_success,
    "refund.succeeded": _refund_succeeded,
}


def trigger(
    event: Annotated[str, typer.Argument(help="E.g. payment.succeeded; --list shows all.")] = "",
    amount: Annotated[int, typer.Option("--amount", min=1, help="In minor units.")] = AMOUNT,
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
    """Make a test payment that ends in an event, and wait for the event.

    Example: tillway trigger payment.late_success

    Example: tillway trigger payment.succeeded --ending 9006
    """
    if show_list:
        told = {name: make.__doc__ or "" for name, make in TRIGGERS.items()}
        lines = [f"{name:<22}{text}" for name, text in told.items()]
        say(told, as_json=as_json, text="\n".join(lines))
        return
    if event not in TRIGGERS:
        raise typer.BadParameter(
            f"{event or 'nothing'!r} is none of {', '.join(TRIGGERS)}", param_hint="EVENT"
        )
    if ending is None:
        made = TRIGGERS[event](amount, data)
        what = (TRIGGERS[event].__doc__ or "").rstrip(".")
    elif len(ending) == len(PAID) and ending.isascii() and ending.isdigit():
        made = _barcode(amount, ending, data)
        what = f"A barcode payment whose code ends in {ending}"
    else:
        raise typer.BadParameter("four digits, such as 9006", param_hint="--ending")
    if not as_json:
        note(f"made {made['id']}: {what}")
    query = {"payment": str(made["id"]), "type": event}
    found = _until(lambda: call("GET", "/v1/events", data=data, query=query).get("data"), timeout)
    if not found:
        complain(
            f"no {event} of {made['id']} within {timeout} s; "
            f"see `tillway payments timeline {made['id']}`"
        )
        raise typer.Exit(EXIT_CHECK_FAILED)
    say(found[0], as_json=as_json)


def _until(look: Callable[[], Any], timeout_s: int = TIMEOUT_S) -> Any:
    """What `look` finds, as soon as it finds something; else its last word."""
    from payments.clock import SystemClock

    clock = SystemClock()
    ends = clock.monotonic() + timeout_s
    while not (found := look()) and clock.monotonic() < ends:
        asyncio.run(asyncio.sleep(POLL_S))
    return found
