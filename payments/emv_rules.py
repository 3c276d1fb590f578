"""What may stand in each object of an EMVCo merchant-presented code.

An object is named by its path: "54" the amount, "62.05" the reference in the additional data.
Source: EMVCo, Merchant-Presented QR Code specification 1.1, tables 3.3 to 3.11.
"""

import re
from collections.abc import Callable
from typing import Final

CRC: Final = "63"
ADDITIONAL: Final = "62"
LANGUAGE: Final = "64"

_ACCOUNT: Final = re.compile(r"(?:2[6-9]|3\d|4\d|5[01])", re.ASCII)
_FREE: Final = re.compile(r"[89]\d", re.ASCII)
_SCHEME: Final = re.compile(r"62\.[5-9]\d", re.ASCII)


def is_template(path: str) -> bool:
    """Whether an object holds further objects instead of a value."""
    return path in (ADDITIONAL, LANGUAGE) or is_named(path)


def is_named(path: str) -> bool:
    """Whether a template says in its object 00 whose it is."""
    return any(kind.fullmatch(path) for kind in (_ACCOUNT, _FREE, _SCHEME))


_TOP: Final = frozenset({"00", "52", "53", "58", "59", "60"})
_NAMED: Final = frozenset({"00"})
_LANGUAGE: Final = frozenset({"00", "01"})
_NONE: Final = frozenset[str]()


def mandatory(path: str) -> frozenset[str]:
    """IDs that must be in a template; "" is the code itself."""
    if not path:
        return _TOP
    if path == LANGUAGE:
        return _LANGUAGE
    return _NAMED if is_named(path) else _NONE


def _like(pattern: str, words: str) -> Callable[[str], str]:
    shape = re.compile(pattern, re.ASCII)
    return lambda text: "" if shape.fullmatch(text) else words


def _up_to(longest: int) -> Callable[[str], str]:
    return lambda text: "" if len(text) <= longest else f"longer than {longest} characters"


AMOUNT_CHARACTERS_MAX: Final = 13
_AMOUNT: Final = _like(
    rf"(?=.{{1,{AMOUNT_CHARACTERS_MAX}}}\Z)\d+(?:\.\d*)?",
    f"digits with at most one '.', {AMOUNT_CHARACTERS_MAX} characters in all",
)
_LINE: Final = _up_to(25)

_VALUES: Final[dict[str, Callable[[str], str]]] = {
    "00": _like("01", 'only "01" is known'),
    "01": _like("1[12]", "11 (static) or 12 (dynamic)"),
    "52": _like(r"\d{4}", "four digits"),
    "53": _like(r"\d{3}", "three digits, as ISO 4217 numbers currencies"),
    "54": _AMOUNT,
    "55": _like("0[123]", "01 (ask), 02 (fixed) or 03 (percent)"),
    "56": _AMOUNT,
    "57": _like(r"(?!0*\.?0*\Z)\d{1,2}(?:\.\d{1,2})?", "a percentage from 0.01 to 99.99"),
    "58": _like("[A-Z]{2}", "two capital letters, as ISO 3166 names countries"),
    "59": _LINE,
    "60": _up_to(15),
    "61": _up_to(10),
    **{f"62.0{number}": _LINE for number in range(1, 9)},
    "62.09": _like("(?!.*(.).*\\1)[AME]{1,3}", "each of A, M and E at most once"),
    "62.10": _up_to(20),
    "62.11": _like(r"\d{3}", "three digits"),
    "64.00": _like("[A-Za-z]{2}", "two letters, as ISO 639 names languages"),
    "64.01": _LINE,
    "64.02": _up_to(15),
}
_WHOSE: Final = _up_to(32)
_NO_CONTROLS: Final = _like(r"[^\x00-\x1f\x7f]*", "control characters are not allowed")


def check_value(path: str, text: str) -> str:
    """What is wrong with the text of an object, in words; "" when nothing is."""
    complaint = _NO_CONTROLS(text)
    head, _, tail = path.rpartition(".")
    rule = _WHOSE if tail == "00" and head and is_named(head) else _VALUES.get(path)
    return complaint or (rule(text) if rule is not None else "")
