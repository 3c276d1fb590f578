"""What each receiver gets of a payment: whole units, none lost, none made, none below zero.

In this order:

1. Ratios (and the ratios of tiers) are taken of the base together, by largest remainder: the
   fractions of a unit go to those who miss most of one, ties to the part that is named first.
2. Parts are served in the order they are named. A part that asks for more than is left gets what
   is left: of terms that do not fit, the last named are cut first, the merchant before all.
3. What is left is the remainder's receiver, or the merchant's.
4. With the base gross and the fee pro rata, what is handed out is the gross amount, and the fee is
   then taken from all of them, the merchant too, by their parts and by largest remainder.
"""

from collections.abc import Sequence

from payments.fees import PPM
from payments.money import Money
from payments.splitting.terms import Base, FeeBearer, Part, Share, Terms


def by_largest_remainder(total: int, weights: Sequence[int]) -> list[int]:
    """`total` minor units by weight, to the last unit; ties go to the earlier weight."""
    return [part.minor for part in Money(total).split(weights)]


def shares_of(terms: Terms, settle_amount: int, fee: int) -> tuple[Share, ...]:
    """What each part of the terms comes to for a payment that settles so much, less such a fee.

    Together never more than `settle_amount - fee`; what is missing to it is the merchant's.
    """
    assert 0 <= fee <= settle_amount, (settle_amount, fee)
    left = _pool(terms, settle_amount, fee)
    got = []
    for want in _wanted(terms, settle_amount, fee):
        got.append(min(want, left))
        left -= got[-1]
    for at, part in enumerate(terms.parts):
        if part.remainder:
            got[at], left = left, 0
    if fee and _is_borne_by_all(terms):
        borne = by_largest_remainder(fee, [*got, left])
        got = [part - cost for part, cost in zip(got, borne, strict=False)]
    shares = zip(terms.parts, got, strict=True)
    return tuple(Share(part.receiver, amount) for part, amount in shares)


def is_cut(terms: Terms, settle_amount: int, fee: int) -> bool:
    """Whether the parts ask for more than there is, so that the merchant's would be below zero."""
    return sum(_wanted(terms, settle_amount, fee)) > _pool(terms, settle_amount, fee)


def _is_borne_by_all(terms: Terms) -> bool:
    return terms.base is Base.GROSS and terms.fee is FeeBearer.PRO_RATA


def _pool(terms: Terms, settle_amount: int, fee: int) -> int:
    """What can be handed out."""
    return settle_amount if _is_borne_by_all(terms) else settle_amount - fee


def _wanted(terms: Terms, settle_amount: int, fee: int) -> list[int]:
    """What each part asks for, fitting or not; the remainder asks for nothing."""
    base = settle_amount if terms.base is Base.GROSS else settle_amount - fee
    asked = [_of_base(part, base) for part in terms.parts]
    ratios = [ratio for _, ratio in asked]
    whole = sum(ratios)
    if not whole:
        return [amount for amount, _ in asked]
    # What the ratios leave takes part in the rounding, so that it is as fair to the merchant.
    parts = by_largest_remainder(base, [*ratios, max(0, PPM - whole)])
    return [amount or part for (amount, _), part in zip(asked, parts, strict=False)]


def _of_base(part: Part, base: int) -> tuple[int, int]:
    """(amount, ratio in ppm) of a part for this base; one of the two is zero."""
    if part.tiers:
        for tier in part.tiers:
            if tier.up_to is None or base <= tier.up_to:
                return tier.amount, tier.ratio_ppm
    return part.amount or 0, part.ratio_ppm or 0
