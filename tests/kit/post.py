"""A courier at work, with shards that have events and receivers that do as they are told.

The courier, its store, the links and the shard's reading flow are the real ones; what is made up is
who commits (events are put into a shard's store by hand) and who receives (a function).
"""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import msgspec

from actors.courier import CourierActor, CourierOptions
from actors.courier_lanes import DeliveryLimits
from actors.event_messages import CourierAsk, FetchEvents, TailEvents
from actors.link import Dialer, Identity, Link, serve
from actors.local import LocalHost, LocalNetwork
from actors.messages import Answer, Changes, Message, Refusal, Subscribe
from actors.tailing import Tailing
from payments.addresses import Reach
from payments.clock import ManualClock
from payments.ids import IdMint, SeededEntropy
from payments.reference import Merchant, MerchantStatus
from payments.storage.base import Batch
from payments.storage.courier import CourierStore
from payments.storage.memory import MemoryStore
from payments.view import event_id, event_json
from payments.webhooks import Answered

SECRET = b"cluster" * 5
SOON_S = 60.0
FAST_PPM = 1_000
"""The plan in milliseconds: 5 ms, 0.3 s, 1.8 s, and so on."""

Receive = Callable[["Parcel"], Awaitable[Answered]]


class Parcel:
    """One request as a receiver got it."""

    def __init__(self, url: str, headers: dict[str, str], body: bytes) -> None:
        self.url = url
        self.headers = headers
        self.body = body
        self.id = headers["webhook-id"]
        self.type = msgspec.json.decode(body)["type"]
        self.payment = msgspec.json.decode(body)["data"]["payment"]


class Street:
    """Receivers by URL. Who is not named takes everything."""

    def __init__(self) -> None:
        self.got: list[Parcel] = []
        self.receivers: dict[str, Receive] = {}
        self.refused: dict[str, str] = {}
        self.now = 0
        self.most = 0

    async def send(self, url: str, headers: dict[str, str], body: bytes) -> Answered:
        parcel = Parcel(url, headers, body)
        self.got.append(parcel)
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            receive = self.receivers.get(url)
            return Answered(200) if receive is None else await receive(parcel)
        finally:
            self.now -= 1

    async def refusal(self, url: str) -> str | None:
        return self.refused.get(url)

    async def close(self) -> None:
        """Receivers stay where they are."""

    def at(self, url: str) -> list[str]:
        """Ids of the events that came there, in their order."""
        return [parcel.id for parcel in self.got if parcel.url == url]


class ShardStub:
    """A shard's store behind its reading flow. `die` and `rise` as a process would."""

    def __init__(self, network: LocalNetwork, number: int) -> None:
        self.network = network
        self.name = f"shard-{number}"
        self.partition = number
        self.store: Any = MemoryStore(number)
        self.store.open()
        self.core = SimpleNamespace(store=self.store, event_no=0)
        self.tailing = Tailing(self.core)  # type: ignore[arg-type]
        self.host = LocalHost(network)

    async def rise(self) -> None:
        self.host = LocalHost(self.network)
        self.tailing = Tailing(self.core)  # type: ignore[arg-type]
        await serve(self.host, self.name, self, Identity("shard", self.name, SECRET))

    def die(self) -> None:
        self.host.crash()

    def on_link(self, link: Link) -> None:
        """The courier dialed."""

    def on_link_lost(self, link: Link) -> None:
        self.tailing.lost(link)

    def on_messages(self, link: Link, messages: list[Message]) -> None:
        for message in messages:
            if isinstance(message, TailEvents):
                self.tailing.tail(link, message)
            elif isinstance(message, FetchEvents):
                self.tailing.fetch(link, message)

    async def commit(self, rows: list[tuple[Any, ...]]) -> None:
        batch = Batch.empty()
        batch.events += rows
        await self.store.commit(batch)
        self.tailing.committed()


class Town:
    """Everything. `shards` of them; two merchants of the platform `saas` and one of nobody's."""

    def __init__(
        self, path: Path | None = None, *, shards: int = 1, limits: DeliveryLimits | None = None
    ) -> None:
        self.network = LocalNetwork()
        self.clock = ManualClock()
        self.street = Street()
        self.path = path
        self.limits = limits or DeliveryLimits(scale_ppm=FAST_PPM)
        self.listed_max = 10_000
        self.shards = [ShardStub(self.network, number) for number in range(shards)]
        self.mint = IdMint(SeededEntropy(7))
        self.random = Random(7)
        self.wang, self.tea, self.buns = (
            self._merchant(1, "wang", None),
            self._merchant(2, "tea", "saas"),
            self._merchant(3, "buns", "saas"),
        )
        self.unknown: set[int] = set()
        """Numbers of merchants that the directory has not told of."""
        self.courier: CourierActor
        self.store: CourierStore
        self._running: asyncio.Task[None] | None = None
        self._answers: list[tuple[CourierAsk, asyncio.Future[Any]]] = []
        self.peer_role, self.peer_name = "front_door", "front-door-0"
        self.reach: Callable[[str], None] | None = None
        self._link = SimpleNamespace(
            send=self._sent, peer_role="front_door", peer_name="front-door-0"
        )

    def _merchant(self, number: int, name: str, platform: str | None) -> Merchant:
        partition = (number - 1) % len(self.shards)
        identifier = self.mint.new("mch", self.clock.now_ms(), partition)
        return Merchant(identifier, number, name, MerchantStatus.ACTIVE, partition, platform)

    # --- life ----------------------------------------------------------------------------------

    async def start(self) -> "Town":
        for shard in self.shards:
            await shard.rise()
        await serve(self.network, "directory", self, Identity("directory", "directory", SECRET))
        await self.rise()
        return self

    async def rise(self) -> None:
        """Start a courier on what the last one left."""
        self.store = CourierStore(self.path, clock=self.clock)
        options = CourierOptions("courier", Reach(False), self.limits, self.listed_max)
        self.courier = CourierActor(
            options,
            self.store,
            self.street,
            self.clock,
            SeededEntropy(self.random.getrandbits(32)),
            Random(7),
            lambda partition: partition % len(self.shards),
        )
        self.courier.commits.reach = self.reach
        identity = Identity("courier", "courier", SECRET)
        dialers = [
            Dialer(self.network, lambda name=shard.name: name, self.courier, identity)  # type: ignore[misc]
            for shard in self.shards
        ]
        self.directory = Dialer(self.network, lambda: "directory", self.courier, identity)
        self.courier.open(dialers)
        self._running = asyncio.create_task(self._live([*dialers, self.directory]))
        courier = self.courier
        await until(lambda: courier.is_loaded or self._running is None or self._running.done())

    async def _live(self, dialers: list[Dialer]) -> None:
        courier = self.courier
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(courier.run())
                for dialer in dialers:
                    tasks.create_task(dialer.run())
        finally:
            for dialer in dialers:
                dialer.close()

    async def crash(self) -> None:
        """End the courier as kill -9 would: nothing more is written."""
        self.store.abandon()
        running, self._running = self._running, None
        if running is not None:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    async def stop(self) -> None:
        """End it in good order."""
        await self.courier.drain(SOON_S)
        running, self._running = self._running, None
        if running is not None:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        await self.courier.finish()

    async def died(self) -> BaseException:
        """Wait until the courier ended by itself. Why."""
        assert self._running is not None
        (result,) = await asyncio.gather(self._running, return_exceptions=True)
        self._running = None
        assert isinstance(result, BaseException), result
        self.store.abandon()
        while isinstance(result, BaseExceptionGroup):
            result = result.exceptions[0]
        return result

    # --- the directory -------------------------------------------------------------------------

    def on_link(self, link: Link) -> None:
        """The courier dialed."""

    def on_link_lost(self, link: Link) -> None:
        """It went away."""

    def on_messages(self, link: Link, messages: list[Message]) -> None:
        for message in messages:
            if isinstance(message, Subscribe):
                self.tell(link)

    def tell(self, link: Link) -> None:
        known = [m for m in (self.wang, self.tea, self.buns) if m.number not in self.unknown]
        link.send(Changes(1, tuple(known), True))

    def introduce(self) -> None:
        """The directory tells of everybody now."""
        self.unknown.clear()
        self.courier.reference.take(Changes(2, (self.wang, self.tea, self.buns), True))

    # --- the front door ------------------------------------------------------------------------

    def _sent(self, message: Message) -> bool:
        for ask, future in self._answers:
            if ask.ref == getattr(message, "ref", None) and not future.done():
                future.set_result(message)
        return True

    async def ask(
        self,
        op: str,
        body: dict[str, Any] | None = None,
        *,
        target: str | None = None,
        merchant: Merchant | None = None,
        platform: str | None = None,
        query: dict[str, str] | None = None,
        **more: Any,
    ) -> Any:
        """Ask as Wang, unless somebody else is named: the answer's body, or the refusal."""
        who = (merchant or self.wang).id if platform is None else None
        ref = len(self._answers) + 1
        text = msgspec.json.encode(body or {})
        ask = CourierAsk(ref, op, "key_1", who, platform, target, text, query or {}, **more)
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._answers.append((ask, future))
        self.courier.on_messages(self._link, [ask])  # type: ignore[arg-type]
        async with asyncio.timeout(SOON_S):
            answer = await future
        if isinstance(answer, Refusal):
            return answer
        assert isinstance(answer, Answer), answer
        return msgspec.json.decode(answer.body)

    async def endpoint(self, url: str = "http://a", *events: str, **who: Any) -> Any:
        """A new endpoint's object."""
        made = await self.ask(
            "endpoints.create", {"url": url, "events": list(events or ("*",))}, **who
        )
        assert not isinstance(made, Refusal), made
        return made

    # --- what happens --------------------------------------------------------------------------

    async def happen(
        self,
        *kinds: str,
        merchant: Merchant | None = None,
        payment: str | None = None,
    ) -> list[str]:
        """Commit events of one payment, in one commit. Their ids."""
        who = merchant or self.wang
        shard = self.shards[who.partition]
        payment = payment or self.mint.new("pay", self.clock.now_ms(), who.partition)
        rows = []
        for kind in kinds or ("payment.succeeded",):
            source = payment
            data = {"id": payment, "object": "payment", "payment": payment}
            if kind.startswith("refund."):
                source = self.mint.new("rfd", self.clock.now_ms(), who.partition)
                data = {"id": source, "object": "refund", "payment": payment}
            shard.core.event_no += 1
            now = self.clock.now_ms()
            body = event_json(kind, now, msgspec.json.encode(data))
            identifier = event_id(source, kind)
            rows.append(
                (shard.core.event_no, who.partition, who.number, identifier, kind, now, body)
            )
        await shard.commit(rows)
        return [row[3] for row in rows]

    async def came(self, count: int, url: str | None = None) -> list[Parcel]:
        """Wait until so many requests arrived, at one receiver or at all."""
        await until(lambda: len(self._of(url)) >= count)
        return self._of(url)

    def _of(self, url: str | None) -> list[Parcel]:
        return [p for p in self.street.got if url in (None, p.url)]

    async def quiet(self) -> None:
        """Wait until all that is due was brought and written."""
        async with asyncio.timeout(SOON_S):
            for tail in self.courier.tails:
                await tail.catch_up()
        courier = self.courier
        await until(lambda: courier.lanes.is_quiet and courier.commits.is_quiet)

    async def later(self, seconds: float) -> None:
        """Let all that is due be brought and written; then time passes."""
        await self.quiet()
        self.clock.advance(seconds)

    def deliveries(self, event: str) -> list[str]:
        """How the deliveries of an event stand, by endpoint."""
        return [row[3] for row in sorted(self.store.deliveries_of_event(event))]


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something is so. There is no event for what a test looks at from outside."""
    async with asyncio.timeout(SOON_S):
        while not condition():  # noqa: ASYNC110 - looked at from outside
            await asyncio.sleep(0.002)


def answers(*statuses: int, then: int = 200, **more: Any) -> Receive:
    """A receiver that answers these in turn, and `then` for ever."""
    left = list(statuses)

    async def receive(_: Parcel) -> Answered:
        return Answered(left.pop(0), **more) if left else Answered(then)

    return receive
