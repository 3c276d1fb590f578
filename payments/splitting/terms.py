"""The words of a split: what was agreed (terms), what it came to (shares), what went back.

All of them are part of a payment's or a refund's row: append fields at the end, with defaults.
"""

from enum import StrEnum
from typing import Final

from msgspec import Struct

RECEIVERS_MAX: Final = 20
"""Receivers that one payment can be split among."""

TIERS_MAX: Final = 10
"""Steps of one tiered part."""


class Base(StrEnum):
    """What ratios and tiers are taken of: `net` what is left after the fee, `gross` all of it."""

    NET = "net"
    GROSS = "gross"


class FeeBearer(StrEnum):
    """Who pays the fee where the base is gross: the merchant alone, or each by its share.

    Where the base is net the fee is gone before anybody gets a share.
    """

    MERCHANT = "merchant"
    PRO_RATA = "pro_rata"


class Tier(Struct, frozen=True, array_like=True, gc=False):
    """A step: for a base of at most `up_to` (None: any) a ratio of all of it, or an amount."""

    up_to: int | None = None
    ratio_ppm: int = 0
    amount: int = 0


class Part(Struct, frozen=True, array_like=True, gc=False):
    """What one receiver is to get: exactly one of an amount, a ratio, tiers, the remainder.

    `amount`: minor units. `ratio_ppm`: parts per million of the base.
    """

    receiver: str
    amount: int | None = None
    ratio_ppm: int | None = None
    tiers: tuple[Tier, ...] = ()
    remainder: bool = False


class Terms(Struct, frozen=True, array_like=True, gc=False):
    """What was agreed for one payment; what nobody gets by it is the merchant's.

    `rule`: the split rule it comes from, None where the payment itself said so. Without parts:
    the payment said that it is not to be split.
    """

    parts: tuple[Part, ...]
    base: Base = Base.NET
    fee: FeeBearer = FeeBearer.MERCHANT
    rule: str | None = None


class Share(Struct, frozen=True, array_like=True, gc=False):
    """What a receiver got of a payment that succeeded, and how much of it went back since."""

    receiver: str
    amount: int
    returned: int = 0


class ShareBack(Struct, frozen=True, array_like=True, gc=False):
    """What a refund took back from a receiver; `debt`: the part of it that was not there."""

    receiver: str
    amount: int
    debt: int = 0
