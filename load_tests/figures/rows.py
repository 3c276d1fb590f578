"""Figure 6: what ten million stored payments cost, against a hundred thousand."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from load_tests import gateway
from load_tests.audit import Audit
from load_tests.figures.base import Bar, Figure, Lab, median
from load_tests.saturation import ClosedRun, closed_run, echo_requests, echo_run, summary_of

STORED: Final = (100_000, 10_000_000)
FALL_MAX: Final = 0.20


@dataclass(slots=True)
class _Store:
    """A data directory made in bulk, how many payments are in it, and the file that says so.

    The file is empty while a run adds to them: whoever comes after a run that was cut off counts.
    """

    data: Path
    payments: int
    said: Path | None

    def say(self, payments: int | None) -> None:
        """Keep the count for the next run; None: it is about to change."""
        if self.said is not None:
            self.said.write_text("" if payments is None else f"{payments}")


def _filled(lab: Lab, payments: int) -> _Store:
    """So many payments in a data directory; in one of `lab.stores` if it was filled to the end."""
    name = f"{payments}-of-{lab.options.seed.merchants}"
    if lab.stores is None:
        store = _Store(lab.fresh(name), payments, None)
    else:
        store = _Store(lab.stores / name, payments, lab.stores / f"{name}.complete")
    if store.said is not None and store.said.exists():
        count = store.said.read_text() or sum(_payments(store.data).values())
        store.payments = int(count)
        lab.progress.say(f"{store.data} was filled by an earlier run")
        return store
    lab.discard(store.data)
    store.data.mkdir(parents=True)
    gateway.seed_bulk(store.data, lab.options.seed, payments)
    store.say(payments)
    lab.progress.say(f"{payments:,} payments stored in bulk")
    return store


def _payments(data: Path) -> dict[str, int]:
    counted: dict[str, int] = gateway.verify_ledger(data)["payments"]
    return counted


def measure(lab: Lab) -> Figure:
    """The ratio of the first figure with few and with many stored payments, by turns.

    What was made in bulk is checked after the runs, with what they added: every row of it.
    """
    requests = echo_requests(lab, lab.duration_s)
    stores = {payments: _filled(lab, payments) for payments in STORED}
    ratios: dict[int, list[float]] = {payments: [] for payments in STORED}
    runs: list[ClosedRun] = []
    for _ in range(lab.runs):
        for payments, store in stores.items():
            echo = echo_run(lab, requests)
            store.say(None)
            run = closed_run(lab, lab.options, data=store.data, stored_before=store.payments)
            store.payments += run.audit.in_ledger
            store.say(store.payments)
            ratios[payments].append(run.wrk.per_second / echo.per_second)
            runs.append(run)
            lab.progress.say(
                f"{store.payments:,} stored: {run.wrk.per_second:,.0f}/s, "
                f"ratio {ratios[payments][-1]:.3f}"
            )
    requests.unlink()
    if lab.stores is None:
        for store in stores.values():
            lab.discard(store.data)
    few, many = (median(ratios[payments]) for payments in STORED)
    return Figure(
        name="rows",
        title=f"The ratio with {STORED[1]:,} stored payments against {STORED[0]:,}",
        bars=(Bar("falls by", 1 - many / few, FALL_MAX, at_least=False),),
        values={"ratio": {str(payments): ratios[payments] for payments in STORED}},
        audit=sum((run.audit for run in runs), Audit(0, 0, 0, 0, 0)),
        summary=summary_of(runs),
    )
