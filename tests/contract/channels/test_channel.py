"""What every channel must do, whatever is behind it. A new channel adds itself to CHANNELS.

Nothing here knows how a channel speaks: an order is paid, asked about, undone and refunded, and
each answer has to be one that the gateway may rest money on.
"""

import asyncio
from collections.abc import Callable
from random import Random

import pytest

from payments.channels.base import (
    Approved,
    Awaiting,
    Channel,
    Declined,
    OrderRef,
    PayOrder,
    RefundOrder,
    Unknown,
    Unpaid,
)
from payments.channels.simulated.books import Books
from payments.channels.simulated.connector import SimulatedChannel
from payments.channels.simulated.settings import Latency, SimulatedSettings
from payments.clock import SystemClock
from payments.payment import Way


def simulated() -> Channel:
    return SimulatedChannel(SimulatedSettings(), SystemClock(), Random(1), Books())


def simulated_slow() -> Channel:
    settings = SimulatedSettings(latency=Latency("uniform", 1, 4), refund_latency=Latency(ms=2))
    return SimulatedChannel(settings, SystemClock(), Random(1), Books())


CHANNELS: dict[str, Callable[[], Channel]] = {
    "simulated": simulated,
    "simulated, slow": simulated_slow,
}


@pytest.fixture(params=CHANNELS)
def channel(request) -> Channel:
    return CHANNELS[request.param]()


NUMBER = "01K5AZ00000000000000000000"
REFERENCE = OrderRef(NUMBER, 3800, "cny", Way.BARCODE, "alipay", "mch_1", 1_795_000_000_000)


def barcode(ending: str = "0000", amount: int = 3800, number: str = NUMBER) -> PayOrder:
    code = f"28201234567890{ending}"
    return PayOrder(number, amount, "cny", Way.BARCODE, "alipay", "mch_1", auth_code=code)


def shown(number: str = NUMBER) -> PayOrder:
    expires_at = SystemClock().now_ms() + 300_000
    return PayOrder(number, 3800, "cny", Way.QR, "alipay", "mch_1", expires_at=expires_at)


def refund(amount: int, name: str = "R1") -> RefundOrder:
    return RefundOrder(NUMBER, name, amount, 3800, "cny")


async def test_a_success_names_our_number_and_our_amount(channel):
    """And how the channel calls it: else nobody could believe it, or find it again."""
    answer = await channel.pay(barcode())

    assert isinstance(answer, Approved)
    assert (answer.out_trade_no, answer.amount) == (NUMBER, 3800)
    assert answer.channel_trade_no


async def test_a_query_says_what_the_payment_said(channel):
    paid = await channel.pay(barcode())

    assert await channel.inquire(REFERENCE) == paid


async def test_the_same_order_twice_is_one_payment(channel):
    """One after the other and at the same time."""
    answers = await asyncio.gather(channel.pay(barcode()), channel.pay(barcode()))
    answers.append(await channel.pay(barcode()))

    assert answers[0] == answers[1] == answers[2]
    assert await channel.reverse(REFERENCE) == await channel.reverse(REFERENCE)
    assert await channel.inquire(REFERENCE) in (Unpaid("reversed"), Unpaid("closed"))


async def test_the_same_number_for_another_order_is_refused(channel):
    """With a refusal that does not invite a second channel: this number may carry money."""
    await channel.pay(barcode())

    answer = await channel.pay(barcode(amount=3801))

    assert isinstance(answer, Declined)
    assert not answer.not_sent


async def test_an_order_that_nobody_made_is_absent(channel):
    """Absent is an answer of its own, not a refusal and not an error."""
    assert await channel.inquire(REFERENCE) == Unpaid("absent")


async def test_a_decline_is_one_of_our_codes(channel):
    """The payer's refusal is final, is not `not_sent`, and a query repeats it."""
    answer = await channel.pay(barcode("9003"))

    assert isinstance(answer, Declined)
    assert (answer.code, answer.not_sent) == ("insufficient_funds", False)
    assert await channel.inquire(REFERENCE) == answer


async def test_a_reverse_undoes_a_payment_and_may_be_repeated(channel):
    """A reverse sent and not recorded is sent again after a crash."""
    await channel.pay(barcode())

    for _ in range(3):
        assert isinstance(await channel.reverse(REFERENCE), Approved)
    answer = await channel.inquire(REFERENCE)
    assert isinstance(answer, Unpaid)
    assert answer.state in ("reversed", "closed")


async def test_a_reversed_number_is_never_paid_again(channel):
    """Not even when the first request arrives after the reverse."""
    await channel.reverse(REFERENCE)

    answer = await channel.pay(barcode())

    assert isinstance(answer, Declined)
    assert not answer.not_sent
    assert isinstance(await channel.inquire(REFERENCE), Unpaid)


async def test_a_code_waits_for_its_payer_and_can_be_closed(channel):
    """Closed is confirmed, and may be asked twice."""
    answer = await channel.pay(shown())

    assert isinstance(answer, Awaiting)
    assert answer.code
    assert await channel.inquire(REFERENCE) in (Unpaid("open"), Awaiting(answer.code))
    assert isinstance(await channel.close(REFERENCE), Approved)
    assert isinstance(await channel.close(REFERENCE), Approved)
    assert await channel.inquire(REFERENCE) == Unpaid("closed")


async def test_what_is_paid_cannot_be_closed(channel):
    """The answer is a refusal, so that we ask and find the payment."""
    await channel.pay(barcode())

    assert isinstance(await channel.close(REFERENCE), Declined)
    assert isinstance(await channel.inquire(REFERENCE), Approved)


async def test_a_refund_under_its_number_happens_once(channel):
    await channel.pay(barcode())

    answers = await asyncio.gather(*(channel.refund(refund(1000)) for _ in range(3)))

    assert answers[0] == answers[1] == answers[2]
    assert isinstance(answers[0], Approved)
    assert (answers[0].out_trade_no, answers[0].amount) == (NUMBER, 1000)
    assert answers[0].channel_trade_no
    assert await channel.inquire_refund(refund(1000)) == answers[0]


async def test_refunds_never_exceed_the_payment(channel):
    """However many are asked for at once, three of 1000 fit into 3800."""
    await channel.pay(barcode())

    answers = await asyncio.gather(*(channel.refund(refund(1000, f"R{i}")) for i in range(10)))

    assert sum(isinstance(answer, Approved) for answer in answers) == 3
    assert sum(isinstance(answer, Declined) for answer in answers) == 7


async def test_a_refund_that_nobody_made_is_absent(channel):
    await channel.pay(barcode())

    assert await channel.inquire_refund(refund(1000)) == Unpaid("absent")


async def test_a_doubtful_answer_is_unknown_and_a_query_tells(channel):
    """ "System error" is no verdict: the money may have been taken, and here it was."""
    assert isinstance(await channel.pay(barcode("9005")), Unknown)
    assert isinstance(await channel.inquire(REFERENCE), Approved)


async def test_a_canceled_call_can_be_asked_about(channel):
    """A call that was given up leaves the channel usable and the truth to a query."""
    call = asyncio.create_task(channel.pay(barcode("9006")))
    await asyncio.sleep(0.02)
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)

    assert isinstance(await channel.inquire(REFERENCE), Approved)
