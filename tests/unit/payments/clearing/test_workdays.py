"""Working days are what the State Council published, and what was not published is refused."""

from datetime import date as Date

import chinese_calendar
import pytest
from hypothesis import given
from hypothesis import strategies as st

from home_world import WORKDAYS, settings
from payments.calendar import business_date
from payments.clearing.workdays import (
    DateUnknown,
    Overrides,
    Workdays,
    Year,
    cut_off_ms,
    days_between,
    from_date,
    latest_cut_off_ms,
    plus_days,
    workdays_of,
)

dates = st.dates(Date(2024, 1, 1), Date(2026, 12, 31)).map(from_date)
minutes = st.integers(0, 1439)
PLAIN = Year("made for a test", ())


def test_the_data_is_what_an_independent_library_says():
    """Every day of every year in config/workdays.toml, against a library nobody here wrote."""
    for year in settings("workdays"):
        day, last = int(year) * 10_000 + 101, int(year) * 10_000 + 1231
        while day <= last:
            theirs = chinese_calendar.is_workday(Date(day // 10_000, day // 100 % 100, day % 100))
            assert theirs is WORKDAYS.is_working(day), day
            day = plus_days(day, 1)


T_PLUS = [
    # sold on, n -> due on
    (20260306, 1, 20260309),  # a Friday: Monday
    (20260307, 1, 20260309),  # so are Saturday
    (20260308, 1, 20260309),  # and Sunday
    (20260306, 0, 20260306),
    (20260307, 0, 20260309),
    (20260213, 1, 20260214),  # the Saturday before Spring Festival is worked
    (20260214, 1, 20260224),  # then nine days are off
    (20260220, 1, 20260224),
    (20260930, 1, 20261008),  # National Day
    (20260930, 3, 20261010),  # with a Saturday worked after it
]


@pytest.mark.parametrize(("sold", "days", "due"), T_PLUS)
def test_t_plus_n_counts_working_days(sold, days, due):
    """Weekends and holidays do not count, weekends that are worked do."""
    assert due == WORKDAYS.t_plus(sold, days)


@given(dates, st.integers(1, 5))
def test_t_plus_n_is_so_many_working_days_later(sold, days):
    """Exactly n working days lie after the date and up to the one that is due."""
    if sold > 20261215:
        return
    due = WORKDAYS.t_plus(sold, days)
    between = [plus_days(sold, later) for later in range(1, days_between(sold, due) + 1)]

    assert days == sum(map(WORKDAYS.is_working, between))
    assert WORKDAYS.is_working(due)
    assert WORKDAYS.on_or_before(due) == WORKDAYS.on_or_after(due) == due


def test_a_date_beyond_the_data_is_an_error_that_says_what_to_do():
    """A guess would be a promise to pay on a holiday."""
    with pytest.raises(DateUnknown, match=r"2027.*\[workdays\.2027\].*State Council"):
        WORKDAYS.t_plus(20261231, 1)
    assert 20270103 == plus_days(20261231, 3)  # Calendar days need no table.


def test_overrides_win_for_the_days_that_they_name():
    """A bank's own closing, and a late notice."""
    plain = Workdays({2026: PLAIN})
    closed = Workdays({2026: PLAIN}, Overrides((20260302,), (20260307,)))

    assert plain.is_working(20260302)
    assert not closed.is_working(20260302)
    assert closed.is_working(20260307)
    assert 20260303 == closed.t_plus(20260301, 1)
    with pytest.raises(DateUnknown):
        Workdays({2026: PLAIN}, Overrides(holidays=(20270101,)))


BAD = [
    ({"2026": Year("x", ((20260105, 20260101),))}, "a holiday from"),
    ({"2026": Year("x", ((20251231, 20260101),))}, "another year"),
    ({"2026": Year("x", ((20260230, 20260301),))}, "day is out of range|out of range"),
    ({"2026": Year("x", (), (20260302,))}, "no Saturday or Sunday"),
    ({"2026": Year("x", ((20260307, 20260307),), (20260307,))}, "both off and worked"),
    ({"26": PLAIN}, "not a year"),
]


@pytest.mark.parametrize(("tables", "says"), BAD)
def test_tables_that_contradict_themselves_are_refused(tables, says):
    """Data is typed in by people once a year."""
    with pytest.raises(ValueError, match=says):
        workdays_of(tables)
    with pytest.raises(ValueError, match="both ways"):
        Workdays({2026: PLAIN}, Overrides((20260302,), (20260302,)))


@given(dates, minutes, st.sampled_from([480, 0, -300]))
def test_the_cut_off_is_where_one_business_date_turns_into_the_next(date, closing, offset):
    """One millisecond before it belongs to the date, the instant itself to the next."""
    at = cut_off_ms(date, closing, offset)

    assert date == business_date(at - 1, closing, offset)
    assert plus_days(date, 1) == business_date(at, closing, offset)


def test_a_merchants_day_is_over_when_its_last_store_has_closed():
    """A bar that closes at 04:00 keeps the date open; a shop that closes at 22:00 does not."""
    assert cut_off_ms(20260302, 240) == latest_cut_off_ms(20260302, [1320, 240, 0])
    assert cut_off_ms(20260302) == latest_cut_off_ms(20260302, [])
