"""A small client of a running gateway, and `tillway status`.

The address and the key come from TILLWAY_URL and TILLWAY_API_KEY, else from the server that was
started last on the data directory (--data, default: the demo's).
"""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import typer

from gateway.cli.options import AsJson, DataDir
from gateway.cli.output import EXIT_CHECK_FAILED, fields, say, table

TIMEOUT_S: Final = 40.0
"""Longer than the longest `wait` that a request may ask for."""


class Unreachable(Exception):
    """Nobody answers at the address."""


class Problem(Exception):
    """The server refused: its problem, in words."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        code = problem.get("code", "error")
        super().__init__(f"{status} {code}: {problem.get('detail') or problem.get('title', '')}")
        self.problem = problem


def call(
    method: str,
    path: str,
    body: Mapping[str, Any] | None = None,
    *,
    data: Path | None = None,
    query: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Ask the gateway. Raise Unreachable, or Problem for an answer that is no success."""
    url, key = _target(data)
    return asyncio.run(_call(method, url + path, key, body, query or {}, headers or {}))


async def _call(
    method: str,
    url: str,
    key: str,
    body: Mapping[str, Any] | None,
    query: Mapping[str, str],
    headers: Mapping[str, str],
) -> dict[str, Any]:
    import aiohttp

    sent = {"Authorization": f"Bearer {key}", **headers}
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    payload = None
    if body is not None:
        payload = json.dumps(body).encode()
        sent["Content-Type"] = "application/json"
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.request(method, url, data=payload, params=dict(query), headers=sent) as answer,
        ):
            raw = await answer.read()
            status = answer.status
    except (aiohttp.ClientConnectionError, TimeoutError) as error:
        raise Unreachable(
            f"nobody answers at {url}: {str(error) or 'timed out'}; start it with `tillway demo`"
        ) from None
    try:
        value = json.loads(raw or b"{}")
    except ValueError:
        raise Problem(status, {"detail": "the answer is not JSON: is this a gateway?"}) from None
    if status >= 400:
        raise Problem(status, value)
    return dict(value)


def _target(data: Path | None) -> tuple[str, str]:
    from gateway.settings import client_variables, default_data_dir, read_ready

    url, key = client_variables()
    if url is None or key is None:
        ready = read_ready(data if data is not None else default_data_dir("demo"))
        url = url or ready.get("api")
        key = key or ready.get("api_key")
    if url is None:
        raise Unreachable("no gateway was started here; set TILLWAY_URL, or run `tillway demo`")
    if key is None:
        raise Unreachable("no key; set TILLWAY_API_KEY")
    return url.rstrip("/"), key


def status(data: DataDir = None, as_json: AsJson = False) -> None:
    """Whether a running gateway is well, part by part. Exit code 1 when it is not ready.

    Example: tillway status --json
    """
    answer = call("GET", "/v1/status", data=data)
    head = {key: value for key, value in answer.items() if key != "shards"}
    shards = answer.get("shards", [])
    columns = list(shards[0]) if shards else []
    say(answer, as_json=as_json, text=f"{fields(head)}\n\n{table(shards, columns)}")
    if not answer.get("ready", False):
        raise typer.Exit(EXIT_CHECK_FAILED)
