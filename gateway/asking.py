"""What a front door asks of shards and directory: commands out, answers in, nothing asked twice.

A command goes out with a `ref` and comes back as an answer to whoever waits: a coroutine or the
express lane's callback. When a shard is lost with commands in flight they are sent once more after
it is back, for their ids make that safe; what nobody answers in time is *unknown*, never failed.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from actors.event_messages import CourierAsk
from actors.fair import FairQueue
from actors.home_messages import HomeAsk
from actors.link import Dialer, Handler, Identity, Link
from actors.messages import (
    Answer,
    CancelPayment,
    DirectoryAsk,
    Message,
    ReadBalances,
    ReadBooks,
    ReadList,
    ReadOne,
    ReadStatus,
    Refusal,
    Stats,
)
from actors.net import Network
from actors.placement import COURIER, DIRECTORY, RECONCILER, Placement, shard_name
from gateway.edge import SWEEP_S
from gateway.errors import from_refusal
from payments.errors import OutcomeUnknown, Overloaded, QuotaExceeded

MARGIN_S: Final = 10.0
"""How long after the wait that a client asked for a shard's answer is given up."""

LINK_QUEUE_MAX: Final = 4_096
"""Commands of one front door that may wait before the link to a shard."""

MERCHANT_LINK_QUEUE_MAX: Final = 1_024
"""Of those, commands of one merchant; more are that merchant's own quota."""

STATS_PATIENCE_S: Final = 2.0
READING_OPS: Final = frozenset({"list", "get", "deliveries", "webhooks"})
"""How the operations on reference data and webhooks end that change nothing."""

READS: Final = (ReadOne, ReadList, ReadBooks, ReadStatus, ReadBalances)

Reaction = Answer | Refusal | Stats
Deliver = Callable[[Reaction], None]


class Pending:
    """A command whose answer is awaited. `deadline`: seconds of the loop's clock."""

    __slots__ = ("deadline", "deliver", "link", "message", "resent", "to")

    def __init__(
        self, deliver: Deliver, deadline: float, link: Link | None, message: Any, to: Dialer
    ) -> None:
        self.deliver = deliver
        self.deadline = deadline
        self.link = link
        self.message = message
        self.to = to
        self.resent = False


class Asker:
    """The links of one front door, and what is in flight on them."""

    def __init__(
        self,
        handler: Handler,
        identity: Identity,
        network: Network,
        address: Callable[[str], str],
        placement: Placement,
    ) -> None:
        self._pending: dict[int, Pending] = {}
        self._ref = 0
        self._fair: dict[Link, FairQueue[Any]] = {}
        self.now = 1.0
        """The loop's clock, read a few times a second: fine for deadlines."""
        shards = [shard_name(number) for number in range(placement.shards)]
        self.shards = [
            Dialer(network, lambda name=name: address(name), handler, identity)  # type: ignore[misc]
            for name in shards
        ]
        self.directory = Dialer(network, lambda: address(DIRECTORY), handler, identity)
        self.courier = Dialer(network, lambda: address(COURIER), handler, identity)
        self.reconciler = Dialer(network, lambda: address(RECONCILER), handler, identity)
        self._shard_of = [self.shards[number] for number in placement.shard_of]

    def __len__(self) -> int:
        """Commands in flight."""
        return len(self._pending)

    def shard(self, partition: int) -> Dialer:
        return self._shard_of[partition]

    def post(self, to: Dialer, message: Any, patience_s: float, deliver: Deliver) -> None:
        """Send a command; `deliver` hears the answer. Raise Overloaded when it cannot be sent."""
        link = to.link
        if link is None:
            raise Overloaded("a part of the gateway is starting; try again", retry_after_s=1)
        self._ref = ref = self._ref + 1
        message.ref = ref
        if link.congested or self._fair.get(link):
            self._queue_fairly(link, message)
        elif not link.send(message):
            raise Overloaded("a queue to a shard is full; try again", retry_after_s=1)
        self._pending[ref] = Pending(deliver, self.now + patience_s + MARGIN_S, link, message, to)

    async def ask(self, to: Dialer, message: Any, patience_s: float) -> Answer:
        """Send a command and wait for its answer; a Refusal is raised as the error it names."""
        reaction = await self._ask(to, message, patience_s)
        if type(reaction) is Answer:
            return reaction
        assert isinstance(reaction, Refusal), reaction
        raise from_refusal(reaction.code, reaction.detail, reaction.param, reaction.retry_after)

    async def _ask(self, to: Dialer, message: Any, patience_s: float) -> Reaction:
        future: asyncio.Future[Reaction] = asyncio.get_running_loop().create_future()

        def deliver(reaction: Reaction) -> None:
            if not future.done():
                future.set_result(reaction)

        self.post(to, message, patience_s, deliver)
        return await future

    async def stats_of(self, to: Dialer, kind: str = "stats") -> Stats | None:
        """A shard's numbers, or None when it is not there."""
        if to.link is None:
            return None
        patience_s = STATS_PATIENCE_S - MARGIN_S
        reaction = await self._ask(to, ReadStatus(0, kind), patience_s)
        return reaction if isinstance(reaction, Stats) else None

    def answered(self, message: Reaction) -> None:
        """An answer arrived."""
        waiting = self._pending.pop(message.ref, None)
        if waiting is not None:
            waiting.deliver(message)

    # --- waiting before a link that is behind ----------------------------------------------------

    def _queue_fairly(self, link: Link, message: Any) -> None:
        """The link is behind: wait in the merchant's own line, so that a flood delays itself."""
        queue = self._fair.get(link)
        if queue is None:
            queue = FairQueue(total_max=LINK_QUEUE_MAX, key_max=MERCHANT_LINK_QUEUE_MAX)
            self._fair[link] = queue
            link.refill = lambda: self._refill(link)
        merchant = getattr(message, "merchant", None) or ""
        if not queue.put(merchant, message):
            if queue.waiting(merchant) >= MERCHANT_LINK_QUEUE_MAX:
                raise QuotaExceeded("too many requests of this merchant wait", retry_after_s=1)
            raise Overloaded("a queue to a shard is full; try again", retry_after_s=1)

    def _refill(self, link: Link) -> None:
        queue = self._fair.get(link)
        while queue and not link.congested:
            taken = queue.get()
            if taken is None or not link.send(taken[1]):
                return

    # --- losses and deadlines --------------------------------------------------------------------

    def lost(self, link: Link) -> None:
        """Commands in flight there are sent once more when the shard is back: their ids stay."""
        self._fair.pop(link, None)
        for waiting in self._pending.values():
            if waiting.link is link:
                waiting.link = None

    async def sweep(self) -> None:
        """Give up what nobody answered; send again what a lost link may have swallowed."""
        self.now = asyncio.get_running_loop().time()
        while True:
            await asyncio.sleep(SWEEP_S / 2)
            self.now = now = asyncio.get_running_loop().time()
            for ref, waiting in list(self._pending.items()):
                if waiting.link is None and not _may_repeat(waiting.message):
                    del self._pending[ref]
                    self._give_up(ref, waiting)
                    continue
                if waiting.link is None and not waiting.resent:
                    link = waiting.to.link
                    if link is not None and _send_again(link, waiting.message):
                        waiting.link = link
                        waiting.resent = True
                if now > waiting.deadline or (waiting.link is None and waiting.resent):
                    del self._pending[ref]
                    self._give_up(ref, waiting)

    def _give_up(self, ref: int, waiting: Pending) -> None:
        if _only_reads(waiting.message):
            refusal = Refusal(ref, Overloaded.code, "a shard did not answer; try again", None, 1)
        else:
            refusal = Refusal(
                ref,
                OutcomeUnknown.code,
                "it may have happened: repeat the request with the same Idempotency-Key",
                None,
                1,
            )
        waiting.deliver(refusal)

    def hurry(self) -> None:
        """Who waits for a payer hears how it stands: the same command again, without patience."""
        for waiting in self._pending.values():
            message = waiting.message
            if getattr(message, "wait_ms", 0) and waiting.link is not None:
                message.wait_ms = 0
                _send_again(waiting.link, message)


def _only_reads(message: Message) -> bool:
    """Whether a command changes nothing, however often it is sent."""
    if isinstance(message, CourierAsk | DirectoryAsk | HomeAsk):
        return message.op.rpartition(".")[2] in READING_OPS
    return isinstance(message, READS)


def _may_repeat(message: Message) -> bool:
    """Whether a command whose answer is lost may be sent again: its id keeps it one.

    What the directory or the courier was asked to change has no id: whether it did is unknown. So
    it is on the way home for what has no Idempotency-Key.
    """
    if _only_reads(message):
        return True
    if isinstance(message, HomeAsk):
        return message.key_digest is not None
    return not isinstance(message, CourierAsk | DirectoryAsk)


def _send_again(link: Link, message: Message) -> bool:
    """Repeat a command whose answer may be lost.

    A cancel has no id: one that was taken has used up its nonce, and canceling twice is canceling
    once.
    """
    if isinstance(message, CancelPayment):
        message.nonce = 0
    return link.send(message)
