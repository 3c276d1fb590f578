"""`tillway accounts …` and `tillway balances`: where money goes, and what there is."""

from typing import Annotated, Final

import typer

from gateway.cli.client import Asking, call
from gateway.cli.options import AsJson, DataDir, Limit, StartingAfter, query_of
from gateway.cli.output import say, say_rows

app: Final = typer.Typer(no_args_is_help=True)
PATH: Final = "/v1/settlement_accounts"
COLUMNS: Final = ("id", "status", "name", "number", "bank", "receiver", "counts_from")
BALANCES: Final = ("currency", "pending", "available", "frozen", "in_transit", "debt")

Account = Annotated[str, typer.Argument(help="acc_…")]
Receiver = Annotated[str | None, typer.Option("--receiver", help="rcv_…; else the merchant's own.")]


@app.command(cls=Asking)
def register(
    name: Annotated[str, typer.Option("--name", help="Whose it is, as the bank writes it.")],
    number: Annotated[str, typer.Option("--number", help="1 to 34 letters and digits.")],
    bank: Annotated[str, typer.Option("--bank", help="Its clearing code or short name.")],
    receiver: Receiver = None,
    data: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Register a bank account; no money goes to it until somebody else has confirmed it.

    Example: tillway accounts register --name 'Lao Wang' --number 6222020200112233445 --bank icbc
    """
    body = {"name": name, "number": number, "bank": bank, "receiver": receiver}
    given = {key: value for key, value in body.items() if value is not None}
    say(call("POST", PATH, given, data=data), as_json=as_json)


@app.command(cls=Asking)
def confirm(account: Account, data: DataDir = None, as_json: AsJson = False) -> None:
    """Confirm an account, at first or anew; with a checker's key, not the key that registered it.

    Example: tillway accounts confirm acc_…
    """
    say(call("POST", f"{PATH}/{account}/confirm", {}, data=data), as_json=as_json)


@app.command("list", cls=Asking)
def list_accounts(
    receiver: Receiver = None,
    status: Annotated[str | None, typer.Option("--status", help="registered, confirmed.")] = None,
    limit: Limit = 10,
    starting_after: StartingAfter = None,
    data: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Registered accounts, newest first; of their numbers the last four characters.

    Example: tillway accounts list --status registered
    """
    query = query_of(limit=limit, receiver=receiver, status=status, starting_after=starting_after)
    answer = call("GET", PATH, data=data, query=query)
    say_rows(answer, answer.get("data", []), COLUMNS, as_json=as_json)


@app.command(cls=Asking)
def show(account: Account, data: DataDir = None, as_json: AsJson = False) -> None:
    """Show an account, and from when money goes to it.

    Example: tillway accounts show acc_…
    """
    say(call("GET", f"{PATH}/{account}", data=data), as_json=as_json)


def balances(receiver: Receiver = None, data: DataDir = None, as_json: AsJson = False) -> None:
    """What a merchant or a receiver has: earned, free to go, held, on its way, owed.

    Example: tillway balances --receiver rcv_…
    """
    answer = call("GET", "/v1/balances", data=data, query=query_of(receiver=receiver))
    say_rows(answer, answer.get("data", []), BALANCES, as_json=as_json)
