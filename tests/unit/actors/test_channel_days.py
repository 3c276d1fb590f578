"""A shard keeps when the channel says that it took money and gave it back, if that can be."""

import pytest
from msgspec.structs import replace

from actors.live import LivePayment, decode_refund
from oracle import settled
from payments.calendar import DAY_MS
from payments.channel_time import CHANNEL_SKEW_MS
from payments.channels.base import Approved, Notice
from world import World

HOUR_MS = 3_600_000


@pytest.fixture
def world():
    made = World()
    made.start()
    yield made
    made.close()


def tells(world, before_ms):
    """Each channel says that it took the money so long before it answers."""
    for channel in world.channels.values():

        def told(order, pay_now=channel.pay_now):
            outcome = pay_now(order)
            assert isinstance(outcome, Approved)
            return replace(outcome, channel_at=world.core.clock.now_ms() - before_ms)

        channel.pay_now = told


def stored(world, paid):
    return LivePayment.of_row(world.store.payment(paid.body["id"])).payment


BEFORE = [
    # how long before the answer, whether that is believed
    (0, True),
    (CHANNEL_SKEW_MS, True),
    (-CHANNEL_SKEW_MS, True),
    (CHANNEL_SKEW_MS + 60_000, False),
    (-CHANNEL_SKEW_MS - 60_000, False),
    (8 * HOUR_MS, False),
    (DAY_MS, False),
]


@pytest.mark.parametrize(("before_ms", "is_believed"), BEFORE)
def test_a_payment_keeps_the_channels_time(world, before_ms, is_believed):
    """One that cannot be is left out, and the payment succeeds all the same."""
    tells(world, before_ms)
    paid = world.pay()

    assert "succeeded" == paid.body["status"]
    payment = stored(world, paid)
    expected = payment.succeeded_at - before_ms if is_believed else None
    kept = payment.attempt.channel_at
    assert (kept is None) == (expected is None)
    assert kept is None or abs(kept - expected) < 1_000
    assert [] == settled(world)


@pytest.mark.parametrize(("before_ms", "is_believed"), [(1_000, True), (DAY_MS, False)])
def test_a_refund_keeps_the_channels_time(world, before_ms, is_believed):
    paid = world.pay()
    refund = world.refund(paid.body["id"], 377, wait_ms=0).command.id  # Its answer is lost.
    world.advance(0.2)
    (account, number) = next(
        (account, number) for account, taken in world.taken().items() for number in taken
    )
    at = world.core.clock.now_ms() - before_ms

    async def tell():
        told = Approved(number, 377, "R1", channel_at=at)
        world.lanes[account]._notices.tell(Notice(number, told, refund.partition("_")[2]))

    world.loop.run_until_complete(tell())
    world.advance(0.2)

    kept = decode_refund(world.store.refund(refund)[7])
    assert "succeeded" == kept.status
    assert kept.channel_at == (at if is_believed else None)
