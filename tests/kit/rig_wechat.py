"""The rig of WeChat Pay: direct mode, WeChat Pay's public key, one app."""

import base64
from random import Random
from typing import Any, ClassVar

import msgspec
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from payments.channels.sandbox.app import SandboxSettings
from payments.channels.transport import Callback, HttpAnswer, HttpClient, HttpRequest
from payments.channels.wechat import crypto, wire
from payments.channels.wechat.connector import WeChatChannel
from payments.channels.wechat.keys import PlatformKeys
from payments.channels.wechat.requests import WeChatSettings
from payments.channels.wechat.sandbox import WeChatSandbox
from payments.channels.wechat.sandbox_keys import KEYS_FILE
from payments.clock import Clock
from rigs import PAYING, Change, Clocks, Folders, Wanted, private_key, sha256_rsa

SEALED = ("wechatpay-signature", "wechatpay-nonce", "wechatpay-timestamp", "wechatpay-serial")


class WeChatRig:
    """See `rigs.Rig`."""

    name = "wechat"
    wallet = "wechat"
    prefix = "13"
    can = PAYING | {
        "times",
        "jsapi",
        "app",
        "h5",
        "callbacks",
        "refund_callbacks",
        "wire",
        "seals",
        "repeats",
    }
    fields: ClassVar = {
        "order": ("out_trade_no",),
        "amount": ("amount", "total"),
        "merchant": ("mchid",),
        "app": ("appid",),
    }
    callback_fields: ClassVar = fields
    paths: ClassVar = {
        "pay": b"/v3/pay/transactions/codepay ",
        "query": b"?mchid=",
        "reverse": b"/reverse ",
        "undo": b"/reverse ",
        "close": b"/close ",
        "refund": b"POST /v3/refund/domestic/refunds ",
        "refund_query": b"GET /v3/refund/domestic/refunds/",
    }

    _loaded: ClassVar[dict[tuple[str, int], dict[str, RSAPrivateKey]]] = {}
    """By the day for which the keys were made: other clocks have other keys of the same names."""

    def __init__(self) -> None:
        self._folders = Folders("wechat", (KEYS_FILE,))

    def close(self) -> None:
        self._folders.close()

    def sandbox(self, clock: Clocks, random: Random, settings: Any = None) -> WeChatSandbox:
        made = settings or SandboxSettings(folder=self._folders.new(clock))
        self.box = WeChatSandbox(made, clock, random)
        self._folders.keep()
        if made.folder is not None and settings is None:
            self.box.keys._loaded = self._loaded.setdefault(self._folders.key, {})
        return self.box

    def connector(
        self, base_url: str, http: HttpClient, clock: Clock, pool: Any, more: Wanted
    ) -> WeChatChannel:
        told = self.box.credentials()
        public = crypto.load_public_key(told["public_key_pem"].encode())
        keys = PlatformKeys(
            {told["public_key_id"]: pool.verifier(public)},
            told["api_v3_key"].encode(),
            lambda pem: pool.verifier(crypto.load_public_key(pem)),
            clock,
        )
        settings = WeChatSettings(
            mchid=told["mchid"],
            appid=told["appid"],
            merchant_serial=told["merchant_serial"],
            base_url=base_url,
            notify_url=more.notify_url,
            public_key_id=told["public_key_id"],
            pay_timeout_s=more.timeout_s,
            ask_timeout_s=more.timeout_s,
            refund_timeout_s=more.timeout_s,
        )
        signer = pool.signer(private_key(told["merchant_private_key_pem"]))
        return WeChatChannel(settings, http, signer, keys, clock, Random(3))

    def amount(self, minor: int) -> int:
        return minor

    def unsigned(self, request: HttpRequest, answer: HttpAnswer) -> HttpAnswer:
        kept = {name: text for name, text in answer.headers.items() if name not in SEALED}
        return HttpAnswer(answer.status, kept, answer.body)

    def forged(
        self, request: HttpRequest, answer: HttpAnswer, change: Change, *, key: str = "channel"
    ) -> HttpAnswer:
        body = answer.body
        if body:
            facts = msgspec.json.decode(body)
            change(facts)
            body = msgspec.json.encode(facts)
        return HttpAnswer(answer.status, self._sealed(answer.headers, body, key), body)

    def forged_callback(
        self, callback: Callback, change: Change, *, key: str = "channel"
    ) -> Callback:
        news = msgspec.json.decode(callback.body)
        resource, api_key = news["resource"], self.box.keys.api_v3_key
        data, nonce = resource["associated_data"], resource["nonce"]
        facts = msgspec.json.decode(crypto.unseal(api_key, nonce, data, resource["ciphertext"]))
        change(facts)
        resource["ciphertext"] = crypto.seal(api_key, nonce, data, msgspec.json.encode(facts))
        body = msgspec.json.encode(news)
        sealed = self._sealed(callback.headers, body, key)
        return Callback(callback.method, callback.query, sealed, body)

    def _sealed(self, headers: Any, body: bytes, key: str) -> dict[str, str]:
        seconds, nonce = int(headers["wechatpay-timestamp"]), headers["wechatpay-nonce"]
        text = wire.answer_text(seconds, nonce, body)
        signature = sha256_rsa(key, text) if key != "channel" else self._sign(headers, text)
        return {**headers, "wechatpay-signature": base64.b64encode(signature).decode()}

    def _sign(self, headers: Any, text: bytes) -> bytes:
        named = self.box.keys.named(headers["wechatpay-serial"])
        assert named is not None
        return crypto.sign(self.box.keys.private(named), text)
