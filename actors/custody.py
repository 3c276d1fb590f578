"""CustodyActor: speaks with the bank for all shards, and keeps what that takes.

    shard --Instruct, AskBank--> orders  --pain.001, questions--> bank
          <--BankSaid--                  <--verdicts--
          <--ReadClaims, MatchCredit--  credits  <--camt.054, camt.053--
          --Carry--> Land, Landed between shards

It decides nothing about a party's money. While it is away payments go on, and money waits.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Final, Protocol

from msgspec import Struct

from actors.courier_commits import Commits
from actors.custody_carries import Carries
from actors.custody_credits import Account, Credits, Settles
from actors.custody_orders import Bank, Orders, Payer
from actors.custody_shards import Shards
from actors.home_messages import (
    AskBank,
    BankSaidTaken,
    Carry,
    ClaimRows,
    CreditMatched,
    Instruct,
    Landed,
)
from actors.link import Dialer, Link
from actors.messages import (
    Changes,
    ClockQuiet,
    ClockSet,
    Message,
    Ping,
    Pong,
    ReadStatus,
    Stats,
    Subscribe,
)
from actors.rounds import Rounds
from actors.test_clock import MovableClock
from payments.ids import IdMint
from payments.storage.custody import CustodyStore

log = logging.getLogger(__name__)

BEFORE_COMMIT: Final = "custody_before_commit"
AFTER_COMMIT: Final = "custody_after_commit"

QUIET_POLL_S: Final = 0.005
QUIET_PATIENCE_S: Final = 5.0
"""How long the test clock waits for shards that do not take what they are told."""

DRAIN_POLL_S: Final = 0.02
ORDERS_POLL_S: Final = 1.0
"""How often orders are looked through for what is due, or has to be said again."""

CARRY_AGAIN_S: Final = 5.0


class CustodyOptions(Struct, frozen=True):
    """What a custody box is told. `names`: what a remittance text may say -> channel account.

    `settles`: channel account -> how it pays. `poll_s`: how often the account is read, real time.
    """

    name: str
    payer: Payer
    names: Mapping[str, str]
    settles: Mapping[str, Settles]
    poll_s: float


class BankDoor(Bank, Account, Protocol):
    """The whole client: orders, and the account."""


class Outside(Protocol):
    """A bank for tests, whose clock goes with the deployment's, and the channels that pay there."""

    async def set_clock(self, offset_ms: int) -> int | None:
        """Let all that is due happen. The next that is due there, business ms."""
        ...

    async def run(self) -> None:
        """The same while nobody moves the clock, until canceled."""
        ...


class CustodyActor:
    """One for each bank. `open`, then `run` beside the links."""

    def __init__(
        self,
        options: CustodyOptions,
        store: CustodyStore,
        bank: BankDoor,
        clock: MovableClock,
        mint: IdMint,
        outside: Outside | None = None,
    ) -> None:
        self.options = options
        self.clock = clock
        self.commits = Commits(store, BEFORE_COMMIT, AFTER_COMMIT)
        self._store = store
        self._bank = bank
        self._mint = mint
        self._outside = outside
        self._tasks: asyncio.TaskGroup | None = None
        self._draining = False
        self._is_open = False
        self._bugs = 0
        self._seen = 0

    def open(self, dialers: Sequence[Dialer], shard_of: Callable[[int], int]) -> None:
        """Own the store, take up what is open. `dialers`: to the shards. Raise StoreRefused."""
        last = self._store.open()
        options = self.options
        self.shards = Shards(dialers, shard_of)
        self.orders = Orders(
            options.payer,
            self._store,
            self.commits,
            self._bank,
            self.shards,
            self.clock,
            self._mint,
        )
        self.orders.open(last)
        self.credits = Credits(
            options.payer.custody,
            options.names,
            options.settles,
            self._store,
            self.commits,
            self._bank,
            self.orders,
            self.shards,
            self.clock,
        )
        self.credits.open()
        self.carries = Carries(self.shards)
        self._ordering = Rounds(self.orders.round, ORDERS_POLL_S)
        self._reading = Rounds(self.credits.round, options.poll_s)
        self._carrying = Rounds(self._carry_again, CARRY_AGAIN_S)
        self._is_open = True

    async def run(self) -> None:
        """Work until canceled; any failure ends all of it, and the process."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            tasks.create_task(self.commits.run(), name="commits")
            tasks.create_task(self._ordering.run(), name="orders")
            tasks.create_task(self._reading.run(), name="account")
            tasks.create_task(self._carrying.run(), name="carries")
            if self._outside is not None:
                tasks.create_task(self._outside.run(), name="outside")

    async def _carry_again(self) -> None:
        self.carries.again()

    async def finish(self) -> None:
        """After `run` was canceled: write the last and close."""
        await self.commits.flush()
        self._store.close()

    # --- links ---------------------------------------------------------------------------------

    def on_link(self, link: Link) -> None:
        if link.peer_role == "directory":
            link.send(Subscribe(self.options.name, 0))
            return
        number = self.shards.number(link) if self._is_open else None
        if number is not None:
            self.orders.say_again(number)
            self.carries.again(number)
            self.credits.hurry()
            self._reading.wake()

    def on_link_lost(self, link: Link) -> None:
        if self._is_open:
            self.shards.lost(link)

    def on_messages(self, link: Link, messages: Sequence[Message]) -> None:
        """Take a frame. Never waits."""
        for message in messages:
            match message:
                case Instruct():
                    if not self._draining and self.orders.instruct(message):
                        self._ordering.wake()
                case AskBank():
                    if self.orders.ask(message):
                        self._ordering.wake()
                case BankSaidTaken():
                    self.orders.taken(message)
                case Carry():
                    self.carries.carry(link, message)
                case Landed():
                    self.carries.heard(message)
                case ClaimRows() | CreditMatched() | Stats():
                    self.shards.answered(message)
                case ClockSet():
                    self._start(self._clock_set(link, message))
                case ReadStatus(ref=ref):
                    link.send(Stats(ref, self.options.name, self.stats()))
                case Ping(ref=ref):
                    link.send(Pong(ref))
                case Changes():
                    continue  # Reference data is for those who decide.
                case _:
                    self._bugs += 1

    def _start(self, work: Coroutine[None, None, None]) -> None:
        assert self._tasks is not None
        try:
            self._tasks.create_task(work)
        except RuntimeError:
            # Something else has failed, and ends the box: its links are about to be lost.
            work.close()
            log.info("the box is ending: what was asked last is not answered")

    # --- the test clock ------------------------------------------------------------------------

    async def _clock_set(self, link: Link, message: ClockSet) -> None:
        """Shards are quiet: what they want of the bank happens before time goes on.

        If anything came of it, shards have something to do in their turn: the clock is told to ask
        all of them again before it jumps.
        """
        self.clock.offset_ms = message.offset_ms
        due: int | None = None
        try:
            async with asyncio.timeout(QUIET_PATIENCE_S):
                if self._outside is not None:
                    due = await self._outside.set_clock(message.offset_ms)
                await self.shards.heard_all()
                self.credits.hurry()
                await self._ordering.settle()
                await self._reading.settle()
                while not self._is_quiet:  # noqa: ASYNC110 - bounded
                    await asyncio.sleep(QUIET_POLL_S)
        except TimeoutError:
            log.info("the test clock goes on without waiting for what is on its way")
        known = [each for each in (due, self.orders.next_due()) if each is not None]
        if self._changes != self._seen:
            self._seen = self._changes
            known.append(self.clock.now_ms())
        link.send(ClockQuiet(message.step, min(known, default=None)))

    @property
    def _is_quiet(self) -> bool:
        is_quiet = self.orders.is_quiet and self.commits.is_quiet
        return is_quiet and not self.carries.under_way

    @property
    def _changes(self) -> int:
        return self.orders.changes + self.credits.changes + self.carries.landed

    # --- the end, and numbers ------------------------------------------------------------------

    async def drain(self, timeout_s: float) -> None:
        """Take no new orders; what is kept and not sent yet leaves, the rest is asked about later.

        Shards are gone by now: what they have not taken is said at the next start.
        """
        self._draining = True
        clock, deadline = self.clock, self.clock.monotonic() + timeout_s
        while self.orders.is_sending and clock.monotonic() < deadline:  # noqa: ASYNC110 - at the end
            await asyncio.sleep(DRAIN_POLL_S)
        await self.commits.durable()

    def stats(self) -> dict[str, float]:
        """Plain numbers for metrics and readiness."""
        numbers: dict[str, float] = {"ready": float(self._is_open), "bugs_total": self._bugs}
        if self._is_open:
            numbers |= self.orders.stats() | self.credits.stats()
            numbers["custody_carries"] = len(self.carries.under_way)
        return numbers
