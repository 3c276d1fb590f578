"""Work that is done again and again: at once when woken, else now and then."""

import asyncio
from collections.abc import Awaitable, Callable


class Rounds:
    """`work`: one round of it. `poll_s`: the longest pause between two rounds, real seconds."""

    def __init__(self, work: Callable[[], Awaitable[None]], poll_s: float) -> None:
        self._work = work
        self._poll_s = poll_s
        self._wake = asyncio.Event()
        self._done = asyncio.Event()
        self._is_working = False
        self._count = 0

    def wake(self) -> None:
        """There is something to do."""
        self._wake.set()

    async def run(self) -> None:
        """Work until canceled; what a round raises comes out of here."""
        while True:
            self._wake.clear()
            self._is_working = True
            await self._work()
            self._is_working = False
            self._count += 1
            self._done.set()
            try:
                async with asyncio.timeout(self._poll_s):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def settle(self) -> None:
        """Wait until a round that begins from now on has ended."""
        target = self._count + (2 if self._is_working else 1)
        self._wake.set()  # Once: a wake for each wait would leave a round that nobody awaits.
        while self._count < target:
            self._done.clear()
            await self._done.wait()
