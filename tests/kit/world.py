"""A whole gateway on one virtual loop: a shard, two lanes, a client; killed and started at will.

Everything is the real thing (links, codec, actors, store, channel) but time, sockets and the
front door's HTTP. `Ack` is what a client keeps of each exchange: what it asked, and what it heard.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import msgspec
from msgspec.structs import replace

from actors.calls import LaneLimits
from actors.channel import ChannelLane
from actors.core import Core, ShardOptions
from actors.link import Dialer, Identity, Link
from actors.local import LocalHost, LocalNetwork, LocalSystem
from actors.messages import (
    Act,
    CancelPayment,
    Changes,
    MakeRefund,
    Message,
    Pay,
    ReadOne,
)
from actors.process import Boxed, Spec
from actors.shard import MerchantShard
from actors.snapshot import Reference
from client import SECRET, Ack, Client
from gateway.processes import LaneHandler
from payments.channels.base import Book
from payments.channels.simulated.books import Books
from payments.channels.simulated.connector import SimulatedChannel
from payments.channels.simulated.settings import Latency, SimulatedSettings
from payments.ids import IdMint, SeededEntropy
from payments.lifecycle import Schedule
from payments.reference import Merchant, Receiver, SplitRule, Terminal
from payments.reference import Store as Place
from payments.routing import ChannelAccount
from payments.splitting.terms import Base, FeeBearer, Part, Terms, Tier
from payments.storage.base import StoreError
from payments.storage.memory import Disk, MemoryStore
from payments.storage.sqlite import SqliteStore
from payments.testing import DIGESTS, NOW_MS, a_merchant, a_policy, an_account
from sync_now import SyncNow
from virtual_loop import Crashed, Inline, LoopClock, VirtualLoop, is_only

ACCOUNTS = ("sim-a", "sim-b")
SCHEDULE = Schedule(late_checks=(5_000, 20_000))
"""The default but for the look after a day, which would take a million ticks."""

WINDOW = 64

FOLDS_WAIT = 2
"""Worlds book few entries: written and waiting folds are among them all the same."""


DIALS_MAX = 10


class World:
    """`path`: a folder for real files; None keeps everything in memory, as deterministic."""

    def __init__(
        self,
        path: Path | None = None,
        seed: int = 0,
        *,
        network: Callable[[VirtualLoop], LocalNetwork] | None = None,
        settings: SimulatedSettings | None = None,
        sync: Callable[[], Any] | None = None,
        window: int = WINDOW,
        day_max: int | None = None,
        loop: VirtualLoop | None = None,
    ) -> None:
        self.path = path
        self.loop = loop or VirtualLoop()
        self.clock = LoopClock(self.loop, NOW_MS)
        self.network = LocalNetwork() if network is None else network(self.loop)
        self.system = LocalSystem(self.network, self.clock)  # type: ignore[arg-type]
        self.mint = IdMint(SeededEntropy(seed + 1))
        self.random = Random(seed)
        self.settings = settings or SimulatedSettings(seed=seed)
        self.window = window
        self.day_max = day_max
        self.disk = Disk()
        self.sync = sync
        self.shared_books = {account: Books() for account in ACCOUNTS}
        self.merchants = [self._merchant(number) for number in (1, 2)]
        self.stores = [Place(self.mint.new("sto", NOW_MS, 7), self.merchants[0].id, "by the river")]
        self.terminals = [
            Terminal(self.mint.new("trm", NOW_MS, 7), self.merchants[0].id, self.stores[0].id, "1")
        ]
        own = IdMint(SeededEntropy(seed + 2))  # Apart: the ids of old seeds stay what they were.
        self.receivers = [
            Receiver(own.new("rcv", NOW_MS, m.partition), m.id, None, f"of {m.name}")
            for m in self.merchants
            for _ in range(2)
        ]
        self.rule = SplitRule(
            own.new("spl", NOW_MS, 18), self.merchants[1].id, self.terms(0, merchant=1).parts
        )
        """What the second merchant takes is split by it, where a payment says nothing else."""
        self.handles: dict[str, Any] = {}
        self.boxes: dict[str, Boxed] = {}
        self.lanes: dict[str, ChannelLane] = {}
        self.channels: dict[str, SimulatedChannel] = {}
        self.books: dict[str, Books] = {}
        self.incarnation = 0
        self.gone: set[asyncio.Task[None]] = set()
        """Boxes that were killed or usurped: the store may refuse their last words."""
        self.epochs: list[int] = []
        self.reach: Callable[[str], None] | None = None
        self.client = Client(self.network)
        self._dialing = self.loop.create_task(self.client.dialer.run())
        self._unique = 0

    schedule = SCHEDULE

    def accounts(self) -> tuple[ChannelAccount, ...]:
        return tuple(
            an_account(account, priority=number) for number, account in enumerate(ACCOUNTS)
        )

    def _merchant(self, number: int) -> Merchant:
        identifier = self.mint.new("mch", NOW_MS, 16 + number)
        return a_merchant(id=identifier, number=number, name=f"shop {number}")

    def terms(self, kind: int, merchant: int = 0) -> Terms:
        """Ways to split that fit payments of any amount, by number."""
        one, two = (each.id for each in self.receivers[2 * merchant :][:2])
        gross = (Part(one, None, 500_000), Part(two, None, 499_999))
        return (
            Terms((Part(one, None, 250_000), Part(two, None, 333_333))),
            Terms(gross, Base.GROSS, FeeBearer.PRO_RATA),
            Terms((Part(one, 1), Part(two, tiers=(Tier(900, 0), Tier(None, 300_000))))),
        )[kind % 3]

    # --- boxes ----------------------------------------------------------------------------------

    def start(self) -> "World":
        """Start every box that is down, and let the links come up."""
        for account in ACCOUNTS:
            if f"lane-{account}" not in self.boxes:
                self._spawn(f"lane-{account}", "lane", lambda s, h, a=account: self._lane(s, h, a))
        if "shard-0" not in self.boxes:
            self._spawn("shard-0", "shard", self._shard)
        self.advance(1.2)
        for _ in range(DIALS_MAX):  # On a slow network a greeting may be lost with its link.
            if self.client.dialer.link is not None:
                break
            self.advance(1.0)
        assert self.client.dialer.link is not None, self.loop.failures
        return self

    def _spawn(self, name: str, role: str, build: Callable[[Spec, LocalHost], Boxed]) -> None:
        self.incarnation += 1
        spec = Spec(role, name, 0, self.incarnation, "", "")

        async def spawn() -> Any:
            return self.system.spawn(build, lambda host, *_: host, spec)

        self.handles[name] = self.loop.run_until_complete(spawn())
        task = self.handles[name]._task
        task.add_done_callback(lambda done: self._ended(name, done))
        self.loop.run_until_complete(asyncio.sleep(0))

    def _ended(self, name: str, task: "asyncio.Task[None]") -> None:
        """A box may die of a planned crash or, as an old owner, of its fence: of nothing else."""
        error = None if task.cancelled() else task.exception()
        if error is None or is_only(error, Crashed, asyncio.CancelledError):
            return
        if task in self.gone and is_only(error, StoreError, Crashed, asyncio.CancelledError):
            return
        self.loop.failures.append(f"{name} failed: {error!r}")
        if self.boxes.get(name) is not None and self.handles[name]._task is task:
            del self.boxes[name]

    def _shard(self, spec: Spec, host: LocalHost) -> Boxed:
        options = ShardOptions(
            "shard-0",
            0,
            self.accounts(),
            a_policy(day_amount_max=self.day_max),
            schedules=dict.fromkeys(ACCOUNTS, self.schedule),
            incarnation=spec.incarnation,
        )
        store = self._store()
        reference = Reference(self.clock)
        records = (*self.merchants, *self.stores, *self.terminals, *self.receivers, self.rule)
        reference.take(Changes(1, records, True))
        core = Core(options, store, self.clock, DIGESTS, reference, self._die)
        core.books.folds_wait = FOLDS_WAIT
        core.reach = self._reached
        shard = MerchantShard(core)
        self.core, self.shard, self.store = core, shard, store
        identity = Identity("shard", "shard-0", SECRET, spec.incarnation)
        box = Boxed(spec, identity, host, str, shard, shard.stats, shard.drain)

        async def open_store() -> None:
            self.epochs.append(shard.open().epoch)
            if isinstance(store, SqliteStore):
                store._commits.shutdown()
                store._commits = Inline()  # type: ignore[assignment]

        _keep_quiet(box)
        box.before.append(open_store)
        box.tasks.append(shard.run)
        box.after.append(shard.finish)
        box.abandon.append(store.abandon)
        box.dialers = [
            Dialer(host, lambda a=account: f"lane-{a}", shard, identity)  # type: ignore[misc]
            for account in ACCOUNTS
        ]
        self.boxes["shard-0"] = box
        return box

    def _store(self) -> MemoryStore | SqliteStore:
        if self.path is not None:
            path = self.path / "shard-0.db"
            return SqliteStore(path, clock=self.clock, open_log_sync=SyncNow)
        if self.sync is not None:
            return MemoryStore(disk=self.disk, clock=self.clock, sync=self.sync)
        return MemoryStore(disk=self.disk, clock=self.clock)

    def _lane(self, spec: Spec, host: LocalHost, account: str) -> Boxed:
        name = f"lane-{account}"
        books = self.shared_books[account]
        if self.path is not None:
            books = Books(self.path / f"{name}.books")
        channel = SimulatedChannel(self.settings, self.clock, Random(7), books)
        links: dict[str, Link] = {}

        def send(_: int, message: Message) -> bool:
            link = links.get("shard-0")
            return link is not None and link.send(message)

        limits = LaneLimits(capacity=self.window)
        lane = ChannelLane(name, account, 0, channel, self.clock, limits, send)
        lane.reach = self._reached
        self.lanes[account], self.channels[account], self.books[account] = lane, channel, books
        identity = Identity("lane", name, SECRET, spec.incarnation)

        async def drain(_: float) -> None:
            await lane.drain()

        box = Boxed(spec, identity, host, str, LaneHandler(lane, links), lane.stats, drain)
        _keep_quiet(box)
        box.abandon.append(lane.abandon)
        if self.path is not None:
            box.abandon.append(books.abandon)
        self.boxes[name] = box
        return box

    def _die(self, reason: str) -> None:
        raise SystemError(reason)

    def _reached(self, point: str) -> None:
        if self.reach is not None:
            self.reach(point)

    def kill(self, *names: str) -> None:
        """Boxes die: nothing more is written or said. Without names: all of them at once."""
        for name in names or tuple(self.boxes):
            box = self.boxes.pop(name, None)
            if box is not None:
                self.gone.add(self.handles[name]._task)
                self.handles[name].kill()
                for abandon in box.abandon:
                    abandon()

    def die_here(self, *names: str) -> None:
        """Kill from within a box: the code that called goes no further."""
        self.kill(*names)
        raise Crashed

    def usurp(self) -> None:
        """A paused shard has lost its lock, and another owner opens the store beside it."""
        assert self.path is None, "the lock of a file cannot be lost"
        if self.boxes.pop("shard-0", None) is not None:
            self.gone.add(self.handles["shard-0"]._task)
        self.disk.crash()
        self.start()

    def restart(self, *names: str) -> None:
        self.kill(*names)
        self.start()

    def close(self) -> None:
        self.kill()
        self.loop.finish()

    # --- time -----------------------------------------------------------------------------------

    def advance(self, seconds: float) -> None:
        """Let virtual time pass."""
        self.loop.run_until_complete(asyncio.sleep(seconds))

    def wait(self, ack: Ack, seconds: float = 40) -> Ack:
        """Until the client has heard, or the time is over."""
        until = self.loop.now_s + seconds
        while not ack.done and self.loop.now_s < until:
            self.advance(0.05)
        return ack

    def settle(self, seconds: float = 3_600) -> list[str]:
        """Faults stop; let everything come to its end. What did not: in words."""
        self.settings = replace(self.settings, latency=Latency(), refund_latency=Latency())
        for channel in self.channels.values():
            channel._settings = self.settings
        self.start()
        until = self.loop.now_s + seconds
        while self.loop.now_s < until:
            self.advance(2)
            if not self.unsettled():
                break
        return self.unsettled()

    def unsettled(self) -> list[str]:
        """Whatever is still under way, in memory or in the store."""
        core = self.core
        due = [f"{row[1]} is due" for row in self.store.due_payments(1 << 50, 5)]
        due += [f"{row[1]} is due" for row in self.store.due_refunds(1 << 50, 5)]
        held: dict[str, Any] = {
            "live": [p.payment for p in core.live.values()],
            "refunds": [r.refund for r in core.refunds.values()],
            "waiting": core.waiting,
            "holds": core.refund_holds,
            "by id": core.live_by_id,
            "by key": core.live_by_key,
            "by order": core.live_by_order,
            "auth codes": core.live_auths,
            "refunds by id": core.refund_by_id,
            "refunds by key": core.refund_by_key,
            "batch": core.batch or None,
            "dirty": core.dirty or core.fresh or core.dirty_refunds or core.fresh_refunds,
        }
        due += [f"{name}: {what}" for name, what in held.items() if what]
        due += [f"lane {a} is busy" for a, lane in self.lanes.items() if len(lane._calls)]
        return due

    # --- what a client does -----------------------------------------------------------------------

    def unique(self) -> int:
        self._unique += 1
        return self._unique

    def new_id(self, command: Pay | MakeRefund) -> str:
        """As a front door mints it: each request is a new command."""
        prefix = "rfd" if isinstance(command, MakeRefund) else "pay"
        partition = next(m.partition for m in self.merchants if m.id == command.merchant)
        return self.mint.new(prefix, self.clock.now_ms(), partition)

    def payment(
        self,
        *,
        merchant: int = 0,
        key: str | None = None,
        order: str | None = None,
        amount: int = 3800,
        ending: str = "0000",
        code: str | None = None,
        way: str = "barcode",
        wait_ms: int = 5_000,
        nonce: int | None = None,
        **more: Any,
    ) -> tuple[Pay, str]:
        """A command as a front door makes it of a request, and its idempotency key."""
        number = self.unique()
        owner = self.merchants[merchant]
        key = key if key is not None else f"key-{number}"
        order = order if order is not None else f"order-{number}"
        if code is None:
            code = f"13{number:012d}{ending}"
        body = f"{order} {amount} {code} {way}".encode()
        barcode = way == "barcode"
        command = Pay(
            0,
            self.mint.new("pay", self.clock.now_ms(), owner.partition),
            owner.id,
            DIGESTS.key(owner.id, key),
            DIGESTS.fingerprint("POST", "/v1/payments", body),
            number if nonce is None else nonce,
            self.clock.real_ms() // 1000,
            order,
            amount,
            "cny",
            way,
            wait_ms,
            None if barcode else "wechat",
            code if barcode else None,
            DIGESTS.auth(owner.id, code) if barcode else None,
            order_hash=DIGESTS.order(owner.id, order),
            **more,
        )
        return command, key

    def pay(self, **asked: Any) -> Ack:
        """Pay, and wait for the answer."""
        return self.wait(self.post(**asked))

    def post(self, **asked: Any) -> Ack:
        """Send a payment without waiting for its answer."""
        return self.client.send(*self.payment(**asked))

    def again(self, ack: Ack) -> Ack:
        """The merchant repeats its request: same key and body, a new command of a front door."""
        was = ack.command
        command = msgspec.structs.replace(
            was,
            id=self.new_id(was),
            nonce=self.unique(),
            nonce_at=self.clock.real_ms() // 1000,
        )
        return self.client.send(command, ack.key)

    def refund(
        self,
        payment: str,
        amount: int | None = None,
        *,
        merchant: int = 0,
        key: str | None = None,
        wait_ms: int = 5_000,
    ) -> Ack:
        """Ask for a refund without waiting for the answer."""
        number = self.unique()
        owner = self.merchants[merchant]
        key = key if key is not None else f"key-{number}"
        path = f"/v1/payments/{payment}/refunds"
        command = MakeRefund(
            0,
            self.mint.new("rfd", self.clock.now_ms(), owner.partition),
            owner.id,
            payment,
            DIGESTS.key(owner.id, key),
            DIGESTS.fingerprint("POST", path, f"{amount}".encode()),
            number,
            self.clock.real_ms() // 1000,
            amount,
            wait_ms,
        )
        return self.client.send(command, key)

    def cancel(
        self, payment: str, *, merchant: int = 0, key: str | None = None, wait_ms: int = 5_000
    ) -> Ack:
        """Ask for a cancel without waiting for the answer."""
        owner = self.merchants[merchant]
        command = CancelPayment(
            0,
            owner.id,
            payment,
            self.mint.new("rfd", self.clock.now_ms(), owner.partition),
            DIGESTS.fingerprint("POST", f"/v1/payments/{payment}/cancel", b""),
            self.unique(),
            self.clock.real_ms() // 1000,
            wait_ms,
            None if key is None else DIGESTS.key(owner.id, key),
        )
        return self.client.send(command, key or "")

    def act(self, payment: str, verb: str, *, merchant: int = 0) -> Ack:
        """The payer acts on a code."""
        return self.client.send(Act(0, self.merchants[merchant].id, payment, verb))

    def read(self, payment: str, *, merchant: int = 0, kind: str = "payment") -> Ack:
        owner = self.merchants[merchant].id
        return self.wait(self.client.send(ReadOne(0, (owner,), kind, payment)))

    def taken(self) -> dict[str, dict[str, Book]]:
        """What each channel account really took, by order number."""

        async def look() -> dict[str, dict[str, Book]]:
            return {
                account: {book.out_trade_no: book for book in channel.books()}
                for account, channel in self.channels.items()
            }

        return self.loop.run_until_complete(look())


def _keep_quiet(box: Boxed) -> None:
    """No numbers for a supervisor: taking them tunes the process, which is the test's own."""

    async def silent() -> None:
        await asyncio.Event().wait()

    box._report = silent  # type: ignore[method-assign]
