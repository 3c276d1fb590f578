"""Figure 7: the full wire: RSA on both sides, the sandboxes on the same processors.

A demo with its three sandboxes is saturated over each wire in turn. Where the time goes is read
from the processes: ours by role, `sandbox` for the channel's side. What RSA costs is measured here,
alone, on the same machine: one signature and one check for a payment that is decided at once. The
lane's own work is what it uses beyond that: connector, HTTP client, links, tasks, and the channel's
callbacks with their signatures. The connector alone, which has a bar, cannot be told from its lane
here: `tests/benchmarks/connectors.py` measures it.
"""

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256

from load_tests import cpu
from load_tests.audit import Audit
from load_tests.figures.base import Bar, Figure, Lab, median
from load_tests.gateway import verify_ledger
from load_tests.http1 import Answer, Connection, connect, host_and_port
from load_tests.sandboxes import BODY_LENGTH, WIRES, Demo, Wire, kept

CONNECTIONS: Final = 64
WARM_UP_S: Final = 2.0
AMOUNT: Final = 3_800
WAIT_S: Final = 5
RSA_ROUNDS: Final = 400
KEY_BITS: Final = 2048


@dataclass
class WireRun:
    """One channel saturated once. CPU microseconds per payment by role."""

    wire: Wire
    seconds: float
    acknowledged: list[str] = field(default_factory=list)
    warm: list[str] = field(default_factory=list)
    """Acknowledged before the measurement: for the audit alone."""

    succeeded: int = 0
    errors: int = 0
    latencies_ms: list[float] = field(default_factory=list)
    cpu_us: dict[str, float] = field(default_factory=dict)

    @property
    def told(self) -> list[str]:
        """Every payment that was acknowledged."""
        return [*self.warm, *self.acknowledged]

    @property
    def per_second(self) -> float:
        return len(self.acknowledged) / self.seconds


def rsa_us() -> float:
    """CPU microseconds of one signature and one check, as OpenSSL does them here."""
    key = generate_private_key(public_exponent=65_537, key_size=KEY_BITS)
    text, padding, digest = b"x" * 400, PKCS1v15(), SHA256()
    signature = key.sign(text, padding, digest)
    public = key.public_key()

    def cost(work: Callable[[], object]) -> float:
        began = time.process_time()
        for _ in range(RSA_ROUNDS):
            work()
        return (time.process_time() - began) / RSA_ROUNDS * 1e6

    return cost(lambda: key.sign(text, padding, digest)) + cost(
        lambda: public.verify(signature, text, padding, digest)
    )


async def _saturate(demo: Demo, run: WireRun, seconds: float) -> None:
    """CONNECTIONS clients, each with one payment under way at a time."""
    host, port = host_and_port(demo.url)
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds

    async def client() -> None:
        connection = await connect(host, port)
        while loop.time() < until:
            if not connection.is_open:
                connection = await connect(host, port)
            began = loop.time()
            answer = await _exchange(
                connection, demo.payment(run.wire, amount=AMOUNT, wait_s=WAIT_S)
            )
            run.latencies_ms.append((loop.time() - began) * 1e3)
            _note(run, answer)
        connection.close()

    async with asyncio.TaskGroup() as clients:
        for _ in range(CONNECTIONS):
            clients.create_task(client())


async def _exchange(connection: Connection, request: bytes) -> Answer:
    answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
    connection.send(request, answered.set_result)
    return await answered


def _note(run: WireRun, answer: Answer) -> None:
    if answer.acknowledged:
        payment = json.loads(answer.body)
        run.acknowledged.append(payment["id"])
        run.succeeded += payment["status"] == "succeeded"
    else:
        run.errors += 1


def _measured(demo: Demo, wire: Wire, seconds: float) -> WireRun:
    warm = WireRun(wire, WARM_UP_S)
    asyncio.run(_saturate(demo, warm, WARM_UP_S))
    run = WireRun(wire, seconds)
    before = cpu.snapshot([demo.pid])
    began = time.monotonic()
    asyncio.run(_saturate(demo, run, seconds))
    run.seconds = time.monotonic() - began
    used = cpu.used_us(before, cpu.snapshot([demo.pid]))
    count = max(1, len(run.acknowledged))
    run.cpu_us = {role: us / count for role, us in sorted(used.items())}
    run.warm = warm.acknowledged
    return run


def _audit(demo: Demo, runs: list[WireRun]) -> tuple[int, int]:
    """By the sandboxes' own books: (lost, doubled)."""
    lost = doubled = 0
    for wire in {run.wire for run in runs}:
        books = demo.books(wire)
        told = {
            each[-BODY_LENGTH:] for run in runs if run.wire is wire for each in run.acknowledged
        }
        lost += sum(kept(books.get(number)) != AMOUNT for number in told)
        doubled += sum(row["charges"] > 1 for row in books.values())
    return lost, doubled


def measure(lab: Lab) -> Figure:
    """Each wire in turn, so many times; the ledger and the sandboxes' books are the audit."""
    rsa = rsa_us()
    lab.progress.say(f"RSA: {rsa:.0f} µs for a signature and a check")
    data = lab.fresh("wires")
    runs: list[WireRun] = []
    options = lab.options
    with Demo(
        data, lab.out / "wires.log", runtime=options.runtime, front_doors=options.front_doors
    ) as demo:
        for number in range(1, lab.runs + 1):
            for wire in WIRES:
                run = _measured(demo, wire, lab.duration_s)
                runs.append(run)
                lab.progress.say(
                    f"run {number} of {lab.runs}, {wire.name}: {run.per_second:,.0f}/s, "
                    f"{sum(run.cpu_us.values()):,.0f} µs, {run.errors} errors"
                )
        lost, doubled = _audit(demo, runs)
        demo.stop()
    verified = verify_ledger(data)
    lab.discard(data)
    return figure_of(runs, rsa, verified, lost, doubled)


def figure_of(
    runs: list[WireRun], rsa: float, verified: dict[str, Any], lost: int, doubled: int
) -> Figure:
    """Add the runs up."""
    by_wire = {wire.name: [run for run in runs if run.wire is wire] for wire in WIRES}
    roles = sorted({role for run in runs for role in run.cpu_us})
    values: dict[str, Any] = {"rsa_us": round(rsa, 1)}
    for name, mine in by_wire.items():
        us = {role: median([run.cpu_us.get(role, 0.0) for run in mine]) for role in roles}
        values[name] = {
            "payments_per_second": round(median([run.per_second for run in mine]), 1),
            "cpu_us_per_payment": round(sum(us.values()), 1),
            "cpu_us_by_role": {role: round(each, 1) for role, each in us.items()},
            "lane_us_without_rsa": round(us.get("channel", 0.0) - rsa, 1),
            "lane_without_rsa_to_rsa": round((us.get("channel", 0.0) - rsa) / rsa, 2),
            "latency_ms": _latencies(mine),
            "errors": sum(run.errors for run in mine),
        }
    acknowledged = sum(len(run.acknowledged) for run in runs)
    errors = sum(run.errors for run in runs)
    undecided = sum(len(run.latencies_ms) - run.errors - run.succeeded for run in runs)
    summary = {
        "payments": acknowledged,
        "seconds": round(sum(run.seconds for run in runs), 2),
        "payments_per_second": round(median([run.per_second for run in runs]), 1),
        "latency_ms": _latencies(runs),
        "errors": errors,
        "cpu_us_per_payment": round(median([sum(run.cpu_us.values()) for run in runs]), 1),
    }
    return Figure(
        name="wires",
        title="Payments over the real wires: RSA on both sides, sandboxes on the same processors",
        bars=(
            Bar("errors", errors, 0, at_least=False),
            Bar("not succeeded", undecided, 0, at_least=False),
        ),
        values=values,
        audit=Audit(
            acknowledged=sum(len(run.told) for run in runs),
            in_ledger=sum(verified["payments"].values()),
            doubled=int(verified["doubled"]) + doubled,
            lost=lost,
            trial_balance=int(verified["trial_balance"]),
            chain_ok=bool(verified.get("chain_ok", True)),
        ),
        summary=summary,
    )


def _latencies(runs: list[WireRun]) -> dict[str, float]:
    ordered = sorted(each for run in runs for each in run.latencies_ms) or [0.0]
    return {
        "p50": round(ordered[len(ordered) // 2], 2),
        "p99": round(ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)], 2),
    }
