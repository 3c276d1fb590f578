"""Alipay OpenAPI 1.0: the texts that are signed, and how they are found in what came.

Source: the vendor's published rules and vectors (`tests/vectors/alipay.json` names each). Pure: no
clock, no socket, no key of its own. Three texts, three rules:

- a *request* signs all parameters but `sign`; `sign_type` stays in;
- an *answer* signs the raw bytes of its response value, from `{` to the matching `}` (or the
  quoted string, when encrypted), as they were sent: `\\/` stays `\\/`;
- a *notification* signs all parameters but `sign` and `sign_type`.
"""

import re
from base64 import b64decode, b64encode
from binascii import Error as BadBase64
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import quote_plus, unquote_to_bytes

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.padding import PKCS7
from cryptography.hazmat.primitives.serialization import (
    load_der_private_key,
    load_der_public_key,
)

PARAMS_MAX: Final = 128
"""No call of this interface has more parameters; a form with more is refused unread."""

CHARSETS: Final = {"utf-8": "utf-8", "utf8": "utf-8", "gbk": "gb18030", "gb2312": "gb18030"}
"""`charset` in lower case -> codec. GB 18030 has all of GBK, and gives each text one spelling."""

SIGN_TYPES: Final = ("RSA2", "RSA")
"""RSA2 is SHA-256; RSA is SHA-1, which old clients still send. We ourselves sign RSA2 only."""

_QUOTED: Final = {at: quote_plus(bytes([at])) for at in range(256)}
"""An octet, as the Latin-1 character of its number, to how a form says it."""

_ARMOR: Final = re.compile(r"-----(?:BEGIN|END) [A-Z ]+-----|\s+")
_BASE64: Final = re.compile(r"[A-Za-z0-9+/]+={0,2}")
_AES_BLOCK_BITS: Final = 128
_ZERO_IV: Final = bytes(16)


class Unreadable(ValueError):
    """What came is not a message of this interface. The text never quotes what came."""


class UnknownCharset(Unreadable):
    """A `charset` that this interface does not know."""


# --- texts that are signed ------------------------------------------------------------------


def request_text(params: Mapping[str, str]) -> str:
    """What a request signs: sorted `k=v`, raw values, without `sign` and without empty ones."""
    return _joined((k, v) for k, v in params.items() if v and k != "sign")


def notice_text(params: Mapping[str, str]) -> str:
    """What a notification signs: as a request, but without `sign_type` too."""
    return _joined((k, v) for k, v in params.items() if v and k not in ("sign", "sign_type"))


def _joined(items: Iterable[tuple[str, str]]) -> str:
    return "&".join(f"{key}={value}" for key, value in sorted(items))


def codec_of(charset: str) -> str:
    """Python's name of a `charset` parameter's encoding. Raise UnknownCharset."""
    codec = CHARSETS.get(charset.lower())
    if codec is None:
        raise UnknownCharset("a charset that this interface does not know")
    return codec


# --- signatures -----------------------------------------------------------------------------


def sign(key: RSAPrivateKey, text: bytes, sign_type: str = "RSA2") -> str:
    """RSASSA-PKCS1-v1_5 over the text, in base64."""
    return signature_text(key.sign(text, PKCS1v15(), _digest(sign_type)))


def signature_text(signature: bytes) -> str:
    """A signature as the wire has it: base64."""
    return b64encode(signature).decode("ascii")


def verify(key: RSAPublicKey, text: bytes, signature: str, sign_type: str = "RSA2") -> bool:
    """Whether the base64 signature is this key's. False for anything that is none at all."""
    raw = signature_bytes(signature)
    if raw is None or sign_type not in SIGN_TYPES:
        return False
    try:
        key.verify(raw, text, PKCS1v15(), _digest(sign_type))
    except InvalidSignature:
        return False
    return True


def signature_bytes(signature: str) -> bytes | None:
    """The signature out of its base64; None when it is no base64."""
    try:
        return b64decode(signature, validate=True)
    except (BadBase64, ValueError):
        return None


def _digest(sign_type: str) -> SHA1 | SHA256:
    return SHA1() if sign_type == "RSA" else SHA256()  # noqa: S303 - the legacy kind is SHA-1


def load_private_key(text: str) -> RSAPrivateKey:
    """An RSA key as PEM or as bare base64 of its DER (how the vendor's tools print it)."""
    try:
        key = load_der_private_key(_der(text), None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise Unreadable("not an RSA private key") from error
    if not isinstance(key, RSAPrivateKey):
        raise Unreadable("not an RSA private key")
    return key


def load_public_key(text: str) -> RSAPublicKey:
    """An RSA public key as PEM or as bare base64 of its DER."""
    try:
        key = load_der_public_key(_der(text))
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise Unreadable("not an RSA public key") from error
    if not isinstance(key, RSAPublicKey):
        raise Unreadable("not an RSA public key")
    return key


def _der(text: str) -> bytes:
    return b64decode(_ARMOR.sub("", text), validate=True)


# --- forms ----------------------------------------------------------------------------------


def form(params: Mapping[str, str]) -> str:
    """Parameters as `application/x-www-form-urlencoded`, UTF-8."""
    return "&".join(f"{_quoted(name)}={_quoted(value)}" for name, value in params.items())


def _quoted(text: str) -> str:
    """As `quote_plus`, which takes a payment's longest time beside RSA: a table instead."""
    octets = text if text.isascii() else text.encode().decode("latin-1")
    return octets.translate(_QUOTED)


def merged(query: str, body: bytes = b"") -> dict[str, str]:
    """Query string and form body as one set of parameters, decoded by their own `charset`.

    Official clients put the common parameters into the query and `biz_content` into the body,
    others put everything into either; the charset itself may stand only in the query. A name
    that comes twice keeps its first value, the query's before the body's. Raise Unreadable.
    """
    found: dict[bytes, bytes] = {}
    parts = [part for part in query.encode("utf-8", "surrogateescape").split(b"&") if part]
    parts += [part for part in body.split(b"&") if part]
    if len(parts) > PARAMS_MAX:
        raise Unreadable("too many parameters")
    for part in parts:
        name, _, value = part.partition(b"=")
        found.setdefault(_unquoted(name), _unquoted(value))
    codec = codec_of(found.get(b"charset", b"utf-8").decode("latin-1"))
    try:
        return {name.decode(codec): value.decode(codec) for name, value in found.items()}
    except UnicodeDecodeError as error:
        raise Unreadable("parameters that are not in their charset") from error


def _unquoted(part: bytes) -> bytes:
    if b"%" not in part and b"+" not in part:
        return part
    return unquote_to_bytes(part.replace(b"+", b" "))


# --- answers --------------------------------------------------------------------------------


class Answer(msgspec.Struct, frozen=True, gc=False):
    """An answer taken apart, and not believed yet.

    `content`: the very bytes that are signed. `signature` None: it came unsigned. `name`: the
    member they stood under, the method's or `error_response`.
    """

    name: str
    content: bytes
    signature: str | None
    certificate: str | None = None

    @property
    def is_encrypted(self) -> bool:
        """Whether the content is a quoted base64 text instead of an object."""
        return self.content[:1] == b'"'


ERROR_RESPONSE: Final = "error_response"
_MEMBERS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_TEXT: Final = msgspec.json.Decoder(str)


def response_name(method: str) -> str:
    """`alipay.trade.pay` -> `alipay_trade_pay_response`."""
    return method.replace(".", "_") + "_response"


def split(body: bytes, method: str, charset: str = "utf-8") -> Answer:
    """Find the signed substring of an answer. Raise Unreadable.

    Of a member that comes twice the last one counts, here as well as for the signature: what is
    read afterwards is always what was verified.
    """
    codec = codec_of(charset)
    try:
        text = body if codec == "utf-8" else body.decode(codec).encode()
        members = _MEMBERS.decode(text)
        name = response_name(method)
        raw = members.get(name)
        if raw is None:
            name, raw = ERROR_RESPONSE, members.get(ERROR_RESPONSE)
        signature = _TEXT.decode(members["sign"]) if "sign" in members else None
        certificate = members.get("alipay_cert_sn")
        serial = None if certificate is None else _TEXT.decode(certificate)
        content = b"" if raw is None else bytes(raw)
        content = content if codec == "utf-8" else content.decode().encode(codec)
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise Unreadable("an answer that is not JSON of the expected shape") from error
    if content[:1] not in (b"{", b'"'):
        raise Unreadable("an answer to another method, or to none")
    return Answer(name, content, signature, serial)


def joined(name: str, content: str, signature: str | None, certificate: str | None = None) -> str:
    """The text of an answer: put together once, `sign` directly behind the response object."""
    text = f'{{"{name}":{content}'
    if signature is not None:
        text += f',"sign":"{signature}"'
    if certificate is not None:
        text += f',"alipay_cert_sn":"{certificate}"'
    return text + "}"


# --- encrypted content ----------------------------------------------------------------------


def encrypt(key: bytes, text: bytes) -> str:
    """AES-CBC with a zero IV and PKCS#7 padding, in base64 (`encrypt_type=AES`)."""
    pad = PKCS7(_AES_BLOCK_BITS).padder()
    cipher = Cipher(AES(key), CBC(_ZERO_IV)).encryptor()
    padded = pad.update(text) + pad.finalize()
    return b64encode(cipher.update(padded) + cipher.finalize()).decode("ascii")


def decrypt(key: bytes, text: str) -> bytes:
    """The reverse of `encrypt`. Raise Unreadable."""
    unpad = PKCS7(_AES_BLOCK_BITS).unpadder()
    cipher = Cipher(AES(key), CBC(_ZERO_IV)).decryptor()
    try:
        padded = cipher.update(b64decode(text, validate=True)) + cipher.finalize()
        return unpad.update(padded) + unpad.finalize()
    except ValueError as error:
        raise Unreadable("encrypted content that this key does not open") from error


def opened(answer: Answer, key: bytes | None) -> bytes:
    """The JSON object of a verified answer, decrypted where needed. Raise Unreadable."""
    if not answer.is_encrypted:
        return answer.content
    if key is None:
        raise Unreadable("an encrypted answer, and no key for it")
    try:
        return decrypt(key, _TEXT.decode(answer.content))
    except msgspec.DecodeError as error:
        raise Unreadable("an encrypted answer that is no text") from error
