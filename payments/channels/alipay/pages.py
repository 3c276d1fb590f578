"""What a payer's browser sees of Alipay's sandbox: the cashier behind wap and page payments, the
pages of errors, and where it is sent afterwards.
"""

import html
from urllib.parse import urlencode, urlsplit

from aiohttp import web

from payments.channels.alipay.identity import Identity
from payments.channels.alipay.units import china_time, yuan
from payments.channels.alipay.wire import request_text, sign
from payments.channels.sandbox.books import PAID, UNPAID, Order


def with_query(url: str, params: dict[str, str]) -> str:
    """The address with these parameters behind whatever it has. Raise ValueError: not http(s)."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("not an address of a page")
    query = "&".join(part for part in (parts.query, urlencode(params)) if part)
    return parts._replace(query=query, fragment="").geturl()


def returned(order: Order, identity: Identity, now_ms: int) -> str | None:
    """Where the cashier sends the payer after paying: the shop's page, with signed parameters.

    None: the shop has none. The parameters prove nothing that a query would not.
    """
    url, extra = order.extra.get("return_url"), order.extra
    if not url:
        return None
    params = {
        "charset": "utf-8",
        "out_trade_no": order.number,
        "method": extra["method"] + ".return",
        "total_amount": yuan(order.amount),
        "trade_no": order.trade_no,
        "auth_app_id": extra["auth_app_id"],
        "version": "1.0",
        "app_id": extra["app_id"],
        "sign_type": "RSA2",
        "seller_id": extra["seller_id"],
        "timestamp": china_time(now_ms),
    }
    unsigned = {name: value for name, value in params.items() if name != "sign_type"}
    params["sign"] = sign(identity.alipay_key, request_text(unsigned).encode())
    try:
        return with_query(url, params)
    except ValueError:
        return None  # Whatever the shop wrote there, it is no place to send a browser to.


def cashier(order: Order, action: str) -> str:
    """The page on which the payer pays or leaves."""
    subject = html.escape(order.extra.get("subject", ""))
    said = {PAID: "已支付", UNPAID: ""}.get(order.state, "交易已关闭")
    buttons = (
        f'<form method="post" action="{html.escape(action)}">'
        '<button name="do" value="pay">确认付款</button> '
        '<button name="do" value="decline">取消</button></form>'
        if order.state == UNPAID
        else ""
    )
    return _page(
        "支付宝沙箱收银台", f"<h1>{subject}</h1><p>¥{yuan(order.amount)}</p>{said}{buttons}"
    )


def trouble(sub_code: str, sub_msg: str) -> str:
    """The page that a browser gets for a request that the gateway refused."""
    code = html.escape(sub_code.removeprefix("isv."))
    return _page(
        "支付宝沙箱",
        "<p>调试错误，请回到请求来源地，重新发起请求。</p>"
        f"<p>错误代码 {code}</p><p>错误原因: {html.escape(sub_msg)}</p>",
    )


def shown(text: str) -> web.Response:
    """A page as a browser gets it."""
    return web.Response(text=text, content_type="text/html", charset="utf-8")


def sent(url: str) -> web.Response:
    """Send the browser somewhere else."""
    return web.Response(status=302, headers={"Location": url})


def _page(title: str, body: str) -> str:
    return (
        '<!doctype html><html lang="zh"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{title}</title><body>{body}</body></html>"
    )
