"""A lane's calls under way: fair among merchants, bounded, and each answered in time.

Payments wait in a fair queue by merchant; questions about older payments (inquire, reverse, close,
refund) have a line and room of their own, so that verdicts come in time under any flood. A channel
that calls back by itself (`Call.soon`) is spared a task and a timer for each payment.
"""

import asyncio
import functools
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from msgspec import Struct

from actors.fair import FairQueue
from actors.messages import Message
from payments.channels.base import Declined, Outcome, PayOrder, Unknown

log = logging.getLogger(__name__)

NO_ANSWER: Final = Unknown("no answer")
NOT_SENT: Final = Declined("channel_error", "no room at the channel in time", not_sent=True)
FULL: Final = Declined("channel_error", "the channel takes no more just now", not_sent=True)
NO_ROOM: Final = Unknown("not asked: the lane is full")
STOPPED: Final = Unknown("the lane stopped before the answer")


class LaneLimits(Struct, frozen=True, forbid_unknown_fields=True):
    """What a lane takes. Times are real milliseconds.

    `capacity`: payments in flight over all `shards`; each shard's window is its share.
    `queue_timeout_ms`: how long a call may wait for room; the other time-outs run from its start.
    """

    capacity: int = 4096
    shards: int = 1
    pays_running_max: int = 1024
    merchant_running_max: int = 512
    pays_queued_max: int = 4096
    merchant_queued_max: int = 1024
    asks_running_max: int = 256
    asks_queued_max: int = 16_384
    queue_timeout_ms: int = 2_000
    pay_timeout_ms: int = 5_000
    ask_timeout_ms: int = 5_000
    refund_timeout_ms: int = 10_000
    drain_ms: int = 10_000
    asks_per_second: int = 0
    """Queries a second, 0: any number. More wait; what undoes or refunds never does."""

    @property
    def window(self) -> int:
        """Payments that one shard may have in flight."""
        return max(1, self.capacity // self.shards)


QUERIES: Final = frozenset({"inquire", "inquire_refund"})


class Budget:
    """So many queries a second, and a second's worth at once after a pause."""

    __slots__ = ("_at_s", "_left", "_rate")

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._left = 1.0 * rate
        self._at_s = 0.0

    def take(self, now_s: float) -> float:
        """0: take it. Else the seconds until there is one."""
        self._left = min(1.0 * self._rate, self._left + (now_s - self._at_s) * self._rate)
        self._at_s = now_s
        if self._left < 1:
            return (1 - self._left) / self._rate
        self._left -= 1
        return 0.0


class Peer(Protocol):
    """A link as the lane sees it."""

    @property
    def peer_name(self) -> str: ...

    @property
    def peer_role(self) -> str: ...

    def send(self, message: Message) -> bool:
        """False when the link is down or full; nothing is sent again by itself."""
        ...


class Call:
    """One call to the channel, from its admission to its answer.

    `key`: the merchant of a payment, empty for questions. `order`, `ticket`: what a payment asks
    for, and the circuit's leave to ask. `soon`: asks a channel that will call back, in time; where
    it says no, `start` makes the awaitable instead.
    """

    __slots__ = (
        "answered",
        "began_s",
        "key",
        "number",
        "op",
        "order",
        "peer",
        "ref",
        "running",
        "soon",
        "start",
        "task",
        "ticket",
        "timeout_ms",
        "timer",
    )

    def __init__(
        self,
        peer: Peer,
        ref: int,
        number: str,
        op: str,
        start: Callable[[], Awaitable[Outcome]],
        timeout_ms: int,
    ) -> None:
        self.peer = peer
        self.ref = ref
        self.number = number
        self.op = op
        self.start = start
        self.timeout_ms = timeout_ms
        self.key = ""
        self.ticket = 0
        self.order: PayOrder | None = None
        self.began_s = 0.0
        self.answered = False
        self.running = False
        self.soon: Callable[[Callable[[Outcome], None]], bool] | None = None
        self.task: asyncio.Task[None] | None = None
        self.timer: asyncio.TimerHandle | None = None

    @property
    def is_pay(self) -> bool:
        return self.op == "pay"


class Calls:
    """Every call from admission to answer; `answer(call, outcome)` is called once for each."""

    def __init__(self, limits: LaneLimits, answer: Callable[[Call, Outcome], None]) -> None:
        self._limits = limits
        self._window = limits.window
        self._answer = answer
        self._pays: FairQueue[Call] = FairQueue(
            total_max=limits.pays_queued_max,
            key_max=limits.merchant_queued_max,
            running_max=limits.merchant_running_max,
        )
        self._asks: deque[Call] = deque()
        self._queries: deque[Call] = deque()
        self._budget = Budget(limits.asks_per_second) if limits.asks_per_second else None
        self._budget_timer: asyncio.TimerHandle | None = None
        self._pays_running = 0
        self._asks_running = 0
        self._open: set[Call] = set()
        self._in_flight: dict[Peer, int] = {}
        self._idle = asyncio.Event()
        self._idle.set()
        self.counts = {"timeouts": 0, "exceptions": 0, "refused_window": 0, "refused_full": 0}

    def __len__(self) -> int:
        """Calls admitted and not answered."""
        return len(self._open)

    @property
    def queued(self) -> int:
        """Calls that wait for room at the channel."""
        return len(self._pays) + len(self._asks) + len(self._queries)

    @property
    def running(self) -> int:
        return self._pays_running + self._asks_running

    def admit(self, call: Call) -> None:
        """Queue a call, or answer it at once when there is no room for it."""
        refused = self._refuse_pay(call) if call.is_pay else self._refuse_ask(call)
        if refused is not None:
            self._answer(call, refused)
            return
        self._open.add(call)
        self._idle.clear()
        self._pump()
        if not call.running:
            wait_s = self._limits.queue_timeout_ms / 1000
            call.timer = asyncio.get_running_loop().call_later(wait_s, self._time_out, call)

    def _refuse_pay(self, call: Call) -> Outcome | None:
        in_flight = self._in_flight.get(call.peer, 0)
        if in_flight >= self._window:
            self.counts["refused_window"] += 1
            return FULL
        if not self._pays.put(call.key, call):
            self.counts["refused_full"] += 1
            return FULL
        self._in_flight[call.peer] = in_flight + 1
        return None

    def _refuse_ask(self, call: Call) -> Outcome | None:
        if len(self._asks) + len(self._queries) >= self._limits.asks_queued_max:
            # Never a refusal: "declined" would be an answer about the money.
            self.counts["refused_full"] += 1
            return NO_ROOM
        is_query = self._budget is not None and call.op in QUERIES
        (self._queries if is_query else self._asks).append(call)
        return None

    def _pump(self) -> None:
        """Start what there is room for."""
        limits = self._limits
        while self._asks and self._asks_running < limits.asks_running_max:
            call = self._asks.popleft()
            if not call.answered:
                self._asks_running += 1
                self._start(call)
        while self._queries and self._asks_running < limits.asks_running_max:
            if self._queries[0].answered:
                self._queries.popleft()
            elif self._may_query():
                self._asks_running += 1
                self._start(self._queries.popleft())
            else:
                break
        while self._pays_running < limits.pays_running_max and (found := self._pays.get()):
            key, call = found
            if call.answered:  # Timed out while it waited.
                self._pays.done(key)
            else:
                self._pays_running += 1
                self._start(call)

    def _may_query(self) -> bool:
        """Take a query from the budget; where it is used up, look again when it is not."""
        assert self._budget is not None
        loop = asyncio.get_running_loop()
        wait_s = self._budget.take(loop.time())
        if wait_s and self._budget_timer is None:
            self._budget_timer = loop.call_later(wait_s, self._budget_back)
        return not wait_s

    def _budget_back(self) -> None:
        self._budget_timer = None
        self._pump()

    def _start(self, call: Call) -> None:
        loop = asyncio.get_running_loop()
        call.running = True
        call.began_s = loop.time()
        if call.timer is not None:
            call.timer.cancel()
        if call.soon is None or not self._start_soon(call, call.soon):
            call.timer = loop.call_later(call.timeout_ms / 1000, self._time_out, call)
            call.task = loop.create_task(self._run(call))

    def _start_soon(self, call: Call, soon: Callable[[Callable[[Outcome], None]], bool]) -> bool:
        try:
            return soon(functools.partial(self._finish, call))
        except Exception as error:
            outcome = self.failed(call.op, error)
            asyncio.get_running_loop().call_soon(self._finish, call, outcome)
            return True

    async def _run(self, call: Call) -> None:
        try:
            outcome = await call.start()
        except Exception as error:
            outcome = self.failed(call.op, error)
        self._finish(call, outcome)

    def failed(self, op: str, error: Exception) -> Unknown:
        """A connector's error says nothing about the money."""
        self.counts["exceptions"] += 1
        log.warning("connector failed in %s", op, exc_info=error)
        return Unknown(f"the connector failed: {type(error).__name__}")

    def _time_out(self, call: Call) -> None:
        """No answer in time. A running call is canceled; what it did at the channel stands."""
        self.counts["timeouts"] += 1
        if call.task is None:
            self._finish(call, NOT_SENT if call.is_pay else NO_ROOM)
        else:
            call.task.cancel()
            self._finish(call, NO_ANSWER)

    def _finish(self, call: Call, outcome: Outcome) -> None:
        if call.answered:
            return
        call.answered = True
        self._open.discard(call)
        if call.timer is not None:
            call.timer.cancel()
        if call.is_pay:
            self._release_pay(call)
        elif call.running:
            self._asks_running -= 1
        self._answer(call, outcome)
        if not self._open:
            self._idle.set()
        elif self._pays or self._asks or self._queries:
            self._pump()

    def _release_pay(self, call: Call) -> None:
        left = self._in_flight[call.peer] - 1
        if left:
            self._in_flight[call.peer] = left
        else:
            del self._in_flight[call.peer]
        if call.running:
            self._pays_running -= 1
            self._pays.done(call.key)

    async def drain(self) -> None:
        """Wait until all is answered; after `drain_ms` answer the rest: not sent, or unknown."""
        try:
            async with asyncio.timeout(self._limits.drain_ms / 1000):
                await self._idle.wait()
        except TimeoutError:
            for call in tuple(self._open):
                if call.task is not None:
                    call.task.cancel()
                refused = call.is_pay and not call.running
                self._finish(call, NOT_SENT if refused else STOPPED)

    def abandon(self) -> None:
        """Drop every call without an answer."""
        if self._budget_timer is not None:
            self._budget_timer.cancel()
        for call in tuple(self._open):
            call.answered = True
            if call.timer is not None:
                call.timer.cancel()
            if call.task is not None:
                call.task.cancel()
        self._open.clear()
