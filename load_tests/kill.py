"""Kill -9 under load: every named victim in turn, then the audit.

    python -m load_tests.kill --kills 4            one of each, a few seconds apart
    python -m load_tests.kill --kills 200 --json   what is published

Passes when after each kill payments are acknowledged again within 10 s, and in the end nothing that
was acknowledged is lost, no order was paid twice, every payment is final by its `verdict_by`, the
simulated channel's own books agree to the fen, the books balance, and every event that was
committed has reached a receiver of webhooks, in order per payment.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
import tempfile
import time
import urllib.request
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import uvloop

from load_tests import cpu
from load_tests.books import channel_books
from load_tests.console import Progress
from load_tests.crowd import Crowd
from load_tests.gateway import Gateway, Options, verify_ledger
from load_tests.lookup import payments_of
from load_tests.presign import fresh_tag
from load_tests.receiver import Receiver, Taken
from load_tests.seed import SeedPlan

VICTIMS: Final = ("front-door", "shard", "lane", "courier", "directory")
SERVING_WITHIN_S: Final = 10.0
BETWEEN_S: Final = 3.0
"""Undisturbed load between a recovery and the next kill."""

FINAL_WITHIN_S: Final = 75.0
"""After the last kill every payment must be final: a minute for the verdict, and the way there."""

BROUGHT_WITHIN_S: Final = 30.0
"""Then every event must have reached its receiver; a refused one comes again after seconds."""

FINAL: Final = ("succeeded", "failed", "reversed", "closed")
POLL_S: Final = 0.05
BODY_LENGTH: Final = 24


@dataclass
class Outcome:
    """What a run of kills came to."""

    kills: dict[str, int] = field(default_factory=dict)
    recovered_s_max: dict[str, float] = field(default_factory=dict)
    acknowledged: int = 0
    repeated: int = 0
    lost: int = 0
    doubled: int = 0
    stuck: int = 0
    late_verdicts: int = 0
    books_differ: int = 0
    never_acknowledged: int = 0
    unexpected: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    ledger: dict[str, Any] = field(default_factory=dict)
    webhooks: Taken = field(default_factory=Taken)

    @property
    def passed(self) -> bool:
        """Nothing lost, doubled or stuck, serving again in time, books that balance."""
        wrong = self.lost + self.doubled + self.stuck + self.late_verdicts + self.books_differ
        slow = any(seconds > SERVING_WITHIN_S for seconds in self.recovered_s_max.values())
        return (
            wrong == 0
            and not slow
            and self.never_acknowledged == 0
            and not self.unexpected
            and not self.complaints
            and self.webhooks.passed
            and bool(self.ledger.get("ok"))
        )


def pids_of(root: int, victim: str) -> list[int]:
    """Processes below `root` that name themselves after a victim."""
    found = []
    for pid in cpu.snapshot([root]):
        try:
            title = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue  # It has ended since.
        if title.startswith(f"ray::{victim}"):
            found.append(pid)
    return sorted(found)


class Executioner:
    """Kills one victim after the other under the load of a crowd."""

    def __init__(self, gateway: Gateway, crowd: Crowd, outcome: Outcome, say: Progress) -> None:
        self._gateway = gateway
        self._crowd = crowd
        self._outcome = outcome
        self._say = say

    async def run(self, kills: int, victims: tuple[str, ...]) -> None:
        """Kill in turn; each next one waits until the last was got over."""
        await asyncio.sleep(BETWEEN_S)
        for number in range(kills):
            victim = victims[number % len(victims)]
            pids = pids_of(self._gateway.pid, victim)
            if not pids:
                self._outcome.complaints.append(f"no process is called {victim}")
                return
            pid = pids[number // len(victims) % len(pids)]
            os.kill(pid, signal.SIGKILL)
            seconds = await self._recovered(victim, pid)
            kinds = self._outcome.kills
            kinds[victim] = kinds.get(victim, 0) + 1
            worst = self._outcome.recovered_s_max
            worst[victim] = max(worst.get(victim, 0.0), round(seconds, 2))
            self._say.say(f"kill {number + 1}/{kills}: {victim} ({pid}), back in {seconds:.2f} s")
            await asyncio.sleep(BETWEEN_S)

    async def _recovered(self, victim: str, pid: int) -> float:
        """Seconds until the victim has a successor, all is ready, and a new payment is taken."""
        killed_at = time.monotonic()
        while time.monotonic() - killed_at < 2 * SERVING_WITHIN_S:
            await asyncio.sleep(POLL_S)
            successor = [other for other in pids_of(self._gateway.pid, victim) if other != pid]
            if not successor or not await asyncio.to_thread(self._ready):
                continue
            if any(a.sent_at > killed_at for a in self._crowd.acknowledged[-50:]):
                return time.monotonic() - killed_at
        self._outcome.complaints.append(f"{victim} was not got over")
        return time.monotonic() - killed_at

    def _ready(self) -> bool:
        try:
            urllib.request.urlopen(f"{self._gateway.ready['admin']}/readyz", timeout=1).close()  # noqa: S310 - loopback
        except OSError:
            return False
        return True


def _ms(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


async def _signed_payments(gateway: Gateway, crowd: Crowd) -> dict[str, dict[str, Any]]:
    """Every acknowledged payment as the gateway tells it now, by id."""
    from load_tests.http1 import ask_all
    from load_tests.signing import get_headers

    authority = gateway.url.removeprefix("http://")
    created = int(time.time())
    requests = []
    for noted in crowd.acknowledged:
        path = f"/v1/payments/{noted.payment}"
        lines = "".join(
            f"{name}: {value}\r\n"
            for name, value in get_headers(noted.key, authority, path, "", created).items()
        )
        requests.append(f"GET {path} HTTP/1.1\r\nHost: {authority}\r\n{lines}\r\n".encode())
    answers = await ask_all(gateway.url, requests, 16)
    return {
        noted.payment: json.loads(answer.body)
        for noted, answer in zip(crowd.acknowledged, answers, strict=True)
        if answer.status == 200
    }


async def _wait_final(gateway: Gateway, crowd: Crowd) -> dict[str, dict[str, Any]]:
    deadline = time.monotonic() + FINAL_WITHIN_S
    while True:
        payments = await _signed_payments(gateway, crowd)
        open_ones = [p for p in payments.values() if p["status"] not in FINAL]
        if not open_ones or time.monotonic() > deadline:
            return payments
        await asyncio.sleep(1.0)


def _judge(
    outcome: Outcome,
    crowd: Crowd,
    payments: dict[str, dict[str, Any]],
    found: dict[str, list[str]],
    books: list[dict[str, Any]],
) -> None:
    """Compare what was promised, what the gateway says and what the channel really took."""
    book_of = {book["out_trade_no"][:BODY_LENGTH]: book for book in books}
    for noted in crowd.acknowledged:
        payment = payments.get(noted.payment)
        if payment is None or payment["amount"] != noted.amount:
            outcome.lost += 1
            continue
        if noted.status in FINAL and payment["status"] != noted.status:
            outcome.lost += 1
        outcome.doubled += len(found.get(noted.order, ())) != 1
        outcome.stuck += payment["status"] not in FINAL
        if payment["overdue"]:
            outcome.late_verdicts += 1
        book = book_of.pop(noted.payment[-BODY_LENGTH:], None)
        taken = 0
        if book is not None:
            outcome.doubled += book["charges"] > 1
            taken = book["charges"] * book["amount_minor"] - book["refunded_minor"]
        expected = payment["amount"] if payment["status"] == "succeeded" else 0
        if taken != expected:
            outcome.books_differ += 1
            outcome.complaints.append(f"{noted.payment}: {taken} taken, {expected} expected")
    for number, book in book_of.items():
        if book["charges"] * book["amount_minor"] - book["refunded_minor"]:
            outcome.books_differ += 1
            outcome.complaints.append(f"the channel took money for {number}, nobody knows why")


async def _live(
    gateway: Gateway, crowd: Crowd, outcome: Outcome, kills: int, victims: tuple[str, ...]
) -> dict[str, dict[str, Any]]:
    receiver = Receiver()
    await receiver.start()
    operator = _operator_key(gateway.data) or gateway.api_key
    merchants = [key.merchant for key in gateway.keys]
    await asyncio.to_thread(receiver.register, gateway.url, operator, merchants)
    paying = asyncio.create_task(crowd.run())
    await Executioner(gateway, crowd, outcome, Progress()).run(kills, victims)
    crowd.stop()
    await paying
    payments = await _wait_final(gateway, crowd)
    deadline = time.monotonic() + BROUGHT_WITHIN_S
    while await asyncio.to_thread(receiver.missing, gateway.url, operator):
        if time.monotonic() > deadline:
            break
        await asyncio.sleep(1.0)
    outcome.webhooks = await asyncio.to_thread(receiver.audit, gateway.url, operator)
    await receiver.stop()
    return payments


def run(
    work: Path,
    *,
    kills: int,
    victims: tuple[str, ...] = VICTIMS,
    rate: float = 100.0,
    options: Options | None = None,
) -> Outcome:
    """Start a gateway in `work`, kill, audit. Raises only when the gateway cannot be started."""
    options = options or Options(channel_latency_ms=20, seed=SeedPlan(merchants=32, keyed=32))
    outcome = Outcome()
    data = work / "data"
    with Gateway(options, data, work / "gateway.log") as gateway:
        crowd = Crowd(gateway.url, gateway.keys, fresh_tag(), work / "acknowledged.jsonl", rate)
        payments = uvloop.run(_live(gateway, crowd, outcome, kills, victims))
        found = payments_of(gateway.url, ((a.order, a.key) for a in crowd.acknowledged))
        operator = _operator_key(data) or gateway.api_key
        books = channel_books(gateway.url, "simulated", operator)
        _judge(outcome, crowd, payments, found, books)
        code = gateway.stop()
        if code != 0:
            outcome.complaints.append(f"the gateway ended with exit code {code}")
    outcome.acknowledged = len(crowd.acknowledged)
    outcome.repeated = sum(noted.tries > 1 for noted in crowd.acknowledged)
    outcome.never_acknowledged = len(crowd.given_up)
    outcome.unexpected = crowd.unexpected[:20]
    outcome.ledger = verify_ledger(data)
    return outcome


def _operator_key(data: Path) -> str | None:
    """The bearer key that the gateway made for its operator at the first start."""
    path = data / "seed-keys.json"
    if not path.exists():
        return None
    rows = json.loads(path.read_text(encoding="utf-8"))
    return next((row["secret"] for row in rows if row["owner"] == "operator"), None)


def main() -> int:
    """The command line; exit code 0 passed, 1 failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=len(VICTIMS))
    parser.add_argument("--victims", default=",".join(VICTIMS))
    parser.add_argument("--rate", type=float, default=100.0)
    parser.add_argument("--shards", type=int, default=1)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    seed = SeedPlan(merchants=32, keyed=32)
    options = Options(channel_latency_ms=20, seed=seed, shards=asked.shards)
    victims = tuple(asked.victims.split(","))
    with tempfile.TemporaryDirectory(prefix="tillway-kill-") as folder:
        work = asked.work or Path(folder)
        work.mkdir(parents=True, exist_ok=True)
        outcome = run(work, kills=asked.kills, victims=victims, rate=asked.rate, options=options)
    line = {"passed": outcome.passed, **asdict(outcome)}
    sys.stdout.write(json.dumps(line, indent=None if asked.json else 2))
    sys.stdout.write("\n")
    return 0 if outcome.passed else 1


if __name__ == "__main__":
    raise SystemExit(main())
