"""A plain request, read without a parser's generality: or None, and the general parser reads it.

Most requests are POST /v1/payments from clients that write them the same way every time:
one packet, known headers, once each, a body of the stated length. Those are read here, in two
thirds of the general parser's time. Whatever is not exactly so (another header, a second line of
the same name, a folded or odd line, a chunked, partial or following request) is not judged here but
left to aiohttp; a test holds both readers against each other.
"""

from collections.abc import Sequence
from typing import Final

HEAD_BYTES_MAX: Final = 4_096

CONTENT_LENGTH: Final = "Content-Length"
HOST: Final = "Host"
CONNECTION: Final = "Connection"
KEEP_ALIVE: Final = "keep-alive"

_KNOWN: Final = (
    HOST, CONTENT_LENGTH, CONNECTION, "Content-Type", "Content-Digest", "Idempotency-Key",
    "Signature-Input", "Signature", "Authorization", "Prefer", "Tillway-Merchant",
    "Tillway-Version", "User-Agent", "Accept", "Accept-Encoding", "Accept-Language", "Date",
    "Traceparent", "Tracestate", "X-Request-Id", "X-Forwarded-For", "X-Forwarded-Proto",
    "X-Real-Ip", "Forwarded", "Via",
)  # fmt: skip
"""None of these changes how long a request is or what follows it, but the two that are checked."""

_CANONICAL: Final = {
    spelling: name for name in _KNOWN for spelling in (name, name.lower(), name.upper())
}
_PRINTED: Final = bytes(range(0x20, 0x7F))


class PlainHeaders:
    """Headers of which each has one line. Names in any case."""

    __slots__ = ("_lines",)

    def __init__(self, lines: dict[str, str]) -> None:
        self._lines = lines

    def get(self, name: str, default: str | None = None) -> str | None:
        """The line of a name."""
        found = self._lines.get(name)
        if found is None:
            found = self._lines.get(_CANONICAL.get(name.lower(), ""))
        return default if found is None else found

    def getall(self, key: str, default: Sequence[str] = (), /) -> Sequence[str]:
        """All lines of a name: one, or the default."""
        found = self.get(key)
        return default if found is None else (found,)


def plain_request(data: bytes, start: bytes) -> tuple[PlainHeaders, bytes] | None:
    """Headers and body of a plain request that begins with the request line `start`, or None."""
    if not data.startswith(start):
        return None
    begin = len(start)
    end = data.find(b"\r\n\r\n", begin)
    if end < 0 or end - begin > HEAD_BYTES_MAX:
        return None
    head = data[begin:end]
    lines = head.decode("latin-1").split("\r\n")
    if head.translate(None, _PRINTED) != b"\r\n" * (len(lines) - 1):
        return None  # Controls, bytes beyond ASCII, bare line ends.
    headers: dict[str, str] = {}
    for line in lines:
        spelling, _, value = line.partition(":")
        name = _CANONICAL.get(spelling)
        if name is None or name in headers:
            return None
        headers[name] = value.strip(" ")
    body = data[end + 4 :]
    if headers.get(CONTENT_LENGTH) != str(len(body)) or HOST not in headers:
        return None
    if headers.get(CONNECTION, KEEP_ALIVE).lower() != KEEP_ALIVE:
        return None
    return PlainHeaders(headers), body
