"""Figure: a bill of a million lines against a million rows, from the file to the kept differences.

`tillway recon rehearse` makes the day and writes down what is wrong with it. What the comparison
found is exported and held against that: the audit counts what was missed as lost and what was
never planted as doubled, and the trial balance is what the differences leave unexplained.
"""

import csv
import json
import os
import subprocess
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from load_tests import gateway
from load_tests.audit import Audit
from load_tests.figures.base import Bar, Figure, Lab, median
from load_tests.gateway import CommandFailed

PAYMENTS: Final = 1_000_000
SECONDS_MAX: Final = 60.0
SECONDS_AIM: Final = 20.0
RATE_PPM: Final = "6000"
KEPT: Final = "reconciliation.db*"
"""The files of what was found; without them the bill is new again."""


@dataclass(frozen=True, slots=True)
class Taken:
    """One run of a command: what it said, and what it took."""

    answer: dict[str, Any]
    seconds: float
    cpu_s: float
    memory_mib: float


def taken(arguments: list[str], out: Path) -> Taken:
    """Run one command to its end. Exit code 1 means that differences are open, as they should be.

    Raise CommandFailed for any other end, with the last line of its complaint.
    """
    complaints = out.with_name(out.name + ".err")
    with out.open("wb") as answers, complaints.open("wb") as errors:
        began = time.monotonic()
        process = subprocess.Popen([*gateway.COMMAND, *arguments], stdout=answers, stderr=errors)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
    text = out.read_text(encoding="utf-8")
    if process.returncode not in (0, 1) or not text.startswith("{"):
        said = complaints.read_text(encoding="utf-8").strip().splitlines()[-1:]
        raise CommandFailed(f"{' '.join(arguments[:2])} ended with {process.returncode}: {said}")
    cpu_s = usage.ru_utime + usage.ru_stime
    return Taken(json.loads(text), seconds, cpu_s, usage.ru_maxrss / 1024)


def measure(lab: Lab) -> Figure:
    """The median of the runs, each on a day without a comparison."""
    day = lab.fresh("day")
    _made(day, PAYMENTS)
    planted = _keys(day / "planted.csv")
    lab.progress.say(f"{PAYMENTS:,} payments and their bill made, {planted.total():,} planted")
    runs: list[Taken] = []
    audit = Audit(0, 0, 0, 0, 0)
    for _ in range(lab.runs):
        for kept in day.glob(KEPT):
            kept.unlink()
        run = _imported(day, lab.work / "answer.json")
        runs.append(run)
        audit += _audited(day, run, planted, lab.work / "found.csv")
        lab.progress.say(
            f"{run.seconds:.1f} s, {run.cpu_s:.1f} s of CPU, {run.memory_mib:.0f} MiB at most"
        )
    bill = (day / "bill.csv").stat().st_size
    lab.discard(day)
    seconds = median([run.seconds for run in runs])
    return Figure(
        name="reconciliation",
        title=f"A bill against {PAYMENTS:,} rows, file to differences",
        bars=(Bar("took", seconds, SECONDS_MAX, at_least=False, unit=" s", aim=SECONDS_AIM),),
        values={
            "payments": PAYMENTS,
            "bill_bytes": bill,
            "planted": planted.total(),
            "seconds": [round(run.seconds, 2) for run in runs],
            "cpu_s": [round(run.cpu_s, 2) for run in runs],
            "memory_mib": [round(run.memory_mib) for run in runs],
            "lines": runs[-1].answer["lines"],
        },
        audit=audit,
    )


def _made(day: Path, payments: int) -> None:
    arguments = ["recon", "rehearse", str(day), "--payments", str(payments)]
    done = subprocess.run([*gateway.COMMAND, *arguments], capture_output=True, check=False)
    if done.returncode:
        raise CommandFailed(f"recon rehearse ended with {done.returncode}: {done.stderr[-200:]!r}")


def _imported(day: Path, out: Path) -> Taken:
    words = ["recon", "import", str(day / "bill.csv"), "--dialect", "wechat", "--data", str(day)]
    return taken([*words, "--rate-ppm", RATE_PPM, "--json"], out)


def _audited(day: Path, run: Taken, planted: "Counter[tuple[str, ...]]", found: Path) -> Audit:
    """What was found against what was planted, one by one."""
    words = ["recon", "export", run.answer["id"], "--data", str(day), "--out", str(found)]
    taken([*words, "--json"], found.with_name("export.json"))
    keys = _keys(found)
    totals = run.answer["totals"]
    return Audit(
        acknowledged=planted.total(),
        in_ledger=keys.total(),
        doubled=(keys - planted).total(),
        lost=(planted - keys).total(),
        trial_balance=totals["theirs"] - totals["ours"] - totals["differences"],
    )


def _keys(path: Path) -> "Counter[tuple[str, ...]]":
    """How often each (type, line, number) stands in a CSV file."""
    with path.open(encoding="utf-8", newline="") as file:
        return Counter((row["type"], row["line"], row["number"]) for row in csv.DictReader(file))
