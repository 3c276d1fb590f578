"""The timer goes off when it was set to, finer than a millisecond, and never before."""

import select
import time

import pytest

from load_tests.timer import Timer


def wait_for(timer, limit_s):
    """Seconds until the timer is readable, or None."""
    began = time.monotonic()
    readable, _, _ = select.select([timer], [], [], limit_s)
    return time.monotonic() - began if readable else None


def test_it_goes_off_after_its_delay():
    """A quarter of a millisecond is neither none nor a whole one; the best of many counts."""
    delay_s = 0.00025
    waited = []
    with Timer() as timer:
        for _ in range(50):
            began = time.monotonic()
            timer.set(delay_s)
            assert wait_for(timer, 60) is not None
            # From before it was set: whoever is put aside in between waits less than the timer.
            waited.append(time.monotonic() - began)
            timer.clear()

    assert min(waited) >= delay_s
    assert min(waited) < 0.00095


@pytest.mark.parametrize("delay_s", [0, -1])
def test_a_delay_that_is_over_is_now(delay_s):
    """Zero would otherwise switch the timer off for ever."""
    with Timer() as timer:
        timer.set(delay_s)

        assert wait_for(timer, 60) is not None


def test_once_cleared_it_is_silent_until_set_again():
    """It does not repeat."""
    with Timer() as timer:
        timer.set(0)
        assert wait_for(timer, 60) is not None
        timer.clear()

        assert wait_for(timer, 0.02) is None
