"""WeChat Pay v3 on the wire, for both sides: what is signed, and the headers that carry it.

Requests are signed by the merchant, 2xx answers and callbacks by WeChat Pay, the parameters that
start a payment in the wallet by the merchant again. Each text ends every line with a line feed,
the last one too. Bodies are the bytes as sent: a body that was parsed and written again has
another signature. Source: WeChat Pay API v3, "signature of requests", "verifying answers",
"JSAPI/APP: invoking the payment".
"""

import re
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from payments.channels.wechat.crypto import WireError, from_base64, to_base64

SCHEMA: Final = "WECHATPAY2-SHA256-RSA2048"

WINDOW_S: Final = 300
"""A timestamp further from now than this is refused, by WeChat Pay and by us."""

PROBE_PREFIX: Final = "WECHATPAY/SIGNTEST/"
"""Signatures of WeChat Pay's probes begin so: wrong on purpose, and to be refused."""

PUBLIC_KEY_PREFIX: Final = "PUB_KEY_ID_"
ALGORITHM: Final = "AEAD_AES_256_GCM"
API_V3_KEY_BYTES: Final = 32
RESOURCE_NONCE_CHARACTERS: Final = 12

AUTHORIZATION_MAX_CHARACTERS: Final = 4_096
TIMESTAMP_MAX_DIGITS: Final = 12

_FIELDS: Final = ("mchid", "nonce_str", "timestamp", "serial_no", "signature")
_PAIR: Final = re.compile(r'([a-z_]+)="([^"\\]*)"')
_DIGITS: Final = re.compile(rf"[0-9]{{1,{TIMESTAMP_MAX_DIGITS}}}")


class Credentials(Struct, frozen=True, gc=False):
    """What the `Authorization` header says. `timestamp`: Unix seconds."""

    mchid: str
    serial: str
    nonce: str
    timestamp: int
    signature: bytes


class Seal(Struct, frozen=True, gc=False):
    """What the `Wechatpay-…` headers of an answer or callback say. `timestamp`: Unix seconds."""

    serial: str
    nonce: str
    timestamp: int
    signature: bytes


class NoSeal(WireError):
    """An answer or callback that is not signed at all."""


class Probe(WireError):
    """A signature that WeChat Pay made wrong on purpose, to see whether we look."""


class WrongSchema(WireError):
    """The `Authorization` header begins with an algorithm that is not ours."""


# --- requests --------------------------------------------------------------------------------


def request_text(method: str, target: str, timestamp: int, nonce: str, body: bytes) -> bytes:
    """What a merchant signs. `target`: path and query as sent; `body`: empty for a GET."""
    return f"{method}\n{target}\n{timestamp}\n{nonce}\n".encode() + body + b"\n"


def authorization(credentials: Credentials) -> str:
    """The `Authorization` header's value."""
    return (
        f'{SCHEMA} mchid="{credentials.mchid}",nonce_str="{credentials.nonce}",'
        f'timestamp="{credentials.timestamp}",serial_no="{credentials.serial}",'
        f'signature="{to_base64(credentials.signature)}"'
    )


def parse_authorization(header: str) -> Credentials:
    """Five attributes in any order. Raise WrongSchema, or WireError for a wrong form."""
    if len(header) > AUTHORIZATION_MAX_CHARACTERS:
        raise WireError("the Authorization header is too long")
    schema, _, rest = header.strip().partition(" ")
    if schema != SCHEMA:
        raise WrongSchema("the Authorization header names another algorithm")
    values: dict[str, str] = {}
    for part in rest.strip().split(","):
        pair = _PAIR.fullmatch(part.strip())
        if pair is None or pair[1] in values:
            raise WireError("the Authorization header is not attributes in quotation marks")
        values[pair[1]] = pair[2]
    if missing := [name for name in _FIELDS if not values.get(name)]:
        raise WireError(f"the Authorization header has no {missing[0]}")
    return Credentials(
        values["mchid"],
        values["serial_no"],
        values["nonce_str"],
        seconds(values["timestamp"]),
        from_base64(values["signature"]),
    )


def seconds(text: str) -> int:
    """Unix seconds in plain digits. Raise WireError."""
    if _DIGITS.fullmatch(text) is None:
        raise WireError("a timestamp is not a number of seconds")
    return int(text)


def is_in_window(timestamp: int, now_ms: int) -> bool:
    """Whether a signature's instant is near enough to be no replay."""
    return abs(now_ms // 1000 - timestamp) <= WINDOW_S


# --- answers and callbacks -------------------------------------------------------------------


def answer_text(timestamp: int, nonce: str, body: bytes) -> bytes:
    """What WeChat Pay signs. A 204 is signed over its empty body."""
    return f"{timestamp}\n{nonce}\n".encode() + body + b"\n"


def seal_headers(seal: Seal) -> dict[str, str]:
    """The headers of a signed answer or callback."""
    return {
        "Wechatpay-Timestamp": str(seal.timestamp),
        "Wechatpay-Nonce": seal.nonce,
        "Wechatpay-Serial": seal.serial,
        "Wechatpay-Signature": to_base64(seal.signature),
        "Wechatpay-Signature-Type": SCHEMA,
    }


def parse_seal(headers: Mapping[str, str]) -> Seal:
    """Of headers with lower-case names. Raise NoSeal, Probe or WireError.

    The signature's type may be absent: older callbacks do not name it.
    """
    signature = headers.get("wechatpay-signature", "")
    if not signature:
        raise NoSeal("there is no signature")
    if signature.startswith(PROBE_PREFIX):
        raise Probe("a probe: its signature is wrong on purpose")
    if headers.get("wechatpay-signature-type", SCHEMA) != SCHEMA:
        raise WireError("the signature is of another algorithm")
    serial = headers.get("wechatpay-serial", "")
    nonce = headers.get("wechatpay-nonce", "")
    if not serial or not nonce:
        raise NoSeal("the signature's serial number or nonce is missing")
    timestamp = seconds(headers.get("wechatpay-timestamp", ""))
    return Seal(serial, nonce, timestamp, from_base64(signature))


# --- invoking the payment in the wallet ------------------------------------------------------


def jsapi_text(appid: str, timestamp: int, nonce: str, package: str) -> bytes:
    """What the merchant signs for a page or mini program; `package` is `prepay_id=…`."""
    return f"{appid}\n{timestamp}\n{nonce}\n{package}\n".encode()


def jsapi_params(
    appid: str, timestamp: int, nonce: str, package: str, signature: bytes
) -> dict[str, str]:
    """The parameters of `WeixinJSBridge` and `wx.requestPayment`. `signType` is not signed."""
    return {
        "appId": appid,
        "timeStamp": str(timestamp),
        "nonceStr": nonce,
        "package": package,
        "signType": "RSA",
        "paySign": to_base64(signature),
    }


def app_text(appid: str, timestamp: int, nonce: str, prepay_id: str) -> bytes:
    """What the merchant signs for the wallet's SDK; the prepay id stands bare."""
    return f"{appid}\n{timestamp}\n{nonce}\n{prepay_id}\n".encode()


def app_params(
    appid: str, partner: str, timestamp: int, nonce: str, prepay_id: str, signature: bytes
) -> dict[str, str]:
    """The parameters of the SDK's `PayReq`."""
    return {
        "appid": appid,
        "partnerid": partner,
        "prepayid": prepay_id,
        "package": "Sign=WXPay",
        "noncestr": nonce,
        "timestamp": str(timestamp),
        "sign": to_base64(signature),
    }
