"""Structured header fields (RFC 8941), as far as signatures and digests need them.

Read: dictionaries of inner lists or byte sequences, with parameters; strings; integers. Written:
the one canonical form, because a signature covers the serialization and not the bytes as sent.
Stricter than the RFC in two points: a key that comes twice is refused, and a byte sequence must
be canonical base64.
"""

import binascii
import re
from typing import Final

from msgspec import Struct

MEMBERS_MAX: Final = 8
ITEMS_MAX: Final = 64
PARAMETERS_MAX: Final = 16

_KEY: Final = re.compile(r"[a-z*][a-z0-9_.*-]*")
_STRING: Final = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])*)"')
_INTEGER: Final = re.compile(r"(-?[0-9]{1,15})(?![0-9.])")
_BYTES: Final = re.compile(r":([A-Za-z0-9+/]*={0,2}):")
_TOKEN: Final = re.compile(r"[A-Za-z*][A-Za-z0-9:/!#$%&'*+.^_`|~-]*")
_BOOLEAN: Final = re.compile(r"\?([01])")
_ESCAPE: Final = re.compile(r"\\(.)")


class BadField(ValueError):
    """The text is not the structured field it should be."""


class Token(str):
    """A bare word, told apart from a string because it is written without quotes."""

    __slots__ = ()


Bare = str | int | bool | bytes
Parameters = dict[str, Bare]


class Item(Struct, frozen=True):
    value: Bare
    parameters: Parameters = {}


class InnerList(Struct, frozen=True):
    items: tuple[Item, ...]
    parameters: Parameters = {}


class _Reader:
    """A place in a text. Every method takes what it names or raises BadField."""

    __slots__ = ("at", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def is_done(self) -> bool:
        return self.at >= len(self.text)

    def take(self, pattern: re.Pattern[str], what: str) -> re.Match[str]:
        found = pattern.match(self.text, self.at)
        if found is None:
            raise BadField(f"no {what} at character {self.at}")
        self.at = found.end()
        return found

    def next_is(self, character: str) -> bool:
        """Step over `character` if it comes next."""
        if self.text.startswith(character, self.at):
            self.at += 1
            return True
        return False

    def spaces(self, which: str = " ") -> int:
        """Step over spaces; return how many there were."""
        start = self.at
        while self.at < len(self.text) and self.text[self.at] in which:
            self.at += 1
        return self.at - start

    def bare(self) -> Bare:
        head = self.text[self.at : self.at + 1]
        if head == '"':
            return unescape(self.take(_STRING, "string").group(1))
        if head == ":":
            return decode_bytes(self.take(_BYTES, "byte sequence").group(1))
        if head == "?":
            return self.take(_BOOLEAN, "boolean").group(1) == "1"
        if head == "-" or head.isdigit():
            return int(self.take(_INTEGER, "integer").group(1))
        return Token(self.take(_TOKEN, "value").group())

    def parameters(self) -> Parameters:
        found: Parameters = {}
        while self.next_is(";"):
            self.spaces()
            key = self.take(_KEY, "parameter").group()
            if key in found or len(found) == PARAMETERS_MAX:
                raise BadField(f"parameter {key} comes twice, or there are too many")
            found[key] = self.bare() if self.next_is("=") else True
        return found

    def item(self) -> Item:
        return Item(self.bare(), self.parameters())

    def inner_list(self) -> InnerList:
        items: list[Item] = []
        if not self.next_is("("):
            raise BadField("no list")
        while True:
            gap = self.spaces()
            if self.next_is(")"):
                return InnerList(tuple(items), self.parameters())
            if (items and not gap) or len(items) == ITEMS_MAX:
                raise BadField("list items are not apart, or there are too many")
            items.append(self.item())


def parse_dictionary(text: str) -> dict[str, Item | InnerList]:
    """Read a dictionary field, such as `a=:AAE=:, b=("x");y=1`. Raise BadField."""
    reader = _Reader(text.strip(" "))
    found: dict[str, Item | InnerList] = {}
    while not reader.is_done():
        key = reader.take(_KEY, "key").group()
        if key in found or len(found) == MEMBERS_MAX:
            raise BadField(f"{key} comes twice, or there are too many members")
        if not reader.next_is("="):
            found[key] = Item(True, reader.parameters())
        elif reader.text.startswith("(", reader.at):
            found[key] = reader.inner_list()
        else:
            found[key] = reader.item()
        reader.spaces(" \t")
        if reader.is_done():
            break
        if not reader.next_is(","):
            raise BadField(f"no comma at character {reader.at}")
        reader.spaces(" \t")
        if reader.is_done():
            raise BadField("nothing after the last comma")
    return found


def parse_string(text: str) -> str:
    """Read a field that is one string without parameters. Raise BadField."""
    found = _STRING.fullmatch(text)
    if found is None:
        raise BadField("not a quoted string")
    return unescape(found.group(1))


def unescape(inner: str) -> str:
    return _ESCAPE.sub(r"\1", inner) if "\\" in inner else inner


def decode_bytes(text: str) -> bytes:
    """Decode canonical base64: with padding, and no bits left over. Raise BadField."""
    try:
        value = binascii.a2b_base64(text, strict_mode=True)
    except binascii.Error as error:
        raise BadField("not base64") from error
    if encode_bytes(value) != text:
        raise BadField("not canonical base64")
    return value


def encode_bytes(value: bytes) -> str:
    return binascii.b2a_base64(value, newline=False).decode("ascii")


def serialize_bare(value: Bare) -> str:
    """The canonical text of a value."""
    if isinstance(value, bool):
        return "?1" if value else "?0"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, bytes):
        return f":{encode_bytes(value)}:"
    if isinstance(value, Token):
        return str(value)
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def serialize_parameters(parameters: Parameters) -> str:
    return "".join(
        f";{key}" if value is True else f";{key}={serialize_bare(value)}"
        for key, value in parameters.items()
    )


def serialize_inner_list(members: InnerList) -> str:
    """The canonical text of a list with its parameters, as a signature covers it."""
    items = " ".join(
        serialize_bare(item.value) + serialize_parameters(item.parameters) for item in members.items
    )
    return f"({items}){serialize_parameters(members.parameters)}"
