"""The connector against the sandbox, over real sockets: what becomes of each answer."""

import pytest

from payments.channels.base import (
    Approved,
    Awaiting,
    OrderRef,
    PayOrder,
    RefundOrder,
    Unknown,
    Unpaid,
)
from payments.channels.wechat import crypto, wire
from payments.payment import Discount, Way

NUMBER = "01K5AZ00000000000000000000"
MODES = ("direct", "partner")


def order(way=Way.BARCODE, ending="0000", amount=3800, number=NUMBER, **more):
    code = f"13000000000000{ending}" if way is Way.BARCODE else None
    return PayOrder(number, amount, "cny", way, "wechat", "mch_1", auth_code=code, **more)


def ref(way=Way.BARCODE, number=NUMBER, amount=3800):
    return OrderRef(number, amount, "cny", way, "wechat", "mch_1", 0)


def refund(amount=3800, name="r1", total=3800):
    return RefundOrder(NUMBER, name, amount, total, "cny", merchant="mch_1")


# --- payment codes ---------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
async def test_a_payment_code_is_paid_asked_about_and_undone(shop, mode):
    channel = shop.channel(mode=mode)

    paid = await channel.pay(order())

    assert isinstance(paid, Approved)
    assert (NUMBER, 3800, 3800, 3800, ()) == (
        paid.out_trade_no,
        paid.amount,
        paid.payer_amount,
        paid.settle_amount,
        paid.discounts,
    )
    assert paid == await channel.inquire(ref())
    assert Approved(NUMBER, 3800) == await channel.reverse(ref())
    assert Approved(NUMBER, 3800) == await channel.reverse(ref())
    assert Unpaid("reversed") == await channel.inquire(ref())


@pytest.mark.parametrize(
    ("ending", "code", "theirs"),
    [
        ("9003", "insufficient_funds", "NOT_ENOUGH"),
        ("9004", "auth_code_expired", "AUTHCODEEXPIRE"),
    ],
)
async def test_a_declined_payment_code(shop, ending, code, theirs):
    channel = shop.channel()

    declined = await channel.pay(order(ending=ending))
    asked = await channel.inquire(ref())

    assert (code, theirs, False) == (declined.code, declined.channel_code, declined.not_sent)
    assert ("declined", "PAYERROR") == (asked.code, asked.channel_code)


async def test_a_payer_at_the_pin_is_awaited(shop):
    channel = shop.channel()

    assert Awaiting() == await channel.pay(order(ending="9001"))
    assert Awaiting() == await channel.inquire(ref())
    shop.clock.advance(3)
    assert isinstance(await channel.inquire(ref()), Approved)


async def test_a_system_error_is_unknown_and_the_query_tells(shop):
    channel = shop.channel()

    assert isinstance(await channel.pay(order(ending="9005")), Unknown)
    assert isinstance(await channel.inquire(ref()), Approved)


async def test_no_answer_is_unknown(shop):
    channel = shop.channel(pay_timeout_s=0.3)

    assert Unknown("no answer") == await channel.pay(order(ending="9006"))
    assert isinstance(await channel.inquire(ref()), Approved)


async def test_an_order_that_never_came_is_absent_and_can_be_closed_for_ever(shop):
    channel = shop.channel()

    assert Unpaid("absent") == await channel.inquire(ref())
    assert Unpaid("absent") == await channel.close(ref(Way.QR))
    assert Approved(NUMBER, 3800) == await channel.reverse(ref())
    assert isinstance(await channel.pay(order()), Unknown)
    assert Unpaid("reversed") == await channel.inquire(ref())


async def test_a_wrongly_signed_success_is_unknown(shop):
    channel = shop.channel()

    assert Unknown("the signature is wrong") == await channel.pay(order(ending="9010"))
    assert Unknown("the signature is wrong") == await channel.inquire(ref())
    shop.clock.advance(20)
    assert isinstance(await channel.inquire(ref()), Approved)


async def test_the_amount_is_reported_as_the_channel_said_it(shop):
    assert 3900 == (await shop.channel().pay(order(ending="9011"))).amount


@pytest.mark.parametrize("mode", MODES)
async def test_coupons_make_three_amounts(shop, mode):
    paid = await shop.channel(mode=mode).pay(order(ending="9012"))

    assert (3800, 3300, 3600) == (paid.amount, paid.payer_amount, paid.settle_amount)
    assert (Discount("channel", 300), Discount("merchant", 200)) == paid.discounts


async def test_a_sub_merchant_is_chosen_by_the_merchant(shop):
    own = {"mch_1": shop.given["sub_mchid"]}
    known = shop.channel(mode="partner", sub_mchid=None, sub_merchants=own)
    other = shop.channel(mode="partner", sub_mchid="1900000999", sub_merchants={"mch_2": "1"})

    assert isinstance(await known.pay(order()), Approved)
    refused = await other.pay(order(number="01K5AZ00000000000000000001"))
    assert ("MCH_NOT_EXISTS", True) == (refused.channel_code, refused.not_sent)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("RULE_LIMIT", "limit_exceeded"),
        ("TRADE_ERROR", "declined"),
        ("USER_ACCOUNT_ABNORMAL", "declined"),
        ("AUTH_CODE_INVALID", "auth_code_expired"),
    ],
)
async def test_the_payers_refusals_in_our_words(shop, code, expected):
    await shop.control("errors", {"code": code, "operation": "pay"})

    declined = await shop.channel().pay(order())

    assert (expected, code, False) == (declined.code, declined.channel_code, declined.not_sent)


@pytest.mark.parametrize(
    ("code", "not_sent"),
    [
        ("FREQUENCY_LIMITED", True),
        ("NO_AUTH", True),
        ("SIGN_ERROR", True),
        ("APPID_MCHID_NOT_MATCH", True),
        ("PARAM_ERROR", False),
    ],
)
async def test_refusals_at_the_door(shop, code, not_sent):
    await shop.control("errors", {"code": code, "operation": "pay"})

    declined = await shop.channel().pay(order())

    assert ("channel_error", code, not_sent) == (
        declined.code,
        declined.channel_code,
        declined.not_sent,
    )


@pytest.mark.parametrize(
    "code",
    ["OUT_TRADE_NO_USED", "ORDERPAID", "ORDER_CLOSED", "INVALID_REQUEST", "SERVICE_UNAVAILABLE"],
)
async def test_what_the_numbers_history_says_is_no_verdict(shop, code):
    await shop.control("errors", {"code": code, "operation": "pay"})

    assert isinstance(await shop.channel().pay(order()), Unknown)


async def test_a_refusal_that_a_signed_answer_contradicts_is_not_believed(shop):
    """Somebody said that the payer's balance is too low, unsigned, of an order that is paid."""
    channel = shop.channel()
    paid = await channel.pay(order())
    await shop.control("errors", {"code": "NOT_ENOUGH", "operation": "pay"})

    assert paid == await channel.pay(order())


async def test_a_refusal_that_nothing_can_confirm_is_unknown(shop):
    await shop.control("errors", {"code": "NOT_ENOUGH", "operation": "pay"})
    await shop.control("errors", {"code": "SYSTEM_ERROR", "operation": "inquire"})

    assert isinstance(await shop.channel().pay(order()), Unknown)


async def test_userpaying_as_a_code_is_awaiting(shop):
    await shop.control("errors", {"code": "USERPAYING", "operation": "pay"})

    assert Awaiting() == await shop.channel().pay(order())


async def test_a_channel_that_cannot_be_reached_was_not_asked(shop):
    channel = shop.channel(base_url="http://127.0.0.1:1")

    declined = await channel.pay(order())

    assert (True, None) == (declined.not_sent, declined.channel_code)
    assert Unknown("not sent") == await channel.inquire(ref())


@pytest.mark.parametrize(
    "wrong",
    [
        PayOrder(NUMBER, 1, "cny", Way.QR, "alipay", "m"),
        PayOrder(NUMBER, 1, "usd", Way.QR, "wechat", "m"),
        PayOrder(NUMBER, 1, "cny", Way.BARCODE, "wechat", "m"),
        PayOrder(NUMBER, 1, "cny", Way.JSAPI, "wechat", "m"),
    ],
)
async def test_what_cannot_be_asked_is_declined(shop, wrong):
    assert "channel_error" == (await shop.channel().pay(wrong)).code


# --- shown orders ----------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
async def test_a_code_is_shown_paid_and_refuses_to_close(shop, mode):
    channel = shop.channel(mode=mode)
    expires_at = shop.clock.now_ms() + 300_000

    shown = await channel.pay(order(Way.QR, expires_at=expires_at))
    open_ = await channel.inquire(ref(Way.QR))
    await shop.control("pay", {"out_trade_no": NUMBER})
    paid = await channel.inquire(ref(Way.QR))
    close = await channel.close(ref(Way.QR))

    assert shown.code.startswith("weixin://")
    assert Unpaid("open") == open_
    assert isinstance(paid, Approved)
    assert ("channel_error", "ORDERPAID") == (close.code, close.channel_code)


async def test_a_closed_code_stays_closed(shop):
    channel = shop.channel()
    await channel.pay(order(Way.QR))

    assert Approved(NUMBER, 3800) == await channel.close(ref(Way.QR))
    assert Approved(NUMBER, 3800) == await channel.close(ref(Way.QR))
    assert Unpaid("closed") == await channel.inquire(ref(Way.QR))


async def test_closed_is_believed_of_a_signed_answer_only(shop):
    channel = shop.channel()
    await channel.pay(order(Way.QR))
    await shop.control("errors", {"code": "ORDER_CLOSED", "operation": "close"})

    assert Unpaid("open") == await channel.close(ref(Way.QR))


async def test_a_code_ends_at_the_channel_when_it_ends_here(shop):
    channel = shop.channel()
    await channel.pay(order(Way.QR, expires_at=shop.clock.now_ms() + 60_000))
    shop.clock.advance(60)

    assert Unpaid("closed") == await channel.inquire(ref(Way.QR))


async def test_a_payer_who_declines(shop):
    channel = shop.channel()
    await channel.pay(order(Way.QR))
    await shop.control("decline", {"out_trade_no": NUMBER})

    assert "declined" == (await channel.inquire(ref(Way.QR))).code


@pytest.mark.parametrize("mode", MODES)
async def test_a_page_is_started_with_signed_parameters(shop, mode):
    shown = await shop.channel(mode=mode).pay(order(Way.JSAPI, payer="oAnna"))

    params = shown.client_params
    key = crypto.load_private_key(shop.given["merchant_private_key_pem"].encode()).public_key()
    text = wire.jsapi_text(
        params["appId"], int(params["timeStamp"]), params["nonceStr"], params["package"]
    )
    assert crypto.verify(key, text, crypto.from_base64(params["paySign"]))
    assert shop.given["sp_appid" if mode == "partner" else "appid"] == params["appId"]
    assert params["package"].startswith("prepay_id=wx")


async def test_a_sub_merchants_own_app_knows_the_payer_by_another_id(shop):
    channel = shop.channel(mode="partner", sub_appid="wx6666666666666666")

    shown = await channel.pay(order(Way.JSAPI, payer="oAnna"))

    assert "wx6666666666666666" == shown.client_params["appId"]
    await shop.control("pay", {"out_trade_no": NUMBER})
    assert isinstance(await channel.inquire(ref(Way.JSAPI)), Approved)


async def test_an_app_is_started_with_signed_parameters(shop):
    shown = await shop.channel().pay(order(Way.APP))

    params = shown.client_params
    key = crypto.load_private_key(shop.given["merchant_private_key_pem"].encode()).public_key()
    text = wire.app_text(
        params["appid"], int(params["timestamp"]), params["noncestr"], params["prepayid"]
    )
    assert crypto.verify(key, text, crypto.from_base64(params["sign"]))
    assert (shop.given["mchid"], "Sign=WXPay") == (params["partnerid"], params["package"])


async def test_a_browser_is_sent_to_the_wallet_and_back(shop):
    back = "https://shop.example/done?a=1"
    shown = await shop.channel().pay(order(Way.H5, return_url=back, payer_ip="1.2.3.4"))

    assert shown.pay_url.startswith(shop.url)
    assert "&redirect_url=https%3A%2F%2Fshop.example%2Fdone%3Fa%3D1" in shown.pay_url


async def test_one_code_for_all_wallets_is_a_pages_payment_where_the_payer_is_known(shop):
    channel = shop.channel()

    assert (await channel.pay(order(Way.CASHIER))).code
    known = order(Way.CASHIER, payer="oAnna", number="01K5AZ00000000000000000001")
    assert (await channel.pay(known)).client_params


async def test_names_of_stores_and_terminals_are_told(shop):
    channel = shop.channel()
    more = {"store": "sto_" + "x" * 40, "terminal": "trm_1", "subject": "午" * 200}
    shown = order(Way.QR, number="01K5AZ00000000000000000001", payer_ip="1.2.3.4", **more)

    assert isinstance(await channel.pay(order(**more)), Approved)
    assert isinstance(await channel.pay(shown), Awaiting)


# --- refunds ---------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
async def test_a_refund_is_made_once_and_found_again(shop, mode):
    channel = shop.channel(mode=mode)
    await channel.pay(order())

    first = await channel.refund(refund(1000))

    assert (NUMBER, 1000) == (first.out_trade_no, first.amount)
    assert first.channel_trade_no.startswith("503")
    assert first == await channel.refund(refund(1000)) == await channel.inquire_refund(refund(1000))
    assert isinstance(await channel.inquire(ref()), Approved), "it was paid, whatever went back"


async def test_a_refund_that_is_not_there(shop):
    channel = shop.channel()
    await channel.pay(order())

    assert Unpaid("absent") == await channel.inquire_refund(refund())


@pytest.mark.parametrize(("last", "found"), [(77, Approved), (78, Unpaid)])
async def test_a_refund_whose_answer_is_lost(shop, last, found):
    channel = shop.channel()
    await channel.pay(order())

    assert isinstance(await channel.refund(refund(last)), Unknown)
    assert isinstance(await channel.inquire_refund(refund(last)), found)
    assert isinstance(await channel.refund(refund(last)), Approved)


async def test_a_refund_of_more_than_is_left_is_refused(shop):
    channel = shop.channel()
    await channel.pay(order())
    await channel.refund(refund(3000))

    refused = await channel.refund(refund(801, "r2"))

    assert ("channel_error", "INVALID_REQUEST") == (refused.code, refused.channel_code)


async def test_a_refused_refund_that_was_made_is_made(shop):
    """An unsigned refusal does not stand against a signed success."""
    channel = shop.channel()
    await channel.pay(order())
    made = await channel.refund(refund(100))
    await shop.control("errors", {"code": "NOT_ENOUGH", "operation": "refund"})

    assert made == await channel.refund(refund(100))


@pytest.mark.parametrize("code", ["SYSTEM_ERROR", "FREQUENCY_LIMITED", "SIGN_ERROR", "BANK_ERROR"])
async def test_a_refund_that_is_put_off_is_unknown(shop, code):
    await shop.control("errors", {"code": code, "operation": "refund"})

    assert isinstance(await shop.channel().refund(refund()), Unknown)


async def test_another_amount_under_a_refund_number_is_not_our_refund(shop):
    channel = shop.channel()
    await channel.pay(order())
    await channel.refund(refund(100))

    assert Unknown("an answer about another amount") == await channel.inquire_refund(refund(99))
    assert isinstance(await channel.inquire_refund(refund(100, total=3799)), Unknown)


# --- keys ------------------------------------------------------------------------------------


async def test_answers_signed_with_certificates_are_learned_on_the_way(shop):
    channel = shop.channel(public_key_id=None, known={})

    assert isinstance(await channel.pay(order()), Approved)
    assert shop.keys.find(shop.given["platform_serial"])


async def test_certificates_are_learned_at_the_start(shop):
    channel = shop.channel(public_key_id=None, known={})

    await channel.start()

    assert shop.keys.find(shop.given["platform_serial"])


async def test_a_new_certificate_is_fetched_when_it_is_first_seen(shop):
    channel = shop.channel(public_key_id=None, known={})
    await channel.start()
    await shop.control("keys", {"rotate": "certificate"})

    assert isinstance(await channel.pay(order()), Approved)


async def test_two_public_keys_are_valid_at_once(shop):
    channel = shop.channel()
    told = await shop.control("keys", {"rotate": "public_key"})
    new = next(key for key in told["keys"] if key["id"] == told["callbacks_signed_by"])
    await channel.pay(order(Way.QR))
    await shop.control("pay", {"out_trade_no": NUMBER})
    callback = await shop.callback()

    before = await channel.hear(callback)
    shop.keys.add(new["id"], shop.verifier(new["pem"].encode()))
    after = await channel.hear(callback)
    old = await channel.inquire(ref(Way.QR))

    assert (None, 401) == (before.notice, before.answer.status)
    assert old == after.notice.outcome
    shop.keys.remove(new["id"])
    assert (await channel.hear(callback)).notice is None
