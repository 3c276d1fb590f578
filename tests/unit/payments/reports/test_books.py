"""Statements, balances and the trial balance are the entries, added up."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from by_hand import Books
from payments import chart
from payments.reports.books import (
    NoSuchAccount,
    Statement,
    balances_of,
    entries_table,
    of_account,
    of_merchant,
    trial_balance_table,
)
from payments.testing import MERCHANT_ID, NOW_MS, an_id

OTHER = "mch_" + "0" * 24


def test_a_statement_runs_from_opening_to_closing(books):
    """Sold twice, gave back once: what we owe the merchant, line by line."""
    books.sale(MERCHANT_ID, at_ms=NOW_MS)
    books.sale(OTHER, at_ms=NOW_MS + 1)
    second = books.sale(MERCHANT_ID, 1000, 4, at_ms=NOW_MS + 2)
    back = books.refund(MERCHANT_ID, 947, 4, at_ms=NOW_MS + 3)

    made = Statement(of_merchant(MERCHANT_ID))
    made.open(books.rows[:1])
    lines = list(made.lines(books.rows[1:]))

    assert {"cny": 3786} == made.opening
    assert [(second, 996, 4782), (back, -943, 3839)] == [
        (line.entry, line.amount, line.balance) for line in lines
    ]
    assert {"cny": 3839} == made.closing


@pytest.mark.parametrize(
    ("account", "minor"),
    [("channel:simulated-1:receivable#17", 3800), ("channel:simulated-1:receivable", 3800),
     ("channel:simulated-1:receivable#18", None), ("fees:income", 14), ("fees:income#17", 14),
     (f"merchant:{MERCHANT_ID}:pending", 3786), (f"merchant:{MERCHANT_ID}:debt", None)],
)  # fmt: skip
def test_a_statement_is_of_one_account_or_of_all_its_stripes(books, account, minor):
    """More is more on both sides: what we are owed and what we owe."""
    books.sale(MERCHANT_ID)
    made = Statement(of_account(account))
    amounts = [line.amount for line in made.lines(books.rows)]
    assert ([] if minor is None else [minor]) == amounts


@pytest.mark.parametrize("name", ["", "fees", "fees:incom", "fees:income#5000", "merchant:", "%"])
def test_an_account_that_is_none_is_refused(name):
    """Rather than an empty statement."""
    with pytest.raises(NoSuchAccount):
        of_account(name)
    with pytest.raises(NoSuchAccount):
        of_merchant(name)


def test_a_debt_is_taken_off_what_a_merchant_is_owed(books):
    """A refund that found no balance: pending and debt in one statement."""
    books.book(
        an_id("rfd"),
        [
            (chart.receivable("simulated-1", 17), -943),
            (chart.merchant_pending(MERCHANT_ID), 100),
            (chart.merchant_debt(MERCHANT_ID), 843),
        ],
    )
    made = Statement(of_merchant(MERCHANT_ID))
    assert [-100, -943] == [line.balance for line in made.lines(books.rows)]


SALES = st.lists(
    st.tuples(st.sampled_from([MERCHANT_ID, OTHER]), st.integers(100, 10**9), st.integers(0, 5)),
    min_size=1,
    max_size=12,
)


@given(SALES, st.data())
def test_statements_and_balances_agree_wherever_the_time_is_cut(sales, data):
    """Closing is opening and all amounts; one statement's closing is the next one's opening."""
    books, at_ms = Books(), NOW_MS
    for merchant, settle, hours in sales:
        at_ms += hours * 3_600_000
        books.sale(merchant, settle, settle // 300, at_ms=at_ms)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(sales)), min_size=1, max_size=4)))

    for wanted, account in ((of_account("fees:income"), "fees:income"), (of_merchant(OTHER), None)):
        account = account or chart.merchant_pending(OTHER)
        for start, end in pairwise([0, *cuts]):
            made = Statement(wanted)
            made.open(books.rows[:start])
            lines = list(made.lines(books.rows[start:end]))
            moved = sum(line.amount for line in lines)
            assert made.closing.get("cny", 0) == made.opening.get("cny", 0) + moved
            found = -balances_of(books.rows[:end]).get((account, "cny"), 0)
            assert found == made.closing.get("cny", 0)


def test_stripes_are_added_up_unless_asked_for(books):
    """`fees:income#17` and `#18` are one account to a reader."""
    books.book(an_id(), (("fees:income#17", -5), ("fees:channel#17", 5)))
    books.book(an_id(), (("fees:income#18", -7), ("fees:channel#18", 7)), currency="CNY")
    assert {("fees:income", "cny"): -12, ("fees:channel", "cny"): 12} == balances_of(books.rows)
    assert 4 == len(balances_of(books.rows, striped=True))


def test_both_sides_of_a_trial_balance_are_equal(books):
    """Debits, credits, and the signed balance that adds up to nothing."""
    books.sale(MERCHANT_ID)
    rows = list(trial_balance_table(balances_of(books.rows)).rows)
    assert [
        ("channel:simulated-1:receivable", "asset", "cny", 3800, 0, 3800),
        ("fees:income", "income", "cny", 0, 14, -14),
        (f"merchant:{MERCHANT_ID}:pending", "liability", "cny", 0, 3786, -3786),
    ] == rows


def test_entries_are_listed_posting_by_posting(books):
    """With the place and hash that prove them."""
    entry = books.sale(MERCHANT_ID)
    table = entries_table(books.rows)
    rows = [dict(zip(table.names, row, strict=True)) for row in table.rows]
    assert [3800, -3786, -14] == [row["amount"] for row in rows]
    assert {(entry, "1", books.rows[0][8].hex())} == {
        (row["entry_id"], row["sequence"], row["hash"]) for row in rows
    }
