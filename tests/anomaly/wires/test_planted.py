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


def over_channels(names=("wechat", "alipay", "unionpay")):
    return pytest.mark.parametrize("world", names, indirect=True)


@over_channels()
def test_a_sound_gateway_has_nothing_to_complain_about(world):
    """The same run without a defect: all endings, and the worst of the cuts."""
    world.start()

    assert [] == ordeal(world)


@pytest.mark.parametrize("name", sorted(set(PLANTED) - IN_THE_CONTRACT))
@over_channels()
def test_the_ordeal_finds(world, name):
    """A gateway with this defect is not sound: the oracle, the table or the books say so."""
    world.plant = PLANTED[name]
    world.start()

    assert [] != ordeal(world)
