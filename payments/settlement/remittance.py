"""What the text of a credit says: which channel account's money of which day this is.

The text is what channel and acquirer agreed to write, here `wechat-1 20261121`: the channel
account's name or its merchant number, and the bill's date, with whatever else between blanks,
commas, semicolons or slashes. A text that names no account of ours, two of them, no day or two
days is nobody's: such a credit waits for a person.
"""

import re
from collections.abc import Mapping
from typing import Final

from payments.clearing.workdays import to_date

TEXT_MAX: Final = 140
"""Characters of a remittance text in ISO 20022."""

_PARTS: Final = re.compile(r"[\s,;/|]+")
_DATE: Final = re.compile(r"20[0-9]{6}")


def read(text: str, accounts: Mapping[str, str]) -> tuple[str, int] | None:
    """(channel account, bill date yyyymmdd) that a credit names, or None.

    `accounts`: name or merchant number -> channel account.
    """
    words = _PARTS.split(text[:TEXT_MAX])
    named = {accounts[word] for word in words if word in accounts}
    dates = {int(word) for word in words if word not in accounts and _is_date(word)}
    if len(named) != 1 or len(dates) != 1:
        return None
    return named.pop(), dates.pop()


def write(account: str, bill_date: int) -> str:
    """The text of a credit for that account and day."""
    return f"{account} {bill_date}"


def _is_date(word: str) -> bool:
    if _DATE.fullmatch(word) is None:
        return False
    try:
        to_date(int(word))
    except ValueError:
        return False
    return True
