"""Long work of a shard in slices, between which everything else goes on.

slices.add(step)      # step() does a slice, and says whether there is more to do at once
slices.wake()         # there is something to do
"""

import asyncio
from collections.abc import Callable

from payments.clock import Clock


class Slices:
    """`is_busy`: whether others need the loop; then as long as a slice took is left to them."""

    def __init__(self, clock: Clock, is_busy: Callable[[], bool]) -> None:
        self._clock = clock
        self._is_busy = is_busy
        self._steps: list[Callable[[], bool]] = []
        self._awake = asyncio.Event()

    def add(self, step: Callable[[], bool]) -> None:
        self._steps.append(step)

    def wake(self) -> None:
        self._awake.set()

    def step(self) -> bool:
        """A slice of every work that has one. Whether there is more."""
        more = [step() for step in self._steps]
        return any(more)

    async def run(self) -> None:
        """Work until cancelled. What fails here ends the process."""
        while True:
            await self._awake.wait()
            self._awake.clear()
            began = self._clock.monotonic()
            while self.step():
                took = self._clock.monotonic() - began
                await asyncio.sleep(took if self._is_busy() else 0)
                began = self._clock.monotonic()
