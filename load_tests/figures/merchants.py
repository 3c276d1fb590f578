"""Figure 5: a hundred thousand registered merchants: waking any of them, keeping one idle."""

import asyncio
import random
import time
from dataclasses import replace
from pathlib import Path
from typing import Final

import uvloop

from load_tests import audit, cpu, gateway, presign
from load_tests.figures.base import Bar, Figure, Lab
from load_tests.gateway import Gateway, Options
from load_tests.http1 import Answer, connect, host_and_port
from load_tests.open_loop import histogram_of, percentiles_ms
from load_tests.seed import SeedPlan

REGISTERED: Final = 100_000
FEW: Final = 1_000
WOKEN: Final = 1_000
ACTIVATION_MS_MAX: Final = 10.0
IDLE_BYTES_MAX: Final = 4_096
SETTLE_S: Final = 5.0
SEED: Final = 5


class PaymentRefused(RuntimeError):
    """A merchant's payment was not acknowledged, so its activation was not measured."""


def _pay_one_by_one(server: Gateway) -> list[int]:
    """Microseconds of one payment at each keyed merchant, one after the other."""
    authority = server.url.removeprefix("http://")
    keys = list(server.keys)
    random.Random(SEED).shuffle(keys)
    plan = presign.Plan(keys, authority, presign.fresh_tag(), len(keys))
    lines = presign.request_lines(plan, presign.now_s())
    requests = [presign.raw_request(line, authority) for line in lines]
    return uvloop.run(_timed(server.url, requests))


async def _timed(url: str, requests: list[bytes]) -> list[int]:
    """Microseconds of each request, all on one connection. Raise PaymentRefused."""
    connection = await connect(*host_and_port(url))
    taken_us = []
    for request in requests:
        answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        began = time.perf_counter_ns()
        connection.send(request, answered.set_result)
        answer = await answered
        taken_us.append((time.perf_counter_ns() - began) // 1_000)
        if not answer.acknowledged:
            raise PaymentRefused(f"{answer.status} {answer.body[:300]!r}")
    connection.close()
    return taken_us


def _planted(lab: Lab, plan: SeedPlan) -> tuple[Options, Path]:
    """A data directory with registered merchants: started once with its seed, and stopped."""
    data = lab.fresh("data")
    options = replace(lab.options, seed=plan)
    with Gateway(options, data, lab.out / "gateway.log"):
        pass
    return options, data


def measure(lab: Lab) -> Figure:
    """Memory with few and with many, after a restart each; then wake a thousand of the many."""
    options, data = _planted(lab, SeedPlan(FEW, keyed=1, terminals=1))
    with Gateway(options, data, lab.out / "gateway.log", plant=False) as server:
        time.sleep(SETTLE_S)
        few = cpu.memory_bytes([server.pid])
    lab.discard(data)
    options, data = _planted(lab, SeedPlan(REGISTERED, keyed=WOKEN, terminals=1))
    with Gateway(options, data, lab.out / "gateway.log", plant=False) as server:
        time.sleep(SETTLE_S)
        many = cpu.memory_bytes([server.pid])
        lab.progress.say(
            f"{FEW:,} merchants registered: {sum(few.values()) / 1e6:,.0f} MB in all, "
            f"{REGISTERED:,}: {sum(many.values()) / 1e6:,.0f} MB"
        )
        first = percentiles_ms(histogram_of(_pay_one_by_one(server)))
        again = percentiles_ms(histogram_of(_pay_one_by_one(server)))
        time.sleep(SETTLE_S)
        woken = cpu.memory_bytes([server.pid])
    audited = audit.of_counts(2 * WOKEN, 0, gateway.verify_ledger(data))
    lab.discard(data)
    by_role = {
        role: round((many[role] - few.get(role, 0)) / (REGISTERED - FEW)) for role in sorted(many)
    }
    idle_bytes = sum(by_role.values())
    return Figure(
        name="merchants",
        title=f"{REGISTERED:,} registered merchants",
        bars=(
            Bar("first payment p99", first["p99"], ACTIVATION_MS_MAX, at_least=False, unit=" ms"),
            Bar("memory of an idle one", idle_bytes, IDLE_BYTES_MAX, at_least=False, unit=" B"),
        ),
        values={
            "first_payment_ms": first,
            "second_payment_ms": again,
            "activation_p50_ms": first["p50"] - again["p50"],
            "registered_bytes_by_role": by_role,
            "woken_bytes": (sum(woken.values()) - sum(many.values())) / WOKEN,
        },
        audit=audited,
    )
