"""Callbacks on their way from a lane to the shard that owns the order, repeated until taken."""

import asyncio
from collections.abc import Callable
from typing import Final

from actors.messages import LaneNotice, Message
from actors.sharing_messages import ShareNews
from payments.channels.base import Notice
from payments.ids import MalformedId, partition_of

NOTICE_PLAN_S: Final = (1.0, 5.0, 15.0, 60.0, 300.0, 1800.0)
"""Real seconds after each sending until the next; after the last the shard's queries must do."""

NOTICES_MAX: Final = 10_000
"""Callbacks that may wait to be taken; the oldest gives way, and a query will learn the same."""

Done = Callable[[bool], None]
Send = Callable[[int, Message], bool]
"""Send to the shard that owns a partition. False when that is not possible just now."""


class Notices:
    """What was sent and not yet taken. `settled` is called whenever something leaves."""

    def __init__(self, send: Send, settled: Callable[[], None]) -> None:
        self._send = send
        self._settled = settled
        self._next_ref = 1
        self._waiting: dict[int, tuple[int, LaneNotice, asyncio.TimerHandle]] = {}
        self._done: dict[int, Done] = {}
        self.counts = {"sent": 0, "repeated": 0, "taken": 0, "dropped": 0}

    def __len__(self) -> int:
        """Callbacks that nobody has taken yet."""
        return len(self._waiting)

    def tell(self, notice: Notice, done: Done | None = None) -> None:
        """Send a callback now, and again by NOTICE_PLAN_S until it is taken.

        `done` is told once: True when the shard has it durably, or it is about nothing of ours;
        False when it was given up.
        """
        try:
            partition = partition_of(notice.out_trade_no)
        except MalformedId:
            self.counts["dropped"] += 1  # An order of somebody else at the same account.
            if done is not None:
                done(True)
            return
        if len(self._waiting) >= NOTICES_MAX:
            self._drop(next(iter(self._waiting)))
        ref, self._next_ref = self._next_ref, self._next_ref + 1
        if done is not None:
            self._done[ref] = done
        message = LaneNotice(ref, notice.out_trade_no, notice.outcome, notice.out_refund_no)
        self._deliver(partition, message, 0)
        self.counts["sent"] += 1

    def hint(self, number: str) -> None:
        """A sharing or return order is worth asking about. Said once: the shard asks anyhow."""
        try:
            self._send(partition_of(number), ShareNews(0, number))
        except MalformedId:
            self.counts["dropped"] += 1  # Somebody else's order at the same account.

    def taken(self, ref: int) -> None:
        """The shard has it, durably. A second word about the same is harmless."""
        waiting = self._waiting.pop(ref, None)
        if waiting is not None:
            waiting[2].cancel()
            self.counts["taken"] += 1
            self._tell_done(ref, is_taken=True)
            self._settled()

    def close(self) -> None:
        """Stop repeating."""
        for _, _, timer in self._waiting.values():
            timer.cancel()
        self._waiting.clear()
        self._done.clear()

    def _deliver(self, partition: int, message: LaneNotice, tries: int) -> None:
        timer = asyncio.get_running_loop().call_later(
            NOTICE_PLAN_S[tries], self._repeat, message.ref, tries + 1
        )
        self._waiting[message.ref] = (partition, message, timer)
        self._send(partition, message)  # Not possible? Then the plan sends it again.

    def _repeat(self, ref: int, tries: int) -> None:
        partition, message, _ = self._waiting[ref]
        if tries >= len(NOTICE_PLAN_S):
            self._drop(ref)
            return
        self.counts["repeated"] += 1
        self._deliver(partition, message, tries)

    def _drop(self, ref: int) -> None:
        self._waiting.pop(ref)[2].cancel()
        self.counts["dropped"] += 1
        self._tell_done(ref, is_taken=False)
        self._settled()

    def _tell_done(self, ref: int, *, is_taken: bool) -> None:
        done = self._done.pop(ref, None)
        if done is not None:
            done(is_taken)
