"""Figure 7: CPU per payment with 1, 2 and 4 shards, at saturation."""

from typing import Final

from load_tests import wrk
from load_tests.audit import Audit
from load_tests.figures.base import Bar, Figure, Lab, median
from load_tests.figures.closed import cpu_by_role
from load_tests.saturation import ClosedRun, closed_run, summary_of

SHARDS: Final = (1, 2, 4)
SPREAD_MAX: Final = 0.15


def measure(lab: Lab) -> Figure:
    """256 connections a shard, the numbers of shards by turns."""
    runs: dict[int, list[ClosedRun]] = {shards: [] for shards in SHARDS}
    for _ in range(lab.runs):
        for shards in SHARDS:
            options = lab.options.with_shards(shards)
            run = closed_run(lab, options, connections=wrk.CONNECTIONS * shards)
            runs[shards].append(run)
            lab.progress.say(
                f"{shards} shards: {run.wrk.per_second:,.0f}/s, {run.cpu_us_per_payment:.0f} µs"
            )
    return figure_of(runs)


def figure_of(runs: dict[int, list[ClosedRun]]) -> Figure:
    """The largest difference from one shard, as a share of it."""
    cost = {shards: median([run.cpu_us_per_payment for run in of]) for shards, of in runs.items()}
    one = cost[min(cost)]
    everything = [run for of in runs.values() for run in of]
    spread = max(abs(value - one) / one for value in cost.values())
    return Figure(
        name="shards",
        title="CPU per payment with more shards",
        bars=(Bar("difference from one shard", spread, SPREAD_MAX, at_least=False),),
        values={
            "cpu_us_per_payment": {str(shards): round(value, 1) for shards, value in cost.items()},
            "cpu_us_by_role": {str(shards): cpu_by_role(of) for shards, of in runs.items()},
            "payments_per_second": {
                str(shards): round(median([run.wrk.per_second for run in of]), 1)
                for shards, of in runs.items()
            },
        },
        audit=sum((run.audit for run in everything), Audit(0, 0, 0, 0, 0)),
        summary=summary_of(everything),
    )
