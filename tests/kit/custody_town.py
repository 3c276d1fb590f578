"""A custody box at work: its store, links and client are the real ones, before the bank's sandbox.

What is made up are the shards (they keep what they are told and answer from lists) and the
directory (it moves the clock). `crash` ends the box as kill -9 does; `start` is the next one.
"""

import asyncio
from hashlib import sha256

from actors.custody import CustodyActor, CustodyOptions
from actors.custody_orders import Payer
from actors.home_messages import (
    BankSaid,
    BankSaidTaken,
    ClaimRows,
    CreditMatched,
    Instruct,
    Land,
    Landed,
    MatchCredit,
    ReadClaims,
)
from actors.link import Dialer, Identity, serve
from actors.local import LocalHost, LocalNetwork
from actors.messages import ClockQuiet, ClockSet, ReadStatus, Stats, Subscribe
from bank_rig import Bank
from payments.channels.bank.desk import CUSTODY_ACCOUNT
from payments.clearing.netting import Claim
from payments.ids import IdMint, SeededEntropy, body_at
from payments.settlement.cover import Waiting
from payments.settlement.credited import Covered
from payments.storage.custody import CustodyStore

SECRET = b"cluster" * 5
CUSTODY = "custody:icbc:01"
DAY = 20261117
SOON_S = 60.0
PARTITIONS_EACH = 100


def made(prefix, partition, *words):
    """An id of that partition, the same one for the same words."""
    digest = sha256(" ".join(map(str, words)).encode()).digest()
    return f"{prefix}_" + body_at(1_700_000_000_000, partition, digest)


def instruct(
    name, amount=1_000, account="6222000000000000", partition=1, holder="老王面馆", **changes
):
    """An order of a shard for a payment that `name` tells from others."""
    identifier = made("ins", partition, name)
    fields = {
        "ref": 1,
        "id": identifier,
        "number": "TW" + identifier[-24:],
        "amount": amount,
        "currency": "cny",
        "name": holder,
        "account": account,
        "bank": "ICBKCNBJ",
        "custody": CUSTODY,
        "at": 9,
    }
    return Instruct(**(fields | changes))


def claim(name, amount, partition=1, account="wechat-1", date=DAY):
    """What a channel account owes for a day of the merchant that `name` stands for."""
    batch, merchant = made("bat", partition, name), made("mch", partition, name)
    owed = Claim(account, amount, 0, ((merchant, amount),), date)
    return Waiting(made("cvr", partition, name), batch, merchant, owed)


class Ended(Exception):
    """The box has died in the midst of a step."""


class Shard:
    """`takes`: whether it makes durable what it is told. `refuses`: claims it cannot cover now."""

    def __init__(self, network, number):
        self.network, self.name = network, f"shard-{number}"
        self.takes, self.is_ready = True, True
        self.said, self.claims, self.matched = [], [], []
        self.refuses, self.landed, self.arrived, self.asked = set(), [], [], []
        self.link = self.host = None

    async def rise(self):
        self.host = LocalHost(self.network)
        await serve(self.host, self.name, self, Identity("shard", self.name, SECRET))

    def die(self):
        self.host.crash()
        self.link = None

    def on_link(self, link):
        if link.peer_role == "custody":
            self.link = link

    def on_link_lost(self, link):
        if link is self.link:
            self.link = None

    def tell(self, message):
        assert self.link.send(message)

    def on_messages(self, link, messages):
        for message in messages:
            if isinstance(message, ReadStatus):
                link.send(Stats(message.ref, self.name, {}))
            elif self.is_ready:
                self.hear(link, message)

    def hear(self, link, message):
        match message:
            case BankSaid():
                self.said.append((message.id, message.state, message.reason))
                if self.takes:
                    link.send(BankSaidTaken(message.ref))
            case ReadClaims(credit=credit) if credit:
                rows = self.covered(credit)
                link.send(ClaimRows(message.ref, (), False, rows[:1]))
                link.send(ClaimRows(message.ref, (), True, rows[1:]))
            case ReadClaims():
                self.asked.append(message)
                wanted = [
                    each
                    for each in self.claims
                    if each.claim.channel_account == message.channel_account
                    and message.bill_date in (0, each.claim.bill_date)
                    and each.id not in self.done
                ]
                half = len(wanted) // 2
                link.send(ClaimRows(message.ref, tuple(wanted[:half]), False))
                link.send(ClaimRows(message.ref, tuple(wanted[half:]), True))
            case MatchCredit():
                done = [c for c, _ in message.shares if c not in self.refuses]
                left = tuple((c, "not now") for c, _ in message.shares if c in self.refuses)
                self.matched += [
                    (message.credit.reference, c, fee) for c, fee in message.shares if c in done
                ]
                link.send(CreditMatched(message.ref, tuple(done), left))
            case Land():
                self.landed.append(message.source)
                link.send(Landed(message.ref, message.source))
            case Landed():
                self.arrived.append((message.ref, message.source))

    def covered(self, credit):
        """What it covered by a credit, as a shard has kept it."""
        owed = {each.id: each.claim.receivable for each in self.claims}
        mine = [(c, fee) for reference, c, fee in self.matched if reference == credit]
        return tuple(Covered(c, owed[c], fee) for c, fee in mine)

    @property
    def done(self):
        return {claim for _, claim, _ in self.matched}

    def states(self, order):
        """What was said of an order, in turn; the same thing said again counts once."""
        told = [state for identifier, state, _ in self.said if identifier == order.id]
        return [state for n, state in enumerate(told) if n == 0 or told[n - 1] != state]


class Directory:
    """Moves the clock, and waits until the box is quiet."""

    def __init__(self):
        self.link, self.step = None, 0
        self.quiet = asyncio.Queue()

    def on_link(self, link):
        """It subscribes by itself."""

    def on_link_lost(self, link):
        self.link = None

    def on_messages(self, link, messages):
        for message in messages:
            if isinstance(message, Subscribe):
                self.link = link
            elif isinstance(message, ClockQuiet):
                self.quiet.put_nowait(message)


class Town:
    """`shards` of them; partitions 0-99 are shard 0's, 100-199 shard 1's and so on."""

    def __init__(self, folder, shards=1, settles=None, timeout_s=60.0):
        self.folder = folder
        self.network = LocalNetwork()
        self.shards = [Shard(self.network, number) for number in range(shards)]
        self.directory = Directory()
        self.bank = Bank(timeout_s=timeout_s, late_s=0.5)
        self.settles = settles or {}
        self.mint = IdMint(SeededEntropy(7))
        self.custody = self.host = None
        self.tasks = []
        self.reach = None

    async def open(self):
        await self.bank.start()
        for shard in self.shards:
            await shard.rise()
        await serve(self.network, "directory", self.directory, Identity("directory", "d", SECRET))
        await self.start()
        return self

    async def start(self):
        """A box over the same store, linked to everybody."""
        names = {"wechat-1": "wechat-1", "1900000001": "wechat-1", "alipay-1": "alipay-1"}
        payer = Payer(CUSTODY, CUSTODY_ACCOUNT, "ICBKCNBJ", "Tillway")
        self.store = CustodyStore(self.folder / "custody.db", clock=self.bank.clock)
        self.custody = CustodyActor(
            CustodyOptions("custody", payer, names, self.settles, 60.0),
            self.store,
            self.bank.client,
            self.bank.clock,
            self.mint,
        )
        self.custody.commits.reach = self.reach
        self.host = LocalHost(self.network)
        identity = Identity("custody", "custody", SECRET)
        dialers = [
            Dialer(self.host, lambda name=name: name, self.custody, identity)
            for name in [shard.name for shard in self.shards] + ["directory"]
        ]
        self.custody.open(dialers[:-1], lambda partition: partition // PARTITIONS_EACH)
        self.tasks = [asyncio.create_task(dialer.run()) for dialer in dialers]
        self.tasks.append(asyncio.create_task(self.custody.run()))
        await self.soon(lambda: self.directory.link and all(s.link for s in self.shards if s.host))
        return self

    async def crash(self):
        """The process is gone: nothing more is written or heard."""
        self.host.crash()
        for task in self.tasks:
            task.cancel()
        ended = await asyncio.gather(*self.tasks, return_exceptions=True)
        self.store.abandon()
        self.directory.link = None
        return [error for error in ended if isinstance(error, BaseExceptionGroup)]

    async def close(self):
        await self.crash()
        await self.bank.stop()

    async def soon(self, is_true):
        async with asyncio.timeout(SOON_S):
            while not is_true():  # noqa: ASYNC110 - bounded
                await asyncio.sleep(0.002)

    async def step(self, to_ms=None):
        """One step of the clock, to an instant or where it is. When the box wants to be next."""
        clock, directory = self.bank.clock, self.directory
        if to_ms is not None:
            await self.bank.move(to_ms=to_ms)
        directory.step += 1
        directory.link.send(ClockSet(directory.step, clock.offset_ms))
        async with asyncio.timeout(SOON_S):
            while True:
                told = asyncio.ensure_future(directory.quiet.get())
                box = self.tasks[-1]
                await asyncio.wait([told, box], return_when=asyncio.FIRST_COMPLETED)
                if box.done():
                    told.cancel()
                    raise Ended
                if told.result().step == directory.step:
                    return told.result().next_due

    async def settle(self):
        """Steps where the clock is, until nothing comes of them any more."""
        while True:
            due = await self.step()
            if due is None or due > self.bank.clock.now_ms():
                return due

    async def soon_settled(self, is_true):
        """Settle until something is so."""
        async with asyncio.timeout(SOON_S):
            while not is_true():
                await self.settle()

    async def live(self, until_ms, steps_max=200):
        """Business time goes on from timer to timer, as the deployment's clock does."""
        for _ in range(steps_max):
            due = await self.step()
            now = self.bank.clock.now_ms()
            if due is not None and due <= now:
                continue
            if now >= until_ms:
                return
            to_ms = until_ms if due is None else min(due, until_ms)
            await self.step(to_ms)
        raise AssertionError("the clock does not get there")

    async def credit(self, amount, remittance, reference="WX-1"):
        status, said = await self.bank.helper(
            "POST",
            "credit",
            {"amount_minor": amount, "remittance": remittance, "reference": reference},
        )
        assert status == 200, said
