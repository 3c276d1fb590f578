"""Brings a channel's callbacks: retried by the channel's plan, repeated where the scene says so.

The callbacks of one order leave one after the other, those of different orders side by side. A
callback that was not acknowledged waits for its next try out of the way of later ones. Time here
is real time; `retry_factor` shrinks the plan for tests.
"""

import asyncio
import ipaddress
import logging
import traceback
from collections import Counter, deque
from collections.abc import Callable, Iterable
from typing import Final, Protocol
from urllib.parse import urlsplit

import aiohttp
from msgspec import Struct

from payments.channels.sandbox.faults import FaultMaker
from payments.channels.sandbox.turns import News

PENDING_MAX: Final = 100_000
"""Most callbacks that are waiting or under way; more are counted and stay owed until a restart."""

IN_FLIGHT_MAX: Final = 64
"""Most callbacks on the wire at one time."""

ANSWER_MAX_BYTES: Final = 65_536
"""So much of an answer is read; it is meant to be one word."""

RECENT_MAX: Final = 1_000
"""Tries that are remembered for `GET /_sandbox/callbacks`."""

DUPLICATE_GAP_S: Final = 0.05
"""So long after an acknowledged callback the needless one follows."""

URL_MAX: Final = 1_024
"""Longest address of a callback, in characters."""

FACTOR_MAX: Final = 10.0
"""The largest `retry_factor`."""

log = logging.getLogger(__name__)


class Post(Struct, frozen=True):
    """One callback as it goes over the wire."""

    url: str
    headers: dict[str, str]
    body: bytes


class Plan(Struct, frozen=True):
    """A channel's promise. `delays_s`: how long after each failed try the next one follows."""

    delays_s: tuple[float, ...]
    timeout_s: float = 5.0


class Postman(Protocol):
    """What a channel knows about its callbacks."""

    async def post(self, news: News, attempt: int) -> Post | None:
        """The callback, made anew for each try (from 1). None: the channel does not tell this."""
        ...

    def accepted(self, status: int, body: bytes) -> bool:
        """Whether this answer acknowledges the callback."""
        ...

    async def probe(self, news: News) -> Post | None:
        """A wrongly signed callback that must be refused. None: the channel has none."""
        ...


class Try(Struct, frozen=True):
    """One try, for whoever watches. `status`: HTTP status, or 0 and `trouble` the error's name."""

    id: int
    kind: str
    out_trade_no: str
    attempt: int
    status: int
    acknowledged: bool
    trouble: str = ""
    probe: bool = False


class Parcel:
    """A callback on its way: `attempt` tries were made, `extra` needless ones are to follow."""

    __slots__ = ("acknowledged", "attempt", "extra", "news")

    def __init__(self, news: News, extra: int) -> None:
        self.news = news
        self.extra = extra
        self.attempt = 0
        self.acknowledged = False


class Courier:
    """See the module. `settled` hears the id of each callback that is owed no more.

    `counts`: sent, acknowledged, retried, given_up, dropped, probes, probes_accepted (the receiver
    took a probe for true: its fault).
    """

    def __init__(
        self, postman: Postman, plan: Plan, faults: FaultMaker, settled: Callable[[int], None]
    ) -> None:
        self.retry_factor = 1.0
        self.counts: Counter[str] = Counter()
        self.recent: deque[Try] = deque(maxlen=RECENT_MAX)
        self._postman = postman
        self._plan = plan
        self._faults = faults
        self._settled = settled
        self._session: aiohttp.ClientSession | None = None
        self._ready: deque[Parcel] = deque()
        self._behind: dict[int, deque[Parcel]] = {}
        """By order with a callback on the wire: those that must wait for it."""
        self._timers: dict[int, asyncio.TimerHandle] = {}
        self._tries: set[asyncio.Task[None]] = set()
        self._pending = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._stopped = False

    @property
    def pending(self) -> int:
        """Callbacks that are waiting or under way."""
        return self._pending

    @property
    def in_flight(self) -> int:
        """Callbacks on the wire, or about to be: not those that wait for their next try."""
        return self._pending - len(self._timers)

    async def idle(self) -> None:
        """Wait until every callback was acknowledged or given up."""
        await self._idle.wait()

    def start(self, owed: Iterable[News]) -> None:
        """Begin, with what an earlier run left behind. Needs a running event loop."""
        timeout = aiohttp.ClientTimeout(total=self._plan.timeout_s)
        self._session = aiohttp.ClientSession(timeout=timeout)
        for news in owed:
            self.send(news)
        self._start()

    async def stop(self) -> None:
        """Cut what is on the wire and forget the rest: it stays owed in the books."""
        self._stopped = True
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._ready.clear()
        tries = list(self._tries)
        for task in tries:
            task.cancel()
        await asyncio.gather(*tries, return_exceptions=True)
        if self._session is not None:
            await self._session.close()
            self._session = None

    def send(self, news: News) -> None:
        """Bring this, if anybody wants to know."""
        if news.notify_url is None or self._stopped:
            return
        if self._pending >= PENDING_MAX:
            self.counts["dropped"] += 1
            log.warning("the queue of callbacks is full: one stays owed until a restart")
            return
        self._pending += 1
        self._idle.clear()
        parcel = Parcel(news, news.times - 1 + self._faults.duplicates())
        if delay_s := self._faults.callback_s():
            self._later(parcel, delay_s)
        else:
            self._enqueue(parcel)

    # --- one parcel ------------------------------------------------------------------------

    def _enqueue(self, parcel: Parcel) -> None:
        self._timers.pop(id(parcel), None)
        behind = self._behind.get(parcel.news.order.serial)
        if behind is None:
            self._behind[parcel.news.order.serial] = deque()
            self._ready.append(parcel)
        else:
            behind.append(parcel)
        self._start()

    def _start(self) -> None:
        """Put on the wire what there is room for."""
        while self._ready and len(self._tries) < IN_FLIGHT_MAX and self._session is not None:
            parcel = self._ready.popleft()
            task = asyncio.get_running_loop().create_task(self._bring(self._session, parcel))
            self._tries.add(task)
            task.add_done_callback(self._brought)

    def _brought(self, task: asyncio.Task[None]) -> None:
        self._tries.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a callback's try failed inside: %s", type(error).__name__)
        if not self._stopped:
            self._start()

    async def _bring(self, session: aiohttp.ClientSession, parcel: Parcel) -> None:
        """One try, and what follows from it."""
        news = parcel.news
        parcel.attempt += 1
        try:
            if parcel.attempt == 1 and self._faults.probes():
                await self._probe(session, news)
            post = await self._postman.post(news, parcel.attempt)
            if post is None:
                self._finish(parcel)
                return
            tried = await self._send(session, parcel, post)
        except Exception as error:
            # A fault of ours while the callback was made: as good as a try that failed.
            log.error("a callback could not be made: %s", blame(error))
            tried = self._note(news, parcel.attempt, 0, trouble=type(error).__name__)
        finally:
            self._step_aside(news.order.serial)
        self._after(parcel, tried)

    def _after(self, parcel: Parcel, tried: Try) -> None:
        """Again, or done. A needless repetition is not retried."""
        if tried.acknowledged and not parcel.acknowledged:
            parcel.acknowledged = True
            self.counts["acknowledged"] += 1
            self._settled(parcel.news.id)
        if parcel.acknowledged and parcel.extra > 0:
            parcel.extra -= 1
            self._later(parcel, DUPLICATE_GAP_S)
        elif parcel.acknowledged:
            self._finish(parcel)
        elif parcel.attempt <= len(self._plan.delays_s):
            self.counts["retried"] += 1
            self._later(parcel, self._plan.delays_s[parcel.attempt - 1] * self.retry_factor)
        else:
            self.counts["given_up"] += 1
            self._finish(parcel)

    async def _send(self, session: aiohttp.ClientSession, parcel: Parcel, post: Post) -> Try:
        self.counts["sent"] += 1
        status, body, trouble = await self._exchange(session, post)
        acknowledged = not trouble and self._postman.accepted(status, body)
        return self._note(parcel.news, parcel.attempt, status, acknowledged, trouble)

    async def _probe(self, session: aiohttp.ClientSession, news: News) -> None:
        post = await self._postman.probe(news)
        if post is None:
            return
        status, body, trouble = await self._exchange(session, post)
        taken = not trouble and self._postman.accepted(status, body)
        self.counts["probes"] += 1
        self.counts["probes_accepted"] += int(taken)
        self._note(news, 0, status, taken, trouble, probe=True)

    async def _exchange(self, session: aiohttp.ClientSession, post: Post) -> tuple[int, bytes, str]:
        """Status, beginning of the body, and the error's name where there was no answer."""
        if refusal := notify_url_refusal(post.url):
            return 0, b"", refusal
        try:
            async with session.post(
                post.url, data=post.body, headers=post.headers, allow_redirects=False
            ) as answer:
                body = bytearray()
                async for chunk in answer.content.iter_any():
                    body += chunk
                    if len(body) >= ANSWER_MAX_BYTES:
                        answer.close()
                        break
                return answer.status, bytes(body[:ANSWER_MAX_BYTES]), ""
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            return 0, b"", type(error).__name__

    def _note(
        self,
        news: News,
        attempt: int,
        status: int,
        acknowledged: bool = False,
        trouble: str = "",
        *,
        probe: bool = False,
    ) -> Try:
        tried = Try(
            news.id, news.kind, news.order.number, attempt, status, acknowledged, trouble, probe
        )
        self.recent.append(tried)
        return tried

    def _later(self, parcel: Parcel, delay_s: float) -> None:
        if self._stopped:
            return
        loop = asyncio.get_running_loop()
        self._timers[id(parcel)] = loop.call_later(delay_s, self._enqueue, parcel)

    def _finish(self, parcel: Parcel) -> None:
        """Whether it arrived or not: nothing more will be done about it."""
        self._pending -= 1
        if not self._pending:
            self._idle.set()
        if not parcel.acknowledged:
            self._settled(parcel.news.id)

    def _step_aside(self, serial: int) -> None:
        """This order's wire is free: the next one that waited for it may go."""
        behind = self._behind[serial]
        if behind:
            self._ready.append(behind.popleft())
        else:
            del self._behind[serial]


def notify_url_refusal(url: str) -> str:
    """Why callbacks may not go to this address, or nothing: https, or http on loopback."""
    if len(url) > URL_MAX:
        return f"longer than {URL_MAX} characters"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "not an address"
    if not host or parts.username is not None:
        return "not an address"
    if parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host)):
        return ""
    return "https, or http on loopback"


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def blame(error: BaseException) -> str:
    """Type and place of an error, without its text, which may hold what a payer or key is."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "unknown place"
    return f"{type(error).__name__} at {place}"
