"""`tillway payments …`: typed requests to a running gateway."""

from typing import Annotated, Any, Final

import typer

from gateway.cli.client import call
from gateway.cli.options import AsJson, DataDir
from gateway.cli.output import say, table

app: Final = typer.Typer(no_args_is_help=True)
COLUMNS: Final = ("id", "status", "amount", "currency", "way", "wallet", "order_no", "created")

PaymentId = Annotated[str, typer.Argument(help="pay_…")]
Wait = Annotated[int | None, typer.Option("--wait", min=1, max=30, help="Seconds to wait.")]
Key = Annotated[str | None, typer.Option("--idempotency-key", "-i", help="Default: a new one.")]


@app.command()
def create(
    amount: Annotated[int, typer.Option("--amount", min=1, help="In minor units: 3800 is 38.00.")],
    way: Annotated[str, typer.Option("--way", help="barcode, qr or cashier.")] = "barcode",
    auth_code: Annotated[str | None, typer.Option("--auth-code")] = None,
    wallet: Annotated[str | None, typer.Option("--wallet", help="For qr.")] = None,
    currency: Annotated[str, typer.Option("--currency")] = "cny",
    order_no: Annotated[str | None, typer.Option("--order-no", help="Default: a new one.")] = None,
    terminal: Annotated[str | None, typer.Option("--terminal")] = None,
    idempotency_key: Key = None,
    data: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Take a payment.

    Example: tillway payments create --amount 3800 --auth-code 130000000000000001
    """
    body: dict[str, Any] = {
        "order_no": order_no or new_key(),
        "amount": amount,
        "currency": currency,
        "way": way,
        "auth_code": auth_code,
        "wallet": wallet,
        "terminal": terminal,
    }
    given = {name: value for name, value in body.items() if value is not None}
    headers = {"Idempotency-Key": idempotency_key or new_key()}
    say(call("POST", "/v1/payments", given, data=data, headers=headers), as_json=as_json)


@app.command()
def get(
    payment: PaymentId, wait: Wait = None, data: DataDir = None, as_json: AsJson = False
) -> None:
    """Show a payment; with --wait, hold until its status changes."""
    query = {} if wait is None else {"wait": str(wait)}
    say(call("GET", f"/v1/payments/{payment}", data=data, query=query), as_json=as_json)


@app.command("list")
def list_payments(
    limit: Annotated[int, typer.Option("--limit", min=1, max=100)] = 10,
    status: Annotated[str | None, typer.Option("--status")] = None,
    order_no: Annotated[str | None, typer.Option("--order-no")] = None,
    starting_after: Annotated[str | None, typer.Option("--starting-after")] = None,
    data: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """The latest payments, newest first."""
    wanted = {"limit": str(limit), "status": status, "order_no": order_no}
    wanted["starting_after"] = starting_after
    query = {name: value for name, value in wanted.items() if value is not None}
    answer = call("GET", "/v1/payments", data=data, query=query)
    say(answer, as_json=as_json, text=table(answer.get("data", []), COLUMNS))


@app.command()
def refund(
    payment: PaymentId,
    amount: Annotated[int | None, typer.Option("--amount", min=1, help="Default: all.")] = None,
    reason: Annotated[str | None, typer.Option("--reason")] = None,
    idempotency_key: Key = None,
    data: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Give money back."""
    body = {"amount": amount, "reason": reason}
    given = {name: value for name, value in body.items() if value is not None}
    headers = {"Idempotency-Key": idempotency_key or new_key()}
    answer = call("POST", f"/v1/payments/{payment}/refunds", given, data=data, headers=headers)
    say(answer, as_json=as_json)


@app.command()
def cancel(payment: PaymentId, data: DataDir = None, as_json: AsJson = False) -> None:
    """Cancel a payment: reverse, close, or refund it, whichever its state needs."""
    say(call("POST", f"/v1/payments/{payment}/cancel", {}, data=data), as_json=as_json)


def new_key() -> str:
    """A new order number or idempotency key."""
    from payments.clock import SystemClock
    from payments.ids import IdMint

    return IdMint().body(SystemClock().real_ms(), 0)
