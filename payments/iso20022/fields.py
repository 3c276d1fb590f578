"""The fields that all messages share: texts, amounts, days, instants, accounts, banks, names.

Amounts are whole minor units with us and decimals on the wire, in the currency's own number of
digits; they are taken apart as text, so no digit is ever rounded. Texts are what people and banks
can print: no control characters, no blanks at either end.
"""

import re
from datetime import date
from typing import Final

from payments.calendar import INSTANT_MAX_MS, parse_rfc3339, rfc3339
from payments.iso20022.trees import (
    Element,
    MessageRefused,
    branch,
    down,
    leaf,
    maybe,
    maybe_down,
    nested,
    one,
    refuse,
)
from payments.money import EXPONENTS, Currency

ID_MAX: Final = 35
"""Characters of a message id, a payment id, an EndToEndId, a reference."""

ACCOUNT_MAX: Final = 34
NAME_MAX: Final = 140
REMITTANCE_MAX: Final = 140
"""Characters of a remittance text that every clearing system carries."""

DETAIL_MAX: Final = 105
"""Characters of the sentence beside a reason."""

DIGITS_MAX: Final = 18
NO_REFERENCE: Final = "NOTPROVIDED"
"""What the standard says where a reference is required and there is none."""

_ID: Final = re.compile(r"[!-~](?:[ -~]{0,33}[!-~])?")
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")
_DECIMAL: Final = re.compile(r"([0-9]{1,18})(?:\.([0-9]{1,5}))?")
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_CODE: Final = re.compile(r"[A-Z0-9]{1,4}")
_COUNT: Final = re.compile(r"[0-9]{1,15}")
_IBAN: Final = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}")
_BIC: Final = re.compile(r"[A-Z0-9]{4}[A-Z]{2}[A-Z0-9]{2}(?:[A-Z0-9]{3})?")
_CNAPS: Final = re.compile(r"[0-9]{12}")


# --- what a text may be -------------------------------------------------------------------------


def is_id(text: str) -> bool:
    """Whether it can be an id: 1 to 35 printable ASCII characters, no blank at either end."""
    return _ID.fullmatch(text) is not None


def is_text(text: str, length_max: int) -> bool:
    """Whether it can be a text of at most so many characters, at least one."""
    return 1 <= len(text) <= length_max and text == text.strip() and not _CONTROL.search(text)


def is_code(text: str) -> bool:
    """Whether it can be a code of an external list, such as AC04."""
    return _CODE.fullmatch(text) is not None


def is_instant(ms: int) -> bool:
    """Whether it is an instant from 1970 to the end of the year 9999, in milliseconds."""
    return 0 <= ms < INSTANT_MAX_MS


def is_day(yyyymmdd: int) -> bool:
    """Whether it is a day of the calendar, as yyyymmdd, from the year 1000 on."""
    year, month, number = yyyymmdd // 10_000, yyyymmdd // 100 % 100, yyyymmdd % 100
    try:
        return date(year, month, number).year >= 1000
    except ValueError:
        return False


def must(is_right: bool, what: str) -> None:
    """Raise MessageRefused where a message cannot be built: an illegal one does not exist."""
    if not is_right:
        raise MessageRefused(f"{what} cannot be said in a message")


# --- reading ------------------------------------------------------------------------------------


def id_at(parent: Element, path: str) -> str:
    found = down(parent, path)
    if not is_id(_text(found)):
        refuse(found, "is not an id")
    return found.text


def text_at(parent: Element, path: str, length_max: int) -> str:
    found = down(parent, path)
    if not is_text(_text(found), length_max):
        refuse(found, f"is not a text of 1 to {length_max} printable characters")
    return found.text


def maybe_text(parent: Element, path: str, length_max: int) -> str:
    """Empty where it is missing."""
    if maybe_down(parent, path) is None:
        return ""
    return text_at(parent, path, length_max)


def maybe_id(parent: Element, path: str) -> str:
    """Empty where it is missing or not provided."""
    said = "" if maybe_down(parent, path) is None else id_at(parent, path)
    return "" if said == NO_REFERENCE else said


def code_at(parent: Element, path: str) -> str:
    found = down(parent, path)
    if not is_code(_text(found)):
        refuse(found, "is not a code")
    return found.text


def count_at(parent: Element, path: str) -> int:
    found = down(parent, path)
    if _COUNT.fullmatch(_text(found)) is None:
        refuse(found, "is not a number")
    return int(found.text)


def amount_at(parent: Element, name: str) -> tuple[int, Currency]:
    """An amount with its currency, in minor units, 0 or more."""
    found = one(parent, name)
    try:
        currency = Currency(found.attributes.get("Ccy", "").lower())
    except ValueError:
        refuse(found, "is in a currency that is not served")
    if found.attributes["Ccy"] != currency.upper():
        refuse(found, "has a currency in small letters")
    return _minor(found, currency), currency


def sum_at(parent: Element, name: str, currency: Currency) -> int:
    """A sum without a currency of its own."""
    return _minor(one(parent, name), currency)


def _minor(found: Element, currency: Currency) -> int:
    parts = _DECIMAL.fullmatch(_text(found))
    if parts is None:
        refuse(found, "is not an amount")
    exponent = EXPONENTS[currency]
    whole, fraction = parts.group(1), (parts.group(2) or "").rstrip("0")
    if len(fraction) > exponent or len(whole) + exponent > DIGITS_MAX:
        refuse(found, "has more digits than its currency")
    return int(whole + fraction.ljust(exponent, "0"))


def day_at(parent: Element, path: str) -> int:
    """A day as yyyymmdd."""
    found = down(parent, path)
    text = _text(found)
    try:
        if _DAY.fullmatch(text) is None:
            raise ValueError(text)
        day = date.fromisoformat(text)
    except ValueError:
        refuse(found, "is not a day")
    return day.year * 10_000 + day.month * 100 + day.day


def instant_at(parent: Element, path: str) -> int:
    """An instant in milliseconds since 1970. One without a zone is taken for UTC."""
    found = down(parent, path)
    text = _text(found)
    try:
        return parse_rfc3339(text if re.search(r"(?:[Zz]|[+-]\d\d:\d\d)$", text) else text + "Z")
    except ValueError:
        refuse(found, "is not an instant")


def account_at(parent: Element, name: str) -> str:
    """The IBAN or the bank's own number."""
    identity = down(parent, f"{name}/Id")
    if maybe(identity, "IBAN") is not None:
        return text_at(identity, "IBAN", ACCOUNT_MAX)
    return text_at(identity, "Othr/Id", ACCOUNT_MAX)


def agent_at(parent: Element, name: str) -> str:
    """The bank: its BIC, its number in the clearing system, or another id; empty for none."""
    if maybe(parent, name) is None:
        return ""
    institution = down(parent, f"{name}/FinInstnId")
    for path in ("BICFI", "ClrSysMmbId/MmbId", "Othr/Id"):
        if maybe_down(institution, path) is not None:
            said = id_at(institution, path)
            return "" if said == NO_REFERENCE else said
    refuse(institution, "names no bank")


def _text(found: Element) -> str:
    if found.children:
        refuse(found, "holds elements and should be a text")
    return found.text


# --- writing ------------------------------------------------------------------------------------


def decimal(minor: int, currency: Currency) -> str:
    """An amount as the wire writes it: 3800 -> 38.00."""
    assert minor >= 0, minor
    exponent = EXPONENTS[currency]
    whole, part = divmod(minor, 10**exponent)
    assert len(str(whole)) + exponent <= DIGITS_MAX, minor
    return f"{whole}.{part:0{exponent}d}" if exponent else str(whole)


def amount(name: str, minor: int, currency: Currency) -> Element:
    return leaf(name, decimal(minor, currency), Ccy=currency.upper())


def day(name: str, yyyymmdd: int) -> Element:
    text = f"{yyyymmdd:08d}"
    return leaf(name, f"{text[:4]}-{text[4:6]}-{text[6:]}")


def instant(name: str, ms: int) -> Element:
    return leaf(name, rfc3339(ms))


def account(name: str, number: str) -> Element:
    kind = leaf("IBAN", number) if is_iban(number) else nested("Othr", leaf("Id", number))
    return nested(f"{name}/Id", kind)


def agent(name: str, number: str) -> Element:
    """A bank by its BIC, its twelve digits in China's clearing system, or another id."""
    if _BIC.fullmatch(number):
        institution = leaf("BICFI", number)
    elif _CNAPS.fullmatch(number):
        system = nested("ClrSysId", leaf("Cd", "CNAPS"))
        institution = branch("ClrSysMmbId", system, leaf("MmbId", number))
    else:
        institution = nested("Othr", leaf("Id", number or NO_REFERENCE))
    return nested(f"{name}/FinInstnId", institution)


def is_iban(number: str) -> bool:
    """ISO 13616: its shape, and a remainder of 1 by 97 with the first four characters last."""
    if _IBAN.fullmatch(number) is None:
        return False
    turned = number[4:] + number[:4]
    return int("".join(str(int(character, 36)) for character in turned)) % 97 == 1
