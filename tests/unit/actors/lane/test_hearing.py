"""Callbacks through a lane: "taken" is said when the shard has them, and not a moment earlier."""

import asyncio

import pytest

from actors import hearing
from actors.messages import (
    CallbackAnswered,
    ClockQuiet,
    ClockSet,
    HearCallback,
    LaneNotice,
    NoticeTaken,
)
from payments.channels.base import Approved, Notice
from payments.channels.transport import CallbackAnswer, Heard

TAKEN = CallbackAnswer(200, "text/plain", b"success")
LATER = CallbackAnswer(503, "text/plain", b"later")
FORGED = CallbackAnswer(401, "text/plain", b"signature")
PATIENCE_S = 60.0


class Talking:
    """A channel with callbacks: the body is the order's number, `forged`, `bug` or `slow`."""

    def __init__(self):
        self.heard = []

    async def hear(self, callback):
        self.heard.append(callback)
        match callback.body:
            case b"forged":
                return Heard(None, FORGED, LATER)
            case b"bug":
                raise RuntimeError("a secret stands here")
            case b"slow":
                await asyncio.Event().wait()
        number = callback.body.decode()
        return Heard(Notice(number, Approved(number, 3800, "T1"), "R1"), TAKEN, LATER)


class Listening:
    """A lane over such a channel, and the front door that brings callbacks."""

    def __init__(self, make_house):
        self.house = make_house(channel=Talking())
        self.door = self.house.peer("front-door-0", "front_door")
        self.house.lane.on_link(self.door)

    def call(self, ref, body):
        message = HearCallback(ref, "POST", "a=1", {"x-sign": "s"}, body)
        self.house.frame(message, link=self.door)

    async def routed(self, count=1):
        async with asyncio.timeout(PATIENCE_S):
            while len(self.house.routed) < count:  # noqa: ASYNC110 - a list has no event
                await asyncio.sleep(0)
        return [message for _, message in self.house.routed]

    async def answers(self, count=1):
        async with asyncio.timeout(PATIENCE_S):
            while len(self.door.of(CallbackAnswered)) < count:
                self.door.news.clear()
                await self.door.news.wait()
        return {a.ref: (a.status, a.body) for a in self.door.of(CallbackAnswered)}


@pytest.fixture
def lane(make_house):
    return Listening(make_house)


async def test_the_channel_hears_taken_when_the_shard_has_it(lane):
    """The connector gets what came; the shard, of the right partition, what it says."""
    number = lane.house.number(partition=9)
    lane.call(5, number.encode())
    (notice,) = await lane.routed()
    assert notice == LaneNotice(notice.ref, number, Approved(number, 3800, "T1"), "R1")
    assert lane.house.routed[0][0] == 9
    assert lane.door.got == []

    lane.house.frame(NoticeTaken(notice.ref))

    assert await lane.answers() == {5: (200, b"success")}
    (callback,) = lane.house.channel.heard
    assert (callback.method, callback.query, callback.headers) == ("POST", "a=1", {"x-sign": "s"})


async def test_what_is_not_durable_in_time_is_refused_and_told_again(lane, monkeypatch):
    """W7: the channel's repetition may find it taken; the shard's late word changes nothing."""
    monkeypatch.setattr(hearing, "ANSWER_MS", 50)
    number = lane.house.number()
    lane.call(1, number.encode())
    assert await lane.answers() == {1: (503, b"later")}

    lane.call(2, number.encode())
    first, again = await lane.routed(2)
    lane.house.frame(NoticeTaken(first.ref), NoticeTaken(again.ref))

    assert await lane.answers(2) == {1: (503, b"later"), 2: (200, b"success")}


async def test_a_repeated_callback_is_answered_each_time(lane):
    """W8: each of them waits for its own word of the shard."""
    number = lane.house.number()
    for ref in range(3):
        lane.call(ref, number.encode())
    notices = await lane.routed(3)
    lane.house.frame(*(NoticeTaken(notice.ref) for notice in notices))

    assert set((await lane.answers(3)).values()) == {(200, b"success")}


async def test_what_the_shard_need_not_know_is_answered_at_once(lane):
    """A wrong signature, an order of somebody else, a bug in the parser: the lane lives on."""
    lane.call(1, b"forged")
    lane.call(2, b"bug")
    lane.call(3, b"somebody else's")

    assert await lane.answers(3) == {
        1: (401, b"signature"),
        2: (500, b"failed"),
        3: (200, b"success"),
    }
    assert lane.house.routed == []


async def test_a_slow_verification_is_given_up(lane, monkeypatch):
    monkeypatch.setattr(hearing, "ANSWER_MS", 30)

    lane.call(1, b"slow")

    assert await lane.answers() == {1: (503, b"busy")}


async def test_too_many_at_once_are_refused(lane, monkeypatch):
    monkeypatch.setattr(hearing, "HEARING_MAX", 2)

    for ref in range(4):
        lane.call(ref, b"slow")

    assert await lane.answers(2) == {2: (503, b"busy"), 3: (503, b"busy")}


async def test_a_channel_without_callbacks_says_so(make_house):
    house = make_house()
    door = house.peer("front-door-0", "front_door")

    house.frame(HearCallback(1, "POST", "", {}, b""), link=door)

    assert [a.status for a in door.of(CallbackAnswered)] == [404]


async def test_a_callback_in_hand_is_not_quiet(lane):
    """The test clock waits for it."""
    number = lane.house.number()
    lane.call(1, number.encode())
    lane.house.frame(ClockSet(1, 1_000))
    (notice,) = await lane.routed()
    assert lane.house.shard.of(ClockQuiet) == []

    lane.house.frame(NoticeTaken(notice.ref))
    await lane.answers()
    await asyncio.sleep(0)

    assert lane.house.shard.of(ClockQuiet) == [ClockQuiet(1, None)]


async def test_callbacks_are_counted(lane):
    lane.call(1, b"forged")
    lane.call(2, b"bug")
    await lane.answers(2)

    stats = lane.house.lane.stats()

    head = 'channel_callbacks_total{channel="sim",lane="0",outcome='
    counted = {name.removeprefix(head)[1:-2]: n for name, n in stats.items() if head in name}
    assert counted == {"taken": 0, "refused": 1, "late": 0, "busy": 0, "failed": 1}
