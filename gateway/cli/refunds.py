"""`tillway refunds …`: refunds of a running gateway; `tillway payments refund` makes one."""

from typing import Annotated, Final

import typer

from gateway.cli.client import Asking, call
from gateway.cli.options import AsJson, DataDir, Limit, StartingAfter, query_of
from gateway.cli.output import say, say_rows

app: Final = typer.Typer(no_args_is_help=True)
COLUMNS: Final = ("id", "status", "amount", "currency", "method", "payment", "created")


@app.command(cls=Asking)
def get(
    refund: Annotated[str, typer.Argument(help="rfd_…")],
    data: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Show a refund.

    Example: tillway refunds get rfd_… --json
    """
    say(call("GET", f"/v1/refunds/{refund}", data=data), as_json=as_json)


@app.command("list", cls=Asking)
def list_refunds(
    payment: Annotated[str | None, typer.Option("--payment", help="Only of this one.")] = None,
    status: Annotated[str | None, typer.Option("--status", help="E.g. processing.")] = None,
    limit: Limit = 10,
    starting_after: StartingAfter = None,
    data: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """The latest refunds, newest first.

    Example: tillway refunds list --payment pay_…
    """
    query = query_of(limit=limit, payment=payment, status=status, starting_after=starting_after)
    answer = call("GET", "/v1/refunds", data=data, query=query)
    say_rows(answer, answer.get("data", []), COLUMNS, as_json=as_json)
