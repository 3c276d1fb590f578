"""Names of accounts for hledger and Beancount: what both take, and one for each account."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from payments import chart
from payments.reports.names import account_of, plain_name

BEANCOUNT = re.compile(r"(?:Assets|Liabilities|Income|Expenses)(?::[A-Z0-9][A-Za-z0-9-]*)+")
"""Its language reference, kept to ASCII."""

NAMES = {
    "channel:simulated:receivable#17": "Assets:Channel:Simulated:Receivable:17",
    "merchant:mch_01ABC:pending": "Liabilities:Merchant:Mch-01ABC:Pending",
    "merchant:mch_01ABC:in_transit": "Liabilities:Merchant:Mch-01ABC:In-transit",
    "merchant:mch_01ABC:debt": "Assets:Merchant:Mch-01ABC:Debt",
    "fees:income#0": "Income:Fees:Income:0",
    "fees:channel#4095": "Expenses:Fees:Channel:4095",
    "suspense:wx.main#3": "Liabilities:Suspense:Wx--2Emain:3",
    "suspense:Main#3": "Liabilities:Suspense:X--4Dain:3",
    "suspense:xray#3": "Liabilities:Suspense:X--78ray:3",
    "custody:bank:建行": "Assets:Custody:Bank:X--E5--BB--BA--E8--A1--8C",
    "transit:3:17": "Liabilities:Transit:3:17",
    "advance:a_b": "Liabilities:Advance:A-b",
}


@pytest.mark.parametrize("account", NAMES)
def test_names_are_as_documented(account):
    """Kind in front, stripe behind, parts escaped; and the way back."""
    assert NAMES[account] == plain_name(account)
    assert account == account_of(NAMES[account])


WORDS = st.text(
    st.characters(exclude_characters=":#", exclude_categories=("Cs",)), min_size=1, max_size=12
) | st.text("aAxX_-.0", min_size=1, max_size=8)


@given(WORDS, WORDS)
@example("a_b", "a-b")
@example("x", "X")
@example("A_b", "A-b")
@example("_", "-")
@example("a__b", "a_--5Fb")
def test_no_two_accounts_have_one_name(first, second):
    """Whatever channel accounts are called, both programs take the name, and it leads back."""
    names = []
    for word in (first, second):
        account = chart.suspense(word, 7)
        name = plain_name(account)
        assert BEANCOUNT.fullmatch(name), name
        assert account == account_of(name)
        names.append(name)
    assert (first == second) == (names[0] == names[1])


@pytest.mark.parametrize(
    "name",
    ["", "Assets", "Assets:Fees:Income:17", "Income:fees:Income:17", "Income:Fees:Income:5000",
     "Income:Fees--", "Income:Fees:X--GG:1", "Liabilities:Suspense:A--62:1", "Equity:Opening"],
)  # fmt: skip
def test_other_names_are_refused(name):
    """The wrong kind, no such account, or an escape that we do not make."""
    with pytest.raises(ValueError):
        account_of(name)
