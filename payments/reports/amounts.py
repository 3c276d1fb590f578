"""Amounts as text: whole minor units for programs, decimals for whoever asks for them."""

from typing import Final

from payments.money import EXPONENTS, Currency

MINOR: Final = "minor"
DECIMAL: Final = "decimal"
FORMATS: Final = (MINOR, DECIMAL)


def exponent_of(currency: str) -> int:
    """Digits behind the point of a currency, in any case. ValueError for one we do not keep."""
    return EXPONENTS[Currency(currency.lower())]


def decimal_text(minor: int, exponent: int) -> str:
    """An amount with its point: `-9.47` is -947 with an exponent of 2. Exact, no grouping."""
    assert exponent >= 0, exponent
    if exponent == 0:
        return str(minor)
    whole, part = divmod(abs(minor), 10**exponent)
    return f"{'-' if minor < 0 else ''}{whole}.{part:0{exponent}d}"


def amount_text(minor: int, currency: str, amount_format: str) -> str:
    """An amount as a cell has it. `amount_format`: one of FORMATS."""
    assert amount_format in FORMATS, amount_format
    return str(minor) if amount_format == MINOR else decimal_text(minor, exponent_of(currency))
