"""`tillway listen`: events of a running gateway on this machine, as they come.

A temporary endpoint on loopback is registered and removed at the end. Each message's signature is
verified as a receiver should; with `--forward-to` it goes on, unchanged, to a program under
development, whose answer is given back: what that program refuses is retried.
"""

import asyncio
import hmac
import json
import signal
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from gateway.cli.client import Problem, Unreachable, ask, target
from gateway.cli.events import row_of
from gateway.cli.options import AsJson, DataDir
from gateway.cli.output import EXIT_CHECK_FAILED, complain, note, say
from gateway.cli.webhooks import PATH as ENDPOINTS
from gateway.cli.webhooks import listed

MADE_BY: Final = "tillway listen"
LOOPBACK: Final = ("127.0.0.1", "localhost", "::1", "[::1]", "0.0.0.0")  # noqa: S104 - a name
TOLERANCE_S: Final = 300
"""How far a message's time may be from ours (Standard Webhooks)."""

FORWARD_S: Final = 15
BODY_BYTES_MAX: Final = 1 << 20
KNOWN_MAX: Final = 10_000
CONNECT_S: Final = 0.5
WEBHOOK_HEADERS: Final = ("webhook-id", "webhook-timestamp", "webhook-signature", "content-type")

Events = Annotated[
    str, typer.Option("--events", "-e", help="Types, with commas between; payment.*, or *.")
]
ForwardTo = Annotated[
    str | None, typer.Option("--forward-to", "-f", help="Where each message goes on to.")
]
Port = Annotated[int, typer.Option("--port", min=0, max=65_535, help="0 picks a free one.")]
Count = Annotated[int, typer.Option("--count", min=0, help="End after so many; 0: on Ctrl-C.")]


def listen(
    events: Events = "*",
    forward_to: ForwardTo = None,
    port: Port = 0,
    count: Count = 0,
    data: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Print events as they come, verified, and pass them on. Ctrl-C ends it.

    Example: tillway listen --events 'payment.*' --forward-to http://127.0.0.1:3000/hooks
    """
    from yarl import URL

    host = URL(target(data)[0]).host
    if host not in LOOPBACK:
        raise typer.BadParameter(
            f"webhooks from {host} cannot reach this machine's loopback; run it beside the "
            "gateway, or make an endpoint: `tillway webhooks create`",
            param_hint="--url",
        )
    raise typer.Exit(asyncio.run(_Listener(events, forward_to, count, data, as_json).run(port)))


class _Listener:
    """One temporary endpoint, from its registration to its removal."""

    def __init__(
        self, events: str, forward_to: str | None, count: int, data: Path | None, as_json: bool
    ) -> None:
        self._events = listed(events)
        self._forward_to = forward_to
        self._left = count or None
        self._data = data
        self._as_json = as_json
        self._secret = b""
        self._known: dict[str, None] = {}
        self._over = asyncio.Event()
        self._forged = 0

    async def run(self, port: int) -> int:
        """Serve until the signal. The exit code: 1 when something came that was not signed."""
        import aiohttp
        from aiohttp import web

        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._over.set)
        app = web.Application(client_max_size=BODY_BYTES_MAX)
        app.router.add_post("/", self._hear)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        timeout = aiohttp.ClientTimeout(total=FORWARD_S)
        try:
            try:
                await web.TCPSite(runner, "127.0.0.1", port).start()
            except OSError as error:
                raise typer.BadParameter(f"{port}: {error.strerror}", param_hint="--port") from None
            async with aiohttp.ClientSession(timeout=timeout, auto_decompress=False) as session:
                self._session = session
                await self._sweep()
                identifier = await self._register(runner.addresses[0][1])
                try:
                    await self._over.wait()
                finally:
                    await self._remove(identifier)
        finally:
            await runner.cleanup()
        return EXIT_CHECK_FAILED if self._forged else 0

    # --- the endpoint --------------------------------------------------------------------------

    async def _register(self, port: int) -> str:
        import base64

        wish = {
            "url": f"http://127.0.0.1:{port}/",
            "events": self._events,
            "description": MADE_BY,
            "metadata": {"made_by": MADE_BY},
        }
        made = await ask("POST", ENDPOINTS, wish, data=self._data)
        secret = str(made["secret"])
        self._secret = base64.b64decode(secret.partition("_")[2])
        ready = f"> Ready! Your webhook signing secret is {secret} (^C to quit)"
        if self._as_json:
            note(ready)
        else:
            say(made, as_json=False, text=ready)
        return str(made["id"])

    async def _remove(self, identifier: str) -> None:
        try:
            await ask("DELETE", f"{ENDPOINTS}/{identifier}", data=self._data)
        except (Problem, Unreachable) as error:
            complain(
                f"the endpoint stays: {error}; remove it: tillway webhooks delete {identifier}"
            )

    async def _sweep(self) -> None:
        """Remove what an earlier run left that was killed: nobody listens at its address."""
        from yarl import URL

        page = await ask("GET", ENDPOINTS, data=self._data, query={"limit": "100"})
        for endpoint in page.get("data", []):
            if endpoint.get("metadata", {}).get("made_by") != MADE_BY:
                continue
            if not await self._is_heard(URL(endpoint["url"])):
                await self._remove(endpoint["id"])

    async def _is_heard(self, url: Any) -> bool:
        import aiohttp

        try:
            async with asyncio.timeout(CONNECT_S), self._session.get(url):
                return True
        except aiohttp.ClientConnectorError:
            return False
        except (aiohttp.ClientError, TimeoutError):
            return True  # Somebody is there, whoever it is.

    # --- messages ------------------------------------------------------------------------------

    async def _hear(self, request: Any) -> Any:
        from aiohttp import web

        body = await request.read()
        trouble = self._trouble(request.headers, body)
        if trouble:
            self._forged += 1
            complain(f"refused a message: {trouble}")
            return web.Response(status=400, text=trouble)
        status = 204
        if self._forward_to is not None:
            status = await self._forward(request.headers, body)
        self._show(request.headers["webhook-id"], json.loads(body), status)
        if self._left is not None and status < 300:
            self._left -= 1
            if self._left <= 0:
                asyncio.get_running_loop().call_soon(self._over.set)
        return web.Response(status=status)

    def _trouble(self, headers: Any, body: bytes) -> str:
        """Why a message is not believed; empty for one that is."""
        from payments.clock import SystemClock
        from payments.webhooks import signature

        identifier = headers.get("webhook-id", "")
        stamp = headers.get("webhook-timestamp", "")
        if not identifier.isascii() or not stamp.isdigit() or len(stamp) > 12:
            return "webhook-id or webhook-timestamp is missing"
        if abs(SystemClock().real_ms() // 1000 - int(stamp)) > TOLERANCE_S:
            return f"its time is more than {TOLERANCE_S} s away; is a clock wrong?"
        wanted = signature(self._secret, identifier, int(stamp), body).encode()
        given = headers.get("webhook-signature", "").split(" ")
        if not any(hmac.compare_digest(wanted, one.encode()) for one in given):
            return "no signature matches"
        return ""

    async def _forward(self, headers: Any, body: bytes) -> int:
        """Send it on as it came. The status to answer with: the program's, or 502."""
        import aiohttp

        sent = {name: headers[name] for name in WEBHOOK_HEADERS if name in headers}
        try:
            async with self._session.post(
                str(self._forward_to), data=body, headers=sent, allow_redirects=False
            ) as answer:
                return answer.status
        except (aiohttp.ClientError, TimeoutError) as error:
            complain(f"{self._forward_to}: {str(error) or 'timed out'}; is your program running?")
            return 502

    def _show(self, identifier: str, event: dict[str, Any], status: int) -> None:
        again = identifier in self._known
        self._known[identifier] = None
        while len(self._known) > KNOWN_MAX:
            del self._known[next(iter(self._known))]
        if self._as_json:
            line = {**event, "id": identifier, "again": again}
            if self._forward_to is not None:
                line["forwarded"] = status
            say(line, as_json=True)
            return
        row = row_of({**event, "id": identifier, "created": event.get("timestamp")})
        names = ("created", "type", "object", "status", "amount", "id")
        words = [str(row[name]) for name in names if row[name] is not None]
        if again:
            words.append("(again)")
        if self._forward_to is not None:
            words.append(f"-> {status}")
        say(row, as_json=False, text="  ".join(words))
