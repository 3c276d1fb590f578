"""Payments through the lane: each is answered once, in time, and never by a guess."""

import asyncio

import pytest

from actors.messages import (
    LaneAsk,
    LaneCredit,
    LaneReply,
)
from payments.channels.base import Approved, Declined, Unknown
from payments.channels.simulated.settings import Latency, SimulatedSettings

# --- payments ------------------------------------------------------------------------------------


async def test_payments_answered_at_once_leave_in_the_same_tick(make_house):
    """A frame of payments is answered before `on_messages` returns: one frame back, no task."""
    house = make_house()
    numbers = [house.number() for _ in range(32)]
    tasks = len(asyncio.all_tasks())

    house.frame(*(house.pay(ref, number) for ref, number in enumerate(numbers)))

    assert house.shard.outcomes() == {
        ref: Approved(number, 3800, f"sim{number}") for ref, number in enumerate(numbers)
    }
    assert len(asyncio.all_tasks()) == tasks


async def test_the_books_are_written_before_the_answer_leaves(make_house, monkeypatch):
    """One write for the frame, then the replies."""
    house = make_house()
    order = []
    monkeypatch.setattr(house.books, "flush", lambda: order.append("books"))
    monkeypatch.setattr(house.shard, "send", lambda message: order.append("reply") or True)

    house.frame(house.pay(1, house.number()), house.pay(2, house.number()))

    assert order == ["books", "reply", "reply"]


async def test_books_that_cannot_be_written_make_the_answers_unknown(make_house, monkeypatch):
    """Nothing may be told that a restart would not remember."""
    house = make_house()

    def full():
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(house.books, "flush", full)
    house.frame(house.pay(1, house.number()))

    assert house.shard.outcomes() == {1: Unknown("the channel's books cannot be written")}


async def test_a_payment_with_latency_is_answered_later(make_house):
    house = make_house(settings=SimulatedSettings(latency=Latency(ms=15)))
    number = house.number()

    house.frame(house.pay(1, number))

    assert house.shard.of(LaneReply) == []
    await house.settled()
    assert house.shard.outcomes() == {1: Approved(number, 3800, f"sim{number}")}


@pytest.mark.parametrize(("ending", "state"), [("9006", "paid"), ("9007", None)])
async def test_no_answer_in_time_is_unknown_and_the_books_stand(make_house, ending, state):
    """The charge of 9006 is there, 9007 left nothing; neither may be guessed from silence."""
    house = make_house(pay_timeout_ms=20)
    number = house.number()
    house.frame(house.pay(1, number, ending))

    await house.settled()

    assert house.shard.outcomes() == {1: Unknown("no answer")}
    books = {book.out_trade_no: book.state for book in house.channel.books()}
    assert books.get(number) == state


async def test_a_call_without_answer_is_given_up(make_house):
    """Each call is answered exactly once, by the time-out or by the channel."""
    house = make_house(stubborn=True, pay_timeout_ms=20)
    channel = house.channel
    number = house.number()
    house.frame(house.pay(1, number))
    await asyncio.sleep(0)
    late = channel.waiting[number]
    await house.settled()

    assert late.cancelled(), "nobody waits any more, and nothing is left behind"
    await asyncio.sleep(0.02)

    assert [reply.outcome for reply in house.shard.of(LaneReply)] == [Unknown("no answer")]


async def test_a_connector_that_raises_is_unknown_and_counted(make_house):
    """An exception says nothing about the money."""
    house = make_house(stubborn=True)

    house.frame(LaneAsk(1, "inquire", house.number()))
    await house.settled()

    assert house.shard.outcomes() == {1: Unknown("the connector failed: RuntimeError")}
    assert house.lane.stats()['channel_exceptions_total{channel="sim",lane="0"}'] == 1


async def test_a_connector_that_raises_at_once_is_unknown_for_that_payment_alone(
    make_house, monkeypatch
):
    house = make_house()
    numbers = [house.number(), house.number()]
    house.break_for(numbers[0], "pay_now", monkeypatch)
    house.frame(house.pay(1, numbers[0]), house.pay(2, numbers[1]))

    first, second = house.shard.outcomes()[1], house.shard.outcomes()[2]
    assert first == Unknown("the connector failed: RuntimeError")
    assert isinstance(second, Approved)


# --- credits, caps, fairness ---------------------------------------------------------------------


async def test_each_shard_gets_its_share_of_the_capacity(make_house):
    """On its link, at once; other roles get none."""
    house = make_house(capacity=100, shards=3)
    door = house.peer("front-0", "front_door")
    house.lane.on_link(door)

    assert house.shard.got == [LaneCredit("sim", 0, 33, "closed")]
    assert door.got == []


async def test_more_than_the_window_is_refused_as_not_sent(make_house):
    """For this shard alone; the channel never hears of it; an answer gives its room back."""
    house = make_house(stubborn=True, capacity=4, shards=2)
    channel = house.channel
    other = house.peer("shard-1")
    house.lane.on_link(other)
    numbers = [house.number() for _ in range(5)]

    house.frame(*(house.pay(ref, number) for ref, number in enumerate(numbers[:3])))
    house.frame(house.pay(9, numbers[3]), link=other)
    await asyncio.sleep(0)

    (refused,) = house.shard.of(LaneReply)
    assert refused.ref == 2
    assert (refused.outcome.code, refused.outcome.not_sent) == ("channel_error", True)
    assert channel.calls == [numbers[0], numbers[1], numbers[3]]
    channel.let_go(numbers[0])
    await house.settled(2)
    house.frame(house.pay(4, numbers[4]))
    await asyncio.sleep(0)
    assert channel.calls[-1] == numbers[4]


async def test_a_merchant_that_floods_waits_behind_itself(make_house):
    """With the channel full, the other merchant's payment is the next but one to be sent."""
    house = make_house(stubborn=True, pays_running_max=1)
    channel = house.channel
    flood = [house.number() for _ in range(20)]
    small = house.number()
    house.frame(*(house.pay(ref, number, merchant="mch_flood") for ref, number in enumerate(flood)))
    house.frame(house.pay(99, small, merchant="mch_small"))
    await asyncio.sleep(0)

    for _ in range(2):
        channel.let_go(channel.calls[-1])
        await asyncio.sleep(0.005)

    assert small in channel.calls[:3]


async def test_the_channel_never_has_more_calls_than_it_takes(make_house):
    """In all and of one merchant; the rest waits and is served."""
    house = make_house(stubborn=True, pays_running_max=5, merchant_running_max=3)
    channel = house.channel
    numbers = [house.number() for _ in range(30)]
    house.frame(
        *(house.pay(i, number, merchant=f"mch_{i % 2}") for i, number in enumerate(numbers))
    )
    await asyncio.sleep(0)
    merchants = [numbers.index(number) % 2 for number in channel.waiting]
    assert max(merchants.count(0), merchants.count(1)) <= 3

    while len(house.shard.of(LaneReply)) < 30:
        for number in list(channel.waiting):
            channel.let_go(number)
        await asyncio.sleep(0)

    assert channel.busiest == 5
    assert sorted(channel.calls) == sorted(numbers)


async def test_a_merchants_line_has_an_end(make_house):
    """Its own flood is refused as not sent, another merchant's payment is not."""
    house = make_house(stubborn=True, pays_running_max=1, merchant_queued_max=2)
    house.frame(*(house.pay(ref, house.number(), merchant="mch_flood") for ref in range(6)))
    house.frame(house.pay(99, house.number(), merchant="mch_small"))

    outcomes = house.shard.outcomes()

    assert sorted(outcomes) == [3, 4, 5]
    assert all(outcome.not_sent for outcome in outcomes.values())


async def test_a_payment_that_waited_too_long_was_certainly_not_sent(make_house):
    """So another channel may be tried; the channel never hears of it afterwards."""
    house = make_house(stubborn=True, pays_running_max=1, queue_timeout_ms=20)
    channel = house.channel
    first, second = house.number(), house.number()
    house.frame(house.pay(1, first), house.pay(2, second))

    await house.settled(1)
    channel.let_go(first)
    await house.settled(2)
    await asyncio.sleep(0.01)

    outcomes = house.shard.outcomes()
    assert isinstance(outcomes[1], Approved)
    assert isinstance(outcomes[2], Declined)
    assert outcomes[2].not_sent
    assert channel.calls == [first]


async def test_questions_have_room_of_their_own(make_house):
    """A flood of payments does not hold back a reverse."""
    house = make_house(stubborn=True, pays_running_max=1)
    house.frame(*(house.pay(ref, house.number()) for ref in range(10)))

    number = house.number()
    house.frame(LaneAsk(50, "reverse", number))
    await house.settled()

    assert house.shard.outcomes() == {50: Approved(number, 100)}


async def test_a_question_without_room_is_unknown_and_never_declined(make_house):
    """ "Declined" would be an answer about the money."""
    house = make_house(stubborn=True, asks_running_max=1, asks_queued_max=2)

    house.frame(*(LaneAsk(ref, "close", house.number()) for ref in range(6)))
    await house.settled(6)

    kinds = {type(outcome) for outcome in house.shard.outcomes().values()}
    assert kinds == {Unknown}


async def test_queries_keep_to_their_budget_and_undoing_does_not(make_house):
    """Two a second: the third waits its turn; what undoes money never waits for it."""
    house = make_house(stubborn=True, asks_per_second=2)
    number = house.number()

    house.frame(*(LaneAsk(ref, "inquire", number) for ref in range(4)))
    house.frame(LaneAsk(9, "reverse", number))
    await house.settled(3)

    assert set(house.shard.outcomes()) == {0, 1, 9}
    await house.settled(5)
    assert set(house.shard.outcomes()) == {0, 1, 2, 3, 9}


async def test_a_query_that_waits_too_long_is_answered_as_not_asked(make_house):
    """Which is unknown, and never a verdict."""
    house = make_house(stubborn=True, asks_per_second=1, queue_timeout_ms=20)
    number = house.number()

    house.frame(LaneAsk(1, "inquire", number), LaneAsk(2, "inquire", number))
    await house.settled(2)

    assert house.shard.outcomes()[2] == Unknown("not asked: the lane is full")
