"""Bytes of a request body -> a checked struct, or Malformed (400) or InvalidField (422).

The body is read once without a type, then converted. Counting proves cheaply that no key came
twice: the untyped value has lost what came twice, while the bytes still have a colon for each
member. Colons in strings only add to that count, so equal counts prove it; anything else is looked
at exactly.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple, NoReturn, TypeVar

from msgspec import DecodeError, Struct, ValidationError, convert
from msgspec.json import Decoder
from msgspec.structs import fields

from gateway.logs import get_logger
from gateway.schemas import CARD_FREE, EMPTY_ALLOWED, MULTILINE, RULES
from payments.errors import InvalidField, Malformed

BODY_BYTES_MAX: Final = 64 * 1024
DEPTH_MAX: Final = 8

_CONTROL: Final = re.compile(
    # Controls, line and paragraph separators, what turns the direction of writing, non-characters.
    r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff\ufffe\uffff]"
)
_CARD: Final = re.compile(
    # 13-19 digits in one piece, or in the groups printed on cards. Issuers begin with 22-27, 3-6,
    # 81 or 9; this spares numbers that are dates. The check digit decides.
    r"(?<![0-9])(?=[3-69]|2[2-7]|81)"
    r"(?:[0-9]{13,19}"
    r"|[0-9]{4}(?:[ -][0-9]{4}){3}(?:[ -][0-9]{1,3})?"
    r"|[0-9]{4}[ -][0-9]{6}[ -][0-9]{5})"
    r"(?![0-9])"
)
_DIGITS: Final = re.compile(r"[0-9][0-9 -]{11}")
_MEMBER: Final = re.compile(rb'"[ \t\r\n]*:')
_ESCAPED_CONTROL: Final = re.compile(rb"\\(?:[bfnrt]|u(?:00[01789]|20|[dD][89a-fA-F]|[fF][eEfF]))")
_TOO_DEEP: Final = f"The body is nested deeper than {DEPTH_MAX}."
_PATH: Final = re.compile(r" - at (?:`key` in )?`\$([^`]*)`$")
_STEP: Final = re.compile(r"\.([A-Za-z_][A-Za-z0-9_]*)|\[([0-9]+)\]")
_DOUBLES: Final = str.maketrans("0123456789", "0246813579")

_read: Final = Decoder().decode

log = get_logger("gateway.decode")

T = TypeVar("T", bound=Struct)


def decode(kind: type[T], body: bytes) -> T:
    """Read a body of the given kind. Raise Malformed or InvalidField, and nothing else."""
    if not body and kind in EMPTY_ALLOWED:
        body = b"{}"
    try:
        raw = _read(body)
    except (DecodeError, UnicodeDecodeError, RecursionError) as error:
        _unreadable(body, error)
    if type(raw) is not dict:
        raise Malformed("The body must be a JSON object.")
    colons = body.count(b":")
    if colons != len(raw) and colons != len(raw) + _metadata_size(raw):
        _refuse_duplicates(raw, body)
    if (
        (b"\\" in body and _ESCAPED_CONTROL.search(body))
        or b"\x7f" in body
        or (not body.isascii() and _may_hold_controls(body))
    ):
        _refuse_controls(raw)
    try:
        value = convert(raw, kind)
    except ValidationError as error:
        _invalid(kind, raw, str(error))
    for name in raw:
        if name in CARD_FREE:
            _refuse_card(name, raw[name])
    rule = RULES.get(kind)
    if rule is not None:
        rule(value)
    return value


def _may_hold_controls(body: bytes) -> bool:
    """Whether the beginning of the UTF-8 of any character in _CONTROL above 0x7f occurs."""
    return (
        b"\xc2" in body
        or b"\xe2\x80" in body
        or b"\xe2\x81" in body
        or b"\xef\xbb" in body
        or b"\xef\xbf" in body
    )


# --- Malformed --------------------------------------------------------------------------------


def _unreadable(body: bytes, error: Exception) -> NoReturn:
    if not body:
        raise Malformed("The body is empty; send a JSON object.")
    if isinstance(error, RecursionError):
        raise Malformed(_TOO_DEEP)
    if isinstance(error, UnicodeDecodeError):
        raise Malformed("The body is not UTF-8.")
    if "out of range" in str(error):
        raise Malformed("A number in the body is too large.")
    raise Malformed("The body is not JSON.")


class _Twice(NamedTuple):
    """A key that came twice, and the JSON pointer to it from the value around it."""

    key: str
    pointer: str


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any] | _Twice:
    """The object of these members, or which key in it comes twice."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            return _Twice(key, f"/{_escaped(key)}")
        inner = _twice_in(value)
        if inner is not None:
            return _Twice(inner.key, f"/{_escaped(key)}{inner.pointer}")
        found[key] = value
    return found


def _twice_in(value: Any) -> _Twice | None:
    """What `_unique` found in a value, through arrays."""
    if type(value) is list:
        for index, part in enumerate(value):
            inner = _twice_in(part)
            if inner is not None:
                return _Twice(inner.key, f"/{index}{inner.pointer}")
    return value if type(value) is _Twice else None


def _refuse_duplicates(raw: dict[str, Any], body: bytes) -> None:
    """Raise Malformed if a key comes twice anywhere, or if the body is nested too deep."""
    members, depth = _measure(raw)
    if depth > DEPTH_MAX:
        raise Malformed(_TOO_DEEP)
    if len(_MEMBER.findall(body)) == members:
        return
    try:
        twice = _twice_in(
            json.loads(body, object_pairs_hook=_unique, parse_int=len, parse_float=len)
        )
    except (ValueError, RecursionError):
        raise Malformed("The body is not JSON, or nested too deep.") from None
    if twice is not None:
        raise Malformed(f"The key {twice.key[:40]!r} comes twice.", param=twice.pointer)


def _refuse_depth(raw: dict[str, Any]) -> None:
    if _measure(raw)[1] > DEPTH_MAX:
        raise Malformed(_TOO_DEEP)


def _metadata_size(raw: dict[str, Any]) -> int:
    metadata = raw.get("metadata")
    return len(metadata) if type(metadata) is dict else 0


def _measure(value: Any) -> tuple[int, int]:
    """How many members the objects in a value have together, and how deep it is nested.

    Stops below DEPTH_MAX: nobody needs to know how much deeper.
    """
    members, depth = 0, 0
    level = [value]
    while level and depth <= DEPTH_MAX:
        depth += 1
        below: list[Any] = []
        for part in level:
            if type(part) is dict:
                members += len(part)
                below += part.values()
            elif type(part) is list:
                below += part
        level = [part for part in below if type(part) is dict or type(part) is list]
    return members, depth


# --- Invalid ----------------------------------------------------------------------------------


def _escaped(key: str) -> str:
    """A key as a step of a JSON pointer, cut to what a message can bear."""
    return key[:64].replace("~", "~0").replace("/", "~1")


def _texts(value: Any, pointer: str = "") -> Iterator[tuple[str, str]]:
    """Every string in a value, keys too, each with the pointer to its place."""
    if type(value) is str:
        yield pointer, value
    elif type(value) is dict:
        for key, part in value.items():
            here = f"{pointer}/{_escaped(key)}"
            yield here, key
            yield from _texts(part, here)
    elif type(value) is list:
        for index, part in enumerate(value):
            yield from _texts(part, f"{pointer}/{index}")


def _refuse_controls(raw: dict[str, Any]) -> None:
    _refuse_depth(raw)
    for pointer, text in _texts(raw):
        if _CONTROL.search(text) and pointer not in MULTILINE:
            raise InvalidField(
                "Control characters and line ends are not allowed.",
                param=_CONTROL.sub("\N{REPLACEMENT CHARACTER}", pointer),
            )


def _refuse_card(name: str, value: str | dict[str, str] | None) -> None:
    """Raise InvalidField for free text with a card number in it: it must never be kept."""
    if value is None:
        return
    if isinstance(value, str):
        if _DIGITS.search(value) and has_card_number(value):
            _card_seen(f"/{name}")
        return
    for key, text in value.items():
        if _DIGITS.search(key) and has_card_number(key):
            # The pointer to the member would repeat the number.
            _card_seen(f"/{name}")
        if _DIGITS.search(text) and has_card_number(text):
            _card_seen(f"/{name}/{_escaped(key)}")


def _card_seen(pointer: str) -> NoReturn:
    """Raise the alarm too: a client that sends card numbers should hear of it from people."""
    log.warning("card number refused", param=pointer)
    raise InvalidField("This looks like a card number; those must not be sent here.", param=pointer)


def has_card_number(text: str) -> bool:
    """Whether a text holds 13-19 digits that could be a card's, check digit included."""
    return any(_luhn(found.group()) for found in _CARD.finditer(text))


def _luhn(text: str) -> bool:
    digits = text.replace(" ", "").replace("-", "")[::-1]
    return (sum(map(int, digits[::2])) + sum(map(int, digits[1::2].translate(_DOUBLES)))) % 10 == 0


def _invalid(kind: type[Struct], raw: dict[str, Any], message: str) -> NoReturn:
    """Turn msgspec's refusal into ours. Unknown and missing fields are found without its text."""
    _refuse_depth(raw)
    known = {field.encode_name: field for field in fields(kind)}
    for key in raw:
        if key not in known:
            raise InvalidField("This field is not known here.", param="/" + _escaped(key))
    for name, field in known.items():
        if field.required and name not in raw:
            raise InvalidField("This field is required.", param="/" + name)
    found = _PATH.search(message)
    pointer, reason = "", message
    if found is not None:
        reason = message[: found.start()]
        steps = (name or index for name, index in _STEP.findall(found.group(1)))
        pointer = "".join(f"/{step}" for step in steps)
    if missing := re.search(r"missing required field `([a-z_]+)`", reason):
        pointer, reason = f"{pointer}/{missing.group(1)}", "This field is required"
    elif unknown := re.search(r"contains unknown field `([^`]{1,64})", reason):
        pointer, reason = f"{pointer}/{_escaped(unknown.group(1))}", "This field is not known here"
    elif reason.startswith("Invalid enum value"):
        reason = "This is not one of the values allowed here"
    raise InvalidField(reason.replace("`", "") + ".", param=pointer or "/")
