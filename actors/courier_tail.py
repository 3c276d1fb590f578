"""Reading the shards: which events there are, in order, and the bodies of those that are wanted.

One task a shard. The cursor moves in the commit that holds the deliveries of what it passes, so
that nothing is lost whenever we end; what was read and not written is read again. A shard that is
away is waited for.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final, TypeVar

from msgspec import DecodeError, Struct
from msgspec.json import Decoder

from actors.courier_commits import Commits
from actors.event_index import LISTED_MAX, EventIndex
from actors.event_messages import EventRows, EventTail, FetchEvents, TailEvents
from actors.link import Dialer, Link
from actors.messages import Message
from payments.clock import Clock
from payments.storage.base import EventRow, EventStub

log = logging.getLogger(__name__)

PAGE: Final = 500
FETCHED: Final = 100
"""Events asked for whole at one time."""

POLL_S: Final = 1.0
"""A shard tells when there is more; this is for when that word was lost."""

GATHER_S: Final = 0.01
"""What is committed within so long of each other is read together."""

GATHER_UNWANTED_S: Final = 0.1
"""The same while nobody wanted what was read last: at a thousand commits a second, reading each by
itself would cost a payment 10 us for nobody."""

BETWEEN_PAGES_S: Final = 0.002
"""Far behind, the shard's payments still come first."""

ASK_S: Final = 10.0
AWAY_S: Final = 0.1
FAR: Final = 1 << 62

T = TypeVar("T")


class Away(ConnectionError):
    """A shard cannot be asked just now."""


class Asks:
    """Questions to shards whose answers are awaited."""

    def __init__(self) -> None:
        self._ref = 0
        self._waiting: dict[int, tuple[Link, asyncio.Future[Any]]] = {}

    async def ask(self, to: Dialer, message: Any, kind: type[T]) -> T:
        """The answer. Raise Away when there is no link, none in time, or it is lost."""
        link = to.link
        self._ref = message.ref = self._ref + 1
        if link is None or not link.send(message):
            raise Away("no link")
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[message.ref] = link, future
        try:
            async with asyncio.timeout(ASK_S):
                answer = await future
        except TimeoutError:
            raise Away("no answer") from None
        finally:
            self._waiting.pop(message.ref, None)
        assert isinstance(answer, kind), answer
        return answer

    def answered(self, message: Message) -> None:
        _, future = self._waiting.get(message.ref, (None, None))  # type: ignore[union-attr]
        if future is not None and not future.done():
            future.set_result(message)

    def lost(self, link: Link) -> None:
        for asked, future in list(self._waiting.values()):
            if asked is link and not future.done():
                future.set_exception(Away("the link was lost"))


class _Data(Struct):
    id: str
    payment: str | None = None


class _Body(Struct):
    data: _Data


_body: Final = Decoder(_Body).decode


def source_of(row: EventRow) -> str:
    """The payment that an event is about: its refunds' events too. Else the object itself."""
    try:
        data = _body(row[6]).data
    except DecodeError:
        return row[3]
    return data.payment or data.id


class Tail:
    """One shard. `wants`: whether anybody takes an event; `deliver`: its rows, into a commit."""

    def __init__(
        self,
        shard: int,
        dialer: Dialer,
        cursor: int | None,
        asks: Asks,
        commits: Commits,
        clock: Clock,
        wants: Callable[[int, str], Awaitable[bool]],
        deliver: Callable[[Iterable[EventRow]], None],
        listed_max: int = LISTED_MAX,
    ) -> None:
        self.shard = shard
        self.dialer = dialer
        self.cursor = cursor or 0
        self.index = EventIndex(listed_max)
        self.lag = 0
        self.is_loaded = False
        """What lists go back to is in memory, and all up to now was read once."""
        self._asks = asks
        self._commits = commits
        self._clock = clock
        self._wants = wants
        self._deliver = deliver
        self._is_new = cursor is None
        self._listed_max = listed_max
        self._position: int | None = None
        self._stored = self.cursor
        self._wake = asyncio.Event()
        self._gather_s = GATHER_S
        self._rounds = 0
        self._round_done = asyncio.Event()
        self._is_reading = False
        self._hurry = asyncio.Event()

    def wake(self) -> None:
        """There is more to read."""
        self._wake.set()

    async def run(self) -> None:
        """Read until canceled."""
        while True:
            try:
                await self._round()
            except Away:
                # Restarting, or full: it is asked again until it answers.
                await asyncio.sleep(AWAY_S)
                continue
            self._rounds += 1
            self._round_done.set()
            try:
                async with asyncio.timeout(POLL_S):
                    await self._wake.wait()
            except TimeoutError:
                self.keep_cursor()
            else:
                await self._gather()
            self._wake.clear()

    async def _gather(self) -> None:
        """Let a few more commits come together, unless somebody waits for us to catch up."""
        try:
            async with asyncio.timeout(self._gather_s):
                await self._hurry.wait()
        except TimeoutError:
            return

    async def catch_up(self) -> None:
        """Wait until everything that the shard has committed by now was read and written."""
        # The round that runs may have asked before: the one after it has not.
        target = self._rounds + (2 if self._is_reading else 1)
        while self._rounds < target:
            self._round_done.clear()
            self._hurry.set()
            self._wake.set()
            await self._round_done.wait()
        self._hurry.clear()

    async def _round(self) -> None:
        self._is_reading = True
        try:
            await self._read()
        finally:
            self._is_reading = False

    async def _read(self) -> None:
        """Read until there is no more."""
        if self._position is None:
            await self._begin()
        while True:
            assert self._position is not None
            ask = TailEvents(0, self._position, PAGE)
            answer = await self._asks.ask(self.dialer, ask, EventTail)
            if answer.rows:
                await self._take(answer.rows)
            self.lag = max(0, answer.last - self._position)
            if len(answer.rows) < PAGE:
                break
            await asyncio.sleep(BETWEEN_PAGES_S)
        self.is_loaded = True

    async def _begin(self) -> None:
        """Where to read from: so far back as lists go, and never after the cursor."""
        answer = await self._asks.ask(self.dialer, TailEvents(0, FAR, 1), EventTail)
        if self._is_new:
            # Nobody had an endpoint: what happened before there was a courier is not told.
            self.cursor = answer.last
            await self._commits.durable(("set_cursor", (self.shard, self.cursor)))
            self._stored, self._is_new = self.cursor, False
        elif answer.last < self.cursor:
            log.error(
                "shard %d is at event %d and was read up to %d: it lost what it had committed",
                self.shard,
                answer.last,
                self.cursor,
            )
            self.cursor = answer.last
            await self._commits.durable(("reset_cursor", (self.shard, self.cursor)))
            self._stored = self.cursor
        self._position = max(0, min(self.cursor, answer.last - self._listed_max))

    async def _take(self, stubs: tuple[EventStub, ...]) -> None:
        """One page: deliveries first, durable with the cursor; then it counts as read."""
        wanted = [
            no
            for no, merchant_no, kind, _ in stubs
            if no > self.cursor and await self._wants(merchant_no, kind)
        ]
        last = stubs[-1][0]
        rows = await self.fetch(wanted)
        self._gather_s = GATHER_S if rows else GATHER_UNWANTED_S
        self.index.add(stubs)
        self._position = last
        if last <= self.cursor:
            return
        self.cursor = last
        if rows:
            self._deliver(rows)
            self._stored = last
            await self._commits.durable(("set_cursor", (self.shard, last)))
        elif last - self._stored >= self._listed_max // 2:
            self.keep_cursor()

    def keep_cursor(self) -> None:
        """Where nobody wants anything the cursor is written now and then: reading is cheap.

        And at the end, so that the next start knows what there was (`gateway/lost_files.py`).
        """
        if self.cursor != self._stored:
            self._stored = self.cursor
            self._commits.add(("set_cursor", (self.shard, self.cursor)))

    async def fetch(self, numbers: list[int]) -> list[EventRow]:
        """Events whole, in the order asked for. Raise Away."""
        found: list[EventRow] = []
        at = 0
        while at < len(numbers):
            asked = numbers[at : at + FETCHED]
            answer = await self._asks.ask(self.dialer, FetchEvents(0, tuple(asked)), EventRows)
            found += answer.rows
            if not answer.rows:
                log.error("shard %d named events that it has not got", self.shard)
                at += len(asked)
            elif len(answer.rows) < len(asked):
                # As many as go into a frame; the rest is asked for again.
                at += asked.index(answer.rows[-1][0]) + 1
            else:
                at += len(asked)
        return found

    async def event(self, identifier: str) -> EventRow | None:
        """One event by its id. Raise Away."""
        answer = await self._asks.ask(self.dialer, FetchEvents(0, (), identifier), EventRows)
        return answer.rows[0] if answer.rows else None

    async def of_payment(self, identifier: str) -> list[EventRow]:
        """Events of a payment and its refunds, the oldest first. Raise Away."""
        answer = await self._asks.ask(self.dialer, FetchEvents(0, (), "", identifier), EventRows)
        return list(answer.rows)
