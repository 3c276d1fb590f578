"""Gathering: shards of one process let a busy one's next commit fill up.

Each shard commits as soon as something waits. Alone in its process that is right: while one commit
is under way, the next fills. Several shards of one process each get a part of its payments, so that
each would commit as often for fewer of them, and a commit has a price of its own. The next commit
of a busy one waits until it is due, while the loop serves the others: later answers, by
milliseconds, for fewer and fuller commits. All are due at the same moments, one after the other
through code and answers that are warm from the one before. docs/adr/0016.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

SHARD_S: Final = 0.008
"""So far apart are the moments when busy commits begin, for each shard of the process."""

GATHER_MAX_S: Final = 0.040
"""Never further apart, however many they are."""

BUSY_ROWS: Final = 8
"""A commit of fewer rows is followed by the next one at once: nobody waits for company."""

WAIT_MIN_S: Final = 0.0003
"""Shorter waits cost more than they bring."""


def gather_s(boxes: int) -> float:
    """Seconds from one such moment to the next, with so many in the process.

    >>> gather_s(1), gather_s(2), gather_s(4), gather_s(64)
    (0.0, 0.016, 0.032, 0.04)
    """
    return 0.0 if boxes == 1 else min(GATHER_MAX_S, SHARD_S * boxes)


class Gathering:
    """When a shard's next commit may begin. Seconds throughout; `every_s` 0: always at once."""

    def __init__(
        self,
        every_s: float,
        monotonic: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._every_s = every_s
        self._monotonic = monotonic
        self._sleep = sleep
        self._due = 0.0

    def committed(self, rows: int, began: float) -> None:
        """A commit of so many rows, begun then, is durable."""
        every_s, self._due = self._every_s, 0.0
        if every_s and rows >= BUSY_ROWS:
            # Counted from the clock's zero, so that neighbours who never met agree.
            self._due = (began // every_s + 1) * every_s

    async def wait(self) -> None:
        """Let others go on until the next commit may begin."""
        left_s = self._due - self._monotonic() if self._every_s else 0.0
        if left_s >= WAIT_MIN_S:
            await self._sleep(min(left_s, self._every_s))
