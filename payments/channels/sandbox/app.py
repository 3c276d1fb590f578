"""The frame around a channel's sandbox: HTTP, faults, silence, and the `/_sandbox/` endpoints.

A channel's sandbox is a subclass of `SandboxApp` that lists its routes and renders the engine's
turns. The frame reads the raw body before anything parses it, draws each call's fate, delays the
answer, and lets no traceback out.
"""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable
from enum import StrEnum
from pathlib import Path
from random import Random
from typing import Final, Protocol

from aiohttp import web
from msgspec import Struct

from payments.channels.sandbox.bills import FEE_PPM, BillDesk, Files
from payments.channels.sandbox.books import Books
from payments.channels.sandbox.control import Control, answer
from payments.channels.sandbox.courier import Courier, Plan, Post, blame
from payments.channels.sandbox.engine import Engine
from payments.channels.sandbox.faults import Fate, FaultMaker, Faults
from payments.channels.sandbox.turns import MovableClock, News, Rules

BODY_MAX_BYTES: Final = 262_144
"""Longest request body; no payment call comes near it."""

CALLS_MAX: Final = 4_096
"""Calls at one time; more are answered with the channel's "too many requests"."""

BACKLOG: Final = 1_024
"""Connections that come in one moment and wait to be accepted. What is above is dropped by the
kernel, and its client tries again after a second."""

SILENCE_S: Final = 60.0
"""A call that is never answered ends by itself after this long, should the client stay."""

WAKE_MAX_S: Final = 60.0
"""The sandbox looks at its clock at least this often, real seconds."""

SHUTDOWN_S: Final = 2.0
"""Calls under way at the end get this long."""

FIRST_SERIAL_MAX: Final = 1_000_000_000_000
"""Numbers of a new sandbox begin below this, so that two without a folder hardly meet."""

log = logging.getLogger(__name__)


class Silence(Exception):
    """Raised by a handler: this call is never answered."""


class Call(Struct, frozen=True):
    """A request with its body as it came. `unsigned`: the answer is to be signed wrongly."""

    request: web.Request
    raw: bytes
    unsigned: bool = False


class Trouble(StrEnum):
    """An answer that the frame needs and only the channel can word."""

    ERROR = "error"
    """System error: the result is unknown to the caller."""
    BUSY = "busy"
    TOO_LARGE = "too_large"
    NOT_FOUND = "not_found"
    METHOD = "method"
    """The path exists, with another method."""
    BAD_REQUEST = "bad_request"


Handler = Callable[[Call], Awaitable[web.Response]]


class Route(Struct, frozen=True):
    """One of the channel's endpoints. `operation` names it for the fault settings: a fixed name,
    or one found in the request (one address, many methods).
    """

    method: str
    path: str
    handler: Handler
    operation: str | Callable[[web.Request, bytes], str] = ""


class SandboxSettings(Struct, frozen=True):
    """`folder` None: memory only.

    `retry_factor` shrinks the callbacks' retry plan for tests. `fee_ppm`: what the channel charges
    in its bills, parts per million.
    """

    folder: Path | None = None
    faults: Faults = Faults()
    retry_factor: float = 1.0
    fee_ppm: int = FEE_PPM


STATUSES: Final = {
    Trouble.ERROR: 500,
    Trouble.BUSY: 429,
    Trouble.TOO_LARGE: 413,
    Trouble.NOT_FOUND: 404,
    Trouble.METHOD: 405,
    Trouble.BAD_REQUEST: 400,
}
TROUBLES: Final = {
    404: Trouble.NOT_FOUND,
    405: Trouble.METHOD,
    413: Trouble.TOO_LARGE,
    400: Trouble.BAD_REQUEST,
}


class SandboxApp(ABC):
    """See the module. Books are opened here: raise BooksInUse, BooksDamaged, OSError."""

    def __init__(
        self,
        settings: SandboxSettings,
        clock: MovableClock,
        random: Random,
        rules: Rules,
        plan: Plan,
    ) -> None:
        first = random.randrange(1, FIRST_SERIAL_MAX)
        self.clock = clock
        self.random = random
        self.books = Books(settings.folder, first)
        self.engine = Engine(self.books, clock, rules)
        self.bills = BillDesk(self.engine, self.books, settings.fee_ppm)
        self.files = Files(clock, random)
        self.faults = FaultMaker(settings.faults, random)
        self.courier = Courier(self, plan, self.faults, self._settled)
        self.courier.retry_factor = settings.retry_factor
        self.engine.listeners.append(self.courier.send)
        self.calls = 0
        """Calls under way: for reading."""
        self._stopping = asyncio.Event()
        self._look = asyncio.Event()
        """Set when the clock's task has to look again what is due."""

    # --- what a channel brings ---------------------------------------------------------------

    @abstractmethod
    def routes(self) -> list[Route]:
        """The channel's endpoints."""

    @abstractmethod
    async def trouble(self, trouble: Trouble, request: web.Request, raw: bytes) -> web.Response:
        """An error in the channel's own words. `raw` is empty where the body was not read."""

    @abstractmethod
    async def post(self, news: News, attempt: int) -> Post | None:
        """See `Postman.post`."""

    @abstractmethod
    def accepted(self, status: int, body: bytes) -> bool:
        """See `Postman.accepted`."""

    async def probe(self, news: News) -> Post | None:
        """See `Postman.probe`."""
        return None

    # --- the application -----------------------------------------------------------------------

    def application(self) -> web.Application:
        """The aiohttp application; `serve` runs it."""
        app = web.Application(middlewares=[self._guard], client_max_size=BODY_MAX_BYTES)
        for route in self.routes():
            app.router.add_route(route.method, route.path, self._framed(route))
        Control(self.engine, self.faults, self.courier, self.bills, self._look.set).add_to(app)
        app.cleanup_ctx.append(self._running)
        app.on_shutdown.append(self._shut)
        return app

    async def _running(self, app: web.Application) -> AsyncIterator[None]:
        self.courier.start(self.engine.owed())
        ticking = asyncio.get_running_loop().create_task(self._tick())
        yield
        ticking.cancel()
        await asyncio.gather(ticking, return_exceptions=True)
        await self.courier.stop()
        self.books.close()

    def _settled(self, news_id: int) -> None:
        try:
            self.engine.settle(news_id)
        except OSError as error:
            # The line is kept for the next write; lost, it costs one callback more after a restart.
            log.error("the books cannot be written: %s", error.strerror)

    async def _shut(self, app: web.Application) -> None:
        self._stopping.set()

    async def _tick(self) -> None:
        """Let things happen when they are due, although nobody asks."""
        while True:
            self._look.clear()
            wait_s = WAKE_MAX_S
            try:
                self.engine.wake()
                if (due := self.engine.next_due()) is not None:
                    wait_s = min(wait_s, (due - self.clock.now_ms()) / 1000)
            except OSError as error:
                log.error("the books cannot be written: %s", error.strerror)
            try:
                async with asyncio.timeout(max(wait_s, 0)):
                    await self._look.wait()
            except TimeoutError:
                continue

    # --- one call ------------------------------------------------------------------------------

    def _framed(self, route: Route) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            raw = await request.read()
            name = route.operation
            fate = self.faults.draw(name if isinstance(name, str) else name(request, raw))
            if fate == Fate.BUSY or self.calls >= CALLS_MAX:
                return await self.trouble(Trouble.BUSY, request, raw)
            self.calls += 1
            try:
                return await self._meet(fate, route, request, raw)
            except Silence:
                return await self._hold(request)
            finally:
                self.calls -= 1

        return handle

    async def _meet(
        self, fate: Fate, route: Route, request: web.Request, raw: bytes
    ) -> web.StreamResponse:
        """Decide on arrival, answer after the latency."""
        if fate == Fate.HANG:
            raise Silence
        if fate == Fate.ERROR:
            made = await self.trouble(Trouble.ERROR, request, raw)
        else:
            try:
                made = await route.handler(Call(request, raw, fate == Fate.UNSIGNED))
            finally:
                self._look.set()
        if (latency_s := self.faults.latency_s()) > 0:
            await asyncio.sleep(latency_s)
        if fate == Fate.LOST:
            return await self.trouble(Trouble.ERROR, request, raw)
        return cut(request) if fate == Fate.DROP else made

    async def _hold(self, request: web.Request) -> web.StreamResponse:
        """Keep the client waiting until it goes, the sandbox stops, or SILENCE_S."""
        try:
            async with asyncio.timeout(SILENCE_S):
                await self._stopping.wait()
        except TimeoutError:
            log.debug("a call that is never answered ends")
        return cut(request)

    @web.middleware
    async def _guard(
        self,
        request: web.Request,
        handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
    ) -> web.StreamResponse:
        """No traceback leaves; unknown paths and methods are answered as the channel does."""
        try:
            return await handler(request)
        except web.HTTPException as error:
            trouble = TROUBLES.get(error.status, Trouble.BAD_REQUEST)
        except Exception as error:
            log.error("a call failed: %s", blame(error))
            trouble = Trouble.ERROR
        if request.path.startswith(Control.PREFIX):
            return answer(STATUSES[trouble], {"error": trouble.replace("_", " ")})
        return await self.trouble(trouble, request, b"")


def cut(request: web.Request) -> web.Response:
    """End the connection without an answer. What is returned is for aiohttp and goes nowhere."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=STATUSES[Trouble.ERROR])


def spoiled(signature: bytes) -> bytes:
    """A signature of the right shape that verifies nothing: one bit of it is another."""
    return signature[:-1] + bytes([signature[-1] ^ 1]) if signature else b"\x01"


class Served(Struct, frozen=True):
    """A sandbox that runs. `url` has no slash at its end."""

    url: str
    stop: Callable[[], Awaitable[None]]


class Sandbox(Protocol):
    """Whatever can be served: a channel's sandbox, or the bank's."""

    def application(self) -> web.Application: ...


async def serve(sandbox: Sandbox, host: str = "127.0.0.1", port: int = 0) -> Served:
    """Run the sandbox on this address (port 0: any free one). Raise OSError."""
    runner = web.AppRunner(
        sandbox.application(),
        access_log=None,
        handler_cancellation=True,
        shutdown_timeout=SHUTDOWN_S,
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, backlog=BACKLOG).start()
    except OSError:
        await runner.cleanup()
        raise
    bound = runner.addresses[0]
    name = f"[{bound[0]}]" if ":" in bound[0] else bound[0]
    return Served(f"http://{name}:{bound[1]}", runner.cleanup)
