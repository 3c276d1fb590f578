"""Amounts are exact, closed under their operations, and split without losing a unit."""

import enum
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments.money import Currency, Money

minors = st.integers(-(10**15), 10**15)
weights = st.lists(st.integers(0, 10**6), min_size=1, max_size=12).filter(any)


@given(minors, weights)
def test_a_split_loses_and_makes_nothing(minor, shares):
    """The parts add up to the whole, with its sign."""
    parts = Money(minor).split(shares)

    assert minor == sum(part.minor for part in parts)
    assert all(part.minor * minor >= 0 for part in parts)


@given(minors, weights)
def test_each_part_is_within_one_unit_of_its_exact_share(minor, shares):
    """And a weight of nothing gets nothing."""
    total = sum(shares)

    for part, weight in zip(Money(minor).split(shares), shares, strict=True):
        assert abs(part.minor * total - minor * weight) < total
        assert weight or not part.minor


@given(st.integers(0, 10**6), weights)
def test_a_heavier_share_is_never_less(minor, shares):
    """More weight never means less money; equal weights differ by one unit at most."""
    parts = sorted(zip(shares, (p.minor for p in Money(minor).split(shares)), strict=True))

    for (light, less), (heavy, more) in itertools.pairwise(parts):
        assert less <= more + (light == heavy)


@given(minors, weights)
def test_giving_back_mirrors_giving(minor, shares):
    """The split of a refund is the split of the payment with the other sign."""
    assert [-part for part in Money(minor).split(shares)] == Money(-minor).split(shares)


def test_ties_go_to_the_earlier_share():
    """Whoever stands first gets the odd unit."""
    assert [part.minor for part in Money(100).split([1, 1, 1])] == [34, 33, 33]
    assert [part.minor for part in Money(2).split([1, 1, 1])] == [1, 1, 0]
    assert [part.minor for part in Money(101).split([50, 50])] == [51, 50]


@pytest.mark.parametrize("shares", [[], [0], [0, 0], [2, -1]])
def test_a_split_needs_weight(shares):
    """Nothing can be divided among nobody."""
    with pytest.raises(AssertionError):
        Money(100).split(shares)


@given(minors, minors)
def test_sums_are_exact(one, other):
    """What is added can be taken away again."""
    assert Money(one) + Money(other) - Money(other) == Money(one)
    assert Money(one) - Money(other) == Money(one) + -Money(other)


def test_two_currencies_are_never_added():
    """A mixed sum is our bug, so it is an assertion and no error of the caller."""
    other = enum.StrEnum("Other", {"XTS": "xts"}).XTS

    with pytest.raises(AssertionError):
        Money(1) + Money(1, other)
    with pytest.raises(AssertionError):
        Money(1) - Money(1, other)


@pytest.mark.parametrize(
    ("minor", "text"),
    [
        (3800, "38.00 CNY"),
        (5, "0.05 CNY"),
        (-5, "-0.05 CNY"),
        (-3801, "-38.01 CNY"),
        (0, "0.00 CNY"),
    ],
)
def test_people_read_whole_and_part(minor, text):
    """Two digits after the point, the sign in front."""
    assert text == str(Money(minor, Currency.CNY))
