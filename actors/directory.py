"""The only writer of reference data: asks in, one commit for many, numbered changes out.

Everybody else holds a snapshot (actors/snapshot.py) fed from here: the whole of it after
Subscribe, then each change in the tick after its commit, and every second at least a heartbeat.
A change leaves before the answer to whoever asked for it, and both only once it is durable.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final, cast

import msgspec
from msgspec import Raw, Struct

from actors.messages import (
    Answer,
    Changes,
    ClockQuiet,
    DirectoryAsk,
    Message,
    Ping,
    Pong,
    ReadStatus,
    Refusal,
    Stats,
    Subscribe,
)
from actors.test_clock import MARK, Advance, ClockState, MovableClock, Peer, TestClock
from payments.directory_counter import Decision, Question
from payments.directory_desk import Desk
from payments.directory_view import wish_of
from payments.errors import IdempotencyMismatch, NotFound, Overloaded, PaymentError, Unauthorized
from payments.ids import Entropy, IdMint
from payments.reference import Key, Record
from payments.register import Register
from payments.storage.directory import DirectoryStore, RecordRow, Write, record_of
from payments.storage.side import NONCE_KEPT_S

log = logging.getLogger(__name__)

CLOCK_OPERATIONS: Final = frozenset({"clocks.create", "clocks.get", "clocks.advance"})
LOAD_ROWS: Final = 10_000
CLOCK_SCOPE: Final = "test_helpers"
INTERNAL_ERROR: Final = "internal_error"

_encode: Final = msgspec.msgpack.Encoder().encode


class Limits(Struct, frozen=True):
    """Named limits. A batch of changes stays far below a frame (1 MiB).

    `settle_s`: how long the answer to a change waits behind the change itself.
    """

    queue_max: int = 4_096
    batch_max: int = 256
    subscribers_max: int = 1_024
    nonces_max: int = 1_000_000
    changes_bytes_max: int = 256 * 1024
    changes_records_max: int = 1_000
    heartbeat_s: float = 1.0
    feed_pause_s: float = 0.01
    settle_s: float = 0.0


class _Subscriber(Struct):
    """`sent`: the last change handed to its link. `live`: it has all; changes go out as made."""

    sent: int
    live: bool = False


def _tell(replies: list[tuple[Peer, Answer | Refusal]]) -> None:
    for link, reply in replies:
        link.send(reply)


class DirectoryActor:
    """Plain class; `open` once, then `run` for ever beside the links."""

    def __init__(
        self,
        store: DirectoryStore,
        clock: MovableClock,
        mint: IdMint,
        entropy: Entropy,
        limits: Limits | None = None,
        *,
        livemode: bool = False,
    ) -> None:
        self._store = store
        self._clock = clock
        self._mint = mint
        self._limits = limits or Limits()
        self._livemode = livemode
        self._register = Register(keep_revoked=True, members=True)
        self._desk = Desk(self._register, mint, entropy, livemode=livemode)
        self._number = 0
        self._asks: deque[tuple[Peer, DirectoryAsk]] = deque()
        self._subscribers: dict[Peer, _Subscriber] = {}
        self._nonces: dict[tuple[str, int], int] = {}
        self._commit_lock = asyncio.Lock()
        self._wake = asyncio.Event()
        self._feed = asyncio.Event()
        self._counts = {"asks": 0, "commits": 0, "errors": 0}
        self.test_clock = TestClock(clock, self._save_clock, self._audience)

    def open(self, plant: Sequence[Record] = ()) -> None:
        """Own the store and load it. Raise StoreRefused when that may not be.

        `plant`: records for a store that is still empty, such as the first operator's key.
        """
        last = self._store.open()
        if last == 0 and plant:
            self._store.plant(plant, {})
            last = len(plant)
        while rows := self._store.records_after(self._number, LOAD_ROWS):
            for _, body in rows:
                self._register.apply(record_of(body))
            self._number = rows[-1][0]
        assert self._number == last, (self._number, last)
        for caller, digest, created in self._store.recent_nonces():
            self._nonces[caller, digest] = created
        if not self._livemode:
            self.test_clock.restore(self._store.mark(MARK))

    async def run(self) -> None:
        """Serve, feed, beat and step until canceled. Any error ends all of it, and the process."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._serve_forever())
            tasks.create_task(self._feed_forever())
            tasks.create_task(self._beat_forever())
            tasks.create_task(self.test_clock.run())

    # --- links --------------------------------------------------------------------------------

    def on_link(self, link: Peer) -> None:
        """A link is up; it says what it wants by itself."""

    def on_link_lost(self, link: Peer) -> None:
        """Nothing goes there any more; what it asked is decided all the same."""
        self._subscribers.pop(link, None)
        self.test_clock.forget(link)

    def on_messages(self, link: Peer, messages: Sequence[Message]) -> None:
        """Take a frame. Never waits: asks are queued for the next commit."""
        for message in messages:
            match message:
                case DirectoryAsk():
                    self._take(link, message)
                case Subscribe():
                    self._subscribe(link, message)
                case ClockQuiet():
                    self.test_clock.heard(link, message)
                case Ping(ref=ref):
                    link.send(Pong(ref))
                case ReadStatus(ref=ref):
                    link.send(Stats(ref, "directory", self.stats()))
                case _:
                    # Somebody newer than us talks: counted, and left unanswered.
                    self._counts["errors"] += 1

    def _take(self, link: Peer, ask: DirectoryAsk) -> None:
        if len(self._asks) >= self._limits.queue_max:
            link.send(Refusal(ask.ref, "overloaded", "try again in a second", None, 1))
            return
        self._asks.append((link, ask))
        self._wake.set()

    def _subscribe(self, link: Peer, message: Subscribe) -> None:
        if len(self._subscribers) >= self._limits.subscribers_max:
            self._counts["errors"] += 1
            return
        # A number ahead of ours comes from another data directory: it gets everything.
        since = message.since if message.since <= self._number else 0
        self._subscribers[link] = _Subscriber(since)
        if not self._livemode:
            self.test_clock.greet(link)
        self._feed.set()

    def _audience(self) -> Iterable[Peer]:
        return list(self._subscribers)

    # --- asks ---------------------------------------------------------------------------------

    async def _serve_forever(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._asks:
                count = min(len(self._asks), self._limits.batch_max)
                await self._serve([self._asks.popleft() for _ in range(count)])

    async def _serve(self, asks: list[tuple[Peer, DirectoryAsk]]) -> None:
        """Decide all, commit once, then tell: changes first, answers after."""
        async with self._commit_lock:
            write = Write.empty()
            replies = [(link, self._reply(ask, write)) for link, ask in asks]
            if write:
                await self._store.commit(write)
                self._counts["commits"] += 1
            if MARK in write.marks:
                self.test_clock.restore(write.marks[MARK])
            self._publish(write.records)
        self._counts["asks"] += len(asks)
        if write.records and self._limits.settle_s:
            # Whoever hears of a new terminal or key uses it at once, and by another front door:
            # the changes are on their way to all, give them the time to be taken.
            asyncio.get_running_loop().call_later(self._limits.settle_s, _tell, replies)
        else:
            _tell(replies)

    def _reply(self, ask: DirectoryAsk, write: Write) -> Answer | Refusal:
        try:
            return self._decide(ask, write)
        except PaymentError as error:
            return Refusal(ask.ref, error.code, error.detail, error.param, error.retry_after_s or 0)
        except Exception as error:
            # A bug in one decision must not take the others with it; nothing of it was applied.
            self._counts["errors"] += 1
            log.error("a decision failed", exc_info=error)
            return Refusal(ask.ref, INTERNAL_ERROR, "this is our bug; it was counted")

    def _decide(self, ask: DirectoryAsk, write: Write) -> Answer:
        """One ask: nonce, replay, decision. Applies it to memory: the commit follows or we end."""
        if ask.nonce:
            self._check_nonce(ask)
        scope = self._scope_of(ask)
        replay = self._replay(ask, scope, write)
        if replay is not None:
            self._note_nonce(ask, write)
            return replay
        if ask.op in CLOCK_OPERATIONS:
            decision = self._decide_clock(ask, write)
        else:
            question = Question(ask.op, ask.caller, ask.merchant, ask.target, ask.body, ask.query)
            decision = self._desk.decide(question, self._clock.now_ms(), self._clock.real_ms())
        # From here on nothing refuses.
        for record in decision.records:
            self._number += 1
            write.records.append((record.id, self._number, _encode(record)))
            self._register.apply(record)
        self._note_nonce(ask, write)
        if ask.key_digest is not None and decision.object_id is not None:
            write.answers.append(
                (scope, ask.key_digest, ask.fingerprint, decision.status, decision.object_id)
            )
        return Answer(ask.ref, decision.status, msgspec.json.encode(decision.body))

    def _scope_of(self, ask: DirectoryAsk) -> str:
        """Whose idempotency keys these are: the merchant's, else the platform's, else the key's."""
        key = self._register.key(ask.caller)
        if key is None:
            return ask.caller
        return ask.merchant or key.merchant or key.platform or key.id

    def _replay(self, ask: DirectoryAsk, scope: str, write: Write) -> Answer | None:
        """The answer to a repeated request. IdempotencyMismatch when it is another request."""
        if ask.key_digest is None:
            return None
        known = self._store.answered(scope, ask.key_digest)
        for one in write.answers:
            if one[0] == scope and one[1] == ask.key_digest:
                known = one[2:]
        if known is None:
            return None
        fingerprint, status, object_id = known
        if fingerprint != ask.fingerprint:
            raise IdempotencyMismatch("the key was used for another request; make a new one")
        body = self._desk.again(ask.op, ask.caller, object_id, self._clock.real_ms())
        return Answer(ask.ref, status, msgspec.json.encode(body), True)

    def _check_nonce(self, ask: DirectoryAsk) -> None:
        if (ask.caller, ask.nonce) in self._nonces:
            raise Unauthorized("the nonce was used before")
        if len(self._nonces) >= self._limits.nonces_max:
            oldest = self._clock.real_ms() // 1_000 - NONCE_KEPT_S
            self._nonces = {key: at for key, at in self._nonces.items() if at >= oldest}
            if len(self._nonces) >= self._limits.nonces_max:
                raise Overloaded("too many signed requests", retry_after_s=60)

    def _note_nonce(self, ask: DirectoryAsk, write: Write) -> None:
        if ask.nonce:
            self._nonces[ask.caller, ask.nonce] = ask.nonce_at
            write.nonces.append((ask.caller, ask.nonce, ask.nonce_at))

    # --- the test clock -----------------------------------------------------------------------

    def _decide_clock(self, ask: DirectoryAsk, write: Write) -> Decision:
        """clocks.create, .get and .advance. In live mode there is no such thing."""
        if self._livemode:
            raise NotFound("live mode has no test clock")
        self._desk.admit(ask.caller, CLOCK_SCOPE, self._clock.real_ms())
        state = self._clock_state(write)
        if ask.op == "clocks.create":
            wish_of(_NoFields, ask.body)
            status = 200 if state is not None else 201
            if state is None:
                now = self._clock.now_ms()
                state = ClockState(self._mint.new("clk", now, 0), now)
                write.marks[MARK] = msgspec.json.encode(state).decode()
            return Decision(status, self.test_clock.view(state))
        if state is None or ask.target not in (None, state.id):
            raise NotFound("no such clock; POST /v1/test_helpers/clocks returns the one there is")
        if ask.op == "clocks.get":
            return Decision(200, self.test_clock.view(state))
        state = self.test_clock.decide(state, wish_of(Advance, ask.body))
        write.marks[MARK] = msgspec.json.encode(state).decode()
        return Decision(202, self.test_clock.view(state))

    def _clock_state(self, write: Write) -> ClockState | None:
        """As it will be after the asks before this one in the batch."""
        if MARK in write.marks:
            return msgspec.json.decode(write.marks[MARK], type=ClockState)
        return self.test_clock.state

    async def _save_clock(self, state: ClockState) -> None:
        """A step of an advance. A target that was set meanwhile, and is later, stays."""
        async with self._commit_lock:
            current = self.test_clock.state
            if (
                current is not None
                and current.target_ms is not None
                and (state.target_ms is not None and current.target_ms > state.target_ms)
            ):
                state = msgspec.structs.replace(state, target_ms=current.target_ms)
            write = Write.empty()
            write.marks[MARK] = msgspec.json.encode(state).decode()
            await self._store.commit(write)
            self.test_clock.adopt(state)

    # --- changes ------------------------------------------------------------------------------

    def _publish(self, rows: list[RecordRow]) -> None:
        """Hand new changes to everybody who is up to date."""
        pieces = list(self._pieces([(change, body) for _, change, body in rows]))
        for link, subscriber in self._subscribers.items():
            for number, bodies in pieces:
                if subscriber.live:
                    subscriber.live = link.send(_changes(number, bodies, complete=True))
                    subscriber.sent = number if subscriber.live else subscriber.sent
            if not subscriber.live:
                self._feed.set()

    def _pieces(self, rows: list[tuple[int, bytes]]) -> Iterable[tuple[int, list[bytes]]]:
        """Cut rows into messages: (number of the last change, bodies)."""
        bodies: list[bytes] = []
        number = size = 0
        for change, body in rows:
            too_big = size + len(body) > self._limits.changes_bytes_max
            if bodies and (too_big or len(bodies) >= self._limits.changes_records_max):
                yield number, bodies
                bodies, size = [], 0
            bodies.append(body)
            number, size = change, size + len(body)
        if bodies:
            yield number, bodies

    async def _feed_forever(self) -> None:
        """Bring those who are behind up to date, one message each a turn."""
        while True:
            await self._feed.wait()
            self._feed.clear()
            while behind := [link for link, one in self._subscribers.items() if not one.live]:
                sent = [self._feed_one(link) for link in behind]
                await asyncio.sleep(0 if any(sent) else self._limits.feed_pause_s)

    def _feed_one(self, link: Peer) -> bool:
        """The next message of a snapshot. False when the link takes no more just now."""
        subscriber = self._subscribers.get(link)
        if subscriber is None:
            return True
        rows = self._store.records_after(subscriber.sent, self._limits.changes_records_max)
        number, bodies = next(iter(self._pieces(rows)), (subscriber.sent, []))
        complete = len(bodies) == len(rows) < self._limits.changes_records_max
        if not link.send(_changes(number, bodies, complete=complete)):
            return False
        subscriber.sent = number
        subscriber.live = complete
        return True

    async def _beat_forever(self) -> None:
        while True:
            await asyncio.sleep(self._limits.heartbeat_s)
            self.beat()

    def beat(self) -> None:
        """Tell everybody that we live, and how far we are."""
        for link, subscriber in self._subscribers.items():
            if subscriber.live:
                link.send(_changes(subscriber.sent, [], complete=True))

    # --- numbers ------------------------------------------------------------------------------

    @property
    def number(self) -> int:
        """Of the last change."""
        return self._number

    def key(self, key_id: str) -> Key | None:
        """A key by its id, revoked ones too."""
        return self._register.key(key_id)

    def stats(self) -> dict[str, float]:
        """Plain numbers for metrics."""
        return {
            "records": len(self._register),
            "change": self._number,
            "queue": len(self._asks),
            "subscribers": len(self._subscribers),
            "clock_timeouts": self.test_clock.timeouts,
            **self._counts,
        }


class _NoFields(Struct, frozen=True, forbid_unknown_fields=True):
    """POST …/clocks takes nothing."""


def _changes(number: int, bodies: list[bytes], *, complete: bool) -> Changes:
    """Records go out as they were stored: nothing is decoded to be encoded again."""
    return Changes(number, cast("tuple[Record, ...]", tuple(map(Raw, bodies))), complete)
