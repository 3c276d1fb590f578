"""The channel lane: the only one that speaks to one channel account (or one share of it).

Shards send attempts whose intent is durable; the lane asks the channel and says what it learned:
approved, declined, or unknown, which is the default. It keeps nothing: whatever is lost with it is
asked again under the same number. A channel that answers at once, or that calls back, is called
without a task.
"""

import asyncio
import functools
import logging
from collections.abc import Callable
from typing import Final, Protocol, runtime_checkable

from actors import crash
from actors.calls import FULL, Call, Calls, LaneLimits, Peer
from actors.hearing import Hearing
from actors.lane_sharing import LaneSharing
from actors.messages import (
    ClockQuiet,
    ClockSet,
    HearCallback,
    LaneAct,
    LaneAsk,
    LaneBooks,
    LaneCredit,
    LaneIdentify,
    LanePay,
    LaneRefund,
    LaneReply,
    Message,
    NoticeTaken,
    Ping,
    Pong,
)
from actors.notices import Notices, Send
from actors.orders import order_ref, pay_order, refund_order
from actors.payers import HasClock, TestPayers
from actors.sharing_messages import LaneShare
from actors.stats import Histogram
from payments.channels.base import (
    Approved,
    Awaiting,
    Channel,
    Declined,
    Elsewhere,
    Known,
    NamesPayers,
    Outcome,
    PayOrder,
    Unknown,
    Unpaid,
)
from payments.circuit import CLOSED, HALF_OPEN, OPEN, Circuit
from payments.clock import Clock

log = logging.getLogger(__name__)

CIRCUIT_POLL_S: Final = 0.25
"""So often a circuit that is not closed is looked at: it half-opens by time alone."""

QUIET_MAX_S: Final = 2.0
"""After the test clock moved, calls under way may hold back the word "quiet" for so long."""

OUTCOME_NAMES: Final[dict[type, str]] = {
    Approved: "approved",
    Declined: "declined",
    Awaiting: "awaiting",
    Unpaid: "unpaid",
    Unknown: "unknown",
    Known: "known",
    Elsewhere: "elsewhere",
}
CIRCUIT_NUMBERS: Final = {CLOSED: 0, HALF_OPEN: 1, OPEN: 2}
LATENCY_EDGES_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
NOBODY_NAMED: Final = Declined("channel_error", "the wallet names nobody here", not_sent=True)
DRAINING: Final = Declined("channel_error", "the lane is going away", not_sent=True)
OPEN_CIRCUIT: Final = Declined("channel_error", "the channel is left alone", not_sent=True)


class MovableClock(Clock, Protocol):
    """A clock that the deployment's test clock may set forward."""

    offset_ms: int


@runtime_checkable
class AnswersAtOnce(Protocol):
    """A channel in our own process, such as `simulated`."""

    def pay_now(self, order: PayOrder) -> Outcome | None: ...
    def flush(self) -> None: ...


@runtime_checkable
class AnswersSoon(Protocol):
    """A channel that calls back and needs no task to wait in."""

    def pay_soon(
        self, order: PayOrder, within_ms: int, answer: Callable[[Outcome], None]
    ) -> bool: ...


@runtime_checkable
class HasTimers(Protocol):
    """A channel in which things happen by business time."""

    def next_due(self) -> int | None: ...
    def wake(self, now_ms: int) -> None: ...


class ChannelLane:
    """One lane. Build it inside a running loop and hand it to the links as their handler.

    `send(partition, message)` reaches the shard that owns a partition: for callbacks, which
    nobody asked for. Replies go to the link that asked.
    """

    def __init__(
        self,
        name: str,
        account: str,
        lane: int,
        channel: Channel,
        clock: MovableClock,
        limits: LaneLimits,
        send: Send,
        circuit: Circuit | None = None,
        payers: NamesPayers | None = None,
    ) -> None:
        self.name = name
        self.account = account
        self.lane = lane
        self._label = f'channel="{account}",lane="{lane}"'
        self._channel = channel
        self._clock = clock
        self._limits = limits
        self._circuit = circuit or Circuit()
        self._said_circuit = CLOSED
        self._circuit_timer: asyncio.TimerHandle | None = None
        self._calls = Calls(limits, self._answered)
        self._sharing = LaneSharing(channel, limits.refund_timeout_ms, self._settled, self._unheard)
        self._notices = Notices(send, self._settled)
        self._hearing = Hearing(name, channel, self._notices, self._settled)
        self._shards: list[Peer] = []
        self._draining = False
        self._fast = channel if isinstance(channel, AnswersAtOnce) else None
        self._soon = channel if isinstance(channel, AnswersSoon) else None
        self._naming = payers
        self._payers = TestPayers(name, channel, self._lost)
        self._remote_clock = channel if isinstance(channel, HasClock) else None
        self._remote_due: int | None = None
        self._clock_moving = 0
        self._timed = channel if isinstance(channel, HasTimers) else None
        self._wake_timer: asyncio.TimerHandle | None = None
        self._wake_at: int | None = None
        self._unquiet: list[tuple[Peer, int, asyncio.TimerHandle]] = []
        self._outcomes: dict[tuple[str, type], int] = {}
        self._latencies: dict[tuple[str, type], Histogram] = {}
        self._replies_lost = 0
        self._pays_now: dict[type, int] = {}
        self.reach: Callable[[str], None] | None = None
        """As `Core.reach`: told once a frame of payments, once any other call."""
        if hasattr(channel, "notify"):
            channel.notify = self._notices.tell
        self._arm()

    # --- links -----------------------------------------------------------------------------

    def on_link(self, link: Peer) -> None:
        """A peer is there. A shard is told its window."""
        if link.peer_role == "shard":
            self._shards.append(link)
            self._grant(link)

    def on_link_lost(self, link: Peer) -> None:
        """Calls go on: the money does not care. Their answers are lost and asked for again."""
        if link in self._shards:
            self._shards.remove(link)
        for entry in [entry for entry in self._unquiet if entry[0] is link]:
            entry[2].cancel()
            self._unquiet.remove(entry)

    def on_messages(self, link: Peer, messages: list[Message]) -> None:
        """One frame. Payments that the channel answers at once leave in one frame, too."""
        replies: list[LaneReply] = []
        now = int(self._clock.monotonic() * 1000)
        for message in messages:
            if type(message) is LanePay:
                outcome = self._pay(link, message, now)
                if outcome is not None:
                    replies.append(LaneReply(message.ref, message.out_trade_no, outcome))
            else:
                self._other(link, message)
        if replies:
            self._release(link, replies)
        if self._timed is not None:
            self._arm()

    def _grant(self, link: Peer) -> None:
        state = OPEN if self._draining else self._said_circuit
        window = 0 if self._draining else self._limits.window
        link.send(LaneCredit(self.account, self.lane, window, state))

    # --- payments --------------------------------------------------------------------------

    def _pay(self, link: Peer, message: LanePay, now: int) -> Outcome | None:
        """The outcome, where it is known at once; None: a call is under way."""
        if self._draining:
            return DRAINING
        ticket = self._circuit.admit(now)
        if not ticket:
            return OPEN_CIRCUIT
        order = pay_order(message)
        if self._fast is not None:
            try:
                outcome = self._fast.pay_now(order)
            except Exception as error:
                outcome = self._calls.failed("pay", error)
            if outcome is not None:
                kind = type(outcome)
                self._pays_now[kind] = self._pays_now.get(kind, 0) + 1
                self._judge(ticket, outcome, now, order)
                return outcome
        call = Call(
            link,
            message.ref,
            message.out_trade_no,
            "pay",
            lambda: self._channel.pay(order),
            self._limits.pay_timeout_ms,
        )
        call.key = message.merchant
        call.ticket = ticket
        call.order = order
        if self._soon is not None:
            call.soon = functools.partial(self._soon.pay_soon, order, self._limits.pay_timeout_ms)
        self._calls.admit(call)
        return None

    def _release(self, link: Peer, replies: list[LaneReply]) -> None:
        """The channel's books first, then the answers that rest on them."""
        if self._fast is not None:
            try:
                self._fast.flush()
            except OSError as error:
                log.error("the channel's books cannot be written: %s", error)
                lost = Unknown("the channel's books cannot be written")
                replies = [LaneReply(reply.ref, reply.out_trade_no, lost) for reply in replies]
        if self.reach is not None:
            self.reach(crash.unheard("pay"))
        outcomes = self._outcomes
        for reply in replies:
            key = ("pay", type(reply.outcome))
            outcomes[key] = outcomes.get(key, 0) + 1
            if not link.send(reply):
                self._replies_lost += 1

    def _judge(self, ticket: int, outcome: Outcome, now: int, order: PayOrder) -> None:
        """Tell the circuit. A scene of a test is no sign of the channel's health."""
        ok = _is_healthy(outcome)
        if not ok and self._payers.is_scripted(order):
            ok = True
        self._circuit.report(ticket, ok=ok, now_ms=now)
        if not ok or self._said_circuit is not CLOSED:
            self._watch_circuit()

    # --- everything else -------------------------------------------------------------------

    def _other(self, link: Peer, message: Message) -> None:
        match message:
            case LaneAsk():
                self._ask(link, message)
            case LaneRefund():
                self._refund(link, message)
            case LaneShare():
                self._sharing.take(link, message)
            case NoticeTaken():
                self._notices.taken(message.ref)
            case LaneAct():
                self._payers.act(link, message)
            case LaneBooks():
                self._payers.send_books(link, message.ref)
            case LaneIdentify():
                self._identify(link, message)
            case HearCallback():
                self._hearing.hear(link, message)
            case ClockSet():
                self._set_clock(link, message)
            case Ping():
                link.send(Pong(message.ref))
            case _:
                log.warning("lane %s: unexpected %s", self.name, type(message).__name__)

    def _ask(self, link: Peer, message: LaneAsk) -> None:
        number, channel = message.out_trade_no, self._channel
        order = order_ref(message)
        start = {
            "inquire": lambda: channel.inquire(order),
            "reverse": lambda: channel.reverse(order),
            "close": lambda: channel.close(order),
        }[message.op]
        limit_ms = self._limits.ask_timeout_ms
        self._calls.admit(Call(link, message.ref, number, message.op, start, limit_ms))

    def _identify(self, link: Peer, message: LaneIdentify) -> None:
        """Where a payer is asked who they are, or who came back with a code."""
        payers = self._naming
        if payers is None:
            link.send(LaneReply(message.ref, "", NOBODY_NAMED))
        elif message.op == "authorize":
            url = payers.authorize_url(message.text, message.state)
            link.send(LaneReply(message.ref, "", Elsewhere(url)))
        else:
            code, limit_ms = message.text, self._limits.ask_timeout_ms
            start = functools.partial(payers.identify, code)
            self._calls.admit(Call(link, message.ref, "", "identify", start, limit_ms))

    def _refund(self, link: Peer, message: LaneRefund) -> None:
        order = refund_order(message)
        channel = self._channel
        start = {
            "refund": lambda: channel.refund(order),
            "inquire_refund": lambda: channel.inquire_refund(order),
        }[message.op]
        limit_ms = self._limits.refund_timeout_ms
        number = message.out_trade_no
        self._calls.admit(Call(link, message.ref, number, message.op, start, limit_ms))

    def _answered(self, call: Call, outcome: Outcome) -> None:
        """A call ended: the circuit, the numbers, the reply."""
        key = (call.op, type(outcome))
        self._outcomes[key] = self._outcomes.get(key, 0) + 1
        if call.running:
            took_s = asyncio.get_running_loop().time() - call.began_s
            self._latency(call.op, type(outcome)).observe(took_s)
        if call.order is not None and outcome is not FULL:
            now = int(self._clock.monotonic() * 1000)
            self._judge(call.ticket, outcome, now, call.order)
        self._unheard(call.op)
        if not call.peer.send(LaneReply(call.ref, call.number, outcome)):
            self._replies_lost += 1
        if self._timed is not None:
            self._arm()
        self._settled()

    def _latency(self, op: str, kind: type) -> Histogram:
        found = self._latencies.get((op, kind))
        if found is None:
            label = f'{self._label},op="{op}",outcome="{OUTCOME_NAMES[kind]}"'
            found = Histogram("channel_request_seconds", LATENCY_EDGES_S, label)
            self._latencies[op, kind] = found
        return found

    def _unheard(self, op: str) -> None:
        if self.reach is not None:
            self.reach(crash.unheard(op))

    def _lost(self) -> None:
        self._replies_lost += 1

    # --- time ------------------------------------------------------------------------------

    def _arm(self) -> None:
        """Have the channel woken when something is due in it, by the machine's own time."""
        due = self._timed.next_due() if self._timed is not None else None
        if due == self._wake_at:
            return
        if self._wake_timer is not None:
            self._wake_timer.cancel()
            self._wake_timer = None
        self._wake_at = due
        if due is not None:
            wait_ms = max(0, due - self._clock.now_ms())
            loop = asyncio.get_running_loop()
            self._wake_timer = loop.call_later(wait_ms / 1000, self._wake)

    def _wake(self) -> None:
        self._wake_timer = self._wake_at = None
        if self._timed is not None:
            try:
                self._timed.wake(self._clock.now_ms())
            except OSError as error:
                log.error("the channel's books cannot be written: %s", error)
            self._arm()

    def _set_clock(self, link: Peer, message: ClockSet) -> None:
        """The test clock moved: do what is due, then say quiet once nothing is under way."""
        self._clock.offset_ms = message.offset_ms
        if self._wake_timer is not None:
            self._wake_timer.cancel()
        self._wake()
        if self._remote_clock is not None:
            self._clock_moving += 1
            self._payers.errand(self._move_clock(self._remote_clock, message.offset_ms))
        loop = asyncio.get_running_loop()
        timer = loop.call_later(QUIET_MAX_S, self._say_quiet, link, message.step)
        self._unquiet.append((link, message.step, timer))
        self._settled()

    async def _move_clock(self, clock: HasClock, offset_ms: int) -> None:
        """The sandbox's clock goes along; its callbacks arrive before all is quiet."""
        try:
            self._remote_due = await clock.set_clock(offset_ms)
        finally:
            self._clock_moving -= 1
        self._settled()

    def _settled(self) -> None:
        """Something ended: is all quiet now?"""
        if not self._unquiet:
            return
        asking = self._calls or self._sharing or self._hearing
        if not (asking or self._notices or self._clock_moving):
            for link, step, _ in tuple(self._unquiet):
                self._say_quiet(link, step)

    def _say_quiet(self, link: Peer, step: int) -> None:
        for entry in [entry for entry in self._unquiet if entry[:2] == (link, step)]:
            entry[2].cancel()
            self._unquiet.remove(entry)
        due = self._timed.next_due() if self._timed is not None else self._remote_due
        link.send(ClockQuiet(step, due))

    def _watch_circuit(self) -> None:
        """Say how the circuit is when that has changed, and look again while it is not closed."""
        state = self._circuit.state(int(self._clock.monotonic() * 1000))
        if state != self._said_circuit:
            self._said_circuit = state
            for shard in self._shards:
                self._grant(shard)
        if state != CLOSED and self._circuit_timer is None:
            loop = asyncio.get_running_loop()
            self._circuit_timer = loop.call_later(CIRCUIT_POLL_S, self._poll_circuit)

    def _poll_circuit(self) -> None:
        self._circuit_timer = None
        self._watch_circuit()

    # --- the end, and the numbers ----------------------------------------------------------

    async def drain(self) -> None:
        """Take no more payments, wait for what is under way, up to the limit; then stop."""
        self._draining = True
        for shard in self._shards:
            self._grant(shard)
        await self._calls.drain()
        self.close()

    def close(self) -> None:
        """Stop all timers. The channel's books are the channel's to close."""
        self._sharing.close()
        self._notices.close()
        self._hearing.close()
        self._payers.close()
        for timer in (self._wake_timer, self._circuit_timer, *(e[2] for e in self._unquiet)):
            if timer is not None:
                timer.cancel()

    def abandon(self) -> None:
        """Stop at once, as a process that is killed would: nobody is answered."""
        self._calls.abandon()
        self.close()

    def stats(self) -> dict[str, float]:
        """Plain numbers by metric name and label text."""
        label = self._label
        values: dict[str, float] = {
            f'channel_calls_total{{{label},op="{op}",outcome="{OUTCOME_NAMES[kind]}"}}': count
            for (op, kind), count in self._outcomes.items()
        }
        for name, count in self._calls.counts.items():
            values[f"channel_{name}_total{{{label}}}"] = count
        for name, count in self._notices.counts.items():
            values[f"channel_notices_{name}_total{{{label}}}"] = count
        for name, count in self._hearing.counts.items():
            values[f'channel_callbacks_total{{{label},outcome="{name}"}}'] = count
        values[f"channel_calls_at_once_total{{{label}}}"] = sum(self._pays_now.values())
        values[f"channel_calls_running{{{label}}}"] = self._calls.running
        values[f"channel_calls_queued{{{label}}}"] = self._calls.queued
        values[f"channel_replies_lost_total{{{label}}}"] = self._replies_lost
        values[f"channel_circuit_state{{{label}}}"] = CIRCUIT_NUMBERS[self._said_circuit]
        for kind in self._pays_now:
            self._latency("pay", kind)
        for (op, kind), histogram in self._latencies.items():
            at_once = self._pays_now.get(kind, 0) if op == "pay" else 0
            histogram.report(values, at_once)
        return values


def _is_healthy(outcome: Outcome) -> bool:
    """Whether the channel itself works: a payer's decline is an answer like any other."""
    kind = type(outcome)
    return kind is not Unknown and not (isinstance(outcome, Declined) and outcome.not_sent)
