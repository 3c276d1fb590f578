"""Shares against terms: what receivers have of a payment is what its terms give, to the unit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from payments.payment import Status
from payments.reconciliation.ours import misshared
from payments.splitting.sharing import shares_of
from payments.splitting.terms import Base, FeeBearer, Part, Share, Terms
from payments.testing import a_payment, an_id

COURIER, BRAND = an_id("rcv"), an_id("rcv")


def split(settled, fee, ratios, base=Base.NET, bearer=FeeBearer.MERCHANT):
    parts = zip((COURIER, BRAND), ratios, strict=True)
    terms = Terms(tuple(Part(receiver, ratio_ppm=ratio) for receiver, ratio in parts), base, bearer)
    return replace(
        a_payment(amount=settled, status=Status.SUCCEEDED),
        settle_amount=settled,
        fee=fee,
        split=terms,
        shares=shares_of(terms, settled, fee),
    )


amounts = st.integers(0, 1_000_000)
ratios = st.tuples(st.integers(0, 600_000), st.integers(0, 400_000))
payments = amounts.flatmap(
    lambda settled: st.builds(
        split,
        st.just(settled),
        st.integers(0, settled),
        ratios,
        st.sampled_from(Base),
        st.sampled_from(FeeBearer),
    )
)


@given(payments)
def test_whatever_was_split_by_its_terms_is_no_difference(payment):
    """Also after some of it went back: what a share came to does not change."""
    back = tuple(replace(share, returned=share.amount) for share in payment.shares)

    assert misshared(payment, payment.settle_amount) is None
    assert misshared(replace(payment, shares=back), payment.settle_amount) is None


@given(payments, st.integers(-50, 50).filter(bool), st.sampled_from((0, 1)))
def test_a_unit_more_or_less_is_found_with_its_amount(payment, more, at):
    shares = list(payment.shares)
    shares[at] = replace(shares[at], amount=shares[at].amount + more)

    assert more == misshared(replace(payment, shares=tuple(shares)), payment.settle_amount)


@given(payments, st.integers(1, 50))
def test_one_receivers_money_with_the_other_is_found_though_the_sum_is_right(payment, moved):
    one, other = payment.shares
    wrong = (replace(one, amount=one.amount + moved), replace(other, amount=other.amount - moved))

    assert 0 == misshared(replace(payment, shares=wrong), payment.settle_amount)


def test_a_share_that_the_terms_do_not_know_or_lack_is_found():
    payment = split(10_000, 60, (100_000, 0))

    assert 7 == misshared(
        replace(payment, shares=(*payment.shares, Share(an_id("rcv"), 7))), 10_000
    )
    assert -994 == misshared(replace(payment, shares=()), 10_000)


@pytest.mark.parametrize(("shared", "found"), [(9_940, None), (9_941, 1), (0, None)])
def test_without_terms_receivers_have_together_no_more_than_there_is(shared, found):
    payment = replace(split(10_000, 60, (0, 0)), split=None, shares=(Share(COURIER, shared),))

    assert found == misshared(payment, 10_000)
