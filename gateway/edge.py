"""Bytes in, bytes out: the HTTP server under the routes.

aiohttp parses; a `Reply` leaves as one write, its head prepared beforehand. What aiohttp has no
bound for is bounded here: the time to receive a request and the number of connections.
"""

import asyncio
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, Final

from aiohttp import HttpVersion11, web
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from aiohttp.web_protocol import RequestHandler, _ErrInfo

from gateway.errors import EdgeError, HeadersTooLarge, ReceiveTimeout, problem
from gateway.quick import plain_request
from gateway.signatures import Headers
from payments.errors import Malformed, PaymentError
from payments.ids import Entropy

CONNECTIONS_MAX: Final = 10_000
"""Open connections of one front door; more are closed at once."""

KEEPALIVE_S: Final = 75.0
EXPRESS_MAX_S: Final = 60.0
"""Longer than any held answer: an express request is no idle connection."""

LINE_BYTES_MAX: Final = 8_190
HEADERS_MAX: Final = 64
SWEEP_S: Final = 0.5
"""How often slow requests are looked for: the coarse clock of this file."""

VERSION: Final = "2026-12-01"
NO_STORE: Final = "no-store"
_REASONS: Final = {status.value: status.phrase for status in HTTPStatus}


class Connection(RequestHandler):
    """A client's connection. `receiving_since`: seconds, while a request is being received;
    `answering`: one that was received whole still waits for its answer.

    A request of the one route that matters, whole in one piece on an idle connection, takes the
    *express*: it is decided here and now, and its answer is written when the shard's arrives,
    without a task, a future or a request object of its own. Everything else goes aiohttp's way.
    """

    __slots__ = (
        "_has_said_all", "_is_plain", "_last_body", "_server", "answering", "in_express",
        "receiving_since",
    )  # fmt: skip

    def __init__(self, server: "EdgeServer", **options: Any) -> None:
        super().__init__(server, **options)
        self._server = server
        self._is_plain = True
        """Whether aiohttp's parser has seen nothing yet: it may hold half a request."""
        self._has_said_all = False
        self._last_body: StreamReader | None = None
        """Of the newest request on aiohttp's way."""
        self.receiving_since = 0.0
        self.answering = False
        self.in_express = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if len(self._server.connections) >= CONNECTIONS_MAX or self._server.closing:
            super().connection_made(transport)
            self.force_close()
            return
        self.receiving_since = self._server.now
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        if not self.receiving_since:
            self.receiving_since = self._server.now
        waiter = self._waiter
        is_idle = waiter is not None and not waiter.done() and not self._messages
        if (
            not (self.in_express or is_idle)
            or self._payload_parser is not None
            or self._upgraded
            or self._force_close
            or self._close
        ):
            self._is_plain = False
            super().data_received(data)
            if self._messages:
                self._last_body = self._messages[-1][1]
            return
        if self._is_plain and not self.in_express:
            plain = plain_request(data, self._server.express_line)
            if plain is not None and len(plain[1]) <= self._server.body_max:
                self._ride(*plain)
                return
        self._is_plain = False
        assert self._parser is not None
        try:
            messages, upgraded, tail = self._parser.feed_data(data)
        except HttpProcessingError as error:
            refused = _ErrInfo(status=400, exc=error, message=error.message)
            self._messages.append((refused, EMPTY_PAYLOAD))
            self._wake()
            return
        self._upgraded = upgraded
        if upgraded and tail:
            self._message_tail = tail
        if not messages:
            return
        if len(messages) == 1 and not self.in_express and self._takes_express(*messages[0]):
            return
        self._messages.extend(messages)
        self._last_body = messages[-1][1]
        if not self._buffer_paused and len(self._messages) >= self._max_msg_queue_size:
            self._pause_reading_for_buffer()
        self._wake()

    def eof_received(self) -> bool:  # type: ignore[override] # The protocol's, not aiohttp's.
        """Whether to stay: who has said all still waits for the answers (RFC 9112, 9.6)."""
        self._has_said_all = True
        if self.in_express or self._messages:
            return True
        # Without a waiter a request is being answered, unless the rest of it never comes.
        body = self._last_body
        return self._waiter is None and body is not None and body.is_eof()

    def _takes_express(self, message: RawRequestMessage, payload: StreamReader) -> bool:
        """Decide a whole, ordinary request on the spot; False for aiohttp's way."""
        if (
            message.path != self._server.express_path
            or message.method != "POST"
            or message.should_close
            or message.chunked
            or message.upgrade
            or payload is EMPTY_PAYLOAD
            or not payload.is_eof()
            or payload.total_bytes > self._server.body_max
        ):
            return False
        body = payload.read_nowait(-1)
        self._parser.message_consumed()  # type: ignore[union-attr]
        self._ride(message.headers, body)
        return True

    def _ride(self, headers: Headers, body: bytes) -> None:
        self._request_count += 1
        self._next_keepalive_close_time = self._server.now + KEEPALIVE_S + EXPRESS_MAX_S
        self.receiving_since = 0.0
        self.in_express = True
        self._server.express(self, headers, body)

    def finish_express(self, data: bytes, *, close: bool) -> None:
        """Write the answer; then whatever the client sent meanwhile gets its turn."""
        self.in_express = False
        transport = self.transport
        if transport is None:
            return  # The client has gone; what was decided stands.
        transport.write(data)
        if close:
            self.close()
        elif self._has_said_all and not self._messages:
            self.force_close()
            return
        self._next_keepalive_close_time = self._server.now + KEEPALIVE_S
        if self.receiving_since:
            self.receiving_since = self._server.now
        if self._messages:
            self._wake()

    def _wake(self) -> None:
        """Let aiohttp's loop take what waits, unless an express answer is still to be written."""
        waiter = self._waiter
        if not self.in_express and waiter is not None and not waiter.done():
            waiter.set_result(None)

    def ask_for_body(self, request: web.BaseRequest) -> None:
        """Say 100 to a client that waits for it; curl does for a second, others for longer."""
        if request.content.is_eof() or request.version < HttpVersion11 or self.transport is None:
            return
        if request.headers.get("Expect", "").lower() == "100-continue":
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def received(self) -> None:
        """A request on aiohttp's way is here as a whole."""
        self.receiving_since = 0.0
        self.answering = True

    def answered(self) -> None:
        """It has its answer. The time of what was sent behind it begins now."""
        if self._has_said_all and not self._messages:
            self._close = True
        has_next = self.answering and self.receiving_since
        self.receiving_since = self._server.now if has_next else 0.0
        self.answering = False

    def is_too_slow(self, deadline_s: float) -> bool:
        """Whether a request is being received for too long.

        While an answer is outstanding nobody is: a 408 would be taken for that answer.
        """
        since = self.receiving_since
        if not since or self.in_express or self.answering:
            return False
        return self._server.now - since > deadline_s

    def too_slow(self) -> None:
        """Answer 408 and hang up."""
        if self.transport is not None:
            self.transport.write(_unread(ReceiveTimeout()))
            self.transport.close()
        self.receiving_since = 0.0

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> Any:
        """What never became a request. Its bytes are in no answer and no log: who knows what."""
        self._server.unreadable += 1
        if isinstance(exc, LineTooLong):
            return Reply(431, _unread(HeadersTooLarge()), False)
        if status < 500:
            return Reply(400, _unread(Malformed("This is not a request of HTTP/1.1.")), False)
        # The client went away while its request was read; there is nobody to answer.
        return Reply(499, b"", False)


class EdgeServer(web.Server):
    """aiohttp's server with our bounds. `handler` gets each request whole or not at all."""

    def __init__(
        self,
        handler: Callable[[web.BaseRequest], Awaitable[Any]],
        *,
        body_max: int,
        receive_deadline_s: float,
    ) -> None:
        self.body_max = body_max
        self.express_path = ""
        self.express_line = b"\0"
        self.express: Callable[[Connection, Headers, bytes], None] = _no_express
        self._deadline_s = receive_deadline_s
        self.closing = False
        self.unreadable = 0
        super().__init__(
            handler,
            request_factory=self._request,
            access_log=None,
            keepalive_timeout=KEEPALIVE_S,
            auto_decompress=False,
            max_line_size=LINE_BYTES_MAX,
            max_field_size=LINE_BYTES_MAX,
            max_headers=HEADERS_MAX,
        )
        self.now = self._loop.time()

    def take_express(
        self, path: str, handler: Callable[[Connection, Headers, bytes], None]
    ) -> None:
        """POSTs to a path go to `handler` without a task of their own."""
        self.express_path = path
        self.express_line = f"POST {path} HTTP/1.1\r\n".encode("ascii")
        self.express = handler

    def _request(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: RequestHandler,
        writer: Any,
        task: "asyncio.Task[None]",
    ) -> web.BaseRequest:
        return web.BaseRequest(
            message, payload, protocol, writer, task, self._loop, client_max_size=self.body_max
        )

    def __call__(self) -> RequestHandler:
        return Connection(self, loop=self._loop, **self._kwargs)

    async def sweep(self) -> None:
        """Keep the coarse clock and hang up on who is too slow. Runs until cancelled."""
        while True:
            await asyncio.sleep(SWEEP_S)
            self.now = self._loop.time()
            for connection in self.connections:
                assert isinstance(connection, Connection)
                if connection.is_too_slow(self._deadline_s):
                    connection.too_slow()


def _no_express(connection: Connection, headers: Headers, body: bytes) -> None:
    raise AssertionError("no path is express")


def _unread(error: PaymentError | EdgeError) -> bytes:
    """The whole answer to what could not be read as a request."""
    request_id = f"req_{Entropy().bytes(8).hex()}"
    status, headers, body = problem(error, request_id, "/")
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = (
        f"HTTP/1.1 {status} {_REASONS[status]}\r\n{lines}Tillway-Version: {VERSION}\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode("latin-1") + body


class Reply:
    """An answer as one piece of bytes: what aiohttp asks of a response, and no more."""

    __slots__ = ("data", "keep_alive", "status")

    def __init__(self, status: int, data: bytes, keep_alive: bool) -> None:
        self.status = status
        self.data = data
        self.keep_alive = keep_alive

    async def prepare(self, request: web.BaseRequest) -> None:
        transport = request.transport
        if transport is not None:
            transport.write(self.data)

    async def write_eof(self) -> None:
        """Everything was written in `prepare`."""


class Heads:
    """Ready-made heads of answers; the date is made anew each second."""

    def __init__(self) -> None:
        self._second = -1
        self._heads: dict[tuple[int, str, str], bytes] = {}

    def make(
        self,
        status: int,
        kind: str,
        size: int,
        request_id: str,
        second: int,
        extra: bytes = b"",
        cache: str = NO_STORE,
    ) -> bytes:
        """Head of an answer of `size` bytes. `extra`: further header lines, each with its CRLF.

        `cache`: who may keep the answer, and how long; one of few values.
        """
        if second != self._second:
            self._second = second
            self._heads.clear()
        head = self._heads.get((status, kind, cache))
        if head is None:
            head = (
                f"HTTP/1.1 {status} {_REASONS.get(status, 'Unknown')}\r\n"
                f"Content-Type: {kind}\r\n"
                f"Tillway-Version: {VERSION}\r\n"
                f"Cache-Control: {cache}\r\n"
                f"Date: {formatdate(second, usegmt=True)}\r\n"
                "Request-Id: "
            ).encode("ascii")
            self._heads[status, kind, cache] = head
        return b"%b%b\r\n%bContent-Length: %d\r\n\r\n" % (
            head,
            request_id.encode(),
            extra,
            size,
        )
