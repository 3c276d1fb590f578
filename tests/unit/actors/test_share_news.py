"""A callback about divided money makes the shard ask at once; by itself it changes nothing."""

import asyncio

import pytest

from actors.hearing import Hearing
from actors.messages import CallbackAnswered, HearCallback
from actors.notices import Notices
from actors.sharing_messages import ShareNews
from held_money import PLATFORM, RIDER, Divides, complaints, shown, until_ended
from payments.channels.transport import CallbackAnswer, Heard

OK = CallbackAnswer(204, "application/json", b"")


@pytest.fixture
def world():
    made = Divides().start()
    yield made
    assert [] == complaints(made)
    assert [] == made.loop.failures
    made.close()


def news(world, number):
    """What a lane sends to the shard."""
    world.shard.on_messages(None, [ShareNews(0, number)])


def asked(world, op):
    return world.held.asked.count(op)


def patient(world):
    """A payment whose sharing order's answers were lost so often that it is asked about rarely."""
    world.held.lose = ["share"] + ["inquire_share"] * 5
    paid = world.sell().body
    world.advance(100)
    return paid, f"{paid['id'][4:]}S1"


def test_the_order_is_asked_about_now(world):
    _, number = patient(world)
    before = asked(world, "inquire_share")
    world.advance(1)
    assert before == asked(world, "inquire_share"), "its time has not come"

    news(world, number)
    world.advance(1)

    assert before + 1 == asked(world, "inquire_share")
    assert {RIDER: 500, PLATFORM: 1_000} == world.held.paid()
    assert {} == world.has()


def test_news_that_comes_again_or_too_late_changes_nothing(world):
    _, number = patient(world)
    news(world, number)
    news(world, number)
    world.advance(1)
    before, has = list(world.held.asked), world.has()

    for _ in range(3):
        news(world, number)
        world.advance(1)

    assert (before, has) == (world.held.asked, world.has())


@pytest.mark.parametrize("end", ["S2", "S1x", "B01", ""])
def test_news_of_another_number_asks_nothing(world, end):
    _, number = patient(world)
    before = list(world.held.asked)

    news(world, number[:-2] + end)
    world.advance(1)

    assert before == world.held.asked


@pytest.mark.parametrize("number", ["", "x", "0" * 24, "手" * 30, "01M7Y4WH5A000W7H0V64525CS1"])
def test_a_strangers_number_is_passed_over(world, number):
    news(world, number)
    world.advance(1)

    assert [] == world.held.asked


def test_a_return_is_asked_about_now(world):
    paid = world.sell().body
    world.until_over()
    world.held.lose = ["take_back"] * 2 + ["inquire_return"] * 12
    ack = world.wait(world.refund(paid["id"], 2_500))
    world.advance(150)
    before = asked(world, "inquire_return")
    world.held.lose = []
    world.advance(1)
    assert before == asked(world, "inquire_return"), "its time has not come"

    news(world, next(iter(world.held.returns)))
    world.advance(1)

    assert before + 2 == asked(world, "inquire_return"), "both parts, once"
    until_ended(world)
    assert "succeeded" == shown(world, ack)["status"]


class Peer:
    def __init__(self):
        self.got = asyncio.Queue()

    def send(self, message):
        self.got.put_nowait(message)
        return True


class Telling:
    """A channel whose callbacks are about divided money."""

    def __init__(self, hint):
        self._hint = hint

    async def hear(self, callback):
        return Heard(None, OK, OK, self._hint)


@pytest.mark.parametrize(
    ("hint", "partition"), [("01M7Y4WH5A000W7H0V64525CS1", 28), ("nobody's", None)]
)
async def test_a_lane_passes_it_on_once_and_answers_at_once(hint, partition):
    sent, peer = [], Peer()
    notices = Notices(lambda *told: sent.append(told) or True, lambda: None)
    hearing = Hearing("lane", Telling(hint), notices, lambda: None)

    hearing.hear(peer, HearCallback(7, "POST", "", {}, b""))
    async with asyncio.timeout(60):
        answer = await peer.got.get()

    assert CallbackAnswered(7, 204, "application/json", b"") == answer
    assert ([] if partition is None else [ShareNews(0, hint)]) == [each for _, each in sent]
    assert 0 == len(notices), "nothing is repeated"
