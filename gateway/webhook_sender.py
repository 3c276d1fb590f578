"""The way out of webhooks: aiohttp's client, held to addresses that were judged.

A name is resolved by us, once a connection, and every address it has must pass; the connection
then goes to one of exactly these, while `Host` and the TLS name stay the URL's. An address in the
URL itself is judged the same way. No redirect is followed, no proxy asked, no cookie kept.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any, Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from payments.addresses import Reach, UrlRefused, refusal, target_of
from payments.webhooks import ADDRESS_REFUSED, EXCERPT_LENGTH_MAX, Answered, masked

TIMEOUT_S: Final = 15.0
"""From the first step to the last byte of the answer that we read."""

RESOLVE_S: Final = 5.0
ADDRESSES_MAX: Final = 64
ANSWER_BYTES_MAX: Final = 64 * 1024
"""So much of an answer is read, so that the connection can be used again; the rest is cut off."""

HEADER_BYTES_MAX: Final = 16_384
KEEPALIVE_S: Final = 10.0
NAMES_S: Final = 15
"""How long the judged addresses of a name are used again: it may move at any time after that."""

SLOW_S: Final = 1.0
SLOW_AT_ONCE: Final = 2
"""Names that took longer to resolve the last time share so many threads: others have theirs."""

SLOW_NAMES_MAX: Final = 10_000

HEADERS: Final = {
    "Content-Type": "application/json",
    "User-Agent": "Tillway-Webhooks/1",
    "Accept": "*/*",
}

Lookup = Callable[[str, int], Awaitable[list[ResolveResult]]]


class AddressRefused(OSError):
    """The name stands for an address that webhooks may not go to."""


class GuardedResolver(AbstractResolver):
    """Resolves names to addresses that all passed. `lookup`: the system's, or a test's."""

    def __init__(self, reach: Reach, lookup: Lookup | None = None) -> None:
        self._reach = reach
        self._system = None if lookup is not None else aiohttp.ThreadedResolver()
        self._lookup = lookup
        self._under_way: dict[tuple[str, int], asyncio.Task[list[ResolveResult]]] = {}
        self._slow: dict[str, None] = {}
        self._places = asyncio.Semaphore(SLOW_AT_ONCE)

    async def resolve(self, host: str, port: int = 0, family: Any = 0) -> list[ResolveResult]:
        """Every address of a name. Raise AddressRefused if one of them may not be connected to."""
        found = await self._shared(host, port)
        if len(found) > ADDRESSES_MAX:
            raise AddressRefused("the name has too many addresses")
        for each in found:
            why = refusal(each["host"], self._reach)
            if why is not None:
                raise AddressRefused(why)
        return found

    async def _shared(self, host: str, port: int) -> list[ResolveResult]:
        """One look-up at a time for a name, however many wait; none is waited for long."""
        task = self._under_way.get((host, port))
        if task is None:
            task = asyncio.create_task(self._look_up(host, port), name="resolve a name")
            self._under_way[host, port] = task
            task.add_done_callback(lambda done: self._ended(host, port, done))
        async with asyncio.timeout(RESOLVE_S):
            return await asyncio.shield(task)

    def _ended(self, host: str, port: int, task: "asyncio.Task[list[ResolveResult]]") -> None:
        self._under_way.pop((host, port), None)
        if not task.cancelled():
            task.exception()  # Whoever waited has it; nobody may.

    async def _look_up(self, host: str, port: int) -> list[ResolveResult]:
        loop = asyncio.get_running_loop()
        if host in self._slow:
            async with self._places:
                return await self._timed(loop, host, port)
        return await self._timed(loop, host, port)

    async def _timed(
        self, loop: asyncio.AbstractEventLoop, host: str, port: int
    ) -> list[ResolveResult]:
        began = loop.time()
        try:
            if self._lookup is not None:
                return await self._lookup(host, port)
            assert self._system is not None
            return await self._system.resolve(host, port, family=0)  # type: ignore[arg-type]
        finally:
            self._slow.pop(host, None)
            if loop.time() - began > SLOW_S:
                if len(self._slow) >= SLOW_NAMES_MAX:
                    self._slow.clear()
                self._slow[host] = None

    async def close(self) -> None:
        for task in list(self._under_way.values()):
            task.cancel()
        if self._system is not None:
            await self._system.close()


class WebhookSender:
    """`Sender` of the courier. `close` it when done. `tls`, `lookup`: for tests."""

    def __init__(
        self,
        reach: Reach,
        connections_max: int = 256,
        *,
        timeout_s: float = TIMEOUT_S,
        lookup: Lookup | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._reach = reach
        self._connections_max = connections_max
        self._timeout_s = timeout_s
        self._lookup = lookup
        self._tls = tls
        self._session: aiohttp.ClientSession | None = None
        self._resolver: GuardedResolver | None = None

    async def send(self, url: str, headers: dict[str, str], body: bytes) -> Answered:
        """POST a webhook. What goes wrong out there is in the answer."""
        try:
            target_of(url, self._reach)
        except UrlRefused:
            return Answered(0, trouble=ADDRESS_REFUSED)
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._post(url, headers, body)
        except TimeoutError:
            return Answered(0, trouble="timeout")

    async def _post(self, url: str, headers: dict[str, str], body: bytes) -> Answered:
        session = self._opened()
        for _ in range(2):
            way = SimpleNamespace(is_reused=False)
            try:
                async with session.post(
                    URL(url, encoded=True),
                    data=body,
                    headers={**HEADERS, **headers},
                    allow_redirects=False,
                    trace_request_ctx=way,
                ) as answer:
                    excerpt = await self._read(answer)
                    retry_after = answer.headers.get("Retry-After")
                    return Answered(answer.status, retry_after, masked(excerpt))
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
                if _is_refused(error):
                    return Answered(0, trouble=ADDRESS_REFUSED)
                if not way.is_reused:
                    return Answered(0, trouble=_word(error))
                # A kept connection that the receiver had closed: once more, on a new one.
            except (aiohttp.ClientError, OSError, ValueError) as error:
                refused = _is_refused(error)
                return Answered(0, trouble=ADDRESS_REFUSED if refused else _word(error))
        return Answered(0, trouble="ServerDisconnectedError")

    async def _read(self, answer: aiohttp.ClientResponse) -> bytes:
        """The beginning of an answer. One that is too long costs its connection."""
        kept = b""
        left = ANSWER_BYTES_MAX
        async for part in answer.content.iter_any():
            if len(kept) < 4 * EXCERPT_LENGTH_MAX:
                kept += part
            left -= len(part)
            if left < 0:
                answer.close()
                break
        return kept

    async def refusal(self, url: str) -> str | None:
        """Why the addresses behind a URL may not be connected to; None, also if none is known."""
        target = target_of(url, self._reach)
        self._opened()
        assert self._resolver is not None
        if _is_literal(target.host):
            return refusal(target.host, self._reach)
        try:
            await self._resolver.resolve(target.host, target.port)
        except AddressRefused as error:
            return str(error)
        except (OSError, UnicodeError, TimeoutError):
            # It may get its address later; every delivery looks again.
            return None
        return None

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is not None:
            return self._session
        self._resolver = GuardedResolver(self._reach, self._lookup)
        connector = aiohttp.TCPConnector(
            resolver=self._resolver,
            limit=self._connections_max,
            keepalive_timeout=KEEPALIVE_S,
            ttl_dns_cache=NAMES_S,
            ssl=self._tls or _strict_tls(),
        )
        traces = aiohttp.TraceConfig()
        traces.on_connection_reuseconn.append(_reused)
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=None),
            cookie_jar=aiohttp.DummyCookieJar(),
            # Asked for as they are: a packed answer could grow beyond any bound.
            skip_auto_headers=("Accept-Encoding",),
            auto_decompress=False,
            trust_env=False,
            max_line_size=HEADER_BYTES_MAX,
            max_field_size=HEADER_BYTES_MAX,
            trace_configs=[traces],
        )
        return self._session

    async def close(self) -> None:
        """Cut whatever is under way."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()
        if self._resolver is not None:
            await self._resolver.close()


async def _reused(_: object, trace: SimpleNamespace, __: object) -> None:
    trace.trace_request_ctx.is_reused = True


def _is_literal(host: str) -> bool:
    return ":" in host or host.replace(".", "").isdigit()


def _is_refused(error: BaseException) -> bool:
    """Whether our own guard said no, under whatever aiohttp wrapped it in."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, AddressRefused):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def _word(error: BaseException) -> str:
    """The kind alone: a text may hold the address with its query."""
    return type(error).__name__


def _strict_tls() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
