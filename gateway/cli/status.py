"""`tillway status`: whether a running gateway is well."""

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.cli.client import Unreachable, call
from gateway.cli.options import AsJson, DataDir
from gateway.cli.output import (
    EXIT_CHECK_FAILED,
    EXIT_UNREACHABLE,
    complain,
    fields,
    say,
    say_rows,
)

Poll = Annotated[bool, typer.Option("--poll", help="Ask again and again, until Ctrl-C.")]
Rate = Annotated[float, typer.Option("--poll-rate", min=0.1, help="Seconds between two asks.")]
Until = Annotated[bool, typer.Option("--until-ready", help="Ask until it is ready; then exit 0.")]
Timeout = Annotated[int, typer.Option("--timeout", min=1, help="Seconds, for --until-ready.")]


def status(
    poll: Poll = False,
    poll_rate: Rate = 2.0,
    until_ready: Until = False,
    timeout: Timeout = 60,
    data: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Whether a running gateway is well, part by part. Exit code 1 when it is not ready.

    Example: tillway status --json

    Example: tillway status --until-ready --timeout 30 && ./run-my-tests
    """
    if until_ready:
        code = asyncio.run(_until_ready(data, as_json, timeout, poll_rate))
    elif poll:
        try:
            code = asyncio.run(_poll(data, as_json, poll_rate))
        except KeyboardInterrupt:
            code = 0  # That is how it ends.
    else:
        answer = call("GET", "/v1/status", data=data)
        _show(answer, as_json)
        code = 0 if answer.get("ready", False) else EXIT_CHECK_FAILED
        if code:
            complain("not ready; `curl <admin>/readyz?verbose` names the part, the log says why")
    raise typer.Exit(code)


async def _poll(data: Path | None, as_json: bool, rate_s: float) -> int:
    from gateway.cli.client import ask

    while True:
        try:
            answer = await ask("GET", "/v1/status", data=data)
        except Unreachable as error:
            answer = {"ready": False, "error": str(error)}
        if as_json:
            say(answer, as_json=True)
        else:
            print(_line(answer), flush=True)
        await asyncio.sleep(rate_s)


async def _until_ready(data: Path | None, as_json: bool, timeout_s: int, rate_s: float) -> int:
    """0 once it is ready; 3 when nobody answered to the end, 1 when somebody did."""
    from gateway.cli.client import ask

    said: dict[str, Any] | None = None
    trouble = "it never was"
    try:
        async with asyncio.timeout(timeout_s):
            while said is None or not said.get("ready"):
                try:
                    said = await ask("GET", "/v1/status", data=data)
                except Unreachable as error:
                    trouble = str(error)
                    await asyncio.sleep(rate_s)
                else:
                    if not said.get("ready"):
                        await asyncio.sleep(rate_s)
    except TimeoutError:
        complain(f"not ready after {timeout_s} s: {trouble}")
        return EXIT_UNREACHABLE if said is None else EXIT_CHECK_FAILED
    _show(said, as_json)
    return 0


def _show(answer: dict[str, Any], as_json: bool) -> None:
    if as_json:
        say(answer, as_json=True)
        return
    shards = answer.get("shards", [])
    say(answer, as_json=False, text=fields({k: v for k, v in answer.items() if k != "shards"}))
    if shards:
        print()
        say_rows(answer, shards, list(shards[0]), as_json=False)


def _line(answer: dict[str, Any]) -> str:
    words = {k: v for k, v in answer.items() if isinstance(v, str | int | bool) and k != "object"}
    parts = [f"{name}={value}" for name, value in words.items()]
    away = [str(s.get("name")) for s in answer.get("shards", []) if not s.get("ready", True)]
    if away:
        parts.append(f"away={','.join(away)}")
    return "  ".join(parts)
