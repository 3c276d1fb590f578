"""Bytes in, bytes out: the HTTP server under the routes.

aiohttp parses; a `Reply` leaves as one write, its head prepared beforehand. What aiohttp has no
bound for is bounded here: the time to receive a request and the number of connections.
"""

import asyncio
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import StreamReader
from aiohttp.web_protocol import RequestHandler

from gateway.errors import EdgeError, HeadersTooLarge, ReceiveTimeout, problem
from payments.errors import Malformed, PaymentError
from payments.ids import Entropy

CONNECTIONS_MAX: Final = 10_000
"""Open connections of one front door; more are closed at once."""

KEEPALIVE_S: Final = 75.0
LINE_BYTES_MAX: Final = 8_190
HEADERS_MAX: Final = 64
SWEEP_S: Final = 0.5
"""How often slow requests are looked for: the coarse clock of this file."""

VERSION: Final = "2026-12-01"
_REASONS: Final = {status.value: status.phrase for status in HTTPStatus}


class Connection(RequestHandler):
    """A client's connection. `receiving_since`: seconds, while a request is being received."""

    __slots__ = ("_server", "receiving_since")

    def __init__(self, server: "EdgeServer", **options: Any) -> None:
        super().__init__(server, **options)
        self._server = server
        self.receiving_since = 0.0

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
        super().data_received(data)

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
        self._body_max = body_max
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

    def _request(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: RequestHandler,
        writer: Any,
        task: "asyncio.Task[None]",
    ) -> web.BaseRequest:
        return web.BaseRequest(
            message, payload, protocol, writer, task, self._loop, client_max_size=self._body_max
        )

    def __call__(self) -> RequestHandler:
        return Connection(self, loop=self._loop, **self._kwargs)

    async def sweep(self) -> None:
        """Keep the coarse clock and hang up on who is too slow. Runs until cancelled."""
        while True:
            await asyncio.sleep(SWEEP_S)
            self.now = now = self._loop.time()
            for connection in self.connections:
                since = getattr(connection, "receiving_since", 0.0)
                if since and now - since > self._deadline_s and isinstance(connection, Connection):
                    connection.too_slow()


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

    __slots__ = ("_bytes", "keep_alive", "status")

    def __init__(self, status: int, data: bytes, keep_alive: bool) -> None:
        self.status = status
        self._bytes = data
        self.keep_alive = keep_alive

    async def prepare(self, request: web.BaseRequest) -> None:
        transport = request.transport
        if transport is not None:
            transport.write(self._bytes)

    async def write_eof(self) -> None:
        """Everything was written in `prepare`."""


class Heads:
    """Ready-made heads of answers; the date is made anew each second."""

    def __init__(self) -> None:
        self._second = -1
        self._heads: dict[tuple[int, str], bytes] = {}

    def make(
        self,
        status: int,
        kind: str,
        size: int,
        request_id: str,
        second: int,
        extra: bytes = b"",
    ) -> bytes:
        """Head of an answer of `size` bytes. `extra`: further header lines, each with its CRLF."""
        if second != self._second:
            self._second = second
            self._heads.clear()
        head = self._heads.get((status, kind))
        if head is None:
            head = (
                f"HTTP/1.1 {status} {_REASONS.get(status, 'Unknown')}\r\n"
                f"Content-Type: {kind}\r\n"
                f"Tillway-Version: {VERSION}\r\n"
                f"Cache-Control: no-store\r\n"
                f"Date: {formatdate(second, usegmt=True)}\r\n"
                "Request-Id: "
            ).encode("ascii")
            self._heads[status, kind] = head
        return b"%b%b\r\n%bContent-Length: %d\r\n\r\n" % (
            head,
            request_id.encode(),
            extra,
            size,
        )
