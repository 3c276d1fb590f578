"""A raw HTTP/1.1 keep-alive client: prepared bytes out, status and body in, one at a time."""

import asyncio
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, cast

HEAD_BYTES_MAX: Final = 65_536
BODY_BYTES_MAX: Final = 16 << 20
_LENGTH: Final = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)
_CLOSE: Final = re.compile(rb"\r\nconnection:\s*close", re.IGNORECASE)


class BadAnswer(ValueError):
    """Bytes that are not an HTTP/1.1 answer with a Content-Length."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. Status 0: the connection was lost before an answer."""

    status: int
    body: bytes
    will_close: bool = False

    @property
    def acknowledged(self) -> bool:
        """Whether the server took responsibility."""
        return 200 <= self.status < 300


LOST: Final = Answer(0, b"", will_close=True)


def parse(received: bytes) -> Answer | None:
    """Read one whole answer. None while it is incomplete."""
    end = received.find(b"\r\n\r\n")
    if end < 0:
        if len(received) > HEAD_BYTES_MAX:
            raise BadAnswer("the head of the answer does not end")
        return None
    head = received[:end]
    length = _LENGTH.search(head)
    if not head.startswith(b"HTTP/1.1 ") or length is None:
        raise BadAnswer(head[:200].decode(errors="replace"))
    body_bytes = int(length[1])
    if body_bytes > BODY_BYTES_MAX:
        raise BadAnswer(f"a body of {body_bytes} bytes")
    if len(received) < end + 4 + body_bytes:
        return None
    body = received[end + 4 : end + 4 + body_bytes]
    return Answer(int(head[9:12]), body, _CLOSE.search(head) is not None)


_USUAL_LENGTH: Final = b"\r\nContent-Length: "


def size_of(received: bytes) -> int | None:
    """Bytes of the whole answer that begins here, None while its head is incomplete.

    Quickly, for the usual spelling; the others are `parse`'s.
    """
    end = received.find(b"\r\n\r\n")
    at = received.find(_USUAL_LENGTH, 0, end)
    if end < 0 or at < 0:
        answer = parse(received)
        return None if answer is None else len(received)
    at += len(_USUAL_LENGTH)
    return end + 4 + int(received[at : received.find(b"\r", at)])


class Connection(asyncio.Protocol):
    """One connection with at most one request under way."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._done: Callable[[Answer], None] | None = None

    @property
    def is_open(self) -> bool:
        """Whether a request may be sent."""
        return self._transport is not None and not self._transport.is_closing()

    def send(self, request: bytes, done: Callable[[Answer], None]) -> None:
        """Send prepared bytes; `done` gets the answer, or LOST."""
        assert self._done is None, "a request is under way"
        assert self._transport is not None
        self._done = done
        self._transport.write(request)

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not inherit from asyncio's: nothing can be asserted here.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._received = self._received + data if self._received else data
        answer = parse(self._received)
        if answer is None:
            return
        self._received = b""
        if answer.will_close:
            self.close()
        self._finish(answer)

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._finish(LOST)

    def _finish(self, answer: Answer) -> None:
        done, self._done = self._done, None
        if done is not None:
            done(answer)


async def connect(host: str, port: int) -> Connection:
    """Open one connection."""
    _, protocol = await asyncio.get_running_loop().create_connection(Connection, host, port)
    return protocol


def host_and_port(url: str) -> tuple[str, int]:
    """Of a URL such as http://127.0.0.1:8080."""
    host, _, port = url.removeprefix("http://").rstrip("/").rpartition(":")
    return host, int(port)


async def ask_all(url: str, requests: Sequence[bytes], connections: int) -> list[Answer]:
    """Send every request over a few connections; answers in the order of the requests."""
    host, port = host_and_port(url)
    answers = [LOST] * len(requests)
    waiting = iter(enumerate(requests))

    async def work() -> None:
        connection = await connect(host, port)
        for number, request in waiting:
            if not connection.is_open:
                connection = await connect(host, port)
            answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
            connection.send(request, answered.set_result)
            answers[number] = await answered
        connection.close()

    async with asyncio.TaskGroup() as workers:
        for _ in range(min(connections, len(requests))):
            workers.create_task(work())
    return answers
