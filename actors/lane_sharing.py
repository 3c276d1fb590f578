"""A lane's part in dividing held money: it asks the channel and says what it learned.

What is lost here is asked again by the shard under the same number. Whatever is no answer of the
channel is Unclear: the order may have reached it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from actors.calls import Peer
from actors.sharing_messages import LaneShare, LaneShared
from payments.channels.base import Channel
from payments.channels.sharing import Answered, SharesMoney, Unclear

log = logging.getLogger(__name__)

RUNNING_MAX: Final = 64
"""Questions at the channel at one time; the shard asks again what comes on top."""

NO_ROOM: Final = Unclear("the lane is full")
NOBODY: Final = Unclear("this channel divides nothing")
NO_ANSWER: Final = Unclear("no answer")


class LaneSharing:
    """`settled`: told when a question has ended. `reach`: told when the channel did it."""

    def __init__(
        self,
        channel: Channel,
        timeout_ms: int,
        settled: Callable[[], None],
        reach: Callable[[str], None],
    ) -> None:
        shares = getattr(channel, "sharing", None)
        self._shares = shares if isinstance(shares, SharesMoney) else None
        self._timeout_s = timeout_ms / 1000
        self._settled = settled
        self._reach = reach
        self._running: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._running)

    def take(self, link: Peer, message: LaneShare) -> None:
        """Ask the channel, and answer the shard once."""
        if self._shares is None:
            self._say(link, message, NOBODY)
        elif len(self._running) >= RUNNING_MAX:
            self._say(link, message, NO_ROOM)
        else:
            task = asyncio.get_running_loop().create_task(self._ask(link, message, self._shares))
            self._running.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._running.discard(task)
        self._settled()

    async def _ask(self, link: Peer, message: LaneShare, shares: SharesMoney) -> None:
        try:
            async with asyncio.timeout(self._timeout_s):
                answer = await _call(shares, message)
        except TimeoutError:
            answer = NO_ANSWER
        except Exception as error:
            log.warning("connector failed in %s", message.op, exc_info=error)
            answer = Unclear(f"the connector failed: {type(error).__name__}")
        self._reach(message.op)
        self._say(link, message, answer)

    @staticmethod
    def _say(link: Peer, message: LaneShare, answer: Answered) -> None:
        number = "" if message.order is None else message.order.number
        if message.back is not None:
            number = message.back.return_no
        link.send(LaneShared(message.ref, message.op, message.id, answer, message.holder, number))

    def close(self) -> None:
        """Stop asking: whoever waits asks again."""
        for task in self._running:
            task.cancel()


def _call(shares: SharesMoney, message: LaneShare) -> Awaitable[Answered]:
    if message.op == "register":
        assert message.holder is not None
        return shares.register(message.holder, message.merchant)
    if message.back is not None:
        assert message.op in ("take_back", "inquire_return"), message.op
        is_new = message.op == "take_back"
        return shares.take_back(message.back) if is_new else shares.inquire_return(message.back)
    assert message.order is not None
    if message.op == "share":
        return shares.share(message.order)
    assert message.op == "inquire_share", message.op
    return shares.inquire_share(message.order)
