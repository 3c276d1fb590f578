"""The rig of Alipay."""

import json
from random import Random
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlsplit

import aiohttp

from payments.channels.alipay import wire
from payments.channels.alipay.connector import ONLY_KEY, AlipayChannel, AlipaySettings
from payments.channels.alipay.identity import Identity
from payments.channels.alipay.orders import BARCODE_LIFE_MS
from payments.channels.alipay.sandbox import AlipaySandbox
from payments.channels.alipay.units import yuan
from payments.channels.base import Awaiting, PayOrder
from payments.channels.sandbox.app import SandboxSettings
from payments.channels.transport import Callback, HttpAnswer, HttpClient, HttpRequest
from payments.clock import Clock
from payments.payment import Way
from rigs import PAYING, Change, Clocks, Stand, Wanted, rsa_key


class AlipayRig:
    """See `rigs.Rig`."""

    name = "alipay"
    wallet = "alipay"
    prefix = "28"
    can = PAYING | {
        "times",
        "jsapi", "app", "h5", "callbacks", "refund_callbacks", "wire",
        "repeats", "shown_is_absent", "codes_expire_only",
    }  # fmt: skip
    request_life_s = BARCODE_LIFE_MS // 1000 + 1
    fields: ClassVar = {"order": ("out_trade_no",), "amount": ("total_amount",)}
    callback_fields: ClassVar = fields | {"merchant": ("seller_id",), "app": ("app_id",)}
    paths: ClassVar = {
        "pay": b"method=alipay.trade.pay&",
        "query": b"method=alipay.trade.query&",
        "reverse": b"method=alipay.trade.cancel&",
        "undo": b"method=alipay.trade.cancel&",
        "close": b"method=alipay.trade.close&",
        "refund": b"method=alipay.trade.refund&",
        "refund_query": b"method=alipay.trade.fastpay.refund.query&",
    }

    @property
    def identity(self) -> Identity:
        return Identity(rsa_key("shop"), rsa_key("channel"))

    def close(self) -> None:
        """Nothing is left of it: its books are in memory."""

    def sandbox(self, clock: Clocks, random: Random, settings: Any = None) -> AlipaySandbox:
        chosen = settings or SandboxSettings()
        return AlipaySandbox(chosen, clock, random, identity=self.identity)

    def connector(
        self, base_url: str, http: HttpClient, clock: Clock, pool: Any, more: Wanted
    ) -> AlipayChannel:
        settings = AlipaySettings(
            app_id=self.identity.app_id,
            gateway=f"{base_url}/gateway.do",
            seller_id=self.identity.seller_id,
            notify_url=more.notify_url,
            pay_timeout_s=more.timeout_s,
            ask_timeout_s=more.timeout_s,
            refund_timeout_s=more.timeout_s,
        )
        verifiers = {ONLY_KEY: pool.verifier(rsa_key("channel").public_key())}
        return AlipayChannel(settings, http, pool.signer(rsa_key("shop")), verifiers, clock)

    def amount(self, minor: int) -> str:
        return yuan(minor)

    def unsigned(self, request: HttpRequest, answer: HttpAnswer) -> HttpAnswer:
        split = wire.split(answer.body, _method(request))
        body = wire.joined(split.name, split.content.decode(), None)
        return HttpAnswer(answer.status, answer.headers, body.encode())

    def forged(
        self, request: HttpRequest, answer: HttpAnswer, change: Change, *, key: str = "channel"
    ) -> HttpAnswer:
        split = wire.split(answer.body, _method(request))
        facts = json.loads(split.content)
        change(facts)
        content = json.dumps(facts, ensure_ascii=False)
        body = wire.joined(split.name, content, wire.sign(rsa_key(key), content.encode()))
        return HttpAnswer(answer.status, answer.headers, body.encode())

    def forged_callback(
        self, callback: Callback, change: Change, *, key: str = "channel"
    ) -> Callback:
        facts = dict(parse_qsl(callback.body.decode(), keep_blank_values=True))
        change(facts)
        facts["sign"] = wire.sign(rsa_key(key), wire.notice_text(facts).encode())
        body = wire.form(facts).encode()
        return Callback(callback.method, callback.query, callback.headers, body)

    async def open_in_wallet(self, stand: Stand, order: PayOrder) -> None:
        """The app hands its string to the wallet, the browser goes to its page."""
        if order.way == Way.JSAPI:
            return
        answer = await stand.channel.pay(order)
        assert isinstance(answer, Awaiting)
        async with aiohttp.ClientSession() as session:
            if order.way == Way.H5:
                assert answer.pay_url is not None
                asked = session.get(answer.pay_url)
            else:
                assert answer.client_params is not None
                opened = {"order_string": answer.client_params["orderString"]}
                asked = session.post(f"{stand.served.url}/_sandbox/open", json=opened)
            async with asked as page:
                assert page.status == 200, await page.text()


def _method(request: HttpRequest) -> str:
    return dict(parse_qsl(urlsplit(request.url).query))["method"]
