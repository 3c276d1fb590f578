"""An open-loop generator: requests leave when they are due, whatever the answers do.

Latency is counted twice: from the moment a request was due (corrected: a stall of the server or
of this generator shows) and from the moment it was sent (uncorrected, what most tools print). A
request that is due while `in_flight_max` are unanswered is skipped and counted, never queued.

It shares its processors with what it measures, so it does little while it runs: plain sockets, no
event loop, and an answer is only looked at as far as to see that it is whole. What answers say is
read afterwards.

`tillway bench --target-rate 2000 --arrivals poisson` and `--sweep 500:6000:500` use it.
"""

import gc
import random
import re
import resource
import select
import socket
import time
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from hdrh.histogram import HdrHistogram  # type: ignore[import-untyped]

from load_tests.http1 import host_and_port, parse, size_of
from load_tests.timer import Timer

IN_FLIGHT_MAX: Final = 2_048
"""Half a second of 4 000 a second: what stalls for less is measured, not skipped."""

SPARE_FILES: Final = 64
"""Files that a process has open beside its connections."""

DRAIN_TIMEOUT_S: Final = 15.0
START_DELAY_S: Final = 0.1
CONNECT_TIMEOUT_S: Final = 10.0
RECEIVE_BYTES: Final = 65_536
LATENCY_US_MAX: Final = 120_000_000
DIGITS: Final = 3
PERCENTILES: Final = (50.0, 90.0, 99.0, 99.9, 100.0)

Moments: TypeAlias = "array[float]"
"""When requests are due, in seconds from the start of the run."""

_CLOSE: Final = b"\r\nConnection: close\r\n"
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


class TooFewFiles(ConnectionError):
    """This process may not open a connection for every request under way."""


class _Carrier:
    """One connection, with at most one request under way. `number`: which; negative: none."""

    __slots__ = ("number", "received", "socket")

    def __init__(self, host: str, port: int) -> None:
        self.socket = socket.create_connection((host, port), CONNECT_TIMEOUT_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.number = -1
        self.received = b""

    def send(self, request: bytes) -> None:
        """Hand the whole request to the kernel. OSError: it was lost."""
        sent = self.socket.send(request)
        if sent < len(request):  # A server that reads nothing: waited for, and seen as our lag.
            self.socket.settimeout(CONNECT_TIMEOUT_S)
            self.socket.sendall(request[sent:])
            self.socket.setblocking(False)


class _Run:
    """The state of one run; times in seconds of `time.perf_counter`."""

    def __init__(self, requests: Sequence[bytes], due: Moments, carriers: list[_Carrier]):
        assert len(requests) >= len(due), "fewer requests than arrivals"
        self.requests = requests
        self.due = due
        self.idle = list(carriers)
        self.carriers = {carrier.socket.fileno(): carrier for carrier in carriers}
        self.sent_at = array("d", bytes(8 * len(due)))
        self.done_at = array("d", bytes(8 * len(due)))
        self.answers: list[tuple[int, bytes]] = []
        self.in_flight = 0
        self.skipped = 0
        self.lost = 0
        self.start = 0.0
        self.next = 0
        self.poll = select.epoll()

    def send_all(self) -> None:
        """Send everything when it is due, then wait for the answers."""
        for file in self.carriers:
            self.poll.register(file, select.EPOLLIN)
        with self.poll, Timer() as timer:
            clock_file = timer.fileno()
            # Told once each time it goes off, so that nobody has to read it.
            self.poll.register(clock_file, select.EPOLLIN | select.EPOLLET)
            self.start = time.perf_counter() + START_DELAY_S
            timer.set(START_DELAY_S)
            while self.next < len(self.due):
                for file, _ in self.poll.poll():
                    if file == clock_file:
                        self.fire_due(timer)
                    else:
                        self.hear(self.carriers[file])
            deadline = time.perf_counter() + DRAIN_TIMEOUT_S
            while self.in_flight and (left_s := deadline - time.perf_counter()) > 0:
                for file, _ in self.poll.poll(left_s):
                    self.hear(self.carriers[file])

    def fire_due(self, timer: Timer) -> None:
        """The timer went off: send what is due, set it to what is due next."""
        due, count = self.due, len(self.due)
        elapsed = time.perf_counter() - self.start
        while self.next < count and due[self.next] <= elapsed:
            self.fire(self.next)
            self.next += 1
            elapsed = time.perf_counter() - self.start
        if self.next < count:
            timer.set(due[self.next] - elapsed)

    def fire(self, number: int) -> None:
        """Send the request that is due, or skip it if nothing is free to carry it."""
        if not self.idle:
            self.skipped += 1
            return
        carrier = self.idle.pop()
        carrier.number = number
        self.in_flight += 1
        self.sent_at[number] = time.perf_counter()
        try:
            carrier.send(self.requests[number])
        except OSError:
            self.lose(carrier)

    def hear(self, carrier: _Carrier) -> None:
        """Take what has arrived; an answer that is whole frees its connection."""
        if carrier.socket.fileno() < 0:
            return  # Lost a moment ago, by a request that could not be sent.
        try:
            data = carrier.socket.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data or carrier.number < 0:
            self.lose(carrier)  # The end, or words that nobody asked for before it.
            return
        received = carrier.received + data if carrier.received else data
        size = size_of(received)
        if size is None or len(received) < size:
            carrier.received = received
            return
        number = carrier.number
        self.done_at[number] = time.perf_counter()
        self.answers.append((number, received))
        self.in_flight -= 1
        carrier.number, carrier.received = -1, b""
        if _CLOSE in received:
            self.lose(carrier)
        else:
            self.idle.append(carrier)

    def lose(self, carrier: _Carrier) -> None:
        """A connection that ended; what it carried is not answered."""
        if carrier.number >= 0:
            self.lost += 1
            self.in_flight -= 1
        elif carrier in self.idle:
            self.idle.remove(carrier)
        self.poll.unregister(carrier.socket)
        carrier.socket.close()

    def result(self, target_rate: float, duration_s: float) -> OpenLoopResult:
        """Read the answers and add up."""
        payments: list[tuple[int, str]] = []
        refused = 0
        for number, received in self.answers:
            answer = parse(received)
            assert answer is not None, "only whole answers are kept"
            if answer.acknowledged:
                found = _PAYMENT_ID.search(answer.body)
                payments.append((number, found[1].decode() if found else ""))
            else:
                refused += 1
        start, due, sent_at, done_at = self.start, self.due, self.sent_at, self.done_at
        answered = [number for number, _ in payments]
        corrected = histogram_of([int((done_at[n] - start - due[n]) * 1e6) for n in answered])
        uncorrected = histogram_of([int((done_at[n] - sent_at[n]) * 1e6) for n in answered])
        lag = histogram_of([int((sent_at[n] - start - due[n]) * 1e6) for n in answered])
        return OpenLoopResult(
            target_rate=target_rate,
            seconds=duration_s,
            due=len(due),
            sent=len(due) - self.skipped,
            skipped=self.skipped,
            acknowledged=len(answered),
            refused=refused,
            unanswered=self.lost + self.in_flight,
            corrected_ms=percentiles_ms(corrected),
            uncorrected_ms=percentiles_ms(uncorrected),
            send_lag_p99_ms=lag.get_value_at_percentile(99.0) / 1e3,
            payments=payments,
            corrected=corrected,
            uncorrected=uncorrected,
        )


def allow_files(wanted: int) -> None:
    """Let this process have so many open files. TooFewFiles if the system forbids it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise TooFewFiles(
            f"{wanted} open files are needed and {hard} are allowed: "
            "lower --max-in-flight, or raise `ulimit -Hn`"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


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
    host, port = host_and_port(url)
    allow_files(in_flight_max + SPARE_FILES)
    carriers = [_Carrier(host, port) for _ in range(in_flight_max)]
    offered = _Run(requests, due, carriers)
    # A collection in the middle of a run would be seen as latency of the server.
    gc.collect()
    gc.disable()
    try:
        offered.send_all()
    finally:
        gc.enable()
        for carrier in carriers:
            carrier.socket.close()
    return offered.result(target_rate, duration_s)
