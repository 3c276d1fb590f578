"""The sandbox's door: who calls, whether the request is signed, with which key to answer.

Source: WeChat Pay API v3, "signature of requests", "401 SIGN_ERROR". The order of the checks is the
documented one: form of the header, clock, certificate, and the signature last.
"""

from typing import Any, Final

from aiohttp import web
from msgspec import Struct

from payments.channels.sandbox.app import Call
from payments.channels.wechat import crypto, wire
from payments.channels.wechat.errors import Refusal
from payments.channels.wechat.sandbox_keys import Account, Key, Keyring
from payments.clock import Clock

SHOWN_MAX_CHARACTERS: Final = 256
"""So much of what was to be signed is told to a client that signed something else."""


class Caller(Struct, frozen=True):
    """Who signed. `reply_key`: the key of ours that the answer is to be signed with."""

    mchid: str
    is_partner: bool
    reply_key: Key


class Door:
    def __init__(self, account: Account, keys: Keyring, clock: Clock) -> None:
        self._account = account
        self._keys = keys
        self._clock = clock

    def admit(self, call: Call) -> Caller:
        """Raise Refusal. Signature windows are real time: the test clock does not move them."""
        request = call.request
        if not request.headers.get("Accept") or not request.headers.get("User-Agent"):
            raise Refusal("PARAM_ERROR", "Http头缺少Accept或User-Agent")
        if call.raw and request.content_type != "application/json":
            raise Refusal("PARAM_ERROR", "Http头Content-Type必须为application/json")
        caller = self._known(request)
        self._check_signature(call, caller)
        return Caller(
            caller.mchid, caller.mchid == self._account.sp_mchid, self._reply_key(request)
        )

    def _known(self, request: web.Request) -> wire.Credentials:
        header = request.headers.get("Authorization", "")
        try:
            caller = wire.parse_authorization(header)
        except wire.WrongSchema as error:
            message = "Http头Authorization认证类型不正确"
            if not header:
                message = "Http头Authorization值格式错误，请参考《微信支付商户REST API签名规则》"
            raise _sign_error(message, "authorization schema", "schema") from error
        except crypto.WireError as error:
            message = "Http头Authorization值格式错误，请参考《微信支付商户REST API签名规则》"
            raise _sign_error(message, "authorization format", "authorization") from error
        if not wire.is_in_window(caller.timestamp, self._clock.real_ms()):
            message = "Http头Authorization中的timestamp与发起请求的时间不得超过5分钟"
            raise _sign_error(message, "timestamp out of window", "timestamp", caller.timestamp)
        if caller.mchid not in (self._account.mchid, self._account.sp_mchid):
            raise _sign_error("商户号不存在或与证书不匹配", "mchid unknown", "mchid", caller.mchid)
        if caller.serial.upper() != self._keys.merchant.name:
            message = "商户证书序列号有误。请使用签名私钥匹配的证书序列号"
            raise _sign_error(message, "serial_no mismatch", "serial_no", caller.serial)
        return caller

    def _check_signature(self, call: Call, caller: wire.Credentials) -> None:
        request, target = call.request, target_of(call.request)
        text = wire.request_text(request.method, target, caller.timestamp, caller.nonce, call.raw)
        key = self._keys.private(self._keys.merchant).public_key()
        if crypto.verify(key, text, caller.signature):
            return
        head = f"{request.method}\n{target}\n{caller.timestamp}\n{caller.nonce}\n"
        shown: dict[str, Any] = {
            "method": request.method,
            "url": target,
            "truncated_sign_message": head[:SHOWN_MAX_CHARACTERS],
            "sign_message_length": len(text),
        }
        refusal = _sign_error("错误的签名，导致验签失败", "sign not match", "signature")
        assert refusal.detail is not None
        refusal.detail["sign_information"] = shown
        raise refusal

    def _reply_key(self, request: web.Request) -> Key:
        asked = request.headers.get("Wechatpay-Serial")
        if asked is None:
            return self._keys.for_answers()
        key = self._keys.named(asked) or self._keys.named(asked.upper())
        if key is None:
            raise Refusal("PARAM_ERROR", "平台证书序列号Wechatpay-Serial错误")
        return key


def target_of(request: web.Request) -> str:
    """Path and query as sent. A request line may hold the whole address; the host is not signed."""
    target = request.raw_path
    if target.startswith("/"):
        return target
    _, slash, path = target.partition("://")[2].partition("/")
    return slash + path


def _sign_error(message: str, issue: str, name: str, value: object = None) -> Refusal:
    detail = {"field": name, "value": value, "issue": issue, "location": "authorization"}
    return Refusal("SIGN_ERROR", message, detail=detail)
