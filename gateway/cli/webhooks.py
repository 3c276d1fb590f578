"""`tillway webhooks …`: the endpoints that events are sent to, and sending events again."""

from typing import Annotated, Any, Final

import typer

from gateway.cli.client import Asking, call
from gateway.cli.options import AsJson, DataDir, Limit, StartingAfter, query_of
from gateway.cli.output import EXIT_CHECK_FAILED, complain, note, progress, say, say_rows

app: Final = typer.Typer(no_args_is_help=True)
PATH: Final = "/v1/webhook_endpoints"
COLUMNS: Final = ("id", "status", "url", "events", "description", "created")
TRIES: Final = ("event", "type", "status", "tries", "next_attempt_at", "created")

Endpoint = Annotated[str, typer.Argument(help="whk_…")]


def listed(text: str) -> list[str]:
    """The filters of a flag: `payment.*,refund.failed`."""
    return [part.strip() for part in text.split(",") if part.strip()]


@app.command("list", cls=Asking)
def list_endpoints(
    limit: Limit = 20,
    starting_after: StartingAfter = None,
    data: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """The endpoints, newest first."""
    query = query_of(limit=limit, starting_after=starting_after)
    answer = call("GET", PATH, data=data, query=query)
    rows = [{**one, "events": ",".join(one["events"])} for one in answer.get("data", [])]
    say_rows(answer, rows, COLUMNS, as_json=as_json)


@app.command(cls=Asking)
def create(
    address: Annotated[str, typer.Argument(help="Where events are sent to: https://…")],
    events: Annotated[
        str, typer.Option("--events", help="Types, with commas between; payment.*, or *.")
    ] = "*",
    description: Annotated[str | None, typer.Option("--description")] = None,
    data: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Make an endpoint. Its secret is shown now, and never again.

    Example: tillway webhooks create https://shop.example/hooks --events 'payment.*'
    """
    body: dict[str, Any] = {"url": address, "events": listed(events)}
    if description is not None:
        body["description"] = description
    answer = call("POST", PATH, body, data=data)
    say(answer, as_json=as_json)
    if not as_json:
        note("Keep the secret now: receivers verify signatures with it.")


@app.command(cls=Asking)
def get(endpoint: Endpoint, data: DataDir = None, as_json: AsJson = False) -> None:
    """Show an endpoint."""
    say(call("GET", f"{PATH}/{endpoint}", data=data), as_json=as_json)


@app.command(cls=Asking)
def delete(endpoint: Endpoint, data: DataDir = None, as_json: AsJson = False) -> None:
    """Remove an endpoint; what waits for it is not sent any more."""
    say(call("DELETE", f"{PATH}/{endpoint}", data=data), as_json=as_json)


@app.command(cls=Asking)
def enable(endpoint: Endpoint, data: DataDir = None, as_json: AsJson = False) -> None:
    """Send to an endpoint again that was disabled. What it missed: `webhooks replay`."""
    say(call("POST", f"{PATH}/{endpoint}/enable", {}, data=data), as_json=as_json)


@app.command(cls=Asking)
def roll(
    endpoint: Endpoint,
    overlap: Annotated[
        int, typer.Option("--overlap", min=0, help="Seconds in which both secrets sign.")
    ] = 86_400,
    data: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Give an endpoint a new secret; the old one signs beside it for a while.

    Example: tillway webhooks roll whk_… --overlap 3600
    """
    body = {"overlap_seconds": overlap}
    say(call("POST", f"{PATH}/{endpoint}/roll", body, data=data), as_json=as_json)


@app.command(cls=Asking)
def deliveries(
    endpoint: Endpoint,
    limit: Limit = 10,
    starting_after: StartingAfter = None,
    data: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """What was sent to an endpoint, with its tries, newest first."""
    query = query_of(limit=limit, starting_after=starting_after)
    answer = call("GET", f"{PATH}/{endpoint}/deliveries", data=data, query=query)
    say_rows(answer, answer.get("data", []), TRIES, as_json=as_json)


@app.command(cls=Asking)
def replay(
    after: Annotated[str | None, typer.Option("--after", help="evt_…: all since that one.")] = None,
    since: Annotated[str | None, typer.Option("--from", help="An instant, RFC 3339.")] = None,
    until: Annotated[str | None, typer.Option("--to", help="An instant, RFC 3339.")] = None,
    endpoint: Annotated[
        str | None, typer.Option("--endpoint", help="Only to this one; else to all that want it.")
    ] = None,
    data: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Send a range of events again. Receivers drop what they know, by `webhook-id`.

    Example: tillway webhooks replay --from 2026-11-22T08:00:00Z --endpoint whk_…
    """
    if after is None and since is None:
        raise typer.BadParameter("say since when: --after evt_…, or --from", param_hint="--after")
    body: dict[str, Any] = {"after": after, "from": since, "to": until, "endpoint": endpoint}
    total: dict[str, Any] = {
        "object": "resend",
        "events": 0,
        "deliveries": 0,
        "has_more": True,
        "last": None,
    }
    with progress("sending events again", None, quiet=as_json) as step:
        while total["has_more"]:
            given = {name: value for name, value in body.items() if value is not None}
            page = call("POST", "/v1/events/resend", given, data=data)
            for name in ("events", "deliveries"):
                total[name] += page[name]
            step(total["events"])
            moved = page.get("last") is not None and page["last"] != body["after"]
            total |= {"has_more": bool(page["has_more"]) and moved, "last": page.get("last")}
            body = {**body, "after": page.get("last"), "from": None}
    say(total, as_json=as_json)
    if not total["events"]:
        complain("no event in that range; `tillway events list` shows what there is")
        raise typer.Exit(EXIT_CHECK_FAILED)
