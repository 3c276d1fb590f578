"""Every ending of test mode over each real wire, alone and many at once.

One channel at a time. WeChat Pay and Alipay give their verdict within a minute of business time;
UnionPay, which has no reverse, is final without that promise. The sandbox's books agree to the fen.
"""

import json

import pytest

from ordeal import EXPECTED, misendings, stored_payments
from wires import WireWorld

LATE_S = 135
CHANNELS = ("wechat", "alipay", "unionpay")


@pytest.fixture
def world(request, tmp_path):
    world = WireWorld(request.param, tmp_path, window=4_096).start()
    yield world
    world.close()


def over_channels():
    return pytest.mark.parametrize("world", CHANNELS, indirect=True)


def live_through(world, endings, count):
    """So many payments of each at once, and all their time; what is wrong in the end."""
    asked = {}
    for _ in range(count):
        for ending in endings:
            asked[world.post(ending=ending).command.id] = ending
    world.advance(LATE_S)
    world.proven()
    missing = set(asked) - set(stored_payments(world))
    return [f"{asked[each]} was never begun" for each in missing] or misendings(world, asked)


@over_channels()
def test_each_ending_alone(world):
    """One after the other, each with the channel to itself until its end."""
    wrong = []
    for ending in EXPECTED:
        ack = world.post(ending=ending)
        world.advance(62)
        wrong += misendings(world, {ack.command.id: ending})

    # Money that turns up later than our minute goes back a little later, too.
    assert [] == [each for each in wrong if not each.startswith("9008")]
    world.proven()


@over_channels()
def test_each_ending_five_at_once(world):
    """All endings side by side: nobody's silence is another one's delay."""
    assert [] == live_through(world, EXPECTED, 5)


@pytest.mark.slow
@pytest.mark.timeout(1_800)
@over_channels()
@pytest.mark.parametrize("ending", sorted(set(EXPECTED) - {"0000"}))
def test_each_ending_two_hundred_at_once(world, ending, capsys):
    """Two hundred of it in one moment, over sockets, on two processors."""
    wrong = live_through(world, (ending,), 200)
    with capsys.disabled():
        line = {"channel": world.kind, "ending": ending, "at_once": 200, "wrong": len(wrong)}
        print("\n" + json.dumps(line))

    assert [] == wrong
