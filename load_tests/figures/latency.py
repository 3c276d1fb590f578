"""Figure 4: what the gateway adds to a 20 ms channel at half of its peak, open loop."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from load_tests import audit, gateway, lookup, open_loop, presign
from load_tests.audit import Audit
from load_tests.figures.base import Bar, Figure, Lab, median
from load_tests.gateway import Gateway
from load_tests.open_loop import OpenLoopResult
from load_tests.saturation import closed_run

CHANNEL_LATENCY_MS: Final = 20
ADDED_P50_MS_MAX: Final = 5.0
ADDED_P99_MS_MAX: Final = 30.0
WARM_UP_S: Final = 2
SEED: Final = 20_261_121
RATES_MAX: Final = 100


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """Which rates (payments a second) are offered, and how."""

    rates: tuple[float, ...]
    arrivals: str = "poisson"
    in_flight_max: int = open_loop.IN_FLIGHT_MAX
    channel_latency_ms: int = CHANNEL_LATENCY_MS


@dataclass(frozen=True, slots=True)
class OpenRun:
    """One open-loop run, audited payment by payment."""

    load: OpenLoopResult
    audit: Audit

    def as_json(self) -> dict[str, Any]:
        """For the history and the report."""
        load = self.load
        return {
            "target_rate": round(load.target_rate, 1),
            "payments_per_second": round(load.per_second, 1),
            "due": load.due,
            "sent": load.sent,
            "skipped": load.skipped,
            "acknowledged": load.acknowledged,
            "refused": load.refused,
            "unanswered": load.unanswered,
            "corrected_ms": load.corrected_ms,
            "uncorrected_ms": load.uncorrected_ms,
            "send_lag_p99_ms": load.send_lag_p99_ms,
        }


def rates(sweep: str | None, target_rate: float | None) -> tuple[float, ...]:
    """Rates of `FROM:TO:STEP`, or the one rate."""
    if sweep is None:
        assert target_rate is not None
        return (target_rate,)
    first, last, step = (int(part) for part in sweep.split(":"))
    if step <= 0 or not 0 < first <= last or (last - first) // step >= RATES_MAX:
        raise ValueError(f"--sweep {sweep}: FROM:TO:STEP with at most {RATES_MAX} rates")
    return tuple(float(rate) for rate in range(first, last + 1, step))


def _offer(server: Gateway, plan: LoadPlan, rate: float, duration_s: int) -> OpenRun:
    """Offer one rate to a running gateway, then look every acknowledged payment up."""
    due = open_loop.arrivals(plan.arrivals, rate, duration_s, SEED)
    authority = server.url.removeprefix("http://")
    orders = presign.Plan(server.keys, authority, presign.fresh_tag(), len(due))
    requests = [
        presign.raw_request(line, authority)
        for line in presign.request_lines(orders, presign.now_s())
    ]
    load = open_loop.run(
        server.url, requests, due, duration_s, target_rate=rate, in_flight_max=plan.in_flight_max
    )
    paid = [(presign.order_no(orders.tag, number), payment) for number, payment in load.payments]
    keys = (server.keys[number % len(server.keys)] for number, _ in load.payments)
    found = lookup.payments_of(server.url, zip((order for order, _ in paid), keys, strict=True))
    lost, doubled = audit.of_identities(paid, found)
    return OpenRun(load, Audit(0, 0, doubled, lost, 0))


def offer_all(
    lab: Lab, plan: LoadPlan, rates_wanted: Iterable[float]
) -> tuple[list[OpenRun], Audit]:
    """Offer the rates one after the other to one gateway, then audit its books."""
    data = lab.fresh("data")
    options = replace(lab.options, channel_latency_ms=plan.channel_latency_ms)
    runs = []
    with Gateway(options, data, lab.out / "gateway.log") as server:
        warm = _offer(server, plan, min(plan.rates), WARM_UP_S)
        for rate in rates_wanted:
            runs.append(_offer(server, plan, rate, lab.duration_s))
            load = runs[-1].load
            lab.progress.say(
                f"{rate:,.0f}/s offered: {load.per_second:,.0f}/s, corrected p50 "
                f"{load.corrected_ms['p50']:.1f} ms, p99 {load.corrected_ms['p99']:.1f} ms, "
                f"{load.skipped} skipped, {load.refused} refused, {load.unanswered} unanswered"
            )
    everything = [warm, *runs]
    counted = audit.of_counts(
        sum(run.load.acknowledged for run in everything),
        sum(run.load.unanswered for run in everything),
        gateway.verify_ledger(data),
    )
    lab.discard(data)
    return runs, sum((run.audit for run in everything), counted)


def _summary(runs: list[OpenRun]) -> dict[str, Any]:
    return {
        "payments": sum(run.load.acknowledged for run in runs),
        "seconds": sum(run.load.seconds for run in runs),
        "payments_per_second": round(median([run.load.per_second for run in runs]), 1),
        "latency_ms": {
            name: median([run.load.corrected_ms[name] for run in runs]) for name in ("p50", "p99")
        },
        "errors": sum(run.load.refused + run.load.unanswered + run.load.skipped for run in runs),
    }


def write_histograms(folder: Path, run: OpenRun) -> None:
    """Percentile distributions in milliseconds, in the form that HdrHistogram's plotters read."""
    kinds = (("corrected", run.load.corrected), ("uncorrected", run.load.uncorrected))
    for kind, histogram in kinds:
        with (folder / f"run.{kind}.hgrm").open("wb") as file:
            histogram.output_percentile_distribution(file, 1000.0)


def measure(lab: Lab) -> Figure:
    """Half of the peak, several times; each percentile is the median of the runs.

    Each run's peak is measured right before it: a shared machine is not as quick at every minute,
    and half of what another minute could do is no half.
    """
    peaks, runs, audits = [], [], []
    for _ in range(lab.runs):
        closed = closed_run(lab, lab.options)
        peak = closed.wrk.per_second
        lab.progress.say(f"peak {peak:,.0f}/s")
        offered, audited = offer_all(lab, LoadPlan((peak / 2,)), [peak / 2])
        peaks.append(peak)
        runs += offered
        audits += [closed.audit, audited]
    write_histograms(lab.out, runs[-1])
    added = {
        name: median([run.load.corrected_ms[name] for run in runs]) - CHANNEL_LATENCY_MS
        for name in ("p50", "p99")
    }
    summary = _summary(runs)
    rate = median([run.load.target_rate for run in runs])
    return Figure(
        name="latency",
        title=f"Latency added to a {CHANNEL_LATENCY_MS} ms channel at {rate:,.0f} payments/s",
        bars=(
            Bar("added p50", added["p50"], ADDED_P50_MS_MAX, at_least=False, unit=" ms"),
            Bar("added p99", added["p99"], ADDED_P99_MS_MAX, at_least=False, unit=" ms"),
            Bar("errors", summary["errors"], 0, at_least=False),
        ),
        values={
            "peak_per_second": median(peaks),
            "runs": [
                run.as_json() | {"peak_per_second": round(peak, 1)}
                for peak, run in zip(peaks, runs, strict=True)
            ],
        },
        audit=sum(audits[1:], audits[0]),
        summary=summary,
    )


def sweep(lab: Lab, plan: LoadPlan) -> Figure:
    """Throughput against latency over several rates: where is the knee?"""
    runs, audited = offer_all(lab, plan, plan.rates)
    write_histograms(lab.out, runs[-1])
    return Figure(
        name="sweep",
        title=f"Open loop, {plan.arrivals} arrivals, {plan.channel_latency_ms} ms channel",
        bars=(),
        values={"runs": [run.as_json() for run in runs]},
        audit=audited,
        summary=_summary(runs),
    )
