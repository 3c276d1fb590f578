"""`tillway freezes …`: money that is held for a reason."""

from typing import Annotated, Final

import typer

from gateway.cli.client import Asking, call
from gateway.cli.options import AsJson, DataDir, Limit, StartingAfter, minor_units, query_of
from gateway.cli.output import say, say_rows
from gateway.cli.payments import new_key

app: Final = typer.Typer(no_args_is_help=True)
PATH: Final = "/v1/freezes"
COLUMNS: Final = ("id", "status", "amount", "merchant", "receiver", "reason", "created")

FreezeId = Annotated[str, typer.Argument(help="frz_…")]
Receiver = Annotated[str | None, typer.Option("--receiver", help="rcv_…; else the merchant's own.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; it is kept.")]


@app.command(cls=Asking)
def create(
    amount: Annotated[
        int, typer.Option("--amount", parser=minor_units, metavar="<int>", help="Minor units.")
    ],
    reason: Reason,
    receiver: Receiver = None,
    currency: Annotated[str, typer.Option("--currency")] = "cny",
    idempotency_key: Annotated[
        str | None, typer.Option("--idempotency-key", "-i", help="Default: a new one.")
    ] = None,
    data: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Hold available money back; with a platform's or an operator's key.

    Example: tillway freezes create --merchant mch_… --amount 5000 --reason 'court order 2026-117'
    """
    body = {"amount": amount, "currency": currency, "reason": reason, "receiver": receiver}
    given = {name: value for name, value in body.items() if value is not None}
    headers = {"Idempotency-Key": idempotency_key or new_key()}
    say(call("POST", PATH, given, data=data, headers=headers), as_json=as_json)


@app.command("list", cls=Asking)
def list_freezes(
    receiver: Receiver = None,
    limit: Limit = 10,
    starting_after: StartingAfter = None,
    data: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """The latest freezes, newest first.

    Example: tillway freezes list --receiver rcv_…
    """
    query = query_of(limit=limit, receiver=receiver, starting_after=starting_after)
    answer = call("GET", PATH, data=data, query=query)
    say_rows(answer, answer.get("data", []), COLUMNS, as_json=as_json)


@app.command(cls=Asking)
def show(freeze: FreezeId, data: DataDir = None, as_json: AsJson = False) -> None:
    """Show a freeze.

    Example: tillway freezes show frz_…
    """
    say(call("GET", f"{PATH}/{freeze}", data=data), as_json=as_json)


@app.command(cls=Asking)
def release(
    freeze: FreezeId, reason: Reason, data: DataDir = None, as_json: AsJson = False
) -> None:
    """Give frozen money back, whole.

    Example: tillway freezes release frz_… --reason 'the order was lifted'
    """
    body = {"reason": reason}
    say(call("POST", f"{PATH}/{freeze}/release", body, data=data), as_json=as_json)
