"""Every ending of test mode over each real wire: alone, and two hundred at once of each.

    python -m load_tests.endings --at-once 5            a quick look
    python -m load_tests.endings --at-once 200 --json   what is published

One channel at a time, in real time. Passes when every payment ended as the contract's table says
(WeChat Pay and Alipay by a verdict within 60 s), the sandbox's own books agree to the fen, and the
ledger verifies.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from load_tests.console import Progress
from load_tests.gateway import verify_ledger
from load_tests.http1 import ask_all
from load_tests.sandboxes import BODY_LENGTH, WIRES, Demo, Wire, kept

AMOUNT: Final = 3_800
ENDINGS: Final = {
    "9001": ("succeeded", None),
    "9002": ("reversed", None),
    "9003": ("failed", "insufficient_funds"),
    "9004": ("failed", "auth_code_expired"),
    "9005": ("succeeded", None),
    "9006": ("succeeded", None),
    "9007": ("reversed", None),
    "9008": ("reversed", None),
    "9009": ("succeeded", None),
    "9010": ("succeeded", None),
    "9011": ("reversed", None),
    "9012": ("succeeded", None),
}
FINAL: Final = ("succeeded", "failed", "reversed", "closed")
VERDICTS: Final = tuple(f"payment.{status}" for status in FINAL)
VERDICT_S: Final = 60.0
PATIENCE_S: Final = 180.0
"""After the last payment: the minute, a late success, its refund, and twice as much again."""

BETWEEN_MAX_S: Final = 12.0
"""A payment call ends within this, answered or not; its verdict may come later."""

POLL_S: Final = 3.0
COMPLAINTS_MAX: Final = 20


@dataclass
class Outcome:
    """What came of one channel. `slowest_s`: to the verdict, by ending."""

    channel: str
    payments: int = 0
    as_the_table_says: int = 0
    books_differ: int = 0
    late: int = 0
    slowest_s: dict[str, float] = field(default_factory=dict)
    complaints: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """All of them, to the fen."""
        wrong = self.books_differ + self.late + len(self.complaints)
        return wrong == 0 and self.payments == self.as_the_table_says > 0

    def complain(self, text: str) -> None:
        if len(self.complaints) < COMPLAINTS_MAX:
            self.complaints.append(text)


async def _pay(demo: Demo, wire: Wire, at_once: int, outcome: Outcome) -> dict[str, str]:
    """One of each alone, then so many of each in one moment. Payment id -> ending."""
    asked: dict[str, str] = {}
    for size in (1, at_once):
        for ending in ENDINGS:
            requests = [
                demo.payment(wire, ending, amount=AMOUNT, wait_s=5 if size == 1 else 0)
                for _ in range(size)
            ]
            answers = await ask_all(demo.url, requests, size)
            outcome.payments += size
            wave = {}
            for answer in answers:
                if answer.status in (201, 202):
                    wave[json.loads(answer.body)["id"]] = ending
                else:
                    outcome.complain(f"{ending}: {answer.status} {answer.body[:200]!r}")
            asked |= wave
            await _breathe(demo, wave)
    return asked


async def _breathe(demo: Demo, wave: dict[str, str]) -> None:
    """Until the wave is final, or at least past its calls: the next one is two hundred at once,
    and not two hundred more."""
    deadline = time.monotonic() + BETWEEN_MAX_S
    waiting = list(wave)
    while waiting and time.monotonic() < deadline:
        await asyncio.sleep(POLL_S / 3)
        answers = await demo.ask([f"/v1/payments/{identifier}" for identifier in waiting])
        waiting = [
            identifier
            for identifier, answer in zip(waiting, answers, strict=True)
            if answer.status != 200 or json.loads(answer.body)["status"] not in FINAL
        ]


async def _settled(demo: Demo, asked: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Every payment as it is in the end: final, and what turned up late given back."""
    deadline = time.monotonic() + PATIENCE_S
    waiting, found = list(asked), {}
    while waiting and time.monotonic() < deadline:
        answers = await demo.ask([f"/v1/payments/{identifier}" for identifier in waiting])
        for identifier, answer in zip(waiting, answers, strict=True):
            if answer.status == 200:
                found[identifier] = json.loads(answer.body)
        waiting = [each for each in waiting if not _is_over(found.get(each), asked[each])]
        await asyncio.sleep(POLL_S if waiting else 0)
    return found


def _is_over(payment: dict[str, Any] | None, ending: str) -> bool:
    if payment is None or payment["status"] not in FINAL:
        return False
    return ending != "9008" or payment["amount_refunded"] == AMOUNT


async def _verdicts(demo: Demo, asked: dict[str, str]) -> dict[str, float]:
    """Seconds from the creation of each payment to its verdict."""
    answers = await demo.ask([f"/v1/payments/{identifier}/timeline" for identifier in asked])
    took = {}
    for identifier, answer in zip(asked, answers, strict=True):
        rows = json.loads(answer.body)["data"] if answer.status == 200 else []
        ends = [_instant(row["at"]) for row in rows if row.get("type") in VERDICTS]
        begins = [_instant(row["at"]) for row in rows if row.get("at")]
        took[identifier] = min(ends) - min(begins) if ends else float("inf")
    return took


def _instant(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _judge(
    outcome: Outcome,
    wire: Wire,
    asked: dict[str, str],
    payments: dict[str, dict[str, Any]],
    took: dict[str, float],
    books: dict[str, dict[str, Any]],
) -> None:
    for identifier, ending in asked.items():
        payment = payments.get(identifier)
        if payment is None:
            outcome.complain(f"{ending}: {identifier} is not there")
            continue
        told = (payment["status"], (payment["failure"] or {"code": None})["code"])
        if told == ENDINGS[ending] and payment["late_success"] == (ending == "9008"):
            outcome.as_the_table_says += 1
        else:
            outcome.complain(f"{ending}: {told}, late success {payment['late_success']}")
        row = books.pop(identifier[-BODY_LENGTH:], None)
        if kept(row) != (AMOUNT if payment["status"] == "succeeded" else 0):
            outcome.books_differ += 1
            outcome.complain(f"{ending}: the channel keeps {kept(row)} of {payment['status']}")
        slowest = outcome.slowest_s
        slowest[ending] = round(max(slowest.get(ending, 0.0), took[identifier]), 2)
        if wire.has_reverse and (took[identifier] > VERDICT_S or payment["overdue"]):
            outcome.late += 1
            outcome.complain(f"{ending}: a verdict after {took[identifier]:.1f} s")
    for number, row in books.items():
        if kept(row):
            outcome.books_differ += 1
            outcome.complain(f"the channel took money for {number}, nobody knows why")


async def _live(demo: Demo, wire: Wire, at_once: int) -> Outcome:
    outcome = Outcome(wire.name)
    asked = await _pay(demo, wire, at_once, outcome)
    payments = await _settled(demo, asked)
    took = await _verdicts(demo, asked)
    books = await asyncio.to_thread(demo.books, wire)
    _judge(outcome, wire, asked, payments, took, books)
    return outcome


def run(
    work: Path, *, at_once: int, wires: Sequence[Wire] = WIRES, runtime: str = "ray"
) -> tuple[list[Outcome], dict[str, Any]]:
    """Start a demo in `work`, live through the endings of each wire, verify the ledger."""
    say, data, outcomes = Progress(), work / "data", []
    with Demo(data, work / "demo.log", runtime=runtime, front_doors=1) as demo:
        for wire in wires:
            outcome = asyncio.run(_live(demo, wire, at_once))
            say.verdict(
                f"{wire.name}: {outcome.as_the_table_says}/{outcome.payments}, slowest "
                f"{max(outcome.slowest_s.values(), default=0)} s",
                met=outcome.passed,
            )
            outcomes.append(outcome)
        demo.stop()
    return outcomes, verify_ledger(data)


def main() -> int:
    """The command line; exit code 0 passed, 1 failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--at-once", type=int, default=5)
    parser.add_argument("--channels", default=",".join(wire.name for wire in WIRES))
    parser.add_argument("--runtime", choices=["ray", "local"], default="ray")
    parser.add_argument("--work", type=Path)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    wires = [wire for wire in WIRES if wire.name in asked.channels.split(",")]
    with tempfile.TemporaryDirectory(prefix="tillway-endings-") as folder:
        work = asked.work or Path(folder)
        work.mkdir(parents=True, exist_ok=True)
        outcomes, ledger = run(work, at_once=asked.at_once, wires=wires, runtime=asked.runtime)
    passed = all(outcome.passed for outcome in outcomes) and bool(ledger.get("ok"))
    counted = Counter[str]()
    for outcome in outcomes:
        counted.update({"payments": outcome.payments, "right": outcome.as_the_table_says})
    line = {
        "passed": passed,
        "at_once": asked.at_once,
        **counted,
        "channels": [{"passed": each.passed, **asdict(each)} for each in outcomes],
        "ledger": ledger,
    }
    sys.stdout.write(json.dumps(line, indent=None if asked.json else 2) + "\n")
    return 0 if passed else 1


if __name__ == "__main__":
    raise SystemExit(main())
