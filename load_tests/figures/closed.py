"""Figures 1 and 2: durable payments a second against the raw echo, and CPU per payment."""

from typing import Any

from load_tests.audit import Audit
from load_tests.cpu import BUDGET_US
from load_tests.figures.base import Bar, Figure, Lab, median
from load_tests.saturation import ClosedRun, closed_run, echo_requests, echo_run, summary_of
from load_tests.wrk import WrkResult

RATIO_MIN = 0.25
RATIO_AIM = 0.4
CPU_US_MAX = 230.0
CPU_US_AIM = 190.0


def measure(lab: Lab) -> Figure:
    """Echo and gateway by turns; each value is the median of the runs."""
    requests = echo_requests(lab, lab.duration_s)
    pairs: list[tuple[WrkResult, ClosedRun]] = []
    for number in range(1, lab.runs + 1):
        echo = echo_run(lab, requests)
        gateway = closed_run(lab, lab.options)
        pairs.append((echo, gateway))
        lab.progress.say(
            f"run {number} of {lab.runs}: echo {echo.per_second:,.0f}/s, gateway "
            f"{gateway.wrk.per_second:,.0f}/s, ratio "
            f"{gateway.wrk.per_second / echo.per_second:.3f}, "
            f"{gateway.cpu_us_per_payment:.0f} µs, {gateway.wrk.errors} errors"
        )
    requests.unlink()
    lab.peak_per_second = median([gateway.wrk.per_second for _, gateway in pairs])
    return figure_of(pairs)


def cpu_by_role(runs: list[ClosedRun]) -> dict[str, float]:
    """The median of every role over the runs."""
    roles = sorted({role for run in runs for role in run.cpu_us})
    return {role: median([run.cpu_us.get(role, 0.0) for run in runs]) for role in roles}


def figure_of(pairs: list[tuple[WrkResult, ClosedRun]]) -> Figure:
    """Add the runs up."""
    runs = [gateway for _, gateway in pairs]
    ratio = median([run.wrk.per_second / echo.per_second for echo, run in pairs])
    cpu_us = median([run.cpu_us_per_payment for run in runs])
    audit = sum((run.audit for run in runs), Audit(0, 0, 0, 0, 0))
    summary: dict[str, Any] = {
        **summary_of(runs),
        "ceiling_per_second": round(median([echo.per_second for echo, _ in pairs]), 1),
        "ratio": round(ratio, 4),
    }
    return Figure(
        name="closed",
        title="Durable payments at saturation, against the raw aiohttp echo",
        bars=(
            Bar("payments ÷ echo", ratio, RATIO_MIN, at_least=True, aim=RATIO_AIM),
            Bar("CPU per payment", cpu_us, CPU_US_MAX, at_least=False, unit=" µs", aim=CPU_US_AIM),
            Bar("errors", summary["errors"], 0, at_least=False),
        ),
        values={
            **summary,
            "cpu_us_by_role": cpu_by_role(runs),
            "cpu_us_budget": BUDGET_US,
            "runs": [
                {
                    "echo_per_second": echo.per_second,
                    "payments_per_second": run.wrk.per_second,
                    "ratio": run.wrk.per_second / echo.per_second,
                    "cpu_us_per_payment": run.cpu_us_per_payment,
                    "latency_ms": run.wrk.latency_ms,
                    "errors": run.wrk.errors,
                }
                for echo, run in pairs
            ],
        },
        audit=audit,
        summary=summary,
    )
