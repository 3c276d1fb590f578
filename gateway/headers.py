"""What a request's headers ask for, besides who sends it: idempotency, patience, kind of body."""

import re
from typing import Final

from multidict import istr

from gateway.errors import UnsupportedMediaType
from gateway.fields import BadField, parse_string
from gateway.signatures import IDEMPOTENCY_KEY, Headers
from payments.errors import Malformed

IDEMPOTENCY_KEY_MAX: Final = 255
WAIT_S_MAX: Final = 30

PREFER: Final = istr("Prefer")
CONTENT_TYPE: Final = istr("Content-Type")
CONTENT_ENCODING: Final = istr("Content-Encoding")

_WAIT: Final = re.compile(
    r'\s*wait\s*=\s*(?:([0-9]{1,9})|"([0-9]{1,9})")\s*(?:;.*)?', re.IGNORECASE
)
_JSON: Final = re.compile(
    r'application/json[ \t]*(?:;[ \t]*charset=(?:utf-8|"utf-8")[ \t]*)?;?[ \t]*', re.IGNORECASE
)


def idempotency_key(headers: Headers) -> str:
    """The Idempotency-Key, quoted or bare: both ways name the same key. Raise Malformed."""
    lines = headers.getall(IDEMPOTENCY_KEY, ())
    if len(lines) == 1:
        key = lines[0]
        try:
            if key.startswith('"'):
                key = parse_string(key)
        except BadField:
            key = ""
        if 0 < len(key) <= IDEMPOTENCY_KEY_MAX and key.isascii() and key.isprintable():
            return key
    raise Malformed(
        "This request needs one Idempotency-Key of 1 to 255 printable ASCII characters."
        if lines
        else "This request needs the header Idempotency-Key.",
        param="Idempotency-Key",
    )


def optional_idempotency_key(headers: Headers) -> str | None:
    """The Idempotency-Key where it may be left out. Raise Malformed for a bad one."""
    return idempotency_key(headers) if headers.getall(IDEMPOTENCY_KEY, ()) else None


def preferred_wait_s(headers: Headers) -> int | None:
    """Seconds of `Prefer: wait=n` (RFC 7240), at most WAIT_S_MAX; None where it says nothing.

    A preference is a wish: what cannot be read is passed over, the first one counts.
    """
    lines = headers.getall(PREFER, ())
    if not lines:
        return None
    for preference in ", ".join(lines).split(","):
        found = _WAIT.fullmatch(preference)
        if found:
            return min(int(found.group(1) or found.group(2)), WAIT_S_MAX)
    return None


def check_content_type(headers: Headers, body: bytes) -> None:
    """Let plain JSON in UTF-8 pass, and an empty body of any kind. Raise UnsupportedMediaType."""
    if any(line.lower() != "identity" for line in headers.getall(CONTENT_ENCODING, ())):
        raise UnsupportedMediaType("Send the body as it is, without Content-Encoding.")
    lines = headers.getall(CONTENT_TYPE, ())
    if len(lines) == 1:
        sent = lines[0]
        if sent == "application/json" or _JSON.fullmatch(sent):
            return
    elif not lines and not body:
        return
    if body or lines:
        raise UnsupportedMediaType("The body must be application/json in UTF-8.")
