"""The contract of giving back: once under a number, never more than was paid."""

import asyncio

from all_rigs import over
from payments.channels.base import Approved, Declined, Unknown, Unpaid
from rigs import NUMBER
from saying import kept


@over("refund")
async def test_a_refund_under_its_number_happens_once(stand):
    """However often it is asked for, and at once."""
    order = stand.barcode()
    await stand.channel.pay(order)
    back = stand.back(order, 1000)
    answers = await asyncio.gather(*(stand.channel.refund(back) for _ in range(3)))

    assert answers[0] == answers[1] == answers[2]
    assert isinstance(answers[0], Approved)
    assert (answers[0].out_trade_no, answers[0].amount) == (NUMBER, 1000)
    assert answers[0].channel_trade_no
    assert await stand.channel.inquire_refund(back) == answers[0]
    assert 2800 == kept(stand)


@over("refund", "times")
async def test_a_refund_says_when_the_money_went_back(stand):
    """Not when it was paid: a day later it stands in another bill."""
    order = stand.barcode()
    paid = await stand.channel.pay(order)
    stand.advance(86_400)
    before = stand.clock.now_ms()
    back = await stand.channel.refund(stand.back(order, 1000))

    assert paid.channel_at < before - 86_000_000
    assert before - 1_000 < back.channel_at <= stand.clock.now_ms()


@over("refund")
async def test_the_same_refund_number_with_another_amount_gives_nothing_back(stand):
    order = stand.barcode()
    await stand.channel.pay(order)
    await stand.channel.refund(stand.back(order, 1000))

    assert not isinstance(await stand.channel.refund(stand.back(order, 1100)), Approved)
    assert 2800 == kept(stand)


@over("refund")
async def test_refunds_in_parts_add_up_to_the_whole(stand):
    """Each is its own, the last fen goes back, and then there is nothing left."""
    order = stand.barcode()
    await stand.channel.pay(order)
    for name, amount in (("R1AZ0000", 1000), ("R2AZ0000", 2799), ("R3AZ0000", 1)):
        stand.advance(61)
        answer = await stand.channel.refund(stand.back(order, amount, name))
        assert isinstance(answer, Approved)
        assert amount == answer.amount
        assert answer == await stand.channel.inquire_refund(stand.back(order, amount, name))
    stand.advance(61)

    assert isinstance(await stand.channel.refund(stand.back(order, 1, "R4AZ0000")), Declined)
    assert 0 == kept(stand)


@over("refund")
async def test_refunds_never_exceed_the_payment(stand):
    """However many are asked for at once, at most three of 1000 fit into 3800."""
    order = stand.barcode()
    await stand.channel.pay(order)
    backs = [stand.back(order, 1000, f"R{i}AZ0000") for i in range(10)]

    answers = await asyncio.gather(*(stand.channel.refund(back) for back in backs))

    done = sum(isinstance(answer, Approved) for answer in answers)
    assert 1 <= done <= 3
    assert 3800 - 1000 * done == kept(stand)


@over("refund")
async def test_a_refund_of_what_nobody_paid_is_refused(stand):
    """Neither an unpaid order nor an absent one gives anything back."""
    order = stand.barcode("9002")
    await stand.channel.pay(order)
    absent = stand.barcode(number="01K5AZ000000ABSENT")

    for each in (order, absent):
        answer = await stand.channel.refund(stand.back(each, 1000))
        assert isinstance(answer, Declined | Unknown)
    assert 0 == kept(stand)


@over("refund")
async def test_a_refund_that_nobody_made_is_absent(stand):
    order = stand.barcode()
    await stand.channel.pay(order)

    assert await stand.channel.inquire_refund(stand.back(order, 1000)) == Unpaid("absent")


@over("refund")
async def test_a_doubtful_refund_is_unknown_and_the_same_number_settles_it(stand):
    """…77: made, its answer lost. …78: not made. Asked again under its number: once, both."""
    order = stand.barcode(amount=9_000)
    await stand.channel.pay(order)
    for name, amount, made in (("R1AZ0000", 1_077, True), ("R2AZ0000", 1_078, False)):
        back = stand.back(order, amount, name)
        stand.advance(61)
        assert isinstance(await stand.channel.refund(back), Unknown)
        asked = await stand.channel.inquire_refund(back)
        assert isinstance(asked, Approved) if made else asked == Unpaid("absent")
        assert isinstance(await stand.channel.refund(back), Approved)
    assert 9_000 - 1_077 - 1_078 == kept(stand)


@over("refund")
async def test_what_is_partly_refunded_is_still_paid(stand):
    """A query after a refund is not a query of an unpaid order."""
    order = stand.barcode()
    await stand.channel.pay(order)
    await stand.channel.refund(stand.back(order, 1000))

    answer = await stand.channel.inquire(stand.about(order))
    assert isinstance(answer, Approved)
    assert 3800 == answer.amount


@over("refund")
async def test_coupons_go_back_in_terms_of_the_amount(stand):
    """A refund of all of a payment with coupons is one of the whole amount."""
    order = stand.barcode("9012")
    await stand.channel.pay(order)
    answer = await stand.channel.refund(stand.back(order, 3800))

    assert isinstance(answer, Approved)
    assert (3800, 0) == (answer.amount, kept(stand))
