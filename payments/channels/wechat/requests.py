"""The account's settings, and the bodies of the requests that it sends.

Source: WeChat Pay API v3, "creating an order", "payment codes", "refunds", and their partner
forms. A body depends on the order alone, so that a repeated request is the same to the byte.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final

from msgspec import Struct, field

from payments.channels.base import Declined, PayOrder, RefundOrder
from payments.channels.wechat.orders import Parties
from payments.payment import Way

DESCRIPTION_MAX_CHARACTERS: Final = 127
ID_MAX_CHARACTERS: Final = 32
SHANGHAI: Final = timezone(timedelta(hours=8))
LOOPBACK: Final = "127.0.0.1"
"""Told as the payer's address where nobody knows it and WeChat Pay wants one."""

_KINDS: Final = {
    Way.BARCODE: "codepay",
    Way.QR: "native",
    Way.JSAPI: "jsapi",
    Way.APP: "app",
    Way.H5: "h5",
}


class WeChatSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One account. No secrets in here.

    `mode`: direct (`mchid`, `appid` are the merchant's) or partner (they are the service
    provider's; `sub_merchants` maps our merchants' ids to sub-merchants, `sub_mchid` serves all
    others). `sub_appid`: the sub-merchants' own app, when payers are known by their openid there.
    `public_key_id`: which of WeChat Pay's public keys answers are asked to be signed with; None:
    platform certificates. `store_id`: told where an order names no store.
    """

    mchid: str
    appid: str
    merchant_serial: str
    base_url: str
    notify_url: str
    mode: str = "direct"
    sub_mchid: str | None = None
    sub_merchants: Mapping[str, str] = field(default_factory=dict)
    sub_appid: str | None = None
    public_key_id: str | None = None
    store_id: str = "1"
    description: str = "Payment"
    currency: str = "cny"
    pay_timeout_s: float = 5.0
    ask_timeout_s: float = 5.0
    refund_timeout_s: float = 5.0

    def __post_init__(self) -> None:
        if self.mode not in ("direct", "partner"):
            raise ValueError(f"mode {self.mode!r}: use direct or partner")
        if self.is_partner and not self.known_sub_mchids:
            raise ValueError("a partner's account needs sub_mchid or sub_merchants")
        if not self.is_partner and (self.known_sub_mchids or self.sub_appid):
            raise ValueError("sub_mchid, sub_merchants and sub_appid are for mode partner")
        if min(self.pay_timeout_s, self.ask_timeout_s, self.refund_timeout_s) <= 0:
            raise ValueError("pay_timeout_s, ask_timeout_s and refund_timeout_s: above 0")

    @property
    def is_partner(self) -> bool:
        return self.mode == "partner"

    @property
    def known_sub_mchids(self) -> frozenset[str]:
        ours = frozenset(self.sub_merchants.values())
        return ours if self.sub_mchid is None else ours | {self.sub_mchid}

    def sub_mchid_of(self, merchant: str) -> str | None:
        """The sub-merchant of one of our merchants. None: in direct mode, or it has none."""
        return self.sub_merchants.get(merchant, self.sub_mchid)


def parties_of(settings: WeChatSettings, sub_mchid: str | None) -> Parties:
    """Whose our orders are, as the channel's answers have to say it."""
    if not settings.is_partner:
        return Parties(appid=settings.appid, mchid=settings.mchid)
    return Parties(sp_appid=settings.appid, sp_mchid=settings.mchid, sub_mchid=sub_mchid)


def order_kind(order: PayOrder) -> str | Declined:
    """The last word of the address; or why there is none. One code for all wallets is opened in
    the wallet's own browser, where the payer is known: then it is as a page's payment.
    """
    if order.way == Way.CASHIER:
        return "jsapi" if order.payer else "native"
    if order.way == Way.BARCODE and not order.auth_code:
        return Declined("channel_error", "a barcode payment needs its code")
    if order.way == Way.JSAPI and not order.payer:
        return Declined("channel_error", "a page's payment needs the payer's openid")
    return _KINDS[order.way]


def order_body(settings: WeChatSettings, kind: str, order: PayOrder) -> dict[str, Any]:
    """The body of a request that creates an order, or charges a payment code."""
    body: dict[str, Any] = {
        "description": (order.subject or settings.description)[:DESCRIPTION_MAX_CHARACTERS],
        "out_trade_no": order.out_trade_no,
        "amount": {"total": order.amount, "currency": order.currency.upper()},
    }
    if order.is_shared:
        body["settle_info"] = {"profit_sharing": True}
    if settings.is_partner:
        body["sp_appid"], body["sp_mchid"] = settings.appid, settings.mchid
        body["sub_mchid"] = settings.sub_mchid_of(order.merchant)
        if settings.sub_appid is not None:
            body["sub_appid"] = settings.sub_appid
    else:
        body["appid"], body["mchid"] = settings.appid, settings.mchid
    if kind == "codepay":
        body["payer"] = {"auth_code": order.auth_code}
        body["scene_info"] = _code_scene(settings, order)
        return body
    body["notify_url"] = settings.notify_url
    if order.expires_at is not None:
        body["time_expire"] = instant(order.expires_at)
    if kind == "jsapi":
        body["payer"] = _payer(settings, order)
    if scene := _scene(kind, order):
        body["scene_info"] = scene
    return body


def _payer(settings: WeChatSettings, order: PayOrder) -> dict[str, Any]:
    if not settings.is_partner:
        return {"openid": order.payer}
    return {"sp_openid" if settings.sub_appid is None else "sub_openid": order.payer}


def _code_scene(settings: WeChatSettings, order: PayOrder) -> dict[str, Any]:
    store = (order.store or settings.store_id)[:ID_MAX_CHARACTERS]
    scene: dict[str, Any] = {"store_info": {"id": store}}
    if order.terminal is not None:
        scene["device_id"] = order.terminal[:ID_MAX_CHARACTERS]
    return scene


def _scene(kind: str, order: PayOrder) -> dict[str, Any]:
    """Where the payer is, as far as anybody knows. A page in a browser has to say it."""
    if kind == "h5":
        return {"payer_client_ip": order.payer_ip or LOOPBACK, "h5_info": {"type": "Wap"}}
    if order.payer_ip is None:
        return {}
    scene: dict[str, Any] = {"payer_client_ip": order.payer_ip}
    if order.terminal is not None:
        scene["device_id"] = order.terminal[:ID_MAX_CHARACTERS]
    if order.store is not None:
        scene["store_info"] = {"id": order.store[:ID_MAX_CHARACTERS]}
    return scene


def refund_body(settings: WeChatSettings, order: RefundOrder) -> dict[str, Any]:
    body: dict[str, Any] = {
        "out_trade_no": order.out_trade_no,
        "out_refund_no": order.out_refund_no,
        "notify_url": settings.notify_url,
        "amount": {
            "refund": order.amount,
            "total": order.total,
            "currency": order.currency.upper(),
        },
    }
    if settings.is_partner:
        body["sub_mchid"] = settings.sub_mchid_of(order.merchant)
    return body


def instant(at_ms: int) -> str:
    """RFC 3339 in Shanghai's time, whole seconds, never later than asked."""
    at = datetime.fromtimestamp(at_ms // 1000, UTC).astimezone(SHANGHAI)
    return at.isoformat(timespec="seconds")
