"""Our orders in Alipay's words: method and `biz_content`."""

import re
from typing import Any, Final

from payments.channels.alipay.units import china_time, yuan
from payments.channels.base import OrderRef, PayOrder, RefundOrder
from payments.payment import Way

METHODS: Final = {
    Way.BARCODE: "alipay.trade.pay",
    Way.QR: "alipay.trade.precreate",
    Way.JSAPI: "alipay.trade.create",
    Way.APP: "alipay.trade.app.pay",
    Way.H5: "alipay.trade.wap.pay",
}
QUERY: Final = "alipay.trade.query"
CANCEL: Final = "alipay.trade.cancel"
CLOSE: Final = "alipay.trade.close"
REFUND: Final = "alipay.trade.refund"
BILL: Final = "alipay.data.dataservice.bill.downloadurl.query"
REFUND_QUERY: Final = "alipay.trade.fastpay.refund.query"

CURRENCIES: Final = ("cny",)
SUBJECT_MAX: Final = 256
NAME_MAX: Final = 32
"""Longest store or terminal id that the wire has room for, in characters."""

BARCODE_LIFE_MS: Final = 120_000
"""So long after it was made a barcode order may still be paid. Our verdict comes within 60 s; a
request that was held up on its way for longer must not charge anybody."""

LISTS: Final = ["fund_bill_list", "voucher_detail_list"]

_USER_ID: Final = re.compile(r"2088[0-9]{12}")
_NOT_IN_SUBJECTS: Final = str.maketrans("/=&", "   ")
"""The interface does not take these in a subject."""


def payment(order: PayOrder, subject: str, app_id: str, provider: str) -> dict[str, Any]:
    """`biz_content` of any way to pay. `subject`: where the order has none. `provider`: the
    partner's id for its share, may be empty. Always the same for the same order."""
    biz: dict[str, Any] = {
        "out_trade_no": order.out_trade_no,
        "total_amount": yuan(order.amount),
        "subject": _subject(order.subject) or subject,
    }
    if order.way == Way.BARCODE:
        biz |= {"scene": "bar_code", "auth_code": order.auth_code or ""}
        biz |= {"product_code": "FACE_TO_FACE_PAYMENT", "query_options": LISTS}
    elif order.way == Way.JSAPI:
        payer = order.payer or ""
        is_user_id = _USER_ID.fullmatch(payer) is not None
        biz["buyer_id" if is_user_id else "buyer_open_id"] = payer
        biz |= {"product_code": "JSAPI_PAY", "op_app_id": app_id}
    elif order.way == Way.APP:
        biz["product_code"] = "QUICK_MSECURITY_PAY"
    elif order.way == Way.H5:
        biz["product_code"] = "QUICK_WAP_WAY"
        if order.return_url:
            biz["quit_url"] = order.return_url
    if (ends := _ends(order)) is not None:
        biz["time_expire"] = china_time(ends)
    if provider:
        biz["extend_params"] = {"sys_service_provider_id": provider}
    for name, ours in (("store_id", order.store), ("terminal_id", order.terminal)):
        if ours is not None and len(ours) <= NAME_MAX:
            biz[name] = ours
    return biz


def _subject(text: str | None) -> str:
    return (text or "").translate(_NOT_IN_SUBJECTS).strip()[:SUBJECT_MAX]


def _ends(order: PayOrder) -> int | None:
    """The channel-side expiry, never later than ours: the wire's seconds cut it down."""
    if order.expires_at is not None:
        return order.expires_at
    if order.way == Way.BARCODE and order.created:
        return order.created + BARCODE_LIFE_MS
    return None


def query(order: OrderRef) -> dict[str, Any]:
    """With everything that says who paid what."""
    return {"out_trade_no": order.out_trade_no, "query_options": LISTS}


def undo(order: OrderRef) -> dict[str, Any]:
    """For cancel and close."""
    return {"out_trade_no": order.out_trade_no}


def refund(order: RefundOrder) -> dict[str, Any]:
    """The refund's number is the key by which it happens once."""
    return {
        "out_trade_no": order.out_trade_no,
        "out_request_no": order.out_refund_no,
        "refund_amount": yuan(order.amount),
    }


def refund_query(out_trade_no: str, out_refund_no: str) -> dict[str, Any]:
    """Asks for the time, too: without the option the answer does not say it."""
    options = ["gmt_refund_pay"]
    return {
        "out_trade_no": out_trade_no,
        "out_request_no": out_refund_no,
        "query_options": options,
    }


def bill(date: int) -> dict[str, Any]:
    """The bill of payments of a day, yyyymmdd."""
    day = f"{date:08d}"
    return {"bill_type": "trade", "bill_date": f"{day[:4]}-{day[4:6]}-{day[6:]}"}
