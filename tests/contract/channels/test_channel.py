"""What every channel must do, whatever is behind it. A new channel adds its rig to `all_rigs`.

Nothing here knows how a channel speaks: an order is paid, asked about, undone and refunded, and
each answer has to be one that the gateway may rest money on. The sandbox's own books are the
witness of what really happened.
"""

import asyncio

from msgspec.structs import replace

from all_rigs import over
from payments.channels.base import Approved, Awaiting, Declined, Unknown, Unpaid
from rigs import NUMBER
from saying import OVER, is_taken, kept

LATE_S = 4
PIN_S = 4
SIGNED_AGAIN_S = 21


async def undo(stand, order):
    """The channel's way to end a barcode payment that is not to be."""
    ask = stand.channel.reverse if "reverse" in stand.rig.can else stand.channel.close
    return await ask(stand.about(order))


# --- taking money ----------------------------------------------------------------------------


@over("barcode")
async def test_a_success_names_our_number_and_our_amount(stand):
    """And how the channel calls it: else nobody could believe it, or find it again."""
    answer = await stand.channel.pay(stand.barcode())

    assert isinstance(answer, Approved)
    assert (answer.out_trade_no, answer.amount) == (NUMBER, 3800)
    assert answer.channel_trade_no
    assert 3800 == kept(stand)


@over("barcode", "times")
async def test_a_success_says_when_the_channel_took_the_money(stand):
    """By its own clock: that is the day of its bill. Whole seconds where the wire has no finer."""
    stand.advance(3 * 3_600)
    before = stand.clock.now_ms()
    answer = await stand.channel.pay(stand.barcode())

    assert before - 1_000 < answer.channel_at <= stand.clock.now_ms()


@over("barcode")
async def test_a_query_says_what_the_payment_said(stand):
    order = stand.barcode()
    paid = await stand.channel.pay(order)

    assert await stand.channel.inquire(stand.about(order)) == paid


@over("barcode")
async def test_the_same_order_twice_is_one_payment(stand):
    """One after the other and at the same time: one charge, and no answer that says otherwise."""
    order, channel = stand.barcode(), stand.channel
    answers = await asyncio.gather(channel.pay(order), channel.pay(order))
    answers.append(await channel.pay(order))
    told = await channel.inquire(stand.about(order))

    assert told in answers
    assert all(answer == told or is_taken(stand, answer) for answer in answers)
    assert 1 == stand.books()[NUMBER].charges


@over("barcode")
async def test_the_same_number_for_another_order_is_refused(stand):
    """With an answer that does not invite a second channel: this number carries money.

    Or it is told what stands under the number already: the one payment, of its own amount.
    """
    first = await stand.channel.pay(stand.barcode())

    for other in (stand.barcode(amount=3801), stand.barcode("1111")):
        answer = await stand.channel.pay(other)
        assert isinstance(answer, Declined | Unknown) or answer == first
        assert not getattr(answer, "not_sent", False)
    assert (3800, 1) == (kept(stand), stand.books()[NUMBER].charges)


@over("barcode")
async def test_an_order_that_nobody_made_is_absent(stand):
    """Absent is an answer of its own, not a refusal and not an error."""
    assert await stand.channel.inquire(stand.about(stand.barcode())) == Unpaid("absent")


@over("barcode")
async def test_a_decline_is_one_of_our_codes(stand):
    """The payer's refusal is final and not `not_sent`; a query never says anything but unpaid."""
    for ending, code in (("9003", "insufficient_funds"), ("9004", "auth_code_expired")):
        order = stand.barcode(ending, number=f"01K5AZ0000{ending}")
        answer = await stand.channel.pay(order)

        assert isinstance(answer, Declined)
        assert (answer.code, answer.not_sent) == (code, False)
        assert answer.message
        assert answer.channel_code
        asked = await stand.channel.inquire(stand.about(order))
        assert isinstance(asked, Declined) or asked in (*OVER, Unpaid("absent"))
        assert 0 == kept(stand, order.out_trade_no)


@over("barcode")
async def test_amounts_of_one_fen_and_of_millions_survive_the_wire(stand):
    """No float, no rounding, no lost zero."""
    for count, amount in enumerate((1, 10, 99, 100, 101, 1999, 10_000_000, 99_999_999)):
        order = stand.barcode(amount=amount, number=f"01K5AZ00000000{count:04d}")
        answer = await stand.channel.pay(order)

        assert isinstance(answer, Approved)
        assert amount == answer.amount
        assert amount == kept(stand, order.out_trade_no)


@over("barcode")
async def test_many_orders_at_once_are_told_apart(stand):
    """Every answer is about the order that was asked."""
    orders = [stand.barcode(amount=100 + n, number=f"01K5AZ000000000{n:03d}") for n in range(40)]
    answers = await asyncio.gather(*(stand.channel.pay(order) for order in orders))

    for order, answer in zip(orders, answers, strict=True):
        assert isinstance(answer, Approved)
        assert (order.out_trade_no, order.amount) == (answer.out_trade_no, answer.amount)
    assert sum(order.amount for order in orders) == sum(kept(stand, n) for n in stand.books())


# --- the scenes of test mode -------------------------------------------------------------------


@over("barcode")
async def test_a_payer_who_enters_a_pin_has_paid_when_it_is_entered(stand):
    """9001: awaited, then paid; a query before says open."""
    order = stand.barcode("9001")
    assert isinstance(await stand.channel.pay(order), Awaiting)
    assert await stand.channel.inquire(stand.about(order)) in (Unpaid("open"), Awaiting())
    stand.advance(PIN_S)

    answer = await stand.channel.inquire(stand.about(order))
    assert isinstance(answer, Approved)
    assert (3800, 3800) == (answer.amount, kept(stand))


@over("barcode")
async def test_a_payer_who_never_does_has_not_paid(stand):
    """9002: open, until it is undone; then over for good."""
    order = stand.barcode("9002")
    assert isinstance(await stand.channel.pay(order), Awaiting)
    stand.advance(45)

    assert await stand.channel.inquire(stand.about(order)) in (Unpaid("open"), Awaiting())
    assert isinstance(await undo(stand, order), Approved)
    assert await stand.channel.inquire(stand.about(order)) in OVER
    assert 0 == kept(stand)


@over("barcode")
async def test_a_doubtful_answer_is_unknown_and_a_query_tells(stand):
    """9005: "system error" is no verdict: the money may have been taken, and here it was."""
    order = stand.barcode("9005")
    assert isinstance(await stand.channel.pay(order), Unknown)
    assert isinstance(await stand.channel.inquire(stand.about(order)), Approved)


@over("barcode")
async def test_a_canceled_call_can_be_asked_about(stand):
    """9006: a call that was given up leaves the channel usable and the truth to a query."""
    order = stand.barcode("9006")
    call = asyncio.create_task(stand.channel.pay(order))
    await stand.until(lambda: 1 == len(stand.books()))
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)

    assert isinstance(await stand.channel.inquire(stand.about(order)), Approved)


@over("barcode")
async def test_money_that_turns_up_after_the_end_is_told(stand):
    """9008: nobody learns anything, we undo it, and it is paid after all: a query says so."""
    order = stand.barcode("9008")
    assert isinstance(await stand.channel.pay(order), Unknown)
    assert isinstance(await stand.channel.inquire(stand.about(order)), Unknown)
    assert isinstance(await undo(stand, order), Approved)
    assert 0 == kept(stand)
    stand.advance(LATE_S)

    late = await stand.channel.inquire(stand.about(order))
    assert isinstance(late, Approved)
    assert (3800, 3800) == (late.amount, kept(stand))


@over("barcode")
async def test_a_wrong_signature_is_no_answer(stand):
    """9010: paid, and nothing of it is believed while the signatures are wrong."""
    order = stand.barcode("9010")
    assert isinstance(await stand.channel.pay(order), Unknown)
    assert isinstance(await stand.channel.inquire(stand.about(order)), Unknown)
    stand.advance(SIGNED_AGAIN_S)

    assert isinstance(await stand.channel.inquire(stand.about(order)), Approved)


@over("barcode")
async def test_another_amount_is_told_as_the_channel_said_it(stand):
    """9011: the connector does not correct it; whoever compares it must see it."""
    order = stand.barcode("9011")

    for answer in (
        await stand.channel.pay(order),
        await stand.channel.inquire(stand.about(order)),
    ):
        assert isinstance(answer, Approved)
        assert 3900 == answer.amount
    assert 3800 == kept(stand)


@over("barcode")
async def test_coupons_say_who_pays_what(stand):
    """9012: 300 by the channel and 200 by the merchant; the amount stays what was asked."""
    order = stand.barcode("9012")

    for answer in (
        await stand.channel.pay(order),
        await stand.channel.inquire(stand.about(order)),
    ):
        assert isinstance(answer, Approved)
        assert (3800, 3300, 3600) == (answer.amount, answer.payer_amount, answer.settle_amount)
        told = sorted((each.funder, each.amount) for each in answer.discounts)
        assert [("channel", 300), ("merchant", 200)] == told


@over("barcode")
async def test_without_coupons_nothing_is_discounted(stand):
    """Whether the channel names the amounts or leaves them out."""
    answer = await stand.channel.pay(stand.barcode())

    assert isinstance(answer, Approved)
    assert () == answer.discounts
    assert {answer.payer_amount, answer.settle_amount} <= {None, 3800}


# --- undoing -----------------------------------------------------------------------------------


@over("barcode", "reverse")
async def test_a_reverse_undoes_a_payment_and_may_be_repeated(stand):
    """A reverse sent and not recorded is sent again after a crash; it undoes once."""
    order = stand.barcode()
    await stand.channel.pay(order)

    for _ in range(3):
        assert isinstance(await stand.channel.reverse(stand.about(order)), Approved)
    assert await stand.channel.inquire(stand.about(order)) in OVER
    assert (0, 3800) == (kept(stand), stand.books()[NUMBER].refunded_minor)


@over("barcode", "reverse")
async def test_a_reversed_number_is_never_paid_again(stand):
    """Not even when the first request arrives after the reverse."""
    order = stand.barcode()
    answer = await stand.channel.reverse(stand.about(order))
    if not isinstance(answer, Approved):
        # A channel that knows no such order cannot end it: it must say so, not that it is done.
        assert isinstance(answer, Unpaid | Unknown | Declined)
        await stand.channel.pay(order)
        assert isinstance(await stand.channel.reverse(stand.about(order)), Approved)
    elif "seals" not in stand.rig.can:
        # What was on its way may come yet, for as long as it said itself; we look again after it.
        stand.advance(stand.rig.request_life_s)

    answer = await stand.channel.pay(order)

    assert not isinstance(answer, Approved | Awaiting)
    assert not getattr(answer, "not_sent", False)
    assert 0 == kept(stand)
    assert await stand.channel.inquire(stand.about(order)) in (*OVER, Unpaid("absent"))


@over("barcode", "close")
async def test_what_is_paid_cannot_be_closed(stand):
    """The answer is no success, so that we ask and find the payment."""
    order = stand.barcode()
    await stand.channel.pay(order)

    assert not isinstance(await stand.channel.close(stand.about(order)), Approved)
    assert isinstance(await stand.channel.inquire(stand.about(order)), Approved)
    assert 3800 == kept(stand)


@over("barcode")
async def test_another_currency_is_refused_and_not_sent(stand):
    """Or taken for what it is, by a channel that has it; never for another one."""
    answer = await stand.channel.pay(replace(stand.barcode(), currency="usd"))

    if isinstance(answer, Approved):
        return
    assert isinstance(answer, Declined)
    assert answer.not_sent
    assert {} == stand.books()
