"""Our connector against the sandbox over real sockets: every call, every ending, every callback."""

import asyncio
from random import Random

import pytest

from payments.channels.base import (
    Approved,
    Awaiting,
    Declined,
    PayOrder,
    Unknown,
    Unpaid,
)
from payments.channels.sandbox.faults import Faults
from payments.channels.simulated.endings import LATE_MS, PIN_MS
from payments.channels.unionpay.exchange import undo_number
from payments.payment import Discount, Way

TRADE = "0ABCDEFGHJKMNPQRSTVWXYZ001"
WALLETS = ("wechat", "alipay", "unionpay")


@pytest.mark.parametrize("wallet", WALLETS)
async def test_each_wallets_code_is_paid(bay, wallet):
    order = bay.order(wallet=wallet)
    paid = await bay.channel.pay(order)
    assert isinstance(paid, Approved)
    assert (TRADE, 3800, 3800, 3800, ()) == (
        paid.out_trade_no, paid.amount, paid.payer_amount, paid.settle_amount, paid.discounts,
    )  # fmt: skip
    assert paid == await bay.channel.inquire(bay.about(order))
    assert ("paid", 1) == (bay.book().state, bay.book().charges)


@pytest.mark.parametrize("ending", ["0000", "9001", "9005"])
async def test_an_order_that_is_sent_again_is_asked_about(bay, ending):
    """The channel says "duplicate" and no more: the query says what became of the first."""
    order = bay.order(ending)
    await bay.channel.pay(order)
    again = await bay.channel.pay(order)
    assert await bay.channel.inquire(bay.about(order)) == again
    assert not isinstance(again, Unknown)


async def test_a_number_of_another_order_shows_by_its_amount(bay):
    await bay.channel.pay(bay.order(amount=3800))
    outcome = await bay.channel.pay(bay.order(amount=1))
    assert 3800 == outcome.amount


async def test_coupons_make_three_amounts(bay):
    paid = await bay.channel.pay(bay.order("9012"))
    assert isinstance(paid, Approved)
    assert (3800, 3300, 3600) == (paid.amount, paid.payer_amount, paid.settle_amount)
    assert (Discount("channel", 300), Discount("merchant", 200)) == paid.discounts


@pytest.mark.parametrize(
    ("ending", "code"),
    [("9003", "insufficient_funds"), ("9004", "auth_code_expired")],
)
async def test_a_decline_has_our_code_and_ends_the_order(bay, ending, code):
    order = bay.order(ending)
    refused = await bay.channel.pay(order)
    assert isinstance(refused, Declined)
    assert (code, False) == (refused.code, refused.not_sent)
    assert isinstance(await bay.channel.inquire(bay.about(order)), Declined)
    assert isinstance(await bay.channel.reverse(bay.about(order)), Approved)
    assert 0 == bay.book().charges


async def test_a_pin_is_awaited_and_then_there(bay):
    order = bay.order("9001")
    assert Awaiting() == await bay.channel.pay(order)
    assert Awaiting() == await bay.channel.inquire(bay.about(order))
    bay.advance(PIN_MS / 1000)
    assert isinstance(await bay.channel.inquire(bay.about(order)), Approved)


async def test_a_pin_that_never_comes_is_closed(bay):
    order = bay.order("9002")
    await bay.channel.pay(order)
    assert Approved(TRADE, 3800) == await bay.channel.reverse(bay.about(order))
    assert Unpaid("closed") == await bay.channel.inquire(bay.about(order))
    assert ("closed", 0) == (bay.book().state, bay.book().charges)


async def test_a_system_error_is_unknown_until_a_query(bay):
    order = bay.order("9005")
    assert Unknown("respCode 99") == await bay.channel.pay(order)
    assert isinstance(await bay.channel.inquire(bay.about(order)), Approved)


async def test_money_that_was_taken_in_silence_is_found_by_a_query(bay):
    channel = bay.connect(bay.served.url, pay_timeout_s=0.5)
    order = bay.order("9006")
    assert Unknown("no answer") == await channel.pay(order)
    assert isinstance(await channel.inquire(bay.about(order)), Approved)


async def test_a_request_that_vanished_is_undone_once_it_cannot_arrive(bay):
    """Nothing closes an absent number, so it must be old enough before it counts as undone."""
    channel = bay.connect(bay.served.url, pay_timeout_s=0.5)
    order = bay.order("9007")
    assert isinstance(await channel.pay(order), Unknown)
    assert Unpaid("absent") == await channel.inquire(bay.about(order))
    assert Unknown("no such order yet") == await channel.reverse(bay.about(order))
    bay.advance(31)
    assert Approved(TRADE, 3800) == await channel.reverse(bay.about(order))
    assert bay.book() is None


async def test_the_late_one_pays_after_the_close(bay):
    """9008: no query tells, the close is done, and the money turns up afterwards."""
    order = bay.order("9008")
    assert isinstance(await bay.channel.pay(order), Unknown)
    assert isinstance(await bay.channel.inquire(bay.about(order)), Unknown)
    assert Approved(TRADE, 3800) == await bay.channel.reverse(bay.about(order))
    bay.advance(LATE_MS / 1000)
    assert isinstance(await bay.channel.inquire(bay.about(order)), Approved)
    back = await bay.channel.refund(bay.back(order, 3800))
    assert isinstance(back, Approved)
    assert (1, 3800) == (bay.book().charges, bay.book().refunded_minor)


async def test_a_wrong_signature_is_unknown_for_as_long_as_it_lasts(bay):
    order = bay.order("9010")
    wrong = Unknown("a message with a wrong signature")
    assert wrong == await bay.channel.pay(order)
    assert wrong == await bay.channel.inquire(bay.about(order))
    bay.advance(21)
    assert isinstance(await bay.channel.inquire(bay.about(order)), Approved)


async def test_another_amount_is_reported_as_it_was_said_and_undone_as_it_was_asked(bay):
    order = bay.order("9011")
    paid = await bay.channel.pay(order)
    assert isinstance(paid, Approved)
    assert 3900 == paid.amount
    assert isinstance(await bay.channel.reverse(bay.about(order)), Approved)
    assert (1, 3800) == (bay.book().charges, bay.book().refunded_minor)


# --- what stands for a reverse ------------------------------------------------------------------


async def test_a_paid_order_is_reversed_by_one_refund_however_often_it_is_asked(bay):
    order = bay.order()
    await bay.channel.pay(order)
    for _ in range(3):
        undone = await bay.channel.reverse(bay.about(order))
        assert isinstance(undone, Approved)
        assert 3800 == bay.book().refunded_minor
    assert Unpaid("reversed") == await bay.channel.inquire(bay.about(order))
    [owner] = bay.sandbox.books.all_with(TRADE)
    assert [undo_number(TRADE)] == list(owner.refunds)


async def test_twenty_reverses_at_once_refund_once(bay):
    order = bay.order()
    await bay.channel.pay(order)
    about = bay.about(order)
    async with asyncio.TaskGroup() as group:
        calls = [group.create_task(bay.channel.reverse(about)) for _ in range(20)]
    assert all(isinstance(call.result(), Approved) for call in calls)
    assert 3800 == bay.book().refunded_minor


@pytest.mark.parametrize("lost", ["queryOrder", "refund"])
async def test_a_reverse_whose_answer_was_lost_is_repeated(bay, lost):
    order = bay.order()
    await bay.channel.pay(order)
    bay.sandbox.faults.set(Faults(next=("drop", "drop"), operations=(lost,)))
    while isinstance(outcome := await bay.channel.reverse(bay.about(order)), Unknown):
        assert 3800 >= bay.book().refunded_minor
    assert isinstance(outcome, Approved)
    assert 3800 == bay.book().refunded_minor


async def test_a_payment_between_the_query_and_the_close_is_given_back(bay):
    """The close is refused, the second look says paid, the refund undoes it."""
    order = bay.order("9002")
    await bay.channel.pay(order)
    tap = Tap(bay.http, after="queryOrder", do=bay.act)
    channel = bay.connect(bay.served.url, http=tap)
    assert isinstance(await channel.reverse(bay.about(order)), Approved)
    assert ("paid", 1, 3800) == (
        bay.book().state, bay.book().charges, bay.book().refunded_minor,
    )  # fmt: skip
    assert ["queryOrder", "closeOrder", "queryOrder", "refund"] == tap.asked


async def test_a_refunded_order_is_paid_for_whoever_asks_and_cannot_be_reversed(bay):
    order = bay.order()
    await bay.channel.pay(order)
    await bay.channel.refund(bay.back(order, 3800))
    assert isinstance(await bay.channel.inquire(bay.about(order)), Approved)
    refused = await bay.channel.reverse(bay.about(order))
    assert isinstance(refused, Declined)
    assert 3800 == bay.book().refunded_minor


class Tap:
    """Passes requests on; does something once, after the first answer of one operation."""

    def __init__(self, inner, after: str, do) -> None:
        self.asked: list[str] = []
        self._inner = inner
        self._after = after
        self._do = do

    async def send(self, request):
        self.asked.append(request.url.rsplit("/", 1)[1])
        answer = await self._inner.send(request)
        if self.asked.count(self._after) == 1 and self.asked[-1] == self._after:
            self._do()
        return answer


# --- codes and pages ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wallet", "name"), [("wechat", "paySign"), ("alipay", "tradeNo"), ("unionpay", "tn")]
)
async def test_a_wallets_page_is_opened_paid_and_refunded(bay, wallet, name):
    order = bay.order(way=Way.JSAPI, wallet=wallet)
    shown = await bay.channel.pay(order)
    assert isinstance(shown, Awaiting)
    assert name in shown.client_params
    assert Unpaid("open") == await bay.channel.inquire(bay.about(order))
    assert "" == bay.act()
    assert isinstance(await bay.channel.inquire(bay.about(order)), Approved)
    assert isinstance(await bay.channel.refund(bay.back(order, 100)), Approved)
    refused = await bay.channel.close(bay.about(order))
    assert ("35", False) == (refused.channel_code, refused.not_sent)


async def test_a_wallets_page_closes_and_ends_no_later_than_we_say(bay):
    order = bay.order(way=Way.JSAPI, wallet="wechat")
    await bay.channel.pay(order)
    [known] = bay.sandbox.books.all_with(TRADE)
    assert known.expires_ms <= order.expires_at
    assert Approved(TRADE, 3800) == await bay.channel.close(bay.about(order))
    assert Unpaid("closed") == await bay.channel.inquire(bay.about(order))


async def test_a_code_is_shown_and_paid_by_acp(bay):
    order = bay.order(way=Way.QR)
    shown = await bay.channel.pay(order)
    assert isinstance(shown, Awaiting)
    assert shown.code.startswith("https://qr.95516.com/00010000/62")
    assert Unpaid("open") == await bay.channel.inquire(bay.about(order))
    assert Unpaid("open") == await bay.channel.close(bay.about(order))
    assert "" == bay.act()
    paid = await bay.channel.inquire(bay.about(order))
    assert isinstance(paid, Approved)
    assert (3800, 3800) == (paid.amount, paid.settle_amount)
    assert isinstance(await bay.channel.close(bay.about(order)), Declined)


async def test_a_code_ends_by_the_channels_own_clock_no_later_than_ours(bay):
    order = bay.order(way=Way.QR, seconds=60)
    await bay.channel.pay(order)
    [known] = bay.sandbox.books.all_with(TRADE)
    assert known.expires_ms <= order.expires_at
    bay.advance(60)
    assert Unpaid("closed") == await bay.channel.inquire(bay.about(order))
    assert Unpaid("closed") == await bay.channel.close(bay.about(order))


async def test_a_code_is_refused_by_the_payer(bay):
    order = bay.order(way=Way.QR)
    await bay.channel.pay(order)
    bay.act(verb="decline")
    refused = await bay.channel.inquire(bay.about(order))
    assert isinstance(refused, Declined)
    assert "declined" == refused.code


async def test_an_unknown_code_is_absent(bay):
    assert Unpaid("absent") == await bay.channel.inquire(bay.about(bay.order(way=Way.QR)))


@pytest.mark.parametrize(
    "order",
    [
        PayOrder(TRADE, 1, "cny", Way.QR, "wechat", "mch_1"),
        PayOrder(TRADE, 1, "cny", Way.APP, "unionpay", "mch_1"),
        PayOrder(TRADE, 1, "cny", Way.H5, "unionpay", "mch_1"),
        PayOrder(TRADE, 1, "cny", Way.JSAPI, "unionpay", "mch_1"),
        PayOrder(TRADE, 1, "cny", Way.BARCODE, "unionpay", "mch_1"),
        PayOrder(TRADE, 1, "cny", Way.BARCODE, "ecny", "mch_1", "62"),
        PayOrder(TRADE, 1, "usd", Way.BARCODE, "unionpay", "mch_1", "62"),
        PayOrder(TRADE, 1, "cny", Way.BARCODE, None, "mch_1", "62"),
    ],
    ids=lambda order: f"{order.way} {order.wallet} {order.currency}",
)
async def test_what_it_cannot_do_is_not_sent(bay, order):
    outcome = await bay.channel.pay(order)
    assert isinstance(outcome, Declined)
    assert outcome.not_sent
    assert bay.book() is None


# --- refunds ------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", [Way.BARCODE, Way.QR])
async def test_refunds_of_both_dialects(bay, way):
    order = bay.order(way=way)
    await bay.channel.pay(order)
    if way is Way.QR:
        bay.act()
    first = bay.back(order, 1000)
    assert Unpaid("absent") == await bay.channel.inquire_refund(first)
    done = await bay.channel.refund(first)
    assert isinstance(done, Approved)
    assert (TRADE, 1000) == (done.out_trade_no, done.amount)
    assert done == await bay.channel.refund(first)
    assert done == await bay.channel.inquire_refund(first)
    assert 1000 == bay.book().refunded_minor
    refused = await bay.channel.refund(bay.back(order, 2801, "R0000002"))
    assert ("36", False) == (refused.channel_code, refused.not_sent)
    assert isinstance(await bay.channel.refund(bay.back(order, 2800, "R0000003")), Approved)
    over = await bay.channel.refund(bay.back(order, 1, "R0000004"))
    assert ("channel_error", "45") == (over.code, over.channel_code)
    assert 3800 == bay.book().refunded_minor


@pytest.mark.parametrize("way", [Way.BARCODE, Way.QR])
@pytest.mark.parametrize("amount", [177, 178])
async def test_a_refund_whose_answer_was_lost_is_asked_about_and_repeated(bay, way, amount):
    order = bay.order(way=way)
    await bay.channel.pay(order)
    if way is Way.QR:
        bay.act()
    back = bay.back(order, amount)
    assert isinstance(await bay.channel.refund(back), Unknown)
    expected = Approved if amount == 177 else Unpaid
    assert isinstance(await bay.channel.inquire_refund(back), expected)
    assert isinstance(await bay.channel.refund(back), Approved)
    assert amount == bay.book().refunded_minor


@pytest.mark.parametrize("way", [Way.BARCODE, Way.JSAPI, Way.QR])
async def test_a_refund_of_what_nobody_paid_is_refused(bay, way):
    order = bay.order(way=way)
    assert isinstance(await bay.channel.refund(bay.back(order, 1)), Declined)


# --- callbacks ----------------------------------------------------------------------------------


@pytest.mark.parametrize("way", [Way.BARCODE, Way.JSAPI, Way.QR])
async def test_a_success_is_heard_and_acknowledged(bay, way):
    bay.inbox.hear = bay.channel.hear
    order = bay.order("9009", way=way, amount=3800)
    await bay.channel.pay(order)
    if way is not Way.BARCODE:
        bay.act()
    await bay.inbox.wait(3 if way is Way.BARCODE else 1)
    for heard in bay.inbox.heard:
        assert TRADE == heard.notice.out_trade_no
        assert heard.notice.out_refund_no is None
        assert isinstance(heard.notice.outcome, Approved)
        assert 3800 == heard.notice.outcome.amount
        assert (200, b"success") == (heard.answer.status, heard.answer.body)
        assert heard.refusal.status >= 500
    assert heard.notice.outcome == await bay.channel.inquire(bay.about(order))


async def test_a_refund_of_acp_is_heard(bay):
    bay.inbox.hear = bay.channel.hear
    order = bay.order(way=Way.QR)
    await bay.channel.pay(order)
    bay.act()
    await bay.channel.refund(bay.back(order, 1000))
    await bay.inbox.wait(2)
    notice = bay.inbox.heard[-1].notice
    assert (TRADE, "R0000001", 1000) == (
        notice.out_trade_no, notice.out_refund_no, notice.outcome.amount,
    )  # fmt: skip


# --- the network --------------------------------------------------------------------------------


async def test_a_channel_that_is_away_was_not_sent_to(bay):
    channel = bay.connect("http://127.0.0.1:9")
    order = bay.order()
    outcome = await channel.pay(order)
    assert isinstance(outcome, Declined)
    assert outcome.not_sent
    assert Unknown("not sent") == await channel.inquire(bay.about(order))
    assert isinstance(await channel.reverse(bay.about(order)), Unknown)
    assert Unknown("not sent") == await channel.refund(bay.back(order, 1))


async def test_many_orders_under_faults_end_as_the_books_say(bay):
    """Lost, dropped, busy and wrongly signed answers: what we believe is what the channel did."""
    seed = 11
    bay.sandbox.faults.set(
        Faults(
            error_ppm=80_000, lost_ppm=80_000, drop_ppm=80_000, unsigned_ppm=80_000, busy_ppm=80_000
        )
    )
    random = Random(seed)

    async def settle(number: str) -> None:
        order = bay.order(number=number, wallet=random.choice(WALLETS))
        outcome = await bay.channel.pay(order)
        assert not isinstance(outcome, Declined), (seed, number, outcome)
        bay.advance(31)
        if isinstance(outcome, Approved):
            return
        while not isinstance(outcome, Approved):
            outcome = await bay.channel.reverse(bay.about(order))
            assert not isinstance(outcome, Declined), (seed, number, outcome)
        undone.add(number)

    undone: set[str] = set()
    for index in range(60):
        await settle(f"FAULTS{index:04d}")
    assert undone
    for book in bay.sandbox.engine.books():
        left = book.amount_minor * book.charges - book.refunded_minor
        assert (0 if book.out_trade_no in undone else 3800) == left, (seed, book)
