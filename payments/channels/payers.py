"""Who is about to pay? A wallet says it to the account whose page its browser shows (OAuth).

The payer's browser goes to the wallet's address and comes back with a code; the code is exchanged
here, once, for the payer's id on this account. Ids, codes and secrets are in no text and no log.
Sources: WeChat, "web page authorization" (`snsapi_base`, silent); Alipay, "user information
authorization" (`auth_base`) and `alipay.system.oauth.token`.
"""

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlencode

import msgspec
from msgspec import Struct

from payments.channels.alipay import wire as alipay_wire
from payments.channels.alipay.units import china_time
from payments.channels.base import Declined, Known, Outcome, Unknown
from payments.channels.transport import (
    HttpClient,
    HttpRequest,
    NoAnswer,
    NotSent,
    Signer,
    Verifier,
)
from payments.clock import Clock

WECHAT_AUTHORIZE: Final = "https://open.weixin.qq.com/connect/oauth2/authorize"
WECHAT_API: Final = "https://api.weixin.qq.com"
ALIPAY_AUTHORIZE: Final = "https://openauth.alipay.com/oauth2/publicAppAuthorize.htm"
ALIPAY_METHOD: Final = "alipay.system.oauth.token"

FORM: Final = "application/x-www-form-urlencoded; charset=utf-8"
PAYER_CHARACTERS_MAX: Final = 128

REFUSED: Final = Declined("channel_error", "the wallet does not know this code")
NO_ANSWER: Final = Unknown("no answer")
UNREADABLE: Final = Unknown("an answer of another form")


class _WechatSaid(Struct, frozen=True):
    openid: str = ""
    errcode: int = 0

    def __repr__(self) -> str:
        return f"_WechatSaid({self.errcode})"


class WechatPayers:
    """Openids of one app. `secret`: the app's, not the merchant's. See `NamesPayers`.

    `authorize_at`, `api`: WeChat's own addresses where they are empty.
    """

    def __init__(
        self,
        appid: str,
        secret: str,
        http: HttpClient,
        *,
        authorize_at: str = "",
        api: str = "",
        timeout_s: float = 5.0,
    ) -> None:
        self._appid = appid
        self._secret = secret
        self._http = http
        self._authorize_at = authorize_at or WECHAT_AUTHORIZE
        self._api = api or WECHAT_API
        self._timeout_s = timeout_s

    def authorize_url(self, return_url: str, state: str) -> str:
        # The order of the parameters is part of what WeChat checks, and so is the fragment.
        query = urlencode(
            {
                "appid": self._appid,
                "redirect_uri": return_url,
                "response_type": "code",
                "scope": "snsapi_base",
                "state": state,
            }
        )
        return f"{self._authorize_at}?{query}#wechat_redirect"

    async def identify(self, code: str) -> Outcome:
        query = urlencode(
            {
                "appid": self._appid,
                "secret": self._secret,
                "code": code,
                "grant_type": "authorization_code",
            }
        )
        url = f"{self._api}/sns/oauth2/access_token?{query}"
        try:
            answer = await self._http.send(HttpRequest("GET", url, {}, timeout_s=self._timeout_s))
        except (NotSent, NoAnswer):
            return NO_ANSWER
        if answer.status != 200:
            return Unknown(f"HTTP {answer.status}")
        try:
            said = msgspec.json.decode(answer.body, type=_WechatSaid)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return UNREADABLE
        return _known(said.openid) if not said.errcode else REFUSED


class _AlipaySaid(Struct, frozen=True):
    code: str = ""
    user_id: str = ""
    open_id: str = ""

    def __repr__(self) -> str:
        return f"_AlipaySaid({self.code})"


class AlipayPayers:
    """Buyers of one application, by their user id, or by the open id where there is no other."""

    def __init__(
        self,
        app_id: str,
        gateway: str,
        http: HttpClient,
        signer: Signer,
        verifiers: Mapping[str, Verifier],
        clock: Clock,
        *,
        authorize_at: str = "",
        timeout_s: float = 5.0,
    ) -> None:
        self._app_id = app_id
        self._gateway = gateway
        self._http = http
        self._signer = signer
        self._verifiers = verifiers
        self._clock = clock
        self._authorize_at = authorize_at or ALIPAY_AUTHORIZE
        self._timeout_s = timeout_s

    def authorize_url(self, return_url: str, state: str) -> str:
        query = urlencode(
            {
                "app_id": self._app_id,
                "scope": "auth_base",
                "redirect_uri": return_url,
                "state": state,
            }
        )
        return f"{self._authorize_at}?{query}"

    async def identify(self, code: str) -> Outcome:
        params = {
            "app_id": self._app_id,
            "method": ALIPAY_METHOD,
            "format": "JSON",
            "charset": "utf-8",
            "sign_type": "RSA2",
            "timestamp": china_time(self._clock.real_ms()),
            "version": "1.0",
            "grant_type": "authorization_code",
            "code": code,
        }
        try:
            signature = await self._signer.sign(alipay_wire.request_text(params).encode())
            params["sign"] = alipay_wire.signature_text(signature)
            body = alipay_wire.form(params).encode()
            url = f"{self._gateway}?charset=utf-8"
            answer = await self._http.send(
                HttpRequest("POST", url, {"Content-Type": FORM}, body, self._timeout_s)
            )
        except (NotSent, NoAnswer):
            return NO_ANSWER
        if answer.status != 200:
            return Unknown(f"HTTP {answer.status}")
        return await self._said(answer.body)

    async def _said(self, body: bytes) -> Outcome:
        """Only a signed answer names anybody; whose name it is decides whose money moves."""
        try:
            split = alipay_wire.split(body, ALIPAY_METHOD)
            signature = alipay_wire.signature_bytes(split.signature or "")
            if signature is None or not await self._is_signed(split.content, signature):
                return Unknown("an answer with a wrong signature")
            said = msgspec.json.decode(split.content, type=_AlipaySaid)
        except (alipay_wire.Unreadable, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return UNREADABLE
        if split.name == alipay_wire.ERROR_RESPONSE or said.code not in ("", "10000"):
            return REFUSED
        return _known(said.user_id or said.open_id)

    async def _is_signed(self, text: bytes, signature: bytes) -> bool:
        for verifier in self._verifiers.values():
            if await verifier.verify(text, signature):
                return True
        return False


def _known(payer: str) -> Outcome:
    if not payer or len(payer) > PAYER_CHARACTERS_MAX or not payer.isprintable():
        return UNREADABLE
    return Known(payer)
