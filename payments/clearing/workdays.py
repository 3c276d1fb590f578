"""Working days: on which days banks settle, and when a business date ends.

Dates are whole numbers yyyymmdd, as everywhere. The data comes in (`config/workdays.toml` has the
years that were published, each with its source); what it does not cover is refused with the way to
extend it, because a guessed holiday is a promise to pay on a day when no bank does.
"""

from collections.abc import Iterable, Mapping
from datetime import date as Date
from datetime import timedelta
from typing import Final

from msgspec import Struct

from payments.calendar import CHINA_OFFSET_MINUTES, DAY_MS

STEPS_MAX: Final = 400
"""Working days that may be counted at once: more than a year of them is somebody's mistake."""

_EPOCH: Final = Date(1970, 1, 1)
_SATURDAY: Final = 5


class DateUnknown(LookupError):
    """No table says whether this date is worked. The message says how to add one."""


class Year(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """How one year differs from Monday to Friday, all dates yyyymmdd.

    `source`: the notice that says so. `holidays`: (first, last) of each period off.
    `working_weekends`: Saturdays and Sundays that are worked in exchange.
    """

    source: str
    holidays: tuple[tuple[int, int], ...]
    working_weekends: tuple[int, ...] = ()


class Overrides(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """Single days that the deployment knows better: a bank's own closing, a late notice."""

    holidays: tuple[int, ...] = ()
    working_days: tuple[int, ...] = ()


class Workdays:
    """The business calendar. `years`: by number; ValueError if they contradict themselves."""

    __slots__ = ("_off", "_on", "_years")

    def __init__(self, years: Mapping[int, Year], overrides: Overrides | None = None) -> None:
        self._years = frozenset(years)
        self._off: frozenset[int] = frozenset()
        self._on: frozenset[int] = frozenset()
        for number, year in years.items():
            off, on = _read(number, year)
            self._off |= off
            self._on |= on
        if overrides is not None:
            self._override(overrides)

    def _override(self, overrides: Overrides) -> None:
        off, on = frozenset(overrides.holidays), frozenset(overrides.working_days)
        if off & on:
            raise ValueError(f"{min(off & on)} is overridden both ways; decide for one")
        for date in off | on:
            to_date(date)
            self._known(date)
        self._off = (self._off - on) | off
        self._on = (self._on - off) | on

    def is_working(self, date: int) -> bool:
        """Whether banks settle on `date`. Raise DateUnknown outside the published years."""
        self._known(date)
        if date in self._off:
            return False
        return date in self._on or to_date(date).weekday() < _SATURDAY

    def next_working(self, date: int) -> int:
        """The first working day after `date`."""
        return self.on_or_after(plus_days(date, 1))

    def on_or_after(self, date: int) -> int:
        """`date` itself if it is worked, else the first working day after it."""
        while not self.is_working(date):
            date = plus_days(date, 1)
        return date

    def on_or_before(self, date: int) -> int:
        """`date` itself if it is worked, else the last working day before it."""
        while not self.is_working(date):
            date = plus_days(date, -1)
        return date

    def t_plus(self, date: int, days: int) -> int:
        """T+n: the n-th working day after `date`; T+0 is the date itself, or the next one worked.

        What is sold on Friday, Saturday and Sunday is therefore due together, on Monday for T+1.
        """
        assert 0 <= days <= STEPS_MAX, days
        if days == 0:
            return self.on_or_after(date)
        for _ in range(days):
            date = self.next_working(date)
        return date

    def _known(self, date: int) -> None:
        if date // 10_000 not in self._years:
            covered = ", ".join(map(str, sorted(self._years))) or "none"
            raise DateUnknown(
                f"no table of working days for {date // 10_000} (there are: {covered}); add"
                f" [workdays.{date // 10_000}] from the State Council's notice to the settings"
            )


def _read(number: int, year: Year) -> tuple[frozenset[int], frozenset[int]]:
    """The days off and the weekends worked of one table. Raise ValueError for what cannot be."""
    off: set[int] = set()
    for first, last in year.holidays:
        if not first <= last:
            raise ValueError(f"workdays.{number}: a holiday from {first} to {last}")
        days = days_between(first, last)
        off.update(plus_days(first, day) for day in range(days + 1))
    on = frozenset(year.working_weekends)
    for date in off | on:
        if date // 10_000 != number:
            raise ValueError(f"workdays.{number}: {date} is in another year")
    for date in on:
        if to_date(date).weekday() < _SATURDAY:
            raise ValueError(f"workdays.{number}: {date} is no Saturday or Sunday")
        if date in off:
            raise ValueError(f"workdays.{number}: {date} is both off and worked")
    return frozenset(off), on


def workdays_of(tables: Mapping[str, Year], overrides: Overrides | None = None) -> Workdays:
    """A calendar from the tables of a settings file, whose keys are years as text."""
    for name in tables:
        if not (name.isascii() and name.isdigit() and len(name) == 4):
            raise ValueError(f"workdays.{name} is not a year such as 2026")
    return Workdays({int(name): year for name, year in tables.items()}, overrides)


def to_date(date: int) -> Date:
    """yyyymmdd as a date. Raise ValueError for what is no day, such as 20260230."""
    return Date(date // 10_000, date // 100 % 100, date % 100)


def plus_days(date: int, days: int) -> int:
    """D+n: so many calendar days after `date` (before, if negative), yyyymmdd."""
    return from_date(to_date(date) + timedelta(days=days))


def days_between(first: int, last: int) -> int:
    """Calendar days from one yyyymmdd to another: 0 for the same."""
    return (to_date(last) - to_date(first)).days


def from_date(day: Date) -> int:
    return day.year * 10_000 + day.month * 100 + day.day


def cut_off_ms(
    date: int, closing_minute: int = 0, utc_offset_minutes: int = CHINA_OFFSET_MINUTES
) -> int:
    """The instant at which a business date ends: its first millisecond that is no longer in it.

    The counterpart of `payments.calendar.business_date`, with the same reading of
    `closing_minute`: up to noon it belongs to the date before, after noon to the date itself.
    """
    assert 0 <= closing_minute < 1440, closing_minute
    shift = closing_minute if closing_minute <= 720 else closing_minute - 1440
    day = (to_date(date) - _EPOCH).days
    return (day + 1) * DAY_MS - (utc_offset_minutes - shift) * 60_000


def latest_cut_off_ms(date: int, closing_minutes: Iterable[int]) -> int:
    """When the last of a merchant's stores has closed `date`: its batch cannot be cut before."""
    return max((cut_off_ms(date, minute) for minute in closing_minutes), default=cut_off_ms(date))
