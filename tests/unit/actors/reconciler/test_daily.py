"""When bills are asked for: after the channel's hour, again and later each time, a week back."""

from hypothesis import given
from hypothesis import strategies as st

from payments.calendar import DAY_MS
from payments.reconciliation import daily
from payments.reconciliation.lines import day_bounds

DAY = 20261121
_, ENDED = day_bounds(DAY)
HOUR = 3_600_000
instants = st.integers(ENDED - 400 * DAY_MS, ENDED + 4_000 * DAY_MS)


def test_a_bill_is_asked_for_from_the_channels_hour_of_the_next_day():
    assert ENDED + 10 * HOUR == daily.ready_at("wechat", DAY)
    assert ENDED + 9 * HOUR == daily.ready_at("alipay", DAY)


@given(instants)
def test_a_week_before_today_is_looked_at_and_today_is_not(now):
    days = daily.days_before(now)

    assert daily.DAYS_BACK_MAX == len(set(days))
    assert sorted(days) == days
    assert day_bounds(days[-1])[1] <= now < day_bounds(days[-1])[1] + DAY_MS


@given(instants, st.sets(st.sampled_from(sorted(daily.READY_HOURS)), min_size=1))
def test_the_next_hour_is_ahead_and_none_lies_between(now, channels):
    """So the test clock steps to each hour, and passes none."""
    found = daily.next_ready(channels, now)

    assert found is not None
    assert now < found <= now + DAY_MS
    hours = {daily.READY_HOURS[channel] for channel in channels}
    for channel in channels:
        for date in (*daily.days_before(now), daily.date_at(now)):
            assert not now < daily.ready_at(channel, date) < found, (channel, date, hours)


def test_who_waits_asks_later_each_time_and_never_stops():
    waits = [daily.again_after(tries) for tries in range(1, 20)]

    assert sorted(waits) == waits
    assert (60_000, 4 * HOUR) == (waits[0], waits[-1])
