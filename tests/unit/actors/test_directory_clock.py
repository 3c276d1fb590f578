"""The test clock: one a deployment, forward only, from timer to timer."""

import asyncio
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actors.messages import Answer, ClockSet
from payments.calendar import rfc3339


async def a_clock(world):
    answer = await world.ask("clocks.create", {})
    return json.loads(answer.body)


async def advanced(world, body):
    """Advance and wait until the clock is ready again."""
    clock = await a_clock(world)
    answer = await world.ask("clocks.advance", body, target=clock["id"])
    assert (202, "advancing") == (answer.status, json.loads(answer.body)["status"])
    async with asyncio.timeout(60):
        while (now := await a_clock(world))["status"] != "ready":
            pass
    return now


async def test_there_is_one_clock_and_it_shows_business_time(world):
    """Asking again returns the same."""
    one, two = await world.ask("clocks.create", {}), await world.ask("clocks.create", {})

    assert (201, 200) == (one.status, two.status)
    assert one.body == two.body
    shown = json.loads(one.body)
    assert ("test_clock", "ready", rfc3339(world.clock.now_ms())) == (
        shown["object"],
        shown["status"],
        shown["now"],
    )


async def test_time_moves_from_timer_to_timer(world, now_ms):
    """Each timer fires at its own time, not at the end of the leap."""
    shard = world.link("shard-0", "shard", since=0)
    lane = world.link("lane-simulated-0", "lane", since=0)
    shard.timers = [now_ms + 5_000, now_ms + 60_000, now_ms + 7_200_000]
    lane.timers = [now_ms + 30_000]

    shown = await advanced(world, {"seconds": 3_600})

    assert rfc3339(now_ms + 3_600_000) == shown["now"]
    assert [(now_ms + 5_000,) * 2, (now_ms + 60_000,) * 2] == shard.fired
    assert [(now_ms + 30_000,) * 2] == lane.fired
    assert [now_ms + 7_200_000] == shard.timers


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None
)
@given(
    timers=st.lists(st.lists(st.integers(1, 50_000), max_size=6), min_size=1, max_size=3),
    leaps=st.lists(st.integers(1, 20), min_size=1, max_size=3),
)
def test_no_timer_fires_late_or_early_whatever_the_leaps(make_world, timers, leaps):
    """And time never goes back for anybody."""

    async def scenario():
        world = make_world(None)
        await world.start()
        start = world.clock.now_ms()
        links = [world.link(f"shard-{n}", "shard", since=0) for n in range(len(timers))]
        for link, due in zip(links, timers, strict=True):
            link.timers = [start + each for each in due]
        for seconds in leaps:
            await advanced(world, {"seconds": seconds})
        end = start + sum(leaps) * 1_000
        for link, due in zip(links, timers, strict=True):
            expected = sorted(start + each for each in due if start + each <= end)
            assert expected == sorted(timer for _, timer in link.fired)
            assert all(now == timer for now, timer in link.fired)
            offsets = [message.offset_ms for message in link.all(ClockSet)]
            assert offsets == sorted(offsets)
        await world.stop()

    asyncio.run(scenario())


BAD = """
    # body                                -> param
      {}                                     seconds
      {"seconds":0}                          seconds
      {"seconds":-5}                         seconds
      {"seconds":999999999}                  seconds
      {"to":"2020-01-01T00:00:00Z"}          to
      {"to":"tomorrow"}                      to
      {"seconds":1,"to":"2030-01-01T00:00:00Z"}  seconds
      {"days":1}                             days
"""


@pytest.mark.parametrize(
    ("body", "param"), [line.split() for line in BAD.splitlines() if line and "#" not in line]
)
async def test_a_wrong_advance_moves_nothing(world, now_ms, body, param):
    """Forward only, by one of the two, within reach."""
    clock = await a_clock(world)
    refused = await world.ask("clocks.advance", body.encode(), target=clock["id"])

    assert ("invalid_field", param) == (refused.code, refused.param)
    assert now_ms == world.clock.now_ms()


async def test_an_advance_goes_to_an_instant_too(world, now_ms):
    """RFC 3339."""
    shown = await advanced(world, {"to": rfc3339(now_ms + 86_400_000)})
    assert rfc3339(now_ms + 86_400_000) == shown["now"]


async def test_the_offset_survives_a_restart_and_greets_newcomers(world, now_ms):
    """A restart never turns time back; a shard that comes later hears the time at once."""
    await advanced(world, {"seconds": 60})
    await world.stop()
    world.clock.offset_ms = 0
    await world.start()
    shard = world.link("shard-0", "shard", since=0)

    assert now_ms + 60_000 == world.clock.now_ms()
    assert 60_000 == shard.all(ClockSet)[0].offset_ms


async def test_an_advance_goes_on_after_a_restart(world, until_true, now_ms):
    """The target is durable before the first step."""
    mute = world.link("shard-0", "shard", since=0)
    mute.is_mute = True
    clock = await a_clock(world)
    answer = await world.ask("clocks.advance", {"seconds": 60}, target=clock["id"])
    assert isinstance(answer, Answer)
    await world.stop()
    world.clock.offset_ms = 0
    await world.start()
    await until_true(lambda: world.directory.test_clock.state.target_ms is None)

    assert now_ms + 60_000 == world.clock.now_ms()


async def test_an_actor_that_never_becomes_quiet_is_left_behind(world, until_true, now_ms):
    """After the time-out time moves on, and it is counted."""
    mute = world.link("shard-0", "shard", since=0)
    mute.is_mute = True
    world.directory.test_clock._quiet_timeout_s = 0.02
    shown = await advanced(world, {"seconds": 60})

    assert rfc3339(now_ms + 60_000) == shown["now"]
    assert world.directory.stats()["clock_timeouts"] >= 1


async def test_the_courier_is_asked_when_the_others_are_quiet(world, until_true):
    """It passes on what they did: only then can it say that all was passed on."""
    shard = world.link("shard-0", "shard", since=0)
    courier = world.link("courier", "courier", since=0)
    shard.is_mute = True
    clock = await a_clock(world)
    greeted = len(courier.all(ClockSet))
    await world.ask("clocks.advance", {"seconds": 60}, target=clock["id"])
    await until_true(lambda: len(shard.all(ClockSet)) > 1)
    assert greeted == len(courier.all(ClockSet))

    world.directory.on_link_lost(shard)
    await until_true(lambda: world.directory.test_clock.state.target_ms is None)
    assert len(courier.all(ClockSet)) > greeted
    assert world.directory.stats()["clock_timeouts"] == 0


async def test_a_lost_link_is_not_waited_for(world, until_true):
    """Its shard hears the time when it comes back."""
    mute = world.link("shard-0", "shard", since=0)
    mute.is_mute = True
    clock = await a_clock(world)
    await world.ask("clocks.advance", {"seconds": 60}, target=clock["id"])
    await until_true(lambda: mute.all(ClockSet))
    world.directory.on_link_lost(mute)
    await until_true(lambda: world.directory.test_clock.state.target_ms is None)

    assert world.directory.stats()["clock_timeouts"] == 0


async def test_live_mode_has_no_test_clock(live_world):
    """Not even one to look at."""
    for op in ("clocks.create", "clocks.get", "clocks.advance"):
        refused = await live_world.ask(op, {})
        assert "not_found" == refused.code
