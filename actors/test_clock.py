"""The deployment's test clock: business time that moves from timer to timer, never back.

To advance: ask every timed actor for its next timer (ClockSet, ClockQuiet), jump to the earliest
that is not after the target, let all become quiet, repeat, and at last jump to the target itself.
The offset is durable before anybody hears of it, so that a restart never turns time back.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final, Protocol

import msgspec
from msgspec import Struct

from actors.messages import ClockQuiet, ClockSet, Message
from payments.calendar import parse_rfc3339, rfc3339
from payments.clock import Clock
from payments.errors import InvalidField

MARK: Final = "test_clock"
TIMED_ROLES: Final = frozenset({"shard", "lane"})
"""Actors with timers on business time: an advance waits until each of them is quiet."""

CUSTODY_ROLES: Final = frozenset({"custody"})
"""Actors that carry what those want to the bank and back: asked when they are quiet. If anything
came of it, they name the present as their next timer, and all are asked again."""

LAST_ROLES: Final = frozenset({"courier", "reconciler"})
"""Actors that pass on what all those did: asked when the others are quiet."""

QUIET_TIMEOUT_S: Final = 10.0
"""An actor that is not quiet by then is left behind; it catches up at its next ClockSet."""

STALLS_MAX: Final = 100
STALL_PAUSE_S: Final = 0.02
"""How often, and after what pause, an actor may say that a timer which is due is still there."""

ADVANCE_MAX_S: Final = 3_660 * 86_400


class Peer(Protocol):
    """The directory's side of a link."""

    @property
    def peer_name(self) -> str: ...
    @property
    def peer_role(self) -> str: ...
    def send(self, message: Message) -> bool:
        """Queue a message; False when the link is down or its queue is full."""
        ...


class MovableClock(Clock, Protocol):
    """A clock whose business time is real time plus `offset_ms`."""

    offset_ms: int


class ClockState(Struct, frozen=True):
    """What is stored. `target_ms`: business time that an advance is on its way to."""

    id: str
    created: int
    offset_ms: int = 0
    target_ms: int | None = None


class Advance(Struct, frozen=True, forbid_unknown_fields=True):
    """POST …/advance: one of the two. `to`: RFC 3339."""

    seconds: int | None = None
    to: str | None = None


class TestClock:
    """State and stepping. `save` makes a state durable; `audience` are all subscribers."""

    __test__ = False  # A name that pytest would take for a class of tests.

    def __init__(
        self,
        clock: MovableClock,
        save: Callable[[ClockState], Awaitable[None]],
        audience: Callable[[], Iterable[Peer]],
        *,
        quiet_timeout_s: float = QUIET_TIMEOUT_S,
    ) -> None:
        self.state: ClockState | None = None
        self.timeouts = 0
        self._clock = clock
        self._save = save
        self._audience = audience
        self._quiet_timeout_s = quiet_timeout_s
        self._step = 0
        self._waiting: set[Peer] = set()
        self._next_due: int | None = None
        self._quiet = asyncio.Event()
        self._asked = asyncio.Event()

    def restore(self, text: str | None) -> None:
        """Take up the stored state; an advance under way goes on."""
        if text is not None:
            self.adopt(msgspec.json.decode(text, type=ClockState))

    def adopt(self, state: ClockState) -> None:
        """Make a state true, once it is durable."""
        self.state = state
        self._clock.offset_ms = state.offset_ms
        if state.target_ms is not None:
            self._asked.set()

    def view(self, state: ClockState) -> dict[str, Any]:
        """The JSON of the API: id, now, status."""
        return {
            "id": state.id,
            "object": "test_clock",
            "created": rfc3339(state.created),
            "livemode": False,
            "metadata": {},
            "now": rfc3339(self._clock.real_ms() + state.offset_ms),
            "status": "ready" if state.target_ms is None else "advancing",
        }

    def decide(self, state: ClockState, wish: Advance) -> ClockState:
        """The state with a target. InvalidField unless it is ahead, and within reach."""
        if (wish.seconds is None) == (wish.to is None):
            raise InvalidField("give either seconds or to", param="seconds")
        now = self._clock.now_ms()
        if wish.seconds is not None:
            if not 0 < wish.seconds <= ADVANCE_MAX_S:
                raise InvalidField(f"seconds is from 1 to {ADVANCE_MAX_S}", param="seconds")
            target = (state.target_ms or now) + wish.seconds * 1_000
        else:
            try:
                target = parse_rfc3339(wish.to or "")
            except ValueError as error:
                raise InvalidField(str(error), param="to") from None
            if target < max(now, state.target_ms or 0):
                raise InvalidField("time goes forward only", param="to")
        if target > now + ADVANCE_MAX_S * 1_000:
            raise InvalidField(f"at most {ADVANCE_MAX_S} seconds ahead", param="to")
        return msgspec.structs.replace(state, target_ms=target)

    # --- links --------------------------------------------------------------------------------

    def greet(self, peer: Peer) -> None:
        """Tell a new subscriber what time it is."""
        peer.send(ClockSet(self._step, self._clock.offset_ms))

    def heard(self, peer: Peer, quiet: ClockQuiet) -> None:
        """An actor has handled all that was due at a step."""
        if quiet.step != self._step or peer not in self._waiting:
            return
        if quiet.next_due is not None:
            due = self._next_due
            self._next_due = quiet.next_due if due is None else min(due, quiet.next_due)
        self.forget(peer)

    def forget(self, peer: Peer) -> None:
        """Wait for it no longer: it answered, or its link is lost."""
        self._waiting.discard(peer)
        if not self._waiting:
            self._quiet.set()

    # --- stepping -----------------------------------------------------------------------------

    async def run(self) -> None:
        """Advance whenever there is a target, for ever."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            await self._advance()

    async def _advance(self) -> None:
        stalls = 0
        due = await self._ask_all()
        while self.state is not None and (target := self.state.target_ms) is not None:
            now = self._clock.now_ms()
            if due is not None and due <= now and now < target and stalls < STALLS_MAX:
                # Due and not yet handled: its actor waits for somebody else, in real time.
                stalls += 1
                await asyncio.sleep(STALL_PAUSE_S)
            elif due is not None and now < due < target:
                stalls = 0
                await self._jump(due)
            elif now < target:
                await self._jump(target)
            elif due is not None and due <= target and stalls < STALLS_MAX:
                stalls += 1
                await asyncio.sleep(STALL_PAUSE_S)
            else:
                await self._finish(target)
                continue
            due = await self._ask_all()

    async def _jump(self, to_ms: int) -> None:
        """Make `to_ms` the present. Time that passed meanwhile is not undone."""
        assert self.state is not None
        offset = max(self.state.offset_ms, to_ms - self._clock.real_ms())
        await self._save(msgspec.structs.replace(self.state, offset_ms=offset))

    async def _finish(self, target: int) -> None:
        assert self.state is not None
        # A further advance may have been asked for while this one was on its way.
        if self.state.target_ms == target:
            await self._save(msgspec.structs.replace(self.state, target_ms=None))

    async def _ask_all(self) -> int | None:
        """One step: everybody hears the offset; the earliest timer of those who have timers."""
        self._step += 1
        self._next_due = None
        peers = list(self._audience())
        later = CUSTODY_ROLES | LAST_ROLES
        await self._ask([peer for peer in peers if peer.peer_role not in later])
        await self._ask([peer for peer in peers if peer.peer_role in CUSTODY_ROLES])
        await self._ask([peer for peer in peers if peer.peer_role in LAST_ROLES])
        return self._next_due

    async def _ask(self, peers: list[Peer]) -> None:
        """Tell them the offset, and wait for those who have something to do with it."""
        self._quiet.clear()
        self._waiting.clear()
        message = ClockSet(self._step, self._clock.offset_ms)
        timed = TIMED_ROLES | CUSTODY_ROLES | LAST_ROLES
        self._waiting.update(peer for peer in peers if peer.peer_role in timed)
        for peer in peers:
            if not peer.send(message):
                self._waiting.discard(peer)
        if self._waiting:
            try:
                async with asyncio.timeout(self._quiet_timeout_s):
                    await self._quiet.wait()
            except TimeoutError:
                self.timeouts += 1
                self._waiting.clear()
