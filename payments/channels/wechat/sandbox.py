"""A sandbox of WeChat Pay v3: its endpoints, direct and partner, over books of its own.

Source: WeChat Pay API v3: orders, payment codes, closing, reversing, refunds, certificates,
callbacks. What the channel takes and what it answers is the engine's decision; this file speaks
the wire. Only 2xx answers are signed. For tests and demos: it is nobody's bank.
"""

import hashlib
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any, Final

import msgspec
from aiohttp import web
from msgspec import Struct

from payments.channels.sandbox.app import (
    Call,
    Handler,
    Route,
    SandboxApp,
    SandboxSettings,
    Silence,
    Trouble,
    spoiled,
)
from payments.channels.sandbox.courier import Plan, Post, notify_url_refusal
from payments.channels.sandbox.turns import (
    AskedRefund,
    Kind,
    MovableClock,
    News,
    RefundKind,
    RefundTurn,
    Rules,
    Turn,
)
from payments.channels.wechat import crypto, sandbox_fields, sandbox_news, sandbox_view, wire
from payments.channels.wechat.errors import Refusal, wrong_field
from payments.channels.wechat.fetch import SHARED
from payments.channels.wechat.sandbox_bills import DOWNLOAD_PATH, Bills
from payments.channels.wechat.sandbox_control import Extras
from payments.channels.wechat.sandbox_door import Caller, Door
from payments.channels.wechat.sandbox_keys import PUBLIC_KEY, Account, Key, Keyring
from payments.channels.wechat.sandbox_news import SharedNews
from payments.channels.wechat.sandbox_orders import Orders
from payments.channels.wechat.sandbox_sharing import ProfitSharing
from payments.channels.wechat.sandbox_sharing_control import SharingControl

RETRY_PLAN_S: Final = (
    *(15, 15, 30, 180, 600, 1_200, 1_800, 1_800, 1_800, 3_600),
    *(10_800, 10_800, 10_800, 21_600, 21_600),
)
"""Seconds between the tries of a callback: 15 more in 24 hours and 4 minutes."""

CALLBACK_TIMEOUT_S: Final = 5.0
REFUNDS_MAX: Final = 50
REFUND_DAYS_MAX: Final = 365
ACKNOWLEDGED: Final = (200, 204)
NONCE_BITS: Final = 128
KINDS: Final = ("native", "jsapi", "app", "h5", "codepay")

BOX_KEY: Final = "certificate"

_PARTNER_PATH: Final = "/v3/pay/partner/transactions"
_DIRECT_PATH: Final = "/v3/pay/transactions"
_REFUNDS_PATH: Final = "/v3/refund/domestic/refunds"
_ABNORMAL_PATH: Final = _REFUNDS_PATH + "/{refund_id}/apply-abnormal-refund"

_FAILURES: Final = {
    "insufficient_funds": "NOT_ENOUGH",
    "auth_code_expired": "AUTHCODEEXPIRE",
    "declined": "TRADE_ERROR",
}
_REFUND_REFUSALS: Final = {
    RefundKind.UNPAID: ("INVALID_REQUEST", "订单状态不允许退款"),
    RefundKind.USED: ("INVALID_REQUEST", "订单金额或退款金额与之前请求不一致，请核实后再试"),
    RefundKind.EXCEEDS: ("INVALID_REQUEST", "申请退款金额大于订单剩余可退金额"),
    RefundKind.MISMATCH: ("INVALID_REQUEST", "订单金额与原订单不一致"),
    RefundKind.TOO_MANY: ("RULE_LIMIT", "退款次数超过限制"),
    RefundKind.TOO_LATE: ("INVALID_REQUEST", "订单已经超过可退款的最大期限"),
}


class Reply(Struct, frozen=True):
    """A 2xx answer before it is signed. `payload` None: 204, signed over the empty body."""

    payload: dict[str, Any] | None
    is_spoiled: bool = False


Serving = Callable[[Call, Caller], Awaitable[Reply]]


class WeChatSandbox(SandboxApp):
    """One sandbox: one direct merchant, one service provider and its sub-merchants."""

    def __init__(
        self,
        settings: SandboxSettings,
        clock: MovableClock,
        random: Random,
        account: Account | None = None,
        refund_ms: int = 0,
    ) -> None:
        rules = Rules(
            order_number=sandbox_view.order_number,
            refund_number=sandbox_view.refund_number,
            refund_ms=refund_ms,
            refunds_max=REFUNDS_MAX,
            refund_days_max=REFUND_DAYS_MAX,
        )
        plan = Plan(tuple(float(delay) for delay in RETRY_PLAN_S), CALLBACK_TIMEOUT_S)
        super().__init__(settings, clock, random, rules, plan)
        self.account = account or Account()
        self.keys = Keyring(settings.folder, random, clock.real_ms())
        self._door = Door(self.account, self.keys, clock)
        self._orders = Orders(self.account, clock)
        self._bills = Bills(self.account, self.bills, self.files, self.books, refund_ms)
        self.sharing = ProfitSharing(
            self.account, self.keys, self.engine, self.books, clock, refund_ms
        )
        self.sharing.tell = self.courier.send
        self._extras = Extras(self.engine, self.keys, self.account, random, clock)

    def credentials(self) -> dict[str, str]:
        """What a client needs: the fields of `tillway sandbox wechat`."""
        return self.keys.credentials(self.account)

    def routes(self) -> list[Route]:
        routes = []
        for path, partner in ((_DIRECT_PATH, False), (_PARTNER_PATH, True)):
            for kind in KINDS:
                pay = self._pay(kind, is_partner=partner)
                routes.append(Route("POST", f"{path}/{kind}", self._signed(pay, "pay"), "pay"))
            number = f"{path}/out-trade-no/{{out_trade_no}}"
            for method, at, serving, name in (
                ("GET", number, self._query, "inquire"),
                ("GET", f"{path}/id/{{transaction_id}}", self._query, "inquire"),
                ("POST", f"{number}/close", self._close, "close"),
                ("POST", f"{number}/reverse", self._reverse, "reverse"),
            ):
                handler = self._signed(serving(is_partner=partner), name)
                routes.append(Route(method, at, handler, name))
        for method, at, direct, name in (
            ("POST", _REFUNDS_PATH, self._refund, "refund"),
            ("GET", f"{_REFUNDS_PATH}/{{out_refund_no}}", self._query_refund, "inquire_refund"),
            ("POST", _ABNORMAL_PATH, self._refund_abnormal, "refund"),
            ("GET", "/v3/certificates", self._certificates, "certificates"),
            ("GET", "/v3/bill/tradebill", self._bill(self._bills.trade), "bill"),
            ("GET", "/v3/bill/fundflowbill", self._bill(self._bills.movements), "bill"),
            ("GET", SHARED, self._bill(self._bills.shares), "bill"),
        ):
            routes.append(Route(method, at, self._signed(direct, name), name))
        for method, at, name, answered in self.sharing.calls():
            routes.append(Route(method, at, self._signed(_told(answered), name), name))
        routes.append(Route("GET", DOWNLOAD_PATH, self._bill_file, "bill_file"))
        return routes

    def application(self) -> web.Application:
        app = super().application()
        self._extras.add_to(app)
        SharingControl(self.account, self.sharing).add_to(app)
        return app

    # --- answers -------------------------------------------------------------------------------

    def _signed(self, serving: Serving, operation: str) -> Handler:
        """Check who calls, serve, sign what was done; refusals leave unsigned."""

        async def handle(call: Call) -> web.Response:
            try:
                caller = self._door.admit(call)
                if (scripted := self._extras.scripted(operation)) is not None:
                    raise scripted
                reply = await serving(call, caller)
            except Refusal as refusal:
                return self._refused(refusal)
            return self._answer(reply, caller.reply_key, call.unsigned)

        return handle

    def _answer(self, reply: Reply, key: Key, unsigned: bool) -> web.Response:
        body = b"" if reply.payload is None else msgspec.json.encode(reply.payload)
        headers = self._seal(key, body, reply.is_spoiled or unsigned) | self._request_id()
        if reply.payload is None:
            return web.Response(status=204, headers=headers)
        headers["Content-Type"] = "application/json; charset=utf-8"
        return web.Response(body=body, headers=headers)

    def _refused(self, refusal: Refusal) -> web.Response:
        headers = self._request_id() | {"Content-Type": "application/json; charset=utf-8"}
        return web.Response(status=refusal.status, body=refusal.body(), headers=headers)

    def _seal(self, key: Key, body: bytes, is_spoiled: bool) -> dict[str, str]:
        timestamp, nonce = self.clock.real_ms() // 1000, self._nonce()
        signature = crypto.sign(self.keys.private(key), wire.answer_text(timestamp, nonce, body))
        if is_spoiled:
            signature = spoiled(signature)
        return wire.seal_headers(wire.Seal(key.name, nonce, timestamp, signature))

    def _nonce(self) -> str:
        return f"{self.random.getrandbits(NONCE_BITS):032x}"

    def _request_id(self) -> dict[str, str]:
        return {"Request-ID": self._nonce().upper()}

    async def trouble(self, trouble: Trouble, request: web.Request, raw: bytes) -> web.Response:
        if trouble is Trouble.NOT_FOUND:
            return web.Response(status=404, headers=self._request_id())
        if trouble is Trouble.METHOD:
            return web.Response(status=405, headers=self._request_id())
        code = {Trouble.ERROR: "SYSTEM_ERROR", Trouble.BUSY: "FREQUENCY_LIMITED"}.get(trouble)
        return self._refused(Refusal(code or "PARAM_ERROR"))

    # --- orders --------------------------------------------------------------------------------

    def _pay(self, kind: str, *, is_partner: bool) -> Serving:
        rules = sandbox_fields.order_rules(kind, is_partner=is_partner)

        async def serve(call: Call, caller: Caller) -> Reply:
            body = sandbox_fields.read(call.raw, rules)
            self._orders.check_parties(body, caller, is_partner=is_partner)
            asked = self._orders.asked(kind, body, caller, is_partner=is_partner)
            turn = self.engine.pay(asked)
            self._check_turn(turn)
            if kind == "codepay":
                return self._shown(turn, {})
            if turn.kind is Kind.PAID:
                raise Refusal("ORDERPAID")
            link = self._orders.link(kind, turn.known, call.request)
            return Reply(link, turn.unsigned)

        return serve

    def _query(self, *, is_partner: bool) -> Serving:
        async def serve(call: Call, caller: Caller) -> Reply:
            query = call.request.query
            named = {name: query.get(name) for name in _parties(is_partner)}
            for name, value in named.items():
                if not value:
                    raise wrong_field(f"/{name}", None, "is required", "query")
            identity = self._orders.identity(named, caller, is_partner=is_partner)
            merchant = identity["sub_mchid" if is_partner else "mchid"]
            number = call.request.match_info.get("out_trade_no")
            if number is None:
                number = self._number_of(call.request.match_info["transaction_id"], merchant)
            turn = self.engine.inquire(number, merchant)
            if turn.kind is Kind.ABSENT:
                raise Refusal("ORDER_NOT_EXIST")
            if turn.kind is Kind.ERROR:
                raise Refusal("SYSTEM_ERROR")
            return self._shown(turn, identity)

        return serve

    def _number_of(self, transaction_id: str, merchant: str) -> str:
        order = self.engine.by_trade_no(transaction_id)
        if order is None or order.merchant != merchant or not order.charges:
            raise Refusal("ORDER_NOT_EXIST")
        return order.number

    def _close(self, *, is_partner: bool) -> Serving:
        rules = sandbox_fields.close_rules(is_partner=is_partner)

        async def serve(call: Call, caller: Caller) -> Reply:
            body = sandbox_fields.read(call.raw, rules)
            identity = self._orders.identity(body, caller, is_partner=is_partner)
            merchant = identity["sub_mchid" if is_partner else "mchid"]
            turn = self.engine.close(call.request.match_info["out_trade_no"], merchant, seal=False)
            if turn.kind is Kind.ABSENT:
                raise Refusal("ORDER_NOT_EXIST")
            if turn.kind is Kind.PAID:
                raise Refusal("ORDERPAID")
            return Reply(None, turn.unsigned)

        return serve

    def _reverse(self, *, is_partner: bool) -> Serving:
        rules = sandbox_fields.reverse_rules(is_partner=is_partner)

        async def serve(call: Call, caller: Caller) -> Reply:
            body = sandbox_fields.read(call.raw, rules)
            self._orders.check_parties(body, caller, is_partner=is_partner)
            number = call.request.match_info["out_trade_no"]
            merchant = body["sub_mchid" if is_partner else "mchid"]
            known = self.engine.find(number, merchant)
            if known and known[0].way != "barcode":
                raise Refusal("INVALID_REQUEST", "非付款码支付的订单不能撤销")
            turn = self.engine.reverse(number, merchant)
            if turn.kind is Kind.REFUNDED:
                raise Refusal("TRADE_ERROR", "订单已发生退款，不能撤销")
            names = ("appid", "mchid", "sp_appid", "sp_mchid", "sub_appid", "sub_mchid")
            told = {name: body[name] for name in names if body.get(name)}
            return Reply({**told, "out_trade_no": number}, turn.unsigned)

        return serve

    def _check_turn(self, turn: Turn) -> None:
        """Raise what a payment call that did not pay is answered with."""
        if turn.kind is Kind.SILENT:
            raise Silence
        if turn.kind is Kind.DECLINED:
            raise Refusal(_FAILURES[turn.failure])
        code = {
            Kind.ERROR: "SYSTEM_ERROR",
            Kind.USED: "OUT_TRADE_NO_USED",
            Kind.CLOSED: "ORDER_CLOSED",
            Kind.REVERSED: "ORDERREVERSED",
        }.get(turn.kind)
        if code is not None:
            raise Refusal(code)

    def _shown(self, turn: Turn, identity: dict[str, str]) -> Reply:
        return Reply(sandbox_view.transaction(turn, identity), turn.unsigned)

    # --- refunds and certificates --------------------------------------------------------------

    async def _refund(self, call: Call, caller: Caller) -> Reply:
        rules = sandbox_fields.refund_rules(is_partner=caller.is_partner)
        body = sandbox_fields.read(call.raw, rules)
        merchant = self._refund_merchant(caller, body.get("sub_mchid"), "body")
        number = body.get("out_trade_no")
        if transaction_id := body.get("transaction_id"):
            order = self.engine.by_trade_no(transaction_id)
            if order is None or order.merchant != merchant or number not in (None, order.number):
                raise Refusal("RESOURCE_NOT_EXISTS", "订单不存在")
            number = order.number
        if number is None:
            raise wrong_field("/out_trade_no", None, "this or transaction_id is required")
        url = body.get("notify_url")
        if url is not None and (why := url_refusal(url)):
            raise wrong_field("/notify_url", url, why)
        amount = body["amount"]
        for order in self.engine.find(number, merchant):
            self.sharing.refuse_refund(order, body["out_refund_no"], amount["refund"])
        turn = self.engine.refund(
            AskedRefund(
                number,
                body["out_refund_no"],
                amount["refund"],
                amount["total"],
                fingerprint=str(amount["refund"]),
                notify_url=url,
                merchant=merchant,
                extra={
                    "funds_account": body.get("funds_account", "AVAILABLE"),
                    "from": amount.get("from", []),
                },
            )
        )
        return self._refund_shown(turn)

    async def _query_refund(self, call: Call, caller: Caller) -> Reply:
        merchant = self._refund_merchant(caller, call.request.query.get("sub_mchid"), "query")
        number = call.request.match_info["out_refund_no"]
        return self._refund_shown(self.engine.inquire_refund(number, None, merchant))

    async def _refund_abnormal(self, call: Call, caller: Caller) -> Reply:
        """Refused for every refund: none here ever comes back from a payer's bank."""
        rules = sandbox_fields.abnormal_rules(is_partner=caller.is_partner)
        body = sandbox_fields.read(call.raw, rules)
        merchant = self._refund_merchant(caller, body.get("sub_mchid"), "body")
        turn = self.engine.inquire_refund(body["out_refund_no"], None, merchant)
        refund = turn.refund
        if refund is None or refund.trade_no != call.request.match_info["refund_id"]:
            raise Refusal("RESOURCE_NOT_EXISTS")
        raise Refusal("INVALID_REQUEST", "退款单状态不是退款异常")

    def _refund_merchant(self, caller: Caller, sub_mchid: str | None, location: str) -> str:
        """Whose refund numbers these are."""
        if not caller.is_partner:
            return self.account.mchid
        if not sub_mchid:
            raise wrong_field("/sub_mchid", None, "is required", location)
        if sub_mchid not in self.account.sub_mchids:
            raise Refusal("MCH_NOT_EXISTS", status=404)
        return sub_mchid

    def _refund_shown(self, turn: RefundTurn) -> Reply:
        if turn.kind is RefundKind.ERROR:
            raise Refusal("SYSTEM_ERROR")
        if turn.kind is RefundKind.ABSENT:
            raise Refusal("RESOURCE_NOT_EXISTS")
        if turn.kind in _REFUND_REFUSALS:
            raise Refusal(*_REFUND_REFUSALS[turn.kind])
        order, refund = turn.known
        view = self.engine.view(order)
        return Reply(sandbox_view.refund(view, refund), view.unsigned)

    async def _certificates(self, call: Call, caller: Caller) -> Reply:
        algorithm = call.request.query.get("algorithm_type", "RSA")
        if algorithm not in ("RSA", "SM2", "ALL"):
            raise wrong_field("/algorithm_type", algorithm, "must be RSA, SM2 or ALL", "query")
        certificates = [] if algorithm == "SM2" else self.keys.certificates
        return Reply({"data": [self._boxed(key) for key in certificates]})

    def _boxed(self, key: Key) -> dict[str, Any]:
        effective, expires = crypto.validity_ms(key.public_pem.encode())
        pem = key.public_pem.encode()
        return {
            "serial_no": key.name,
            "effective_time": sandbox_view.shanghai(effective),
            "expire_time": sandbox_view.shanghai(expires),
            "encrypt_certificate": self._box(BOX_KEY, pem),
        }

    def _box(self, associated: str, plain: bytes) -> dict[str, str]:
        nonce = self._nonce()[: wire.RESOURCE_NONCE_CHARACTERS]
        return {
            "algorithm": wire.ALGORITHM,
            "nonce": nonce,
            "associated_data": associated,
            "ciphertext": crypto.seal(self.keys.api_v3_key, nonce, associated, plain),
        }

    # --- bills ---------------------------------------------------------------------------------

    def _bill(self, made: Callable[[web.Request, Caller], dict[str, str]]) -> Serving:
        async def serve(call: Call, caller: Caller) -> Reply:
            return Reply(made(call.request, caller))

        return serve

    async def _bill_file(self, call: Call) -> web.Response:
        """Asked for with a signature, answered without: the hash was told in a signed answer."""
        try:
            self._door.admit(call)
            return self._bills.file(call.request)
        except Refusal as refusal:
            return self._refused(refusal)

    # --- callbacks -----------------------------------------------------------------------------

    async def post(self, news: News, attempt: int) -> Post | None:
        """Only successes are told. The id stays the same over the tries; the signature does not."""
        return self._post(news, is_probe=False)

    async def probe(self, news: News) -> Post | None:
        return self._post(news, is_probe=True)

    def accepted(self, status: int, body: bytes) -> bool:
        return status in ACKNOWLEDGED

    def _post(self, news: News, *, is_probe: bool) -> Post | None:
        said = sandbox_news.told(self.engine, news)
        if news.notify_url is None or said is None:
            return None
        told = {
            "id": _news_id(news),
            "create_time": sandbox_view.shanghai(news.at_ms),
            "resource_type": "encrypt-resource",
            "event_type": said.event,
            "summary": said.summary,
            "resource": {
                "original_type": said.original,
                **self._box(said.original, msgspec.json.encode(said.plain)),
            },
        }
        body = msgspec.json.encode(told)
        key = self.keys.for_callbacks(news.order.extra.get("signed_by", PUBLIC_KEY))
        headers = self._seal(key, body, self.engine.view(news.order).unsigned)
        if is_probe:
            headers["Wechatpay-Signature"] = wire.PROBE_PREFIX + headers["Wechatpay-Signature"]
        headers |= self._request_id() | {"Content-Type": "application/json; charset=utf-8"}
        return Post(news.notify_url, headers, body)


def _told(answered: Callable[[Call, Caller], dict[str, Any]]) -> Serving:
    async def serve(call: Call, caller: Caller) -> Reply:
        return Reply(answered(call, caller), call.unsigned)

    return serve


def _parties(is_partner: bool) -> tuple[str, ...]:
    return ("sp_mchid", "sub_mchid") if is_partner else ("mchid",)


def _news_id(news: News) -> str:
    """A UUID's form, the same for every try."""
    name = news.name if isinstance(news, SharedNews) else news.id
    hexes = hashlib.sha256(f"{news.order.trade_no} {name}".encode()).hexdigest()
    return "-".join((hexes[:8], hexes[8:12], hexes[12:16], hexes[16:20], hexes[20:32]))


def url_refusal(url: str) -> str:
    """Why callbacks may not go there, or nothing."""
    return "must have no query" if "?" in url else notify_url_refusal(url)
