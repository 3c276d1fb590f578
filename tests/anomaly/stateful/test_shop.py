"""Whatever happens in whatever order: the books balance and nobody is told what is not so."""

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from machine import Shop

BOUNDED = settings(
    max_examples=60,
    stateful_step_count=30,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.timeout(300)
def test_no_order_of_events_breaks_an_invariant():
    """A bounded search that is the same on every machine."""
    assert run_state_machine_as_test(Shop, settings=BOUNDED) is None


@pytest.mark.slow
@pytest.mark.timeout(7_200)
def test_no_order_of_events_breaks_an_invariant_in_a_long_search():
    """Other orders of events each time; a failing one is printed and kept."""
    long = settings(BOUNDED, max_examples=3_000, stateful_step_count=60, derandomize=False)
    assert run_state_machine_as_test(Shop, settings=long) is None
