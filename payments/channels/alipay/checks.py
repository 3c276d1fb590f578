"""What Alipay's gateway checks before a method is asked: parameters, authority, signature.

Order and codes of the common errors as the interface's list of gateway errors has them. An error
from before the application is known cannot be signed for anybody, and comes unsigned.
"""

import html
import json
from collections.abc import Container
from typing import Any, Final

from msgspec import Struct

from payments.channels.alipay.identity import Identity
from payments.channels.alipay.units import instant_ms
from payments.channels.alipay.wire import (
    SIGN_TYPES,
    Unreadable,
    codec_of,
    decrypt,
    request_text,
    verify,
)

TIMESTAMP_WINDOW_MS: Final = 86_400_000
"""How far a request's time may be from ours. A day: many clients write their own local time, and
the interface has never refused them for it."""

BIZ_CONTENT_MAX: Final = 65_536
"""Longest `biz_content`, in characters."""

DEPTH_MAX: Final = 16
"""Deepest nesting of `biz_content` that a method of this interface has, with room."""

MESSAGES: Final = {
    "10000": "Success",
    "10003": "order success pay inprocess",
    "20000": "Service Currently Unavailable",
    "20001": "Insufficient Token Permissions",
    "40001": "Missing Required Arguments",
    "40002": "Invalid Arguments",
    "40003": "Insufficient Conditions",
    "40004": "Business Failed",
    "40005": "Call Limited",
    "40006": "Insufficient Permissions",
}

REQUIRED: Final = (
    ("method", "isv.missing-method", "缺少方法名参数"),
    ("sign_type", "isv.missing-signature-type", "缺少签名类型参数"),
    ("sign", "isv.missing-signature", "缺少签名参数"),
    ("app_id", "isv.missing-app-id", "缺少AppID参数"),
    ("timestamp", "isv.missing-timestamp", "缺少时间戳参数"),
    ("version", "isv.missing-version", "缺少版本参数"),
)

ELSEWHERE: Final = ("alipay.fund.", "alipay.trade.", "alipay.data.", "alipay.user.", "alipay.open.")
"""Methods that the interface has and the sandbox's application has not signed up for."""


class Refusal(Exception):
    """The gateway's own answer: the method was not asked."""

    def __init__(self, code: str, sub_code: str, sub_msg: str, *, signed: bool = True) -> None:
        super().__init__(sub_code)
        self.code = code
        self.sub_code = sub_code
        self.sub_msg = sub_msg
        self.signed = signed

    def content(self) -> dict[str, Any]:
        return {
            "code": self.code,
            "msg": MESSAGES[self.code],
            "sub_code": self.sub_code,
            "sub_msg": self.sub_msg,
        }


class Request(Struct, frozen=True):
    """A request that the gateway has let through.

    `merchant`: namespace of the order numbers, empty for the application's own merchant. All
    numbers in `biz` are texts, as they were written.
    """

    method: str
    params: dict[str, str]
    biz: dict[str, Any]
    merchant: str
    auth_app_id: str
    seller_id: str
    encrypted: bool = False


def check(
    identity: Identity,
    params: dict[str, str],
    now_ms: int,
    methods: Container[str],
    aes_key: bytes | None = None,
) -> Request:
    """Let a request through or raise Refusal. `now_ms`: real time."""
    for name, sub_code, sub_msg in REQUIRED:
        if not params.get(name):
            raise Refusal("40001", sub_code, sub_msg, signed=False)
    if params["app_id"] != identity.app_id:
        raise Refusal("40002", "isv.invalid-app-id", "无效的AppID参数", signed=False)
    _check_spelling(params, now_ms)
    _check_signature(identity, params)
    method = params["method"]
    if method not in methods:
        if method.startswith(ELSEWHERE):
            raise Refusal("40006", "isv.insufficient-isv-permissions", "ISV权限不足")
        raise Refusal("40002", "isv.invalid-method", "不存在的方法名")
    merchant = _merchant(identity, params.get("app_auth_token", ""), now_ms)
    auth_app_id = merchant or identity.app_id
    return Request(
        method,
        params,
        _biz(params, aes_key),
        merchant,
        auth_app_id,
        identity.seller_of(auth_app_id),
        params.get("encrypt_type") == "AES",
    )


def _check_spelling(params: dict[str, str], now_ms: int) -> None:
    if params["sign_type"] not in SIGN_TYPES:
        raise Refusal("40002", "isv.invalid-signature-type", "无效的签名类型")
    if params.get("format", "JSON").upper() not in ("JSON", ""):
        raise Refusal("40002", "isv.invalid-format", "无效的数据格式")
    if params["version"] != "1.0":
        raise Refusal("40002", "isv.invalid-parameter", "版本参数无效: version")
    try:
        written = instant_ms(params["timestamp"])
    except Unreadable as error:
        raise Refusal("40002", "isv.invalid-timestamp", "非法的时间戳参数") from error
    if abs(written - now_ms) > TIMESTAMP_WINDOW_MS:
        raise Refusal("40002", "isv.invalid-timestamp", "非法的时间戳参数")


def is_by_certificate(params: dict[str, str]) -> bool:
    """Whether a client speaks in certificate mode: its answers name the channel's certificate."""
    return bool(params.get("app_cert_sn") or params.get("alipay_root_cert_sn"))


def _check_signature(identity: Identity, params: dict[str, str]) -> None:
    if is_by_certificate(params):
        chain = identity.chain
        sent = (params.get("app_cert_sn"), params.get("alipay_root_cert_sn"))
        if sent != (chain.app_serial, chain.root_serial):
            sub_msg = "应用未配置对应的公钥证书"
            raise Refusal("40003", "isv.missing-signature-config", sub_msg)
    text = request_text(params)
    codec = codec_of(params.get("charset", "utf-8"))
    if not verify(identity.app_public, text.encode(codec), params["sign"], params["sign_type"]):
        # The real gateway shows what it verified: the quickest way to find a client's mistake.
        sub_msg = (
            "验签出错，建议检查签名字符串或签名私钥与应用公钥是否匹配，网关生成的验签字符串为："
            + html.escape(text)
        )
        raise Refusal("40002", "isv.invalid-signature", sub_msg)


def _merchant(identity: Identity, token: str, now_ms: int) -> str:
    if not token:
        return ""
    merchant = identity.auth_app_of(token)
    if merchant is None:
        raise Refusal("20001", "aop.invalid-app-auth-token", "无效的应用授权令牌")
    if identity.is_token_over(token, now_ms):
        raise Refusal("20001", "aop.app-auth-token-time-out", "应用授权令牌已过期")
    return "" if merchant == identity.app_id else merchant


def _biz(params: dict[str, str], aes_key: bytes | None) -> dict[str, Any]:
    text = params.get("biz_content", "")
    kind = params.get("encrypt_type", "")
    if kind not in ("", "AES"):
        raise Refusal("40002", "isv.invalid-encrypt-type", "无效的加密类型")
    if kind and text:
        if aes_key is None:
            raise Refusal("40003", "isv.missing-encrypt-key", "应用未配置对应的加密密钥")
        try:
            text = decrypt(aes_key, text).decode("utf-8")
        except (Unreadable, UnicodeDecodeError) as error:
            raise Refusal("40002", "isv.decryption-error-unknown", "解密出错") from error
    if not text:
        return {}
    broken = Refusal("40002", "isv.invalid-parameter", "参数无效: biz_content")
    if len(text) > BIZ_CONTENT_MAX:
        raise broken
    try:
        biz = json.loads(text, parse_float=str, parse_int=str, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise broken from error
    if not isinstance(biz, dict) or _is_deep(biz):
        raise broken
    return biz


def _no_number(name: str) -> str:
    raise ValueError(f"{name} is no JSON")


def _is_deep(value: object, depth: int = 0) -> bool:
    if depth > DEPTH_MAX:
        return True
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(_is_deep(one, depth + 1) for one in inner)
