"""The rig of the example channel."""

from random import Random
from typing import Any, ClassVar

import msgspec

from payments.channels.example import wire
from payments.channels.example.connector import ExampleChannel, ExampleSettings
from payments.channels.example.sandbox import ExampleKeys, ExampleSandbox
from payments.channels.sandbox.app import SandboxSettings
from payments.channels.transport import Callback, HttpAnswer, HttpClient, HttpRequest
from payments.clock import Clock
from rigs import PAYING, Change, Clocks, Wanted, rsa_key, sha256_rsa

SHOP = "shop-17"


class ExampleRig:
    """See `rigs.Rig`."""

    name = "example"
    wallet = "alipay"
    prefix = "28"
    can = PAYING | {
        "h5",
        "callbacks",
        "refund_callbacks",
        "wire",
        "seals",
        "repeats",
        "times",
    }
    fields: ClassVar = {"order": ("order",), "amount": ("amount",), "merchant": ("shop",)}
    callback_fields: ClassVar = fields
    paths: ClassVar = {
        "pay": b"/v1/pay ",
        "query": b"/v1/query ",
        "reverse": b"/v1/reverse ",
        "undo": b"/v1/reverse ",
        "close": b"/v1/close ",
        "refund": b"/v1/refund ",
        "refund_query": b"/v1/refund-query ",
    }

    def close(self) -> None:
        """Nothing is left of it: its books are in memory."""

    def sandbox(self, clock: Clocks, random: Random, settings: Any = None) -> ExampleSandbox:
        keys = ExampleKeys(SHOP, rsa_key("shop").public_key(), rsa_key("channel"))
        return ExampleSandbox(keys, settings or SandboxSettings(), clock, random)

    def connector(
        self, base_url: str, http: HttpClient, clock: Clock, pool: Any, more: Wanted
    ) -> ExampleChannel:
        return ExampleChannel(
            ExampleSettings(SHOP, base_url, more.notify_url, more.timeout_s),
            http,
            pool.signer(rsa_key("shop")),
            pool.verifier(rsa_key("channel").public_key()),
            clock,
        )

    def amount(self, minor: int) -> int:
        return minor

    def unsigned(self, request: HttpRequest, answer: HttpAnswer) -> HttpAnswer:
        kept = {name: text for name, text in answer.headers.items() if name != wire.HEADER}
        return HttpAnswer(answer.status, kept, answer.body)

    def forged(
        self, request: HttpRequest, answer: HttpAnswer, change: Change, *, key: str = "channel"
    ) -> HttpAnswer:
        body = _changed(answer.body, change)
        text = wire.answer_text(request.headers[wire.HEADER], body)
        return HttpAnswer(answer.status, {**answer.headers, **_sealed(text, key)}, body)

    def forged_callback(
        self, callback: Callback, change: Change, *, key: str = "channel"
    ) -> Callback:
        body = _changed(callback.body, change)
        sealed = {**callback.headers, **_sealed(wire.notice_text(body), key)}
        return Callback(callback.method, callback.query, sealed, body)


def _changed(body: bytes, change: Change) -> bytes:
    facts = msgspec.json.decode(body)
    change(facts)
    return msgspec.json.encode(facts)


def _sealed(text: bytes, key: str) -> dict[str, str]:
    return {wire.HEADER: wire.write_signature(sha256_rsa(key, text))}
