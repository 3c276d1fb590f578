"""Long work in slices: others' turns come in between, and what fails is not swallowed."""

import asyncio
from itertools import pairwise

import pytest

from actors.slices import Slices
from payments.clock import SystemClock


async def worked(steps, is_busy=False):
    """Run until the steps are done; how many turns of the loop others had meanwhile."""
    left, turns = [steps], []
    done = asyncio.Event()

    def step():
        left[0] -= 1
        if left[0] == 0:
            done.set()
        return left[0] > 0

    slices = Slices(SystemClock(), lambda: is_busy)
    slices.add(step)
    task = asyncio.create_task(slices.run())
    slices.wake()
    while not done.is_set():
        turns.append(left[0])
        await asyncio.sleep(0)
    task.cancel()
    return turns


@pytest.mark.parametrize("is_busy", [False, True])
async def test_others_have_a_turn_after_every_slice(is_busy):
    """Nobody sees two slices done at once."""
    turns = await worked(20, is_busy)
    seen = [20, *turns, 0]
    assert all(0 <= before - after <= 1 for before, after in pairwise(seen))


async def test_every_work_has_its_slice():
    """One that is done does not keep the other from going on."""
    done = []
    slices = Slices(SystemClock(), lambda: False)
    slices.add(lambda: done.append("short") is not None)
    slices.add(lambda: done.append("long") is None and len(done) < 7)

    while slices.step():
        pass
    assert ["short", "long"] * 4 == done


async def test_a_slice_that_fails_ends_the_work():
    """The shard's task group ends the process with it."""
    slices = Slices(SystemClock(), lambda: False)
    slices.add(lambda: 1 // 0 > 0)
    slices.wake()
    with pytest.raises(ZeroDivisionError):
        await slices.run()
