"""`tillway events …`: what happened, and sending it again."""

from typing import Annotated, Any, Final

import typer

from gateway.cli.client import Asking, call
from gateway.cli.options import AsJson, DataDir, Limit, StartingAfter, query_of
from gateway.cli.output import say, say_rows

app: Final = typer.Typer(no_args_is_help=True)
COLUMNS: Final = ("id", "type", "object", "status", "amount", "created")
DELIVERIES: Final = ("endpoint", "status", "tries", "next_attempt_at", "url")

Event = Annotated[str, typer.Argument(help="evt_…")]


def row_of(event: dict[str, Any]) -> dict[str, Any]:
    """An event on one line: its type, and the object that it is about."""
    told = event.get("data", {})
    return {
        "id": event.get("id"),
        "type": event.get("type"),
        "object": told.get("id"),
        "status": told.get("status"),
        "amount": told.get("amount"),
        "created": event.get("created"),
    }


@app.command("list", cls=Asking)
def list_events(
    kind: Annotated[str | None, typer.Option("--type", help="payment.succeeded, refund.*")] = None,
    payment: Annotated[str | None, typer.Option("--payment", help="Only of this one.")] = None,
    limit: Limit = 10,
    starting_after: StartingAfter = None,
    data: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """The latest events, newest first.

    Example: tillway events list --type 'refund.*'
    """
    query = query_of(limit=limit, type=kind, payment=payment, starting_after=starting_after)
    answer = call("GET", "/v1/events", data=data, query=query)
    say_rows(answer, [row_of(one) for one in answer.get("data", [])], COLUMNS, as_json=as_json)


@app.command(cls=Asking)
def get(event: Event, data: DataDir = None, as_json: AsJson = False) -> None:
    """Show an event, with the object as it then was."""
    say(call("GET", f"/v1/events/{event}", data=data), as_json=as_json)


@app.command(cls=Asking)
def deliveries(event: Event, data: DataDir = None, as_json: AsJson = False) -> None:
    """Where an event was sent to, and what became of it."""
    answer = call("GET", f"/v1/events/{event}/deliveries", data=data)
    say_rows(answer, answer.get("data", []), DELIVERIES, as_json=as_json)


@app.command(cls=Asking)
def resend(
    event: Event,
    endpoint: Annotated[
        str | None, typer.Option("--endpoint", help="Only to this one; else to all that want it.")
    ] = None,
    data: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Send an event again, under the same `webhook-id`.

    Example: tillway events resend evt_… --endpoint whk_…
    """
    body = {} if endpoint is None else {"endpoint": endpoint}
    answer = call("POST", f"/v1/events/{event}/resend", body, data=data)
    say_rows(answer, answer.get("data", []), DELIVERIES, as_json=as_json)
