"""GET /openapi.json and /docs: what the API is, for programs and for people. No key needed."""

import re
from collections.abc import Awaitable, Callable
from typing import Final

from gateway.edge import Reply
from gateway.modules import in_order
from gateway.openapi import reader
from gateway.routes import Call

CACHE: Final = "no-cache"
"""Keep it, but ask whether it is still the same: a release may change it."""

_COMMON: Final = (
    f"Content-Security-Policy: {reader.POLICY}\r\n"
    "X-Content-Type-Options: nosniff\r\n"
    "Referrer-Policy: no-referrer\r\n"
    "Vary: Accept-Encoding\r\n"
)
_GZIP: Final = re.compile(r"(?:^|,)\s*(?:gzip|x-gzip|\*)\s*(?:;\s*q=([0-9.]+)\s*)?(?:,|$)", re.I)


def takes_gzip(accepted: str) -> bool:
    """Whether an Accept-Encoding header allows gzip: `q=0` forbids it."""
    found = _GZIP.search(accepted)
    return found is not None and (found[1] is None or found[1].strip("0.") != "")


def serving(name: str) -> Callable[[Call], Awaitable[Reply]]:
    """A handler for one of the reader's files."""

    async def serve(call: Call) -> Reply:
        file = reader.file(name, in_order(call.door.settings.modules))
        headers = call.headers
        tag = f'W/"{file.tag}"'
        extra = f"{_COMMON}ETag: {tag}\r\n"
        if tag in headers.get("If-None-Match", ""):
            return call.door.reply(call, 304, b"", file.kind, extra.encode("ascii"), cache=CACHE)
        body = file.plain
        if takes_gzip(headers.get("Accept-Encoding", "")):
            body = file.packed
            extra += "Content-Encoding: gzip\r\n"
        return call.door.reply(call, 200, body, file.kind, extra.encode("ascii"), cache=CACHE)

    return serve
