"""The side of a test channel that no real one has: payers who act when told, and open books.

The simulated channel answers at once, for it is here; a sandbox is asked over its socket.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from inspect import isawaitable
from typing import Final, Protocol, runtime_checkable

from msgspec import DecodeError

from actors.calls import Peer
from actors.messages import LaneAct, LaneBookList, LaneReply
from payments.channels.base import Book, Declined, Outcome, PayOrder, Unknown
from payments.channels.transport import NoAnswer, NotSent

log = logging.getLogger(__name__)

BOOKS_PER_MESSAGE: Final = 2_000
ACT_MAX_S: Final = 10.0
"""A sandbox that says nothing for so long is not waited for."""

NOT_A_TEST: Final = Declined("channel_error", "only a test channel has a payer to act for")


@runtime_checkable
class HasTestPayers(Protocol):
    """A channel for tests: payers that act when told, and open books."""

    def act(self, out_trade_no: str, verb: str) -> Outcome | Awaitable[Outcome]: ...
    def books(self) -> list[Book] | Awaitable[list[Book]]: ...
    def is_scripted(self, order: PayOrder) -> bool: ...


@runtime_checkable
class HasClock(Protocol):
    """A channel for tests whose own clock goes with the deployment's."""

    async def set_clock(self, offset_ms: int) -> int | None:
        """The channel's next timer in business ms, once all that was due has happened."""
        ...


class TestPayers:
    """Acts and books of one lane. `lost()` is told of each answer that could not be sent."""

    __test__ = False  # A name that pytest would take for a class of tests.

    def __init__(self, name: str, channel: object, lost: Callable[[], None]) -> None:
        self._name = name
        self._channel = channel if isinstance(channel, HasTestPayers) else None
        self._lost = lost
        self._errands: set[asyncio.Task[None]] = set()

    def is_scripted(self, order: PayOrder) -> bool:
        """Whether what happens to an order was ordered by a test, and says nothing of health."""
        return self._channel is not None and self._channel.is_scripted(order)

    def act(self, link: Peer, message: LaneAct) -> None:
        if self._channel is None:
            self._acted(link, message, NOT_A_TEST)
            return
        try:
            outcome = self._channel.act(message.out_trade_no, message.verb)
        except (OSError, ValueError) as error:
            outcome = Declined("channel_error", str(error))
        if isawaitable(outcome):
            self.errand(self._act_there(link, message, outcome))
        else:
            self._acted(link, message, outcome)

    async def _act_there(self, link: Peer, message: LaneAct, outcome: Awaitable[Outcome]) -> None:
        try:
            async with asyncio.timeout(ACT_MAX_S):
                found = await outcome
        except TimeoutError:
            found = Unknown("the sandbox did not answer")
        self._acted(link, message, found)

    def _acted(self, link: Peer, message: LaneAct, outcome: Outcome) -> None:
        if not link.send(LaneReply(message.ref, message.out_trade_no, outcome)):
            self._lost()

    def send_books(self, link: Peer, ref: int) -> None:
        self.errand(self._send_books(link, ref))

    async def _send_books(self, link: Peer, ref: int) -> None:
        books: list[Book] = []
        if self._channel is not None:
            try:
                found = self._channel.books()
                books = await found if isawaitable(found) else found
            except (NotSent, NoAnswer, DecodeError) as error:
                link.send(LaneBookList(ref, (), True, f"the sandbox does not say it: {error}"))
                return
        for start in range(0, len(books), BOOKS_PER_MESSAGE):
            last = start + BOOKS_PER_MESSAGE >= len(books)
            part = tuple(books[start : start + BOOKS_PER_MESSAGE])
            if not link.send(LaneBookList(ref, part, last)):
                self._lost()
                return
            await asyncio.sleep(0)  # A frame each: payments pass in between.
        if not books:
            link.send(LaneBookList(ref, (), True))

    def errand(self, work: Coroutine[None, None, None]) -> None:
        """Something that takes time and is nobody's payment."""
        task = asyncio.get_running_loop().create_task(work)
        self._errands.add(task)
        task.add_done_callback(self._errand_done)

    def _errand_done(self, task: asyncio.Task[None]) -> None:
        self._errands.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("lane %s: an errand failed", self._name, exc_info=error)

    def close(self) -> None:
        for errand in self._errands:
            errand.cancel()
