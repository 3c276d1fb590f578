"""EMVCo merchant-presented codes (MPM): one code on the counter that many wallets can read.

The text is a row of data objects: ID (2 digits), length (2 digits, counts characters), value.

    00      payload format "01": first          52  merchant category        58  country
    01      11 static, 12 dynamic               53  currency (numeric)       59  name
    02-25   accounts of card schemes            54  amount                   60  city
    26-51   accounts: templates, 00 names whose 55-57  tip                   61  postal code
    62      additional data (template)          64  name and city in another language (template)
    65-79   reserved                            80-99  free templates, 00 names whose
    63      checksum: last

The checksum counts bytes where the lengths count characters: CRC-16/CCITT-FALSE over the UTF-8 of
everything up to and with "6304". Source: EMVCo, Merchant-Presented QR Code specification 1.1.
"""

from binascii import crc_hqx
from collections.abc import Iterable, Iterator
from typing import Final

from msgspec import Struct

from payments.emv_rules import CRC, check_value, is_template, mandatory

PAYLOAD_CHARACTERS_MAX: Final = 512
"""Of a code made here: what every reader must bear."""
READ_CHARACTERS_MAX: Final = 2_953
"""Of a code read here: the most that the largest picture holds; national labels do pass 512."""
VALUE_CHARACTERS_MAX: Final = 99
HEAD_CHARACTERS: Final = 4
"""Two of the ID and two of the length."""
CRC_START: Final = 0xFFFF
CRC_HEAD: Final = f"{CRC}04"
CRC_CHARACTERS: Final = 4
_UPPER_HEX: Final = frozenset("0123456789ABCDEF")


class BadCode(ValueError):
    """A text that is no EMVCo code, or a value that may not stand in one: the only error here.

    `path`: the object, as "62.05"; "" for the text as a whole. `at`: where in the text it begins,
    in characters (bytes in a consumer-presented code); None when something is built.
    """

    def __init__(self, reason: str, path: str = "", at: int | None = None) -> None:
        place = f"{path or 'code'}{'' if at is None else f' at {at}'}"
        super().__init__(f"{place}: {reason}")
        self.reason = reason
        self.path = path
        self.at = at


class Field(Struct, frozen=True):
    """One data object. A template has `fields`, anything else a `value`."""

    id: str
    value: str = ""
    fields: tuple["Field", ...] = ()

    def text(self) -> str:
        """The value as it stands in the code: a template's objects in their order."""
        return "".join(map(_rendered, self.fields)) if self.fields else self.value

    def get(self, identifier: str) -> str | None:
        """The value of an object in this template, None when it is not there."""
        return _find(self.fields, identifier)


def _find(fields: Iterable[Field], identifier: str) -> str | None:
    for field in fields:
        if field.id == identifier:
            return field.text()
    return None


class MerchantCode(Struct, frozen=True):
    """The objects of a code without its checksum, in their order."""

    fields: tuple[Field, ...]

    def get(self, *path: str) -> str | None:
        """The text of an object, by its IDs from the outside in; None when it is not there."""
        fields = self.fields
        for step in path[:-1]:
            fields = next((field.fields for field in fields if field.id == step), ())
        return _find(fields, path[-1])

    @property
    def is_dynamic(self) -> bool:
        """Made for one payment: it is to be shown once."""
        return self.get("01") == "12"

    @property
    def amount(self) -> str | None:
        """In major units, as text."""
        return self.get("54")

    @property
    def accounts(self) -> tuple[Field, ...]:
        """Whom the money can go to."""
        return tuple(field for field in self.fields if "02" <= field.id <= "51")


def crc16(data: bytes) -> int:
    """CRC-16/CCITT-FALSE: polynomial 0x1021, start 0xFFFF, nothing reflected or inverted."""
    return crc_hqx(data, CRC_START)


# --- Building -------------------------------------------------------------------------------


def render(code: MerchantCode, *, is_complete: bool = True) -> str:
    """The text of a code, with its checksum. Raise BadCode for what may not stand in one."""
    _check_fields(code.fields, "", is_complete=is_complete)
    body = "".join(map(_rendered, code.fields)) + CRC_HEAD
    if len(body) + CRC_CHARACTERS > PAYLOAD_CHARACTERS_MAX:
        raise BadCode(f"longer than {PAYLOAD_CHARACTERS_MAX} characters")
    return f"{body}{crc16(_utf8(body)):04X}"


def _rendered(field: Field) -> str:
    text = field.text()
    return f"{field.id}{len(text):02}{text}"


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise BadCode("half a character that UTF-8 cannot carry", at=error.start) from None


# --- Reading --------------------------------------------------------------------------------


def parse(text: str, *, is_complete: bool = True) -> MerchantCode:
    """Read a code. Raise BadCode and nothing else.

    `is_complete` False lets mandatory objects be missing: many codes in daily use leave out the
    merchant's category, name or city. What is there must be right all the same.
    """
    if len(text) > READ_CHARACTERS_MAX:
        raise BadCode(f"longer than {READ_CHARACTERS_MAX} characters")
    _check_crc(text)
    body = text[: -len(CRC_HEAD) - CRC_CHARACTERS]
    fields = _read(body, "", 0)
    _check_fields(fields, "", is_complete=is_complete)
    return MerchantCode(fields)


def _check_crc(text: str) -> None:
    """The checksum is judged before anything else: a misread code is to be scanned again."""
    at = len(text) - len(CRC_HEAD) - CRC_CHARACTERS
    if at < 0 or text[at : at + len(CRC_HEAD)] != CRC_HEAD:
        raise BadCode(f"does not end with {CRC_HEAD} and four digits", CRC, max(at, 0))
    said = text[-CRC_CHARACTERS:]
    if not _UPPER_HEX.issuperset(said):
        raise BadCode("the checksum is not four upper-case hexadecimal digits", CRC, at)
    is_right = crc16(_utf8(text[:-CRC_CHARACTERS])) == int(said, 16)
    if not is_right:
        raise BadCode("the checksum does not fit; scan it again", CRC, at)


def _read(text: str, path: str, offset: int) -> tuple[Field, ...]:
    return tuple(_objects(text, path, offset))


def _objects(text: str, path: str, offset: int) -> Iterator[Field]:
    at = 0
    while at < len(text):
        head = text[at : at + HEAD_CHARACTERS]
        here = offset + at
        if len(head) < HEAD_CHARACTERS or not (head.isdigit() and head.isascii()):
            raise BadCode("no ID and length of two digits each", path, here)
        identifier, length = head[:2], int(head[2:])
        inner = f"{path}.{identifier}" if path else identifier
        if not length:
            raise BadCode("its length is 00; leave it out instead", inner, here)
        value = text[at + HEAD_CHARACTERS : at + HEAD_CHARACTERS + length]
        if len(value) < length:
            raise BadCode(f"its length says {length}, but {len(value)} are left", inner, here)
        at += HEAD_CHARACTERS + length
        if is_template(inner):
            yield Field(identifier, "", _read(value, inner, here + HEAD_CHARACTERS))
        else:
            yield Field(identifier, value)


# --- What both must keep to -----------------------------------------------------------------


def _check_fields(fields: tuple[Field, ...], path: str, *, is_complete: bool) -> None:
    """Raise BadCode for a wrong, missing, misplaced or doubled object at any depth."""
    if not path and (not fields or fields[0].id != "00"):
        raise BadCode("the payload format comes first", "00")
    seen: set[str] = set()
    for field in fields:
        inner = f"{path}.{field.id}" if path else field.id
        if len(field.id) != 2 or not (field.id.isdigit() and field.id.isascii()):
            raise BadCode("an ID has two digits", inner)
        if field.id in seen:
            raise BadCode("it comes twice", inner)
        seen.add(field.id)
        _check_field(field, inner, is_complete=is_complete)
    missing = mandatory(path) - seen
    # Whose template it is must always be said; the rest is at the reader's mercy.
    missing = missing if is_complete else missing & {"00"}
    if missing:
        inner = f"{path}.{min(missing)}" if path else min(missing)
        raise BadCode("it is missing", inner)
    if not path:
        _check_together(seen, MerchantCode(fields), is_complete=is_complete)


def _check_field(field: Field, path: str, *, is_complete: bool) -> None:
    if is_template(path):
        if field.value or not field.fields:
            raise BadCode("it is a template: it has objects, not a value", path)
        _check_fields(field.fields, path, is_complete=is_complete)
    elif field.fields:
        raise BadCode("it is no template: it has a value, not objects", path)
    text = field.text()
    if not 1 <= len(text) <= VALUE_CHARACTERS_MAX:
        raise BadCode(f"{len(text)} characters; 1 to {VALUE_CHARACTERS_MAX} are possible", path)
    complaint = check_value(path, text)
    if complaint:
        raise BadCode(complaint, path)


def _check_together(seen: set[str], code: MerchantCode, *, is_complete: bool) -> None:
    if CRC in seen:
        raise BadCode("the checksum is last, and made here", CRC)
    if is_complete and not code.accounts:
        raise BadCode("nobody to pay: one of 02 to 51 is needed", "02")
    tip = code.get("55")
    for identifier, wanted in (("56", "02"), ("57", "03")):
        if (identifier in seen) is not (tip == wanted):
            raise BadCode(f"it belongs to tip indicator {wanted} (object 55)", identifier)
