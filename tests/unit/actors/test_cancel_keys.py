"""What a cancel's Idempotency-Key is used up by, and cancels that come twice."""

import msgspec
import pytest

from payments.channels.base import Declined
from payments.channels.simulated.settings import Latency, SimulatedSettings
from world import World


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path).start()
    yield made
    assert made.loop.failures == []
    made.close()


def canceled(world, payment, key):
    return world.wait(world.cancel(payment, key=key))


def test_a_cancels_key_is_nothing_elses(world):
    """Neither another cancel's, a payment's nor a refund's, and not after a restart either."""
    first, second = (world.pay(way="qr").body["id"] for _ in range(2))
    paid = world.pay().body["id"]
    assert canceled(world, first, "K").body["status"] == "closed"

    for _ in range(2):
        assert canceled(world, second, "K").code == "idempotency_mismatch"
        assert world.pay(key="K").code == "idempotency_mismatch"
        assert world.wait(world.refund(paid, key="K")).code == "idempotency_mismatch"
        assert canceled(world, paid, "K").code == "idempotency_mismatch"
        world.restart()
    assert world.read(second).body["status"] == "requires_payer"
    assert world.read(paid).body["amount_refunded"] == 0


def test_the_same_cancel_again_is_a_replay(world):
    payment = world.pay(way="qr").body["id"]
    assert canceled(world, payment, "K").reply.replayed is False
    world.restart()
    again = canceled(world, payment, "K")
    assert (again.body["status"], again.reply.replayed) == ("closed", True)


def test_a_cancel_of_what_is_final_uses_its_key_up(world):
    payment = world.pay(way="qr").body["id"]
    canceled(world, payment, "K")
    assert canceled(world, payment, "L").body["status"] == "closed"
    assert world.pay(key="L").code == "idempotency_mismatch"


def test_a_refused_cancel_leaves_its_key_free(world):
    payment = world.pay().body["id"]
    assert world.wait(world.refund(payment, 1)).body["status"] == "succeeded"
    assert canceled(world, payment, "K").code == "not_cancelable"
    assert world.pay(key="K").body["status"] == "succeeded"


@pytest.mark.parametrize("key", [None, "K"])
def test_a_cancel_sent_again_after_its_refund_failed_makes_no_other(world, key):
    """A front door that lost its link repeats the command; the payment stays paid."""
    payment = world.pay().body["id"]
    for channel in world.channels.values():
        channel._refund = lambda asked: Declined("channel_error", "no money", "NOTENOUGH")
    first = canceled(world, payment, key)
    again = world.wait(world.client.send(msgspec.structs.replace(first.command, nonce=0)))

    assert (again.reply.status, again.body["status"]) == (200, "succeeded")
    assert again.body["amount_refunded"] == 0
    assert world.core.refund_no == 1


def test_a_new_cancel_after_a_failed_one_is_tried_again(world):
    payment = world.pay().body["id"]
    refunds = {name: channel._refund for name, channel in world.channels.items()}
    for channel in world.channels.values():
        channel._refund = lambda asked: Declined("channel_error", "no money", "NOTENOUGH")
    canceled(world, payment, "K")
    for name, channel in world.channels.items():
        channel._refund = refunds[name]
    assert canceled(world, payment, "L").body["amount_refunded"] > 0


def test_a_cancel_that_waited_for_anothers_refund_makes_none_when_asked_again(world):
    """Its key is used up, though the refund that it waited for is the other's, and failed."""
    payment = world.pay().body["id"]
    for channel in world.channels.values():
        channel._settings = SimulatedSettings(refund_latency=Latency("fixed", 1_000))
        channel._refund = lambda asked: Declined("channel_error", "no money", "NOTENOUGH")
    asked = [world.cancel(payment, key=key) for key in "KL"]
    assert ["succeeded"] * 2 == [world.wait(each).body["status"] for each in asked]

    assert canceled(world, payment, "L").reply.replayed is True
    assert world.core.refund_no == 1
