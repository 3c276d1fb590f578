"""Plain numbers that boxes count and report; only the gateway knows what Prometheus calls them.

A report is a flat dict: a name, then its labels as text (`calls_total{channel="sim"}`), to a
number. Names that end in `_total`, `_bucket`, `_sum` or `_count` only grow while their box lives;
every other name is a state. Whoever merges boxes relies on that.
"""

import resource
from bisect import bisect_left
from pathlib import Path
from typing import Final

from payments.clock import cpu_seconds

GROWING: Final = ("_total", "_bucket", "_sum", "_count")
SAMPLE_MASK: Final = 63
"""Stages inside a payment are timed for one number in 64: `not number & SAMPLE_MASK`."""

STAGE_EDGES_S: Final = (
    0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
    0.1, 0.25, 0.5, 1.0, 5.0,
)  # fmt: skip
SYNC_EDGES_S: Final = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0,
)  # fmt: skip
BATCH_EDGES: Final = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 2048.0)

_STATM: Final = Path("/proc/self/statm")
_MAXRSS_UNIT_B: Final = 1024


def grows(name: str) -> bool:
    """Whether the number of that name (with or without labels) only grows."""
    return name.partition("{")[0].endswith(GROWING)


class Histogram:
    """How often values fell below each edge. Observing costs a bisection: about 0.2 us."""

    __slots__ = ("_buckets", "_count", "_sum", "counts", "edges", "total")

    def __init__(self, name: str, edges: tuple[float, ...], label: str = "") -> None:
        self.edges = edges
        self.counts = [0] * (len(edges) + 1)
        self.total = 0.0
        inner = f"{label}," if label else ""
        outer = f"{{{label}}}" if label else ""
        # Made once: a report repeats every second.
        self._buckets = [f'{name}_bucket{{{inner}le="{edge}"}}' for edge in (*edges, "+Inf")]
        self._count = f"{name}_count{outer}"
        self._sum = f"{name}_sum{outer}"

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.edges, value)] += 1
        self.total += value

    def report(self, numbers: dict[str, float], immediate: int = 0) -> None:
        """Add the cumulative counts, their sum and the sum of the values.

        `immediate`: values too small to measure, counted elsewhere; they add 0 to the sum.
        """
        below = immediate
        for name, count in zip(self._buckets, self.counts, strict=True):
            below += count
            numbers[name] = below
        numbers[self._count] = below
        numbers[self._sum] = self.total


class Stages:
    """How long sampled payments spend in each stage, seconds."""

    __slots__ = ("_by_name",)

    def __init__(self, *names: str) -> None:
        self._by_name = {
            name: Histogram("payment_stage_duration_seconds", STAGE_EDGES_S, f'stage="{name}"')
            for name in names
        }

    def observe(self, stage: str, seconds: float) -> None:
        self._by_name[stage].observe(seconds)

    def report(self, numbers: dict[str, float]) -> None:
        for histogram in self._by_name.values():
            histogram.report(numbers)


def process_numbers(pid: int) -> dict[str, float]:
    """What this process uses. `pid`: so that boxes of one process are not counted twice."""
    if _STATM.exists():
        resident = int(_STATM.read_text("ascii").split()[1]) * resource.getpagesize()
    else:  # No such file outside Linux: the peak stands for what is used now.
        resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _MAXRSS_UNIT_B
    return {"pid": pid, "cpu_seconds_total": cpu_seconds(), "resident_bytes": resident}
