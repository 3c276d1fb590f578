"""Time, asked for in one place only.

Two kinds: the *business* clock (milliseconds since the epoch, moved by the test clock) and the
*monotonic* clock (for time-outs, signature windows and leases, never moved). Everything else in
the project receives a `Clock` and never asks the machine.
"""

import time
from typing import Protocol


class Clock(Protocol):
    """Where an actor reads the time. All instants are milliseconds since 1970, UTC."""

    def now_ms(self) -> int:
        """Business time: real time plus the deployment's test-clock offset."""
        ...

    def real_ms(self) -> int:
        """Wall-clock time, untouched by the test clock: signature windows, webhook retries."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back: time-outs, leases, latencies."""
        ...


class SystemClock:
    """The machine's clock, with the offset that the deployment's test clock has reached."""

    __slots__ = ("offset_ms",)

    def __init__(self, offset_ms: int = 0) -> None:
        self.offset_ms = offset_ms

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000 + self.offset_ms

    def real_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic()


class ManualClock:
    """A clock that moves only when told: the twin for tests and simulation."""

    __slots__ = ("current_ms", "offset_ms")

    def __init__(self, current_ms: int = 1_795_000_000_000) -> None:
        self.current_ms = current_ms
        self.offset_ms = 0

    def now_ms(self) -> int:
        return self.current_ms + self.offset_ms

    def real_ms(self) -> int:
        return self.current_ms

    def monotonic(self) -> float:
        return self.current_ms / 1000

    def advance(self, seconds: float) -> None:
        """Let both kinds of time pass."""
        assert seconds >= 0, seconds
        self.current_ms += round(seconds * 1000)


def cpu_seconds() -> float:
    """Processor seconds this process has used: a reading for metrics, never for a decision."""
    return time.process_time()
