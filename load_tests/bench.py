"""The bench: measure the published figures, audit them, keep them, judge them.

Usage: python -m load_tests.bench --figure closed --runs 5 --duration 10 --json --out DIR

Exit codes: 0 every bar met, 1 an audit failed, 2 usage, 3 a server could not be reached,
4 a bar was missed.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from load_tests import compare, history, open_loop, report
from load_tests.audit import Audit
from load_tests.console import Progress
from load_tests.figures import (
    baselines,
    clearing,
    clearing_beside,
    closed,
    latency,
    merchants,
    reconciliation,
    rows,
    shards,
    wires,
)
from load_tests.figures.base import Figure, Lab
from load_tests.gateway import CommandFailed, Options
from load_tests.process import ServerFailed
from load_tests.seed import SeedPlan
from load_tests.wrk import WrkFailed

FIGURES: Final[dict[str, Callable[[Lab], Figure]]] = {
    "closed": closed.measure,
    "baselines": baselines.measure,
    "clearing": clearing.measure,
    "clearing-beside": clearing_beside.measure,
    "latency": latency.measure,
    "merchants": merchants.measure,
    "reconciliation": reconciliation.measure,
    "rows": rows.measure,
    "shards": shards.measure,
    "wires": wires.measure,
}
RUNTIMES: Final = {"ray": "as in production", "local": "every actor on one event loop"}
EXIT_OK: Final = 0
EXIT_AUDIT: Final = 1
EXIT_UNREACHABLE: Final = 3
EXIT_THRESHOLD: Final = 4

LINE_FIELDS: Final = (
    "payments",
    "seconds",
    "payments_per_second",
    "latency_ms",
    "errors",
    "ceiling_per_second",
    "ratio",
    "cpu_us_per_payment",
)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command = argparse.ArgumentParser("tillway bench", description=(__doc__ or "").split("\n")[0])
    command.add_argument("--figure", choices=[*FIGURES, "all"], default="closed")
    command.add_argument("--runs", type=int, default=5, help="runs of each; the median counts")
    command.add_argument("--duration", type=int, default=10, help="seconds of each run")
    command.add_argument("--out", type=Path, default=Path("bench"), help="history and report")
    command.add_argument("--work", type=Path, help="where data directories are made")
    command.add_argument("--runtime", choices=[*RUNTIMES], default="ray")
    command.add_argument("--front-doors", type=int, default=2)
    command.add_argument("--shards", type=int, default=1)
    command.add_argument("--merchants", type=int, default=64)
    command.add_argument("--payments", type=int, help="clearing only: payments of the day")
    command.add_argument("--stores", type=Path, help="rows only: keep what is made in bulk there")
    command.add_argument("--target-rate", type=float, help="open loop: payments a second")
    command.add_argument("--sweep", help="open loop: FROM:TO:STEP payments a second")
    command.add_argument("--arrivals", choices=["poisson", "uniform"], default="poisson")
    command.add_argument("--max-in-flight", type=int, default=open_loop.IN_FLIGHT_MAX)
    command.add_argument("--channel-latency-ms", type=int, default=20, help="open loop only")
    command.add_argument("--json", action="store_true", help="end with one line of JSON")
    return command


def last_line(figures: Sequence[Figure]) -> dict[str, Any]:
    """The JSON line: from the first figure that measured payments a second, audits of all."""
    summary = next((figure.summary for figure in figures if figure.summary), {})
    audit = sum((figure.audit for figure in figures), Audit(0, 0, 0, 0, 0))
    return {**{name: summary.get(name) for name in LINE_FIELDS}, "audit": audit.as_json()}


def exit_code(figures: Sequence[Figure]) -> int:
    """A failed audit is worse than a missed bar."""
    if not all(figure.audit.passed for figure in figures):
        return EXIT_AUDIT
    return EXIT_OK if all(figure.met for figure in figures) else EXIT_THRESHOLD


def chosen(arguments: argparse.Namespace) -> list[Callable[[Lab], Figure]]:
    """The figures that the command line asks for."""
    if arguments.sweep or arguments.target_rate:
        plan = latency.LoadPlan(
            rates=latency.rates(arguments.sweep, arguments.target_rate),
            arrivals=arguments.arrivals,
            in_flight_max=arguments.max_in_flight,
            channel_latency_ms=arguments.channel_latency_ms,
        )
        return [lambda lab: latency.sweep(lab, plan)]
    names = list(FIGURES) if arguments.figure == "all" else [arguments.figure]
    return [FIGURES[name] for name in names]


def measure(arguments: argparse.Namespace, lab: Lab) -> list[Figure]:
    """Measure one figure after the other and say what came out."""
    figures = []
    for take in chosen(arguments):
        figure = take(lab)
        figures.append(figure)
        lab.progress.say(figure.title)
        for bar in figure.bars:
            lab.progress.verdict(str(bar), met=bar.met)
        lab.progress.verdict(f"audit {figure.audit.as_json()}", met=figure.audit.passed)
    return figures


def main(argv: Sequence[str] | None = None) -> int:
    """Run the bench; return the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["compare"]:
        return compare.main(words[1:])
    arguments = parser().parse_args(words)
    arguments.out.mkdir(parents=True, exist_ok=True)
    options = Options(
        front_doors=arguments.front_doors,
        shards=arguments.shards,
        runtime=arguments.runtime,
        seed=SeedPlan(arguments.merchants, arguments.merchants),
    )
    if arguments.work is not None:
        arguments.work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=arguments.work) as work:
        lab = Lab(
            out=arguments.out,
            work=Path(work),
            options=options,
            runs=arguments.runs,
            duration_s=arguments.duration,
            progress=Progress(),
            payments=arguments.payments,
            stores=arguments.stores,
        )
        try:
            figures = measure(arguments, lab)
        except (ServerFailed, CommandFailed, WrkFailed, ConnectionError) as error:
            lab.progress.verdict(str(error), met=False)
            return EXIT_UNREACHABLE
    entry = history.record(lab, figures)
    history.append(arguments.out, entry)
    (arguments.out / "run.json").write_text(json.dumps(entry, indent=1, ensure_ascii=False) + "\n")
    page = report.write(arguments.out, entry, history.load(arguments.out))
    lab.progress.say(f"report: {page}")
    if arguments.json:
        print(json.dumps(last_line(figures)), flush=True)
    return exit_code(figures)


if __name__ == "__main__":
    sys.exit(main())
