"""Rounds: woken, polled, and awaited without a round more than that takes."""

import asyncio

from actors.rounds import Rounds

LONG_S = 60.0


class Work:
    """Rounds that last until they are let go, one by one."""

    def __init__(self):
        self.begun = self.ended = 0
        self.gate = asyncio.Semaphore(0)

    async def __call__(self):
        self.begun += 1
        await self.gate.acquire()
        self.ended += 1


async def ticks(count=20):
    for _ in range(count):
        await asyncio.sleep(0)


async def test_settling_waits_for_a_round_that_begins_from_now_on_and_leaves_none_behind():
    """One is under way: it may have begun too early, so that the next one counts, and no third."""
    work = Work()
    rounds = Rounds(work, LONG_S)
    running = asyncio.create_task(rounds.run())
    await ticks()
    settled = asyncio.create_task(rounds.settle())
    work.gate.release()
    await ticks()
    assert (False, 1, 2) == (settled.done(), work.ended, work.begun)

    work.gate.release()
    await ticks()

    assert (True, 2, 2) == (settled.done(), work.ended, work.begun)
    running.cancel()


async def test_settling_between_rounds_takes_one():
    work = Work()
    rounds = Rounds(work, LONG_S)
    running = asyncio.create_task(rounds.run())
    work.gate.release()
    await ticks()
    settled = asyncio.create_task(rounds.settle())
    await ticks()
    assert (False, 2) == (settled.done(), work.begun)

    work.gate.release()
    await ticks()

    assert (True, 2, 2) == (settled.done(), work.ended, work.begun)
    running.cancel()


async def test_a_wake_during_a_round_begins_the_next_at_once():
    work = Work()
    rounds = Rounds(work, LONG_S)
    running = asyncio.create_task(rounds.run())
    await ticks()
    rounds.wake()
    work.gate.release()
    await ticks()

    assert 2 == work.begun
    running.cancel()
