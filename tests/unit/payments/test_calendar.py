"""A payment belongs to the business day of its store; instants are RFC 3339 with milliseconds."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments import calendar
from payments.calendar import (
    CHINA_OFFSET_MINUTES,
    DAY_MS,
    INSTANT_MAX_MS,
    business_date,
    parse_rfc3339,
    rfc3339,
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
instants = st.integers(DAY_MS * 2, INSTANT_MAX_MS - DAY_MS * 2)
offsets = st.sampled_from([0, CHINA_OFFSET_MINUTES, -300, 345])


def local(text):
    """Milliseconds of an instant that a clock on a wall in China shows."""
    return parse_rfc3339(text.replace(" ", "T") + "+08:00")


DAYS = [
    # closes at midnight: the calendar day
    ("2026-11-21 00:00:00", 0, 20261121),
    ("2026-11-21 23:59:59.999", 0, 20261121),
    ("2026-11-22 00:00:00", 0, 20261122),
    # a bar that closes at 02:00 counts the small hours to the evening before
    ("2026-11-22 01:59:59.999", 120, 20261121),
    ("2026-11-22 02:00:00", 120, 20261122),
    ("2026-11-22 23:00:00", 120, 20261122),
    # a shop that closes at 22:00 counts what comes later to the day after
    ("2026-11-21 21:59:59.999", 1320, 20261121),
    ("2026-11-21 22:00:00", 1320, 20261122),
    # over the ends of months, years and February
    ("2027-01-01 03:59:59", 240, 20261231),
    ("2028-02-29 12:00:00", 0, 20280229),
    ("2028-03-01 01:00:00", 120, 20280229),
]


@pytest.mark.parametrize(("at", "closing_minute", "expected"), DAYS)
def test_a_business_day_ends_when_the_store_closes(at, closing_minute, expected):
    """The day is fixed by the closing hour, on the clock on the wall."""
    assert expected == business_date(local(at), closing_minute)


@given(instants, offsets)
def test_without_a_closing_hour_it_is_the_calendar_day(at_ms, offset):
    """The date that a calendar in that time zone shows."""
    wall = EPOCH + timedelta(milliseconds=at_ms, minutes=offset)

    assert int(wall.strftime("%Y%m%d")) == business_date(at_ms, 0, offset)


@given(instants, st.integers(0, 1439), offsets)
def test_every_business_day_has_24_hours(at_ms, closing_minute, offset):
    """A day later it is the next day, and never an earlier one in between."""
    date = business_date(at_ms, closing_minute, offset)

    assert date < business_date(at_ms + DAY_MS, closing_minute, offset)
    assert date <= business_date(at_ms + 1, closing_minute, offset)
    noon = EPOCH + timedelta(milliseconds=at_ms, minutes=offset)
    assert abs(date - int(noon.strftime("%Y%m%d"))) < 10_000


@given(st.integers(0, INSTANT_MAX_MS - 1))
def test_an_instant_survives_the_wire(ms):
    """Text and number say the same, to the millisecond."""
    text = rfc3339(ms)

    assert ms == parse_rfc3339(text)
    assert (EPOCH + timedelta(milliseconds=ms)).isoformat(timespec="milliseconds")[:23] == text[:-1]
    assert text.endswith("Z")


@given(st.integers(0, INSTANT_MAX_MS - 1), st.integers(0, INSTANT_MAX_MS - 1))
def test_texts_sort_as_instants_do(one, other):
    """Lists that are sorted by text are sorted by time."""
    assert (one < other) == (rfc3339(one) < rfc3339(other))


PARSED = [
    ("1970-01-01T00:00:00Z", 0),
    ("1970-01-01T08:00:00+08:00", 0),
    ("1970-01-01t00:00:00.5z", 500),
    ("1970-01-01T00:00:00.123456Z", 123),
    ("1970-01-01T00:00:01.999999999Z", 1_999),
]


@pytest.mark.parametrize(("text", "expected"), PARSED)
def test_any_rfc_3339_text_is_understood(text, expected):
    """Offsets, fractions of any length, letters of either case."""
    assert expected == parse_rfc3339(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-11-21",
        "2026-11-21T08:30:00",
        "2026-11-21 08:30:00Z",
        "2026-W47-6T08:30:00Z",
        "20261121T083000Z",
        "2026-11-21T08:30:00Z ",
        "2026-02-30T08:30:00Z",
        "2026-11-21T25:00:00Z",
        "2026-11-21T08:30:00+0800",
        "２026-11-21T08:30:00Z",
        "1795000000",
    ],
)
def test_other_texts_are_no_instants(text):
    """Neither dates alone, nor times without a zone, nor days that do not exist."""
    with pytest.raises(ValueError):
        parse_rfc3339(text)


def test_a_full_cache_starts_anew():
    """However many seconds and days are asked for, answers stay right and memory small."""
    for day in range(10_000):
        assert rfc3339(day * DAY_MS + 7).endswith("T00:00:00.007Z")
    assert len(calendar._seconds) <= calendar._CACHE_MAX
    assert business_date(0, 0, 0) == 19700101
    dates = [business_date(day * DAY_MS, 0, 0) for day in range(10_000)]
    assert (dates[0], dates[-1]) == (19700101, 19970518)
    assert dates == sorted(set(dates))
    assert len(calendar._dates) <= calendar._CACHE_MAX
