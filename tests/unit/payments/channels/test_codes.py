"""Codes: the payer acts, late or twice, and the channel ends what nobody paid."""

import pytest

from payments.channels.base import Approved, Awaiting, Book, Declined, Unpaid
from payments.payment import Way

CODE = Awaiting("https://pay.example/sim/N1")
PAID = Approved("N1", 3800, "simN1")
DONE = Approved("N1", 3800)


@pytest.fixture
async def shown(world):
    """A world in which a code is shown that lives for 300 seconds."""
    assert await world.pay(world.order(way=Way.QR, expires_in=300)) == CODE
    return world


@pytest.mark.parametrize("way", [Way.QR, Way.CASHIER])
async def test_a_code_is_shown_and_waits(world, way):
    """Its payload carries the order number; nothing is taken yet."""
    order = world.order(way=way, expires_in=300)

    assert await world.pay(order) == CODE
    assert await world.pay(order) == CODE
    assert await world.inquire("N1") == Unpaid("open")
    assert world.book() == Book("N1", 3800, 0, "unpaid", 0)


async def test_the_payer_pays(shown):
    """The callback comes, and queries say the same."""
    assert shown.channel.act("N1", "pay") == DONE

    assert [notice.outcome for notice in shown.notices] == [PAID]
    assert await shown.inquire("N1") == PAID
    assert shown.book() == Book("N1", 3800, 0, "paid", 1)


async def test_the_payer_declines(shown):
    """The order is over, with the reason; it cannot be paid any more."""
    assert shown.channel.act("N1", "decline") == DONE

    answer = await shown.inquire("N1")
    assert isinstance(answer, Declined)
    assert answer.code == "declined"
    assert [notice.outcome for notice in shown.notices] == [answer]
    assert isinstance(shown.channel.act("N1", "pay"), Declined)
    assert shown.book() == Book("N1", 3800, 0, "closed", 0)


async def test_paying_twice_charges_once(shown):
    """The channel refuses the second try; only its callback may come twice."""
    assert shown.channel.act("N1", "pay_twice") == DONE

    assert isinstance(shown.channel.act("N1", "pay"), Declined)
    assert shown.book() == Book("N1", 3800, 0, "paid", 1)
    assert [notice.outcome for notice in shown.notices] == [PAID] * 2


async def test_a_closed_code_is_never_paid(shown):
    """Closing is confirmed, may be repeated, and outlives the payer's wish."""
    assert await shown.undo_code("N1") == DONE
    assert await shown.undo_code("N1") == DONE

    assert isinstance(shown.channel.act("N1", "pay"), Declined)
    assert await shown.inquire("N1") == Unpaid("closed")


async def test_a_paid_code_cannot_be_closed(shown):
    """The refusal says paid: ask, and it has succeeded."""
    shown.channel.act("N1", "pay")

    answer = await shown.undo_code("N1")

    assert answer == Declined("channel_error", "the order is paid", "ORDERPAID")
    assert await shown.inquire("N1") == PAID


async def test_a_code_expires_at_the_channel(shown):
    """At its expiry, not before, and without anybody asking."""
    assert shown.channel.next_due() == shown.clock.now_ms() + 300_000
    shown.pass_seconds(299.999)
    assert shown.book() == Book("N1", 3800, 0, "unpaid", 0)

    shown.pass_seconds(0.001)

    assert shown.book() == Book("N1", 3800, 0, "closed", 0)
    assert await shown.inquire("N1") == Unpaid("closed")


@pytest.mark.parametrize("end", ["close", "expiry"])
async def test_paying_late_turns_up_after_we_were_told_that_it_is_over(shown, end):
    """Three seconds after the channel said closed, the money is there and called back."""
    assert shown.channel.act("N1", "pay_late") == DONE
    if end == "close":
        assert await shown.undo_code("N1") == DONE
    else:
        shown.pass_seconds(400)
        assert await shown.inquire("N1") == Unpaid("closed")
    shown.pass_seconds(2.999)
    assert await shown.inquire("N1") == Unpaid("closed")

    shown.pass_seconds(0.001)

    assert [notice.outcome for notice in shown.notices] == [PAID]
    assert await shown.inquire("N1") == PAID
    assert shown.book() == Book("N1", 3800, 0, "paid", 1)


async def test_paying_late_works_on_a_code_that_is_closed_already(shown):
    await shown.undo_code("N1")

    assert shown.channel.act("N1", "pay_late") == DONE
    shown.pass_seconds(3)

    assert await shown.inquire("N1") == PAID


async def test_acting_on_nothing_is_refused(world):
    """An unknown order is declined; an unknown verb is the caller's mistake."""
    assert isinstance(world.channel.act("N9", "pay"), Declined)
    with pytest.raises(ValueError, match="no such verb: steal"):
        world.channel.act("N9", "steal")


async def test_closing_what_does_not_exist_closes_its_number(world):
    """A request on its way arrives at a closed number."""
    assert await world.undo_code("N1") == Approved("N1", 0)

    assert isinstance(await world.pay(world.order(way=Way.QR)), Declined)


async def test_who_declined_does_not_pay_late(shown):
    """A wish to pay late ends with the payer's no."""
    shown.channel.act("N1", "pay_late")
    shown.channel.act("N1", "decline")
    await shown.undo_code("N1")

    shown.pass_seconds(60)

    assert shown.book() == Book("N1", 3800, 0, "closed", 0)
