"""The example channel on the wire, for both sides: what is said, and what of it is signed.

Every request is `POST /v1/<verb>` with a JSON object and the header `Example-Signature`: RSA with
SHA-256 over the verb, a line feed and the body as sent. An answer is signed over the request's
signature, a line feed and its own body, so that it answers this request and no other; a notice over
the word `notice`, a line feed and the body. Source: this file; the channel is made up.
"""

from base64 import b64decode, b64encode
from binascii import Error as BadBase64
from typing import Final

import msgspec
from msgspec import Struct

HEADER: Final = "example-signature"
"""In lower case, as headers are looked up."""

VERBS: Final = ("pay", "query", "reverse", "close", "refund", "refund-query")
WINDOW_S: Final = 300
"""A request or notice whose `at` is further from now is refused: it may be an old one."""

NOTICE: Final = "notice"
SUCCESS: Final = b"success"


class Unreadable(ValueError):
    """What came is not of this wire. The text never quotes what came."""


class Ask(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A request. Amounts in minor units; `at`: Unix seconds; `expires_at`: business ms."""

    shop: str
    at: int
    order: str
    amount: int = 0
    currency: str = ""
    way: str = ""
    wallet: str = ""
    auth_code: str = ""
    title: str = ""
    expires_at: int = 0
    notify_url: str = ""
    refund: str = ""
    total: int = 0


class Told(Struct, frozen=True, omit_defaults=True):
    """An answer or a notice. Amounts in minor units, `discounts` as (funder, amount).

    `state`: of the order paid | waiting | refused | closed | reversed | absent; of a refund
    refunded | absent; of the request error (try again) | used | not_enough | bad. `channel_no` is
    the channel's number, `amount` what was asked for, `reason` a code of the payer's refusal,
    `done_at` when the money was taken or given back, business ms.
    """

    shop: str
    order: str
    state: str
    at: int = 0
    amount: int = 0
    currency: str = ""
    channel_no: str = ""
    code: str = ""
    reason: str = ""
    refund: str = ""
    payer_amount: int = 0
    settle_amount: int = 0
    discounts: tuple[tuple[str, int], ...] = ()
    done_at: int = 0


_ENCODER: Final = msgspec.json.Encoder()
_ASK: Final = msgspec.json.Decoder(Ask)
_TOLD: Final = msgspec.json.Decoder(Told)


def encode(message: Ask | Told) -> bytes:
    """The body. What is sent, and no second writing of it, is what is signed."""
    return _ENCODER.encode(message)


def read_ask(body: bytes) -> Ask:
    """Raise Unreadable."""
    try:
        return _ASK.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise Unreadable("not a request of this wire") from error


def read_told(body: bytes) -> Told:
    """Raise Unreadable."""
    try:
        return _TOLD.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise Unreadable("not an answer of this wire") from error


def request_text(verb: str, body: bytes) -> bytes:
    """What a shop signs."""
    return verb.encode() + b"\n" + body


def answer_text(request_signature: str, body: bytes) -> bytes:
    """What the channel signs in an answer."""
    return request_signature.encode() + b"\n" + body


def notice_text(body: bytes) -> bytes:
    """What the channel signs in a callback."""
    return NOTICE.encode() + b"\n" + body


def write_signature(signature: bytes) -> str:
    """As a header's value."""
    return b64encode(signature).decode("ascii")


def read_signature(header: str) -> bytes:
    """Raise Unreadable."""
    try:
        return b64decode(header, validate=True)
    except (BadBase64, ValueError) as error:
        raise Unreadable("a signature that is no base64") from error


def is_in_window(at: int, now_ms: int) -> bool:
    """Whether a message's instant is near enough to be no replay."""
    return abs(now_ms - at * 1000) <= WINDOW_S * 1000
