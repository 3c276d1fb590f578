"""Shards that outnumber the processors let busy commits fill up; nobody else ever waits."""

import asyncio
import os

import pytest

from actors.gathering import BUSY_ROWS, GATHER_MAX_S, Gathering, gather_s, processors


class Time:
    """A clock that moves when somebody rests."""

    def __init__(self):
        self.now = 100.0
        self.rests = []

    def monotonic(self):
        return self.now

    def rest(self, seconds):
        self.rests.append(round(seconds, 6))
        self.now += seconds


@pytest.fixture
def time():
    return Time()


async def test_after_a_busy_commit_the_next_one_begins_when_it_is_due(time):
    gathering = Gathering(0.016, time.monotonic, time.rest)

    gathering.committed(BUSY_ROWS, began=time.now)
    time.now += 0.004
    await gathering.wait()

    assert time.rests == [0.012]
    assert round(time.now - 100.0, 6) == 0.016


async def test_whoever_comes_alone_waits_for_nobody(time):
    """A commit of few rows is followed at once, also right after a busy one was."""
    gathering = Gathering(0.016, time.monotonic, time.rest)

    await gathering.wait()
    gathering.committed(BUSY_ROWS, began=time.now)
    gathering.committed(BUSY_ROWS - 1, began=time.now)
    await gathering.wait()

    assert time.rests == []


async def test_a_commit_that_took_longer_than_the_rest_is_followed_at_once(time):
    """A slow disk gathers by itself; what is left of less than a moment is not worth a rest."""
    gathering = Gathering(0.016, time.monotonic, time.rest)

    for took in (0.0158, 0.016, 0.5):
        gathering.committed(1000, began=time.now)
        time.now += took
        await gathering.wait()

    assert time.rests == []


async def test_a_clock_that_ran_back_does_not_hold_a_shard_up(time):
    gathering = Gathering(0.016, time.monotonic, time.rest)

    gathering.committed(1000, began=time.now)
    time.now -= 3600
    await gathering.wait()

    assert time.rests == [0.016]


async def test_without_gathering_nothing_rests(time):
    gathering = Gathering(0.0, time.monotonic, time.rest)

    gathering.committed(1000, began=time.now)
    await gathering.wait()

    assert time.rests == []


async def test_what_came_during_a_rest_is_taken_in_before_the_commit(time):
    """The loop has a turn to read what waits in its sockets."""
    gathering = Gathering(0.016, time.monotonic, time.rest)
    gathering.committed(1000, began=time.now)
    seen = []
    asyncio.get_running_loop().call_soon(seen.append, "frame")

    await gathering.wait()

    assert seen == ["frame"]


def test_only_shards_that_share_processors_gather():
    """And never for longer than the limit."""
    assert gather_s(1, 1) == 0
    assert all(gather_s(shards, 2 * shards) == 0 for shards in range(1, 65))
    assert all(0 < gather_s(shards, 2 * shards - 1) <= GATHER_MAX_S for shards in range(2, 65))
    assert processors() == len(os.sched_getaffinity(0)) >= 1
