"""Callbacks of the channel: verified by the connector, durable in the shard, then answered.

The channel hears "taken" only when the shard has committed what the callback said. What takes
longer is refused, so that the channel tells us again: a second word about the same is harmless.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from actors.calls import Peer
from actors.messages import CallbackAnswered, HearCallback
from actors.notices import Notices
from payments.channels.transport import Callback, CallbackAnswer, Heard, TakesCallbacks

log = logging.getLogger(__name__)

ANSWER_MS: Final = 4_000
"""What is not durable by then is refused. The most impatient channel waits 5 s."""

HEARING_MAX: Final = 256
"""Callbacks of one lane in hand; more are refused, and the channel tells them again."""

BUSY: Final = CallbackAnswer(503, "text/plain", b"busy")
DEAF: Final = CallbackAnswer(404, "text/plain", b"this channel has no callbacks")
FAILED: Final = CallbackAnswer(500, "text/plain", b"failed")


class Hearing:
    """The callbacks that one lane has in hand. `settled` is called whenever one leaves."""

    def __init__(
        self, name: str, channel: object, notices: Notices, settled: Callable[[], None]
    ) -> None:
        self._name = name
        self._channel: TakesCallbacks | None = channel if hasattr(channel, "hear") else None
        self._notices = notices
        self._settled = settled
        self._tasks: set[asyncio.Task[None]] = set()
        self.counts = {"taken": 0, "refused": 0, "late": 0, "busy": 0, "failed": 0}

    def __len__(self) -> int:
        """Callbacks that are not answered yet."""
        return len(self._tasks)

    def hear(self, link: Peer, message: HearCallback) -> None:
        """Take a callback in hand; its answer goes back over the link that brought it."""
        channel = self._channel
        if channel is None:
            self._answer(link, message.ref, DEAF)
        elif len(self._tasks) >= HEARING_MAX:
            self.counts["busy"] += 1
            self._answer(link, message.ref, BUSY)
        else:
            work = self._hear(channel, link, message)
            task = asyncio.get_running_loop().create_task(work)
            self._tasks.add(task)
            task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._settled()

    async def _hear(self, channel: TakesCallbacks, link: Peer, message: HearCallback) -> None:
        heard: Heard | None = None
        try:
            async with asyncio.timeout(ANSWER_MS / 1000):
                heard = await channel.hear(
                    Callback(message.method, message.query, message.headers, message.body)
                )
                answer, kind = await self._made_durable(heard)
        except TimeoutError:
            answer, kind = BUSY if heard is None else heard.refusal, "late"
        except Exception as error:
            # What stands in a callback is a stranger's: it must not end the lane.
            log.error("lane %s: a callback failed", self._name, exc_info=error)
            answer, kind = FAILED, "failed"
        self.counts[kind] += 1
        self._answer(link, message.ref, answer)

    async def _made_durable(self, heard: Heard) -> tuple[CallbackAnswer, str]:
        """The answer, once the shard has the notice in its store."""
        if heard.notice is None:
            if heard.hint:
                self._notices.hint(heard.hint)
            return heard.answer, "refused" if heard.answer.status >= 300 else "taken"
        taken: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        def done(is_taken: bool) -> None:
            if not taken.done():
                taken.set_result(is_taken)

        self._notices.tell(heard.notice, done)
        if await taken:
            return heard.answer, "taken"
        return heard.refusal, "late"

    def _answer(self, link: Peer, ref: int, answer: CallbackAnswer) -> None:
        # Lost with its link? Then the channel tells us again.
        link.send(CallbackAnswered(ref, answer.status, answer.content_type, answer.body))

    def close(self) -> None:
        for task in self._tasks:
            task.cancel()
