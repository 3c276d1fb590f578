"""`tillway clock …`: business time of a test deployment, forward only."""

import asyncio
import re
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from gateway.cli import homecoming
from gateway.cli.client import Asking, Problem, call
from gateway.cli.options import AsJson, DataDir
from gateway.cli.output import EXIT_CHECK_FAILED, complain, note, say

app: Final = typer.Typer(no_args_is_help=True)
PATH: Final = "/v1/test_helpers/clocks"
SECONDS: Final = {"": 1, "s": 1, "m": 60, "h": 3_600, "d": 86_400}
POLL_S: Final = 0.1
TO_NEXT_SETTLEMENT: Final = "to-next-settlement"
STEP_S: Final = 6 * 3_600
STEPS_MAX: Final = 56
"""A fortnight: longer than the longest break of the banks."""

ENDS: Final = frozenset({"paid", "rejected", "returned"})
"""How a payout ends."""

Timeout = Annotated[int, typer.Option("--timeout", min=1, help="Seconds to wait.")]


@app.command(cls=Asking)
def get(data: DataDir = None, as_json: AsJson = False) -> None:
    """What time it is for the business.

    Example: tillway clock get --json
    """
    say(call("POST", PATH, {}, data=data), as_json=as_json)


@app.command(cls=Asking)
def advance(
    by: Annotated[
        str,
        typer.Argument(
            help="90, 90s, 5m, 2h or 1d; an instant, RFC 3339; or to-next-settlement.",
        ),
    ],
    timeout: Timeout = 60,
    data: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Move time forward, from timer to timer, wait until all is quiet, and tell what the money did.

    `to-next-settlement` moves on until a payout of the shop is paid or has come back.

    Example: tillway clock advance 1d
    """
    from payments.clock import SystemClock

    before = _look(data)
    ends = SystemClock().monotonic() + timeout
    is_settled = True
    after: dict[str, Any] | None = None
    if by == TO_NEXT_SETTLEMENT:
        if before is None:
            complain("a key of one shop is needed for that; say which with --merchant mch_…")
            raise typer.Exit(EXIT_CHECK_FAILED)
        clock, after, is_settled = _to_next_settlement(before, ends, data)
    else:
        found = re.fullmatch(r"([0-9]{1,9})([smhd]?)", by)
        body = {"to": by} if found is None else {"seconds": int(found[1]) * SECONDS[found[2]]}
        clock = moved(body, ends, data)
        if before is not None:
            after = homecoming.look(data)
    told = None if before is None or after is None else homecoming.story(before, after)
    if as_json:
        say(clock if told is None else {**clock, "money": told}, as_json=True)
    else:
        say(clock, as_json=False)
        if told is not None:
            say(told, as_json=False, text="\n" + homecoming.in_words(told))
    if clock["status"] != "ready":
        complain(f"still advancing after {timeout} s; ask again with `tillway clock get`")
        raise typer.Exit(EXIT_CHECK_FAILED)
    if not is_settled:
        complain(f"nothing was paid within {timeout} s or {STEPS_MAX} steps of {STEP_S // 3_600} h")
        raise typer.Exit(EXIT_CHECK_FAILED)


def _look(data: Path | None) -> dict[str, Any] | None:
    """How the money stands; None, and why, for a key that cannot see it."""
    try:
        return homecoming.look(data)
    except Problem as problem:
        note(f"what the money does is not told: {problem}")
        return None


def moved(body: dict[str, Any], ends: float, data: Path | None) -> dict[str, Any]:
    """The clock when it is quiet again, or when patience `ends`."""
    from payments.clock import SystemClock

    machine = SystemClock()
    clock = call("POST", PATH, {}, data=data)
    clock = call("POST", f"{PATH}/{clock['id']}/advance", body, data=data)
    while clock["status"] != "ready" and machine.monotonic() < ends:
        asyncio.run(asyncio.sleep(POLL_S))
        clock = call("GET", f"{PATH}/{clock['id']}", data=data)
    return clock


def _to_next_settlement(
    before: dict[str, Any], ends: float, data: Path | None
) -> tuple[dict[str, Any], dict[str, Any], bool]:
    """(The clock, the look, whether) after the first step in which a payout came to an end."""
    from payments.clock import SystemClock

    machine = SystemClock()
    steps = 0
    while True:
        clock = moved({"seconds": STEP_S}, ends, data)
        after = homecoming.look(data)
        steps += 1
        is_settled = _has_settled(before, after)
        if is_settled or steps == STEPS_MAX or machine.monotonic() >= ends:
            return clock, after, is_settled


def _has_settled(before: dict[str, Any], after: dict[str, Any]) -> bool:
    told = homecoming.story(before, after)
    return any(row["status"] in ENDS for row in (*told["instructions"], *told["withdrawals"]))
