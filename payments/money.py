"""Exact amounts: whole numbers of a currency's smallest unit. No floats, no Decimal inside."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

from msgspec import Struct


class Currency(StrEnum):
    """ISO 4217, lower case as on the wire."""

    CNY = "cny"


EXPONENTS: Final[dict[Currency, int]] = {Currency.CNY: 2}
AMOUNT_MAX: Final = 100_000_000_00
"""Largest single amount accepted, in minor units: one hundred million yuan."""


class Money(Struct, frozen=True, array_like=True, gc=False):
    """An exact amount: a whole number of the currency's smallest unit."""

    minor: int
    currency: Currency = Currency.CNY

    def __add__(self, other: Money) -> Money:
        assert self.currency is other.currency, (self, other)
        return Money(self.minor + other.minor, self.currency)

    def __sub__(self, other: Money) -> Money:
        assert self.currency is other.currency, (self, other)
        return Money(self.minor - other.minor, self.currency)

    def __neg__(self) -> Money:
        return Money(-self.minor, self.currency)

    def __str__(self) -> str:
        exponent = EXPONENTS[self.currency]
        sign = "-" if self.minor < 0 else ""
        whole, part = divmod(abs(self.minor), 10**exponent)
        return f"{sign}{whole}.{part:0{exponent}d} {self.currency.upper()}"

    def split(self, weights: Sequence[int]) -> list[Money]:
        """Divide by weight without losing a unit; the largest remainders round up.

        The sign of the amount is kept. Ties go to the earlier share.
        """
        total = sum(weights)
        assert total > 0, weights
        assert min(weights) >= 0, weights
        size = abs(self.minor)
        shares = [size * weight // total for weight in weights]
        short = size - sum(shares)
        neediest = sorted(range(len(shares)), key=lambda i: -(size * weights[i] % total))
        for index in neediest[:short]:
            shares[index] += 1
        assert sum(shares) == size
        sign = -1 if self.minor < 0 else 1
        return [Money(sign * share, self.currency) for share in shares]
