"""A lane with one shard linked to it, over the simulated channel or one that waits to be told."""

import asyncio
from random import Random

import pytest

from actors.calls import LaneLimits
from actors.channel import ChannelLane
from actors.messages import LanePay, LaneReply, decoder, encoder
from payments.channels.base import Approved, Unknown, Unpaid
from payments.channels.simulated.books import Books
from payments.channels.simulated.connector import SimulatedChannel
from payments.channels.simulated.settings import SimulatedSettings
from payments.clock import ManualClock
from payments.ids import IdMint, SeededEntropy, out_trade_no
from virtual_loop import VirtualLoop


def pytest_asyncio_loop_factories():
    """Lanes open no socket and no thread: their timers need not wait, nor depend on the machine."""
    return {"virtual": VirtualLoop}


class Peer:
    """A link that keeps what was sent, tick by tick, after a trip through the real codec."""

    def __init__(self, name="shard-0", role="shard"):
        self.peer_name = name
        self.peer_role = role
        self.got = []
        self.up = True
        self.news = asyncio.Event()

    def send(self, message):
        self.news.set()
        if self.up:
            self.got.extend(decoder.decode(encoder.encode([message])))
        return self.up

    def of(self, kind):
        return [message for message in self.got if isinstance(message, kind)]

    def outcomes(self):
        return {reply.ref: reply.outcome for reply in self.of(LaneReply)}


class Stubborn:
    """A channel whose payments wait until the test lets them go; questions are answered."""

    def __init__(self):
        self.calls = []
        self.waiting = {}
        self.busiest = 0

    async def pay(self, order):
        self.calls.append(order.out_trade_no)
        self.waiting[order.out_trade_no] = asyncio.get_running_loop().create_future()
        self.busiest = max(self.busiest, len(self.waiting))
        try:
            return await self.waiting[order.out_trade_no]
        finally:
            del self.waiting[order.out_trade_no]

    def let_go(self, number):
        self.waiting[number].set_result(Approved(number, 100, "t"))

    async def inquire(self, order):
        raise RuntimeError("the parser fell over")

    async def reverse(self, order):
        return Approved(order.out_trade_no, 100)

    async def close(self, order):
        return Unknown("no idea")

    async def refund(self, order):
        return Approved(order.out_trade_no, order.amount, "r")

    async def inquire_refund(self, order):
        return Unpaid("absent")


def simulated(settings, clock, books):
    return SimulatedChannel(settings or SimulatedSettings(), clock, Random(1), books)


def raising_for(number, real):
    """The channel's way to pay, with a bug that one order number meets."""

    def pay(order):
        if order.out_trade_no == number:
            raise RuntimeError("boom")
        return real(order)

    return pay


class House:
    """A lane with one shard linked to it."""

    def __init__(self, stubborn=False, settings=None, circuit=None, channel=None, **limits):
        self.clock = ManualClock()
        self.books = Books()
        self.channel = channel or (
            Stubborn() if stubborn else simulated(settings, self.clock, self.books)
        )
        self.shard = Peer()
        self.routed = []
        self.lane = ChannelLane(
            "lane-sim-0",
            "sim",
            0,
            self.channel,
            self.clock,
            LaneLimits(**{"pay_timeout_ms": 1000, **limits}),
            self.route,
            circuit,
        )
        self.lane.on_link(self.shard)
        self.mint = IdMint(SeededEntropy(5))

    def route(self, partition, message):
        self.routed.append((partition, message))
        return True

    def pay(self, ref, number, ending="0000", merchant="mch_a", amount=3800):
        code = f"13456789012345{ending}"
        return LanePay(ref, number, amount, "cny", "barcode", merchant, "wechat", code)

    def break_for(self, number, name, monkeypatch):
        """Have the channel's method `name` raise for this order."""
        monkeypatch.setattr(self.channel, name, raising_for(number, getattr(self.channel, name)))

    def peer(self, name, role="shard"):
        return Peer(name, role)

    def number(self, partition=7):
        return out_trade_no(self.mint.new("pay", self.clock.now_ms(), partition), 1)

    def frame(self, *messages, link=None):
        self.lane.on_messages(link or self.shard, list(messages))

    async def settled(self, count=1, link=None):
        """Wait until so many replies have come."""
        async with asyncio.timeout(60):
            peer = link or self.shard
            while len(peer.of(LaneReply)) < count:
                peer.news.clear()
                await peer.news.wait()


@pytest.fixture
async def make_house():
    houses = []

    def make(*args, **kwargs):
        houses.append(House(*args, **kwargs))
        return houses[-1]

    yield make
    for house in houses:
        house.lane.close()
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
