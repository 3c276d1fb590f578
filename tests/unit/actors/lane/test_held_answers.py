"""A channel with a latency that calls back: the same limits and endings, and no task a payment."""

import asyncio

import pytest

from actors.calls import STOPPED
from actors.messages import LaneReply
from payments.channels.base import Approved, Declined, Unknown
from payments.channels.simulated.settings import Latency, SimulatedSettings

SLOW = SimulatedSettings(latency=Latency(ms=20))


def lane_number(house, name):
    return house.lane.stats()[f'channel_{name}{{channel="sim",lane="0"}}']


async def test_a_frame_of_payments_waits_without_tasks_and_is_answered_together(make_house):
    house = make_house(settings=SLOW)
    numbers = [house.number() for _ in range(32)]
    tasks = len(asyncio.all_tasks())
    began = asyncio.get_running_loop().time()

    house.frame(*(house.pay(ref, number) for ref, number in enumerate(numbers)))

    assert len(asyncio.all_tasks()) == tasks
    assert lane_number(house, "calls_running") == 32
    assert house.shard.of(LaneReply) == []
    await house.settled()
    assert 0.020 <= asyncio.get_running_loop().time() - began < 0.0215
    assert house.shard.outcomes() == {
        ref: Approved(number, 3800, f"sim{number}") for ref, number in enumerate(numbers)
    }
    assert lane_number(house, "calls_running") == 0
    counted = house.lane.stats()
    label = 'channel="sim",lane="0",op="pay",outcome="approved"'
    assert counted[f"channel_calls_total{{{label}}}"] == 32
    assert counted[f"channel_request_seconds_count{{{label}}}"] == 32


async def test_what_may_take_longer_than_the_lane_waits_is_given_up_in_time(make_house):
    """The draw decides, so a distribution that may pass the limit has a task and a timer."""
    house = make_house(settings=SimulatedSettings(latency=Latency(ms=50)), pay_timeout_ms=30)
    number = house.number()

    house.frame(house.pay(1, number))
    await house.settled()

    assert house.shard.outcomes() == {1: Unknown("no answer")}
    assert lane_number(house, "timeouts_total") == 1
    assert [book.state for book in house.channel.books()] == ["paid"]


async def test_books_that_cannot_be_written_make_held_answers_unknown(make_house, monkeypatch):
    house = make_house(settings=SLOW)

    def full():
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(house.books, "flush", full)
    house.frame(house.pay(1, house.number()), house.pay(2, house.number()))
    await house.settled(2)

    lost = Unknown("the channel's books: No space left on device")
    assert house.shard.outcomes() == {1: lost, 2: lost}


async def test_the_books_are_written_while_the_answer_is_held(make_house, monkeypatch):
    house = make_house(settings=SLOW)
    order = []
    monkeypatch.setattr(house.books, "flush", lambda: order.append("books"))

    house.frame(house.pay(1, house.number()), house.pay(2, house.number()))
    await asyncio.sleep(0.001)

    assert order == ["books"]
    assert house.shard.of(LaneReply) == []


async def test_the_lanes_limits_hold_for_held_answers(make_house):
    """In all, of one merchant, and of the shard's window; the room comes back with the answers."""
    house = make_house(settings=SLOW, capacity=40, pays_running_max=5, merchant_running_max=3)
    numbers = [house.number() for _ in range(41)]
    house.frame(
        *(house.pay(ref, number, merchant=f"mch_{ref % 2}") for ref, number in enumerate(numbers))
    )

    assert lane_number(house, "calls_running") == 5
    assert lane_number(house, "calls_queued") == 35
    await house.settled(41)

    outcomes = house.shard.outcomes()
    assert outcomes[40].not_sent
    assert all(isinstance(outcomes[ref], Approved) for ref in range(40))
    house.frame(house.pay(99, numbers[40]))
    await house.settled(42)
    assert isinstance(house.shard.outcomes()[99], Approved)


async def test_a_channel_that_is_full_refuses_as_not_sent(make_house):
    """Until its answers have left."""
    house = make_house(settings=SimulatedSettings(latency=Latency(ms=20), capacity=2))

    house.frame(*(house.pay(ref, house.number()) for ref in range(3)))
    await house.settled(3)

    kinds = {ref: type(outcome) for ref, outcome in house.shard.outcomes().items()}
    assert kinds == {0: Approved, 1: Approved, 2: Declined}
    assert house.shard.outcomes()[2].not_sent
    house.frame(house.pay(3, house.number()))
    await house.settled(4)
    assert isinstance(house.shard.outcomes()[3], Approved), "the room came back"


async def test_a_drain_waits_for_held_answers(make_house):
    house = make_house(settings=SLOW)
    house.frame(house.pay(1, house.number()))

    await house.lane.drain()

    assert isinstance(house.shard.outcomes()[1], Approved)


async def test_a_drain_that_runs_out_leaves_held_answers_unknown_and_answered_once(make_house):
    """The channel may have taken it: "not sent" would be a guess."""
    house = make_house(settings=SLOW, drain_ms=5)
    house.frame(house.pay(1, house.number()))

    await house.lane.drain()
    await asyncio.sleep(0.05)

    assert [reply.outcome for reply in house.shard.of(LaneReply)] == [STOPPED]


async def test_a_lane_that_is_killed_answers_nobody(make_house):
    house = make_house(settings=SLOW)
    house.frame(house.pay(1, house.number()))

    house.lane.abandon()
    await asyncio.sleep(0.05)

    assert house.shard.of(LaneReply) == []


async def test_a_connector_that_raises_is_unknown_for_that_payment_alone(make_house, monkeypatch):
    house = make_house(settings=SLOW)
    numbers = [house.number(), house.number()]
    house.break_for(numbers[0], "_pay_here", monkeypatch)
    house.frame(house.pay(1, numbers[0]), house.pay(2, numbers[1]))
    await house.settled(2)

    outcomes = house.shard.outcomes()
    assert outcomes[1] == Unknown("the connector failed: RuntimeError")
    assert isinstance(outcomes[2], Approved)
    assert lane_number(house, "exceptions_total") == 1


@pytest.mark.parametrize("ending", ["9001", "9003", "9005", "9006", "9007", "9008"])
async def test_an_ending_is_the_same_with_and_without_latency(make_house, ending):
    """What the channel says does not depend on how it is asked."""
    said = []
    for settings in (SLOW, SimulatedSettings()):
        house = make_house(settings=settings, pay_timeout_ms=60)
        number = house.number()
        house.frame(house.pay(1, number, ending))
        await house.settled()
        said.append(str(house.shard.outcomes()[1]).replace(number, "N"))

    assert said[0] == said[1]
