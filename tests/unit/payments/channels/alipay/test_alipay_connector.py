"""Alipay's connector against answers of every kind: what is believed, and what stays unknown.

Real signatures, no socket: a fake client gives the answers. The contract suite runs the same
connector against the sandbox.
"""

import json
from urllib.parse import parse_qsl, urlsplit

import pytest
from msgspec.structs import replace

from alipay_answers import (
    ABOUT,
    APP_ID,
    BACK,
    NUMBER,
    ORDER,
    PAID,
    SETTINGS,
    TRADE,
    failed,
)
from payments.channels.alipay import wire
from payments.channels.alipay.connector import (
    NOT_OURS,
    NOT_SENT,
)
from payments.channels.base import (
    Approved,
    Awaiting,
    Declined,
    Unknown,
    Unpaid,
)
from payments.channels.signing import SigningBusy, SigningPool
from payments.channels.transport import HttpAnswer, NoAnswer, NotSent
from payments.payment import Discount, Way
from rigs import rsa_key

# --- what is sent ----------------------------------------------------------------------------


async def test_a_request_is_signed_over_all_its_parameters(world):
    """Secrets and content in the body, the charset in the query; time is real and China's."""
    await world.answers(PAID).pay(ORDER)
    request, params = world.http.sent[0]
    public = rsa_key("shop").public_key()

    assert wire.verify(public, wire.request_text(params).encode(), params["sign"])
    expected = {
        "app_id": APP_ID, "method": "alipay.trade.pay", "charset": "utf-8", "sign_type": "RSA2",
        "version": "1.0", "format": "JSON", "timestamp": "2026-11-18 19:06:40",
        "notify_url": SETTINGS.notify_url,
    }  # fmt: skip
    assert expected == {name: params[name] for name in expected}
    query = dict(parse_qsl(urlsplit(request.url).query))
    assert "charset" in query
    assert not {"biz_content", "app_auth_token"} & set(query)


async def test_a_barcode_carries_its_own_end(world):
    """A request that is held up for two minutes must not charge anybody."""
    await world.answers(PAID).pay(ORDER)

    expected = {
        "out_trade_no": NUMBER, "total_amount": "38.00", "subject": "noodles",
        "scene": "bar_code", "auth_code": "281234567890120000",
        "product_code": "FACE_TO_FACE_PAYMENT", "time_expire": "2026-11-18 19:08:40",
    }  # fmt: skip
    assert expected == {name: world.http.biz[name] for name in expected}


@pytest.mark.parametrize("way", [Way.QR, Way.JSAPI])
async def test_a_code_never_outlives_ours(world, way):
    """Cut to the wire's seconds, which is earlier and never later."""
    order = replace(ORDER, way=way, payer="o1", auth_code=None, expires_at=1_795_000_300_999)
    await world.answers({**PAID, "qr_code": "q"}).pay(order)

    assert "2026-11-18 19:11:40" == world.http.biz["time_expire"]


@pytest.mark.parametrize(
    ("payer", "name"), [("2088102169481075", "buyer_id"), ("074a1CcTG1Lelx", "buyer_open_id")]
)
async def test_a_payer_is_named_by_the_kind_of_his_id(world, payer, name):
    await world.answers(PAID).pay(replace(ORDER, way=Way.JSAPI, payer=payer))

    assert payer == world.http.biz[name]
    assert APP_ID == world.http.biz["op_app_id"]


@pytest.mark.parametrize(
    ("subject", "sent"),
    [("a/b=c&d", "a b c d"), (None, "订单"), ("/", "订单"), ("茶" * 300, "茶" * 256)],
)
async def test_a_subject_is_what_the_wire_takes(world, subject, sent):
    await world.answers(PAID).pay(replace(ORDER, subject=subject))

    assert sent == world.http.biz["subject"]


async def test_a_repeated_payment_asks_for_the_very_same(world):
    """The channel refuses a number whose parameters changed."""
    await world.answers(NoAnswer(), PAID).pay(ORDER)
    world.clock.advance(30)
    await world.channel.pay(ORDER)

    first, second = (params["biz_content"] for _, params in world.http.sent)
    assert first == second


async def test_an_app_gets_a_signed_string_and_nothing_is_sent(world):
    answer = await world.channel.pay(replace(ORDER, way=Way.APP, expires_at=1_795_000_300_000))
    params = dict(parse_qsl(answer.client_params["orderString"]))

    assert wire.verify(
        rsa_key("shop").public_key(), wire.request_text(params).encode(), params["sign"]
    )
    assert "alipay.trade.app.pay" == params["method"]
    assert [] == world.http.sent


async def test_a_browser_gets_an_address_with_the_way_back(world):
    order = replace(ORDER, way=Way.H5, return_url="https://shop.example/done")
    answer = await world.channel.pay(order)
    url, _, query = answer.pay_url.partition("?")
    params = dict(parse_qsl(query))

    assert SETTINGS.gateway == url
    assert ("alipay.trade.wap.pay", order.return_url) == (params["method"], params["return_url"])
    assert "QUICK_WAP_WAY" == json.loads(params["biz_content"])["product_code"]


UNABLE = [
    {"currency": "usd"},
    {"wallet": "wechat"},
    {"way": Way.CASHIER},
    {"auth_code": None},
    {"way": Way.JSAPI},
    {"amount": 0},
    {"amount": 100_000_000_01},
]


@pytest.mark.parametrize("changed", UNABLE)
async def test_what_the_channel_cannot_do_is_not_sent(world, changed):
    assert NOT_OURS == await world.channel.pay(replace(ORDER, **changed))
    assert [] == world.http.sent


# --- what is believed of a payment -------------------------------------------------------------

PAYMENTS = [
    (PAID, Approved(NUMBER, 3800, TRADE, 3800, 3800)),
    ({"code": "10003", "out_trade_no": NUMBER, "trade_no": TRADE}, Awaiting()),
    (failed("ACQ.BUYER_BALANCE_NOT_ENOUGH"), "insufficient_funds"),
    (failed("ACQ.BUYER_BANKCARD_BALANCE_NOT_ENOUGH"), "insufficient_funds"),
    (failed("ACQ.PAYMENT_AUTH_CODE_INVALID"), "auth_code_expired"),
    (failed("ACQ.PAYMENT_REQUEST_HAS_RISK"), "risk_rejected"),
    (failed("ACQ.TOTAL_FEE_EXCEED"), "limit_exceeded"),
    (failed("ACQ.BEYOND_PAY_RESTRICTION"), "limit_exceeded"),
    (failed("ACQ.PAYMENT_FAIL"), "declined"),
    (failed("ACQ.INVALID_PARAMETER"), "channel_error"),
    (failed("ACQ.ACCESS_FORBIDDEN"), "not_sent"),
    (failed("ACQ.SELLER_BEEN_BLOCKED"), "not_sent"),
    (failed("isv.invalid-signature", "40002"), "not_sent"),
    (failed("isv.app-call-limited", "40005"), "not_sent"),
    (failed("isv.insufficient-isv-permissions", "40006"), "not_sent"),
    (failed("aop.invalid-app-auth-token", "20001"), "not_sent"),
    (failed("ACQ.SYSTEM_ERROR"), "unknown"),
    (failed("aop.ACQ.SYSTEM_ERROR", "20000"), "unknown"),
    (failed("isp.unknow-error", "20000"), "unknown"),
    (failed("ACQ.TRADE_HAS_SUCCESS"), "unknown"),
    (failed("ACQ.TRADE_HAS_CLOSE"), "unknown"),
    (failed("ACQ.CONTEXT_INCONSISTENT"), "unknown"),
    (failed("ACQ.TRADE_BUYER_NOT_MATCH"), "unknown"),
    (failed("ACQ.NOW_TIME_AFTER_EXPIRE_TIME_ERROR"), "unknown"),
    (failed("ACQ.SOMETHING_NEW"), "unknown"),
    (failed("ACQ.PAYMENT_FAIL", "50000"), "unknown"),
    ({"code": "10000"}, "unknown"),
    ({**PAID, "out_trade_no": "01K5AZOTHER"}, "unknown"),
    (failed("ACQ.PAYMENT_FAIL", out_trade_no="01K5AZOTHER"), "unknown"),
    ({**PAID, "trade_no": ""}, "unknown"),
    ({**PAID, "total_amount": "38"}, "unknown"),
    ({**PAID, "total_amount": 38.0}, "unknown"),
    ({**PAID, "total_amount": "-38.00"}, "unknown"),
    ({**PAID, "receipt_amount": "38.01"}, "unknown"),
    ({**PAID, "buyer_pay_amount": "38.01"}, "unknown"),
    ({**PAID, "fund_bill_list": [{"amount": "x", "fund_channel": "COUPON"}]}, "unknown"),
    ({**PAID, "fund_bill_list": "none"}, "unknown"),
    ("[]", "unknown"),
    ('{"code":10000}', "unknown"),
    ("{" + '"a":{' * 5_000 + "}" * 5_001, "unknown"),
]


@pytest.mark.parametrize(("facts", "expected"), PAYMENTS)
async def test_a_signed_answer_to_a_payment(world, facts, expected):
    """Only codes of the tables are verdicts; the amount is told as the channel said it."""
    answer = await world.answers(facts).pay(ORDER)

    match expected:
        case "unknown":
            assert isinstance(answer, Unknown)
        case "not_sent":
            assert isinstance(answer, Declined)
            assert (True, facts["sub_code"]) == (answer.not_sent, answer.channel_code)
        case str():
            assert isinstance(answer, Declined)
            assert (expected, False) == (answer.code, answer.not_sent)
            assert facts["sub_code"] == answer.channel_code
        case _:
            assert expected == answer


BROKEN = [
    NoAnswer(),
    HttpAnswer(200, {}, b""),
    HttpAnswer(200, {}, b"<html>busy</html>"),
    HttpAnswer(502, {}, b"{}"),
    HttpAnswer(200, {}, b'{"alipay_trade_pay_response":{"code":"10000"},"sign":"AAAA"}'),
    HttpAnswer(200, {}, b'{"alipay_trade_pay_response":{"code":"10000"},"sign":"\xff"}'),
    HttpAnswer(200, {}, b'{"alipay_trade_pay_response":{"code":"40004"}}'),
    HttpAnswer(200, {}, b'{"error_response":{"code":"40002","sub_code":"isv.invalid-app-id"}}'),
]


@pytest.mark.parametrize("answer", BROKEN)
async def test_what_is_not_signed_is_unknown(world, answer):
    """A gateway's error too: anybody in between could write one."""
    assert isinstance(await world.answers(answer).pay(ORDER), Unknown)


@pytest.mark.parametrize("error", [NotSent(), SigningBusy()])
async def test_what_never_left_is_not_sent(world, error):
    """A payment may go to another channel; a question is only one more doubt."""
    channel = world.answers(error)

    assert NOT_SENT == await channel.pay(ORDER)
    for ask in (channel.inquire, channel.reverse, channel.close):
        assert Unknown("not sent") == await ask(ABOUT)
    assert Unknown("not sent") == await channel.refund(BACK)


async def test_a_full_signing_queue_is_not_sent(world):
    """Also where the string is only handed out."""
    busy = SigningPool("busy", waiting=0)
    world.channel._signer = busy.signer(rsa_key("shop"))

    for way in (Way.BARCODE, Way.APP):
        assert NOT_SENT == await world.channel.pay(replace(ORDER, way=way))
    busy.close()


async def test_another_methods_answer_is_none(world):
    """A signed success of a query is not the success of a payment."""
    other = world.http.signed("alipay.trade.query", {**PAID, "trade_status": "TRADE_SUCCESS"})

    assert isinstance(await world.answers(other).pay(ORDER), Unknown)


# --- coupons -----------------------------------------------------------------------------------


def voucher(amount, merchant, other):
    return {"amount": amount, "merchant_contribute": merchant, "other_contribute": other}


COUPONS = [
    # vouchers that add up, funds that do, or what the amounts leave
    ([voucher("5.00", "2.00", "3.00")], [], (300, 200)),
    ([], [("COUPON", "3.00"), ("MDISCOUNT", "2.00")], (300, 200)),
    ([], [("DISCOUNT", "3.00"), ("MCOUPON", "2.00"), ("ALIPAYACCOUNT", "33.00")], (300, 200)),
    ([voucher("1.00", "1.00", "0.00")], [("COUPON", "1.00")], (300, 200)),
    ([], [], (300, 200)),
    ([voucher("5.00", "0.00", "5.00")], [], (500, 0)),
]


@pytest.mark.parametrize(("vouchers", "funds", "shares"), COUPONS)
async def test_coupons_are_told_by_who_pays_for_them(world, vouchers, funds, shares):
    facts = {
        **PAID, "buyer_pay_amount": "33.00", "receipt_amount": "36.00",
        "voucher_detail_list": vouchers,
        "fund_bill_list": [{"fund_channel": name, "amount": amount} for name, amount in funds],
    }  # fmt: skip
    answer = await world.answers(facts).pay(ORDER)

    assert (3800, 3300, 3600) == (answer.amount, answer.payer_amount, answer.settle_amount)
    channel, merchant = shares
    expected = [Discount("channel", channel)] + [Discount("merchant", merchant)] * bool(merchant)
    assert tuple(expected) == answer.discounts


# --- asking and undoing --------------------------------------------------------------------------

STANDING = [
    ("TRADE_SUCCESS", Approved(NUMBER, 3800, TRADE, 3800, 3800)),
    ("TRADE_FINISHED", Approved(NUMBER, 3800, TRADE, 3800, 3800)),
    ("WAIT_BUYER_PAY", Unpaid("open")),
    ("TRADE_CLOSED", Unpaid("closed")),
]


@pytest.mark.parametrize(("status", "expected"), STANDING)
async def test_a_query_tells_how_an_order_stands(world, status, expected):
    assert expected == await world.answers({**PAID, "trade_status": status}).inquire(ABOUT)


DOUBTS = [
    {**PAID, "trade_status": "SOMETHING_NEW"},
    {**PAID, "trade_status": ""},
    {**PAID, "trade_status": "TRADE_SUCCESS", "out_trade_no": ""},
    {**PAID, "trade_status": "TRADE_SUCCESS", "out_trade_no": "01K5AZOTHER"},
    failed("ACQ.TRADE_NOT_EXIST", out_trade_no="01K5AZOTHER"),
    failed("ACQ.TRADE_NOT_EXIST", "20000"),
    failed("ACQ.SYSTEM_ERROR"),
    failed("isv.invalid-signature", "40002"),
    NoAnswer(),
]


@pytest.mark.parametrize("facts", DOUBTS)
async def test_a_query_without_a_verdict_is_unknown(world, facts):
    """A refusal of the question says nothing about the order."""
    assert isinstance(await world.answers(facts).inquire(ABOUT), Unknown)


async def test_no_such_trade_is_absent(world):
    facts = failed("ACQ.TRADE_NOT_EXIST", out_trade_no=NUMBER)

    assert Unpaid("absent") == await world.answers(facts).inquire(ABOUT)


CANCELED = {"code": "10000", "out_trade_no": NUMBER, "trade_no": TRADE, "retry_flag": "N"}
DONE = Approved(NUMBER, 3800, TRADE)
REVERSES = [
    ({**CANCELED, "action": "close"}, DONE),
    ({**CANCELED, "action": "refund", "gmt_refund_pay": "2026-11-18 19:06:40"}, DONE),
    ({"code": "10000", "out_trade_no": NUMBER, "retry_flag": "N"}, Approved(NUMBER, 3800)),
    (failed("ACQ.TRADE_NOT_EXIST"), Approved(NUMBER, 3800)),
    ({**CANCELED, "retry_flag": "Y", "action": "close"}, Unknown),
    (failed("ACQ.SYSTEM_ERROR", retry_flag="Y"), Unknown),
    (failed("ACQ.SELLER_BALANCE_NOT_ENOUGH", retry_flag="Y"), Unknown),
    (failed("ACQ.SELLER_BALANCE_NOT_ENOUGH", retry_flag="N"), Declined),
    (failed("ACQ.TRADE_CANCEL_TIME_OUT"), Declined),
    (failed("ACQ.REASON_TRADE_STATUS_INVALID"), Declined),
    (failed("ACQ.SOMETHING_NEW"), Unknown),
    (failed("isv.invalid-signature", "40002"), Unknown),
    ({**CANCELED, "out_trade_no": "01K5AZOTHER"}, Unknown),
    (NoAnswer(), Unknown),
]


@pytest.mark.parametrize(("facts", "expected"), REVERSES)
async def test_a_reverse_is_done_refused_or_unknown(world, facts, expected):
    """ "Another try" is unknown; without an action no trade was found, which undoes as well."""
    answer = await world.answers(facts).reverse(ABOUT)

    assert answer == expected or (isinstance(expected, type) and isinstance(answer, expected))
    assert "alipay.trade.cancel" == world.http.params["method"]


CLOSES = [
    ({"code": "10000", "out_trade_no": NUMBER, "trade_no": TRADE}, DONE),
    (failed("ACQ.TRADE_NOT_EXIST"), Unpaid("absent")),
    (failed("ACQ.TRADE_STATUS_ERROR"), Declined),
    (failed("ACQ.REASON_ILLEGAL_STATUS"), Declined),
    (failed("ACQ.SYSTEM_ERROR"), Unknown),
    (NoAnswer(), Unknown),
]


@pytest.mark.parametrize(("facts", "expected"), CLOSES)
async def test_a_close_is_confirmed_or_it_is_not(world, facts, expected):
    """ "No such trade" is no confirmation: nobody has scanned the code yet."""
    answer = await world.answers(facts).close(ABOUT)

    assert answer == expected or (isinstance(expected, type) and isinstance(answer, expected))
