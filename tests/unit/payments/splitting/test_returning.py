"""What refunds take back: in proportion, cumulatively, and never in the other direction."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments.fees import FeePlan, fee, give_back
from payments.splitting.returning import drawn, in_proportion, shares_back
from payments.splitting.sharing import by_largest_remainder
from payments.splitting.terms import Share

weights = st.lists(st.integers(0, 3_000), min_size=1, max_size=8)

# Seats by the method of Sainte-Laguë as encyclopedias and electoral authorities show them.
PUBLISHED = [
    ([53_000, 24_000, 23_000], 7, [3, 2, 2]),
    ([100_000, 80_000, 30_000, 20_000], 8, [3, 3, 1, 1]),
]


@pytest.mark.parametrize(("votes", "seats", "expected"), PUBLISHED)
def test_published_examples_come_out(votes, seats, expected):
    """The same method under its other name."""
    assert expected == in_proportion(seats, votes)


@given(weights, st.data())
def test_it_is_the_method_of_sainte_lague(weights, data):
    """Against the definition: units go one by one to the largest weight / (2 n + 1)."""
    total = data.draw(st.integers(0, min(sum(weights), 400)))
    expected = [0] * len(weights)
    for _ in range(total):
        claims = [Fraction(w, 2 * n + 1) for w, n in zip(weights, expected, strict=True)]
        expected[claims.index(max(claims))] += 1

    assert expected == in_proportion(total, weights)


@given(weights, st.data())
def test_parts_only_grow(weights, data):
    """One more unit in all takes nothing from anybody; all of it is everybody's weight."""
    whole = sum(weights)
    total = data.draw(st.integers(0, whole))
    before, after = (in_proportion(t, weights) for t in (total, min(total + 1, whole)))

    assert sum(before) == total
    assert all(a >= b for a, b in zip(after, before, strict=True))
    assert weights == in_proportion(whole, weights)


def test_largest_remainders_would_pay_out_at_a_refund():
    """The Alabama paradox in its textbook case: why refunds are not rounded as splits are."""
    assert [4, 4, 2] == by_largest_remainder(10, [6, 6, 2])
    assert [5, 5, 1] == by_largest_remainder(11, [6, 6, 2])
    assert [5, 4, 1] == in_proportion(10, [6, 6, 2])
    assert [5, 5, 1] == in_proportion(11, [6, 6, 2])


LUNCH = (Share("rider", 500), Share("platform", 244), Share("landlord", 976))


def test_a_quarter_of_a_lunch_goes_back():
    """9800 settled at a fee of 37; a quarter returns 2450 and 9 of the fee."""
    assert (125, 61, 244) == shares_back(LUNCH, 9_800, 37, 2_450, 9)


def test_a_fee_that_is_kept_is_the_merchants_to_bear():
    """All of the shares go back; what the kept fee leaves missing is not the receivers'."""
    assert (500, 244, 976) == shares_back(LUNCH, 9_800, 37, 9_800, 0)


@given(
    st.lists(st.integers(0, 2_000), min_size=1, max_size=5),
    st.integers(0, 3_000),
    st.lists(st.integers(1, 2_000), min_size=1, max_size=6),
    st.integers(0, 20_000),
    st.booleans(),
)
def test_the_steps_do_not_matter(amounts, merchant, refunds, rate_ppm, refundable):
    """However a refund is cut into steps, each share stands where one refund would put it."""
    plan = FeePlan("any", rate_ppm, refundable=refundable)
    net = sum(amounts) + merchant
    settled = next(s for s in range(net, 2 * net + 3) if s - fee(plan, s) >= net)
    charged = settled - net
    asked = max(settled, sum(refunds))
    shares = tuple(Share(f"rcv_{at}", amount) for at, amount in enumerate(amounts))

    def stand(steps):
        now, refunded, settle, given = shares, 0, 0, 0
        for step in steps:
            back = give_back(asked, settled, charged, plan, refunded, step, settle, given)
            refunded, settle, given = refunded + step, settle + back[0], given + back[1]
            parts = shares_back(now, settled, charged, settle, given)
            assert all(part >= 0 for part in parts)
            now = tuple(
                Share(s.receiver, s.amount, s.returned + part)
                for s, part in zip(now, parts, strict=True)
            )
        return now

    assert stand(refunds) == stand([sum(refunds)])
    assert stand([*refunds, asked - sum(refunds)] if asked > sum(refunds) else refunds) == tuple(
        Share(s.receiver, s.amount, s.amount) for s in shares
    )


DRAWN = [
    # back, pending, available -> from pending, from available, debt
    (0, 5, 5, (0, 0, 0)),
    (5, 5, 5, (5, 0, 0)),
    (6, 5, 5, (5, 1, 0)),
    (10, 5, 5, (5, 5, 0)),
    (11, 5, 5, (5, 5, 1)),
    (3, 0, 0, (0, 0, 3)),
]


@pytest.mark.parametrize(("back", "pending", "available", "expected"), DRAWN)
def test_pending_goes_first_and_debt_is_last(back, pending, available, expected):
    """A receiver never has less than nothing: it owes instead."""
    assert expected == drawn(back, pending, available)
