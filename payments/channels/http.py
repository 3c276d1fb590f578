"""The way to a channel: aiohttp's client, with every bound set and nothing done behind our back.

The one question that money hangs on is whether a request that got no answer may have arrived.
Until a connection is there, certainly not one byte of it has left: that is `NotSent`. From then on
it may have, whatever went wrong: that is `NoAnswer`, also where a kept connection turns out to be
closed, for the channel may have closed it after reading. aiohttp repeats such requests by itself
when their method is idempotent; here no request is ever sent twice.
"""

import asyncio
import ssl
from types import SimpleNamespace
from typing import Final

import aiohttp
from msgspec import Struct
from yarl import URL

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

HEADER_BYTES_MAX: Final = 16_384
PART_BYTES: Final = 65_536
NAMES_S: Final = 60
"""How long the address of a name is remembered."""


class HttpSettings(Struct, frozen=True):
    """`connections_max`: open at one time, waiting requests not counted."""

    connections_max: int = 64
    connect_s: float = CONNECT_S
    answer_bytes_max: int = ANSWER_MAX_BYTES


class PooledClient:
    """`HttpClient` over one pool of connections. `close` it when done.

    `tls`: for tests alone; else the system's authorities, names checked, TLS 1.2 or newer.
    """

    def __init__(
        self, settings: HttpSettings | None = None, tls: ssl.SSLContext | None = None
    ) -> None:
        self._settings = settings or HttpSettings()
        self._tls = tls
        self._session: aiohttp.ClientSession | None = None
        self._is_closed = False
        self.counts = {"sent": 0, "not_sent": 0, "no_answer": 0, "connections": 0}

    async def send(self, request: HttpRequest) -> HttpAnswer:
        """One request, one answer. Raise NotSent or NoAnswer, nothing else."""
        if self._is_closed:
            raise NotSent("the way to the channel is closed")
        session = self._session or self._open()
        way = SimpleNamespace(is_connected=False)
        self.counts["sent"] += 1
        try:
            async with asyncio.timeout(request.timeout_s):
                return await self._exchange(session, request, way)
        except (NotSent, NoAnswer) as error:
            self._count(error)
            raise
        except TimeoutError:
            lost = _lost(way, f"no answer within {request.timeout_s:g} s")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # Only the kind: a text may hold the address with its query.
            lost = _lost(way, type(error).__name__)
        self._count(lost)
        raise lost from None

    def _count(self, error: Exception) -> None:
        self.counts["not_sent" if isinstance(error, NotSent) else "no_answer"] += 1

    async def _exchange(
        self, session: aiohttp.ClientSession, request: HttpRequest, way: SimpleNamespace
    ) -> HttpAnswer:
        async with session.request(
            request.method,
            URL(request.url, encoded=True),
            data=request.body or None,
            headers=request.headers,
            allow_redirects=False,
            trace_request_ctx=way,
        ) as answer:
            body = await self._read(answer)
            headers: dict[str, str] = {}
            for name, value in answer.headers.items():
                known = headers.get(name.lower())
                # Two of one name are one text: no signature of ours looks right then.
                headers[name.lower()] = value if known is None else f"{known}, {value}"
            return HttpAnswer(answer.status, headers, body)

    async def _read(self, answer: aiohttp.ClientResponse) -> bytes:
        parts = []
        left = self._settings.answer_bytes_max
        async for part in answer.content.iter_any():
            left -= len(part)
            if left < 0:
                answer.close()  # What still comes is not read.
                raise NoAnswer("the answer is too long")
            parts.append(part)
        return b"".join(parts)

    def _open(self) -> aiohttp.ClientSession:
        settings = self._settings
        connector = aiohttp.TCPConnector(
            limit=settings.connections_max,
            keepalive_timeout=KEEPALIVE_S,
            ttl_dns_cache=NAMES_S,
            ssl=self._tls or _strict_tls(),
        )
        traces = aiohttp.TraceConfig()
        traces.on_connection_create_end.append(self._connected)
        traces.on_connection_reuseconn.append(self._reused)
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=None, connect=settings.connect_s),
            cookie_jar=aiohttp.DummyCookieJar(),
            # Asked for as they are: a packed answer could grow beyond any bound.
            skip_auto_headers=("Accept-Encoding", "User-Agent"),
            auto_decompress=False,
            trust_env=False,
            max_line_size=HEADER_BYTES_MAX,
            max_field_size=HEADER_BYTES_MAX,
            read_bufsize=PART_BYTES,
            trace_configs=[traces],
            middlewares=(_once,),
        )
        return self._session

    async def _connected(self, _: object, trace: SimpleNamespace, __: object) -> None:
        trace.trace_request_ctx.is_connected = True
        self.counts["connections"] += 1

    async def _reused(self, _: object, trace: SimpleNamespace, __: object) -> None:
        trace.trace_request_ctx.is_connected = True

    async def close(self) -> None:
        """Cut whatever is under way; more is refused as not sent."""
        self._is_closed = True
        session, self._session = self._session, None
        if session is not None:
            await session.close()


async def _once(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Send, and let no error through that aiohttp takes for an invitation to send again."""
    try:
        return await handler(request)
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
        raise NotSent(type(error).__name__) from None
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise NoAnswer(type(error).__name__) from None


def _lost(way: SimpleNamespace, reason: str) -> NotSent | NoAnswer:
    return NoAnswer(reason) if way.is_connected else NotSent(reason)


def _strict_tls() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
