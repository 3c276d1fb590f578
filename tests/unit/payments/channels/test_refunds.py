"""Refunds: once per number, never beyond the order, and lost answers on purpose."""

import pytest

from payments.channels.base import Approved, Book, Declined, Unknown, Unpaid

SYSTEM_ERROR = Unknown("system error")


@pytest.fixture
async def paid(world):
    """A world in which 3800 were paid."""
    await world.pay(world.order())
    return world


async def test_a_refund_happens_once_per_number(paid):
    """The same number again gets the same answer and gives nothing back."""
    asked = paid.refund("R1", 1000)

    assert await paid.channel.refund(asked) == Approved("N1", 1000, "simrR1")
    assert await paid.channel.refund(asked) == Approved("N1", 1000, "simrR1")
    assert await paid.channel.inquire_refund(asked) == Approved("N1", 1000, "simrR1")
    assert paid.book() == Book("N1", 3800, 1000, "paid", 1)


async def test_refunds_together_never_exceed_the_order(paid):
    """Up to the last fen, and not one more."""
    assert isinstance(await paid.channel.refund(paid.refund("R1", 3000)), Approved)
    refused = await paid.channel.refund(paid.refund("R2", 801))
    assert isinstance(refused, Declined)
    assert refused.channel_code == "REFUND_EXCEEDS"
    assert isinstance(await paid.channel.refund(paid.refund("R3", 800)), Approved)

    assert paid.book() == Book("N1", 3800, 3800, "paid", 1)


async def test_an_answer_lost_on_purpose(paid):
    """An amount ending in 77: made, and not said; a query or the same number tells."""
    asked = paid.refund("R1", 1077)

    assert await paid.channel.refund(asked) == SYSTEM_ERROR
    assert paid.book() == Book("N1", 3800, 1077, "paid", 1)
    assert await paid.channel.inquire_refund(asked) == Approved("N1", 1077, "simrR1")
    assert await paid.channel.refund(asked) == Approved("N1", 1077, "simrR1")


async def test_a_request_lost_on_purpose(paid):
    """An amount ending in 78: not made until it is asked again under its number."""
    asked = paid.refund("R1", 1078)

    assert await paid.channel.refund(asked) == SYSTEM_ERROR
    assert await paid.channel.inquire_refund(asked) == Unpaid("absent")
    assert paid.book() == Book("N1", 3800, 0, "paid", 1)
    assert await paid.channel.refund(asked) == Approved("N1", 1078, "simrR1")
    assert paid.book() == Book("N1", 3800, 1078, "paid", 1)


@pytest.mark.parametrize(
    ("refund", "amount", "number", "total"),
    [("R1", 999, "N1", 3800), ("R2", 0, "N1", 3800), ("R2", 1, "N1", 3799), ("R2", 1, "N9", 1)],
    ids=["number of another amount", "nothing", "another total", "no such order"],
)
async def test_a_wrong_refund_is_refused(paid, refund, amount, number, total):
    """And changes nothing."""
    await paid.channel.refund(paid.refund("R1", 1000))

    answer = await paid.channel.refund(paid.refund(refund, amount, number, total))

    assert isinstance(answer, Declined)
    assert paid.book() == Book("N1", 3800, 1000, "paid", 1)


async def test_only_paid_money_is_refunded(world):
    """Not a payment under way, and not one that was reversed."""
    await world.pay(world.order("9002"))
    assert isinstance(await world.channel.refund(world.refund("R1", 1)), Declined)

    await world.pay(world.order(number="N2"))
    await world.reverse("N2")

    assert isinstance(await world.channel.refund(world.refund("R1", 1, "N2")), Declined)
    assert world.book("N2") == Book("N2", 3800, 3800, "reversed", 1)


async def test_what_was_refunded_cannot_be_reversed(paid):
    """Else a part would go back twice."""
    await paid.channel.refund(paid.refund("R1", 1))

    assert isinstance(await paid.reverse("N1"), Declined)
    assert paid.book() == Book("N1", 3800, 1, "paid", 1)
