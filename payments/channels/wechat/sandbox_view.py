"""How the sandbox shows orders and refunds: the objects of answers and of callbacks.

Source: WeChat Pay API v3, "the transaction object", "refunds". Fields that an unpaid order does
not have are absent, not null.
"""

import hashlib
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final

from payments.channels.sandbox.books import Order, Refund
from payments.channels.sandbox.turns import BARCODE, Kind, Turn, given_back
from payments.channels.wechat.sandbox_fields import CURRENCY

SHANGHAI: Final = timezone(timedelta(hours=8))
BANK: Final = "OTHERS"

TRADE_TYPES: Final = {
    "barcode": "MICROPAY",
    "qr": "NATIVE",
    "jsapi": "JSAPI",
    "app": "APP",
    "h5": "MWEB",
}
DESCRIPTIONS: Final = {
    "SUCCESS": "支付成功",
    "REFUND": "订单发生过退款",
    "NOTPAY": "订单未支付",
    "CLOSED": "订单已关闭",
    "REVOKED": "订单已撤销",
    "USERPAYING": "需要用户输入支付密码",
    "PAYERROR": "支付失败(其他原因)",
}
_SERIAL_DIGITS: Final = 10
_MIDDLE_DIGITS: Final = 6


def shanghai(ms: int) -> str:
    """RFC 3339 in Shanghai's time, whole seconds."""
    at = datetime.fromtimestamp(ms // 1000, UTC).astimezone(SHANGHAI)
    return at.isoformat(timespec="seconds")


def order_number(created_ms: int, serial: int) -> str:
    """28 digits that begin with 42; the serial number makes them unique."""
    day = datetime.fromtimestamp(created_ms // 1000, UTC).astimezone(SHANGHAI)
    high, low = divmod(serial, 10**_SERIAL_DIGITS)
    return f"4200{high:0{_MIDDLE_DIGITS}d}{day:%Y%m%d}{low:0{_SERIAL_DIGITS}d}"


def refund_number(created_ms: int, serial: int) -> str:
    """29 digits that begin with 503."""
    return f"5030{order_number(created_ms, serial)[3:]}"


def prepay_id(order: Order) -> str:
    """The same for the same order, whenever it is asked for."""
    at = datetime.fromtimestamp(order.created_ms // 1000, UTC).astimezone(SHANGHAI)
    return f"wx{at:%d%H%M%S}{digest(order.trade_no)[:26]}"


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def trade_state(turn: Turn) -> str:
    """The documented state of an order as it stands."""
    order = turn.known
    barcode = order.way == BARCODE
    if turn.kind is Kind.PAID:
        return "REFUND" if order.committed else "SUCCESS"
    if turn.kind is Kind.AWAITING:
        return "USERPAYING" if barcode else "NOTPAY"
    if turn.kind is Kind.DECLINED:
        return "PAYERROR"
    # Whatever ends an unpaid payment code does so for good: the query calls it revoked.
    return "REVOKED" if barcode or turn.kind is Kind.REVERSED else "CLOSED"


def transaction(turn: Turn, identity: dict[str, str]) -> dict[str, Any]:
    """The transaction object. `identity`: ids of merchant and app, for an order without its own."""
    order = turn.known
    state = trade_state(turn)
    currency = order.currency or CURRENCY
    shown: dict[str, Any] = {
        **(order.extra.get("identity") or identity),
        "out_trade_no": order.number,
        "trade_state": state,
        "trade_state_desc": DESCRIPTIONS[state],
        "attach": order.extra.get("attach", ""),
    }
    if device := order.extra.get("device_id"):
        shown["scene_info"] = {"device_id": device}
    if turn.kind is not Kind.PAID:
        shown["amount"] = {"total": order.amount, "currency": currency}
        return shown
    shown.update(
        transaction_id=order.trade_no,
        trade_type=TRADE_TYPES[order.way],
        bank_type=BANK,
        success_time=shanghai(order.paid_ms),
        payer=order.extra.get("payer", {}),
        amount={
            "total": turn.amount,
            "payer_total": turn.payer_amount,
            "currency": currency,
            "payer_currency": currency,
        },
    )
    if turn.discounts:
        shown["promotion_detail"] = [
            _coupon(order, index, discount.funder, discount.amount)
            for index, discount in enumerate(turn.discounts)
        ]
    return shown


def _coupon(order: Order, index: int, funder: str, amount: int) -> dict[str, Any]:
    """The channel's coupon is money that is settled (CASH), the merchant's is not (NOCASH)."""
    by_channel = funder == "channel"
    return {
        "coupon_id": f"{order.serial}{index}",
        "name": "微信支付立减" if by_channel else "商家代金券",
        "scope": "GLOBAL",
        "type": "CASH" if by_channel else "NOCASH",
        "amount": amount,
        "stock_id": str(order.serial),
        "wechatpay_contribute": amount if by_channel else 0,
        "merchant_contribute": 0 if by_channel else amount,
        "other_contribute": 0,
        "currency": CURRENCY,
        "goods_detail": [],
    }


def refund(turn: Turn, asked: Refund) -> dict[str, Any]:
    """The refund object of the refund calls' answers. `turn`: the paid order as it stands."""
    order = turn.known
    settlement, payer = portions(turn, order, asked)
    payer = asked.payer_amount if asked.made_ms else payer
    # Coupons that are not settled are the merchant's; what else the payer did not pay is not his.
    shares = {"merchant": asked.amount - settlement, "channel": settlement - payer}
    shown: dict[str, Any] = {
        "refund_id": asked.trade_no,
        "out_refund_no": asked.number,
        "transaction_id": order.trade_no,
        "out_trade_no": order.number,
        "channel": "ORIGINAL",
        "user_received_account": "支付用户零钱",
        "create_time": shanghai(asked.created_ms),
        "status": "SUCCESS" if asked.made_ms else "PROCESSING",
        "funds_account": asked.extra.get("funds_account", "AVAILABLE"),
        "amount": {
            "total": turn.amount,
            "refund": asked.amount,
            "from": asked.extra.get("from", []),
            "payer_total": turn.payer_amount,
            "payer_refund": payer,
            "settlement_refund": settlement,
            "settlement_total": turn.settle_amount,
            "discount_refund": asked.amount - payer,
            "currency": order.currency,
        },
        "promotion_detail": [
            {
                "promotion_id": f"{order.serial}{index}",
                "scope": "GLOBAL",
                "type": "COUPON" if discount.funder == "channel" else "DISCOUNT",
                "amount": discount.amount,
                "refund_amount": shares[discount.funder],
            }
            for index, discount in enumerate(turn.discounts)
        ],
    }
    if asked.made_ms:
        shown["success_time"] = shanghai(asked.made_ms)
    return shown


def refund_news(turn: Turn, asked: Refund, merchants: dict[str, str]) -> dict[str, Any]:
    """The plaintext of a refund's callback: `refund_status`, and neither channel nor account."""
    shown = refund(turn, asked)
    amount = shown["amount"]
    told = {
        **merchants,
        "out_trade_no": shown["out_trade_no"],
        "transaction_id": shown["transaction_id"],
        "out_refund_no": shown["out_refund_no"],
        "refund_id": shown["refund_id"],
        "refund_status": shown["status"],
        "user_received_account": shown["user_received_account"],
        "amount": {
            name: amount[name] for name in ("total", "refund", "payer_total", "payer_refund")
        },
    }
    if "success_time" in shown:
        told["success_time"] = shown["success_time"]
    return told


def portions(turn: Turn, order: Order, asked: Refund) -> tuple[int, int]:
    """This refund's portions of what was settled, and of what the payer paid."""
    before = sum(
        other.amount
        for other in order.refunds.values()
        if not other.lost and other.serial < asked.serial
    )
    whole = (order.amount, turn.settle_amount, turn.payer_amount)
    settled_before, paid_before = given_back(*whole, before)
    settled, paid = given_back(*whole, before + asked.amount)
    return settled - settled_before, paid - paid_before
