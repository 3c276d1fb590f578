"""UnionPay's two dialects as text: canonical form, double hash, encoding and strict decoding.

The aggregated JSON interface and ACP 5.1.0 sign alike ("double hash"): the fields without
`signature`, sorted by name, joined `name=value&…`; SHA-256 of that as 64 lower-case hex digits;
and those digits, as ASCII, are what RSASSA-PKCS1-v1_5 with SHA-256 signs. They differ in what is
empty: the JSON interface keeps empty values and drops nulls, ACP drops empty ones. Everything
here is pure and serves both sides. Derived from public descriptions, never tried against the real
channel.
"""

import base64
import binascii
import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta, timezone
from hashlib import sha256
from typing import Final
from urllib.parse import parse_qsl, urlencode

SIGNATURE: Final = "signature"
FIELDS_MAX: Final = 200
"""Fields of one message; more is not a message of this channel."""

TEXT_MAX_BYTES: Final = 131_072
"""Size of one message, both ways."""

JSON_VALUE_MAX: Final = 8_192
"""Characters of a JSON value inside ACP's reply; a longer one is read like any other value."""

CHINA: Final = timezone(timedelta(hours=8), "Asia/Shanghai")
"""UnionPay's times: no daylight saving since 1991."""

TIME_FORMAT: Final = "%Y%m%d%H%M%S"
AMOUNT_DIGITS_MAX: Final = 12

_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
_FIELD_START: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}=")
_AMOUNT: Final = re.compile(rf"[0-9]{{1,{AMOUNT_DIGITS_MAX}}}")
_TIME: Final = re.compile(r"[0-9]{14}")
_CLOSING: Final = {"{": "}", "[": "]"}


class Malformed(ValueError):
    """Bytes that are not a message of this channel. The text names no value."""


# --- what is signed ---------------------------------------------------------------------------


def canonical(fields: Mapping[str, str]) -> str:
    """The text of both dialects' signatures: without `signature`, sorted, `name=value&…`."""
    return "&".join(f"{name}={fields[name]}" for name in sorted(fields) if name != SIGNATURE)


def without_empty(fields: Mapping[str, str]) -> dict[str, str]:
    """ACP's senders drop empty values before they sign and send."""
    return {name: value for name, value in fields.items() if value != ""}


def double_hash(text: str) -> bytes:
    """What RSA signs: the 64 hex digits of the text's SHA-256, not its 32 bytes."""
    return sha256(text.encode()).hexdigest().encode("ascii")


def signed_text(fields: Mapping[str, str]) -> bytes:
    """JSON interface: the bytes to sign or to verify. Empty values count."""
    return double_hash(canonical(fields))


def acp_signed_text(fields: Mapping[str, str]) -> bytes:
    """ACP 5.1.0: the bytes to sign. Empty values do not count."""
    return double_hash(canonical(without_empty(fields)))


def acp_texts(fields: Mapping[str, str]) -> tuple[bytes, ...]:
    """ACP 5.1.0: the bytes a received message may be signed over.

    Senders drop what is empty; one that sends an empty field all the same may have signed it. The
    two texts differ in empty fields alone, and nothing is ever read from one.
    """
    dropped = acp_signed_text(fields)
    if all(fields.values()):
        return (dropped,)
    return (dropped, signed_text(fields))


def encode_signature(signature: bytes) -> str:
    return base64.b64encode(signature).decode("ascii")


def decode_signature(fields: Mapping[str, str]) -> bytes:
    """The message's signature as bytes. Raise Malformed where there is none."""
    text = fields.get(SIGNATURE, "")
    if not text:
        raise Malformed("no signature")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Malformed("the signature is not base64") from None


# --- the aggregated JSON interface ------------------------------------------------------------


def encode_json(fields: Mapping[str, str]) -> bytes:
    """A flat map of strings."""
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()


def decode_json(body: bytes) -> dict[str, str]:
    """A flat map of strings; nulls are dropped, as the signature drops them. Raise Malformed.

    Numbers, nesting, a name twice and lone surrogates are refused: what cannot be told apart
    after signing cannot be believed.
    """
    try:
        pairs = json.loads(_text(body), object_pairs_hook=_Pairs)
    except (ValueError, RecursionError):
        raise Malformed("not JSON") from None
    if type(pairs) is not _Pairs:
        raise Malformed("not a JSON object")
    return _fields(pairs)


class _Pairs(list[tuple[str, object]]):
    """A JSON object as it stands, names twice included."""


def _text(body: bytes) -> str:
    if len(body) > TEXT_MAX_BYTES:
        raise Malformed("too long")
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        raise Malformed("not UTF-8") from None


def _fields(pairs: Iterable[tuple[str, object]]) -> dict[str, str]:
    fields: dict[str, str] = {}
    seen: set[str] = set()
    for name, value in pairs:
        if name in seen or len(seen) >= FIELDS_MAX:
            raise Malformed("a field twice, or too many of them")
        seen.add(name)
        if not _NAME.fullmatch(name):
            raise Malformed("not the name of a field")
        if value is None:
            continue
        if type(value) is not str:
            raise Malformed("a value that is not text")
        fields[name] = value
    try:
        "".join(fields.values()).encode()
    except UnicodeEncodeError:
        raise Malformed("half a surrogate pair") from None
    return fields


# --- ACP --------------------------------------------------------------------------------------


def encode_form(fields: Mapping[str, str]) -> bytes:
    """`application/x-www-form-urlencoded` in UTF-8: ACP's requests and its notifications."""
    return urlencode(fields).encode("ascii")


def decode_form(body: bytes) -> dict[str, str]:
    """The other way round. Raise Malformed."""
    try:
        pairs = parse_qsl(
            _text(body),
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=FIELDS_MAX,
        )
    except ValueError:
        raise Malformed("not a form") from None
    if not pairs:
        raise Malformed("empty")
    return _fields(pairs)


def encode_bare(fields: Mapping[str, str]) -> bytes:
    """ACP's reply: `name=value&…` with values as they are."""
    return "&".join(f"{name}={value}" for name, value in fields.items()).encode()


def decode_bare(body: bytes) -> dict[str, str]:
    """ACP's reply. Raise Malformed.

    Values are not URL-encoded and may hold `=`, and `&` too: a field begins only where a name and
    `=` follow, and not inside JSON braces or brackets. Where that guess is wrong the signature
    does not fit.
    """
    text = _text(body)
    fields: list[tuple[str, object]] = []
    at = 0
    while at < len(text):
        start = _FIELD_START.match(text, at)
        if start is None:
            raise Malformed("not name=value")
        end = _value_end(text, start.end())
        fields.append((text[at : start.end() - 1], text[start.end() : end]))
        if len(fields) > FIELDS_MAX:
            raise Malformed("too many fields")
        at = end + 1
    if not fields:
        raise Malformed("empty")
    return _fields(fields)


def _value_end(text: str, at: int) -> int:
    """Where the value that begins at `at` ends: at its `&`, or at the end of the text."""
    skipped = _json_end(text, at) if text[at : at + 1] in _CLOSING else at
    while True:
        end = text.find("&", skipped)
        if end < 0:
            return len(text)
        if end + 1 == len(text) or _FIELD_START.match(text, end + 1):
            return end
        skipped = end + 1


def _json_end(text: str, at: int) -> int:
    """Behind the JSON value that begins at `at`; `at` where none ends."""
    open_: list[str] = []
    in_string = False
    index = at
    while index < min(len(text), at + JSON_VALUE_MAX):
        character = text[index]
        if in_string:
            if character == "\\":
                index += 1
            elif character == '"':
                in_string = False
        elif character == '"':
            in_string = True
        elif character in _CLOSING:
            open_.append(_CLOSING[character])
        elif character in ("}", "]"):
            if open_.pop() != character:
                return at
            if not open_:
                return index + 1
        index += 1
    return at


# --- values -----------------------------------------------------------------------------------


def encode_time(ms: int) -> str:
    """`yyyyMMddHHmmss` in China, of milliseconds since 1970."""
    return datetime.fromtimestamp(ms // 1000, CHINA).strftime(TIME_FORMAT)


def decode_time(text: str) -> int:
    """Milliseconds since 1970. Raise Malformed."""
    if not _TIME.fullmatch(text):
        raise Malformed("not a time")
    try:
        at = datetime.strptime(text, TIME_FORMAT).replace(tzinfo=CHINA)
    except ValueError:
        raise Malformed("not a time") from None
    return round(at.astimezone(UTC).timestamp()) * 1000


def decode_amount(text: str) -> int:
    """Fen, as an integer of at most 12 digits. Raise Malformed."""
    if not _AMOUNT.fullmatch(text):
        raise Malformed("not an amount")
    return int(text)
