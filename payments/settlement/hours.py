"""When payouts are looked at: on working days, between two minutes of the day in China."""

from typing import Final

from payments.calendar import CHINA_OFFSET_MINUTES, DAY_MS, business_date
from payments.clearing.workdays import Workdays, cut_off_ms, plus_days

LAST_MINUTE: Final = 17 * 60
"""From then on a payout waits for the next working day: banks' desks close."""

MINUTE_MS: Final = 60_000


def next_look(now_ms: int, workdays: Workdays, first_minute: int) -> int:
    """The first instant from `now_ms` on (ms) at which what is due may be instructed.

    Raise DateUnknown where nobody published which days are worked.
    """
    assert 0 <= first_minute < LAST_MINUTE, first_minute
    today = business_date(now_ms)
    date = workdays.on_or_after(today)
    if date == today:
        minute = (now_ms + CHINA_OFFSET_MINUTES * MINUTE_MS) % DAY_MS // MINUTE_MS
        if minute < LAST_MINUTE:
            return max(now_ms, _at(date, first_minute))
        date = workdays.next_working(today)
    return _at(date, first_minute)


def _at(date: int, minute: int) -> int:
    return cut_off_ms(plus_days(date, -1)) + minute * MINUTE_MS
