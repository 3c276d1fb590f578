"""Closed saturation: wrk against the echo and against the gateway, the same way."""

import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from load_tests import audit, cpu, gateway, lookup, presign, wrk
from load_tests.audit import Audit
from load_tests.figures.base import Lab, free_port, median
from load_tests.gateway import Gateway, Options
from load_tests.process import Server
from load_tests.signing import STAND_IN_KEY
from load_tests.wrk import RequestsUsedUp, WrkResult

ECHO_PROCESSES: Final = 2
WARM_UP_S: Final = 2
SETTLE_S: Final = 1.0
SPARE: Final = 1.5
"""How many times the expected requests are signed: a run must not use them up."""

ECHO_PER_SECOND_MAX: Final = 40_000
ATTEMPTS_MAX: Final = 3
SAMPLE_MAX: Final = 200
"""Order numbers that are looked up one by one after a run of wrk."""

UNSENT: Final = 1
"""wrk asks its script for one request before the run, to look at it, and never sends that one."""


@dataclass(frozen=True, slots=True)
class ClosedRun:
    """One run at saturation, audited. CPU microseconds per payment by role."""

    wrk: WrkResult
    cpu_us: dict[str, float]
    audit: Audit

    @property
    def cpu_us_per_payment(self) -> float:
        """Over all our processes."""
        return sum(self.cpu_us.values())


def summary_of(runs: Sequence[ClosedRun]) -> dict[str, Any]:
    """What several runs say together: counts added up, medians of everything else."""
    return {
        "payments": sum(run.wrk.acknowledged for run in runs),
        "seconds": round(sum(run.wrk.seconds for run in runs), 2),
        "payments_per_second": round(median([run.wrk.per_second for run in runs]), 1),
        "latency_ms": {
            name: median([run.wrk.latency_ms[name] for run in runs]) for name in ("p50", "p99")
        },
        "errors": sum(run.wrk.errors for run in runs),
        "cpu_us_per_payment": round(median([run.cpu_us_per_payment for run in runs]), 1),
    }


def expected(lab: Lab, seconds: float) -> int:
    """Requests to prepare for a run of so many seconds."""
    return int(lab.expected_per_second * SPARE * seconds) + wrk.CONNECTIONS


def echo_requests(
    lab: Lab,
    duration_s: int,
    per_second_max: int | None = None,
    authority: str = "127.0.0.1:80",
) -> Path:
    """A request file for servers that have no merchants. `authority`: as it is signed."""
    path = lab.fresh("echo-requests")
    count = (per_second_max or ECHO_PER_SECOND_MAX) * duration_s
    plan = presign.Plan([STAND_IN_KEY], authority, presign.fresh_tag(), count)
    presign.write_requests(plan, path)
    return path


def echo_run(lab: Lab, requests: Path) -> WrkResult:
    """Requests a second of two raw aiohttp processes on one port."""
    port = free_port()
    argv = [sys.executable, "-m", "load_tests.echo", str(port)]
    log = lab.out / "echo.log"
    with ExitStack() as servers:
        urls = [servers.enter_context(Server(argv, log)).url for _ in range(ECHO_PROCESSES)]
        wrk.run(urls[0], requests, WARM_UP_S)
        return wrk.run(urls[0], requests, lab.duration_s)


def _replay(
    lab: Lab, server: Gateway, duration_s: int, connections: int
) -> tuple[WrkResult, cpu.Snapshot, cpu.Snapshot, presign.Plan]:
    """Sign, replay once, and look at the processes before and after."""
    requests = lab.fresh("requests")
    plan = presign.Plan(
        server.keys,
        server.url.removeprefix("http://"),
        presign.fresh_tag(),
        expected(lab, duration_s),
    )
    presign.write_requests(plan, requests)
    before = cpu.snapshot([server.pid])
    try:
        result = wrk.run(server.url, requests, duration_s, connections=connections)
    finally:
        requests.unlink()
    return result, before, cpu.snapshot([server.pid]), plan


def _sample_audit(server: Gateway, plan: presign.Plan, acknowledged: int) -> tuple[int, int]:
    """Look up order numbers of the first half, which were answered long ago: (lost, doubled)."""
    step = max(1, acknowledged // 2 // SAMPLE_MAX)
    orders = [
        (presign.order_no(plan.tag, number), plan.keys[number % len(plan.keys)])
        for number in range(UNSENT, acknowledged // 2, step)
    ]
    found = lookup.payments_of(server.url, orders)
    lost = sum(not ids for ids in found.values())
    return lost, sum(max(0, len(ids) - 1) for ids in found.values())


def closed_run(
    lab: Lab,
    options: Options,
    *,
    connections: int = wrk.CONNECTIONS,
    data: Path | None = None,
    stored_before: int = 0,
) -> ClosedRun:
    """Saturate a freshly started gateway, stop it, audit its books.

    `data` may hold `stored_before` payments already; it is kept then. Signs more and starts
    over if the requests were used up.
    """
    for _ in range(ATTEMPTS_MAX):
        directory = data or lab.fresh("data")
        try:
            done = _closed_run(lab, options, connections, directory, stored_before)
        except RequestsUsedUp:
            if data is not None:
                raise
            lab.expected_per_second *= 2
            lab.discard(directory)
            continue
        if data is None:
            lab.discard(directory)
            # Not where the next run cannot start over: it may be a quicker one.
            lab.expected_per_second = max(1_000.0, done.wrk.per_second)
        return done
    raise RequestsUsedUp(f"after {ATTEMPTS_MAX} attempts")


def _closed_run(
    lab: Lab, options: Options, connections: int, data: Path, stored_before: int
) -> ClosedRun:
    with Gateway(options, data, lab.out / "gateway.log") as server:
        warm, *_ = _replay(lab, server, WARM_UP_S, connections)
        result, before, after, plan = _replay(lab, server, lab.duration_s, connections)
        time.sleep(SETTLE_S)
        lost, doubled = _sample_audit(server, plan, result.acknowledged)
    counted = audit.of_counts(
        warm.acknowledged + result.acknowledged,
        2 * connections,
        gateway.verify_ledger(data),
        stored_before=stored_before,
    )
    used = cpu.used_us(before, after)
    return ClosedRun(
        wrk=result,
        cpu_us={role: us / max(1, result.acknowledged) for role, us in sorted(used.items())},
        audit=counted + Audit(0, 0, doubled, lost, 0),
    )
