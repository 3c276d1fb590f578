"""Which of a channel's own times are believed: what could have been, and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments.calendar import DAY_MS
from payments.channel_time import CHANNEL_SKEW_MS, believed, day_instant, is_plausible
from payments.channels.base import Approved, Declined, Unknown, Unpaid
from payments.clock import ManualClock

ASKED = 1_795_017_595_000
NOW = ASKED + 8_000
HOUR_MS = 3_600_000

TIMES = [
    (ASKED, True),
    (NOW, True),
    (ASKED - 999, True),  # A wire that cuts to the second.
    (ASKED - CHANNEL_SKEW_MS, True),
    (ASKED - CHANNEL_SKEW_MS - 1, False),
    (NOW + CHANNEL_SKEW_MS, True),
    (NOW + CHANNEL_SKEW_MS + 1, False),
    (ASKED - 8 * HOUR_MS, False),  # Read in another time zone.
    (ASKED + 8 * HOUR_MS, False),
    (0, False),
    (1 << 60, False),
]


@pytest.mark.parametrize(("channel_at", "is_believed"), TIMES)
def test_a_time_is_believed_if_it_could_have_been(channel_at, is_believed):
    outcome = Approved("N1", 3800, "T1", channel_at=channel_at)
    told = believed(outcome, ASKED, ManualClock(NOW))

    assert told == Approved("N1", 3800, "T1", channel_at=channel_at if is_believed else None)


def test_a_sandbox_may_hear_of_a_moved_clock_after_us():
    """We are in the next day already when it takes the money of a payment made there."""
    clock = ManualClock(NOW)
    clock.offset_ms = DAY_MS
    outcome = Approved("N1", 3800, channel_at=ASKED)

    assert believed(outcome, ASKED + DAY_MS, clock) == outcome
    early = Approved("N1", 3800, channel_at=ASKED - 2 * HOUR_MS)
    assert believed(early, ASKED + DAY_MS, clock).channel_at is None


@pytest.mark.parametrize(
    "outcome",
    [Approved("N1", 1), Declined("declined", "no"), Unpaid("open"), Unknown("no answer")],
)
def test_what_says_no_time_is_left_as_it_is(outcome):
    assert believed(outcome, ASKED, ManualClock(NOW)) is outcome


@given(st.integers(-DAY_MS, DAY_MS), st.integers(0, DAY_MS), st.integers(0, DAY_MS))
def test_what_happened_between_asking_and_hearing_is_always_believed(skew, took, more):
    """Whatever clocks the channel has, as long as they are not further off than the limit."""
    at = ASKED + took + skew
    now = ASKED + took + more
    if abs(skew) <= CHANNEL_SKEW_MS:
        assert is_plausible(at, ASKED, now, 0)
    if skew > more + CHANNEL_SKEW_MS or took + skew < -CHANNEL_SKEW_MS:
        assert not is_plausible(at, ASKED, now, 0)


def test_the_day_is_the_channels_where_it_is_known():
    assert 5 == day_instant(5, 7)
    assert 7 == day_instant(None, 7)
