"""`tillway settlements …`: instructions to the bank, and the second person's word on them."""

from typing import Annotated, Final

import typer

from gateway.cli.client import Asking, call
from gateway.cli.options import AsJson, DataDir, Limit, StartingAfter, query_of
from gateway.cli.output import say, say_rows

app: Final = typer.Typer(no_args_is_help=True)
PATH: Final = "/v1/settlement_instructions"
COLUMNS: Final = ("id", "status", "amount", "merchant", "receiver", "number", "reason", "created")

Instruction = Annotated[str, typer.Argument(help="ins_…")]


@app.command("list", cls=Asking)
def list_instructions(
    status: Annotated[str | None, typer.Option("--status", help="E.g. drafted.")] = None,
    limit: Limit = 10,
    starting_after: StartingAfter = None,
    data: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """The latest instructions, newest first; an operator's key sees everybody's.

    Example: tillway settlements list --status drafted
    """
    query = query_of(limit=limit, status=status, starting_after=starting_after)
    answer = call("GET", PATH, data=data, query=query)
    say_rows(answer, answer.get("data", []), COLUMNS, as_json=as_json)


@app.command(cls=Asking)
def show(instruction: Instruction, data: DataDir = None, as_json: AsJson = False) -> None:
    """Show an instruction: to whom, how much, and what the bank says.

    Example: tillway settlements show ins_… --json
    """
    say(call("GET", f"{PATH}/{instruction}", data=data), as_json=as_json)


@app.command(cls=Asking)
def check(instruction: Instruction, data: DataDir = None, as_json: AsJson = False) -> None:
    """Check a draft, so that it is sent; with a checker's key, not the key that drafted it.

    Example: tillway settlements check ins_…
    """
    say(call("POST", f"{PATH}/{instruction}/check", {}, data=data), as_json=as_json)


@app.command("turn-down", cls=Asking)
def turn_down(
    instruction: Instruction,
    reason: Annotated[str, typer.Option("--reason", help="Why.")],
    data: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Turn a draft down: nothing is sent, the money is available again.

    Example: tillway settlements turn-down ins_… --reason 'wrong account'
    """
    body = {"reason": reason}
    say(call("POST", f"{PATH}/{instruction}/turn_down", body, data=data), as_json=as_json)
