"""Figure 6: what ten million stored payments cost, against a hundred thousand."""

from pathlib import Path
from typing import Final

from load_tests import gateway
from load_tests.audit import Audit
from load_tests.figures.base import Bar, Figure, Lab, median
from load_tests.saturation import ClosedRun, closed_run, echo_requests, echo_run, summary_of

STORED: Final = (100_000, 10_000_000)
FALL_MAX: Final = 0.20


def _filled(lab: Lab, payments: int) -> Path:
    """A data directory with so many payments; one of `lab.stores` if it was filled to the end."""
    name = f"{payments}-of-{lab.options.seed.merchants}"
    data = lab.fresh(name) if lab.stores is None else lab.stores / name
    complete = data.parent / f"{data.name}.complete"
    if complete.exists():
        lab.progress.say(f"{data} was filled by an earlier run")
        return data
    lab.discard(data)
    data.mkdir(parents=True)
    gateway.seed_bulk(data, lab.options.seed, payments)
    if lab.stores is not None:
        complete.touch()
    lab.progress.say(f"{payments:,} payments stored in bulk")
    return data


def measure(lab: Lab) -> Figure:
    """The ratio of the first figure with few and with many stored payments, by turns."""
    requests = echo_requests(lab, lab.duration_s)
    folders = {payments: _filled(lab, payments) for payments in STORED}
    stored = dict.fromkeys(STORED, 0)
    ratios: dict[int, list[float]] = {payments: [] for payments in STORED}
    runs: list[ClosedRun] = []
    for payments in STORED:
        stored[payments] = sum(gateway.verify_ledger(folders[payments])["payments"].values())
    for _ in range(lab.runs):
        for payments in STORED:
            echo = echo_run(lab, requests)
            run = closed_run(
                lab, lab.options, data=folders[payments], stored_before=stored[payments]
            )
            stored[payments] += run.audit.in_ledger
            ratios[payments].append(run.wrk.per_second / echo.per_second)
            runs.append(run)
            lab.progress.say(
                f"{stored[payments]:,} stored: {run.wrk.per_second:,.0f}/s, "
                f"ratio {ratios[payments][-1]:.3f}"
            )
    requests.unlink()
    if lab.stores is None:
        for folder in folders.values():
            lab.discard(folder)
    few, many = (median(ratios[payments]) for payments in STORED)
    return Figure(
        name="rows",
        title=f"The ratio with {STORED[1]:,} stored payments against {STORED[0]:,}",
        bars=(Bar("falls by", 1 - many / few, FALL_MAX, at_least=False),),
        values={"ratio": {str(payments): ratios[payments] for payments in STORED}},
        audit=sum((run.audit for run in runs), Audit(0, 0, 0, 0, 0)),
        summary=summary_of(runs),
    )
