"""Latency is real time, drawn from a seeded distribution; without it no call waits."""

import asyncio
from random import Random

import pytest

from payments.channels.base import Approved, Book, Declined
from payments.channels.simulated.settings import LATENCY_MS_MAX, Latency, SimulatedSettings

PAID = Approved("N1", 3800, "simN1")


@pytest.mark.parametrize(
    ("latency", "low", "high"),
    [
        (Latency(), 0, 0),
        (Latency(ms=20), 20, 20),
        (Latency("uniform", 5, 15), 5, 15),
        (Latency("lognormal", 20, 0.3), 5, 100),
        (Latency("lognormal", 29_000, 3), 0, LATENCY_MS_MAX),
    ],
)
def test_a_draw_lies_in_its_distribution(latency, low, high):
    """Never above the limit, and the same seed draws the same."""
    draws = [latency.draw_ms(Random(seed)) for seed in range(300)]

    assert low <= min(draws) <= max(draws) <= high
    assert draws == [latency.draw_ms(Random(seed)) for seed in range(300)]
    assert latency.is_none == (high == 0)


def test_the_median_of_a_lognormal_latency_is_its_ms():
    draws = sorted(Latency("lognormal", 20, 0.5).draw_ms(Random(seed)) for seed in range(2001))

    assert 17 < draws[1000] < 23


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "normal"},
        {"ms": -1},
        {"ms": LATENCY_MS_MAX + 1},
        {"kind": "uniform", "ms": 5, "spread": 4},
        {"kind": "lognormal", "ms": 0},
    ],
)
def test_a_latency_that_cannot_be_is_refused(wrong):
    with pytest.raises(ValueError):
        Latency(**wrong)


@pytest.mark.parametrize("wrong", [{"decline_ppm": 1_000_001}, {"error_ppm": -1}, {"capacity": 0}])
def test_settings_that_cannot_be_are_refused(wrong):
    with pytest.raises(ValueError):
        SimulatedSettings(**wrong)


async def test_with_latency_a_payment_needs_time(make_world):
    """`pay_now` declines to and does nothing; the awaited call takes at once, answers later."""
    world = make_world(latency=Latency(ms=30))
    order = world.order()
    assert world.channel.pay_now(order) is None
    assert world.book() is None

    call = asyncio.create_task(world.channel.pay(order))
    await asyncio.sleep(0)

    assert world.book() == Book("N1", 3800, 0, "paid", 1)
    assert not call.done()
    assert await call == PAID


@pytest.mark.parametrize("latency_ms", [0, 5])
async def test_what_is_never_answered_is_left_to_the_call_that_waits(make_world, latency_ms):
    """Neither of the short ways does anything: they would leave a charge that nobody waits for."""
    world = make_world(latency=Latency(ms=latency_ms))
    order = world.order("9006")

    assert world.channel.pay_now(order) is None
    assert not world.channel.pay_soon(order, 1000, print)
    assert world.book() is None

    assert await world.pay(order) is None
    assert world.book() == Book("N1", 3800, 0, "paid", 1)


async def test_the_take_is_written_before_the_answer_and_once_a_tick(make_world, tmp_path):
    """With latency all that one loop tick brings is one write."""
    path = tmp_path / "books"
    world = make_world(path, latency=Latency(ms=20))
    calls = [asyncio.create_task(world.channel.pay(world.order(number=f"N{i}"))) for i in range(10)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    assert path.read_text().count("\nT ") == 10
    assert not any(call.done() for call in calls)
    await asyncio.gather(*calls)
    world.close()


async def test_a_canceled_call_leaves_its_charge_in_the_books(make_world):
    """Giving up on an answer does not give the money back."""
    world = make_world(latency=Latency(ms=1000))
    call = asyncio.create_task(world.channel.pay(world.order()))
    await asyncio.sleep(0.001)

    call.cancel()
    await asyncio.gather(call, return_exceptions=True)

    assert world.book() == Book("N1", 3800, 0, "paid", 1)


async def test_more_calls_than_the_channel_takes_are_refused_as_not_sent(make_world):
    """So that another channel may be tried; the room comes back with the answers."""
    world = make_world(latency=Latency(ms=20), capacity=2)
    orders = [world.order(number=f"N{i}") for i in range(3)]

    answers = await asyncio.gather(*(world.channel.pay(order) for order in orders))

    assert [type(answer) for answer in answers] == [Approved, Approved, Declined]
    assert answers[2].not_sent
    assert world.book("N2") is None
    assert isinstance(await world.channel.pay(orders[2]), Approved)


async def test_refunds_have_a_latency_of_their_own(make_world):
    world = make_world(refund_latency=Latency(ms=30))
    await world.pay(world.order())
    loop = asyncio.get_running_loop()

    before = loop.time()
    await world.channel.refund(world.refund("R1", 1000))

    assert loop.time() - before >= 0.029
