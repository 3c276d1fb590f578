"""Shards of one process let busy commits fill up; nobody else ever waits."""

import pytest

from actors.gathering import BUSY_ROWS, GATHER_MAX_S, Gathering, gather_s

EVERY_S = 1 / 64
"""A moment has no rounding error in it."""


class Time:
    """A clock that moves when somebody sleeps."""

    def __init__(self):
        self.now = 100.0
        self.sleeps = []

    def monotonic(self):
        return self.now

    async def sleep(self, seconds):
        self.sleeps.append(round(seconds, 6))
        self.now += seconds


@pytest.fixture
def time():
    return Time()


async def test_a_busy_shard_begins_its_commits_at_a_distance(time):
    gathering = Gathering(EVERY_S, time.monotonic, time.sleep)
    time.now += 1
    gathering.committed(BUSY_ROWS, began=time.now)
    time.now += 0.006  # The commit took that long.
    await gathering.wait()
    assert time.sleeps == [round(EVERY_S - 0.006, 6)]


async def test_neighbours_begin_together(time):
    """Whenever their last commits began: at the next moment, the same for all of the process."""
    ours, theirs = (Gathering(EVERY_S, time.monotonic, time.sleep) for _ in range(2))
    ours.committed(BUSY_ROWS, began=time.now)
    theirs.committed(BUSY_ROWS, began=time.now + 0.011)
    time.now += 0.012
    await ours.wait()
    await theirs.wait()
    assert time.sleeps == [round(EVERY_S - 0.012, 6)]
    assert 100 + EVERY_S == pytest.approx(time.now)


async def test_who_is_not_busy_never_waits(time):
    gathering = Gathering(EVERY_S, time.monotonic, time.sleep)
    await gathering.wait()
    gathering.committed(BUSY_ROWS, began=time.now)
    gathering.committed(BUSY_ROWS - 1, began=time.now)
    await gathering.wait()
    assert time.sleeps == []


async def test_a_commit_that_took_longer_is_followed_at_once(time):
    gathering = Gathering(EVERY_S, time.monotonic, time.sleep)
    for took in (EVERY_S, EVERY_S - 0.0002, 0.5):
        gathering.committed(1000, began=time.now)
        time.now += took
        await gathering.wait()
    assert time.sleeps == []


async def test_a_clock_that_runs_backwards_never_makes_a_wait_longer(time):
    gathering = Gathering(EVERY_S, time.monotonic, time.sleep)
    gathering.committed(1000, began=time.now + 3600)
    await gathering.wait()
    assert time.sleeps == [round(EVERY_S, 6)]


async def test_without_gathering_nothing_waits(time):
    gathering = Gathering(0.0, time.monotonic, time.sleep)
    gathering.committed(1000, began=time.now)
    await gathering.wait()
    assert time.sleeps == []


def test_only_shards_of_one_process_gather():
    assert gather_s(1) == 0
    assert all(gather_s(boxes - 1) <= gather_s(boxes) <= GATHER_MAX_S for boxes in range(2, 65))
    assert gather_s(2) > 0
