"""What a sandbox's bill says: its own books of one day, as lines with the channel's fee.

A day is China's. A payment stands in the bill of the day it was paid, a refund in that of the day
it was made, an undoing in that of the day it was undone: whatever happened on a day that is over
does not change any more, so neither does its bill. Amounts are what was really taken.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from random import Random
from typing import Final

from msgspec import Struct

from payments.bills.lines import BillKind, BillLine, BillState
from payments.bills.text import china_date, day_ms, next_date
from payments.channels.sandbox.books import REVERSED, Books, Order, Refund
from payments.channels.sandbox.engine import Engine
from payments.channels.sandbox.turns import given_back
from payments.clock import Clock
from payments.fees import FeePlan, fee

FEE_PPM: Final = 6_000
"""What a sandbox charges when nothing else is said: 0.6 %."""

HOUR_MS: Final = 3_600_000
FILE_LIFE_MS: Final = 300_000
"""A file can be downloaded for five minutes, real time."""

FILES_MAX: Final = 32
"""Files that wait to be downloaded; the oldest makes room."""

TOKEN_BITS: Final = 160

Whose = Callable[[Order], tuple[str, str] | None]
"""An order's (account, sub-merchant or nothing) in a bill; None: it is of another bill."""


class Event(Struct, frozen=True):
    """A line, and the order or refund that it is about."""

    line: BillLine
    order: Order
    refund: Refund | None = None


class BillDesk:
    """Reads the books for bills. `fee_ppm`: the rate, in parts per million."""

    def __init__(self, engine: Engine, books: Books, fee_ppm: int) -> None:
        self.fee_ppm = fee_ppm
        self._engine = engine
        self._books = books
        self._plan = FeePlan("bills", fee_ppm)

    def is_over(self, date: int, hour: int = 0) -> bool:
        """Whether that day (yyyymmdd) is over, and the next one has come to this hour."""
        return self._engine.clock.now_ms() >= day_ms(next_date(date)) + hour * HOUR_MS

    def today(self) -> int:
        return china_date(self._engine.clock.now_ms())

    def events(
        self, channel: str, date: int, whose: Whose, since: int | None = None
    ) -> list[Event]:
        """What happened on a day (yyyymmdd), by time. `since` 0: and whatever was before."""
        self._engine.wake()
        first = day_ms(date) if since is None else since
        end = day_ms(next_date(date))
        found: list[Event] = []
        for order in self._books:
            parties = whose(order) if order.charges else None
            if parties is not None:
                found += (
                    e for e in self._of(channel, order, *parties) if first <= e.line.at_ms < end
                )
        found.sort(key=lambda event: (event.line.at_ms, event.order.serial))
        return found

    def _of(self, channel: str, order: Order, account: str, merchant: str) -> Iterator[Event]:
        """All that happened to a paid order."""
        settled, paid = self._engine.taken(order)
        charged = fee(self._plan, settled)

        def line(
            kind: BillKind, state: BillState, at_ms: int, parts: tuple[int, int, int, int],
            refund: Refund | None = None,
        ) -> BillLine:  # fmt: skip
            amount, settle, payer, its_fee = parts
            return BillLine(
                channel, account, kind, order.number, refund.number if refund else "",
                order.trade_no, refund.trade_no if refund else "", at_ms // 1000 * 1000,
                china_date(at_ms), state, order.currency, amount, settle, payer, settle - payer,
                amount - settle, its_fee, merchant,
            )  # fmt: skip

        whole = (order.amount, settled, paid, charged)
        yield Event(line(BillKind.PAYMENT, BillState.SUCCEEDED, order.paid_ms, whole), order)
        done = (0, 0, 0, 0)
        for refund in sorted(order.refunds.values(), key=lambda made: (made.made_ms, made.serial)):
            if not refund.made_ms:
                continue
            back = given_back(order.amount, settled, paid, done[0] + refund.amount)
            kept = fee(self._plan, settled - back[0])
            now = (done[0] + refund.amount, *back, charged - kept)
            parts = (now[0] - done[0], now[1] - done[1], now[2] - done[2], now[3] - done[3])
            made = line(BillKind.REFUND, BillState.SUCCEEDED, refund.made_ms, parts, refund)
            yield Event(made, order, refund)
            done = now
        if order.state == REVERSED:
            yield Event(line(BillKind.REFUND, BillState.REVERSED, order.ended_ms, whole), order)


class File(Struct, frozen=True):
    """A file that waits to be downloaded."""

    content: bytes
    name: str
    until_ms: int


class Files:
    """Files by a token that nobody can guess."""

    def __init__(self, clock: Clock, random: Random) -> None:
        self._clock = clock
        self._random = random
        self._files: OrderedDict[str, File] = OrderedDict()

    def offer(self, content: bytes, name: str) -> str:
        """Keep a file for a while; its token."""
        while len(self._files) >= FILES_MAX:
            self._files.popitem(last=False)
        token = f"{self._random.getrandbits(TOKEN_BITS):040x}"
        self._files[token] = File(content, name, self._clock.real_ms() + FILE_LIFE_MS)
        return token

    def take(self, token: str) -> File | None:
        """The file, as often as it is asked for; None when it is unknown, or its time is over."""
        file = self._files.get(token)
        return file if file is not None and self._clock.real_ms() < file.until_ms else None
