"""The two sides of a comparison, brought to one shape: a line of ours, a line of the bill.

An *effect* is what a line changes of what the channel owes us, in minor units: a payment adds what
it settles, a refund takes it back, a refund that failed changes nothing. Fees are beside it: what
a channel charges is compared with what the contract says, and only for payments.
"""

from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from payments.bills.lines import BillKind, BillLine, BillRefused, BillState
from payments.calendar import CHINA_OFFSET_MINUTES, DAY_MS

OFFSET_MS: Final = CHINA_OFFSET_MINUTES * 60_000
DAYS_KEPT: Final = 1_024
SKEW_MS: Final = 300_000
"""How far the channel's clock may be from ours, and how long it may take to enter a line."""


class Nature(StrEnum):
    """What a line of ours is about."""

    SALE = "sale"
    LATE = "late"
    """Paid after we had said that it was not, or a second charge: it belongs to no sale."""
    REPORTED = "reported"
    """Taken or given back by somebody else's gateway, which told us. Who funded a coupon it did not
    say."""
    REFUND = "refund"
    LATE_REFUND = "late_refund"
    """What gives a late success back."""


class Ours(Struct, frozen=True, gc=False):
    """One payment, or one refund, as our rows say it happened.

    - `number`: the out_trade_no or out_refund_no. `object`: the id of the payment or refund.
    - `state`: as a bill would say it. Only what succeeded is expected in a bill.
    - `settle_amount`: what the channel owes us for it, or takes back. `fee`: what the contract says
      that the channel charges; None when nobody told us, or for a refund.
    - `began_at`, `at_ms`: when the channel was asked, and when it did it by its own time or else
      when we learned how it ended, ms.
    - `remedy`: the refund that gives a late success back, if there is one.
    - `misshared`: what its receivers have together more than its terms give them, minor units, 0
      where only the parts are others; None when everybody has what is due.
    - `merchant`: whose sale it is.
    """

    number: str
    object: str
    kind: BillKind
    nature: Nature
    state: BillState
    currency: str
    amount: int
    settle_amount: int
    discount_channel: int
    fee: int | None
    began_at: int
    at_ms: int
    remedy: str = ""
    misshared: int | None = None
    merchant: str = ""

    @property
    def effect(self) -> int:
        """What it changes of what the channel owes, in minor units."""
        if self.state is not BillState.SUCCEEDED:
            return 0
        return self.settle_amount if self.kind is BillKind.PAYMENT else -self.settle_amount


class Theirs(Struct, frozen=True, array_like=True, gc=False):
    """What a comparison needs of a line of a bill. `number` is the key that it is sorted by.

    `trade`: the out_trade_no, which a refund has beside its number. `row`: the line of the file.
    """

    number: str
    kind: BillKind
    state: BillState
    row: int
    currency: str
    amount: int
    settle_amount: int
    discount_channel: int
    fee: int
    at_ms: int
    trade: str

    @property
    def effect(self) -> int:
        """What it changes of what the channel owes, in minor units."""
        if self.kind is BillKind.PAYMENT:
            return self.settle_amount
        return 0 if self.state is BillState.FAILED else -self.settle_amount

    @property
    def is_refund(self) -> bool:
        """Whether it has a number of its own, and is sorted by that."""
        return self.kind is BillKind.REFUND and self.state is not BillState.REVERSED

    @property
    def is_reversal(self) -> bool:
        """Whether it undoes a payment whole: such a line is sorted beside its payment."""
        return self.state is BillState.REVERSED


def theirs_of_others(line: BillLine) -> Theirs:
    """A line of somebody else's bill, under the channel's own number: ours it does not know.

    Alipay has no number of its own for a refund: there it is the one that it was asked with.
    Raise BillRefused.
    """
    refund = line.channel_refund_no or line.out_refund_no
    return theirs_of(replace(line, out_trade_no=line.channel_trade_no, out_refund_no=refund))


def theirs_of(line: BillLine) -> Theirs:
    """A line of a bill, under the number it is sorted by.

    A refund without a number of ours was not asked for by us: it gets one that we never make.
    Raise BillRefused for a number with bytes that nobody can see: what stands there is not what
    people would read.
    """
    if not (line.out_trade_no.isprintable() and line.out_refund_no.isprintable()):
        raise BillRefused("a control character in a number", line.row)
    is_refund = line.kind is BillKind.REFUND and line.state is not BillState.REVERSED
    number = (line.out_refund_no or f"~{line.row}") if is_refund else line.out_trade_no
    return Theirs(
        number,
        line.kind,
        line.state,
        line.row,
        line.currency.lower(),
        line.amount,
        line.settle_amount,
        line.discount_channel,
        line.fee,
        line.at_ms,
        line.out_trade_no,
    )


@lru_cache(maxsize=DAYS_KEPT)
def day_bounds(bill_date: int) -> tuple[int, int]:
    """The first instant of a bill's day in China and the first after it, ms since 1970 UTC.

    Raise ValueError when the date, yyyymmdd, is none.
    """
    begins = _midnight(bill_date)
    return begins, begins + DAY_MS


def _midnight(date: int) -> int:
    year, rest = divmod(date, 10_000)
    month, day = divmod(rest, 100)
    return int(datetime(year, month, day, tzinfo=UTC).timestamp()) * 1_000 - OFFSET_MS
