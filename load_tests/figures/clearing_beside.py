"""Figure: a day cleared by a running gateway while payments go on at half of its peak.

First the p99 without clearing, by a gateway over the same rows that takes payments only. Its clock
is moved on to the next morning, so that payouts are due whenever this is measured. Then one that
clears and pays out as well: it begins with the rehearsed day as soon as it is up, and its time is
counted from before its start.

    every batch is filed ──> the channel pays the day into the bank's sandbox, as the batches say
    ──> the gateway reads the credit, covers each shop, drafts, checks and signs its instruction
    ──> the bank's own books have an order for every shop

Payments are offered in windows, one after the other, until the last order is there.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Final

from hdrh.histogram import HdrHistogram  # type: ignore[import-untyped]

from load_tests import audit, gateway, lookup, open_loop, presign
from load_tests.audit import Audit
from load_tests.bank import Bank
from load_tests.figures.base import Bar, Figure, Lab, free_port
from load_tests.figures.clearing import MERCHANT_PAYMENTS, PAYMENTS
from load_tests.figures.latency import CHANNEL_LATENCY_MS, SEED
from load_tests.figures.reconciliation import taken
from load_tests.gateway import Gateway
from load_tests.open_loop import OpenLoopResult
from load_tests.orders import Watch, of_orders
from load_tests.saturation import closed_run
from load_tests.seed import write_seed
from load_tests.signing import MerchantKey

SECONDS_MAX: Final = 240.0
"""For a million payments; fewer have as much less."""

START_S: Final = 30.0
"""What the smallest day may take: the start of a gateway is in it."""

TIMES_MAX: Final = 2.0
WINDOWS_MAX: Final = 24
"""Windows for which payments are signed beforehand; signatures hold for 300 s."""

WITHOUT: Final = 3
"""Windows without clearing."""

CHINA: Final = timezone(timedelta(hours=8))
SAMPLE: Final = 2_000
"""Acknowledged payments that are looked up one by one after a run."""


class Offer:
    """Signed payments for a number of windows, which go to a gateway that is still to start."""

    def __init__(self, keys: list[MerchantKey], rate: float, window_s: int, windows: int) -> None:
        self.port = free_port()
        self.rate, self.window_s = rate, window_s
        self.url = f"http://127.0.0.1:{self.port}"
        self.results: list[OpenLoopResult] = []
        self._keys = keys
        self._due = [
            open_loop.arrivals("poisson", rate, window_s, SEED + number)
            for number in range(windows)
        ]
        authority = self.url.removeprefix("http://")
        self._plans = []
        self._requests = []
        for due in self._due:
            plan = presign.Plan(keys, authority, presign.fresh_tag(), len(due))
            lines = presign.request_lines(plan, presign.now_s())
            self._plans.append(plan)
            self._requests.append([presign.raw_request(line, authority) for line in lines])

    def run(self, goes_on: Callable[[], bool]) -> None:
        """Window after window, while it goes on and there are any."""
        for due, requests in zip(self._due, self._requests, strict=True):
            if not goes_on():
                return
            result = open_loop.run(self.url, requests, due, self.window_s, target_rate=self.rate)
            self.results.append(result)

    @property
    def p99_ms(self) -> float:
        """From when payments were due, over all windows."""
        whole = HdrHistogram(1, open_loop.LATENCY_US_MAX, open_loop.DIGITS)
        for result in self.results:
            whole.add(result.corrected)
        return float(whole.get_value_at_percentile(99.0)) / 1e3

    @property
    def errors(self) -> int:
        return sum(each.skipped + each.refused + each.unanswered for each in self.results)

    @property
    def errors_by_window(self) -> list[dict[str, int]]:
        """What kind they were of: not sent because too many were in flight, refused, unanswered."""
        return [
            {
                "skipped": each.skipped,
                "refused": each.refused,
                "unanswered": each.unanswered,
            }
            for each in self.results
        ]

    @property
    def acknowledged(self) -> int:
        return sum(each.acknowledged for each in self.results)

    def audited(self) -> tuple[int, int]:
        """(lost, doubled) of a sample, asked of the gateway that is still running."""
        paid = []
        for plan, result in zip(self._plans, self.results, strict=False):
            paid += [
                (presign.order_no(plan.tag, number), payment, number)
                for number, payment in result.payments
            ]
        some = paid[:: max(1, len(paid) // SAMPLE)]
        asked = [(order, self._keys[number % len(self._keys)]) for order, _, number in some]
        found = lookup.payments_of(self.url, asked)
        return audit.of_identities([(order, payment) for order, payment, _ in some], found)


def _made(lab: Lab, size: int) -> tuple[Path, list[MerchantKey], list[dict[str, Any]]]:
    """A rehearsed day with the shops and the bench's merchants: folder, keys, the shops."""
    day = lab.fresh("day")
    merchants = max(1, size // MERCHANT_PAYMENTS)
    words = ["--payments", str(size), "--merchants", str(merchants), "--json"]
    taken(["clearing", "rehearse", str(day), *words], lab.work / "made.json")
    shops = json.loads((day / "seed.json").read_text(encoding="utf-8"))["merchants"]
    keys = write_seed(lab.options.seed, gateway.seed_file_of(day), shops)
    lab.progress.say(f"{size:,} payments of {merchants:,} merchants made")
    return day, keys, shops


def measure(lab: Lab) -> Figure:
    """One run: it takes minutes, and the windows are its repetitions."""
    size = lab.payments or PAYMENTS
    if lab.peak_per_second is None:
        lab.peak_per_second = closed_run(lab, lab.options).wrk.per_second
    rate = lab.peak_per_second / 2
    day, keys, shops = _made(lab, size)
    options = replace(lab.options, channel_latency_ms=CHANNEL_LATENCY_MS)
    morning = _next_morning()

    alone = Offer(keys, rate, lab.duration_s, WITHOUT)
    serving = replace(options, port=alone.port, modules=("acquiring",))
    with Gateway(serving, day, lab.out / "alone.log"):
        alone.run(lambda: True)
        samples = alone.audited()
        gateway.move_clock(day, morning.isoformat())
    lab.progress.say(f"{rate:,.0f}/s without clearing: p99 {alone.p99_ms:.1f} ms")

    beside = Offer(keys, rate, lab.duration_s, WINDOWS_MAX)
    with Bank(lab.fresh("bank"), lab.out / "bank.log") as bank:
        clearing = replace(
            options,
            port=beside.port,
            modules=("acquiring", "custody"),
            config=bank.settings(int(f"{morning:%Y%m%d}")),
        )
        began = time.monotonic()
        with Gateway(clearing, day, lab.out / "beside.log") as server:
            watch = Watch(server, bank, shops)
            beside.run(lambda: watch.goes_on)
            is_done = watch.wait(began + max(START_S, SECONDS_MAX))
            samples = _both(samples, beside.audited())
        samples = _both(samples, of_orders(shops, watch.batches, bank.orders()))
    took, filed = (
        float("inf") if each is None else each - began for each in (watch.ended, watch.filed)
    )
    lab.progress.say(
        f"filed in {filed:.1f} s, ordered in {took:.1f} s beside {len(beside.results)} windows: "
        f"p99 {beside.p99_ms:.1f} ms"
    )
    counted = audited(size, (alone, beside), samples, gateway.verify_ledger(day), is_done=is_done)
    lab.discard(day)
    values = _values(rate, alone, beside)
    messages = len({order.message for order in watch.orders})
    values |= {"filed_s": round(filed, 2), "orders": len(watch.orders), "messages": messages}
    limit = max(START_S, SECONDS_MAX * size / PAYMENTS)
    return Figure(
        name="clearing-beside",
        title=f"{size:,} payments cleared, paid out and ordered while {rate:,.0f} payments/s go on",
        bars=(
            Bar("took", took, limit, at_least=False, unit=" s"),
            Bar("p99 against p99", beside.p99_ms / alone.p99_ms, TIMES_MAX, at_least=False),
            Bar("errors", alone.errors + beside.errors, 0, at_least=False),
        ),
        values=values,
        audit=counted,
    )


def _next_morning() -> datetime:
    """Ten o'clock of tomorrow in China."""
    tomorrow = datetime.now(CHINA) + timedelta(days=1)
    return tomorrow.replace(hour=10, minute=0, second=0, microsecond=0)


def _both(one: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
    """The sum of two findings (lost, doubled)."""
    return one[0] + other[0], one[1] + other[1]


def audited(
    size: int,
    offers: Sequence[Offer],
    samples: tuple[int, int],
    verified: Mapping[str, Any],
    *,
    is_done: bool,
) -> Audit:
    """All offers against the ledger. `samples`: (lost, doubled) of the payments that were looked
    up one by one, and of the orders at the bank.
    """
    acknowledged = sum(each.acknowledged for each in offers)
    open_ones = sum(each.errors for each in offers)
    counted = audit.of_counts(acknowledged, open_ones, verified, stored_before=size)
    is_sound = is_done and verified["ok"] is True and not verified["transits_due"]
    return counted + Audit(0, 0, samples[1], samples[0], 0, is_sound)


def _values(rate: float, alone: Offer, beside: Offer) -> dict[str, Any]:
    return {
        "rate": round(rate, 1),
        "p99_ms": {"without": alone.p99_ms, "beside": beside.p99_ms},
        "windows_p99_ms": {
            "without": [each.corrected_ms["p99"] for each in alone.results],
            "beside": [each.corrected_ms["p99"] for each in beside.results],
        },
        "windows_p50_ms": {
            "without": [each.corrected_ms["p50"] for each in alone.results],
            "beside": [each.corrected_ms["p50"] for each in beside.results],
        },
        "acknowledged": {"without": alone.acknowledged, "beside": beside.acknowledged},
        "errors": {"without": alone.errors_by_window, "beside": beside.errors_by_window},
    }
