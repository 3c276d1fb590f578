"""Every rig there is. A new channel adds its own here, and the whole suite is run over it."""

from collections.abc import Iterable
from random import Random
from typing import Any

import pytest

from payments.channels.base import Book
from payments.channels.simulated.books import Books
from payments.channels.simulated.connector import SimulatedChannel
from payments.channels.simulated.settings import Latency, SimulatedSettings
from rig_alipay import AlipayRig
from rig_example import ExampleRig
from rig_unionpay import UnionpayRig
from rig_wechat import WeChatRig
from rigs import PAYING, Rig, Stand

RIGS: dict[str, Any] = {rig.name: rig for rig in (ExampleRig, WeChatRig, AlipayRig, UnionpayRig)}


class SimulatedRig:
    """The channel in our own process: no wire, no keys, nothing to tamper with."""

    name = "simulated"
    wallet = "alipay"
    prefix = "28"
    can = PAYING | {"seals", "repeats"}


class SimulatedSlowRig(SimulatedRig):
    name = "simulated, slow"


class SimulatedStand(Stand):
    """Without a socket, so without most of a stand."""

    def __init__(self, rig: Any, clock: Any = None) -> None:
        super().__init__(rig, clock)
        self.pool.close()

    async def start(self, settings: Any = None) -> "Stand":
        slow = SimulatedSettings(latency=Latency("uniform", 1, 4), refund_latency=Latency(ms=2))
        settings = slow if self.rig.name == "simulated, slow" else SimulatedSettings()
        self.channel = SimulatedChannel(settings, self.clock, Random(1), Books())
        return self

    def act(self, number: str, verb: str = "pay") -> str:
        answer: Any = self._simulated.act(number, verb)
        return getattr(answer, "message", "")

    def books(self) -> dict[str, Book]:
        return {book.out_trade_no: book for book in self._simulated.books()}

    def advance(self, seconds: float) -> None:
        self.clock.offset_ms += round(seconds * 1000)
        self._simulated.wake(self.clock.now_ms())

    @property
    def _simulated(self) -> SimulatedChannel:
        assert isinstance(self.channel, SimulatedChannel)
        return self.channel

    async def close(self) -> None:
        """Nothing is open."""


EVERY: dict[str, Any] = {rig.name: rig for rig in (SimulatedRig, SimulatedSlowRig)} | RIGS


def stand_of(name: str, clock: Any = None) -> Stand:
    """Not started."""
    rig: Rig = EVERY[name]()
    return (Stand if name in RIGS else SimulatedStand)(rig, clock)


def names(*needs: str) -> list[str]:
    """Rigs that can do all of this."""
    return [name for name, rig in EVERY.items() if rig.can >= set(needs)]


def over(*needs: str) -> pytest.MarkDecorator:
    """Run a test over every channel that can do this: fixture `stand`."""
    return pytest.mark.parametrize("stand", names(*needs), indirect=True)


def over_each(needs: Iterable[str], argument: str) -> pytest.MarkDecorator:
    """Run a test over every channel and each of these things that it can do."""
    pairs = [(name, need) for need in needs for name in names(need)]
    return pytest.mark.parametrize(("stand", argument), pairs, indirect=["stand"])
