"""`tillway clock …`: business time of a test deployment, forward only."""

import asyncio
import re
from typing import Annotated, Final

import typer

from gateway.cli.client import Asking, call
from gateway.cli.options import AsJson, DataDir
from gateway.cli.output import EXIT_CHECK_FAILED, complain, say

app: Final = typer.Typer(no_args_is_help=True)
PATH: Final = "/v1/test_helpers/clocks"
SECONDS: Final = {"": 1, "s": 1, "m": 60, "h": 3_600, "d": 86_400}
POLL_S: Final = 0.1


@app.command(cls=Asking)
def get(data: DataDir = None, as_json: AsJson = False) -> None:
    """What time it is for the business.

    Example: tillway clock get --json
    """
    say(call("POST", PATH, {}, data=data), as_json=as_json)


@app.command(cls=Asking)
def advance(
    by: Annotated[str, typer.Argument(help="90, 90s, 5m, 2h or 1d; or an instant, RFC 3339.")],
    timeout: Annotated[int, typer.Option("--timeout", min=1, help="Seconds to wait.")] = 60,
    data: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Move time forward, from timer to timer, and wait until all is quiet.

    Example: tillway clock advance 1d
    """
    from payments.clock import SystemClock

    found = re.fullmatch(r"([0-9]{1,9})([smhd]?)", by)
    body = {"to": by} if found is None else {"seconds": int(found[1]) * SECONDS[found[2]]}
    clock = call("POST", PATH, {}, data=data)
    clock = call("POST", f"{PATH}/{clock['id']}/advance", body, data=data)
    machine = SystemClock()
    ends = machine.monotonic() + timeout
    while clock["status"] != "ready" and machine.monotonic() < ends:
        asyncio.run(asyncio.sleep(POLL_S))
        clock = call("GET", f"{PATH}/{clock['id']}", data=data)
    say(clock, as_json=as_json)
    if clock["status"] != "ready":
        complain(f"still advancing after {timeout} s; ask again with `tillway clock get`")
        raise typer.Exit(EXIT_CHECK_FAILED)
