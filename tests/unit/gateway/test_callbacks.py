"""The way of a callback through a front door: its address, its size, its lane, its answer."""

import asyncio

import pytest

from actors.link import Identity
from actors.messages import CallbackAnswered, HearCallback
from gateway import callbacks as module
from gateway.callbacks import Callbacks, callback_token
from gateway.settings_shape import ChannelAccount, Wechat
from payments.errors import Overloaded
from payments.idempotency import Digests

DIGESTS = Digests(b"a secret for tests, no more")
PATIENCE_S = 60.0
WECHAT = Wechat(
    mchid="1", appid="a", merchant_serial="s", merchant_private_key="env:K", api_v3_key="env:A"
)


def account(name="wechat-main", lanes=1, **changes):
    fields = {"name": "wechat", "kind": "wechat", "wechat": WECHAT, "lanes": lanes, **changes}
    return ChannelAccount(account=name, wallets=("wechat",), ways=("qr",), **fields)


class Lane:
    """A link to a lane that keeps what it is told."""

    def __init__(self):
        self.got = []
        self.takes = True

    def send(self, message):
        if self.takes:
            self.got.append(message)
        return self.takes


class Door:
    """`Callbacks` over links made by hand."""

    def __init__(self, make_settings, lanes=1):
        simulated = account("sim", kind="simulated", wechat=None)
        settings = make_settings(channels=(account(lanes=lanes), simulated))
        identity = Identity("front_door", "front-door-0", b"cluster")
        self.callbacks = Callbacks(settings, DIGESTS, identity, None, str)
        self.lanes = [Lane() for _ in range(lanes)]
        self.linked(True)

    def linked(self, is_up):
        for dialer, lane in zip(self.callbacks.dialers, self.lanes, strict=True):
            dialer._link = _Up(lane) if is_up else None

    def hear(self):
        message = HearCallback(0, "POST", "", {}, b"body")
        return asyncio.create_task(self.callbacks.hear("wechat-main", message))

    async def arrived(self, count):
        async with asyncio.timeout(PATIENCE_S):
            while sum(len(lane.got) for lane in self.lanes) < count:  # noqa: ASYNC110 - a list
                await asyncio.sleep(0)

    def answer(self, lane, message, body=b"success"):
        reply = CallbackAnswered(message.ref, 200, "text/plain", body)
        self.callbacks.on_messages(self.callbacks.dialers[lane]._link, [reply])


class _Up:
    is_up = True

    def __init__(self, lane):
        self.send = lane.send


@pytest.fixture
def make_settings():
    def make(**changes):
        from msgspec.structs import replace

        from gateway.settings import load

        return replace(load(environ={}), **changes)

    return make


@pytest.fixture
def door(make_settings) -> Door:
    return Door(make_settings)


def test_only_addresses_that_we_gave_out_are_known(door):
    """Channel, account and token together; simulated accounts have none."""
    token = callback_token(DIGESTS, "wechat-main")
    knows = door.callbacks.knows

    assert knows("wechat", "wechat-main", token)
    assert not knows("alipay", "wechat-main", token)
    assert not knows("wechat", "other", token)
    assert not knows("wechat", "sim", callback_token(DIGESTS, "sim"))
    for wrong in ("", token[:-1], token + "0", token.upper(), "é" * 32, "\udce9" * 32):
        assert not knows("wechat", "wechat-main", wrong), wrong
    assert not knows("nobody", "nobody", "")


async def test_the_lanes_answer_is_the_channels(door):
    """Several at a time, answered in any order; a second answer changes nothing."""
    first, second = door.hear(), door.hear()
    await door.arrived(2)
    one, two = door.lanes[0].got

    door.answer(0, two, b"two")
    door.answer(0, one, b"one")
    door.answer(0, one, b"again")

    assert [(await first).body, (await second).body] == [b"one", b"two"]
    assert len(door.callbacks) == 0


async def test_lanes_take_turns_and_stand_in_for_each_other(make_settings):
    door = Door(make_settings, lanes=2)
    calls = [door.hear() for _ in range(4)]
    await door.arrived(4)
    assert [len(lane.got) for lane in door.lanes] == [2, 2]

    door.lanes[0].takes = False
    calls.append(door.hear())
    calls.append(door.hear())
    await door.arrived(6)

    assert [len(lane.got) for lane in door.lanes] == [2, 4]
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)


async def test_without_its_lane_a_callback_is_to_be_told_again(door):
    """Away, lost while asked, or silent: 503, and the channel's plan brings it back."""
    door.linked(False)
    with pytest.raises(Overloaded):
        await door.hear()
    door.linked(True)
    call = door.hear()
    await door.arrived(1)
    door.callbacks.on_link_lost(door.callbacks.dialers[0]._link)

    with pytest.raises(Overloaded, match="lost"):
        await call
    assert len(door.callbacks) == 0


async def test_a_silent_lane_is_not_waited_for(door, monkeypatch):
    monkeypatch.setattr(module, "PATIENCE_S", 0.03)

    with pytest.raises(Overloaded, match="did not answer"):
        await door.hear()

    assert len(door.callbacks) == 0


async def test_too_many_at_once_are_to_be_told_again(door, monkeypatch):
    monkeypatch.setattr(module, "IN_HAND_MAX", 1)
    call = door.hear()
    await door.arrived(1)

    with pytest.raises(Overloaded, match="at once"):
        await door.hear()
    door.answer(0, door.lanes[0].got[0])

    assert (await call).body == b"success"
