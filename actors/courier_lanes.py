"""Deliveries on their way: one line an endpoint, so that nobody waits for another's receiver.

What is due stands in the store; a line holds the next few of it. An endpoint that fails gets fewer
places on the wire, down to one, and those that fail may together hold half of all places: a
thousand dead receivers leave the other half to those that answer.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from random import Random
from typing import Final, Protocol

from msgspec import Struct
from msgspec.structs import replace

from actors.courier_commits import Commits
from actors.stats import Histogram
from payments.clock import Clock
from payments.storage.courier import CourierStore, DueRow, Step, set_endpoint
from payments.webhooks import (
    DISABLED,
    ENABLED,
    PPM,
    Answered,
    Endpoint,
    Verdict,
    judge,
    message_headers,
)

log = logging.getLogger(__name__)

READY_MAX: Final = 32
"""Deliveries of one endpoint in memory that have not left."""

READY_LOW: Final = 8
TICK_S: Final = 0.05
RECOUNT_MS: Final = 10_000
AFTER_SEND: Final = "courier_after_send"

SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 30.0)


class DeliveryLimits(Struct, frozen=True):
    """`wire_max`: requests on the wire at one time; `window_max`: of them, of one endpoint.

    `open_max`: deliveries that may wait for one endpoint; with more it is disabled. `scale_ppm`:
    of the plan's waits, for tests.
    """

    wire_max: int = 256
    window_max: int = 8
    open_max: int = 1_000_000
    scale_ppm: int = PPM

    @property
    def suspects_max(self) -> int:
        """Places that endpoints which fail may hold together."""
        return max(1, self.wire_max // 2)


class Sender(Protocol):
    """The way out: one POST, judged addresses only. Never raises for what the other side does."""

    async def send(self, url: str, headers: dict[str, str], body: bytes) -> Answered: ...
    async def refusal(self, url: str) -> str | None:
        """Why the addresses behind a URL may not be connected to; None, also if none is known."""
        ...

    async def close(self) -> None: ...


class Lane:
    """One endpoint's line."""

    __slots__ = (
        "busy",
        "endpoint",
        "failures",
        "held_until",
        "in_flight",
        "in_turn",
        "open",
        "ready",
        "recounted_at",
        "timer_at",
        "window",
    )

    def __init__(self, endpoint: Endpoint, window: int) -> None:
        self.endpoint = endpoint
        self.window = window
        self.failures = 0
        self.in_flight = 0
        self.open = 0
        self.ready: deque[DueRow] = deque()
        self.busy: set[int] = set()
        """On the wire, or back from it and not durable yet."""
        self.in_turn = False
        self.held_until = 0
        self.timer_at = 0
        self.recounted_at = 0


class Lanes:
    """All lines. `put` an endpoint, `stir` it when something may be due; `run` beside it."""

    def __init__(
        self,
        store: CourierStore,
        commits: Commits,
        sender: Sender,
        clock: Clock,
        random: Random,
        limits: DeliveryLimits,
        changed: Callable[[Endpoint], None],
    ) -> None:
        """`changed`: hears of endpoints that are disabled here."""
        self._store = store
        self._commits = commits
        self._sender = sender
        self._clock = clock
        self._random = random
        self._limits = limits
        self._changed = changed
        self._lanes: dict[str, Lane] = {}
        self._turns: deque[Lane] = deque()
        self._benched: deque[Lane] = deque()
        self._timers: list[tuple[int, str]] = []
        self._tasks: asyncio.TaskGroup | None = None
        self._is_draining = False
        self._in_flight = 0
        self._suspects = 0
        self.counts: dict[str, int] = {}
        self._durations = Histogram("webhook_request_seconds", SECONDS)

    async def run(self) -> None:
        """Bring what is due until canceled; a fault of ours ends it all."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            for name in list(self._lanes):
                self.stir(name)
            while True:
                await asyncio.sleep(TICK_S)
                self._tick()

    # --- endpoints -----------------------------------------------------------------------------

    def put(self, endpoint: Endpoint, open_count: int = 0) -> None:
        """A new endpoint, or one as it is from now on."""
        lane = self._lanes.get(endpoint.id)
        if lane is None:
            lane = self._lanes[endpoint.id] = Lane(endpoint, self._limits.window_max)
            lane.open = open_count
        elif endpoint.url != lane.endpoint.url or endpoint.status != lane.endpoint.status:
            lane.failures, lane.window, lane.held_until = 0, self._limits.window_max, 0
        lane.endpoint = endpoint
        if endpoint.status != ENABLED:
            lane.ready.clear()
            lane.open = 0

    def drop(self, identifier: str) -> None:
        """An endpoint that is no more. What is on the wire ends there."""
        lane = self._lanes.pop(identifier, None)
        if lane is not None:
            lane.ready.clear()

    def added(self, identifier: str, count: int = 1) -> bool:
        """Deliveries were added to the next commit. False: too many wait, it takes no more."""
        lane = self._lanes[identifier]
        lane.open += count
        return lane.open <= self._limits.open_max

    def disable(self, endpoint: Endpoint, reason: str) -> list[Step]:
        """What writes that an endpoint takes no more, now true in memory."""
        disabled = replace(endpoint, status=DISABLED, reason=reason)
        self.put(disabled)
        self._changed(disabled)
        log.warning("a webhook endpoint was disabled: %s (%s)", endpoint.id, reason)
        return [set_endpoint(disabled), ("cancel", (self._clock.real_ms(), endpoint.id))]

    # --- what is due ---------------------------------------------------------------------------

    def stir(self, identifier: str) -> None:
        """Something of this endpoint may be due."""
        lane = self._lanes.get(identifier)
        if lane is not None and self._tasks is not None and not self._is_draining:
            self._refill(lane)
            self._pump()

    def _refill(self, lane: Lane) -> None:
        endpoint = lane.endpoint
        if endpoint.status != ENABLED:
            return
        now = self._clock.real_ms()
        if len(lane.ready) <= READY_LOW:
            known = lane.busy.union(row[0] for row in lane.ready)
            rows = self._store.due(endpoint.id, now, READY_MAX + len(known))
            lane.ready.extend(row for row in rows if row[0] not in known)
            if not lane.ready and not lane.busy and now - lane.recounted_at > RECOUNT_MS:
                lane.open, lane.recounted_at = self._store.open_count(endpoint.id), now
        due = self._store.next_due(endpoint.id, now)
        if due is not None:
            self._wake_at(lane, due)
        self._offer(lane)

    def _wake_at(self, lane: Lane, at_ms: int) -> None:
        if not lane.timer_at or at_ms < lane.timer_at:
            lane.timer_at = at_ms
            heappush(self._timers, (at_ms, lane.endpoint.id))

    def _tick(self) -> None:
        now = self._clock.real_ms()
        while self._timers and self._timers[0][0] <= now:
            at_ms, identifier = heappop(self._timers)
            lane = self._lanes.get(identifier)
            if lane is not None and lane.timer_at == at_ms:
                lane.timer_at = 0
                self.stir(identifier)

    def _offer(self, lane: Lane) -> None:
        if lane.ready and not lane.in_turn:
            lane.in_turn = True
            self._turns.append(lane)

    def _pump(self) -> None:
        """Send what there is room for, one of each line in turn."""
        if self._is_draining:
            return
        now = self._clock.real_ms()
        while self._turns and self._in_flight < self._limits.wire_max:
            lane = self._turns.popleft()
            lane.in_turn = False
            if not lane.ready or lane.in_flight >= lane.window:
                continue  # It comes back with its next answer.
            if lane.held_until > now:
                self._wake_at(lane, lane.held_until)
                continue
            if lane.failures and self._suspects >= self._limits.suspects_max:
                lane.in_turn = True
                self._benched.append(lane)
                continue
            self._start(lane, lane.ready.popleft())
            self._offer(lane)

    def _start(self, lane: Lane, row: DueRow) -> None:
        assert self._tasks is not None
        is_suspect = lane.failures > 0
        lane.busy.add(row[0])
        lane.in_flight += 1
        self._in_flight += 1
        self._suspects += is_suspect
        self._tasks.create_task(self._bring(lane, row, is_suspect), name=f"bring {row[1]}")

    # --- one try -------------------------------------------------------------------------------

    async def _bring(self, lane: Lane, row: DueRow, is_suspect: bool) -> None:
        _, event, _, step, _, _, _, body = row
        endpoint, clock = lane.endpoint, self._clock
        at_ms, began = clock.real_ms(), clock.monotonic()
        headers = message_headers(endpoint, event, at_ms, body)
        answer = await self._sender.send(endpoint.url, headers, body)
        took_s = clock.monotonic() - began
        if self._commits.reach is not None:
            self._commits.reach(AFTER_SEND)
        lane.in_flight -= 1
        self._in_flight -= 1
        if is_suspect:
            self._suspects -= 1
            if self._benched:
                benched = self._benched.popleft()
                benched.in_turn = False
                self._offer(benched)
        verdict = judge(answer, step, clock.real_ms(), self._limits.scale_ppm, self._random)
        self._durations.observe(took_s)
        self.counts[verdict.outcome] = self.counts.get(verdict.outcome, 0) + 1
        self._learn(lane, verdict)
        self._settle(lane, row, answer, verdict, at_ms, round(took_s * 1_000), endpoint.url)
        self._offer(lane)
        self._pump()

    def _learn(self, lane: Lane, verdict: Verdict) -> None:
        """An answer widens the line's window by one, a failure halves it."""
        if verdict.outcome == "delivered":
            lane.failures = 0
            lane.window = min(lane.window + 1, self._limits.window_max)
            return
        lane.failures += 1
        lane.window = max(1, lane.window // 2)
        if verdict.hold_ms:
            lane.held_until = self._clock.real_ms() + verdict.hold_ms

    def _settle(
        self,
        lane: Lane,
        row: DueRow,
        answer: Answered,
        verdict: Verdict,
        at_ms: int,
        took_ms: int,
        url: str,
    ) -> None:
        """Write what came of a try, and let the next of its payment move up."""
        no, _, source, step, tries, _, _, _ = row
        now, identifier = self._clock.real_ms(), lane.endpoint.id
        tries += 1
        steps: list[Step] = [
            (
                "add_attempt",
                (
                    no,
                    tries,
                    at_ms,
                    answer.status,
                    took_ms,
                    verdict.outcome,
                    answer.trouble,
                    answer.excerpt,
                ),
            )
        ]
        if verdict.retry_ms is not None:
            steps.append(("retry", (step + 1, tries, now + verdict.retry_ms, no)))
        else:
            is_delivered = verdict.outcome == "delivered"
            steps.append(("end", ("delivered" if is_delivered else "failed", tries, now, no)))
            steps.append(("promote", (now, identifier, source)))
            lane.open = max(0, lane.open - 1)
        is_same = self._lanes.get(identifier) is lane and lane.endpoint.url == url
        if verdict.is_gone and is_same and lane.endpoint.status == ENABLED:
            steps += self.disable(lane.endpoint, "gone")

        def after() -> None:
            lane.busy.discard(no)
            self.stir(identifier)

        self._commits.add(*steps, after=after)

    # --- the end, and numbers ------------------------------------------------------------------

    @property
    def is_quiet(self) -> bool:
        """Whether nothing is on the wire, nor could be now."""
        return not (self._in_flight or any(lane.ready or lane.busy for lane in self._live()))

    def _live(self) -> list[Lane]:
        now = self._clock.real_ms()
        return [lane for lane in self._lanes.values() if lane.held_until <= now]

    async def drain(self, timeout_s: float) -> None:
        """Begin nothing more, and wait for what is on the wire."""
        self._is_draining = True
        deadline = self._clock.monotonic() + timeout_s
        while self._in_flight and self._clock.monotonic() < deadline:  # noqa: ASYNC110 - at the end
            await asyncio.sleep(TICK_S)

    def stats(self) -> dict[str, float]:
        """Plain numbers for metrics."""
        states = [lane.endpoint.status for lane in self._lanes.values()]
        numbers: dict[str, float] = {
            "webhook_in_flight": self._in_flight,
            "webhook_backlog": sum(lane.open for lane in self._lanes.values()),
            'webhook_endpoints{status="enabled"}': states.count(ENABLED),
            'webhook_endpoints{status="disabled"}': states.count(DISABLED),
        }
        for outcome, count in self.counts.items():
            numbers[f'webhook_deliveries_total{{outcome="{outcome}"}}'] = count
        self._durations.report(numbers)
        return numbers
