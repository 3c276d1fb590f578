"""Long work in slices: others' turns come in between, and what fails is not swallowed."""

import asyncio
from itertools import pairwise

import pytest

from actors.slices import TAKEN_MAX, Slices, Turns
from payments.clock import ManualClock, SystemClock


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

    slices.wake()
    while slices.step():
        pass
    assert ["short", *["long"] * 6] == done


async def test_works_take_turns():
    """One slice each, however much the others have; what is woken again has one turn, not two."""
    done = []
    slices = Slices(SystemClock(), lambda: False)
    slices.add(lambda: done.append("one") is None and len(done) < 6)
    slices.add(lambda: done.append("two") is None and len(done) < 6)

    slices.wake()
    slices.wake()
    while slices.step():
        pass
    assert ["one", "two"] * 3 + ["one"] == done
    assert not slices.is_due
    assert not slices.step()


@pytest.mark.parametrize(("is_busy", "taken"), [(True, 1), (False, TAKEN_MAX)])
def test_things_take_turns_with_everything_else(is_busy, taken):
    """One a slice while payments are under way; one that takes long is gone on with."""
    seen, left = [], {"long": 3}

    def take(thing):
        seen.append(thing)
        left[thing] = left.get(thing, 1) - 1
        return left[thing] == 0

    slices = Slices(SystemClock(), lambda: is_busy)
    turns = Turns(slices, take, most=4)
    assert [True, True, True, True, False] == [turns.put(n) for n in ("long", 2, 3, 4, 5)]

    counts = []
    while slices.is_due:
        before = len(seen)
        slices.step()
        counts.append(len(seen) - before)
    assert ["long"] * 3 + [2, 3, 4] == seen
    assert max(counts) == taken
    assert len(turns) == 0
    assert turns.put(5)


async def test_the_longest_hold_of_the_loop_is_known():
    """The slice that ends the work counts too."""
    clock = ManualClock()
    slices = Slices(clock, lambda: True)
    done = asyncio.Event()
    slices.add(lambda: (clock.advance(2), done.set()) is None)
    task = asyncio.create_task(slices.run())
    slices.wake()
    await done.wait()
    task.cancel()
    assert 2.0 == slices.longest_s


async def test_a_slice_that_fails_ends_the_work():
    """The shard's task group ends the process with it."""
    slices = Slices(SystemClock(), lambda: False)
    slices.add(lambda: 1 // 0 > 0)
    slices.wake()
    with pytest.raises(ZeroDivisionError):
        await slices.run()
