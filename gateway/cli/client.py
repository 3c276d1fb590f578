"""A small client of a running gateway.

Where it is, and with which key: `--url` and `--api-key`, else TILLWAY_URL and TILLWAY_API_KEY (or
TILLWAY_API_KEY_FILE), else the server that was started last on the data directory (`--data`,
default: the demo's). A key `key_…:hs_…` signs every request, as live mode wants it.
"""

import asyncio
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlencode

import typer
import typer.core

TIMEOUT_S: Final = 40.0
"""Longer than the longest `wait` that a request may ask for."""

PANEL: Final = "Which gateway"

HINTS: Final = {
    "unauthorized": "give the key with --api-key or TILLWAY_API_KEY; `tillway demo` prints its own",
    "insufficient_scope": 'use a key that has this scope, or one with scopes ["*"]',
    "merchant_required": "say for whom with --merchant mch_…",
    "not_found": "look it up with the `list` command; a key sees its own merchant's objects only",
    "idempotency_mismatch": "leave --idempotency-key out to have a new one",
    "order_in_progress": "wait for it, or cancel it: `tillway payments list --order-no …`",
    "order_already_paid": "take another --order-no",
    "overloaded": "wait a second and repeat it with the same --idempotency-key",
    "no_channel": "wait, and look at `tillway status`",
    "outcome_unknown": "repeat it with the same --idempotency-key: it may have happened",
}
"""What to do next, by the problem's code."""

_flags: dict[str, str | None] = {}


class Unreachable(Exception):
    """Nobody answers at the address."""


class Problem(Exception):
    """The server refused: its problem, in words."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        self.status = status
        self.problem = problem
        self.code = str(problem.get("code", "error"))
        said = str(problem.get("detail") or problem.get("title", ""))
        where = problem.get("param")
        text = f"{status} {self.code}: {f'{where}: ' if where else ''}{said}"
        hint = HINTS.get(self.code)
        super().__init__(f"{text} Next: {hint}." if hint else text)


class Asking(typer.core.TyperCommand):
    """A command that asks a running gateway: has the flags that say which, and for whom."""

    def __init__(self, *arguments: Any, **words: Any) -> None:
        words["params"] = [*(words.get("params") or []), *_connection_options()]
        super().__init__(*arguments, **words)


def _remember(parameter: typer.CallbackParam, value: str | None) -> str | None:
    _flags[str(parameter.name)] = value
    return value


def _flag(name: str, text: str) -> Any:
    return typer.Option(name, help=text, callback=_remember, rich_help_panel=PANEL)


def _which(
    url: Annotated[
        str | None, _flag("--url", "Its address; else TILLWAY_URL, else the demo's.")
    ] = None,
    api_key: Annotated[
        str | None, _flag("--api-key", "Seen in lists of processes: better TILLWAY_API_KEY[_FILE].")
    ] = None,
    merchant: Annotated[
        str | None, _flag("--merchant", "For whom an operator's or a platform's key acts.")
    ] = None,
) -> None:
    """Only its parameters are used."""


@cache
def _connection_options() -> tuple[Any, ...]:
    """Parameters that are remembered instead of passed on.

    Shared by all commands: made for each of them, they took a tenth of every start.
    """
    lonely = typer.Typer(add_completion=False)
    lonely.command()(_which)
    options: list[Any] = list(typer.main.get_command(lonely).params)
    for option in options:
        option.expose_value = False
    return tuple(options)


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
    return asyncio.run(ask(method, path, body, data=data, query=query, headers=headers))


async def ask(
    method: str,
    path: str,
    body: Mapping[str, Any] | None = None,
    *,
    data: Path | None = None,
    query: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The same, on a loop that runs already."""
    url, key = target(data)
    sent = dict(headers or {})
    merchant = _flags.get("merchant")
    if merchant is not None:
        sent["Tillway-Merchant"] = merchant
    return await _call(method, url + path, key, body, query or {}, sent)


async def _call(
    method: str,
    url: str,
    key: str,
    body: Mapping[str, Any] | None,
    query: Mapping[str, str],
    headers: Mapping[str, str],
) -> dict[str, Any]:
    import aiohttp
    from yarl import URL

    from gateway.cli.signing import credentials

    payload = None if body is None else json.dumps(body).encode()
    sent = dict(headers)
    if payload is not None:
        sent["Content-Type"] = "application/json"
    address = URL(f"{url}?{urlencode(query)}" if query else url, encoded=True)
    sent |= credentials(key, method, address, payload or b"", sent)
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.request(method, address, data=payload, headers=sent) as answer,
        ):
            raw = await answer.read()
            status = answer.status
    except (aiohttp.ClientConnectionError, aiohttp.InvalidURL, TimeoutError) as error:
        raise Unreachable(
            f"nobody answers at {url}: {str(error) or 'timed out'}; start it with `tillway demo`, "
            "or say where it is with --url"
        ) from None
    try:
        value = json.loads(raw or b"{}")
    except ValueError:
        raise Problem(status, {"detail": "the answer is not JSON: is this a gateway?"}) from None
    if status >= 400:
        raise Problem(status, value if isinstance(value, dict) else {})
    return value if isinstance(value, dict) else {"object": "list", "data": value}


def target(data: Path | None) -> tuple[str, str]:
    """Address and key of the gateway that is meant. Raise Unreachable when nobody said."""
    from gateway.settings import client_variables, default_data_dir, read_ready

    by_variable = client_variables()
    url = _flags.get("url") or by_variable[0]
    key = _flags.get("api_key") or by_variable[1]
    if url is None or key is None:
        ready = read_ready(data if data is not None else default_data_dir("demo"))
        if url is None:
            url = ready.get("api")
            key = key or ready.get("api_key")
        elif url.rstrip("/") == ready.get("api"):
            # The key of another server is nobody else's business.
            key = ready.get("api_key")
    if url is None:
        raise Unreachable(
            "no gateway was started here; run `tillway demo`, or set TILLWAY_URL (--url)"
        )
    if key is None:
        raise Unreachable(f"no key for {url}; set TILLWAY_API_KEY, or --api-key")
    return url.rstrip("/"), key
