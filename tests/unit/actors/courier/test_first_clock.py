"""The courier's first word of the clock: nothing has passed, so nobody is waited for."""

import asyncio

import pytest

from actors import courier
from actors.messages import ClockQuiet, ClockSet

PATIENCE_S = 60


class Heard:
    """The directory's end of a link."""

    def __init__(self):
        self.sent = asyncio.Queue()

    def send(self, message):
        self.sent.put_nowait(message)
        return True


class Never:
    """The tail of a shard that is not there yet."""

    def __init__(self):
        self.asked = asyncio.Event()

    async def catch_up(self):
        self.asked.set()
        await asyncio.Event().wait()


@pytest.fixture
def absent(town, monkeypatch):
    """A shard that never brings what it has; the courier would wait for it for ever."""
    monkeypatch.setattr(courier, "QUIET_PATIENCE_S", 3_600)
    tail = Never()
    monkeypatch.setattr(town.courier, "tails", [tail])
    return tail


async def test_the_first_word_of_a_clock_nobody_moved_is_answered_at_once(town, absent):
    """Shards that still start are not waited for; time that passes then waits for them."""
    link = Heard()
    await asyncio.wait_for(town.courier._clock_set(link, ClockSet(1, 0)), PATIENCE_S)
    assert link.sent.get_nowait() == ClockQuiet(1, None)

    for message in (ClockSet(2, 0), ClockSet(3, 86_400_000)):
        absent.asked.clear()
        waiting = asyncio.create_task(town.courier._clock_set(link, message))
        await asyncio.wait_for(absent.asked.wait(), PATIENCE_S)
        assert link.sent.empty(), message
        waiting.cancel()


async def test_a_courier_that_comes_back_in_moved_time_waits(town, absent):
    """What shards committed before it came is brought before time goes on."""
    link = Heard()
    waiting = asyncio.create_task(town.courier._clock_set(link, ClockSet(7, 86_400_000)))
    await asyncio.wait_for(absent.asked.wait(), PATIENCE_S)
    assert link.sent.empty()
    waiting.cancel()
