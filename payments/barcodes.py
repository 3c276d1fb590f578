"""The codes that a payer's phone shows to a till (付款码): which wallet, told by the first digits.

    wallet     first two digits   length     source
    wechat     10-15              18         the wallet's own documentation
    alipay     25-30              16-24      the wallet's own documentation
    unionpay   62                 19         several independent readers
    ecny       01                 19         one source only, therefore a setting

A code is single-use and lives about a minute. It is a bearer of money: never logged or stored in
full. EMVCo's consumer-presented codes are text, not digits; they all begin alike (`payments/emv`).
"""

from collections.abc import Iterable
from typing import Final

from msgspec import Struct

PREFIX_DIGITS: Final = 2
ECNY_PREFIX: Final = "01"
CPM_HEAD: Final = "hQVDUFYwMW"
"""Base64 of the tag 85, its length and "CPV01": how every consumer-presented EMVCo code begins."""


class WalletCodes(Struct, frozen=True):
    """The codes of one wallet: its first two digits, shortest and longest count of digits."""

    wallet: str
    prefixes: tuple[str, ...]
    shortest: int
    longest: int

    def __post_init__(self) -> None:
        if not self.prefixes or not PREFIX_DIGITS < self.shortest <= self.longest:
            raise ValueError(f"codes of {self.wallet}: no prefix, or no length")
        for prefix in self.prefixes:
            if len(prefix) != PREFIX_DIGITS or not _is_digits(prefix):
                raise ValueError(f"codes of {self.wallet}: {prefix!r} is not two digits")


def _is_digits(text: str) -> bool:
    return text.isdigit() and text.isascii()


def _range(first: int, last: int) -> tuple[str, ...]:
    return tuple(f"{number:02}" for number in range(first, last + 1))


class Barcodes:
    """Tells a wallet by a code. Refuses rules under which one code would have two wallets."""

    __slots__ = ("_rules", "wallets")

    def __init__(self, codes: Iterable[WalletCodes]) -> None:
        self._rules: dict[str, WalletCodes] = {}
        for rule in codes:
            for prefix in rule.prefixes:
                other = self._rules.setdefault(prefix, rule)
                if other is not rule:
                    raise ValueError(f"{prefix} begins codes of {other.wallet} and {rule.wallet}")
        self.wallets = frozenset(rule.wallet for rule in self._rules.values())

    def wallet_of(self, code: str) -> str | None:
        """The wallet that shows such a code, or None for a text that no wallet shows."""
        rule = self._rules.get(code[:PREFIX_DIGITS])
        if rule is None or not rule.shortest <= len(code) <= rule.longest:
            return None
        return rule.wallet if _is_digits(code) else None


WECHAT: Final = WalletCodes("wechat", _range(10, 15), 18, 18)
ALIPAY: Final = WalletCodes("alipay", _range(25, 30), 16, 24)
UNIONPAY: Final = WalletCodes("unionpay", ("62",), 19, 19)


def barcodes(ecny_prefix: str = ECNY_PREFIX) -> Barcodes:
    """The wallets' codes as published. `ecny_prefix` "": the digital yuan shows none."""
    ecny = (WalletCodes("ecny", (ecny_prefix,), 19, 19),) if ecny_prefix else ()
    return Barcodes((WECHAT, ALIPAY, UNIONPAY, *ecny))


PUBLISHED: Final = barcodes()


def wallet_of(auth_code: str) -> str | None:
    """The wallet of a code by the rules as published."""
    return PUBLISHED.wallet_of(auth_code)


def is_consumer_presented(text: str) -> bool:
    """Whether a text begins as every EMVCo consumer-presented code does; `emv_cpm` reads it."""
    return text.startswith(CPM_HEAD)
