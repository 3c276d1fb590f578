"""The rig of UnionPay: barcode and jsapi through the JSON interface, qr through ACP."""

from random import Random
from typing import Any, ClassVar
from unittest.mock import patch

from cryptography.hazmat.primitives.serialization import load_pem_public_key

from payments.channels.sandbox.app import SandboxSettings
from payments.channels.transport import Callback, HttpAnswer, HttpClient, HttpRequest
from payments.channels.unionpay import wire
from payments.channels.unionpay.certificates import Trust
from payments.channels.unionpay.connector import UnionpayChannel
from payments.channels.unionpay.exchange import UnionpaySettings
from payments.channels.unionpay.identity import SIGNER_NAME, Identity
from payments.channels.unionpay.sandbox import UnionpaySandbox
from payments.clock import Clock
from rigs import DAY_MS, PAYING, Change, Clocks, Wanted, private_key, sha256_rsa


class UnionpayRig:
    """See `rigs.Rig`."""

    name = "unionpay"
    wallet = "unionpay"
    prefix = "62"
    code_digits = 19
    can = PAYING | {"jsapi", "callbacks", "wire", "codes_expire_only", "times"}
    fields: ClassVar = {
        "order": ("orderNo",),
        "amount": ("txnAmt",),
        "merchant": ("merId",),
        "app": ("serProvId",),
    }
    callback_fields: ClassVar = {
        "order": ("orderId",),
        "amount": ("txnAmt",),
        "merchant": ("merId",),
    }
    paths: ClassVar = {
        "pay": b"/gateway/api/pay/micropay ",
        "query": b"/gateway/api/pay/queryOrder ",
        "reverse": b"/gateway/api/pay/closeOrder ",
        "close": b"/gateway/api/pay/closeOrder ",
        "undo": b"/gateway/api/pay/refund ",
        "refund": b"/gateway/api/pay/refund ",
        "refund_query": b"/gateway/api/pay/refundQuery ",
    }

    _identities: ClassVar[dict[int, Identity]] = {}

    def close(self) -> None:
        """Nothing is left of it: its books are in memory."""

    def sandbox(self, clock: Clocks, random: Random, settings: Any = None) -> UnionpaySandbox:
        # Making three keys, and even loading them, takes longer than most tests.
        day = clock.real_ms() // DAY_MS
        if day not in self._identities:
            self._identities[day] = Identity.open(None, random, clock.real_ms())
        with patch.object(Identity, "open", lambda *_: self._identities[day]):
            self.box = UnionpaySandbox(settings or SandboxSettings(), clock, random)
        return self.box

    def connector(
        self, base_url: str, http: HttpClient, clock: Clock, pool: Any, more: Wanted
    ) -> UnionpayChannel:
        told = self.box.credentials()
        settings = UnionpaySettings(
            serv_prov_id=told["serv_prov_id"],
            mer_id=told["mer_id"],
            base_url=base_url,
            acp_url=base_url,
            notify_url=more.notify_url,
            cert_id=told["cert_id"],
            pay_timeout_s=more.timeout_s,
            ask_timeout_s=more.timeout_s,
        )
        key = private_key(told["merchant_private_key_pem"])
        platform = load_pem_public_key(told["platform_public_key_pem"].encode())
        return UnionpayChannel(
            settings,
            http,
            pool.signer(key),
            [pool.verifier(platform)],
            clock,
            Trust(told["platform_certificate_pem"].encode(), (SIGNER_NAME,)),
        )

    def amount(self, minor: int) -> str:
        return str(minor)

    def unsigned(self, request: HttpRequest, answer: HttpAnswer) -> HttpAnswer:
        fields = wire.decode_json(answer.body)
        del fields[wire.SIGNATURE]
        return HttpAnswer(answer.status, answer.headers, wire.encode_json(fields))

    def forged(
        self, request: HttpRequest, answer: HttpAnswer, change: Change, *, key: str = "channel"
    ) -> HttpAnswer:
        fields = wire.decode_json(answer.body)
        change(fields)
        signed = self._signed(fields, wire.signed_text(fields), key)
        return HttpAnswer(answer.status, answer.headers, wire.encode_json(signed))

    def forged_callback(
        self, callback: Callback, change: Change, *, key: str = "channel"
    ) -> Callback:
        fields = wire.decode_form(callback.body)
        change(fields)
        signed = self._signed(fields, wire.acp_signed_text(fields), key)
        body = wire.encode_form(signed)
        return Callback(callback.method, callback.query, callback.headers, body)

    def _signed(self, fields: dict[str, str], text: bytes, key: str) -> dict[str, str]:
        made = self.box.identity.sign(text) if key == "channel" else sha256_rsa(key, text)
        return {**fields, wire.SIGNATURE: wire.encode_signature(made)}
