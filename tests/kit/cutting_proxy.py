"""A TCP proxy on loopback that cuts the wire between a connector and its channel, as scripted.

It understands just enough of HTTP/1.1 to know where a request and its answer end; what it forwards
are the bytes that came. A cut is chosen for each request: the first rule that matches and is not
used up. Nothing waits for the machine's time: a test waits for `Rule.arrived` (the request is here,
whole), `Rule.taken` (the channel's whole answer is here) and `Rule.done` (the cut was made).
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable
from typing import Final

from msgspec import Struct

HEAD_MAX: Final = 65_536
BODY_MAX: Final = 4 << 20
BACKLOG: Final = 1_024
"""Connections that come in one moment; for one too many the kernel would wait a second."""

RST: Final = struct.pack("ii", 1, 0)
"""SO_LINGER of zero seconds: closing the socket resets the connection."""


class Cut(Struct, frozen=True):
    """What happens to one exchange.

    `request_bytes`, `answer_bytes`: so many are let through, then the wire is cut; None: all of
    them. `reset`: cut with RST and not with FIN. `silent`: not cut at all, and nothing more said.
    """

    request_bytes: int | None = None
    answer_bytes: int | None = None
    reset: bool = False
    silent: bool = False
    delay_s: float = 0.0
    """The whole answer is held back for so long."""
    held: bool = False
    """The request is held back until `Rule.release`, although the client may be gone by then."""


PASS: Final = Cut()
LOSE_ANSWER: Final = Cut(answer_bytes=0)
LOSE_ANSWER_RST: Final = Cut(answer_bytes=0, reset=True)
SWALLOW_ANSWER: Final = Cut(answer_bytes=0, silent=True)
"""The channel answered, and the client waits for ever."""
HALF_OPEN: Final = Cut(request_bytes=0, silent=True)
"""Accepted, nothing forwarded, never answered."""
RESET: Final = Cut(request_bytes=0, reset=True)
CLOSE: Final = Cut(request_bytes=0)
HOLD_REQUEST: Final = Cut(held=True)


def cut_request(count: int, *, reset: bool = False) -> Cut:
    """The channel sees only the first bytes of the request."""
    return Cut(request_bytes=count, reset=reset)


def cut_answer(count: int, *, reset: bool = False) -> Cut:
    """The client sees only the first bytes of the answer."""
    return Cut(answer_bytes=count, reset=reset)


def delay(seconds: float) -> Cut:
    return Cut(delay_s=seconds)


class Rule:
    """One scripted cut: for which requests, how often, and what a test may wait for.

    `then` is called at the moment of the cut: before a request is forwarded that the channel shall
    not see whole, else when the channel has answered and nothing was passed on yet.
    """

    def __init__(
        self, cut: Cut, matching: bytes, times: int, then: Callable[[], None] | None
    ) -> None:
        self.cut = cut
        self.matching = matching
        self.left = times
        self.then = then
        self.arrived = asyncio.Event()
        self.taken = asyncio.Event()
        self.done = asyncio.Event()
        self.hits: list[bytes] = []
        """Every request that this rule met, whole."""
        self._released = asyncio.Event()

    def release(self) -> None:
        """Let a held request go on to the channel."""
        self._released.set()

    async def held(self) -> None:
        await self._released.wait()

    def struck(self) -> None:
        self.done.set()
        if self.then is not None:
            self.then()


class Exchange(Struct):
    """One request as it came, and what the channel answered (empty: it was not asked)."""

    request: bytes
    cut: Cut
    answer: bytes = b""

    @property
    def line(self) -> str:
        return self.request.split(b"\r\n", 1)[0].decode("latin-1")

    @property
    def body(self) -> bytes:
        return self.request.partition(b"\r\n\r\n")[2]


class CuttingProxy:
    """`async with CuttingProxy(host, port) as proxy`: the client speaks to `proxy.url`.

    `exchanges` is the log of everything that arrived; `connections` counts accepted ones.
    """

    def __init__(self, host: str, port: int) -> None:
        self.exchanges: list[Exchange] = []
        self.connections = 0
        self.broken = 0
        """Wires that one side ended in the middle of an exchange, without us."""
        self._upstream = (host, port)
        self._rules: list[Rule] = []
        self._server: asyncio.Server | None = None
        self._port = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def cut(
        self,
        cut: Cut,
        *,
        matching: bytes = b"",
        times: int = 1,
        then: Callable[[], None] | None = None,
    ) -> Rule:
        """Script a cut for the next `times` requests that hold `matching` in head or body."""
        rule = Rule(cut, matching, times, then)
        self._rules.append(rule)
        return rule

    def heal(self) -> None:
        """Forget every rule that is not used up; held requests go on."""
        for rule in self._rules:
            rule.left = 0
            rule.release()
        self._rules.clear()

    # --- being there, or not ------------------------------------------------------------------

    async def __aenter__(self) -> "CuttingProxy":
        await self.accept()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def accept(self) -> None:
        """Listen; after `refuse` on the same port as before."""
        assert self._server is None, "listens already"
        self._server = await asyncio.start_server(
            self._connected,
            "127.0.0.1",
            self._port,
            limit=HEAD_MAX,
            reuse_address=True,
            backlog=BACKLOG,
        )
        self._port = self._server.sockets[0].getsockname()[1]

    async def refuse(self) -> None:
        """Nobody listens any more, and what was open is closed."""
        assert self._server is not None, "does not listen"
        self._server.close()
        self._server = None
        await self.drop()

    async def drop(self) -> None:
        """Cut every open connection with RST."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def close(self) -> None:
        if self._server is not None:
            await self.refuse()

    # --- one connection ---------------------------------------------------------------------

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        wire = Wire(reader, writer)
        upstream: Wire | None = None
        try:
            while (request := await read_message(reader)) is not None:
                exchange, rule = self._meet(request)
                if rule is None or rule.cut.request_bytes != 0:
                    upstream = upstream or await self._dial()
                if not await self._exchange(wire, upstream, exchange, rule):
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            self.broken += 1
            wire.reset()
        except asyncio.CancelledError:
            wire.reset()
            if upstream is not None:
                upstream.reset()
        finally:
            self._tasks.discard(task)
            wire.close()
            if upstream is not None:
                upstream.close()

    async def _dial(self) -> "Wire":
        return Wire(*await asyncio.open_connection(*self._upstream, limit=HEAD_MAX))

    def _meet(self, request: bytes) -> tuple[Exchange, Rule | None]:
        """Log a request and choose its rule."""
        for rule in self._rules:
            if rule.left > 0 and rule.matching in request:
                rule.left -= 1
                rule.hits.append(request)
                rule.arrived.set()
                exchange = Exchange(request, rule.cut)
                break
        else:
            rule, exchange = None, Exchange(request, PASS)
        self.exchanges.append(exchange)
        return exchange, rule

    async def _exchange(
        self, wire: "Wire", upstream: "Wire | None", exchange: Exchange, rule: Rule | None
    ) -> bool:
        """Carry one request there and its answer back; False: the connection ends here."""
        cut = exchange.cut
        if rule is not None and cut.held:
            await rule.held()
        if rule is not None and cut.request_bytes is not None:
            if upstream is not None:
                await upstream.send(exchange.request[: cut.request_bytes])
                upstream.close()
            rule.struck()
            return await _end(wire, cut)
        assert upstream is not None
        await upstream.send(exchange.request)
        answer = await read_message(upstream.reader, is_answer=True)
        if answer is None:
            raise ConnectionResetError("the channel closed without an answer")
        exchange.answer = answer
        if rule is not None:
            rule.taken.set()
            rule.struck()
            await asyncio.sleep(cut.delay_s)
        if cut.answer_bytes is not None:
            await wire.send(answer[: cut.answer_bytes])
            return await _end(wire, cut)
        await wire.send(answer)
        return True


async def _end(wire: "Wire", cut: Cut) -> bool:
    """Make the cut. A silent one lasts until the client, or the proxy, gives up."""
    if cut.silent:
        while await wire.reader.read(HEAD_MAX):
            continue
    elif cut.reset:
        wire.reset()
    return False


class Wire:
    """One end of a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self._writer = writer

    async def send(self, data: bytes) -> None:
        if data:
            self._writer.write(data)
            await self._writer.drain()

    def reset(self) -> None:
        """End it with RST: what was not read yet is lost for the other side, too."""
        raw = self._writer.get_extra_info("socket")
        if raw is not None and not self._writer.is_closing():
            with contextlib.suppress(OSError):  # The other side was faster: it is gone already.
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST)
        self._writer.transport.abort()

    def close(self) -> None:
        self._writer.close()


async def read_message(reader: asyncio.StreamReader, *, is_answer: bool = False) -> bytes | None:
    """One HTTP/1.1 message, head and body, as it came; None: the other side closed before it."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise
        return None
    fields = _fields(head)
    if b"chunked" in fields.get(b"transfer-encoding", b""):
        return head + await _chunks(reader)
    status = head.split(b" ", 2)[1] if is_answer else b""
    if status in (b"204", b"304") or status.startswith(b"1"):
        return head
    length = fields.get(b"content-length")
    if length is not None:
        assert int(length) <= BODY_MAX, length
        return head + await reader.readexactly(int(length))
    if is_answer:
        return head + await reader.read(BODY_MAX)  # Until the channel closes.
    return head


def _fields(head: bytes) -> dict[bytes, bytes]:
    lines = head.split(b"\r\n")[1:-2]
    pairs = (line.partition(b":") for line in lines)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while True:
        size = await reader.readuntil(b"\r\n")
        count = int(size.split(b";")[0], 16)
        body += size + await reader.readexactly(count + 2)
        assert len(body) <= BODY_MAX, len(body)
        if count == 0:
            return body
