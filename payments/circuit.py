"""A circuit breaker: a channel that keeps failing is left alone, then tried with few probes.

    closed ──> open            too many of the last outcomes failed
    open ──> half_open         after a pause, which doubles each time the probes fail
    half_open ──> closed       enough probes went well
    half_open ──> open         a probe failed

Time comes in as an argument: milliseconds that never go back.
"""

from typing import Final

from msgspec import Struct

CLOSED: Final = "closed"
OPEN: Final = "open"
HALF_OPEN: Final = "half_open"


class CircuitLimits(Struct, frozen=True, gc=False):
    """When to give up on a channel, and how to try again. Durations in milliseconds."""

    window_max: int = 50
    """Outcomes remembered."""
    samples_min: int = 10
    """Outcomes needed before the share of failures means anything."""
    failed_percent: int = 50
    """This share of failures in the window opens the circuit."""
    pause_ms: int = 5_000
    pause_max_ms: int = 60_000
    probes: int = 3
    """Calls let through at a time while half open, and successes needed to close."""
    probe_timeout_ms: int = 30_000
    """A probe that reported nothing for so long counts as failed."""

    def __post_init__(self) -> None:
        fits = 1 <= self.samples_min <= self.window_max and 1 <= self.failed_percent <= 100
        if not fits or self.probes < 1 or not 1 <= self.pause_ms <= self.pause_max_ms:
            raise ValueError(f"circuit limits that contradict each other: {self}")


class Circuit:
    """The state of one channel account's circuit.

    `admit` gives a ticket for each call, to be handed back with its outcome: what was admitted
    before the last change of state has nothing to say about the present one.
    """

    __slots__ = (
        "_failures",
        "_generation",
        "_limits",
        "_mask",
        "_opened_ms",
        "_outcomes",
        "_pause_ms",
        "_probe_ms",
        "_probes_done",
        "_probes_sent",
        "_samples",
        "_state",
    )

    def __init__(self, limits: CircuitLimits | None = None) -> None:
        self._limits = limits or CircuitLimits()
        self._mask = (1 << self._limits.window_max) - 1
        self._state = CLOSED
        self._generation = 1
        self._outcomes = 0
        self._failures = 0
        self._samples = 0
        self._opened_ms = 0
        self._pause_ms = self._limits.pause_ms
        self._probes_sent = 0
        self._probes_done = 0
        self._probe_ms = 0

    def state(self, now_ms: int) -> str:
        """closed, open or half_open, after what the passing of time has changed."""
        if self._state is OPEN and now_ms - self._opened_ms >= self._pause_ms:
            self._change(HALF_OPEN)
        elif self._state is HALF_OPEN and self._stalled(now_ms):
            self._open(now_ms)
        return self._state

    def admit(self, now_ms: int) -> int:
        """A ticket for one call, or 0: leave the channel alone."""
        if self._state is not CLOSED:
            if self.state(now_ms) is OPEN or self._probes_sent >= self._limits.probes:
                return 0
            self._probes_sent += 1
            self._probe_ms = now_ms
        return self._generation

    def room(self, now_ms: int) -> int | None:
        """Calls that would be let through now; None: no limit."""
        state = self.state(now_ms)
        if state is CLOSED:
            return None
        return 0 if state is OPEN else self._limits.probes - self._probes_sent

    def report(self, ticket: int, *, ok: bool, now_ms: int) -> None:
        """The outcome of a call that `admit` let through."""
        if ticket != self._generation:
            return
        if self._state is CLOSED:
            self._remember(ok, now_ms)
        elif self._state is HALF_OPEN:
            if not ok:
                self._open(now_ms)
                return
            self._probes_done += 1
            if self._probes_done >= self._limits.probes:
                self._pause_ms = self._limits.pause_ms
                self._change(CLOSED)

    def _remember(self, ok: bool, now_ms: int) -> None:
        limits = self._limits
        oldest = self._outcomes >> (limits.window_max - 1) & 1
        self._outcomes = (self._outcomes << 1 & self._mask) | (not ok)
        self._failures += (not ok) - oldest
        if self._samples < limits.window_max:
            self._samples += 1
        if (
            not ok
            and self._samples >= limits.samples_min
            and self._failures * 100 >= limits.failed_percent * self._samples
        ):
            self._pause_ms = limits.pause_ms
            self._opened_ms = now_ms
            self._change(OPEN)

    def _open(self, now_ms: int) -> None:
        """Open again after probes that failed: for twice as long as before."""
        self._pause_ms = min(2 * self._pause_ms, self._limits.pause_max_ms)
        self._opened_ms = now_ms
        self._change(OPEN)

    def _stalled(self, now_ms: int) -> bool:
        waiting = self._probes_sent > self._probes_done
        return waiting and now_ms - self._probe_ms >= self._limits.probe_timeout_ms

    def _change(self, state: str) -> None:
        self._state = state
        self._generation += 1
        self._outcomes = 0
        self._failures = 0
        self._samples = 0
        self._probes_sent = 0
        self._probes_done = 0
