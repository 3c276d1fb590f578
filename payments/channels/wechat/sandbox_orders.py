"""What an order means to the sandbox: whose it is, what may not change, what a payer is shown."""

from typing import Any, Final
from urllib.parse import quote

import msgspec
from aiohttp import web

from payments.channels.sandbox.books import Order
from payments.channels.sandbox.courier import notify_url_refusal
from payments.channels.sandbox.turns import BARCODE, Asked
from payments.channels.wechat.errors import Refusal, wrong_field
from payments.channels.wechat.sandbox_door import Caller
from payments.channels.wechat.sandbox_fields import CURRENCY, PAYMENT_CODE, instant_ms
from payments.channels.wechat.sandbox_keys import Account
from payments.channels.wechat.sandbox_view import digest, prepay_id
from payments.clock import Clock

FLAG: Final = "profit_sharing"
"""Where an order remembers that its money is to be held back."""

CODE_LIFE_MS: Final = 7_200_000
"""An order that names no end ends when its code or prepay id does: after two hours."""

WAYS: Final = {"native": "qr", "jsapi": "jsapi", "app": "app", "h5": "h5", "codepay": BARCODE}
H5_PATH: Final = "/cgi-bin/mmpayweb-bin/checkmweb"
_IDENTITY: Final = ("appid", "mchid", "sp_appid", "sp_mchid", "sub_appid", "sub_mchid")
_CODE_CHARACTERS: Final = 9
_OPENID_CHARACTERS: Final = 27


class Orders:
    def __init__(self, account: Account, clock: Clock) -> None:
        self._account = account
        self._clock = clock

    # --- whose ---------------------------------------------------------------------------------

    def check_parties(self, body: dict[str, Any], caller: Caller, *, is_partner: bool) -> None:
        """Merchant and app must be the caller's and bound to each other. Raise Refusal."""
        self.identity(body, caller, is_partner=is_partner)
        if is_partner:
            appid, expected = body["sp_appid"], self._account.sp_appid
        else:
            appid, expected = body["appid"], self._account.appid
        if appid != expected:
            raise Refusal("APPID_MCHID_NOT_MATCH")

    def identity(
        self, named: dict[str, Any], caller: Caller, *, is_partner: bool
    ) -> dict[str, str]:
        """Ids of the merchants that were named, with their apps. Raise Refusal."""
        account = self._account
        mchid = named["sp_mchid" if is_partner else "mchid"]
        if mchid not in (account.mchid, account.sp_mchid):
            raise Refusal("MCH_NOT_EXISTS")
        if mchid != caller.mchid or caller.is_partner != is_partner:
            raise Refusal("NO_AUTH", "商户号与签名的商户号不一致或无此接口权限")
        if not is_partner:
            return {"appid": account.appid, "mchid": mchid}
        if named["sub_mchid"] not in account.sub_mchids:
            raise Refusal("MCH_NOT_EXISTS", "特约商户号不存在")
        return {
            "sp_appid": account.sp_appid,
            "sp_mchid": mchid,
            "sub_mchid": named["sub_mchid"],
        }

    # --- what ----------------------------------------------------------------------------------

    def asked(self, kind: str, body: dict[str, Any], caller: Caller, *, is_partner: bool) -> Asked:
        """The order for the engine. Raise Refusal where a rule needs more than one field."""
        now = self._clock.now_ms()
        expires = 0 if kind == "codepay" else now + CODE_LIFE_MS
        if time_expire := body.get("time_expire"):
            expires = instant_ms(time_expire) or 0
            if expires <= now:
                raise wrong_field("/time_expire", time_expire, "must be in the future")
        code = self._auth_code(body) if kind == "codepay" else None
        url = None if kind == "codepay" else self._notify_url(body)
        scene = body.get("scene_info") or {}
        extra = {
            "identity": {name: body[name] for name in _IDENTITY if body.get(name)},
            "payer": self._payer(kind, body, is_partner=is_partner),
            "attach": body.get("attach") or "",
            "device_id": scene.get("device_id") or "",
            "description": body["description"],
            # A client that verifies by certificates cannot verify callbacks by public key.
            "signed_by": caller.reply_key.kind,
            FLAG: bool((body.get("settle_info") or {}).get("profit_sharing")),
        }
        return Asked(
            body["out_trade_no"],
            body["amount"]["total"],
            body["amount"].get("currency") or CURRENCY,
            WAYS[kind],
            wallet="wechat",
            auth_code=code,
            # All parameters count, in whatever order they come.
            fingerprint=digest(kind + msgspec.json.encode(body, order="sorted").decode()),
            expires_ms=expires,
            notify_url=url,
            merchant=body["sub_mchid"] if is_partner else body["mchid"],
            extra=extra,
        )

    def _auth_code(self, body: dict[str, Any]) -> str:
        store = body["scene_info"]["store_info"]
        if not store.get("id") and not store.get("out_id"):
            raise wrong_field("/scene_info/store_info/id", None, "this or out_id is required")
        code: str = body["payer"]["auth_code"]
        if PAYMENT_CODE.fullmatch(code) is None:
            raise Refusal("AUTH_CODE_INVALID")
        return code

    def _notify_url(self, body: dict[str, Any]) -> str:
        url: str = body["notify_url"]
        if "?" in url:
            raise wrong_field("/notify_url", url, "must have no query")
        if why := notify_url_refusal(url):
            raise wrong_field("/notify_url", url, why)
        return url

    def _payer(self, kind: str, body: dict[str, Any], *, is_partner: bool) -> dict[str, str]:
        """Who will have paid. Where the request does not say, the wallet knows."""
        given = body.get("payer") or {}
        if kind != "jsapi":
            appid = body["sp_appid" if is_partner else "appid"]
            seed = given.get("auth_code") or body["out_trade_no"]
            return {"sp_openid" if is_partner else "openid": openid(appid, seed)}
        if not is_partner:
            return {"openid": given["openid"]}
        payer = {name: given[name] for name in ("sp_openid", "sub_openid") if given.get(name)}
        if not payer:
            raise wrong_field("/payer/sp_openid", None, "this or sub_openid is required")
        if "sub_openid" in payer and not body.get("sub_appid"):
            raise wrong_field("/sub_appid", None, "is required with sub_openid")
        return payer

    # --- shown ---------------------------------------------------------------------------------

    def link(self, kind: str, order: Order, request: web.Request) -> dict[str, str]:
        """What the payer's wallet is started with."""
        if kind == "native":
            token = digest(order.trade_no)[:_CODE_CHARACTERS]
            return {"code_url": f"weixin://wxpay/bizpayurl/up?pr={token}&groupid=00"}
        if kind in ("jsapi", "app"):
            return {"prepay_id": prepay_id(order)}
        host = f"{request.scheme}://{request.host}"
        query = f"prepay_id={quote(prepay_id(order))}&package={order.trade_no}"
        return {"h5_url": f"{host}{H5_PATH}?{query}"}


def openid(appid: str, seed: str) -> str:
    """A payer's id within an app: 28 characters that begin with o, the same for the same payer."""
    return "o" + digest(f"{appid} {seed}")[:_OPENID_CHARACTERS]
