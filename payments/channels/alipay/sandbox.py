"""Alipay's sandbox: gateway.do with its own books, callbacks, cashier and consent page.

One address serves every method, by GET or POST; query and form are one set of parameters. The text
of an answer is put together once and its response object signed as it stands.
"""

import re
from base64 import b64decode, b64encode
from random import Random
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec
from aiohttp import web

from payments.channels.alipay import pages, render
from payments.channels.alipay.asking import Invalid
from payments.channels.alipay.checks import Refusal, Request, check, is_by_certificate
from payments.channels.alipay.consent import OAUTH, Consent
from payments.channels.alipay.identity import Identity, fresh, kept
from payments.channels.alipay.sandbox_bills import FILE_PATH, Bills
from payments.channels.alipay.sandbox_bills import METHOD as BILL
from payments.channels.alipay.trades import REFUND_DAYS, Reply, Trades
from payments.channels.alipay.units import china_time
from payments.channels.alipay.wire import (
    ERROR_RESPONSE,
    UnknownCharset,
    Unreadable,
    codec_of,
    encrypt,
    form,
    joined,
    merged,
    notice_text,
    response_name,
    sign,
    signature_text,
)
from payments.channels.sandbox.app import (
    Call,
    Route,
    SandboxApp,
    SandboxSettings,
    Silence,
    Trouble,
    spoiled,
)
from payments.channels.sandbox.books import Order
from payments.channels.sandbox.courier import Plan, Post
from payments.channels.sandbox.turns import MovableClock, News, Rules

RETRIES_S: Final = (240.0, 600.0, 600.0, 3_600.0, 7_200.0, 21_600.0, 54_000.0)
"""4 min, 10 min, 10 min, 1 h, 2 h, 6 h, 15 h after each failed try: 8 deliveries in 25 hours."""

NOTICE_TIMEOUT_S: Final = 5.0
ACKNOWLEDGED: Final = b"success"

PAGES: Final = {"alipay.trade.wap.pay", "alipay.trade.page.pay"}
APP_PAY: Final = "alipay.trade.app.pay"
METHOD_NAME: Final = re.compile(r"alipay(?:\.[a-z]{1,32}){1,8}")

INVALID_FORM: Final = Refusal("40002", "isv.invalid-parameter", "参数无效", signed=False)
INVALID_CHARSET: Final = Refusal("40002", "isv.invalid-charset", "无效的字符集参数", signed=False)
TROUBLES: Final = {
    Trouble.ERROR: Refusal("20000", "isp.unknow-error", "系统繁忙"),
    Trouble.BUSY: Refusal("40005", "isv.app-call-limited", "应用调用次数超限"),
}


def trade_number(created_ms: int, serial: int) -> str:
    """28 digits: the day in China, then what no other order has."""
    return f"{china_time(created_ms)[:10].replace('-', '')}2200{serial:016d}"


RULES: Final = Rules(order_number=trade_number, refunds_per_order=True, refund_days_max=REFUND_DAYS)


class Opening(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`POST /_sandbox/open`: the string that a shop's server handed to its app."""

    order_string: str


class Scan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`POST /_sandbox/scan`: a payer scans a precreated code and has not paid yet."""

    out_trade_no: str
    merchant: str | None = None


class Permission(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`POST /_sandbox/app_auth_token`: another merchant lets the application act for it."""

    auth_app_id: str


class AlipaySandbox(SandboxApp):
    """See the module. Keys are fresh, or those in the settings' folder.

    `aes_key`: the application's key for encrypted content; the identity's when none is given.
    Raise OSError, Unreadable (keys in the folder that are none), BooksInUse, BooksDamaged.
    """

    def __init__(
        self,
        settings: SandboxSettings,
        clock: MovableClock,
        random: Random,
        *,
        identity: Identity | None = None,
        aes_key: bytes | None = None,
    ) -> None:
        if identity is None:
            identity = fresh() if settings.folder is None else kept(settings.folder)
        super().__init__(settings, clock, random, RULES, Plan(RETRIES_S, NOTICE_TIMEOUT_S))
        self.identity = identity
        self._aes_key = aes_key or identity.aes_key
        self._trades = Trades(self.engine, identity)
        self._consent = Consent(identity, clock)
        self._bills = Bills(self.bills, self.files)
        self._methods = {*self._trades.methods, *self._consent.methods, *PAGES, BILL}

    def credentials(self, url: str) -> dict[str, str]:
        """What a client of this sandbox needs; `url` is where it is served."""
        return self.identity.credentials(f"{url}/gateway.do")

    def routes(self) -> list[Route]:
        return [
            Route("GET", "/gateway.do", self._gateway, _operation),
            Route("POST", "/gateway.do", self._gateway, _operation),
            Route("GET", "/cashier/{trade_no}/{proof}", self._cashier, "cashier"),
            Route("POST", "/cashier/{trade_no}/{proof}", self._cashier, "cashier"),
            Route("GET", FILE_PATH, self._bills.file, "bill_file"),
            Route("GET", "/oauth2/publicAppAuthorize.htm", self._consent.payer, "authorize"),
            Route("GET", "/oauth2/appToAppAuth.htm", self._consent.merchant, "authorize"),
        ]

    def application(self) -> web.Application:
        app = super().application()
        app.router.add_post("/_sandbox/open", self._open)
        app.router.add_post("/_sandbox/scan", self._scan)
        app.router.add_post("/_sandbox/app_auth_token", self._permit)
        app.router.add_get("/_sandbox/certificates", self._certificates)
        app.router.add_get("/_sandbox/aes_key", self._content_key)
        return app

    # --- the gateway ---------------------------------------------------------------------------

    async def _gateway(self, call: Call) -> web.Response:
        try:
            params = _params(call.request, call.raw)
        except UnknownCharset:
            return self._answer({}, INVALID_CHARSET.content(), signed=False)
        except Unreadable:
            return self._answer({}, INVALID_FORM.content(), signed=False)
        is_page = params.get("method") in PAGES
        try:
            request = self._checked(params, self._methods)
            if is_page:
                return self._page(request)
            reply = self._reply(request, call.request)
        except Refusal as refusal:
            if is_page:
                return pages.shown(pages.trouble(refusal.sub_code, refusal.sub_msg))
            return self._answer(params, refusal.content(), call.unsigned, signed=refusal.signed)
        if reply.content is None:
            raise Silence
        return self._answer(
            params, reply.content, call.unsigned or reply.unsigned, encrypted=request.encrypted
        )

    def _reply(self, request: Request, http: web.Request) -> Reply:
        if request.method == BILL:
            return Reply(self._bills.answer(request, f"{http.scheme}://{http.host}"))
        consent = self._consent.methods.get(request.method)
        return self._trades.answer(request) if consent is None else consent(request)

    def _checked(self, params: dict[str, str], methods: set[str]) -> Request:
        return check(self.identity, params, self.clock.real_ms(), methods, self._aes_key)

    def _answer(
        self,
        params: dict[str, str],
        content: dict[str, Any],
        unsigned: bool = False,
        *,
        signed: bool = True,
        encrypted: bool = False,
    ) -> web.Response:
        """Sign the response object's text and send the text that was signed."""
        method, charset = params.get("method", ""), params.get("charset", "utf-8")
        sign_type = params.get("sign_type", "RSA2")
        codec = codec_of(charset)
        # The OAuth method answers refusals, and nobody answers a name that is no method's.
        is_named = METHOD_NAME.fullmatch(method) and not (method == OAUTH and "code" in content)
        name = response_name(method) if is_named else ERROR_RESPONSE
        text = render.text_of(content)
        if encrypted:
            text = f'"{encrypt(self._aes_key, text.encode())}"'
        signature = None
        if signed:
            signature = sign(self.identity.alipay_key, text.encode(codec), sign_type)
            if unsigned:
                signature = signature_text(spoiled(b64decode(signature)))
        certificate = None
        if signed and is_by_certificate(params):
            certificate = self.identity.chain.alipay_serial
        return web.Response(
            body=joined(name, text, signature, certificate).encode(codec),
            headers={
                "Content-Type": f"text/html;charset={charset}",
                "trace_id": f"{self.random.getrandbits(128):032x}",
            },
        )

    async def trouble(self, trouble: Trouble, request: web.Request, raw: bytes) -> web.Response:
        if trouble in (Trouble.NOT_FOUND, Trouble.METHOD):
            status = 404 if trouble == Trouble.NOT_FOUND else 405
            return web.Response(
                status=status, text="<h1>404 Not Found</h1>", content_type="text/html"
            )
        refusal = TROUBLES.get(trouble, INVALID_FORM)
        return self._answer(_params_if_any(request, raw), refusal.content())

    # --- pages ---------------------------------------------------------------------------------

    def _page(self, request: Request) -> web.Response:
        try:
            turn, refusal = self._trades.open(request)
        except Invalid as invalid:
            return pages.shown(pages.trouble(invalid.sub_code, invalid.sub_msg))
        if refusal is not None:
            return pages.shown(pages.trouble(refusal["sub_code"], refusal["sub_msg"]))
        location = self._cashier_path(turn.known)
        return pages.sent(location)

    def _cashier_path(self, order: Order) -> str:
        proof = self.identity.digest(f"cashier {order.trade_no}")[:32]
        return f"/cashier/{order.trade_no}/{proof}"

    async def _cashier(self, call: Call) -> web.Response:
        order = self.engine.by_trade_no(call.request.match_info["trade_no"])
        if order is None or call.request.path != self._cashier_path(order):
            raise web.HTTPNotFound
        if call.request.method == "POST":
            verb = dict(parse_qsl(call.raw.decode("latin-1"))).get("do")
            refused = self.engine.act(order, verb) if verb in ("pay", "decline") else "no such act"
            url = pages.returned(order, self.identity, self.clock.real_ms())
            if not refused and verb == "pay" and url is not None:
                return pages.sent(url)
        return pages.shown(pages.cashier(order, call.request.path))

    # --- for tests -----------------------------------------------------------------------------

    async def _open(self, http: web.Request) -> web.Response:
        """The app opens the order string in the wallet: now the order exists."""
        try:
            params = merged(msgspec.json.decode(await http.read(), type=Opening).order_string)
            request = self._checked(params, {APP_PAY})
            turn, refusal = self._trades.open(request)
        except (msgspec.DecodeError, Unreadable) as error:
            return web.json_response({"error": str(error)}, status=400)
        except (Refusal, Invalid) as error:
            return web.json_response({"error": error.sub_code, "why": error.sub_msg}, status=409)
        if refusal is not None:
            return web.json_response({"error": refusal["sub_code"]}, status=409)
        order = turn.known
        return web.json_response({"out_trade_no": order.number, "trade_no": order.trade_no})

    async def _scan(self, http: web.Request) -> web.Response:
        try:
            asked = msgspec.json.decode(await http.read(), type=Scan)
        except msgspec.DecodeError as error:
            return web.json_response({"error": str(error)}, status=400)
        found = self.engine.find(asked.out_trade_no, asked.merchant)
        if len(found) != 1 or found[0].way != "qr":
            return web.json_response({"error": "there is no such code"}, status=404)
        self._trades.scan(found[0])
        return web.json_response({"out_trade_no": found[0].number, "trade_no": found[0].trade_no})

    async def _permit(self, http: web.Request) -> web.Response:
        try:
            asked = msgspec.json.decode(await http.read(), type=Permission)
            token = self.identity.app_auth_token(asked.auth_app_id, self.clock.real_ms())
        except (msgspec.DecodeError, ValueError) as error:
            return web.json_response({"error": str(error)}, status=400)
        seller_id = self.identity.seller_of(asked.auth_app_id)
        return web.json_response({"app_auth_token": token, "seller_id": seller_id})

    async def _certificates(self, http: web.Request) -> web.Response:
        return web.json_response(self.identity.chain.pem())

    async def _content_key(self, http: web.Request) -> web.Response:
        return web.json_response({"aes_key": b64encode(self._aes_key).decode()})

    # --- notifications ---------------------------------------------------------------------------

    async def post(self, news: News, attempt: int) -> Post | None:
        if news.notify_url is None or news.kind not in ("paid", "refunded", "closed"):
            return None
        if news.kind == "closed" and news.order.way in ("barcode", "qr"):
            return None  # Payments at a counter tell of money only.
        turn = self.engine.view(news.order)
        params = render.notice(news, turn, self.clock.real_ms())
        signature = sign(self.identity.alipay_key, notice_text(params).encode())
        if turn.unsigned:
            signature = signature_text(spoiled(b64decode(signature)))
        headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
        return Post(news.notify_url, headers, form({**params, "sign": signature}).encode())

    def accepted(self, status: int, body: bytes) -> bool:
        return status == 200 and body.strip() == ACKNOWLEDGED


def _params(request: web.Request, raw: bytes) -> dict[str, str]:
    """Raise Unreadable."""
    return merged(request.raw_path.partition("?")[2], raw)


def _params_if_any(request: web.Request, raw: bytes) -> dict[str, str]:
    try:
        return _params(request, raw)
    except Unreadable:
        return {}


def _operation(request: web.Request, raw: bytes) -> str:
    """The method's name for the fault settings: pay, query, fastpay.refund.query, …"""
    method = _params_if_any(request, raw).get("method", "")
    return method.removeprefix("alipay.").removeprefix("trade.")
