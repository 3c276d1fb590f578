"""`tillway payments …`: typed requests to a running gateway."""

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from gateway.cli.client import Asking, call
from gateway.cli.options import AsJson, DataDir, Limit, StartingAfter, minor_units, query_of
from gateway.cli.output import is_terminal, say, say_rows

app: Final = typer.Typer(no_args_is_help=True)
COLUMNS: Final = ("id", "status", "amount", "currency", "way", "wallet", "order_no", "created")
TIMELINE: Final = ("at", "kind", "what")

PaymentId = Annotated[str, typer.Argument(help="pay_…")]
Wait = Annotated[int | None, typer.Option("--wait", min=1, max=30, help="Seconds to wait.")]
Key = Annotated[str | None, typer.Option("--idempotency-key", "-i", help="Default: a new one.")]
Words = Annotated[list[str] | None, typer.Option("--metadata", help="name=value; more than once.")]


@app.command(cls=Asking)
def create(
    amount: Annotated[
        int,
        typer.Option(
            "--amount", parser=minor_units, metavar="<int>", help="In minor units: 3800 is 38.00."
        ),
    ],
    way: Annotated[str, typer.Option("--way", help="barcode, qr, cashier, jsapi, app or h5.")] = (
        "barcode"
    ),
    auth_code: Annotated[str | None, typer.Option("--auth-code", help="For barcode.")] = None,
    wallet: Annotated[str | None, typer.Option("--wallet", help="For qr, jsapi, app, h5.")] = None,
    currency: Annotated[str, typer.Option("--currency")] = "cny",
    order_no: Annotated[str | None, typer.Option("--order-no", help="Default: a new one.")] = None,
    store: Annotated[str | None, typer.Option("--store", help="sto_…")] = None,
    terminal: Annotated[str | None, typer.Option("--terminal", help="trm_…")] = None,
    subject: Annotated[str | None, typer.Option("--subject", help="What was bought.")] = None,
    openid: Annotated[str | None, typer.Option("--openid", help="The payer, for jsapi.")] = None,
    expires_in: Annotated[int | None, typer.Option("--expires-in", help="Seconds.")] = None,
    metadata: Words = None,
    wait: Wait = None,
    idempotency_key: Key = None,
    data: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Take a payment; one that shows a code has it drawn on a terminal.

    Example: tillway payments create --amount 3800 --auth-code 130000000000000001

    Example: tillway payments create --amount 3800 --way cashier
    """
    body: dict[str, Any] = {
        "order_no": order_no or new_key(),
        "amount": amount,
        "currency": currency,
        "way": way,
        "auth_code": auth_code,
        "wallet": wallet,
        "store": store,
        "terminal": terminal,
        "subject": subject,
        "payer": None if openid is None else {"openid": openid},
        "expires_in": expires_in,
        "metadata": _pairs(metadata),
    }
    given = {name: value for name, value in body.items() if value is not None}
    headers = {"Idempotency-Key": idempotency_key or new_key()}
    if wait is not None:
        headers["Prefer"] = f"wait={wait}"
    answer = call("POST", "/v1/payments", given, data=data, headers=headers)
    say(answer, as_json=as_json)
    if answer.get("code") and is_terminal() and not as_json:
        from gateway import qr

        print(qr.terminal(str(answer["code"]["payload"]), colors=True))


@app.command(cls=Asking)
def get(
    payment: PaymentId, wait: Wait = None, data: DataDir = None, as_json: AsJson = False
) -> None:
    """Show a payment; with --wait, hold until its status changes.

    Example: tillway payments get pay_… --wait 30
    """
    query = query_of(wait=wait)
    say(call("GET", f"/v1/payments/{payment}", data=data, query=query), as_json=as_json)


@app.command("list", cls=Asking)
def list_payments(
    limit: Limit = 10,
    status: Annotated[str | None, typer.Option("--status", help="E.g. succeeded.")] = None,
    order_no: Annotated[str | None, typer.Option("--order-no")] = None,
    store: Annotated[str | None, typer.Option("--store", help="sto_…")] = None,
    terminal: Annotated[str | None, typer.Option("--terminal", help="trm_…")] = None,
    channel: Annotated[str | None, typer.Option("--channel")] = None,
    way: Annotated[str | None, typer.Option("--way")] = None,
    business_date: Annotated[int | None, typer.Option("--business-date", help="20261122")] = None,
    starting_after: StartingAfter = None,
    data: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """The latest payments, newest first.

    Example: tillway payments list --status failed --limit 20
    """
    query = query_of(
        limit=limit,
        status=status,
        order_no=order_no,
        store=store,
        terminal=terminal,
        channel=channel,
        way=way,
        business_date=business_date,
        starting_after=starting_after,
    )
    answer = call("GET", "/v1/payments", data=data, query=query)
    say_rows(answer, answer.get("data", []), COLUMNS, as_json=as_json)


@app.command(cls=Asking)
def refund(
    payment: PaymentId,
    amount: Annotated[
        int | None,
        typer.Option("--amount", parser=minor_units, metavar="<int>", help="Default: all."),
    ] = None,
    reason: Annotated[str | None, typer.Option("--reason")] = None,
    idempotency_key: Key = None,
    data: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Give money back.

    Example: tillway payments refund pay_… --amount 1000 --reason 'cold noodles'
    """
    body = {"amount": amount, "reason": reason}
    given = {name: value for name, value in body.items() if value is not None}
    headers = {"Idempotency-Key": idempotency_key or new_key()}
    answer = call("POST", f"/v1/payments/{payment}/refunds", given, data=data, headers=headers)
    say(answer, as_json=as_json)


@app.command(cls=Asking)
def cancel(payment: PaymentId, data: DataDir = None, as_json: AsJson = False) -> None:
    """Cancel a payment: reverse, close, or refund it, whichever its state needs.

    Example: tillway payments cancel pay_…
    """
    say(call("POST", f"/v1/payments/{payment}/cancel", {}, data=data), as_json=as_json)


@app.command(cls=Asking)
def timeline(payment: PaymentId, data: DataDir = None, as_json: AsJson = False) -> None:
    """What happened to a payment, with milliseconds: states, channel, ledger, webhooks.

    Example: tillway payments timeline pay_…
    """
    answer = call("GET", f"/v1/payments/{payment}/timeline", data=data)
    rows = [
        {"at": line.get("at"), "kind": line.get("kind"), "what": _what(line)}
        for line in answer.get("data", [])
    ]
    say_rows(answer, rows, TIMELINE, as_json=as_json)


def _what(line: dict[str, Any]) -> str:
    """The rest of a line of the time line; postings as `account amount`."""
    words = []
    for name, value in line.items():
        if name in ("at", "kind") or value in (None, "", [], {}):
            continue
        if name == "postings":
            words.append("; ".join(f"{one['account']} {one['amount']:+}" for one in value))
        elif isinstance(value, list):
            words.append(f"{name}={','.join(map(str, value))}")
        else:
            words.append(str(value) if name == "detail" else f"{name}={value}")
    return "  ".join(words)


def act(verb: str, payment: str, data: Path | None) -> dict[str, Any]:
    """The payer acts on a shown code (test mode): pay, decline, pay_late or pay_twice."""
    return call("POST", f"/v1/test_helpers/payments/{payment}/{verb}", {}, data=data)


@app.command(cls=Asking)
def pay(
    payment: PaymentId,
    how: Annotated[str, typer.Option("--how", help="pay, decline, pay_late, pay_twice.")] = "pay",
    data: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Be the payer of a shown code; test mode only.

    Example: tillway payments pay pay_… --how decline
    """
    say(act(how, payment, data), as_json=as_json)


def _pairs(texts: list[str] | None) -> dict[str, str] | None:
    """`name=value` pairs as a table."""
    if not texts:
        return None
    found = [text.partition("=") for text in texts]
    for name, equals, _ in found:
        if not equals or not name:
            raise typer.BadParameter("a pair is name=value", param_hint="--metadata")
    return {name: value for name, _, value in found}


def new_key() -> str:
    """A new order number or idempotency key."""
    from payments.clock import SystemClock
    from payments.ids import IdMint

    return IdMint().body(SystemClock().real_ms(), 0)
