"""XML as a small tree, read without any of the doors that XML leaves open.

The standard library's expat reads; nothing else is needed, because all attacks on a parser (entity
bombs, files and hosts fetched as entities) begin with a document type, and a message has none: one
that does is refused before a parser sees it. So is any encoding but UTF-8, in which such a
declaration could hide.
"""

import re
from typing import Final, NoReturn
from xml.parsers import expat

from msgspec import Struct

MESSAGE_MAX_BYTES: Final = 16_777_216
"""Largest message, in bytes: 10 000 items need about ten million."""

ITEMS_MAX: Final = 10_000
"""Most payments, answers or entries in one message."""

ELEMENTS_MAX: Final = 600_000
"""Most elements in one message: 10 000 entries of a statement have about 450 000."""

DEPTH_MAX: Final = 24
"""How deep elements may be nested; the deepest field that we read is the eleventh."""

_DOCTYPE: Final = "<!DOCTYPE"
_ENCODING: Final = re.compile(r"""<\?xml[^>]*?encoding\s*=\s*["']([A-Za-z0-9._-]+)["']""")
_MARK: Final = "\ufeff"
_SEPARATOR: Final = "}"


class MessageRefused(ValueError):
    """A message that is not what it should be. Its text names the place, never what stood there."""


class Element(Struct, gc=True):
    """One element: its local name, and either text or children. `attributes`: plain names only."""

    name: str
    text: str = ""
    children: list["Element"] = []
    attributes: dict[str, str] = {}


def read(message: bytes, namespace: str) -> Element:
    """The one child of `Document`, all of it in `namespace`. Raise MessageRefused."""
    if len(message) > MESSAGE_MAX_BYTES:
        raise MessageRefused(f"longer than {MESSAGE_MAX_BYTES} bytes")
    try:
        text = message.decode("utf-8")
    except UnicodeDecodeError:
        raise MessageRefused("not UTF-8") from None
    if _DOCTYPE in text:
        raise MessageRefused("a document type is not accepted")
    said = _ENCODING.match(text.removeprefix(_MARK))
    if said is not None and said.group(1).lower() != "utf-8":
        raise MessageRefused("the encoding must be UTF-8")
    document = _Reader(namespace).read(message)
    if document.name != "Document" or len(document.children) != 1:
        raise MessageRefused("the root must be Document with one message in it")
    return document.children[0]


class _Reader:
    """What expat tells, put together."""

    def __init__(self, namespace: str) -> None:
        self._prefix = namespace + _SEPARATOR
        self._root: Element | None = None
        self._open: list[Element] = []
        self._texts: list[list[str]] = []
        self._count = 0

    def read(self, message: bytes) -> Element:
        parser = expat.ParserCreate("utf-8", _SEPARATOR)
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._say
        try:
            parser.Parse(message, True)
        except expat.ExpatError as error:
            raise MessageRefused(f"not well-formed in line {error.lineno}") from None
        assert self._root is not None, "expat accepts no document without a root"
        return self._root

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._count += 1
        if self._count > ELEMENTS_MAX:
            raise MessageRefused(f"more than {ELEMENTS_MAX} elements")
        if len(self._open) >= DEPTH_MAX:
            raise MessageRefused(f"more than {DEPTH_MAX} elements deep")
        if not name.startswith(self._prefix):
            raise MessageRefused("an element of another message or version")
        plain = {name: value for name, value in attributes.items() if _SEPARATOR not in name}
        element = Element(name.removeprefix(self._prefix), attributes=plain)
        if self._open:
            self._open[-1].children.append(element)
        else:
            self._root = element
        self._open.append(element)
        self._texts.append([])

    def _say(self, text: str) -> None:
        self._texts[-1].append(text)

    def _end(self, name: str) -> None:
        element, text = self._open.pop(), "".join(self._texts.pop())
        if not element.children:
            element.text = text
        elif text.strip(" \t\r\n"):
            refuse(element, "holds text between its elements")


def refuse(element: Element, why: str) -> NoReturn:
    """Raise MessageRefused about an element."""
    raise MessageRefused(f"{element.name} {why}")


def one(parent: Element, name: str) -> Element:
    """The only child of that name."""
    found = maybe(parent, name)
    if found is None:
        refuse(parent, f"has no {name}")
    return found


def maybe(parent: Element, name: str) -> Element | None:
    """The only child of that name, if there is one."""
    found = [child for child in parent.children if child.name == name]
    if len(found) > 1:
        refuse(parent, f"has {name} more than once")
    return found[0] if found else None


def many(
    parent: Element, name: str, count_max: int = ITEMS_MAX, *, count_min: int = 1
) -> list[Element]:
    """All children of that name, from `count_min` (0 or 1) to `count_max`."""
    found = [child for child in parent.children if child.name == name]
    if len(found) < count_min:
        refuse(parent, f"has no {name}")
    if len(found) > count_max:
        refuse(parent, f"has {name} more than {count_max} times")
    return found


def down(parent: Element, path: str) -> Element:
    """The element at a path such as `Id/Othr/Id`, the only one at each step."""
    for name in path.split("/"):
        parent = one(parent, name)
    return parent


def maybe_down(parent: Element, path: str) -> Element | None:
    """The same, or None where a step is missing."""
    found: Element | None = parent
    for name in path.split("/"):
        if found is None:
            return None
        found = maybe(found, name)
    return found


def only(parent: Element, *names: str) -> None:
    """Refuse children of any other name: what is not understood must not be carried out."""
    for child in parent.children:
        if child.name not in names:
            refuse(parent, f"has {child.name[:35]}, which is not served here")


# --- writing ------------------------------------------------------------------------------------


def leaf(name: str, text: str, **attributes: str) -> Element:
    """An element with text."""
    return Element(name, text=text, attributes=attributes)


def branch(name: str, *children: Element | None) -> Element:
    """An element with children; None stands for one that is left out."""
    return Element(name, children=[child for child in children if child is not None])


def nested(path: str, inner: Element) -> Element:
    """`inner` within the elements of a path: `nested("Rsn", leaf("Cd", …))`."""
    for name in reversed(path.split("/")):
        inner = branch(name, inner)
    return inner


def write(message: Element, namespace: str) -> bytes:
    """The bytes of `Document` with the message in it. Assert that they are within the limit."""
    parts = ['<?xml version="1.0" encoding="UTF-8"?>\n', f'<Document xmlns="{namespace}">']
    _write(message, parts)
    parts.append("</Document>\n")
    made = "".join(parts).encode()
    assert len(made) <= MESSAGE_MAX_BYTES, len(made)
    return made


def _write(element: Element, parts: list[str]) -> None:
    said = "".join(f' {name}="{_escaped(text)}"' for name, text in element.attributes.items())
    parts.append(f"<{element.name}{said}>")
    if element.children:
        for child in element.children:
            _write(child, parts)
    else:
        parts.append(_escaped(element.text))
    parts.append(f"</{element.name}>")


def _escaped(text: str) -> str:
    for character, instead in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;")):
        text = text.replace(character, instead)
    return text
