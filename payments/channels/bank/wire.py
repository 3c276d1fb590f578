"""How messages travel between us and the bank: addresses, headers, and what is signed.

Source: docs/BANK.md; the wire is our own. A request's signature covers whom it comes from, when,
what for and its body; an answer's covers the nonce of the request that it answers, so that no old
answer can be shown again.
"""

import base64
import binascii
import hashlib
import re
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256

PAYMENTS: Final = "/bank/payments"
STATUS: Final = "/bank/status"
STATEMENTS: Final = "/bank/statements"
NOTICES: Final = STATEMENTS + "/camt.054"
DAYS: Final = STATEMENTS + "/camt.053"

CUSTOMER: Final = "Bank-Customer"
DATE: Final = "Bank-Date"
NONCE: Final = "Bank-Nonce"
SIGNATURE: Final = "Bank-Signature"

WINDOW_MS: Final = 300_000
"""How far a request's date may be from the bank's clock, either way."""

XML_TYPE: Final = "application/xml"
JSON_TYPE: Final = "application/json"

NO_NONCE: Final = "-"
"""Stands for the nonce in answers to requests that had none."""

NO_SUCH_ORDER: Final = "no_such_order"
"""The error of a status request about a number that the bank does not have."""

_NONCE: Final = re.compile(r"[0-9A-Za-z_-]{16,64}")


def is_nonce(text: str) -> bool:
    """16 to 64 letters, digits, underscores or hyphens."""
    return _NONCE.fullmatch(text) is not None


def request_text(
    method: str, target: str, customer: str, date: str, nonce: str, body: bytes
) -> bytes:
    """What the customer signs. `target`: path and query as sent; `date`: RFC 3339."""
    return _lines("request", method, target, customer, date, nonce, digest(body))


def answer_text(status: int, date: str, nonce: str, body: bytes) -> bytes:
    """What the bank signs. `nonce`: that of the request."""
    return _lines("answer", str(status), date, nonce, digest(body))


def _lines(*lines: str) -> bytes:
    return "".join(line + "\n" for line in lines).encode("utf-8", "backslashreplace")


def digest(body: bytes) -> str:
    """SHA-256, in small hexadecimal digits."""
    return hashlib.sha256(body).hexdigest()


def sign(key: RSAPrivateKey, text: bytes) -> bytes:
    """RSASSA-PKCS1-v1_5 with SHA-256."""
    return key.sign(text, PKCS1v15(), SHA256())


def is_signed(key: RSAPublicKey, text: bytes, signature: bytes) -> bool:
    try:
        key.verify(signature, text, PKCS1v15(), SHA256())
    except InvalidSignature:
        return False
    return True


def to_base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def from_base64(text: str) -> bytes:
    """Standard base64; empty, which no key signs, for anything else."""
    try:
        return base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        return b""
