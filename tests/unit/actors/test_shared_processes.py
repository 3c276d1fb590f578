"""Shards share processes where there are more of them than processors have room for."""

import os
from collections import Counter

import pytest

from actors.shared_processes import processes_for, processors, shared


@pytest.mark.parametrize("shards", [1, 2, 3, 4, 7, 64])
@pytest.mark.parametrize("free", [1, 2, 3, 4, 8, 128])
@pytest.mark.parametrize("asked", [0, 1, 2, 5, 1_000])
def test_every_shard_lives_somewhere_and_processes_are_evenly_filled(shards, free, asked):
    processes = processes_for(shards, free, asked)
    places = [shared(number, shards, processes) for number in range(shards)]
    sizes = Counter(place.process for place in places if place is not None)
    alone = places.count(None)

    assert 1 <= processes <= shards
    assert processes == (min(shards, asked) if asked else min(shards, max(1, free // 2)))
    assert len(sizes) + alone == processes
    assert sum(sizes.values()) + alone == shards
    assert max(sizes.values(), default=1) - (1 if alone else min(sizes.values())) <= 1
    for place in places:
        if place is not None:
            assert place.boxes == sizes[place.process] > 1
    firsts = [place.process for place in places if place is not None and place.is_first]
    assert sorted(firsts) == sorted(sizes), "one of each tells what its process uses"


def test_processors_are_those_this_process_may_run_on():
    allowed = os.sched_getaffinity(0)
    one = {min(allowed)}
    os.sched_setaffinity(0, one)
    try:
        assert processors() == 1
    finally:
        os.sched_setaffinity(0, allowed)
    assert processors() == len(allowed)
