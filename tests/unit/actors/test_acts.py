"""A payer's act that the channel refuses is a refusal, not a success that did not happen."""

import pytest

from payments.channels.base import Declined
from world import World

REFUSED = Declined("channel_error", "the order is closed")


@pytest.fixture
def world():
    made = World().start()
    yield made
    made.close()


def acted(world, payment, verb):
    return world.wait(world.act(payment["id"], verb))


@pytest.fixture
def shown(world):
    """A code that waits for its payer."""
    return world.pay(way="qr").body


def test_an_act_is_answered_with_the_payment(world, shown):
    assert shown["id"] == acted(world, shown, "pay").body["id"]
    world.settle()
    assert "succeeded" == world.read(shown["id"]).body["status"]


def test_who_pays_what_is_paid_already_is_told_so(world, shown):
    """And the payment stays as it is."""
    acted(world, shown, "pay")
    world.settle()

    for verb in ("pay", "decline"):
        refused = acted(world, shown, verb)
        assert "conflict" == refused.code, verb
        assert "the order is paid" in refused.reply.detail
    assert "succeeded" == world.read(shown["id"]).body["status"]


def test_who_pays_a_closed_code_is_told_so(world, shown):
    world.wait(world.cancel(shown["id"]))
    world.settle()

    assert "conflict" == acted(world, shown, "pay").code
    assert "closed" == world.read(shown["id"]).body["status"]
