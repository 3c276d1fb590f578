"""Alipay's methods as the sandbox answers them: states, codes, refunds, pages, notifications."""

from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from payments.channels.alipay import wire
from payments.channels.alipay.units import china_time

NOT_EXIST = "ACQ.TRADE_NOT_EXIST"
CLOSE, CANCEL = "alipay.trade.close", "alipay.trade.cancel"
REFUND_QUERY = "alipay.trade.fastpay.refund.query"


# --- paying ----------------------------------------------------------------------------------


async def test_a_payment_names_its_amounts_and_where_they_came_from(alipay):
    paid = await alipay.pay("P1")

    assert ("10000", "P1", "38.00") == (paid["code"], paid["out_trade_no"], paid["total_amount"])
    assert ("38.00", "38.00", "0.00") == (
        paid["receipt_amount"], paid["buyer_pay_amount"], paid["point_amount"],
    )  # fmt: skip
    assert [{"fund_channel": "ALIPAYACCOUNT", "amount": "38.00"}] == paid["fund_bill_list"]
    assert 28 == len(paid["trade_no"])
    assert "***" in paid["buyer_logon_id"]


async def test_coupons_are_told_by_funds_and_by_vouchers(alipay):
    """9012: 3.00 by the channel, 2.00 by the merchant."""
    paid = await alipay.pay("P2", ending="9012")
    plain = await alipay.query("P2")
    asked = await alipay.query("P2", "voucher_detail_list", "mdiscount_amount")

    assert ("33.00", "36.00") == (paid["buyer_pay_amount"], paid["receipt_amount"])
    funds = {fund["fund_channel"]: fund["amount"] for fund in paid["fund_bill_list"]}
    assert {"ALIPAYACCOUNT": "33.00", "COUPON": "3.00", "MDISCOUNT": "2.00"} == funds
    shares = [
        (v["amount"], v["merchant_contribute"], v["other_contribute"])
        for v in asked["voucher_detail_list"]
    ]
    assert [("3.00", "0.00", "3.00"), ("2.00", "2.00", "0.00")] == shares
    assert ("2.00", "3.00") == (asked["mdiscount_amount"], asked["discount_amount"])
    assert "voucher_detail_list" not in plain


ENDINGS = [
    ("9001", "10003", None),
    ("9003", "40004", "ACQ.BUYER_BALANCE_NOT_ENOUGH"),
    ("9004", "40004", "ACQ.PAYMENT_AUTH_CODE_INVALID"),
    ("9005", "20000", "aop.ACQ.SYSTEM_ERROR"),
]


@pytest.mark.parametrize(("ending", "code", "sub_code"), ENDINGS)
async def test_the_scenes_of_test_mode_have_alipays_codes(alipay, ending, code, sub_code):
    answer = await alipay.pay("P3", ending=ending)

    assert (code, sub_code) == (answer["code"], answer.get("sub_code"))


async def test_the_same_order_again_gets_the_same_answer(alipay):
    """And is charged once; written otherwise, it is the same amount."""
    first = await alipay.pay("P4")

    assert first == await alipay.pay("P4") == await alipay.pay("P4", amount="38")
    assert 1 == alipay.book("P4").charges


CHANGED = [
    ({"amount": "38.01"}, "ACQ.CONTEXT_INCONSISTENT"),
    ({"subject": "rice"}, "ACQ.CONTEXT_INCONSISTENT"),
    ({"ending": "1111"}, "ACQ.TRADE_HAS_SUCCESS"),
]


@pytest.mark.parametrize(("changed", "sub_code"), CHANGED)
async def test_the_number_of_another_order_is_refused(alipay, changed, sub_code):
    await alipay.pay("P5")

    assert sub_code == (await alipay.pay("P5", **changed))["sub_code"]
    assert (3800, 1) == (alipay.book("P5").amount_minor, alipay.book("P5").charges)


INVALID = [
    {"out_trade_no": ""},
    {"out_trade_no": "a b"},
    {"out_trade_no": "a" * 65},
    {"out_trade_no": ["a"]},
    {"scene": "face"},
    {"auth_code": None},
    {"subject": ""},
    {"subject": "a" * 257},
    {"total_amount": "0"},
    {"total_amount": "0.001"},
    {"total_amount": "100000000.01"},
    {"total_amount": -1},
    {"total_amount": "1e2"},
    {"total_amount": True},
    {"timeout_express": "16d"},
    {"timeout_express": "soon"},
    {"time_expire": "tomorrow"},
    {"seller_id": "2088000000000000"},
]


@pytest.mark.parametrize("changed", INVALID)
async def test_a_parameter_that_cannot_be_is_refused(alipay, changed):
    answer = await alipay.pay("P6", **changed)

    assert ("40004", "ACQ.INVALID_PARAMETER") == (answer["code"], answer["sub_code"])
    assert [] == alipay.sandbox.engine.books()


@pytest.mark.parametrize(
    "code", ["134567890123456789", "2812", "28a4567890123456", "31" + "0" * 16]
)
async def test_a_code_that_is_no_payment_code_is_refused(alipay, code):
    answer = await alipay.pay("P7", auth_code=code)

    assert "ACQ.PAYMENT_AUTH_CODE_INVALID" == answer["sub_code"]
    assert NOT_EXIST == (await alipay.query("P7"))["sub_code"]


async def test_half_a_character_is_no_text(alipay):
    """JSON can spell it, and no answer could."""
    biz = r'{"out_trade_no":"\ud800"}'
    answer = await alipay.call("alipay.trade.query", None, biz_content=biz)

    assert "ACQ.INVALID_PARAMETER" == answer["sub_code"]


async def test_an_order_that_comes_too_late_is_refused_unless_it_is_known(alipay):
    """A repetition of what was paid in time gets the answer that it had."""
    now = alipay.sandbox.clock.now_ms()
    ends = {"time_expire": china_time(now + 60_000)}
    paid = await alipay.pay("P8", **ends)
    alipay.advance(120)

    late = await alipay.pay("P9", **ends)
    assert "ACQ.NOW_TIME_AFTER_EXPIRE_TIME_ERROR" == late["sub_code"]
    assert paid == await alipay.pay("P8", **ends)


# --- states ----------------------------------------------------------------------------------


async def test_a_precreated_code_exists_when_somebody_scans_it(alipay):
    """Before, nobody can ask about it, close it or refund it; it waits all the same."""
    shown = await alipay.precreate("S1")
    asked = {"out_trade_no": "S1"}

    assert shown == await alipay.precreate("S1")
    for method in ("alipay.trade.query", CLOSE):
        assert NOT_EXIST == (await alipay.call(method, asked))["sub_code"]
    assert NOT_EXIST == (await alipay.refund("S1", "38.00"))["sub_code"]
    status, _ = await alipay.helper("scan", out_trade_no="S1")
    assert 200 == status
    assert "WAIT_BUYER_PAY" == (await alipay.query("S1"))["trade_status"]
    assert (await alipay.helper("pay", out_trade_no="S1"))[0] == 200
    assert "TRADE_SUCCESS" == (await alipay.query("S1"))["trade_status"]
    assert "ACQ.TRADE_HAS_SUCCESS" == (await alipay.precreate("S1"))["sub_code"]


async def test_only_codes_are_scanned(alipay):
    await alipay.create("S2")

    assert 404 == (await alipay.helper("scan", out_trade_no="S2"))[0]
    assert 404 == (await alipay.helper("scan", out_trade_no="nobody"))[0]


EXPIRIES = [
    ({"timeout_express": "5m"}, 300),
    ({"qr_code_timeout_express": "90m"}, 5_400),
    ({"timeout_express": "2h", "qr_code_timeout_express": "1m"}, 60),
    ({}, 7_200),
]


@pytest.mark.parametrize(("asked", "seconds"), EXPIRIES)
async def test_a_code_lives_as_long_as_its_shortest_expiry(alipay, asked, seconds):
    await alipay.precreate("S3", **asked)
    alipay.advance(seconds - 5)
    assert "10000" == (await alipay.precreate("S3", **asked))["code"]
    alipay.advance(5)

    assert "ACQ.TRADE_HAS_CLOSE" == (await alipay.precreate("S3", **asked))["sub_code"]
    assert 409 == (await alipay.helper("pay", out_trade_no="S3"))[0]


async def test_an_order_of_the_wallet_is_open_closed_and_over(alipay):
    """By either number; closing it twice is the same as once."""
    made = await alipay.create("S4")
    by_trade_no = {"trade_no": made["trade_no"]}

    assert "WAIT_BUYER_PAY" == (await alipay.query("S4"))["trade_status"]
    for _ in range(2):
        assert "S4" == (await alipay.call(CLOSE, by_trade_no))["out_trade_no"]
    assert "TRADE_CLOSED" == (await alipay.call("alipay.trade.query", by_trade_no))["trade_status"]
    assert "ACQ.TRADE_HAS_CLOSE" == (await alipay.create("S4"))["sub_code"]


async def test_an_order_of_the_wallet_needs_its_payer(alipay):
    refused = await alipay.create("S5", buyer_id=None)
    known = await alipay.create("S5", buyer_id=None, buyer_open_id="074a1CcTG1LelxKe4xQC0zgNd")
    asked = await alipay.query("S5")

    assert "ACQ.INVALID_PARAMETER" == refused["sub_code"]
    assert "10000" == known["code"]
    assert "074a1CcTG1LelxKe4xQC0zgNd" == asked["buyer_open_id"]


async def test_another_merchants_trade_is_nobodys(alipay):
    """Not even where both have used the same order number."""
    mine = await alipay.pay("S8")
    token = alipay.identity.app_auth_token("2021000000000042", alipay.sandbox.clock.real_ms())
    biz = {
        "out_trade_no": "S8", "scene": "bar_code", "auth_code": "281234567890120000",
        "subject": "rice", "total_amount": "9.00",
    }  # fmt: skip
    theirs = await alipay.call("alipay.trade.pay", biz, app_auth_token=token)
    asked = {"trade_no": mine["trade_no"]}
    foreign = await alipay.call("alipay.trade.query", asked, app_auth_token=token)

    assert "10000" == theirs["code"]
    assert NOT_EXIST == foreign["sub_code"]


async def test_what_is_paid_cannot_be_closed(alipay):
    await alipay.pay("S6")

    refused = await alipay.call(CLOSE, {"out_trade_no": "S6"})
    assert "ACQ.TRADE_STATUS_ERROR" == refused["sub_code"]
    assert "TRADE_SUCCESS" == (await alipay.query("S6"))["trade_status"]


async def test_after_a_year_it_is_finished(alipay):
    """A success that nobody can refund any more."""
    await alipay.pay("S7")
    alipay.advance(366 * 86_400)

    assert "TRADE_FINISHED" == (await alipay.query("S7"))["trade_status"]
    assert "ACQ.TRADE_HAS_FINISHED" == (await alipay.refund("S7", "1.00", "R"))["sub_code"]


# --- cancel ----------------------------------------------------------------------------------

CANCELS = [("0000", "refund", 3800), ("9002", "close", 0)]


@pytest.mark.parametrize(("ending", "action", "back"), CANCELS)
async def test_a_cancel_says_what_it_did(alipay, ending, action, back):
    """And says the same when asked again."""
    await alipay.pay("C1", ending=ending)
    for _ in range(2):
        done = await alipay.call(CANCEL, {"out_trade_no": "C1"})
        assert (action, "N") == (done["action"], done["retry_flag"])

    assert "TRADE_CLOSED" == (await alipay.query("C1"))["trade_status"]
    assert back == alipay.book("C1").refunded_minor


async def test_a_cancel_of_nothing_succeeds_without_an_action(alipay):
    """No trade was found. The number is over all the same."""
    done = await alipay.call(CANCEL, {"out_trade_no": "C2"})

    assert ("10000", "N", None) == (done["code"], done["retry_flag"], done.get("action"))
    assert "ACQ.TRADE_HAS_CLOSE" == (await alipay.pay("C2"))["sub_code"]
    assert "TRADE_CLOSED" == (await alipay.query("C2"))["trade_status"]
    nowhere = await alipay.call(CANCEL, {"trade_no": "2026"})
    assert NOT_EXIST == nowhere["sub_code"]


async def test_a_cancel_comes_in_time_and_before_any_refund(alipay):
    await alipay.pay("C3")
    await alipay.pay("C4")
    await alipay.refund("C4", "1.00", "R1")

    partly = await alipay.call(CANCEL, {"out_trade_no": "C4"})
    assert "ACQ.TRADE_STATUS_ERROR" == partly["sub_code"]
    alipay.advance(86_401)
    late = await alipay.call(CANCEL, {"out_trade_no": "C3"})
    assert "ACQ.TRADE_CANCEL_TIME_OUT" == late["sub_code"]
    assert 0 == alipay.book("C3").refunded_minor


# --- refunds ---------------------------------------------------------------------------------


async def test_refund_fee_is_the_sum_of_all(alipay):
    """`fund_change` N says that this request moved nothing: it was made before."""
    await alipay.pay("R1")
    first = await alipay.refund("R1", "10.00", "A", refund_reason="cold")
    second = await alipay.refund("R1", "20.00", "B")
    again = await alipay.refund("R1", "10.00", "A", refund_reason="cold")

    assert ("Y", "10.00") == (first["fund_change"], first["refund_fee"])
    assert ("Y", "30.00") == (second["fund_change"], second["refund_fee"])
    assert ("N", "30.00") == (again["fund_change"], again["refund_fee"])
    assert 3000 == alipay.book("R1").refunded_minor
    asked = {"out_trade_no": "R1", "out_request_no": "A"}
    found = await alipay.call(REFUND_QUERY, asked)
    assert ("REFUND_SUCCESS", "10.00", "38.00", "cold") == (
        found["refund_status"], found["refund_amount"], found["total_amount"],
        found["refund_reason"],
    )  # fmt: skip


async def test_the_last_refund_closes_the_trade(alipay):
    """What is over says so, and a repetition of the last refund is still the same refund."""
    await alipay.pay("R2")
    await alipay.refund("R2", "38.00", "A")

    assert "TRADE_CLOSED" == (await alipay.query("R2"))["trade_status"]
    assert "N" == (await alipay.refund("R2", "38.00", "A"))["fund_change"]
    assert "ACQ.TRADE_HAS_CLOSE" == (await alipay.refund("R2", "0.01", "B"))["sub_code"]


REFUSED = [
    ({"amount": "38.01", "request_no": "A"}, "ACQ.REASON_TRADE_REFUND_FEE_ERR"),
    ({"amount": "37.00"}, "ACQ.REFUND_AMT_NOT_EQUAL_TOTAL"),
    ({"amount": "0.00", "request_no": "A"}, "ACQ.INVALID_PARAMETER"),
    ({"amount": "2.00", "request_no": "ONE"}, "ACQ.DISCORDANT_REPEAT_REQUEST"),
]


@pytest.mark.parametrize(("asked", "sub_code"), REFUSED)
async def test_a_refund_that_cannot_be_is_refused(alipay, asked, sub_code):
    await alipay.pay("R3")
    await alipay.refund("R3", "1.00", "ONE")

    assert sub_code == (await alipay.refund("R3", **asked))["sub_code"]
    assert 100 == alipay.book("R3").refunded_minor


async def test_what_is_not_paid_is_not_refunded(alipay):
    await alipay.pay("R4", ending="9002")
    unpaid = await alipay.refund("R4", "1.00", "A")
    await alipay.call(CANCEL, {"out_trade_no": "R4"})
    closed = await alipay.refund("R4", "1.00", "A")
    absent = await alipay.refund("R5", "1.00", "A")

    told = [answer["sub_code"] for answer in (unpaid, closed, absent)]
    assert ["ACQ.TRADE_STATUS_ERROR", "ACQ.TRADE_HAS_CLOSE", NOT_EXIST] == told


async def test_a_refund_without_a_number_is_the_whole_once(alipay):
    await alipay.pay("R6")

    assert "Y" == (await alipay.refund("R6", "38.00"))["fund_change"]
    assert "N" == (await alipay.refund("R6", "38.00"))["fund_change"]
    assert 3800 == alipay.book("R6").refunded_minor


async def test_a_refund_that_nobody_asked_for_has_no_status(alipay):
    await alipay.pay("R7")

    found = await alipay.call(REFUND_QUERY, {"out_trade_no": "R7", "out_request_no": "A"})
    assert {"code": "10000", "msg": "Success"} == found


async def test_two_orders_may_use_the_same_refund_number(alipay):
    """It counts within its order."""
    for number in ("R8", "R9"):
        await alipay.pay(number)
        assert "Y" == (await alipay.refund(number, "1.00", "SAME"))["fund_change"]


# --- apps and pages --------------------------------------------------------------------------


async def test_an_app_hands_its_string_to_the_wallet(alipay):
    """No server was called before; a string that somebody changed opens nothing."""
    biz = {"out_trade_no": "A1", "subject": "tea", "total_amount": "1.00"}
    signed = urlencode(alipay.params("alipay.trade.app.pay", biz))
    status, opened = await alipay.helper("open", order_string=signed)

    assert (200, "A1") == (status, opened["out_trade_no"])
    assert "WAIT_BUYER_PAY" == (await alipay.query("A1"))["trade_status"]
    forged = signed.replace("1.00", "0.01")
    status, refused = await alipay.helper("open", order_string=forged)
    assert (409, "isv.invalid-signature") == (status, refused["error"])
    wrong = urlencode(alipay.params("alipay.trade.wap.pay", biz))
    assert "isv.insufficient-isv-permissions" == (
        await alipay.helper("open", order_string=wrong)
    )[1]["error"]  # fmt: skip


PRODUCTS = [
    ("alipay.trade.wap.pay", "QUICK_WAP_WAY"),
    ("alipay.trade.wap.pay", "QUICK_WAP_PAY"),
    ("alipay.trade.page.pay", "FAST_INSTANT_TRADE_PAY"),
]


@pytest.mark.parametrize(("method", "product"), PRODUCTS)
async def test_a_browser_pays_and_comes_back_with_signed_parameters(alipay, method, product):
    """To the cashier, to the shop's page; the parameters verify and prove no payment."""
    biz = {
        "out_trade_no": "W1", "subject": "<b>tea</b>", "total_amount": "1.00",
        "product_code": product,
    }  # fmt: skip
    params = alipay.params(method, biz, return_url="https://shop.example/done?a=1")
    async with alipay.session.get(f"{alipay.url}/gateway.do", params=params) as page:
        text, cashier = await page.text(), page.url
    assert "&lt;b&gt;tea" in text
    assert "WAIT_BUYER_PAY" == (await alipay.query("W1"))["trade_status"]
    async with alipay.session.post(cashier, data={"do": "pay"}, allow_redirects=False) as back:
        location = back.headers["Location"]
    returned = dict(parse_qsl(urlsplit(location).query))

    assert "TRADE_SUCCESS" == (await alipay.query("W1"))["trade_status"]
    assert f"{method}.return" == returned["method"]
    assert ("1", "W1", "1.00") == (
        returned.pop("a"), returned["out_trade_no"], returned["total_amount"],
    )  # fmt: skip
    public = alipay.identity.alipay_key.public_key()
    assert wire.verify(public, wire.notice_text(returned).encode(), returned["sign"])


async def test_a_browser_with_a_bad_request_sees_why(alipay):
    biz = {"out_trade_no": "W2", "subject": "tea", "total_amount": "1.00"}
    wrong = [
        alipay.params("alipay.trade.wap.pay", biz, sign="AAAA"),
        alipay.params("alipay.trade.wap.pay", biz | {"product_code": "OTHER"}),
        alipay.params("alipay.trade.wap.pay", biz | {"total_amount": "x"}),
    ]
    for params in wrong:
        async with alipay.session.get(f"{alipay.url}/gateway.do", params=params) as page:
            assert "错误代码" in await page.text()
    assert [] == alipay.sandbox.engine.books()


async def test_a_cashier_page_cannot_be_guessed(alipay):
    made = await alipay.create("W3")
    url = f"{alipay.url}/cashier/{made['trade_no']}/{'0' * 32}"
    async with alipay.session.post(url, data={"do": "pay"}) as page:
        assert 404 == page.status

    assert "WAIT_BUYER_PAY" == (await alipay.query("W3"))["trade_status"]


# --- restarts --------------------------------------------------------------------------------


async def test_a_restart_keeps_keys_orders_and_refunds(restarted):
    """All that a client rests on is in the folder."""
    async with restarted() as alipay:
        paid = await alipay.pay("K1")
        await alipay.refund("K1", "0.40", "A")
        credentials = alipay.sandbox.credentials("url")

    async with restarted() as alipay:
        assert credentials == alipay.sandbox.credentials("url")
        assert paid == await alipay.pay("K1")
        again = await alipay.refund("K1", "0.40", "A")
    assert ("N", "0.40") == (again["fund_change"], again["refund_fee"])
