"""Fees are whole numbers, rounded half up, and refunds give them back to the last unit."""

import itertools
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments.fees import DEFAULT_PLAN, PPM, FeePlan, fee, give_back
from payments.money import AMOUNT_MAX

amounts = st.integers(1, AMOUNT_MAX)
small_amounts = st.integers(1, 5_000)


@st.composite
def plans(draw):
    """Any plan: a rate up to the whole, a floor, and perhaps a cap above it."""
    minimum = draw(st.sampled_from([0, 0, 1, 10, 500]))
    maximum = draw(st.none() | st.integers(minimum, minimum + 2_000))
    return FeePlan("any", draw(st.integers(0, PPM)), minimum, maximum)


SIX_PERMILLE = FeePlan("0.6 %", 6_000)
CAPPED = FeePlan("0.35 % up to 13 yuan", 3_500, maximum=1_300)
FLOORED = FeePlan("1 %, at least 10", 10_000, minimum=10)

FEES = [
    # 0.38 %: the first whole unit appears at half a unit
    (DEFAULT_PLAN, 131, 0),
    (DEFAULT_PLAN, 132, 1),
    (DEFAULT_PLAN, 3_800, 14),
    (DEFAULT_PLAN, 5_000_000, 19_000),
    # 0.6 %
    (SIX_PERMILLE, 83, 0),
    (SIX_PERMILLE, 84, 1),
    (SIX_PERMILLE, 50, 0),
    # cap and floor, on both sides
    (CAPPED, 371_285, 1_299),
    (CAPPED, 371_286, 1_300),
    (CAPPED, 10_000_000, 1_300),
    (FLOORED, 1_050, 11),
    (FLOORED, 999, 10),
    (FLOORED, 10, 10),
    # a floor takes no more than there is
    (FLOORED, 9, 9),
    (FLOORED, 0, 0),
    (DEFAULT_PLAN, 0, 0),
]


@pytest.mark.parametrize(("plan", "settle_amount", "expected"), FEES)
def test_a_fee_is_rounded_half_up_then_floored_and_capped(plan, settle_amount, expected):
    """The figures that channels and regulators publish come out to the last unit."""
    assert expected == fee(plan, settle_amount)


@given(amounts, st.integers(0, PPM))
def test_a_fee_is_the_nearest_whole_number_of_the_exact_one(settle_amount, rate_ppm):
    """Half up means within half a unit, and the upper one when it is exactly between."""
    exact = Fraction(settle_amount * rate_ppm, PPM)

    charged = fee(FeePlan("any", rate_ppm), settle_amount)

    assert Fraction(-1, 2) <= exact - charged < Fraction(1, 2)


@given(plans(), amounts, amounts)
def test_a_fee_grows_with_the_amount_and_never_faster(plan, one, other):
    """Selling more never costs less in fees, and one more unit never costs more than itself."""
    less, more = sorted((one, other))

    assert 0 <= fee(plan, more) - fee(plan, less) <= more - less
    assert 0 <= fee(plan, less) <= less


def test_the_fee_of_a_batch_is_the_sum_of_its_fees():
    """A thousand payments of 0.50 yuan at 0.6 % cost nothing; their sum would cost 3 yuan."""
    assert 0 == sum(fee(SIX_PERMILLE, 50) for _ in range(1_000))
    assert 300 == fee(SIX_PERMILLE, 50_000)


@pytest.mark.parametrize(
    "fields",
    [
        {"rate_ppm": -1},
        {"rate_ppm": PPM + 1},
        {"rate_ppm": 1, "minimum": -1},
        {"rate_ppm": 1, "minimum": 5, "maximum": 4},
    ],
)
def test_a_plan_that_makes_no_sense_cannot_be_built(fields):
    """A rate is between nothing and the whole, a cap is not below the floor."""
    with pytest.raises(ValueError, match="fee plan wrong"):
        FeePlan("wrong", **fields)


@st.composite
def refunded_payments(draw, amount=small_amounts):
    """(amount, settle_amount, plan, parts): a payment and a way to refund all of it."""
    paid = draw(amount)
    settled = paid - draw(st.integers(0, min(paid, 500)))
    cuts = sorted([*draw(st.lists(st.integers(1, paid), max_size=12, unique=True)), paid])
    edges = [0, *cuts] if cuts[-1] == paid else [0, *cuts, paid]
    parts = [b - a for a, b in itertools.pairwise(edges) if b > a]
    return paid, settled, draw(plans()), parts


def refund_all(amount, settle_amount, fee_total, plan, parts):
    """Refund part after part; what each gave back, as (settle_back, fee_back)."""
    refunded = settled = fees = 0
    backs = []
    for part in parts:
        back = give_back(amount, settle_amount, fee_total, plan, refunded, part, settled, fees)
        backs.append(back)
        refunded, settled, fees = refunded + part, settled + back[0], fees + back[1]
    return backs


@given(refunded_payments())
def test_a_full_refund_returns_all_however_it_is_split(case):
    """The parts give back exactly what was settled and charged, and none of them is negative."""
    amount, settle_amount, plan, parts = case
    fee_total = fee(plan, settle_amount)

    backs = refund_all(amount, settle_amount, fee_total, plan, parts)

    assert (settle_amount, fee_total) == (sum(b[0] for b in backs), sum(b[1] for b in backs))
    assert all(settle_back >= fee_back >= 0 for settle_back, fee_back in backs)


@given(refunded_payments(), st.data())
def test_where_refunds_stand_depends_on_their_sum_alone(case, data):
    """Two ways to refund the same part of a payment leave the same sums behind."""
    amount, settle_amount, plan, parts = case
    fee_total = fee(plan, settle_amount)
    some = parts[: data.draw(st.integers(1, len(parts)))]

    one_by_one = refund_all(amount, settle_amount, fee_total, plan, some)
    at_once = refund_all(amount, settle_amount, fee_total, plan, [sum(some)])

    assert [tuple(map(sum, zip(*one_by_one, strict=True)))] == at_once
    exact = Fraction(settle_amount * sum(some), amount)
    assert abs(at_once[0][0] - exact) <= Fraction(1, 2)


@given(refunded_payments(), plans())
def test_refunds_stay_within_the_fee_when_the_plan_has_changed(case, later_plan):
    """What was charged is the most that goes back, whatever the plan says by then."""
    amount, settle_amount, plan, parts = case
    fee_total = fee(plan, settle_amount)

    backs = refund_all(amount, settle_amount, fee_total, later_plan, parts)

    assert (settle_amount, fee_total) == (sum(b[0] for b in backs), sum(b[1] for b in backs))
    assert all(fee_back >= 0 for _, fee_back in backs)


def test_a_plan_may_keep_the_fee_of_what_is_refunded():
    """Without returned fees a full refund gives back all that was settled and no fee."""
    plan = FeePlan("keeps", 3_800, refundable=False)

    assert (3_800, 0) == give_back(3_800, 3_800, 14, plan, 0, 3_800, 0, 0)


@pytest.mark.parametrize(("before", "asked"), [(0, 3_801), (3_800, 1), (1, 3_800), (0, 0)])
def test_more_than_the_payment_is_never_given_back(before, asked):
    """Whoever asks for more should have been refused before: the arithmetic says so aloud."""
    with pytest.raises(AssertionError):
        give_back(3_800, 3_800, 14, DEFAULT_PLAN, before, asked, before, 0)
