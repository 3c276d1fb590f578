"""Gathering: where shards outnumber the processors, a busy one lets its next commit fill up.

Each shard commits as soon as something waits. Alone on a processor that is right: while one commit
is under way, the next fills. Several shards that share processors each get a part of the payments,
so that each commits as often for fewer of them, and wakes for every frame in between. A busy one
rests until its next commit is due: later answers, by milliseconds, for fewer and fuller commits.
The whole thread rests: frames wait in their sockets and are read in one go. docs/adr/0014.
"""

import asyncio
import os
from collections.abc import Callable
from typing import Final

from payments import clock

SHARD_S: Final = 0.004
"""So far apart the busy commits of a shard begin, for each shard that shares the processors."""

GATHER_MAX_S: Final = 0.020
"""Never further apart, however many they are: a shard that rests does nothing else."""

BUSY_ROWS: Final = 8
"""A commit of fewer rows is followed by the next one at once: nobody waits for company."""

REST_MIN_S: Final = 0.0003
"""Shorter rests cost more than they bring."""


def gather_s(shards: int, processors: int) -> float:
    """Seconds from one busy commit's beginning to the next one's; 0 where each has room.

    A shard needs a processor, and its share of front doors and lanes needs another.

    >>> gather_s(1, 2), gather_s(2, 2), gather_s(4, 2), gather_s(64, 2), gather_s(4, 8)
    (0.0, 0.008, 0.016, 0.02, 0.0)
    """
    if shards == 1 or 2 * shards <= processors:
        return 0.0
    return min(GATHER_MAX_S, SHARD_S * shards)


def processors() -> int:
    """How many this process may run on."""
    return len(os.sched_getaffinity(0))


class Gathering:
    """When a shard's next commit may begin. Seconds throughout; `every_s` 0: always at once."""

    def __init__(
        self,
        every_s: float,
        monotonic: Callable[[], float],
        rest: Callable[[float], None] = clock.rest,
    ) -> None:
        self._every_s = every_s
        self._monotonic = monotonic
        self._rest = rest
        self._due = 0.0

    def committed(self, rows: int, began: float) -> None:
        """A commit of so many rows, begun then, is durable."""
        self._due = began + self._every_s if rows >= BUSY_ROWS else 0.0

    async def wait(self) -> None:
        """Rest until the next commit may begin, then take in what came meanwhile."""
        left_s = self._due - self._monotonic() if self._every_s else 0.0
        if left_s >= REST_MIN_S:
            self._rest(min(left_s, self._every_s))
            await asyncio.sleep(0)
