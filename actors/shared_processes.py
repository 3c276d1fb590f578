"""Which shards share a process: no more processes of shards than there are processors for them.

A shard is a store and a part of the merchants; a process is a place on a processor. Processes that
outnumber the processors push each other out of their caches, and each wakes for a few frames at a
time. Shards in one process share its code, its loop and its turns. docs/adr/0016.
"""

import os
from typing import Final

from actors.process import Shared

PROCESS_PREFIX: Final = "shards"


def processors() -> int:
    """How many this process may run on."""
    return len(os.sched_getaffinity(0))


def processes_for(shards: int, free: int, asked: int = 0) -> int:
    """Processes for so many shards; `free`: processors; `asked`: by the settings, 0 for nothing.

    Half of the processors, because front doors and lanes need as much as the shards.

    >>> [processes_for(shards, 2) for shards in (1, 2, 4)], processes_for(4, 8), processes_for(4, 1)
    ([1, 1, 1], 4, 1)
    >>> processes_for(4, 2, asked=2), processes_for(4, 2, asked=9)
    (2, 4)
    """
    return min(shards, asked or max(1, free // 2))


def shared(number: int, shards: int, processes: int) -> Shared | None:
    """Where the shard of that number lives; None: in a process of its own.

    >>> shared(3, 4, 2)
    Shared(process='shards-1', boxes=2, is_first=False)
    >>> shared(2, 3, 2) is None, shared(0, 3, 2)
    (False, Shared(process='shards-0', boxes=2, is_first=True))
    >>> shared(1, 3, 2) is None
    True
    """
    boxes = len(range(number % processes, shards, processes))
    if boxes == 1:
        return None
    return Shared(f"{PROCESS_PREFIX}-{number % processes}", boxes, number < processes)
