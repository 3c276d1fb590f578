"""When a bill is fetched, and when it is asked for again. Instants in business ms."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from payments.calendar import DAY_MS
from payments.reconciliation.lines import OFFSET_MS, day_bounds

HOUR_MS: Final = 3_600_000

READY_HOURS: Final = {"wechat": 10, "alipay": 9, "unionpay": 9}
"""The hour in China, of the day after, from which on a channel's bill is asked for. WeChat Pay
promises 10:00 and Alipay 9:00; UnionPay's is a matter of contract."""

DAYS_BACK_MAX: Final = 7
"""Days before today whose bills are fetched if they are missing, after a gateway was down. Older
ones are asked for by hand."""

AGAIN_MS: Final = (60_000, 300_000, 900_000, HOUR_MS, 4 * HOUR_MS)
"""How long after a bill was not to be had it is asked for again; the last step repeats."""


def date_at(at_ms: int) -> int:
    """The day in China at an instant, yyyymmdd."""
    day = datetime.fromtimestamp((at_ms + OFFSET_MS) // 1_000, UTC)
    return day.year * 10_000 + day.month * 100 + day.day


def ready_at(channel: str, bill_date: int) -> int:
    """From when on the bill of a day is asked for. Raise KeyError for a channel without bills."""
    _, ended = day_bounds(bill_date)
    return ended + READY_HOURS[channel] * HOUR_MS


def days_before(now: int) -> list[int]:
    """The days whose bills may be missing at an instant, the oldest first; today is not one."""
    begins, _ = day_bounds(date_at(now))
    return [date_at(begins - back * DAY_MS) for back in range(DAYS_BACK_MAX, 0, -1)]


def again_after(tries: int) -> int:
    """How long to wait after so many tries, 1 the first, that brought nothing."""
    return AGAIN_MS[min(tries, len(AGAIN_MS)) - 1]


def next_ready(channels: Iterable[str], now: int) -> int | None:
    """When the next bill of any of these channels may be asked for for the first time."""
    today = date_at(now)
    yesterday = days_before(now)[-1]
    instants = [ready_at(channel, date) for channel in channels for date in (yesterday, today)]
    return min((at for at in instants if at > now), default=None)
