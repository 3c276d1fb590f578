"""One connection to a channel: a request at a time, its answer read by llhttp.

What decides about money is told apart here: `exchange` writes, and from its first byte on nothing
may be taken for "not sent". A connection is used again only when the answer before was read to its
end, the channel meant to keep it, and not one byte too many came.
"""

import asyncio
from collections.abc import Callable
from typing import Final, cast

import httptools

from payments.channels.transport import HttpAnswer, HttpRequest, NoAnswer, NotSent

HEADER_BYTES_MAX: Final = 16_384
"""Names and values of one answer's headers together."""

BEFORE_BODY_BYTES_MAX: Final = 131_072
"""What may arrive before the headers are complete, a piece that holds more than them included."""

_FORBIDDEN: Final = ("\r", "\n", "\0")


def request_bytes(request: HttpRequest, host: str, target: str) -> bytes:
    """The request as it goes out. Raise NotSent for a text that would say more than it should."""
    lines = [f"{request.method} {target} HTTP/1.1\r\nHost: {host}\r\n"]
    lines += [f"{name}: {value}\r\n" for name, value in request.headers.items()]
    if request.body or request.method not in ("GET", "DELETE"):
        lines.append(f"Content-Length: {len(request.body)}\r\n")
    head = "".join(lines)
    parts = (request.method, target, host, *request.headers, *request.headers.values())
    if any(each in part for part in parts for each in _FORBIDDEN) or " " in target + host:
        raise NotSent("the request cannot be written as HTTP")
    try:
        return head.encode("latin-1") + b"\r\n" + request.body
    except UnicodeEncodeError:
        raise NotSent("the request cannot be written as HTTP") from None


class Connection(asyncio.Protocol):
    """A socket and the answer that is awaited on it. `ended(connection)`: it is gone."""

    def __init__(self, answer_bytes_max: int, ended: Callable[["Connection"], None]) -> None:
        self.idle_since_s = 0.0
        self.is_open = False
        self._answer_max = answer_bytes_max
        self._ended = ended
        self._transport: asyncio.Transport | None = None
        self._waiting: asyncio.Future[HttpAnswer] | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self._begin()

    def _begin(self) -> None:
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._header_bytes = 0
        self._arrived = 0
        self._has_headers = False
        self._is_bounded = False
        """Whether the headers say where the body ends; else it ends with the connection."""
        self._is_complete = False
        self._is_kept = False

    # --- requests -------------------------------------------------------------------------------

    async def exchange(self, content: bytes) -> HttpAnswer:
        """Write a request and wait for its answer. Raise NoAnswer; canceled, the socket is cut."""
        assert self.is_open
        assert self._waiting is None
        transport = cast(asyncio.Transport, self._transport)
        self._begin()
        self._parser = httptools.HttpResponseParser(self)
        self._waiting = asyncio.get_running_loop().create_future()
        transport.write(content)
        try:
            return await self._waiting
        except asyncio.CancelledError:
            # What comes late must not become the answer to the next request.
            self.abort()
            raise
        finally:
            self._waiting = self._parser = None

    def give_up(self, timeout_s: float) -> None:
        """The answer did not come in time."""
        self._fail(f"no answer within {timeout_s:g} s")

    def abort(self) -> None:
        """Cut it now."""
        self.is_open = False
        if self._transport is not None:
            self._transport.abort()

    # --- asyncio.Protocol -----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.is_open = True

    def data_received(self, data: bytes) -> None:
        parser = self._parser
        if parser is None:
            self._fail("bytes that nobody asked for")
            return
        if not self._has_headers:
            self._arrived += len(data)
        try:
            parser.feed_data(data)
        except httptools.HttpParserError as error:
            # An error of a callback of ours comes wrapped in one of the parser's.
            cause = error.__context__
            self._fail(str(cause) if isinstance(cause, NoAnswer) else type(error).__name__)
            return
        if self._is_complete:
            self._finish(parser)
        elif not self._has_headers and self._arrived > BEFORE_BODY_BYTES_MAX:
            self._fail("the answer's headers are too long")

    def eof_received(self) -> None:
        self.is_open = False

    def connection_lost(self, error: Exception | None) -> None:
        self.is_open = False
        parser = self._parser
        if error is None and parser is not None and self._has_headers and not self._is_bounded:
            self._finish(parser)
        else:
            self._fail(type(error).__name__ if error else "the connection was closed")
        self._ended(self)

    # --- the parser's callbacks -----------------------------------------------------------------

    def on_header(self, name: bytes, value: bytes) -> None:
        self._header_bytes += len(name) + len(value)
        if self._header_bytes > HEADER_BYTES_MAX:
            raise NoAnswer("the answer's headers are too long")
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        known = self._headers.get(key)
        # Two of one name are one text: no signature of ours looks right then.
        self._headers[key] = text if known is None else f"{known}, {text}"

    def on_headers_complete(self) -> None:
        assert self._parser is not None
        status = self._parser.get_status_code()
        if 100 <= status < 200:
            return
        self._has_headers = True
        headers = self._headers
        self._is_bounded = (
            "content-length" in headers or "transfer-encoding" in headers or status in (204, 304)
        )

    def on_body(self, part: bytes) -> None:
        self._body_bytes += len(part)
        if self._body_bytes > self._answer_max:
            raise NoAnswer("the answer is too long")
        self._body.append(part)

    def on_message_begin(self) -> None:
        if self._is_complete:
            raise NoAnswer("a second answer to one request")

    def on_message_complete(self) -> None:
        if self._has_headers:
            assert self._parser is not None
            self._is_complete = True
            self._is_kept = self._is_bounded and self._parser.should_keep_alive()
        else:
            self._headers = {}  # "100 Continue" and the like: the answer comes after it.

    # --- the end of an exchange -----------------------------------------------------------------

    def _finish(self, parser: httptools.HttpResponseParser) -> None:
        waiting = self._waiting
        if not self._is_kept:
            self.abort()
        if waiting is not None and not waiting.done():
            body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
            waiting.set_result(HttpAnswer(parser.get_status_code(), self._headers, body))

    def _fail(self, reason: str) -> None:
        self.abort()
        waiting = self._waiting
        if waiting is not None and not waiting.done():
            waiting.set_exception(NoAnswer(reason))
