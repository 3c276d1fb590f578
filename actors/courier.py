"""CourierActor: brings committed events to whoever asked for them, and keeps what that takes.

    shard --tail--> deliveries and cursor, one commit --> lines, one an endpoint --> POST
                                                                 outcome, one commit <--

Its store is its own: shards know nothing of endpoints, and a receiver that hangs slows no payment.
At least once, in order per payment, under the same id in every try.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Sequence
from random import Random
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from actors.courier_commits import Commits
from actors.courier_desk import Desk
from actors.courier_events import EventDesk
from actors.courier_lanes import DeliveryLimits, Lanes, Sender
from actors.courier_tail import Asks, Tail, source_of
from actors.event_index import LISTED_MAX
from actors.event_messages import CourierAsk, EventRows, EventsWaiting, EventTail
from actors.link import Dialer, Link
from actors.messages import (
    Changes,
    ClockQuiet,
    ClockSet,
    Message,
    Ping,
    Pong,
    ReadStatus,
    Refusal,
    Stats,
    Subscribe,
)
from actors.snapshot import Reference
from actors.test_clock import MovableClock
from payments.addresses import Reach
from payments.errors import Internal, Overloaded, PaymentError
from payments.ids import Entropy, IdMint
from payments.reference import Merchant
from payments.storage.base import EventRow
from payments.storage.courier import CourierStore, Step
from payments.webhooks import ENABLED, Endpoint, platform_number

log = logging.getLogger(__name__)

ASKS_MAX: Final = 256
"""Questions being answered at one time; more are refused as overloaded."""

PRUNE_S: Final = 60.0
QUIET_POLL_S: Final = 0.01
QUIET_PATIENCE_S: Final = 5.0
"""How long the test clock waits for receivers; one that is slower is left behind."""

CATCH_UP_S: Final = 1.0
UNKNOWN_MERCHANT_S: Final = 0.05
"""A merchant that a shard knows and our snapshot does not yet: looked for again after this."""


class CourierOptions(Struct, frozen=True):
    """What a courier is told."""

    name: str
    reach: Reach
    limits: DeliveryLimits = DeliveryLimits()
    listed_max: int = LISTED_MAX


class CourierActor:
    """One a deployment. `open`, then `run` beside the links; `shards` in the order of numbers."""

    def __init__(
        self,
        options: CourierOptions,
        store: CourierStore,
        sender: Sender,
        clock: MovableClock,
        entropy: Entropy,
        random: Random,
        shard_of: Callable[[int], int],
    ) -> None:
        self.options = options
        self.reference = Reference(clock)
        self.endpoints: dict[str, Endpoint] = {}
        self.commits = Commits(store)
        self.asks = Asks()
        self.tails: list[Tail] = []
        self.clock = clock
        self._store = store
        self._sender = sender
        self._random = random
        self._delivery_no = 0
        self._of_merchant: dict[int, list[Endpoint]] = {}
        self._of_platform: dict[str, list[Endpoint]] = {}
        self._of_platform_no: dict[int, list[Endpoint]] = {}
        """By the number that events of a platform's own receivers have."""
        self._tasks: asyncio.TaskGroup | None = None
        self._asks_running = 0
        self._bugs = 0
        self._draining = False
        self._knows_clock = False
        self.lanes = Lanes(
            store, self.commits, sender, clock, random, options.limits, self._changed
        )
        mint = IdMint(entropy)
        self._events = EventDesk(
            self.tails,
            shard_of,
            self.reference,
            self.commits,
            clock,
            self._count_added,
            self._next_delivery,
            livemode=options.reach.livemode,
        )
        self._desk = Desk(
            self,
            self._events,
            store,
            self.commits,
            self.lanes,
            sender,
            clock,
            mint,
            entropy,
            options.reach,
        )

    def open(self, dialers: Sequence[Dialer]) -> None:
        """Own the store, load what it holds. `dialers`: to the shards. Raise StoreRefused."""
        self._delivery_no = self._store.open()
        counts = self._store.open_counts()
        cursors = self._store.cursors()
        for endpoint in self._store.endpoints():
            self.endpoints[endpoint.id] = endpoint
            self.lanes.put(endpoint, counts.get(endpoint.id, 0))
        self._sort_endpoints()
        self._desk.open()
        for number, dialer in enumerate(dialers):
            tail = Tail(
                number,
                dialer,
                cursors.get(number),
                self.asks,
                self.commits,
                self.clock,
                self._wants,
                self._deliver,
                self.options.listed_max,
            )
            self.tails.append(tail)

    async def run(self) -> None:
        """Read, bring and answer until canceled; any failure ends all of it, and the process."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            tasks.create_task(self.commits.run(), name="commits")
            tasks.create_task(self.lanes.run(), name="lines")
            tasks.create_task(self._prune_forever(), name="pruning")
            while not self.reference.complete:  # noqa: ASYNC110 - once, at the start
                await asyncio.sleep(QUIET_POLL_S)
            for tail in self.tails:
                tasks.create_task(tail.run(), name=f"tail of shard {tail.shard}")

    async def _prune_forever(self) -> None:
        while True:
            await asyncio.sleep(PRUNE_S)
            self.commits.add(*self._store.pruning())

    async def finish(self) -> None:
        """After `run` was canceled: write the last and close."""
        await self.commits.flush()
        await self._sender.close()
        self._store.close()

    # --- endpoints -----------------------------------------------------------------------------

    def take(self, endpoint: Endpoint) -> None:
        """An endpoint as it is from now on."""
        self.endpoints[endpoint.id] = endpoint
        self.lanes.put(endpoint)
        self._sort_endpoints()

    def forget(self, identifier: str) -> None:
        """An endpoint is no more."""
        del self.endpoints[identifier]
        self.lanes.drop(identifier)
        self._sort_endpoints()

    def _changed(self, endpoint: Endpoint) -> None:
        self.endpoints[endpoint.id] = endpoint
        self._sort_endpoints()

    def _sort_endpoints(self) -> None:
        self._of_merchant.clear()
        self._of_platform.clear()
        self._of_platform_no.clear()
        for endpoint in self.endpoints.values():
            if endpoint.status != ENABLED:
                continue
            if endpoint.merchant is not None:
                self._of_merchant.setdefault(endpoint.merchant_no, []).append(endpoint)
            elif endpoint.platform is not None:
                theirs = self._of_platform.setdefault(endpoint.platform, [])
                theirs.append(endpoint)
                self._of_platform_no[platform_number(endpoint.platform)] = theirs

    def positions(self) -> list[Step]:
        """How far each shard was read: what is older is not for an endpoint that changes now."""
        return [("set_cursor", (tail.shard, tail.cursor)) for tail in self.tails]

    async def caught_up(self) -> None:
        """Wait, not for long, until what the shards have committed by now was read.

        So that an endpoint hears of what happens after it was made, and of nothing before.
        """
        try:
            async with asyncio.timeout(CATCH_UP_S):
                await asyncio.gather(*(tail.catch_up() for tail in self.tails))
        except TimeoutError:
            log.info("a shard is behind: an endpoint may hear of what happened just before it")

    @property
    def is_loaded(self) -> bool:
        return self.reference.complete and all(tail.is_loaded for tail in self.tails)

    # --- events --------------------------------------------------------------------------------

    async def _wants(self, merchant_no: int, kind: str) -> bool:
        """Whether anybody takes an event of that type of that merchant, or platform."""
        if merchant_no < 0:
            return bool(self._takers(merchant_no, kind))
        own = self._of_merchant.get(merchant_no)
        if own and any(endpoint.wants(kind) for endpoint in own):
            return True
        if not self._of_platform:
            return False
        merchant = self.reference.merchant_by_number(merchant_no)
        while merchant is None:
            # Made a moment ago: the shard heard of it before we did.
            await asyncio.sleep(UNKNOWN_MERCHANT_S)
            merchant = self.reference.merchant_by_number(merchant_no)
        theirs = self._of_platform.get(merchant.platform or "", ())
        return any(endpoint.wants(kind) for endpoint in theirs)

    def _deliver(self, rows: Iterable[EventRow]) -> None:
        """Deliveries of new events, into the next commit; their lines hear of it after that."""
        now = self.clock.real_ms()
        touched: dict[str, None] = {}
        for no, _, merchant_no, identifier, kind, at_ms, body in rows:
            takers = self._takers(merchant_no, kind)
            if not takers:
                continue
            merchant = self.reference.merchant_by_number(merchant_no)
            source = source_of((no, 0, merchant_no, identifier, kind, at_ms, body))
            owner = merchant.id if merchant is not None else takers[0].merchant or ""
            self.commits.add(("add_event", (identifier, owner, source, kind, at_ms, body)))
            for endpoint in takers:
                values = (self._next_delivery(), endpoint.id, identifier, source, now)
                self.commits.add(("add_delivery", values))
                touched[endpoint.id] = None
                if not self.lanes.added(endpoint.id):
                    self.commits.add(*self.lanes.disable(endpoint, "backlog"))

        def after() -> None:
            for each in touched:
                self.lanes.stir(each)

        self.commits.add(after=after)

    def _takers(self, merchant_no: int, kind: str) -> list[Endpoint]:
        if merchant_no < 0:
            return [each for each in self._of_platform_no.get(merchant_no, ()) if each.wants(kind)]
        found = [each for each in self._of_merchant.get(merchant_no, ()) if each.wants(kind)]
        if self._of_platform:
            merchant = self.reference.merchant_by_number(merchant_no)
            platform = merchant.platform if merchant is not None else None
            theirs = self._of_platform.get(platform or "", ())
            found += [each for each in theirs if each.wants(kind)]
        return found

    def _next_delivery(self) -> int:
        self._delivery_no += 1
        return self._delivery_no

    def _count_added(self, endpoint: str, count: int) -> bool:
        return self.lanes.added(endpoint, count)

    # --- links ---------------------------------------------------------------------------------

    def on_link(self, link: Link) -> None:
        if link.peer_role == "directory":
            link.send(Subscribe(self.options.name, self.reference.number))
        elif link.peer_role == "shard":
            for tail in self.tails:
                tail.wake()

    def on_link_lost(self, link: Link) -> None:
        self.asks.lost(link)

    def on_messages(self, link: Link, messages: Sequence[Message]) -> None:
        """Take a frame. Never waits: questions get a task each."""
        for message in messages:
            match message:
                case EventTail() | EventRows():
                    self.asks.answered(message)
                case EventsWaiting():
                    self._wake(link)
                case Changes():
                    merchants = tuple(r for r in message.records if isinstance(r, Merchant))
                    self.reference.take(replace_records(message, merchants))
                case ClockSet():
                    self._start(self._clock_set(link, message))
                case CourierAsk():
                    self._asked(link, message)
                case ReadStatus(ref=ref):
                    link.send(Stats(ref, self.options.name, self.stats()))
                case Ping(ref=ref):
                    link.send(Pong(ref))
                case _:
                    self._bugs += 1

    def _wake(self, link: Link) -> None:
        for tail in self.tails:
            if tail.dialer.link is link:
                tail.wake()

    def _start(self, work: Coroutine[None, None, None]) -> None:
        assert self._tasks is not None
        self._tasks.create_task(work)

    def _asked(self, link: Link, ask: CourierAsk) -> None:
        if self._asks_running >= ASKS_MAX or self.commits.is_full or self._draining:
            link.send(Refusal(ask.ref, Overloaded.code, "try again in a second", None, 1))
            return
        self._asks_running += 1
        self._start(self._answer(link, ask))

    async def _answer(self, link: Link, ask: CourierAsk) -> None:
        try:
            answer = await self._desk.answer(ask)
            answer.ref = ask.ref
            link.send(answer)
        except PaymentError as error:
            # A nonce that was spent is durable before its owner hears of anything.
            if ask.nonce:
                await self.commits.durable()
            link.send(_refusal(ask.ref, error))
        except Exception as error:
            # A bug in one answer must not take the deliveries with it.
            self._bugs += 1
            log.error("an answer about webhooks failed", exc_info=error)
            link.send(_refusal(ask.ref, Internal()))
        finally:
            self._asks_running -= 1

    # --- the test clock ------------------------------------------------------------------------

    async def _clock_set(self, link: Link, message: ClockSet) -> None:
        """Shards are quiet: what they committed is brought before time goes on.

        Retries keep real time; what is not due yet is not waited for, nor who does not answer.
        The first word, of a clock that nobody moved, lets no time pass: shards still start then.
        """
        is_start = not self._knows_clock and message.offset_ms == self.clock.offset_ms
        self._knows_clock = True
        if is_start:
            link.send(ClockQuiet(message.step, None))
            return
        self.clock.offset_ms = message.offset_ms
        try:
            async with asyncio.timeout(QUIET_PATIENCE_S):
                await asyncio.gather(*(tail.catch_up() for tail in self.tails))
                while not (self.lanes.is_quiet and self.commits.is_quiet):  # noqa: ASYNC110 - bounded
                    await asyncio.sleep(QUIET_POLL_S)
        except TimeoutError:
            log.info("the test clock goes on without waiting for slow receivers")
        link.send(ClockQuiet(message.step, None))

    # --- the end, and numbers ------------------------------------------------------------------

    async def drain(self, timeout_s: float) -> None:
        """Take nothing new, finish what is on the wire; the rest stays due."""
        self._draining = True
        await self.lanes.drain(timeout_s)
        for tail in self.tails:
            tail.keep_cursor()
        await self.commits.durable()

    def stats(self) -> dict[str, float]:
        """Plain numbers for metrics and readiness."""
        numbers: dict[str, float] = {
            "ready": float(self.is_loaded and self.reference.ready()),
            "commits_total": self.commits.count,
            "bugs_total": self._bugs,
            "webhook_unread_events": sum(tail.lag for tail in self.tails),
        }
        age_s = self.reference.age_s()
        if age_s is not None:
            numbers["reference_age_seconds"] = age_s
        return numbers | self.lanes.stats()


def replace_records(changes: Changes, merchants: tuple[Merchant, ...]) -> Changes:
    """The same message with merchants alone: stores, terminals and keys are no business of ours."""
    return replace(changes, records=merchants)


def _refusal(ref: int, error: PaymentError) -> Refusal:
    return Refusal(ref, error.code, error.detail, error.param, error.retry_after_s or 0)
