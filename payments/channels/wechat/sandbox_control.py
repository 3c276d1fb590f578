"""What the sandbox of WeChat Pay has besides payments: key rotation, scripted errors, the payer.

`/_sandbox/` endpoints are for tests and demos and ask for no credentials. The payer's pages stand
where a wallet would: the order's page behind an `h5_url`, and a consent that gives the openid.
Source of the consent: WeChat's official accounts, "web authorization".
"""

import html
from collections import deque
from random import Random
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import msgspec
from aiohttp import web
from msgspec import Struct

from payments.channels.sandbox.books import Order
from payments.channels.sandbox.control import Control, answer
from payments.channels.sandbox.engine import Engine
from payments.channels.wechat.errors import STATUS, Refusal
from payments.channels.wechat.sandbox_keys import CERTIFICATE, PUBLIC_KEY, Account, Keyring
from payments.channels.wechat.sandbox_orders import H5_PATH, openid
from payments.channels.wechat.sandbox_view import prepay_id
from payments.clock import Clock

CODE_LIFE_MS: Final = 300_000
"""A consent's code lives five minutes and is good once."""

TOKEN_LIFE_S: Final = 7_200
CODES_MAX: Final = 10_000
SCRIPTED_MAX: Final = 10_000
CODE_BITS: Final = 160


class KeyChange(Struct, frozen=True, forbid_unknown_fields=True):
    """`rotate`: make a new key of this kind. `callbacks`: the kind that signs callbacks; `answers`:
    the kind that signs answers to requests without `Wechatpay-Serial`.
    """

    rotate: str = ""
    callbacks: str = ""
    answers: str = ""


class Script(Struct, frozen=True, forbid_unknown_fields=True):
    """The next `times` calls of `operation` (empty: of any) are refused with `code`."""

    code: str
    operation: str = ""
    times: int = 1
    message: str = ""


class Consent(Struct, frozen=True):
    openid: str
    appid: str
    until_ms: int


class Extras:
    def __init__(
        self, engine: Engine, keys: Keyring, account: Account, random: Random, clock: Clock
    ) -> None:
        self._engine = engine
        self._keys = keys
        self._account = account
        self._random = random
        self._clock = clock
        self._scripts: deque[Script] = deque()
        self._consents: dict[str, Consent] = {}

    def add_to(self, app: web.Application) -> None:
        add = app.router.add_route
        add("GET", f"{Control.PREFIX}keys", self._get_keys)
        add("POST", f"{Control.PREFIX}keys", self._change_keys)
        add("POST", f"{Control.PREFIX}errors", self._script)
        add("GET", f"{Control.PREFIX}oauth/authorize", self._authorize)
        add("GET", "/sns/oauth2/access_token", self._access_token)
        add("GET", H5_PATH, self._show_order)
        add("POST", H5_PATH, self._pay_order)

    # --- scripted errors -----------------------------------------------------------------------

    def scripted(self, operation: str) -> Refusal | None:
        """The error that was ordered for this call, if one was."""
        for script in self._scripts:
            if script.operation not in ("", operation):
                continue
            self._scripts.remove(script)
            if script.times > 1:
                self._scripts.appendleft(msgspec.structs.replace(script, times=script.times - 1))
            is_refund = operation in ("refund", "inquire_refund")
            status = 404 if script.code == "MCH_NOT_EXISTS" and is_refund else 0
            return Refusal(script.code, script.message, status=status)
        return None

    async def _script(self, request: web.Request) -> web.Response:
        try:
            script = msgspec.json.decode(await request.read(), type=Script)
        except msgspec.DecodeError as error:
            return answer(400, {"error": str(error)})
        if script.code not in STATUS or script.times < 1:
            return answer(400, {"error": "code must be one of " + ", ".join(sorted(STATUS))})
        if len(self._scripts) >= SCRIPTED_MAX:
            return answer(409, {"error": f"more than {SCRIPTED_MAX} are waiting"})
        self._scripts.append(script)
        return answer(200, {"waiting": len(self._scripts)})

    # --- keys ----------------------------------------------------------------------------------

    async def _get_keys(self, request: web.Request) -> web.Response:
        return answer(200, self._keys_shown())

    async def _change_keys(self, request: web.Request) -> web.Response:
        try:
            change = msgspec.json.decode(await request.read(), type=KeyChange)
        except msgspec.DecodeError as error:
            return answer(400, {"error": str(error)})
        kinds = ("", PUBLIC_KEY, CERTIFICATE)
        if not {change.rotate, change.callbacks, change.answers} <= set(kinds):
            return answer(400, {"error": f"a kind is {PUBLIC_KEY} or {CERTIFICATE}"})
        if change.rotate and self._keys.rotate(change.rotate, self._clock.real_ms()) is None:
            return answer(409, {"error": "there are too many keys already"})
        if change.callbacks:
            self._keys.sign_callbacks_with(change.callbacks)
        if change.answers:
            self._keys.sign_answers_with(change.answers)
        return answer(200, self._keys_shown())

    def _keys_shown(self) -> dict[str, object]:
        keys = self._keys.all
        return {
            "callbacks_signed_by": self._keys.for_callbacks().name,
            "answers_signed_by": self._keys.for_answers().name,
            "keys": [{"kind": k.kind, "id": k.name, "pem": k.public_pem} for k in keys],
        }

    # --- the payer's consent -------------------------------------------------------------------

    async def _authorize(self, request: web.Request) -> web.Response:
        """Send the browser back with a code. `payer` names somebody, and so chooses the openid."""
        query = request.query
        target = urlsplit(query.get("redirect_uri", ""))
        if target.scheme not in ("http", "https") or not target.netloc:
            return answer(400, {"error": "redirect_uri must be an address"})
        appid = query.get("appid") or self._account.appid
        code = f"{self._random.getrandbits(CODE_BITS):040x}"
        until = self._clock.real_ms() + CODE_LIFE_MS
        while len(self._consents) >= CODES_MAX:
            self._consents.pop(next(iter(self._consents)))
        self._consents[code] = Consent(openid(appid, query.get("payer", "payer")), appid, until)
        pairs = [*parse_qsl(target.query, keep_blank_values=True), ("code", code)]
        pairs.append(("state", query.get("state", "")))
        back = urlunsplit(target._replace(query=urlencode(pairs)))
        return web.Response(status=302, headers={"Location": back})

    async def _access_token(self, request: web.Request) -> web.Response:
        """`errcode` 40029 for a code that is unknown, used, expired or another app's."""
        query = request.query
        if query.get("grant_type") != "authorization_code":
            return answer(200, {"errcode": 40002, "errmsg": "invalid grant_type"})
        if query.get("appid") not in (self._account.appid, self._account.sp_appid):
            return answer(200, {"errcode": 40013, "errmsg": "invalid appid"})
        if not query.get("secret"):
            return answer(200, {"errcode": 41004, "errmsg": "appsecret missing"})
        consent = self._consents.pop(query.get("code", ""), None)
        is_good = consent is not None and consent.appid == query["appid"]
        if consent is None or not is_good or consent.until_ms < self._clock.real_ms():
            return answer(200, {"errcode": 40029, "errmsg": "invalid code"})
        token = f"{self._random.getrandbits(CODE_BITS):040x}"
        told = {
            "access_token": token,
            "expires_in": TOKEN_LIFE_S,
            "refresh_token": token[::-1],
            "openid": consent.openid,
            "scope": "snsapi_base",
        }
        return answer(200, told)

    # --- the page behind an h5_url -------------------------------------------------------------

    def _order_of(self, request: web.Request) -> Order | None:
        order = self._engine.by_trade_no(request.query.get("package", ""))
        is_it = order is not None and prepay_id(order) == request.query.get("prepay_id")
        return order if is_it else None

    async def _show_order(self, request: web.Request) -> web.Response:
        order = self._order_of(request)
        if order is None or order.way != "h5":
            return _page("没有这笔订单", status=404)
        yuan, fen = divmod(order.amount, 100)
        description = html.escape(str(order.extra.get("description", "")))
        told = f"<p>{description}</p><h1>¥{yuan}.{fen:02d}</h1>"
        if order.state != "unpaid":
            return _page(f"{told}<p>{order.state}</p>")
        button = '<form method="post"><button name="verb" value="{}">{}</button></form>'
        return _page(told + button.format("pay", "支付") + button.format("decline", "取消"))

    async def _pay_order(self, request: web.Request) -> web.Response:
        order = self._order_of(request)
        verb = (await request.post()).get("verb")
        if order is None or order.way != "h5" or verb not in ("pay", "decline"):
            return _page("没有这笔订单", status=404)
        self._engine.act(order, str(verb))
        back = request.query.get("redirect_url", "")
        if urlsplit(back).scheme in ("http", "https"):
            return web.Response(status=303, headers={"Location": back})
        return web.Response(status=303, headers={"Location": request.raw_path})


def _page(body: str, status: int = 200) -> web.Response:
    head = '<!doctype html><meta charset="utf-8">'
    head += '<meta name="viewport" content="width=device-width">'
    text = f"{head}<title>微信支付（沙箱）</title>{body}"
    return web.Response(status=status, text=text, content_type="text/html")
