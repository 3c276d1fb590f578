"""When a channel took money or gave it back, out of its answers as they are published."""

import pytest
from msgspec import json

from payments.channels.alipay import replies
from payments.channels.example.connector import _refunded, _verdict
from payments.channels.example.wire import Told
from payments.channels.unionpay.exchange import approved, time_in
from payments.channels.wechat import orders
from payments.channels.wechat.orders import Parties, RefundShown, Transaction

NUMBER = "01K5AZ00000000000000000000"
AT_MS = 1_780_243_199_000
"""2026-05-31 23:59:59 in China, 15:59:59 UTC."""

OUR_PARTIES = Parties("wxd678efh567hg6787", "1230000109")

TRANSACTION = {
    "appid": "wxd678efh567hg6787",
    "mchid": "1230000109",
    "out_trade_no": NUMBER,
    "transaction_id": "1217752501201407033233368018",
    "trade_type": "MICROPAY",
    "trade_state": "SUCCESS",
    "trade_state_desc": "支付成功",
    "bank_type": "CMC",
    "success_time": "2026-05-31T23:59:59+08:00",
    "amount": {"total": 100, "payer_total": 100, "currency": "CNY", "payer_currency": "CNY"},
}
REFUND = {
    "refund_id": "50000000382019052709732678859",
    "out_refund_no": "R1",
    "transaction_id": "1217752501201407033233368018",
    "out_trade_no": NUMBER,
    "channel": "ORIGINAL",
    "success_time": "2026-05-31T23:59:59+08:00",
    "create_time": "2026-05-31T08:00:00+08:00",
    "status": "SUCCESS",
    "amount": {"total": 100, "refund": 30, "payer_total": 90, "payer_refund": 30},
}
WECHAT_TIMES = [
    ("2026-05-31T23:59:59+08:00", AT_MS),
    ("2026-05-31T15:59:59Z", AT_MS),
    ("2026-05-31 23:59:59", None),
    ("", None),
    (None, None),
]


@pytest.mark.parametrize(("text", "expected"), WECHAT_TIMES)
def test_wechat_says_success_time(text, expected):
    """A time that cannot be read does not make a signed success doubtful."""
    body = json.encode({**TRANSACTION, "success_time": text})
    shown = orders.read(body, Transaction)
    paid = orders.outcome_of(shown, OUR_PARTIES, NUMBER, "CNY")
    back = orders.read(json.encode({**REFUND, "success_time": text}), RefundShown)

    assert (100, expected) == (paid.amount, paid.channel_at)
    refunded = orders.refund_outcome(back)
    assert (30, expected) == (refunded.amount, refunded.channel_at)


def test_an_order_of_wechats_that_is_unpaid_has_no_time():
    body = json.encode({**TRANSACTION, "trade_state": "NOTPAY", "success_time": None})
    shown = orders.read(body, Transaction)

    assert not hasattr(orders.outcome_of(shown, OUR_PARTIES, NUMBER, "CNY"), "channel_at")


ALIPAY = {
    "code": "10000",
    "msg": "Success",
    "trade_no": "2013112011001004330000121536",
    "out_trade_no": NUMBER,
    "buyer_logon_id": "159****5620",
    "total_amount": "88.88",
    "receipt_amount": "88.88",
    "trade_status": "TRADE_SUCCESS",
}
ALIPAY_TIMES = [
    ({"gmt_payment": "2026-05-31 23:59:59"}, AT_MS),
    ({"send_pay_date": "2026-05-31 23:59:59"}, AT_MS),
    ({"gmt_payment": "2026-05-31T23:59:59+08:00"}, None),
    ({"gmt_payment": "2026-02-30 10:00:00"}, None),
    ({}, None),
]


@pytest.mark.parametrize(("told", "expected"), ALIPAY_TIMES)
def test_alipay_says_gmt_payment_or_send_pay_date(told, expected):
    """`alipay.trade.pay` and notifications by the one name, `alipay.trade.query` by the other."""
    paid = replies.standing(replies.read(json.encode(ALIPAY | told)))
    heard = replies.standing(replies.read_notice(ALIPAY | told))

    assert (8888, expected) == (paid.amount, paid.channel_at)
    assert heard.channel_at == (expected if "send_pay_date" not in told else None)


def test_alipay_says_when_a_refund_was_paid():
    told = json.encode(ALIPAY | {"gmt_refund_pay": "2026-05-31 23:59:59"})

    assert AT_MS == replies.read(told).refunded_at
    assert replies.read(json.encode(ALIPAY)).refunded_at is None


UNIONPAY_TIMES = [
    ({"payTime": "20260531235959"}, AT_MS),
    ({"traceTime": "0531235959", "txnTime": "20260531235950"}, AT_MS),
    ({"traceTime": "0101000000", "txnTime": "20261231235950"}, 1_798_732_800_000),
    ({"traceTime": "1231235959", "txnTime": "20261231235950"}, 1_798_732_799_000),
    ({"traceTime": "0531235959"}, None),
    ({"traceTime": "0230235959", "txnTime": "20260531235950"}, None),
    ({"traceTime": "x", "txnTime": "20260531235950"}, None),
    ({"payTime": "20260531"}, None),
    ({}, None),
]


@pytest.mark.parametrize(("told", "expected"), UNIONPAY_TIMES)
def test_unionpay_says_pay_time_or_a_trace_without_its_year(told, expected):
    fields = {"txnAmt": "100", "queryId": "202605312359590000017", **told}
    paid = approved(NUMBER, fields, "queryId")

    assert expected == time_in(fields)
    assert (100, expected) == (paid.amount, paid.channel_at)


@pytest.mark.parametrize(("done_at", "expected"), [(AT_MS, AT_MS), (0, None)])
def test_the_example_says_done_at(done_at, expected):
    told = Told("shop", NUMBER, "paid", 0, 100, "cny", "c1", done_at=done_at)
    back = Told("shop", NUMBER, "refunded", 0, 30, "cny", "c2", refund="R1", done_at=done_at)

    assert expected == _verdict(told).channel_at
    assert expected == _refunded(back).channel_at
