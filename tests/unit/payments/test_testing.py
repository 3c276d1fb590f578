"""The public test kit builds what the business would have built."""

import pytest

from payments.channels.base import Approved, Awaiting, RefundOrder, Unknown
from payments.ids import body_of, partition_of
from payments.payment import STATUS_OF, AttemptState, Status, Way
from payments.reference import MerchantStatus
from payments.refund import RefundStatus
from payments.testing import (
    ScriptedChannel,
    a_merchant,
    a_payment,
    a_reference,
    a_refund,
    an_account,
    an_approval,
    an_id,
    an_order,
)


@pytest.mark.parametrize("state", AttemptState)
def test_a_payment_stands_where_its_attempt_does(state):
    """Status, fee and the next action go with the state of the attempt."""
    payment = a_payment(state)

    assert payment.status is STATUS_OF[state]
    assert (payment.status is Status.SUCCEEDED) == (payment.settle_amount == 3800)
    assert (payment.status is Status.SUCCEEDED) == (payment.fee == 14)
    assert payment.is_final == (payment.next_action_at is None)
    assert (payment.status is Status.FAILED) == (payment.failure is not None)


def test_a_test_says_only_what_it_is_about():
    """Fields that are given stand; the rest follows from them."""
    payment = a_payment(way=Way.QR, amount=100, created=0, order_no="A-1")

    assert (payment.way, payment.amount, payment.order_no) == (Way.QR, 100, "A-1")
    assert payment.attempt.sent_at == 0
    assert payment.expires_at == 300_000
    assert payment.verdict_by is None


def test_ids_are_new_each_time_and_carry_the_partition():
    """Two payments of one test are two payments."""
    assert an_id() != an_id()
    assert partition_of(an_id("rfd", 300)) == 300
    assert body_of(a_payment().id, "pay")


def test_a_refund_is_of_its_payment():
    """Of all that is left of it, unless the test says otherwise."""
    payment = a_payment(AttemptState.SUCCEEDED, amount_refunded=800)
    refund = a_refund(payment)

    assert (refund.payment, refund.amount) == (payment.id, 3000)
    assert refund.status is RefundStatus.PROCESSING
    assert partition_of(refund.id) == partition_of(payment.id)
    assert a_refund(amount=5).amount == 5


def test_merchants_and_accounts_are_ready_for_business():
    """Active, and able to take everything."""
    merchant, account = a_merchant(), an_account("other", priority=3)

    assert merchant.status is MerchantStatus.ACTIVE
    assert merchant.partition == partition_of(merchant.id)
    assert (account.name, account.priority, set(account.ways)) == ("other", 3, set(Way))


async def test_a_scripted_channel_answers_in_order_and_then_not_at_all():
    """Answers, or functions that make them; when the script has ended, unknown."""
    order = an_order()
    channel = ScriptedChannel(pay=[Unknown("no answer"), an_approval], inquire=[Awaiting()])

    assert await channel.pay(order) == Unknown("no answer")
    assert await channel.pay(order) == an_approval(order)
    assert await channel.pay(order) == Unknown("the script has ended")
    assert await channel.inquire(a_reference(order)) == Awaiting()
    assert channel.count("pay", order.out_trade_no) == channel.count("pay") == 3
    assert channel.count("pay", "another") == 0
    assert channel.orders == [order] * 3


async def test_a_scripted_channel_remembers_everything_it_was_asked():
    """Reverse, close and refunds too; what nobody asked for is left."""
    refund = RefundOrder("T1", "R1", 5, 10, "cny")
    channel = ScriptedChannel(refund=[an_approval], close=[Awaiting()])
    channel.then("reverse", Awaiting(), Awaiting())

    assert list(channel.left()) == ["reverse", "close", "refund"]
    assert await channel.refund(refund) == Approved("T1", 5, "chT1", 5, 5)
    await channel.reverse(a_reference(out_trade_no="T1"))
    await channel.inquire_refund(refund)
    await channel.close(a_reference(out_trade_no="T2"))

    assert channel.calls == [
        ("refund", "R1"),
        ("reverse", "T1"),
        ("inquire_refund", "R1"),
        ("close", "T2"),
    ]
    assert channel.refunds == [refund]
    assert channel.left() == ["reverse"]


def test_a_script_for_something_no_channel_does_is_a_mistake_of_the_test():
    """A typing error does not become a silent Unknown."""
    with pytest.raises(ValueError, match="pya"):
        ScriptedChannel(pya=[Awaiting()])
