"""Figure: clear and net a day's payments, and pay them out up to signed orders.

`tillway clearing rehearse` makes a shard's file, `tillway clearing drill` opens the real shard on
it in a process of its own. Three days are measured, the last of them the one that was asked for,
each with a thousand payments a merchant: what a payment costs must not grow with the day, neither
in processor time nor in rows that are read and written. The audit is that of `ledger verify`, which
reads every row again: a payment that is in no batch or in two, totals that are not those of the
members, and money that left and has not arrived fail it.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from load_tests import gateway
from load_tests.audit import Audit
from load_tests.figures.base import Bar, Figure, Lab, median
from load_tests.figures.reconciliation import Taken, taken

PAYMENTS: Final = 1_000_000
SHARES: Final = (100, 10, 1)
"""The measured days: the one asked for, divided by these."""

MERCHANT_PAYMENTS: Final = 1_000
SECONDS_MAX: Final = 60.0
"""For a million payments; fewer have as much less."""

MEMORY_MIB_MAX: Final = 1_024.0
SPREAD_MAX: Final = 0.20
TURNS: Final = 4
"""So often the smaller days are measured before each run of the whole one, and again after it: they
take a second or two, in which a machine shared with others is quick or slow by chance."""


def measure(lab: Lab) -> Figure:
    """The median of the runs of each day; the smaller ones by turns with the whole one."""
    asked = lab.payments or PAYMENTS
    days = {max(1, asked // share): _made(lab, max(1, asked // share)) for share in SHARES}
    audit = Audit(0, 0, 0, 0, 0)
    runs: dict[int, list[Taken]] = {size: [] for size in days}
    for size in _turns(list(days), asked) * lab.runs:
        run, audited = _drilled(lab, days[size], size)
        runs[size].append(run)
        audit += audited
    for day in days.values():
        lab.discard(day)
    costs = {
        size: median([one.answer["cpu_us_per_payment"] for one in runs[size]]) for size in runs
    }
    rows = {
        name: {size: runs[size][-1].answer[f"rows_{name}"] / size for size in runs}
        for name in ("read", "written")
    }
    grown = max(_spread(list(each.values())) for each in rows.values())
    whole = runs[asked]
    return Figure(
        name="clearing",
        title=f"{asked:,} payments cleared, netted and paid out, from rows to signed orders",
        bars=(
            Bar(
                "took",
                median([one.answer["seconds"] for one in whole]),
                SECONDS_MAX * asked / PAYMENTS,
                at_least=False,
                unit=" s",
            ),
            Bar(
                "memory",
                max(one.memory_mib for one in whole),
                MEMORY_MIB_MAX,
                at_least=False,
                unit=" MiB",
            ),
            Bar("cost grows by", _spread(list(costs.values())), SPREAD_MAX, at_least=False),
            Bar("rows grow by", grown, SPREAD_MAX, at_least=False),
        ),
        values={
            "payments": asked,
            "cpu_us_per_payment": {str(size): round(cost, 2) for size, cost in costs.items()},
            "rows_per_payment": {
                name: {str(size): round(count, 3) for size, count in each.items()}
                for name, each in rows.items()
            },
            "cpu_us_of_each_run": {
                str(size): [round(one.answer["cpu_us_per_payment"], 1) for one in of]
                for size, of in runs.items()
            },
            "entries_per_payment": {
                str(size): round(runs[size][-1].answer["entries"] / size, 4) for size in runs
            },
            "memory_mib": {
                str(size): round(max(one.memory_mib for one in runs[size])) for size in runs
            },
            "private_mib": _most(runs, "private_mib"),
            "mapped_mib": _most(runs, "mapped_mib"),
            "longest_slice_ms": _most(runs, "longest_slice_ms"),
            "seconds": [round(one.answer["seconds"], 2) for one in whole],
            "stages": whole[-1].answer["stages"],
            "instructions": whole[-1].answer["instructions"],
            "messages": whole[-1].answer["messages"],
        },
        audit=audit,
    )


def _turns(sizes: Sequence[int], asked: int) -> list[int]:
    """In which order the days are measured: the smaller ones before and after the whole one."""
    smaller = [size for size in sizes if size != asked] * TURNS
    return [*smaller, asked, *smaller]


def _made(lab: Lab, payments: int) -> Path:
    """A shard's file with a day of so many payments, nothing of it cleared."""
    day = lab.fresh("day")
    merchants = max(1, payments // MERCHANT_PAYMENTS)
    words = ["--payments", str(payments), "--merchants", str(merchants), "--json"]
    taken(["clearing", "rehearse", str(day), *words], lab.work / "made.json")
    lab.progress.say(f"{payments:,} payments of {merchants:,} merchants made")
    return day


def _most(runs: dict[int, list[Taken]], name: str) -> dict[str, float]:
    """The most of all runs of each day."""
    return {str(size): round(max(one.answer[name] for one in runs[size]), 2) for size in runs}


def _spread(costs: Sequence[float]) -> float:
    """By how much a payment of the largest day costs more than one of the cheapest."""
    return costs[-1] / min(costs) - 1


def _drilled(lab: Lab, day: Path, size: int) -> tuple[Taken, Audit]:
    """One run on a copy of the day, and its audit."""
    copy = lab.fresh("run")
    shutil.copytree(day, copy)
    run = taken(["clearing", "drill", str(copy), "--json"], lab.work / "answer.json")
    answer = run.answer
    lab.progress.say(
        f"{answer['seconds']:.1f} s, {answer['cpu_us_per_payment']:.1f} µs of CPU a payment, "
        f"{run.memory_mib:.0f} MiB at most"
    )
    audit = audited(size, gateway.verify_ledger(copy))
    lab.discard(copy)
    return run, audit


def audited(size: int, verified: dict[str, object]) -> Audit:
    """What `ledger verify` says of a day of `size` payments."""
    counts = verified["payments"]
    assert isinstance(counts, dict)
    found = sum(counts.values())
    is_sound = verified["ok"] is True and not verified["transits_due"]
    return Audit(
        acknowledged=size,
        in_ledger=found,
        doubled=int(str(verified["doubled"])),
        lost=max(0, size - found),
        trial_balance=int(str(verified["trial_balance"])),
        chain_ok=bool(verified["chain_ok"]) and is_sound,
    )
