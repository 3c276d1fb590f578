"""EMVCo consumer-presented codes (CPM): what a payer's phone shows instead of digits.

Base64 of BER-TLV: 85 the payload format "CPV01", 61 an application (up to several), 62 what is
common to all; 63 and 64 are transparent templates inside them. Source: EMVCo, Consumer-Presented
QR Code specification 1.1; ISO/IEC 7816-4 for tags and lengths.

Values are card data: nothing here shows one in a `repr` or in an error.
"""

from base64 import b64decode, b64encode
from binascii import Error as BadBase64
from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from payments.emv import BadCode

CODE_CHARACTERS_MAX: Final = 688
CODE_BYTES_MAX: Final = 512
DEPTH_MAX: Final = 4
APPLICATIONS_MAX: Final = 8
TAG_BYTES_MAX: Final = 3

FORMAT: Final = "85"
VERSION: Final = b"CPV01"
APPLICATION: Final = "61"
COMMON: Final = "62"
AID: Final = "4F"
LABEL: Final = "50"
TRACK_2: Final = "57"
PAN: Final = "5A"

_CONSTRUCTED: Final = 0x20
_MORE: Final = 0x80
_LOW_TAG: Final = 0x1F
_SHORT_LENGTH_MAX: Final = 0x7F
_LENGTH_BYTES_MAX: Final = 2


class Data(Struct, frozen=True):
    """One data object: `tag` in upper-case hex, and a value or, where constructed, `parts`."""

    tag: str
    value: bytes = b""
    parts: tuple["Data", ...] = ()

    def __repr__(self) -> str:
        inner = repr(self.parts) if self.parts else f"{len(self.value)} bytes"
        return f"Data({self.tag}, {inner})"

    def get(self, tag: str) -> bytes | None:
        """The value of a part, None when it is not there."""
        for part in self.parts:
            if part.tag == tag:
                return part.value
        return None


class ConsumerCode(Struct, frozen=True):
    """The objects after the payload format: applications, then what they have in common."""

    applications: tuple[Data, ...]
    common: Data | None = None

    @property
    def aids(self) -> tuple[str, ...]:
        """The application ids, in hex, most wanted first: they name the scheme that pays."""
        return tuple((app.get(AID) or b"").hex().upper() for app in self.applications)


# --- Reading --------------------------------------------------------------------------------


def parse(text: str) -> ConsumerCode:
    """Read a code. Raise BadCode and nothing else."""
    if len(text) > CODE_CHARACTERS_MAX:
        raise BadCode(f"longer than {CODE_CHARACTERS_MAX} characters")
    try:
        raw = b64decode(text.encode("ascii"), validate=True)
    except (BadBase64, UnicodeEncodeError, ValueError):
        raise BadCode("not base64") from None
    if len(raw) > CODE_BYTES_MAX:
        raise BadCode(f"longer than {CODE_BYTES_MAX} bytes")
    parts = _read(raw, "", 0, 1)
    if not parts or parts[0].tag != FORMAT:
        raise BadCode("the payload format comes first", FORMAT)
    if parts[0].value != VERSION:
        raise BadCode('only "CPV01" is known', FORMAT)
    return _assembled(parts[1:])


def _assembled(parts: tuple[Data, ...]) -> ConsumerCode:
    """Order and presence: applications first, one common template at most."""
    applications = tuple(part for part in parts if part.tag == APPLICATION)
    rest = parts[len(applications) :]
    for part in parts:
        if part.tag not in (APPLICATION, COMMON):
            raise BadCode("it does not belong here", part.tag)
    if parts[: len(applications)] != applications:
        raise BadCode("applications come before what they have in common", APPLICATION)
    if len(rest) > 1:
        raise BadCode("it comes twice", COMMON)
    code = ConsumerCode(applications, rest[0] if rest else None)
    _check(code)
    return code


def _check(code: ConsumerCode) -> None:
    if not 1 <= len(code.applications) <= APPLICATIONS_MAX:
        raise BadCode(f"1 to {APPLICATIONS_MAX} applications are possible", APPLICATION)
    for application in code.applications:
        aid = application.get(AID)
        if aid is None or not 5 <= len(aid) <= 16:
            raise BadCode("an application has an id of 5 to 16 bytes", f"{APPLICATION}.{AID}")


def _read(raw: bytes, path: str, offset: int, depth: int) -> tuple[Data, ...]:
    if depth > DEPTH_MAX:
        raise BadCode(f"nested deeper than {DEPTH_MAX}", path, offset)
    found: list[Data] = []
    at = 0
    while at < len(raw):
        start = at
        tag, at = _tag(raw, at, path, offset)
        inner = f"{path}.{tag}" if path else tag
        length, at = _length(raw, at, inner, offset)
        value = raw[at : at + length]
        if len(value) < length:
            raise BadCode(
                f"its length says {length}, but {len(value)} are left", inner, offset + start
            )
        if int(tag[:2], 16) & _CONSTRUCTED:
            found.append(Data(tag, b"", _read(value, inner, offset + at, depth + 1)))
        else:
            found.append(Data(tag, value))
        at += length
    return tuple(found)


def _tag(raw: bytes, at: int, path: str, offset: int) -> tuple[str, int]:
    """A tag and the place after it. Further bytes follow while the highest bit says so."""
    end = at + 1
    if raw[at] & _LOW_TAG == _LOW_TAG:
        while end < len(raw) and raw[end] & _MORE:
            end += 1
        end += 1
    if raw[at] in (0, 0xFF) or end - at > TAG_BYTES_MAX or end > len(raw):
        raise BadCode("not a tag", path, offset + at)
    return raw[at:end].hex().upper(), end


def _length(raw: bytes, at: int, path: str, offset: int) -> tuple[int, int]:
    """A length of one byte, or 81 and one, or 82 and two; the shortest form is asked for."""
    if at >= len(raw):
        raise BadCode("it has no length", path, offset + at)
    first = raw[at]
    if first <= _SHORT_LENGTH_MAX:
        return first, at + 1
    count = first & ~_MORE
    digits = raw[at + 1 : at + 1 + count]
    if not 1 <= count <= _LENGTH_BYTES_MAX or len(digits) < count:
        raise BadCode("not a length", path, offset + at)
    length = int.from_bytes(digits, "big")
    if _encoded_length(length) != raw[at : at + 1 + count]:
        raise BadCode("its length is not in the shortest form", path, offset + at)
    return length, at + 1 + count


# --- Building -------------------------------------------------------------------------------


def render(code: ConsumerCode) -> str:
    """The text of a code. Raise BadCode for what may not stand in one."""
    _check(code)
    parts = [Data(FORMAT, VERSION), *code.applications]
    if code.common is not None:
        if code.common.tag != COMMON:
            raise BadCode("it does not belong here", code.common.tag)
        parts.append(code.common)
    raw = _encoded(parts, "", 1)
    if len(raw) > CODE_BYTES_MAX:
        raise BadCode(f"longer than {CODE_BYTES_MAX} bytes")
    return b64encode(raw).decode("ascii")


def _encoded(parts: Iterable[Data], path: str, depth: int) -> bytes:
    if depth > DEPTH_MAX:
        raise BadCode(f"nested deeper than {DEPTH_MAX}", path)
    pieces: list[bytes] = []
    for part in parts:
        inner = f"{path}.{part.tag}" if path else part.tag
        tag = _tag_bytes(part.tag, inner)
        if tag[0] & _CONSTRUCTED:
            if part.value:
                raise BadCode("it is a template: it has parts, not a value", inner)
            value = _encoded(part.parts, inner, depth + 1)
        else:
            if part.parts:
                raise BadCode("it is no template: it has a value, not parts", inner)
            value = part.value
        pieces += (tag, _encoded_length(len(value)), value)
    return b"".join(pieces)


def _tag_bytes(tag: str, path: str) -> bytes:
    try:
        raw = bytes.fromhex(tag)
    except ValueError:
        raise BadCode("a tag is written in hexadecimal", path) from None
    if not raw or tag != raw.hex().upper() or _tag(raw, 0, path, 0)[1] != len(raw):
        raise BadCode("not a tag", path)
    return raw


def _encoded_length(length: int) -> bytes:
    if length <= _SHORT_LENGTH_MAX:
        return bytes((length,))
    digits = length.to_bytes(max(1, (length.bit_length() + 7) // 8), "big")
    return bytes((_MORE | len(digits),)) + digits


def application(aid: str, **parts: bytes) -> Data:
    """One application. `parts` by tag, with a `t` before it: `t50=b"LABEL"`."""
    try:
        named = bytes.fromhex(aid)
    except ValueError:
        raise BadCode("an application id is written in hexadecimal", AID) from None
    more = tuple(Data(tag.removeprefix("t").upper(), value) for tag, value in parts.items())
    return Data(APPLICATION, b"", (Data(AID, named), *more))
