"""What the sandbox tells by callback: payments, refunds, and to receivers what they got or gave.

Source: WeChat Pay API v3, the notifications. A receiver that is a merchant is told of its part when
it has an address for that; the event type is `TRANSACTION.SUCCESS` there, as people have met it.
All accounts of a sandbox share one APIv3 key.
"""

from typing import Any, Final

from msgspec import Struct

from payments.channels.sandbox.books import Order
from payments.channels.sandbox.engine import Engine
from payments.channels.sandbox.turns import News
from payments.channels.wechat import sandbox_view
from payments.channels.wechat import sharing_wire as wire
from payments.channels.wechat.sandbox_sharing_books import Part, Return, Sharing

SHARED: Final = "shared"
SUCCESS: Final = "TRANSACTION.SUCCESS"


class Told(Struct, frozen=True):
    """A callback's event type, original type, summary and plaintext."""

    event: str
    original: str
    summary: str
    plain: dict[str, Any]


class SharedNews(News, frozen=True, kw_only=True):
    """A part that a receiver got or gave back. `url`: the receiver's; `name`: the callback's id.

    It is not owed after a restart: the channel does not promise that it arrives.
    """

    url: str
    name: str
    shown: dict[str, Any]

    @property
    def notify_url(self) -> str | None:
        return self.url


def told(engine: Engine, news: News) -> Told | None:
    """What a callback says; None for what the channel does not tell."""
    if isinstance(news, SharedNews):
        return Told(SUCCESS, "profitsharing", "分账", news.shown | _parties(news.order))
    if news.kind not in ("paid", "refunded"):
        return None
    turn = engine.view(news.order)
    if news.refund is None:
        plain = sandbox_view.transaction(turn, {})
        return Told(SUCCESS, "transaction", "支付成功", plain)
    plain = sandbox_view.refund_news(turn, news.refund, _parties(news.order))
    return Told("REFUND.SUCCESS", "refund", "退款成功", plain)


def of_part(order: Order, made: Sharing, part: Part, at_ms: int, url: str) -> SharedNews:
    """A part that was paid."""
    return _news(
        order, made.order_id, made.number, part.account, part.amount, part.description, at_ms,
        url, part.detail_id,
    )  # fmt: skip


def of_return(order: Order, made: Return, at_ms: int, url: str) -> SharedNews:
    """A part that came back."""
    return _news(
        order, made.return_id, made.number, made.account, made.amount, made.description, at_ms,
        url, made.return_id,
    )  # fmt: skip


def _news(
    order: Order, order_id: str, number: str, account: str, amount: int, description: str,
    at_ms: int, url: str, name: str,
) -> SharedNews:  # fmt: skip
    shown = {
        "transaction_id": order.trade_no,
        "order_id": order_id,
        "out_order_no": number,
        "receiver": {
            "type": wire.MERCHANT_ID,
            "account": account,
            "amount": amount,
            "description": description,
        },
        "success_time": sandbox_view.shanghai(at_ms),
    }
    return SharedNews(0, SHARED, order, None, 1, at_ms, url=url, name=name, shown=shown)


def _parties(order: Order) -> dict[str, str]:
    identity = order.extra["identity"]
    names = ("mchid", "sp_mchid", "sub_mchid")
    return {name: identity[name] for name in names if name in identity}
