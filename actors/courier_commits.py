"""Group commit of a box beside the shards: what comes while one commit runs is the next one.

Who needs to know that a step is durable says so with it. A commit that fails raises out of `run`
and ends the process: what was decided since stood on it.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from payments.storage.side import SideStore, Step

STEPS_MAX: Final = 50_000
"""Steps that may wait for a commit; who would add more waits until they are fewer."""

BEFORE_COMMIT: Final = "courier_before_commit"
AFTER_COMMIT: Final = "courier_after_commit"


class Commits:
    """`reach`: told `before` and `after` each commit; a test may end it all there."""

    def __init__(
        self,
        store: SideStore[list[Step]],
        before: str = BEFORE_COMMIT,
        after: str = AFTER_COMMIT,
    ) -> None:
        self._store = store
        self._before, self._after_name = before, after
        self._steps: list[Step] = []
        self._after: list[Callable[[], None]] = []
        self._wake = asyncio.Event()
        self._is_running = False
        self.reach: Callable[[str], None] | None = None
        self.count = 0

    def add(self, *steps: Step, after: Callable[[], None] | None = None) -> None:
        """Steps of the next commit, in this order; `after` is called when they are durable."""
        self._steps += steps
        if after is not None:
            self._after.append(after)
        self._wake.set()

    async def durable(self, *steps: Step) -> None:
        """Add steps and wait until they, and all before them, are durable."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.add(*steps, after=lambda: None if done.done() else done.set_result(None))
        await done

    @property
    def is_full(self) -> bool:
        return len(self._steps) >= STEPS_MAX

    @property
    def is_quiet(self) -> bool:
        """Whether nothing waits to be written or told."""
        return not (self._steps or self._after or self._is_running)

    async def run(self) -> None:
        """Commit until canceled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self.flush()

    async def flush(self) -> None:
        """Write what waits, now."""
        steps, self._steps = self._steps, []
        after, self._after = self._after, []
        self._is_running = True
        if steps:
            if self.reach is not None:
                self.reach(self._before)
            await self._store.commit(steps)
            self.count += 1
            if self.reach is not None:
                self.reach(self._after_name)
        for tell in after:
            tell()
        self._is_running = False
