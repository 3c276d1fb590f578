"""The last leg: bills against the bank's credits, to the unit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments.reconciliation.bank import ROWS_MAX, Credit, Due, LegKind, match_credits


def due(date, amount, reference="", account="1900000001", currency="cny"):
    return Due(account, date, currency, amount, reference)


def credit(date, amount, reference="", currency="cny", name=None):
    return Credit(name or f"c{date}{amount}", date, currency, amount, reference)


FRIDAY, SATURDAY, SUNDAY, MONDAY, TUESDAY = 20261120, 20261121, 20261122, 20261123, 20261124

CASES = [
    # bills, credits -> kinds and amounts, in the order of the steps
    ([due(FRIDAY, 100)], [credit(MONDAY, 100)], [("matched", 0)]),
    ([due(FRIDAY, 100)], [], [("missing", -100)]),
    ([], [credit(MONDAY, 100)], [("over", 100)]),
    ([due(FRIDAY, 100, "WX1120")], [credit(MONDAY, 99, "fee WX1120 x")], [("short", -1)]),
    ([due(FRIDAY, 100, "WX1120")], [credit(MONDAY, 101, "WX1120")], [("over", 1)]),
    ([due(FRIDAY, 100)], [credit(MONDAY, 99)], [("missing", -100), ("over", 99)]),
    (
        [due(FRIDAY, 100), due(SATURDAY, 200), due(SUNDAY, 300)],
        [credit(MONDAY, 600)],
        [("matched", 0)],
    ),
    (
        [due(FRIDAY, 100), due(SATURDAY, 200), due(SUNDAY, 300)],
        [credit(MONDAY, 500), credit(TUESDAY, 100)],
        [("matched", 0), ("matched", 0)],
    ),
    (
        [due(FRIDAY, 100, "A"), due(SATURDAY, 200, "B")],
        [credit(MONDAY, 250, "A and B")],
        [("short", -50)],
    ),
    (
        [due(FRIDAY, 100, "A")],
        [credit(MONDAY, 60, "A 1/2"), credit(TUESDAY, 40, "A 2/2")],
        [("matched", 0)],
    ),
    ([due(FRIDAY, 100)], [credit(FRIDAY - 1, 100)], [("missing", -100), ("over", 100)]),
    ([due(FRIDAY, 100)], [credit(20261201, 100)], [("missing", -100), ("over", 100)]),
    (
        [due(FRIDAY, 100)],
        [credit(MONDAY, 100, currency="usd")],
        [("missing", -100), ("over", 100)],
    ),
    ([due(FRIDAY, 0)], [], [("matched", 0)]),
    (
        [due(FRIDAY, 100), due(SATURDAY, 200, account="other")],
        [credit(MONDAY, 300)],
        [("missing", -100), ("missing", -200), ("over", 300)],
    ),
    (
        [due(FRIDAY, 100), due(SATURDAY, 100)],
        [credit(MONDAY, 100)],
        [("matched", 0), ("missing", -100)],
    ),
]


@pytest.mark.parametrize(("dues", "credits", "expected"), CASES)
def test_credits_are_given_to_bills(dues, credits, expected):
    """By name, one to one, several in a row; what is left is missing or over. Tolerance zero."""
    assert expected == [(leg.kind, leg.amount) for leg in match_credits(dues, credits)]


def test_the_older_bill_is_paid_first():
    """Two bills of one amount, one credit: the later one is missing."""
    matched, missing = match_credits([due(SATURDAY, 100), due(FRIDAY, 100)], [credit(MONDAY, 100)])
    assert (FRIDAY, SATURDAY) == (matched.dues[0].bill_date, missing.dues[0].bill_date)


def test_too_many_are_refused():
    """Some years of bills at one time are a mistake."""
    with pytest.raises(ValueError, match="fewer days"):
        match_credits([due(FRIDAY, 1)] * (ROWS_MAX + 1), [])


DATES = st.sampled_from([FRIDAY, SATURDAY, SUNDAY, MONDAY])
REFERENCES = st.sampled_from(["", "A", "B", "A B"])


@given(
    st.lists(st.builds(due, DATES, st.integers(-3, 5), REFERENCES), max_size=6),
    st.lists(st.tuples(DATES, st.integers(1, 8), REFERENCES), max_size=6),
)
def test_everything_is_in_exactly_one_leg(dues, movements):
    """Nothing is lost or paid twice, and the legs sum to what the bank and the bills are apart."""
    credits = [
        credit(date, amount, text, name=f"c{no}")
        for no, (date, amount, text) in enumerate(movements)
    ]
    legs = match_credits(dues, credits)

    assert sorted(one.id for leg in legs for one in leg.credits) == sorted(c.id for c in credits)
    told = [one for leg in legs for one in leg.dues]
    assert sorted(map(repr, told)) == sorted(map(repr, dues))
    apart = sum(c.amount for c in credits) - sum(d.amount for d in dues)
    assert apart == sum(leg.amount for leg in legs)
    for leg in legs:
        assert (leg.amount == 0) == (leg.kind is LegKind.MATCHED)
