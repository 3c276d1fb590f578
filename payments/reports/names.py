"""Names of our accounts as hledger and Beancount both take them, and back again.

Both programs want colons between the parts and one of five words in front; Beancount also wants
each part to begin with a capital or a digit, and to be made of letters, digits and hyphens (its
language reference, "Accounts"). Ours have underscores, `#` and whatever a channel account is
called, so each part is written with escapes:

    first letter small           made a capital             pending     Pending
    `_` between letters, digits  a hyphen                   in_transit  In-transit
    any other character          two hyphens and its UTF-8  a.b         A--2Eb
                                 bytes in hexadecimal
    first character none of      `X` and its escape         Main        X--4Dain
    these, or an `x`

The kind of the account is put in front, the partition of a striped one behind:
`fees:income#17` is `Income:Fees:Income:17`. No two accounts get one name.
"""

from functools import lru_cache
from typing import Final

from payments import chart

ROOTS: Final = {
    chart.Kind.ASSET: "Assets",
    chart.Kind.LIABILITY: "Liabilities",
    chart.Kind.INCOME: "Income",
    chart.Kind.EXPENSE: "Expenses",
}
NAMES_KEPT: Final = 65_536

_PLAIN: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")
_FIRST: Final = frozenset("abcdefghijklmnopqrstuvwyz0123456789")
"""What may begin a part as it is, or as its capital; `x` announces an escape."""


@lru_cache(maxsize=NAMES_KEPT)
def plain_name(account: str) -> str:
    """The name of an account of ours in a journal. Raise UnknownAccount if it is not one."""
    parsed = chart.parse(account)
    path, _, stripe = account.partition("#")
    parts = [ROOTS[parsed.kind], *map(_part, path.split(":"))]
    return ":".join([*parts, stripe] if stripe else parts)


def account_of(name: str) -> str:
    """Our account behind a name in a journal. Raise ValueError for what is none."""
    root, *parts = name.split(":")
    words = [_word(part) for part in parts]
    for account in (":".join(words), ":".join(words[:-1]) + f"#{words[-1]}" if words else ""):
        try:
            if ROOTS[chart.parse(account).kind] == root:
                return account
        except chart.UnknownAccount:
            continue
    raise ValueError(f"{name[:80]!r} is the name of no account of ours")


def _part(word: str) -> str:
    """One part of a name, escaped."""
    first = word[0].upper() if word[0] in _FIRST else "X" + _escaped(word[0])
    pieces = [first]
    for at in range(1, len(word)):
        before, character, after = word[at - 1], word[at], word[at + 1 : at + 2]
        if character in _PLAIN:
            pieces.append(character)
        elif character == "_" and before in _PLAIN and after in _PLAIN and after:
            # Never before an escape: nobody could tell where that begins.
            pieces.append("-")
        else:
            pieces.append(_escaped(character))
    return "".join(pieces)


def _escaped(character: str) -> str:
    return "".join(f"--{byte:02X}" for byte in character.encode())


def _word(part: str) -> str:
    """A part without its escapes. Raise ValueError for what `_part` does not make."""
    out = bytearray()
    at = 1 if part.startswith("X") else 0
    while at < len(part):
        if part.startswith("--", at):
            out += bytes.fromhex(part[at + 2 : at + 4])
            at += 4
        else:
            out += part[at].replace("-", "_").encode()
            at += 1
    word = out.decode()
    word = word if part.startswith("X") else word[:1].lower() + word[1:]
    if not word or _part(word) != part:
        raise ValueError(f"{part[:80]!r} is no part of a name of ours")
    return word
