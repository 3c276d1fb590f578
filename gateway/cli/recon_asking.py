"""`tillway recon run|list|exceptions|propose|resolve`: what a running gateway is asked."""

from typing import Annotated, Any, Final, Literal

import typer

from gateway.cli.client import Asking, call
from gateway.cli.options import AsJson, DataDir, Limit, StartingAfter, query_of
from gateway.cli.output import EXIT_CHECK_FAILED, fields, note, say, say_rows

RUNS: Final = "/v1/reconciliations"
ITEMS: Final = "/v1/reconciliation_items"
RUN_COLUMNS: Final = ("id", "account", "bill_date", "status", "matched", "found", "open")
ITEM_COLUMNS: Final = ("id", "type", "status", "amount", "owner", "age_days", "proposal", "number")
FIVE: Final = ("matched", "ours_only", "theirs_only", "amount", "other")
"""What a comparison is told in: lines that agree, and four sorts that do not."""
THEIRS: Final = frozenset({"theirs_only", "unknown_order", "duplicate"})
AMOUNTS: Final = frozenset({"amount", "discount", "fee", "currency"})

Item = Annotated[str, typer.Argument(help="A difference, rci_…")]


def counted(counts: dict[str, int]) -> dict[str, int]:
    """The five counts of a comparison's counts by type."""
    five = dict.fromkeys(FIVE, 0)
    for kind, count in counts.items():
        name = "theirs_only" if kind in THEIRS else "amount" if kind in AMOUNTS else kind
        five[name if name in five else "other"] += count
    return five


def run(
    channel: Annotated[str, typer.Option("--channel", help="Our name of the channel account.")],
    date: Annotated[int, typer.Option("--date", help="The bill's day in China, yyyymmdd.")],
    data: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Let the gateway fetch a bill and compare it now. Exit code 1 when differences are open.

    Example: tillway recon run --channel wechat --date 20261121
    """
    answer = call("POST", RUNS, {"channel": channel, "bill_date": date}, data=data)
    opened = sum(answer.get("open", {}).values())
    shown = {"id": answer["id"], "status": answer["status"], **counted(answer["counts"])}
    say(answer, as_json=as_json, text=fields({**shown, "open": opened}))
    if answer["status"] == "running" and not as_json:
        note("it runs; ask again")
    if opened:
        raise typer.Exit(EXIT_CHECK_FAILED)


def list_runs(
    channel: Annotated[str | None, typer.Option("--channel")] = None,
    date: Annotated[int | None, typer.Option("--date", help="yyyymmdd")] = None,
    limit: Limit = 20,
    starting_after: StartingAfter = None,
    data: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """The comparisons of a running gateway, newest first. Exit code 1 when some are open."""
    query = query_of(channel=channel, bill_date=date, limit=limit, starting_after=starting_after)
    answer = call("GET", RUNS, data=data, query=query)
    rows = [_row(one) for one in answer["data"]]
    say_rows(answer, rows, RUN_COLUMNS, as_json=as_json)
    if any(row["open"] for row in rows):
        raise typer.Exit(EXIT_CHECK_FAILED)


def exceptions(
    reconciliation: Annotated[str | None, typer.Argument(help="A comparison, rec_…")] = None,
    kind: Annotated[str | None, typer.Option("--type", help="amount, ours_only, …")] = None,
    owner: Annotated[str | None, typer.Option("--owner", help="operations, finance")] = None,
    status: Annotated[Literal["open", "resolved"], typer.Option("--status")] = "open",
    limit: Limit = 20,
    starting_after: StartingAfter = None,
    data: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """The differences, newest first: the open ones. Exit code 1 when there are any.

    Example: tillway recon exceptions --type amount
    """
    query = query_of(
        reconciliation=reconciliation,
        type=kind,
        owner=owner,
        status=status,
        limit=limit,
        starting_after=starting_after,
    )
    answer = call("GET", ITEMS, data=data, query=query)
    rows = [{**one, "proposal": one["proposal"]["act"]} for one in answer["data"]]
    say_rows(answer, rows, ITEM_COLUMNS, as_json=as_json)
    if status == "open" and rows:
        raise typer.Exit(EXIT_CHECK_FAILED)


def propose(
    item: Item,
    why: Annotated[str, typer.Option("--note", help="Why, for the checker.")] = "",
    act: Annotated[
        str | None, typer.Option("--act", help="suspense, claim, …; else what is proposed.")
    ] = None,
    data: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """The maker's step: propose how a difference ends.

    Example: tillway recon propose rci_01KAR8VY000000000000000000 --note 'their letter of Monday'
    """
    body: dict[str, Any] = {"note": why} if act is None else {"note": why, "act": act}
    say(call("POST", f"{ITEMS}/{item}/propose", body, data=data), as_json=as_json)


def resolve(
    item: Item,
    decision: Annotated[Literal["accept", "reject"], typer.Argument()],
    reason: Annotated[str, typer.Option("--reason", help="Why; kept with it.")],
    data: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """The checker's step, with another key than the maker's: agree, or do not.

    Example: tillway recon resolve rci_01KAR8VY000000000000000000 accept --reason 'seen the letter'
    """
    body = {"decision": decision, "reason": reason}
    say(call("POST", f"{ITEMS}/{item}/resolve", body, data=data), as_json=as_json)


def _row(one: dict[str, Any]) -> dict[str, Any]:
    matched = one["counts"].get("matched", 0)
    return {
        **one,
        "matched": matched,
        "found": sum(one["counts"].values()) - matched,
        "open": sum(one["open"].values()),
    }


def add_to(app: typer.Typer) -> None:
    """Put these beside the commands that read files."""
    for function, name in (
        (run, "run"),
        (list_runs, "list"),
        (exceptions, "exceptions"),
        (propose, "propose"),
        (resolve, "resolve"),
    ):
        app.command(name, cls=Asking)(function)
