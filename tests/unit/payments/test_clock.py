"""Business time can be moved; real and monotonic time go their own way."""

import pytest

from payments.clock import ManualClock, SystemClock, cpu_seconds


def test_a_manual_clock_moves_only_when_told():
    """Both kinds of time pass together; the offset moves business time alone."""
    clock = ManualClock(1_000)

    clock.advance(2.5)
    clock.offset_ms += 60_000

    assert (clock.now_ms(), clock.real_ms(), clock.monotonic()) == (63_500, 3_500, 3.5)
    with pytest.raises(AssertionError):
        clock.advance(-1)


def test_the_systems_clock_carries_the_offset_of_the_test_clock():
    """Business time is real time plus the offset."""
    clock = SystemClock(3_600_000)

    before = clock.real_ms()
    ahead = clock.now_ms() - 3_600_000
    after = clock.real_ms()

    assert before <= ahead <= after
    assert clock.monotonic() <= clock.monotonic()
    assert cpu_seconds() > 0
