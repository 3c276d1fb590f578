"""Shares: in the documented order, to the last unit, and never below zero."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments.fees import PPM
from payments.splitting.sharing import is_cut, shares_of
from payments.splitting.terms import Base, FeeBearer, Part, Terms, Tier

GROSS, NET = Base.GROSS, Base.NET
MERCHANT, PRO_RATA = FeeBearer.MERCHANT, FeeBearer.PRO_RATA
THIRDS = [Part(name, None, 333_333) for name in "abc"]
STEPS = (Tier(1_000, 0), Tier(5_000, 0, 30), Tier(None, 20_000))

TABLE = [
    # parts, base, fee bearer, settled, fee -> shares in the order named
    ([Part("a", 500), Part("b", None, 25_000), Part("c", None, 100_000)], NET, MERCHANT,
     10_000, 38, [500, 249, 996]),
    ([Part("a", None, 500_000)], GROSS, MERCHANT, 10_000, 38, [5_000]),
    ([Part("a", None, 500_000)], GROSS, PRO_RATA, 10_000, 38, [4_981]),
    ([Part("a", None, 500_000)], NET, PRO_RATA, 10_000, 38, [4_981]),
    # A fixed amount of a gross split bears its part of the fee too.
    ([Part("a", 5_000)], GROSS, PRO_RATA, 10_000, 38, [4_981]),
    ([Part("a", 5_000)], NET, PRO_RATA, 10_000, 38, [5_000]),
    # The largest remainders round up, ties to the first named, the merchant last.
    (THIRDS, NET, MERCHANT, 100, 0, [34, 33, 33]),
    (THIRDS, NET, MERCHANT, 1, 0, [1, 0, 0]),
    ([Part("a", None, 500_000)], NET, MERCHANT, 1, 0, [1]),
    ([Part("a", None, 499_999)], NET, MERCHANT, 1, 0, [0]),
    # What does not fit is cut: the merchant first, then the last named.
    ([Part("a", 60), Part("b", 60), Part("c", 60)], NET, MERCHANT, 100, 0, [60, 40, 0]),
    ([Part("a", None, PPM)], GROSS, MERCHANT, 100, 10, [90]),
    # The remainder is what is left, wherever it is named.
    ([Part("a", remainder=True), Part("b", 60)], NET, MERCHANT, 100, 10, [30, 60]),
    ([Part("a", remainder=True), Part("b", None, 500_000)], GROSS, PRO_RATA, 100, 10, [45, 45]),
    ([Part("a", remainder=True), Part("b", 99)], NET, MERCHANT, 50, 0, [0, 50]),
    # Tiers go by the base, and the tier is for all of it.
    ([Part("a", tiers=STEPS)], GROSS, MERCHANT, 1_000, 4, [0]),
    ([Part("a", tiers=STEPS)], GROSS, MERCHANT, 1_001, 4, [30]),
    ([Part("a", tiers=STEPS)], GROSS, MERCHANT, 5_001, 19, [100]),
    ([Part("a", tiers=STEPS)], NET, MERCHANT, 5_001, 19, [30]),
    ([Part("a", tiers=STEPS[:1])], NET, MERCHANT, 1_001, 0, [0]),
    # Nothing can be shared of nothing.
    ([Part("a", 5), Part("b", None, PPM)], NET, MERCHANT, 0, 0, [0, 0]),
    ([Part("a", 5)], GROSS, PRO_RATA, 7, 7, [0]),
]  # fmt: skip


@pytest.mark.parametrize(("parts", "base", "bearer", "settled", "fee", "expected"), TABLE)
def test_each_part_comes_to_its_share(parts, base, bearer, settled, fee, expected):
    """The order of `payments/splitting/sharing.py`, case by case."""
    found = shares_of(Terms(tuple(parts), base, bearer), settled, fee)

    assert expected == [share.amount for share in found]
    assert [part.receiver for part in parts] == [share.receiver for share in found]


@st.composite
def terms(draw):
    """Any terms that can be made: ratios together at most all of it."""
    count = draw(st.integers(1, 6))
    left = PPM
    parts = []
    for number in range(count):
        kind = draw(st.sampled_from(["amount", "ratio", "tiers", "remainder"]))
        name = f"rcv_{number}"
        if kind == "amount":
            parts.append(Part(name, draw(st.integers(1, 20_000))))
        elif kind == "remainder" and not any(part.remainder for part in parts):
            parts.append(Part(name, remainder=True))
        elif left:
            ratio = draw(st.integers(1, left))
            left -= ratio
            if kind == "tiers":
                below = Tier(draw(st.integers(1, 5_000)), draw(st.integers(0, ratio)))
                parts.append(Part(name, tiers=(below, Tier(None, ratio))))
            else:
                parts.append(Part(name, None, ratio))
    bearer = draw(st.sampled_from(FeeBearer))
    return Terms(tuple(parts), draw(st.sampled_from(Base)), bearer)


settled_amounts = st.integers(0, 30_000)


@given(terms(), settled_amounts, st.integers(0, 30_000))
def test_no_unit_is_lost_or_made(terms, settled, fee):
    """Shares and the merchant's rest are what was settled less the fee, each at least zero."""
    fee = min(fee, settled)
    amounts = [share.amount for share in shares_of(terms, settled, fee)]

    assert min(amounts, default=0) >= 0
    assert sum(amounts) <= settled - fee
    if any(part.remainder for part in terms.parts):
        assert sum(amounts) == settled - fee


@given(terms(), settled_amounts, st.integers(0, 30_000))
def test_what_fits_is_not_cut(terms, settled, fee):
    """Each ratio gets its exact part within a unit, each amount all of it, less its fee."""
    fee = min(fee, settled)
    if is_cut(terms, settled, fee):
        return
    base = settled if terms.base is GROSS else settled - fee
    is_shared_fee = terms.base is GROSS and terms.fee is PRO_RATA
    for part, share in zip(terms.parts, shares_of(terms, settled, fee), strict=True):
        exact = part.amount
        if part.ratio_ppm is not None:
            exact = base * part.ratio_ppm / PPM
        if exact is None:
            continue
        if is_shared_fee and settled:
            exact -= fee * exact / settled
        assert abs(share.amount - exact) < 2


def test_the_merchant_may_get_nothing_but_never_less():
    """Up to all of the net is no cut; one more is."""
    assert not is_cut(Terms((Part("a", 90),)), 100, 10)
    assert is_cut(Terms((Part("a", 91),)), 100, 10)
    assert not is_cut(Terms((Part("a", 100),), GROSS, PRO_RATA), 100, 10)
    assert is_cut(Terms((Part("a", 91),), GROSS, MERCHANT), 100, 10)
