"""How an order of the sandbox looks on Alipay's wire: fields of answers and of notifications."""

import json
from typing import Any, Final

from payments.channels.alipay.checks import MESSAGES
from payments.channels.alipay.units import china_time, yuan
from payments.channels.sandbox.books import Order
from payments.channels.sandbox.turns import Kind, News, Turn
from payments.payment import Discount

SUB_MESSAGES: Final = {
    "ACQ.SYSTEM_ERROR": "系统繁忙",
    "ACQ.INVALID_PARAMETER": "参数无效",
    "ACQ.PAYMENT_AUTH_CODE_INVALID": "支付授权码无效",
    "ACQ.CONTEXT_INCONSISTENT": "交易信息被篡改",
    "ACQ.TRADE_HAS_SUCCESS": "交易已被支付",
    "ACQ.TRADE_HAS_CLOSE": "交易已经关闭",
    "ACQ.TRADE_HAS_FINISHED": "交易已经结束",
    "ACQ.TRADE_NOT_EXIST": "交易不存在",
    "ACQ.TRADE_STATUS_ERROR": "交易状态不合法",
    "ACQ.TRADE_CANCEL_TIME_OUT": "超过撤销时间范围",
    "ACQ.TRADE_NOT_ALLOW_REFUND": "当前交易不允许退款",
    "ACQ.BUYER_BALANCE_NOT_ENOUGH": "买家余额不足",
    "ACQ.PAYMENT_FAIL": "支付失败",
    "ACQ.TOTAL_FEE_EXCEED": "订单总金额超过限额",
    "ACQ.NOW_TIME_AFTER_EXPIRE_TIME_ERROR": "当前时间已超过允许支付的时间",
    "ACQ.DISCORDANT_REPEAT_REQUEST": "请求信息不一致",
    "ACQ.REASON_TRADE_REFUND_FEE_ERR": "退款金额无效",
    "ACQ.REFUND_AMT_NOT_EQUAL_TOTAL": "退款金额与订单金额不一致",
}

WAIT_BUYER_PAY: Final = "WAIT_BUYER_PAY"
TRADE_SUCCESS: Final = "TRADE_SUCCESS"
TRADE_CLOSED: Final = "TRADE_CLOSED"
TRADE_FINISHED: Final = "TRADE_FINISHED"

BUYER_LOGON: Final = "tes***@example.com"
"""Every payer's account, as the wire masks it."""

NOTHING: Final = {
    "buyer_pay_amount": "0.00",
    "invoice_amount": "0.00",
    "point_amount": "0.00",
    "receipt_amount": "0.00",
}

_FUND_CHANNELS: Final = {"channel": "COUPON", "merchant": "MDISCOUNT"}
_NOTICE_SPELLING: Final = {
    "fund_channel": "fundChannel",
    "merchant_contribute": "merchantContribute",
    "other_contribute": "otherContribute",
}


def done(**fields: Any) -> dict[str, Any]:
    """A success; fields that are None are left out."""
    content = {"code": "10000", "msg": MESSAGES["10000"]}
    return content | {name: value for name, value in fields.items() if value is not None}


def failed(sub_code: str, sub_msg: str = "", **fields: Any) -> dict[str, Any]:
    """A refusal of the business: the method was asked and said no."""
    return {
        "code": "40004",
        "msg": MESSAGES["40004"],
        "sub_code": sub_code,
        "sub_msg": sub_msg or SUB_MESSAGES[sub_code],
        **fields,
    }


def system_error() -> dict[str, Any]:
    """Nobody knows what became of it: the caller has to ask again."""
    return {
        "code": "20000",
        "msg": MESSAGES["20000"],
        "sub_code": "aop.ACQ.SYSTEM_ERROR",
        "sub_msg": SUB_MESSAGES["ACQ.SYSTEM_ERROR"],
    }


def text_of(content: dict[str, Any]) -> str:
    """The JSON text of an answer, slashes escaped as this gateway writes them."""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).replace("/", "\\/")


def buyer(order: Order) -> dict[str, str]:
    """Who pays: by the id that the merchant used for him."""
    if "buyer_open_id" in order.extra:
        return {"buyer_logon_id": BUYER_LOGON, "buyer_open_id": order.extra["buyer_open_id"]}
    if "buyer_id" in order.extra:
        return {"buyer_logon_id": BUYER_LOGON, "buyer_user_id": order.extra["buyer_id"]}
    return {}  # A number that was canceled before anybody paid with it.


def amounts(turn: Turn) -> dict[str, str]:
    """What was asked, what the payer paid, what the merchant gets; nothing until it is paid."""
    if turn.kind != Kind.PAID:
        return {"total_amount": yuan(turn.amount), **NOTHING}
    return {
        "total_amount": yuan(turn.amount),
        "receipt_amount": yuan(turn.settle_amount),
        "buyer_pay_amount": yuan(turn.payer_amount),
        "invoice_amount": yuan(turn.payer_amount),
        "point_amount": "0.00",
    }


def fund_bills(turn: Turn) -> list[dict[str, str]]:
    """Where the money of a paid order came from: the payer's account, then each coupon."""
    bills = [{"fund_channel": "ALIPAYACCOUNT", "amount": yuan(turn.payer_amount)}]
    for discount in turn.discounts:
        channel = _FUND_CHANNELS[discount.funder]
        bills.append({"fund_channel": channel, "amount": yuan(discount.amount)})
    return bills


def vouchers(turn: Turn) -> list[dict[str, str]]:
    """The coupons, with who pays for each."""
    return [
        _voucher(turn.known, index, discount)
        for index, discount in enumerate(turn.discounts, start=1)
    ]


def _voucher(order: Order, index: int, discount: Discount) -> dict[str, str]:
    merchant = discount.amount if discount.funder == "merchant" else 0
    return {
        "id": f"{order.trade_no[:8]}0007300{index}{order.serial % 10**12:012d}",
        "name": "满减券",
        "type": "ALIPAY_FIX_VOUCHER",
        "amount": yuan(discount.amount),
        "merchant_contribute": yuan(merchant),
        "other_contribute": yuan(discount.amount - merchant),
    }


def trade_status(turn: Turn, *, refundable: bool = True) -> str:
    """`refundable` False: the days for refunds are over."""
    order = turn.known
    if turn.kind == Kind.AWAITING:
        return WAIT_BUYER_PAY
    if turn.kind != Kind.PAID or order.refunded >= order.amount:
        return TRADE_CLOSED
    return TRADE_SUCCESS if refundable else TRADE_FINISHED


def notice(news: News, turn: Turn, now_ms: int) -> dict[str, str]:
    """The parameters of a notification, unsigned. `turn`: the order as it is reported.

    Which number identifies it follows from the news alone, so it is the same at each try.
    """
    order, refund, extra = news.order, news.refund, news.order.extra
    at = china_time(news.at_ms)
    params = {
        "notify_time": china_time(now_ms),
        "notify_type": "trade_status_sync",
        "notify_id": f"{at[:10].replace('-', '')}00222{at[11:].replace(':', '')}{news.id:015d}",
        "app_id": extra["app_id"],
        "auth_app_id": extra["auth_app_id"],
        "charset": "utf-8",
        "version": "1.0",
        "sign_type": "RSA2",
        "trade_no": order.trade_no,
        "out_trade_no": order.number,
        **{_buyer_spelling(name): value for name, value in buyer(order).items()},
        "seller_id": extra["seller_id"],
        "subject": extra["subject"],
        "body": extra.get("body", ""),
        "passback_params": extra.get("passback_params", ""),
        "gmt_create": china_time(order.created_ms),
        **amounts(turn),
    }
    if turn.kind == Kind.PAID:
        params["gmt_payment"] = china_time(order.paid_ms)
        params["fund_bill_list"] = _spelled(fund_bills(turn))
        params["voucher_detail_list"] = _spelled(vouchers(turn)) if turn.discounts else ""
    params["trade_status"] = TRADE_SUCCESS
    if refund is not None:
        given = [r for r in order.refunds.values() if r.made_ms and r.serial <= refund.serial]
        total = sum(r.amount for r in given)
        params["out_biz_no"] = refund.number
        params["refund_fee"] = yuan(total)
        params["gmt_refund"] = china_time(refund.made_ms) + ".000"
        if total >= order.amount:
            params["trade_status"] = TRADE_CLOSED
    elif news.kind == Kind.CLOSED:
        params["trade_status"] = TRADE_CLOSED
        params["gmt_close"] = china_time(order.ended_ms)
    return {name: value for name, value in params.items() if value}


def _buyer_spelling(name: str) -> str:
    return "buyer_id" if name == "buyer_user_id" else name


def _spelled(rows: list[dict[str, str]]) -> str:
    """JSON in the notification's own spelling of its names."""
    spelled = [{_NOTICE_SPELLING.get(k, k): v for k, v in row.items()} for row in rows]
    return json.dumps(spelled, ensure_ascii=False, separators=(",", ":"))
