"""An open-loop generator: requests leave when they are due, whatever the answers do.

Latency is counted twice: from the moment a request was due (corrected: a stall of the server or
of this generator shows) and from the moment it was sent (uncorrected, what most tools print). A
request that is due while `in_flight_max` are unanswered is skipped and counted, never queued.

`tillway bench --target-rate 2000 --arrivals poisson` and `--sweep 500:6000:500` use it.
"""

import asyncio
import gc
import random
import re
import time
from array import array
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import uvloop
from hdrh.histogram import HdrHistogram  # type: ignore[import-untyped]

from load_tests.http1 import Answer, Connection, connect, host_and_port
from load_tests.timer import Timer

IN_FLIGHT_MAX: Final = 512
DRAIN_TIMEOUT_S: Final = 15.0
START_DELAY_S: Final = 0.1
LATENCY_US_MAX: Final = 120_000_000
DIGITS: Final = 3
PERCENTILES: Final = (50.0, 90.0, 99.0, 99.9, 100.0)

Moments: TypeAlias = "array[float]"
"""When requests are due, in seconds from the start of the run."""

_PAYMENT_ID: Final = re.compile(rb'"id":\s*"(pay_[^"]+)"')


def arrivals(kind: str, rate: float, duration_s: float, seed: int) -> Moments:
    """When requests are due, in seconds from the start: `poisson` or `uniform`."""
    if rate <= 0:
        raise ValueError(f"a rate of {rate} requests a second")
    if kind == "uniform":
        return array("d", (number / rate for number in range(int(rate * duration_s))))
    if kind != "poisson":
        raise ValueError(f"arrivals are poisson or uniform, not {kind!r}")
    return array("d", _poisson(rate, duration_s, random.Random(seed)))


def _poisson(rate: float, duration_s: float, source: random.Random) -> Iterator[float]:
    at = source.expovariate(rate)
    while at < duration_s:
        yield at
        at += source.expovariate(rate)


def percentiles_ms(histogram: HdrHistogram) -> dict[str, float]:
    """Percentiles of a histogram of microseconds, in milliseconds."""
    return {
        f"p{percent:g}": histogram.get_value_at_percentile(percent) / 1e3 for percent in PERCENTILES
    }


def histogram_of(latencies_us: Sequence[int]) -> HdrHistogram:
    """A histogram of latencies in microseconds with three significant digits."""
    histogram = HdrHistogram(1, LATENCY_US_MAX, DIGITS)
    for latency_us in latencies_us:
        histogram.record_value(min(max(1, latency_us), LATENCY_US_MAX))
    return histogram


@dataclass(frozen=True, slots=True)
class OpenLoopResult:
    """One open-loop run. Latencies in milliseconds; counts of requests."""

    target_rate: float
    seconds: float
    due: int
    sent: int
    skipped: int
    acknowledged: int
    refused: int
    unanswered: int
    corrected_ms: dict[str, float]
    uncorrected_ms: dict[str, float]
    send_lag_p99_ms: float
    payments: list[tuple[int, str]] = field(repr=False)
    """(number of the request, payment id) of every acknowledged request."""
    corrected: HdrHistogram = field(repr=False)
    uncorrected: HdrHistogram = field(repr=False)

    @property
    def per_second(self) -> float:
        """Acknowledged requests a second."""
        return self.acknowledged / self.seconds


class _Run:
    """The state of one run; times in seconds of the loop's clock."""

    def __init__(self, requests: Sequence[bytes], due: Moments, pool: list[Connection]):
        assert len(requests) >= len(due), "fewer requests than arrivals"
        self.requests = requests
        self.due = due
        self.idle = pool
        self.sent_at = array("d", bytes(8 * len(due)))
        self.done_at = array("d", bytes(8 * len(due)))
        self.payments: list[tuple[int, str]] = []
        self.in_flight = 0
        self.skipped = 0
        self.refused = 0
        self.lost = 0
        self.start = 0.0
        self.next = 0
        self.all_fired = asyncio.Event()
        self.drained = asyncio.Event()

    def fire(self, number: int) -> None:
        """Send the request that is due, or skip it if nothing is free to carry it."""
        connection = self.idle.pop() if self.idle else None
        while connection is not None and not connection.is_open:
            connection = self.idle.pop() if self.idle else None
        if connection is None:
            self.skipped += 1
            return
        self.send(number, connection)

    def send(self, number: int, connection: Connection) -> None:
        """Send one request and note when."""
        self.in_flight += 1
        self.sent_at[number] = time.perf_counter()
        connection.send(
            self.requests[number], lambda answer: self.finish(number, connection, answer)
        )

    def finish(self, number: int, connection: Connection, answer: Answer) -> None:
        """Note an answer and free its connection."""
        self.done_at[number] = time.perf_counter()
        self.in_flight -= 1
        if connection.is_open:
            self.idle.append(connection)
        if answer.acknowledged:
            found = _PAYMENT_ID.search(answer.body)
            self.payments.append((number, found[1].decode() if found else ""))
        elif answer.status:
            self.refused += 1
        else:
            self.lost += 1
        if self.all_fired.is_set() and not self.in_flight:
            self.drained.set()

    async def send_all(self) -> None:
        """Send everything when it is due, then wait for the answers."""
        self.start = time.perf_counter() + START_DELAY_S
        loop = asyncio.get_running_loop()
        with Timer() as timer:
            timer.set(START_DELAY_S)
            loop.add_reader(timer.fileno(), self.fire_due, timer)
            await self.all_fired.wait()
            loop.remove_reader(timer.fileno())
        if self.in_flight:
            with suppress(TimeoutError):  # What is still unanswered then is counted as such.
                await asyncio.wait_for(self.drained.wait(), DRAIN_TIMEOUT_S)

    def fire_due(self, timer: Timer) -> None:
        """The timer went off: send what is due, set it to what is due next."""
        timer.clear()
        elapsed = time.perf_counter() - self.start
        while self.next < len(self.due) and self.due[self.next] <= elapsed:
            self.fire(self.next)
            self.next += 1
        if self.next < len(self.due):
            timer.set(self.due[self.next] - elapsed)
        else:
            self.all_fired.set()

    def result(self, target_rate: float, duration_s: float) -> OpenLoopResult:
        """Add up."""
        answered = [number for number, _ in self.payments]
        corrected = histogram_of(
            [int((self.done_at[n] - self.start - self.due[n]) * 1e6) for n in answered]
        )
        uncorrected = histogram_of(
            [int((self.done_at[n] - self.sent_at[n]) * 1e6) for n in answered]
        )
        lag = histogram_of(
            [int((self.sent_at[n] - self.start - self.due[n]) * 1e6) for n in answered]
        )
        return OpenLoopResult(
            target_rate=target_rate,
            seconds=duration_s,
            due=len(self.due),
            sent=len(self.due) - self.skipped,
            skipped=self.skipped,
            acknowledged=len(answered),
            refused=self.refused,
            unanswered=self.lost + self.in_flight,
            corrected_ms=percentiles_ms(corrected),
            uncorrected_ms=percentiles_ms(uncorrected),
            send_lag_p99_ms=lag.get_value_at_percentile(99.0) / 1e3,
            payments=self.payments,
            corrected=corrected,
            uncorrected=uncorrected,
        )


async def _run(url: str, requests: Sequence[bytes], due: Moments, in_flight_max: int) -> _Run:
    host, port = host_and_port(url)
    pool = [await connect(host, port) for _ in range(in_flight_max)]
    run = _Run(requests, due, list(pool))
    # A collection in the middle of a run would be seen as latency of the server.
    gc.collect()
    gc.disable()
    try:
        await run.send_all()
    finally:
        gc.enable()
        for connection in pool:
            connection.close()
    return run


def run(
    url: str,
    requests: Sequence[bytes],
    due: Moments,
    duration_s: float,
    *,
    target_rate: float,
    in_flight_max: int = IN_FLIGHT_MAX,
) -> OpenLoopResult:
    """Send `requests[i]` at `due[i]` seconds over at most `in_flight_max` connections."""
    done = uvloop.run(_run(url, requests, due, in_flight_max))
    return done.result(target_rate, duration_s)
