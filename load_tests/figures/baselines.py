"""Figure 3: how many times more payments than what others would build, in the same run."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from load_tests import wrk
from load_tests.audit import Audit
from load_tests.baselines.common import RAY_ENVIRONMENT
from load_tests.figures.base import Bar, Figure, Lab, free_port, median
from load_tests.process import Server
from load_tests.saturation import ClosedRun, closed_run, echo_requests, summary_of
from load_tests.wrk import WrkResult

READY_TIMEOUT_S: Final = 120.0
WARM_UP_S: Final = 2
BASELINE_PER_SECOND_MAX: Final = 8_000


@dataclass(frozen=True, slots=True)
class Baseline:
    """Something else that takes payments, and how many times faster we have to be."""

    module: str
    title: str
    times_min: float | None
    """None: told beside the others, and not judged."""

    environment: Mapping[str, str] = field(default_factory=dict)


BASELINES: Final = (
    Baseline("fastapi_postgres", "FastAPI + PostgreSQL, two commits", 4.0),
    Baseline("fastapi_tuned", "the same, tuned by hand", None),
    Baseline("ray_call", "one Ray call a payment", 4.0, RAY_ENVIRONMENT),
    Baseline("ray_serve", "Ray Serve echo", 20.0, RAY_ENVIRONMENT),
)


def baseline_run(lab: Lab, baseline: Baseline) -> WrkResult:
    """Start it on an empty folder, warm it up, saturate it, end it.

    The warm-up replays requests of its own: stores refuse an order that they have seen.
    """
    data = lab.fresh(baseline.module)
    data.mkdir(parents=True)
    port = free_port()
    argv = [sys.executable, "-m", f"load_tests.baselines.{baseline.module}"]
    argv += ["--port", str(port), "--data", str(data)]
    log = lab.out / f"{baseline.module}.log"
    warm_up, requests = (
        echo_requests(lab, seconds, BASELINE_PER_SECOND_MAX, f"127.0.0.1:{port}")
        for seconds in (WARM_UP_S, lab.duration_s)
    )
    try:
        with Server(
            argv, log, environment=baseline.environment, ready_timeout_s=READY_TIMEOUT_S
        ) as server:
            wrk.run(server.url, warm_up, WARM_UP_S)
            return wrk.run(server.url, requests, lab.duration_s)
    finally:
        warm_up.unlink()
        requests.unlink()
        lab.discard(data)


def measure(lab: Lab) -> Figure:
    """The gateway and each baseline by turns; each value is the median of the runs."""
    ours: list[ClosedRun] = []
    theirs: dict[str, list[WrkResult]] = {baseline.module: [] for baseline in BASELINES}
    for _ in range(lab.runs):
        run = closed_run(lab, lab.options)
        ours.append(run)
        for baseline in BASELINES:
            result = baseline_run(lab, baseline)
            theirs[baseline.module].append(result)
            lab.progress.say(
                f"{baseline.title}: {result.per_second:,.0f}/s, we do "
                f"{run.wrk.per_second / result.per_second:.1f} times that, {result.errors} errors"
            )
    return figure_of(ours, theirs)


def _times(ours: list[ClosedRun], theirs: list[WrkResult]) -> float:
    """The median of each run's own quotient."""
    pairs = zip(ours, theirs, strict=True)
    return median([run.wrk.per_second / result.per_second for run, result in pairs])


def figure_of(ours: list[ClosedRun], theirs: dict[str, list[WrkResult]]) -> Figure:
    """Add the runs up. A baseline that answered with errors is no baseline."""
    errors = sum(result.errors for of in theirs.values() for result in of)
    return Figure(
        name="baselines",
        title="Times the payments a second of other ways to build it",
        bars=(
            *(
                Bar(
                    f"× {baseline.title}",
                    _times(ours, theirs[baseline.module]),
                    baseline.times_min,
                    at_least=True,
                )
                for baseline in BASELINES
                if baseline.times_min is not None
            ),
            Bar("errors of the baselines", errors, 0, at_least=False),
        ),
        values={
            "payments_per_second": median([run.wrk.per_second for run in ours]),
            "baselines": {
                module: {
                    "times": _times(ours, of),
                    "per_second": median([result.per_second for result in of]),
                    "p50_ms": median([result.latency_ms["p50"] for result in of]),
                }
                for module, of in theirs.items()
            },
        },
        audit=sum((run.audit for run in ours), Audit(0, 0, 0, 0, 0)),
        summary=summary_of(ours),
    )
