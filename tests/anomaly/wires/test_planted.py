"""The ordeal finds every planted defect of a connector: a proof that cannot fail proves nothing."""

import pytest

from ordeal import ordeal
from planted_wires import PLANTED
from wires import WireWorld

IN_THE_CONTRACT = {"an_unpaid_order_taken_for_closed", "a_reverse_believed_without_an_answer"}
"""Found there. Here a later look at the channel sets it right, as it should."""


@pytest.fixture
def world(request, tmp_path):
    world = WireWorld(request.param, tmp_path)
    yield world
    world.close()


CHANNELS = ("wechat", "alipay", "unionpay")


@pytest.mark.parametrize("world", CHANNELS, indirect=True)
def test_a_sound_gateway_has_nothing_to_complain_about(world):
    """The same run without a defect: all endings, and the worst of the cuts."""
    world.start()

    assert [] == ordeal(world)


SEARCHED = sorted(set(PLANTED) - IN_THE_CONTRACT)
CASES = [
    pytest.param(
        channel,
        name,
        id=f"{channel}-{name}",
        # Each defect at one channel in every run, at all of them in `make prove`.
        marks=() if number % len(CHANNELS) == place else (pytest.mark.slow,),
    )
    for number, name in enumerate(SEARCHED)
    for place, channel in enumerate(CHANNELS)
]


@pytest.mark.parametrize(("world", "name"), CASES, indirect=["world"])
def test_the_ordeal_finds(world, name):
    """A gateway with this defect is not sound: the oracle, the table or the books say so."""
    world.plant = PLANTED[name]
    world.start()

    assert [] != ordeal(world)
