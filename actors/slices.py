"""Long work of a shard in slices, between which everything else goes on.

slices.add(step)      # step() does a slice, and says whether there is more to do at once
slices.wake()         # there is something to do

turns = Turns(slices, take, most=100)   # things that come many at a time, taken a few a slice
turns.put(thing)
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from payments.clock import Clock

REST: Final = 3
"""So many times as long as a slice took is left to others, while they need the loop."""

TAKEN_MAX: Final = 4
"""Things that one slice takes while nobody else needs the loop; otherwise it takes one."""

T = TypeVar("T")


class Slices:
    """`is_busy`: whether others need the loop; then the work rests after each slice.

    `longest_s`: the longest that a slice has held the loop.
    """

    def __init__(self, clock: Clock, is_busy: Callable[[], bool]) -> None:
        self.is_busy = is_busy
        self.longest_s = 0.0
        self._clock = clock
        self._steps: list[Callable[[], bool]] = []
        self._next: deque[Callable[[], bool]] = deque()
        """Work that has something to do, in turn."""
        self._awake = asyncio.Event()

    def add(self, step: Callable[[], bool]) -> None:
        self._steps.append(step)

    def wake(self) -> None:
        self._awake.set()
        self._next.extend(step for step in self._steps if step not in self._next)

    @property
    def is_due(self) -> bool:
        """Whether a slice would find something to do."""
        return bool(self._next)

    def step(self) -> bool:
        """A slice of the work whose turn it is. Whether there is more."""
        if not self._next:
            return False
        work = self._next.popleft()
        if work() and work not in self._next:
            self._next.append(work)
        return self.is_due

    async def run(self) -> None:
        """Work until cancelled. What fails here ends the process."""
        while True:
            await self._awake.wait()
            self._awake.clear()
            began = self._clock.monotonic()
            while self.step():
                took = self._took(began)
                await asyncio.sleep(took * REST if self.is_busy() else 0)
                began = self._clock.monotonic()
            self._took(began)

    def _took(self, began: float) -> float:
        took = self._clock.monotonic() - began
        self.longest_s = max(self.longest_s, took)
        return took


class Turns(Generic[T]):
    """Things that come many at a time, each taken in its turn. `most`: how many may wait.

    `take` does a little of a thing, and says whether that was all of it.
    """

    def __init__(self, slices: Slices, take: Callable[[T], bool], most: int) -> None:
        self._slices = slices
        self._take = take
        self._most = most
        self._waiting: deque[T] = deque()
        slices.add(self._step)

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, thing: T) -> bool:
        """Have it taken, after those that wait. False when too many wait already."""
        if len(self._waiting) >= self._most:
            return False
        self._waiting.append(thing)
        self._slices.wake()
        return True

    def _step(self) -> bool:
        waiting = self._waiting
        for _ in range(1 if self._slices.is_busy() else TAKEN_MAX):
            if not waiting:
                break
            if self._take(waiting[0]):
                waiting.popleft()
        return bool(waiting)
