"""Plain numbers: what grows, where a value falls, and what a process says of itself."""

import os

from hypothesis import given
from hypothesis import strategies as st

from actors.stats import Histogram, grows, process_numbers

EDGES = (0.001, 0.01, 0.1)


def test_names_say_whether_a_number_only_grows():
    """By their end, whatever labels follow."""
    for name in ("a_total", "a_bucket", "a_sum", "a_count", 'a_total{channel="x_live"}'):
        assert grows(name), name
    for name in ("live", "a_seconds", 'live{channel="a_total"}'):
        assert not grows(name), name


def test_a_value_on_an_edge_belongs_to_it():
    """An edge is "at most"; what is beyond the last one is counted under infinity alone."""
    histogram = Histogram("took", EDGES, 'op="pay"')
    for value in (0.001, 0.0011, 5.0):
        histogram.observe(value)
    numbers: dict[str, float] = {}

    histogram.report(numbers)

    assert numbers == {
        'took_bucket{op="pay",le="0.001"}': 1,
        'took_bucket{op="pay",le="0.01"}': 2,
        'took_bucket{op="pay",le="0.1"}': 2,
        'took_bucket{op="pay",le="+Inf"}': 3,
        'took_count{op="pay"}': 3,
        'took_sum{op="pay"}': 0.001 + 0.0011 + 5.0,
    }


@given(st.lists(st.floats(0, 1)), st.integers(0, 5))
def test_buckets_are_cumulative_whatever_is_observed(values, immediate):
    """Each bucket has at least what the one below has; the last has everything."""
    histogram = Histogram("took", EDGES)
    for value in values:
        histogram.observe(value)
    numbers: dict[str, float] = {}

    histogram.report(numbers, immediate)

    counts = [numbers[f'took_bucket{{le="{edge}"}}'] for edge in (*EDGES, "+Inf")]
    assert sorted(counts) == counts
    assert numbers["took_count"] == counts[-1] == len(values) + immediate


def test_a_process_tells_its_memory_in_bytes():
    """A Python process has between a few MB and a few GB."""
    numbers = process_numbers(os.getpid())

    assert 5_000_000 < numbers["resident_bytes"] < 5_000_000_000
    assert numbers["cpu_seconds_total"] > 0
