"""A simulated channel under a clock that the test moves, with every callback it sent."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from payments.channels.base import Book, Notice, OrderRef, Outcome, PayOrder, RefundOrder
from payments.channels.simulated.books import Books
from payments.channels.simulated.connector import SimulatedChannel
from payments.channels.simulated.settings import SimulatedSettings
from payments.clock import ManualClock
from payments.payment import Way


class World:
    """One channel account; `path` None keeps its books in memory."""

    def __init__(self, path: Path | None = None, **settings: object) -> None:
        self.path = path
        self.settings = SimulatedSettings(**settings)  # type: ignore[arg-type]
        self.clock = ManualClock()
        self.notices: list[Notice] = []
        self.restart()

    def restart(self) -> None:
        """A new process over the same books: memory is lost, the log is not."""
        self.books = Books(self.path)
        self.channel = SimulatedChannel(self.settings, self.clock, Random(7), self.books)
        self.channel.notify = self.notices.append

    def close(self) -> None:
        self.books.close()

    def order(
        self,
        ending: str = "0000",
        number: str = "N1",
        amount: int = 3800,
        way: Way = Way.BARCODE,
        expires_in: int | None = None,
        prefix: str = "13456789012345",
    ) -> PayOrder:
        is_code = way is not Way.BARCODE
        return PayOrder(
            number,
            amount,
            "cny",
            way,
            "wechat",
            "mch_1",
            auth_code=None if is_code else prefix + ending,
            expires_at=self.clock.now_ms() + expires_in * 1000 if expires_in else None,
        )

    async def pay(self, order: PayOrder) -> Outcome | None:
        """The outcome of the payment call; None when the channel never answers."""
        outcome = self.channel.pay_now(order)
        if outcome is not None:
            self.channel.flush()
            return outcome
        try:
            async with asyncio.timeout(0.02):
                return await self.channel.pay(order)
        except TimeoutError:
            return None

    def reference(self, number: str) -> OrderRef:
        return OrderRef(number, 3800, "cny", Way.BARCODE, "wechat", "mch_1", self.clock.now_ms())

    async def inquire(self, number: str) -> Outcome:
        return await self.channel.inquire(self.reference(number))

    async def reverse(self, number: str) -> Outcome:
        return await self.channel.reverse(self.reference(number))

    async def undo_code(self, number: str) -> Outcome:
        return await self.channel.close(self.reference(number))

    def refund(
        self, refund: str, amount: int, number: str = "N1", total: int = 3800
    ) -> RefundOrder:
        return RefundOrder(number, refund, amount, total, "cny")

    def pass_seconds(self, seconds: float) -> None:
        """Business time passes and whatever is due happens."""
        self.clock.advance(seconds)
        self.channel.wake(self.clock.now_ms())

    def book(self, number: str = "N1") -> Book | None:
        return next((b for b in self.channel.books() if b.out_trade_no == number), None)


@pytest.fixture
def make_world() -> Callable[..., World]:
    return World


@pytest.fixture
def world() -> World:
    return World()
