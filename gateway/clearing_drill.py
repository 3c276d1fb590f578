"""From a rehearsed day's rows to signed payment orders, on the real shard: what clearing takes.

    ask for a run ──> every batch is filed ──> a credit for each channel account and day is matched
    ──> at ten the next morning each due payout is drafted, checked by policy and sent
    ──> the custody side takes the instructions, writes pain.001 messages and signs them

The shard is the one that `tillway serve` runs, over its links; the custody side is made up and has
no bank behind it: what is measured ends where the first byte would leave.
"""

import asyncio
import json
import resource
from collections import defaultdict
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from msgspec.structs import replace

from actors.clearing import RUNS_ID
from actors.core import Core, ShardOptions
from actors.custody_credits import SHARES_MAX
from actors.custody_orders import ITEMS_MAX
from actors.home_messages import (
    Carry,
    ClaimRows,
    CreditMatched,
    HomeAsk,
    Instruct,
    Land,
    Landed,
    MatchCredit,
    ReadClaims,
)
from actors.link import Dialer, Identity, Link, serve
from actors.local import LocalNetwork
from actors.messages import Answer, Changes, Message, Refusal
from actors.shard import MerchantShard
from actors.snapshot import Reference
from gateway.counted_store import CountedStore
from gateway.home_settings import home_options
from gateway.processes import policy_of
from gateway.settings import load
from payments import chart
from payments.calendar import business_date
from payments.clearing.rehearsal import ACCOUNT, shops
from payments.clearing.runs import Runs
from payments.clearing.workdays import cut_off_ms
from payments.clock import SystemClock, cpu_seconds
from payments.idempotency import Digests
from payments.ids import Entropy, IdMint
from payments.iso20022 import pain001
from payments.iso20022.pain001 import CreditTransfer, PaymentOrder
from payments.money import AMOUNT_MAX
from payments.settlement.cover import Credit, Divided, Waiting, divide, in_order
from payments.settlement.instruction import Policy
from payments.storage.clearing_day import FACTS, SHARD

CUSTODY: Final = chart.custody("rehearsal", "01")
STAGE_S_MAX: Final = 1_800.0
"""How long a stage may take before the drill is given up."""

POLL_S: Final = 0.01
AFTER_CLOSING_MS: Final = 30 * 60_000
PAYOUT_MS: Final = 10 * 3_600_000 + 60_000
"""After midnight: when payouts are looked at, and a minute."""

KEY_BITS: Final = 2_048


STATUS: Final = Path("/proc/self/status")
LOOK_EVERY: Final = 16
"""Polls between two looks at the memory."""


class Memory:
    """The most that was seen of this process's memory, MiB: its own, and files' that are mapped."""

    def __init__(self) -> None:
        self.private_mib = self.mapped_mib = 0.0

    def look(self) -> None:
        """Called now and then: the kernel keeps the peak of the sum only."""
        found = dict(line.split(":", 1) for line in STATUS.read_text("ascii").splitlines())
        private, mapped, shared = (
            int(found[name].split()[0]) / 1024 for name in ("RssAnon", "RssFile", "RssShmem")
        )
        self.private_mib = max(self.private_mib, private)
        self.mapped_mib = max(self.mapped_mib, mapped + shared)


class DrillFailed(RuntimeError):
    """A stage did not come to its end, or came to another than it must."""


class Custody:
    """The custody side of the shard's link: takes instructions, makes signed messages of them."""

    def __init__(self, clock: SystemClock) -> None:
        self.link: Link | None = None
        self.claims: list[Waiting] = []
        self.read = self.matched = self.left = self.orders = self.paid = self.failed = 0
        self.answered: Answer | None = None
        self.numbers: set[str] = set()
        self.carried: set[str] = set()
        self.landed: set[str] = set()
        self._clock = clock
        self._mint = IdMint()
        self._key = generate_private_key(65_537, KEY_BITS)
        self._new: list[Instruct] = []

    def on_link(self, link: Link) -> None:
        self.link = link

    def on_link_lost(self, link: Link) -> None:
        self.link = None

    def on_messages(self, link: Link, messages: list[Message]) -> None:
        for message in messages:
            match message:
                case Instruct():
                    if message.number in self.numbers:
                        raise DrillFailed(f"{message.id} was instructed twice")
                    self.numbers.add(message.number)
                    self._new.append(message)
                    if len(self._new) >= ITEMS_MAX:
                        self.sign()
                case ClaimRows():
                    self.claims += message.waiting
                    self.read += message.last
                case CreditMatched():
                    self.matched += len(message.matched)
                    self.left += len(message.left)
                case Carry():
                    fields = {name: getattr(message, name) for name in Carry.__struct_fields__}
                    link.send(Land(**fields))
                    self.carried.add(message.source)
                case Landed():
                    link.send(Landed(0, message.source))
                    self.landed.add(message.source)
                case Answer():
                    self.answered = message
                case Refusal():
                    raise DrillFailed(message.detail)

    def tell(self, message: Message) -> None:
        assert self.link is not None
        self.link.send(message)

    def sign(self) -> None:
        """Write one message for what was taken since the last one, and sign its bytes."""
        taken, self._new = self._new, []
        if not taken:
            return
        now = self._clock.now_ms()
        message_id = self._mint.new("msg", now, 0)
        transfers = tuple(
            CreditTransfer(
                each.number, each.amount, each.name, each.account, each.bank, f"Tillway {each.id}"
            )
            for each in taken
        )
        order = PaymentOrder(
            message_id,
            now // 1_000 * 1_000,
            "Tillway",
            f"P-{message_id}",
            business_date(now),
            "Tillway",
            "01",
            "ICBKCNBJ",
            transfers,
        )
        self._key.sign(pain001.encode(order), PKCS1v15(), SHA256())
        self.orders += 1
        self.paid += sum(each.amount for each in taken)


class Drill:
    """One drill over one folder. `stages`: name -> seconds and seconds of CPU."""

    def __init__(self, folder: Path) -> None:
        facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        self.payments: int = facts["payments"]
        self._date: int = facts["business_date"]
        self.clock = SystemClock()
        self.stages: dict[str, tuple[float, float]] = {}
        self.memory = Memory()
        self._entries = self._read = 0
        self.custody = Custody(self.clock)
        sellers = shops(facts["merchants"], self._date, facts["seed"])
        settings = load(flags={"data_dir": str(folder)})
        home = replace(
            home_options(settings),
            custody=CUSTODY,
            payouts=Policy(AMOUNT_MAX),
            is_clearing=False,
        )
        reference = Reference(self.clock)
        for shop in sellers:
            reference.take(Changes(1, (shop.merchant, *shop.receivers, shop.account), True))
        options = ShardOptions("shard-0", 0, (), policy_of(settings), home=home)
        secret = Entropy().bytes(64)
        self._identity = Identity("custody", "custody", secret)
        self.store = CountedStore(folder / SHARD, clock=self.clock)
        self.core = Core(options, self.store, self.clock, Digests(secret), reference, self._ended)
        self.shard = MerchantShard(self.core)

    def _ended(self, reason: str) -> None:
        raise DrillFailed(reason)

    def go_to(self, since_midnight_ms: int) -> None:
        """Business time goes on from an instant of the day after."""
        self.clock.offset_ms = cut_off_ms(self._date) + since_midnight_ms - self.clock.real_ms()

    async def run(self) -> None:
        """All stages, one after the other. Raise DrillFailed."""
        self.go_to(AFTER_CLOSING_MS)
        await self._stage("open", self._open)
        network = LocalNetwork()
        listener = await serve(
            network, "shard-0", self.shard, Identity("shard", "shard-0", self._identity.secret)
        )
        dialer = Dialer(network, lambda: "shard-0", self.custody, self._identity)
        try:
            async with asyncio.TaskGroup() as tasks:
                running = [tasks.create_task(self.shard.run()), tasks.create_task(dialer.run())]
                await self._until(lambda: self.custody.link is not None)
                await self._stage("clear", self._clear)
                await self._stage("cover", self._cover)
                await self._stage("pay", self._pay)
                dialer.close()
                for task in running:
                    task.cancel()
        finally:
            await listener.close()
        await self.shard.finish()

    async def _stage(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        began, cpu = self.clock.monotonic(), cpu_seconds()
        async with asyncio.timeout(STAGE_S_MAX):
            await work()
        self.stages[name] = self.clock.monotonic() - began, cpu_seconds() - cpu
        self.memory.look()

    async def _until(self, is_done: Callable[[], bool]) -> None:
        polls = 0
        while not is_done():
            await asyncio.sleep(POLL_S)  # A stage has a time limit.
            polls += 1
            if polls % LOOK_EVERY == 0:
                self.memory.look()

    async def _open(self) -> None:
        self.shard.open()
        self._entries = self.core.books.entry_no
        self._read = self.store.rows_read

    async def _clear(self) -> None:
        body = msgspec.json.encode({"business_date": self._date})
        self.custody.tell(
            HomeAsk(1, "clearing_batch.run", "", "op_drill", ("operator",), body=body)
        )
        await self._until(lambda: self.custody.answered is not None and not self._is_clearing())

    def _is_clearing(self) -> bool:
        runs = self.core.records.get(RUNS_ID, Runs) or Runs()
        return runs.run is not None or bool(runs.waiting) or bool(self.core.records)

    async def _cover(self) -> None:
        """A credit for every day of the channel account, as large as its claims."""
        custody = self.custody
        custody.tell(ReadClaims(2, ACCOUNT))
        await self._until(lambda: custody.read > 0)
        days: dict[int, list[Waiting]] = defaultdict(list)
        for each in custody.claims:
            days[each.claim.bill_date].append(each)
        for date, claims in sorted(days.items()):
            owed = sum(each.claim.receivable for each in claims)
            credit = Credit(CUSTODY, ACCOUNT, f"R-{date}", owed, self.clock.now_ms(), date)
            divided = divide(credit, claims)
            assert isinstance(divided, Divided), divided
            shares = tuple((each.id, fee) for each, fee in in_order(divided, claims))
            for at in range(0, len(shares), SHARES_MAX):
                custody.tell(MatchCredit(3, credit, shares[at : at + SHARES_MAX]))
        await self._until(lambda: custody.matched + custody.left == len(custody.claims))
        await self._until(lambda: custody.carried == custody.landed)
        if custody.left:
            raise DrillFailed(f"{custody.left} claims could not be matched")

    async def _pay(self) -> None:
        """The next morning: one instruction a merchant that had sales, each signed."""
        self.go_to(PAYOUT_MS)
        wanted = len({each.merchant for each in self.custody.claims})
        await self._until(lambda: len(self.custody.numbers) >= wanted)
        self.custody.sign()

    def answer(self) -> dict[str, Any]:
        """What it came to. Seconds, MiB, minor units."""
        custody, home = self.custody, {"clear", "cover", "pay"}
        peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        cpu_s = sum(cpu for name, (_, cpu) in self.stages.items() if name in home)
        return {
            "payments": self.payments,
            "business_date": self._date,
            "seconds": sum(took for name, (took, _) in self.stages.items() if name in home),
            "cpu_s": cpu_s,
            "cpu_us_per_payment": cpu_s * 1e6 / self.payments,
            "stages": {
                name: {"seconds": round(took, 3), "cpu_s": round(cpu, 3)}
                for name, (took, cpu) in self.stages.items()
            },
            "memory_mib": peak_kib / 1024,
            "private_mib": self.memory.private_mib,
            "mapped_mib": self.memory.mapped_mib,
            "longest_slice_ms": self.shard.home.slices.longest_s * 1000,
            "entries": self.core.books.entry_no - self._entries,
            "rows_read": self.store.rows_read - self._read,
            "rows_written": self.store.rows_written,
            "claims": len(custody.claims),
            "instructions": len(custody.numbers),
            "messages": custody.orders,
            "paid": custody.paid,
        }


def drill(folder: Path) -> dict[str, Any]:
    """Bring the day of a rehearsal to signed orders. Raise DrillFailed, StoreRefused."""
    one = Drill(folder)
    asyncio.run(one.run())
    return one.answer()
