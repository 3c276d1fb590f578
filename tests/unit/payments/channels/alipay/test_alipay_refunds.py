"""Alipay's connector: refunds, keys, callbacks and partners.

Real signatures, no socket: a fake client gives the answers. The contract suite runs the same
connector against the sandbox.
"""

import json

import pytest
from msgspec.structs import replace

from alipay_answers import (
    ABOUT,
    APP_ID,
    BACK,
    NUMBER,
    ORDER,
    PAID,
    REFUNDED,
    SELLER,
    SETTINGS,
    TRADE,
    failed,
)
from payments.channels.alipay import wire
from payments.channels.alipay.connector import (
    LATER,
    NO_TOKEN,
    NOT_OURS,
    PARTNER,
    REFUSED,
    TAKEN,
    AlipaySettings,
)
from payments.channels.base import (
    Approved,
    Declined,
    Notice,
    Unknown,
    Unpaid,
)
from payments.channels.signing import PooledVerifier
from payments.channels.transport import Callback, NoAnswer
from payments.payment import Discount
from rigs import rsa_key

# --- refunds -----------------------------------------------------------------------------------

GIVEN = {
    "code": "10000", "out_trade_no": NUMBER, "trade_no": TRADE, "fund_change": "Y",
    "refund_fee": "10.00",
}  # fmt: skip
NEVER_MADE = {"code": "10000", "msg": "Success"}
BACK_DONE = Approved(NUMBER, 1000, TRADE)
REFUNDS = [
    # the answers in turn, what it comes to
    ([GIVEN], BACK_DONE),
    ([{**GIVEN, "refund_fee": "30.00"}], BACK_DONE),
    ([{**GIVEN, "refund_fee": "9.99"}], Unknown),
    ([{**GIVEN, "refund_fee": ""}], Unknown),
    ([{**GIVEN, "fund_change": "N"}, REFUNDED], BACK_DONE),
    ([{**GIVEN, "fund_change": "N"}, NEVER_MADE], Unknown),
    ([{**GIVEN, "fund_change": "N"}, NoAnswer()], Unknown),
    ([{**GIVEN, "fund_change": "N"}, {**REFUNDED, "refund_amount": "9.00"}], Unknown),
    ([{**GIVEN, "out_trade_no": "01K5AZOTHER"}], Unknown),
    ([failed("ACQ.SELLER_BALANCE_NOT_ENOUGH"), NEVER_MADE], Declined),
    ([failed("ACQ.TRADE_HAS_CLOSE"), NEVER_MADE], Declined),
    ([failed("ACQ.TRADE_HAS_CLOSE"), REFUNDED], BACK_DONE),
    ([failed("ACQ.TRADE_HAS_CLOSE"), NoAnswer()], Unknown),
    ([failed("ACQ.TRADE_NOT_EXIST")], Declined),
    ([failed("ACQ.SYSTEM_ERROR")], Unknown),
    ([failed("ACQ.SOMETHING_NEW")], Unknown),
    ([NoAnswer()], Unknown),
]


@pytest.mark.parametrize(("answers", "expected"), REFUNDS)
async def test_a_refund_is_made_refused_or_unknown(world, answers, expected):
    """`fund_change` N and every refusal are looked up: the first answer may have been lost."""
    answer = await world.answers(*answers).refund(BACK)

    assert answer == expected or (isinstance(expected, type) and isinstance(answer, expected))
    assert not getattr(answer, "not_sent", False)


async def test_a_refund_that_the_gateway_refused_was_not_sent(world):
    """So it is asked again later: the account is at fault, not the refund."""
    answer = await world.answers(failed("isv.app-call-limited", "40005")).refund(BACK)

    assert answer.not_sent


LOOKS = [
    (REFUNDED, BACK_DONE),
    (NEVER_MADE, Unpaid("absent")),
    ({**REFUNDED, "refund_status": ""}, Unpaid("absent")),
    (failed("ACQ.TRADE_NOT_EXIST"), Unpaid("absent")),
    ({**REFUNDED, "refund_amount": "9.00"}, Unknown),
    ({**REFUNDED, "refund_amount": "10"}, Unknown),
    ({**REFUNDED, "out_request_no": "R2"}, Unknown),
    ({**REFUNDED, "out_trade_no": ""}, Unknown),
    (failed("ACQ.SYSTEM_ERROR"), Unknown),
]


@pytest.mark.parametrize(("facts", "expected"), LOOKS)
async def test_a_look_at_a_refund(world, facts, expected):
    answer = await world.answers(facts).inquire_refund(BACK)

    assert answer == expected or (isinstance(expected, type) and isinstance(answer, expected))


# --- keys --------------------------------------------------------------------------------------


async def test_an_answer_names_the_certificate_that_verifies_it(make):
    """Or none, and then any of the valid keys will do: an old and a new one side by side."""
    world = make(verifiers=("old", "new"))
    stranger = PooledVerifier(world.pool, rsa_key("stranger").public_key())
    world.channel._verifiers["old"] = stranger
    method = "alipay.trade.pay"

    for certificate, expected in (("new", Approved), (None, Approved), ("old", Unknown)):
        answer = world.http.signed(method, PAID, certificate)
        assert isinstance(await world.answers(answer).pay(ORDER), expected), certificate


async def test_encrypted_content_goes_both_ways(make):
    key = bytes(range(16))
    world = make(replace(SETTINGS, aes_key=key))
    text = f'"{wire.encrypt(key, json.dumps(PAID).encode())}"'
    answer = await world.answers(text).pay(ORDER)

    assert isinstance(answer, Approved)
    assert "AES" == world.http.params["encrypt_type"]
    assert NUMBER in wire.decrypt(key, world.http.params["biz_content"]).decode()


def test_settings_show_no_secrets():
    """Nor anything that would take a log's room; an unknown mode is refused."""
    tokens = {"mch_1": "202611BBsecret"}
    settings = replace(SETTINGS, mode=PARTNER, app_auth_tokens=tokens, aes_key=b"0123456789abcdef")

    assert "secret" not in repr(settings)
    assert "012345" not in repr(settings)
    with pytest.raises(ValueError, match="mode"):
        AlipaySettings("1", "g", mode="other")


# --- callbacks and partners ----------------------------------------------------------------------

TOLD = {
    "notify_type": "trade_status_sync", "notify_id": "1", "charset": "utf-8", "version": "1.0",
    "sign_type": "RSA2", "app_id": APP_ID, "auth_app_id": APP_ID, "seller_id": SELLER,
    "out_trade_no": NUMBER, "trade_no": TRADE, "trade_status": "TRADE_SUCCESS",
    "total_amount": "38.00", "receipt_amount": "36.00", "buyer_pay_amount": "33.00",
    "subject": "大杯 +1%", "passback_params": "",
    "fund_bill_list": '[{"amount":"3.00","fundChannel":"COUPON"},'
    '{"amount":"2.00","fundChannel":"MDISCOUNT"}]',
}  # fmt: skip


def callback(key="channel", **changed):
    params = TOLD | changed
    params["sign"] = wire.sign(rsa_key(key), wire.notice_text(params).encode())
    return Callback("POST", "", {}, wire.form(params).encode())


async def test_a_callback_is_told_with_its_coupons(world):
    heard = await world.channel.hear(callback())
    discounts = (Discount("channel", 300), Discount("merchant", 200))

    expected = Approved(NUMBER, 3800, TRADE, 3300, 3600, discounts)
    assert Notice(NUMBER, expected) == heard.notice
    assert (TAKEN, LATER) == (heard.answer, heard.refusal)
    assert b"success" == heard.answer.body


NOT_HEARD = [
    {"app_id": "2021000000000002"},
    {"seller_id": "2088000000000002"},
    {"seller_id": ""},
    {"sign_type": "RSA"},
    {"fund_bill_list": "none"},
]


@pytest.mark.parametrize("changed", NOT_HEARD)
async def test_a_callback_that_is_not_ours_says_nothing(world, changed):
    """Signed by the channel all the same."""
    heard = await world.channel.hear(callback(**changed))

    assert (None, REFUSED) == (heard.notice, heard.answer)


async def test_a_strangers_callback_says_nothing(world):
    heard = await world.channel.hear(callback(key="stranger"))

    assert (None, REFUSED) == (heard.notice, heard.answer)


OTHER_NEWS = [
    ({"trade_status": "TRADE_CLOSED"}, Notice(NUMBER, Unpaid("closed"))),
    ({"trade_status": "WAIT_BUYER_PAY"}, Notice(NUMBER, Unpaid("open"))),
    ({"notify_type": "something_else"}, None),
    ({"out_trade_no": ""}, None),
]


@pytest.mark.parametrize(("changed", "notice"), OTHER_NEWS)
async def test_other_news_is_acknowledged(world, changed, notice):
    heard = await world.channel.hear(callback(**changed))

    assert (notice, TAKEN) == (heard.notice, heard.answer)


async def test_a_refunds_callback_is_a_reason_to_look(world):
    """Its `refund_fee` is the sum of all refunds: this one's amount is asked for."""
    world.answers({**REFUNDED, "out_request_no": "R2", "refund_amount": "8.00"})
    news = callback(out_biz_no="R2", refund_fee="18.00", gmt_refund="2026-11-18 19:06:40.000")
    heard = await world.channel.hear(news)

    assert Notice(NUMBER, Approved(NUMBER, 800, TRADE), "R2") == heard.notice
    about = {"out_trade_no": NUMBER, "out_request_no": "R2"}
    assert about | {"query_options": ["gmt_refund_pay"]} == world.http.biz
    world.answers(NoAnswer())
    lost = await world.channel.hear(news)
    assert isinstance(lost.notice.outcome, Unknown)


TOKENS = replace(
    SETTINGS,
    mode=PARTNER,
    app_auth_tokens={"mch_1": "token-1", "mch_2": "token-2"},
    seller_ids={"mch_1": "2088000000000011", "mch_2": "2088000000000012"},
    service_provider_id="2088000000000099",
)


async def test_a_partner_acts_by_the_token_of_each_merchant(make):
    """For every question, and never for a merchant that gave none."""
    world = make(TOKENS)
    channel = world.answers({**PAID, "trade_status": "TRADE_SUCCESS"})
    await channel.pay(ORDER)
    provider = world.http.biz["extend_params"]["sys_service_provider_id"]
    await channel.inquire(replace(ABOUT, merchant="mch_2"))

    assert "2088000000000099" == provider
    assert ["token-1", "token-2"] == [params["app_auth_token"] for _, params in world.http.sent]
    assert NOT_OURS == await channel.pay(replace(ORDER, merchant="mch_3"))
    assert NO_TOKEN == await channel.inquire(replace(ABOUT, merchant="mch_3"))
    assert 2 == len(world.http.sent)


async def test_a_partner_hears_about_its_merchants_only(make):
    """And looks at a refund by the right merchant's token."""
    world = make(TOKENS)
    world.answers({**REFUNDED, "refund_amount": "8.00"})
    paid = await world.channel.hear(callback(seller_id="2088000000000012"))
    other = await world.channel.hear(callback(seller_id="2088000000000013"))
    back = callback(seller_id="2088000000000012", out_biz_no="R1", refund_fee="8.00")
    refunded = await world.channel.hear(back)

    assert isinstance(paid.notice.outcome, Approved)
    assert other.notice is None
    assert isinstance(refunded.notice.outcome, Approved)
    assert "token-2" == world.http.params["app_auth_token"]
