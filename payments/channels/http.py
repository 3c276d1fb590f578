"""The way to a channel: a pool of kept connections, with every bound set and nothing sent twice.

The one question that money hangs on is whether a request that got no answer may have arrived.
Until a connection is there, certainly not one byte of it has left: that is `NotSent`. From then on
it may have, whatever went wrong: that is `NoAnswer`, also where a kept connection turns out to be
closed, for the channel may have closed it after reading. Answers are read by llhttp; a client of
the usual kind costs five times the processor time, and repeats requests by itself.
"""

import asyncio
import ssl
from collections import deque
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

from payments.channels.http_connection import Connection, request_bytes
from payments.channels.transport import (
    ANSWER_MAX_BYTES,
    HttpAnswer,
    HttpRequest,
    NoAnswer,
    NotSent,
)

CONNECT_S: Final = 4.0
"""For a place in the pool, the name's address, TCP and TLS, together."""

KEEPALIVE_S: Final = 15.0
"""An idle connection is closed by us after this: sooner than channels close theirs."""

ORIGINS_MAX: Final = 256
"""Addresses taken apart and kept; a full cache starts anew."""

PORTS: Final = {"http": 80, "https": 443}


class HttpSettings(Struct, frozen=True):
    """`connections_max`: open at one time, waiting requests not counted."""

    connections_max: int = 64
    connect_s: float = CONNECT_S
    answer_bytes_max: int = ANSWER_MAX_BYTES


class Origin(Struct, frozen=True, gc=False):
    """Whom a connection leads to. `netloc`: as the Host header says it."""

    scheme: str
    host: str
    port: int
    netloc: str


class PooledClient:
    """`HttpClient` over one pool of connections. `close` it when done.

    `tls`: for tests alone; else the system's authorities, names checked, TLS 1.2 or newer.
    """

    def __init__(
        self, settings: HttpSettings | None = None, tls: ssl.SSLContext | None = None
    ) -> None:
        self._settings = settings or HttpSettings()
        self._tls = tls
        self._origins: dict[str, Origin] = {}
        self._idle: dict[Origin, list[Connection]] = {}
        self._open: set[Connection] = set()
        """Also those that are being made."""
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._sweeper: asyncio.TimerHandle | None = None
        self._is_closed = False
        self.counts = {"sent": 0, "not_sent": 0, "no_answer": 0, "connections": 0}

    async def send(self, request: HttpRequest) -> HttpAnswer:
        """One request, one answer. Raise NotSent or NoAnswer, nothing else."""
        if self._is_closed:
            raise NotSent("the way to the channel is closed")
        self.counts["sent"] += 1
        try:
            return await self._send(request)
        except NotSent:
            self.counts["not_sent"] += 1
            raise
        except NoAnswer:
            self.counts["no_answer"] += 1
            raise

    async def _send(self, request: HttpRequest) -> HttpAnswer:
        loop = asyncio.get_running_loop()
        until_s = loop.time() + request.timeout_s
        origin, target = self._taken_apart(request.url)
        content = request_bytes(request, origin.netloc, target)
        # Who waits for a place comes first.
        connection = None if self._waiting else self._kept(origin)
        if connection is None:
            connection = await self._connected(origin, request.timeout_s)
        if loop.time() >= until_s:
            self._back(origin, connection)
            raise NotSent(f"no connection within {request.timeout_s:g} s")
        late = loop.call_at(until_s, connection.give_up, request.timeout_s)
        try:
            return await connection.exchange(content)
        finally:
            late.cancel()
            self._back(origin, connection)

    def _taken_apart(self, url: str) -> tuple[Origin, str]:
        """Whom to ask, and what follows their address, exactly as it was signed."""
        scheme, mark, rest = url.partition("://")
        cut = min((at for at in (rest.find("/"), rest.find("?")) if at >= 0), default=len(rest))
        base, target = scheme + mark + rest[:cut], rest[cut:]
        origin = self._origins.get(base)
        if origin is None:
            origin = _origin(base)
            if len(self._origins) >= ORIGINS_MAX:
                self._origins.clear()
            self._origins[base] = origin
        return origin, target if target.startswith("/") else "/" + target

    # --- the pool -------------------------------------------------------------------------------

    def _kept(self, origin: Origin) -> Connection | None:
        """The connection that was used last, unless it was closed meanwhile."""
        kept = self._idle.get(origin)
        while kept:
            connection = kept.pop()
            if connection.is_open:
                return connection
        return None

    async def _connected(self, origin: Origin, timeout_s: float) -> Connection:
        """A connection to `origin`: a new one, or one that came back meanwhile. Raise NotSent."""
        limit_s = min(self._settings.connect_s, timeout_s)
        try:
            async with asyncio.timeout(limit_s):
                while len(self._open) >= self._settings.connections_max:
                    self._make_room(origin)
                    await self._place()
                    if (kept := self._kept(origin)) is not None:
                        return kept
                return await self._connect(origin)
        except TimeoutError:
            raise NotSent(f"no connection within {limit_s:g} s") from None

    async def _place(self) -> None:
        """Wait until a connection came back, or ended."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._next()  # It was our turn, and we are gone: the next one's.
            elif turn in self._waiting:
                self._waiting.remove(turn)
            raise

    def _next(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return

    def _make_room(self, origin: Origin) -> None:
        """Close an idle connection to somebody else; its place is free when the socket is gone."""
        for other, kept in self._idle.items():
            if kept and other != origin:
                kept.pop(0).abort()
                return

    async def _connect(self, origin: Origin) -> Connection:
        settings = self._settings
        tls = None
        if origin.scheme == "https":
            tls = self._tls = self._tls or _strict_tls()
        # It takes its place before it is made, and gives it back once, whenever it ends.
        connection = Connection(settings.answer_bytes_max, self._ended)
        self._open.add(connection)
        try:
            await asyncio.get_running_loop().create_connection(
                lambda: connection,
                origin.host,
                origin.port,
                ssl=tls,
                server_hostname=origin.host if tls else None,
            )
        except (OSError, ValueError) as error:
            # Only the kind: a text may hold the address with its query.
            raise NotSent(type(error).__name__) from None
        except asyncio.CancelledError:
            connection.abort()
            raise
        finally:
            if not connection.is_open:
                self._ended(connection)
        self.counts["connections"] += 1
        if self._is_closed or not connection.is_open:
            connection.abort()
            raise NotSent("the connection was closed before anything was sent")
        return connection

    def _ended(self, connection: Connection) -> None:
        """Its socket is gone, or never was: its place is free."""
        if connection in self._open:
            self._open.discard(connection)
            self._next()

    def _back(self, origin: Origin, connection: Connection) -> None:
        """An exchange is over: keep the connection for the next one, if it may be kept."""
        if not connection.is_open:
            return
        loop = asyncio.get_running_loop()
        connection.idle_since_s = loop.time()
        self._idle.setdefault(origin, []).append(connection)
        self._next()
        if self._sweeper is None:
            self._sweeper = loop.call_later(KEEPALIVE_S, self._sweep)

    def _sweep(self) -> None:
        """Close what was idle for too long; look again while anything is open."""
        loop = asyncio.get_running_loop()
        old_s = loop.time() - KEEPALIVE_S
        for origin, kept in list(self._idle.items()):
            for connection in kept:
                if connection.idle_since_s <= old_s:
                    connection.abort()
            self._idle[origin] = [each for each in kept if each.is_open]
            if not self._idle[origin]:
                del self._idle[origin]
        is_needed = bool(self._open) and not self._is_closed
        self._sweeper = loop.call_later(KEEPALIVE_S / 3, self._sweep) if is_needed else None

    async def close(self) -> None:
        """Cut whatever is under way; more is refused as not sent."""
        self._is_closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        for connection in tuple(self._open):
            connection.abort()
        await asyncio.sleep(0)


def _origin(base: str) -> Origin:
    """Take an address apart. Raise NotSent for one that nobody can be asked at."""
    try:
        parts = urlsplit(base)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise NotSent("the channel's address is not one") from None
    if parts.scheme not in PORTS or not host or "@" in parts.netloc:
        raise NotSent("the channel's address is not one")
    return Origin(parts.scheme, host, port or PORTS[parts.scheme], parts.netloc)


def _strict_tls() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
