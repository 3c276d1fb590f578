"""Days and instants: a store's business date, and RFC 3339 on the wire.

Instants are milliseconds since 1970, UTC. Answers say the same second over and over, so its text is
kept; so is the date of a day.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

DAY_MS: Final = 86_400_000
CHINA_OFFSET_MINUTES: Final = 480
INSTANT_MAX_MS: Final = 253_402_300_800_000
"""The year 10000: the first instant that RFC 3339 cannot say."""

_CACHE_MAX: Final = 4096
"""Texts kept of each kind; a full cache starts anew."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECONDS: Final = tuple(f".{number:03d}Z" for number in range(1000))
_INSTANT: Final = re.compile(
    r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)", re.ASCII
)

_dates: dict[int, int] = {}
_seconds: dict[int, str] = {}


def business_date(
    at_ms: int, closing_minute: int = 0, utc_offset_minutes: int = CHINA_OFFSET_MINUTES
) -> int:
    """The day, as yyyymmdd, to whose takings an instant belongs in a store.

    `closing_minute`: minutes after local midnight at which the business day ends. A bar that closes
    at 02:00 still counts 01:59 to the evening before; a shop that closes at 22:00 counts 22:00 to
    the day after. Noon is where the one reading turns into the other.
    """
    assert 0 <= closing_minute < 1440, closing_minute
    shift = closing_minute if closing_minute <= 720 else closing_minute - 1440
    day = (at_ms + (utc_offset_minutes - shift) * 60_000) // 86_400_000
    date = _dates.get(day)
    return date if date is not None else _date_of(day)


def _date_of(day: int) -> int:
    if len(_dates) >= _CACHE_MAX:
        _dates.clear()
    when = _EPOCH + timedelta(days=day)
    date = when.year * 10_000 + when.month * 100 + when.day
    _dates[day] = date
    return date


def rfc3339(ms: int) -> str:
    """An instant as text, such as `2026-11-21T08:30:00.250Z`."""
    second, rest = divmod(ms, 1000)
    text = _seconds.get(second)
    return (text if text is not None else _second_text(second)) + _MILLISECONDS[rest]


def _second_text(second: int) -> str:
    if len(_seconds) >= _CACHE_MAX:
        _seconds.clear()
    text = (_EPOCH + timedelta(seconds=second)).replace(tzinfo=None).isoformat()
    _seconds[second] = text
    return text


def parse_rfc3339(text: str) -> int:
    """The instant in a text, in milliseconds (what is finer is cut). ValueError if it is none."""
    if not _INSTANT.fullmatch(text):
        raise ValueError(f"{text[:40]!r} is not an instant such as 2026-11-21T08:30:00Z")
    since = datetime.fromisoformat(text.upper()) - _EPOCH
    return since // timedelta(milliseconds=1)
