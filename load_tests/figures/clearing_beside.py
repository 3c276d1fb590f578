"""Figure: a day cleared by a running gateway while payments go on at half of its peak.

First the p99 without clearing, by a gateway over the same rows that takes payments only. Then one
that clears as well: it begins with the rehearsed day as soon as it is up, and its time is counted
from before its start. Payments are offered in windows, one after the other, until the last batch
is filed. What comes after that, credits and payouts, is in the figure `clearing`.
"""

import json
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from hdrh.histogram import HdrHistogram  # type: ignore[import-untyped]

from load_tests import audit, gateway, lookup, open_loop, presign
from load_tests.audit import Audit
from load_tests.figures.base import Bar, Figure, Lab, free_port
from load_tests.figures.clearing import MERCHANT_PAYMENTS, PAYMENTS
from load_tests.figures.latency import CHANNEL_LATENCY_MS, SEED
from load_tests.figures.reconciliation import taken
from load_tests.gateway import Gateway
from load_tests.open_loop import OpenLoopResult
from load_tests.process import ServerFailed
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

POLL_S: Final = 1.0
ASK_TIMEOUT_S: Final = 10.0
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


class Watch:
    """Asks a gateway now and then whether a merchant has a batch. `ended`: when it first had."""

    def __init__(self, url: str, api_key: str, merchant: str) -> None:
        address = f"{url}/v1/clearing_batches?merchant={merchant}&limit=1"
        self._request = urllib.request.Request(  # noqa: S310 - loopback
            address, headers={"Authorization": f"Bearer {api_key}"}
        )
        self.ended: float | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(POLL_S):
            try:
                with urllib.request.urlopen(  # noqa: S310 - loopback
                    self._request, timeout=ASK_TIMEOUT_S
                ) as answer:
                    is_there = bool(json.load(answer)["data"])
            except TimeoutError:
                continue  # A slow answer is no answer: it is asked again.
            if is_there:
                self.ended = time.monotonic()
                return

    @property
    def goes_on(self) -> bool:
        """Whether there is no batch yet. Raise ServerFailed when nobody asks any more."""
        if self.ended is None and not self._thread.is_alive():
            raise ServerFailed("the gateway does not say which batches it has")
        return self.ended is None

    def wait(self, until: float) -> bool:
        """Whether there was a batch by then. Ends the watch."""
        self._thread.join(max(0.0, until - time.monotonic()))
        self._stop.set()
        return self.ended is not None


def _made(lab: Lab, size: int) -> tuple[Path, list[MerchantKey], str]:
    """A rehearsed day with the shops and the bench's merchants: folder, keys, the last shop."""
    day = lab.fresh("day")
    merchants = max(1, size // MERCHANT_PAYMENTS)
    words = ["--payments", str(size), "--merchants", str(merchants), "--json"]
    taken(["clearing", "rehearse", str(day), *words], lab.work / "made.json")
    shops = json.loads((day / "seed.json").read_text(encoding="utf-8"))["merchants"]
    keys = write_seed(lab.options.seed, gateway.seed_file_of(day), shops)
    lab.progress.say(f"{size:,} payments of {merchants:,} merchants made")
    return day, keys, max(shop["id"] for shop in shops)


def measure(lab: Lab) -> Figure:
    """One run: it takes minutes, and the windows are its repetitions."""
    size = lab.payments or PAYMENTS
    if lab.peak_per_second is None:
        lab.peak_per_second = closed_run(lab, lab.options).wrk.per_second
    rate = lab.peak_per_second / 2
    day, keys, last = _made(lab, size)
    options = replace(lab.options, channel_latency_ms=CHANNEL_LATENCY_MS)

    alone = Offer(keys, rate, lab.duration_s, WITHOUT)
    serving = replace(options, port=alone.port, modules=("acquiring",))
    with Gateway(serving, day, lab.out / "alone.log"):
        alone.run(lambda: True)
        lost, doubled = alone.audited()
    lab.progress.say(f"{rate:,.0f}/s without clearing: p99 {alone.p99_ms:.1f} ms")

    beside = Offer(keys, rate, lab.duration_s, WINDOWS_MAX)
    clearing = replace(options, port=beside.port, modules=("acquiring", "custody"))
    began = time.monotonic()
    with Gateway(clearing, day, lab.out / "beside.log") as server:
        watch = Watch(server.url, server.api_key, last)
        beside.run(lambda: watch.goes_on)
        is_done = watch.wait(began + SECONDS_MAX)
        more = beside.audited()
    took = watch.ended - began if watch.ended is not None else float("inf")
    lab.progress.say(
        f"cleared in {took:.1f} s beside {len(beside.results)} windows: p99 {beside.p99_ms:.1f} ms"
    )
    samples = (lost + more[0], doubled + more[1])
    counted = audited(size, (alone, beside), samples, gateway.verify_ledger(day), is_done=is_done)
    lab.discard(day)
    return Figure(
        name="clearing-beside",
        title=f"{size:,} payments cleared while {rate:,.0f} payments/s go on",
        bars=(
            Bar(
                "took", took, max(START_S, SECONDS_MAX * size / PAYMENTS), at_least=False, unit=" s"
            ),
            Bar("p99 against p99", beside.p99_ms / alone.p99_ms, TIMES_MAX, at_least=False),
            Bar("errors", alone.errors + beside.errors, 0, at_least=False),
        ),
        values=_values(rate, alone, beside),
        audit=counted,
    )


def audited(
    size: int,
    offers: Sequence[Offer],
    samples: tuple[int, int],
    verified: Mapping[str, Any],
    *,
    is_done: bool,
) -> Audit:
    """All offers against the ledger. `samples`: (lost, doubled) of those that were looked up."""
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
    }
