"""`tillway withdrawals …`: take money out, and let it go on or not."""

from typing import Annotated, Final

import typer

from gateway.cli.client import Asking, call
from gateway.cli.options import AsJson, DataDir, Limit, StartingAfter, minor_units, query_of
from gateway.cli.output import say, say_rows
from gateway.cli.payments import new_key

app: Final = typer.Typer(no_args_is_help=True)
PATH: Final = "/v1/withdrawals"
COLUMNS: Final = ("id", "status", "amount", "fee", "merchant", "receiver", "reason", "created")

WithdrawalId = Annotated[str, typer.Argument(help="wdr_…")]
Receiver = Annotated[str | None, typer.Option("--receiver", help="rcv_…; else the merchant's own.")]


@app.command(cls=Asking)
def create(
    amount: Annotated[
        int,
        typer.Option(
            "--amount", parser=minor_units, metavar="<int>", help="What is to arrive, minor units."
        ),
    ],
    receiver: Receiver = None,
    currency: Annotated[str, typer.Option("--currency")] = "cny",
    idempotency_key: Annotated[
        str | None, typer.Option("--idempotency-key", "-i", help="Default: a new one.")
    ] = None,
    data: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Take available money out, to the registered bank account.

    Example: tillway withdrawals create --amount 10000
    """
    body = {"amount": amount, "currency": currency, "receiver": receiver}
    given = {name: value for name, value in body.items() if value is not None}
    headers = {"Idempotency-Key": idempotency_key or new_key()}
    say(call("POST", PATH, given, data=data, headers=headers), as_json=as_json)


@app.command("list", cls=Asking)
def list_withdrawals(
    receiver: Receiver = None,
    status: Annotated[str | None, typer.Option("--status", help="E.g. in_review.")] = None,
    limit: Limit = 10,
    starting_after: StartingAfter = None,
    data: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """The latest withdrawals, newest first; an operator's key sees everybody's.

    Example: tillway withdrawals list --status in_review
    """
    query = query_of(limit=limit, receiver=receiver, status=status, starting_after=starting_after)
    answer = call("GET", PATH, data=data, query=query)
    say_rows(answer, answer.get("data", []), COLUMNS, as_json=as_json)


@app.command(cls=Asking)
def show(withdrawal: WithdrawalId, data: DataDir = None, as_json: AsJson = False) -> None:
    """Show a withdrawal.

    Example: tillway withdrawals show wdr_…
    """
    say(call("GET", f"{PATH}/{withdrawal}", data=data), as_json=as_json)


@app.command(cls=Asking)
def approve(withdrawal: WithdrawalId, data: DataDir = None, as_json: AsJson = False) -> None:
    """Let one that waits for review go on; with a checker's key, not the key that asked.

    Example: tillway withdrawals approve wdr_…
    """
    say(call("POST", f"{PATH}/{withdrawal}/approve", {}, data=data), as_json=as_json)


@app.command(cls=Asking)
def reject(
    withdrawal: WithdrawalId,
    reason: Annotated[str, typer.Option("--reason", help="Why.")],
    data: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Refuse one: its money is available again; with a checker's key.

    Example: tillway withdrawals reject wdr_… --reason 'the account is being changed'
    """
    body = {"reason": reason}
    say(call("POST", f"{PATH}/{withdrawal}/reject", body, data=data), as_json=as_json)
