"""What each event does to the books, and that all of it together comes to nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments import bookings, chart
from payments.fees import DEFAULT_PLAN, fee, give_back
from payments.ids import PARTITIONS, partition_of
from payments.ledger import Entry, book, trial_balance
from payments.testing import an_id

RECEIVABLE = chart.receivable("wx", 17)
SUSPENSE = chart.suspense("wx", 17)
PENDING = chart.merchant_pending("mch_1")
INCOME = chart.fees_income(17)

amounts = st.integers(0, 10**10)


def payment_booked(settle_amount, charged):
    return bookings.payment_booked("wx", "mch_1", 17, settle_amount, charged)


def refund_booked(settle_back, fee_back):
    return bookings.refund_booked("wx", "mch_1", 17, settle_back, fee_back)


BOOKED = [
    (payment_booked(3800, 14), {RECEIVABLE: 3800, PENDING: -3786, INCOME: -14}),
    (payment_booked(100, 0), {RECEIVABLE: 100, PENDING: -100}),
    (payment_booked(5, 5), {RECEIVABLE: 5, INCOME: -5}),
    (payment_booked(0, 0), {}),
    (refund_booked(947, 4), {RECEIVABLE: -947, PENDING: 943, INCOME: 4}),
    (refund_booked(947, 0), {RECEIVABLE: -947, PENDING: 947}),
    (refund_booked(0, 0), {}),
    (bookings.late_success_booked("wx", 17, 3800), {RECEIVABLE: 3800, SUSPENSE: -3800}),
    (bookings.late_success_booked("wx", 17, 0), {}),
    (bookings.late_refund_booked("wx", 17, 3800), {RECEIVABLE: -3800, SUSPENSE: 3800}),
]


@pytest.mark.parametrize(("postings", "expected"), BOOKED)
def test_each_event_has_its_postings(postings, expected):
    """Debit positive, credit negative; what is zero is left out."""
    assert expected == dict(postings)
    assert len(expected) == len(postings)


@given(amounts, st.data())
def test_every_booking_makes_an_entry_or_nothing(settled, data):
    """Postings are balanced and without zeros, so the entry can be built."""
    part = data.draw(st.integers(0, settled))
    for postings in (
        payment_booked(settled, part),
        refund_booked(settled, part),
        bookings.late_success_booked("wx", 17, settled),
        bookings.late_refund_booked("wx", 17, settled),
    ):
        assert bool(postings) == bool(settled)
        if postings:
            assert Entry("ent_1", "pay_1", 17, "cny", 0, postings).postings == postings


@given(st.integers(1, 10**6), st.lists(st.integers(1, 10**5), max_size=8))
def test_a_payment_and_all_its_refunds_leave_nothing_behind(amount, parts):
    """However it is refunded, every account is back where it was, and none was overdrawn."""
    charged = fee(DEFAULT_PLAN, amount)
    balances: dict[tuple[str, str], int] = {}
    book(balances, "cny", payment_booked(amount, charged))
    refunded = settled = returned = 0
    for part in [*parts, amount]:
        asked = min(part, amount - refunded)
        if asked:
            back = give_back(
                amount, amount, charged, DEFAULT_PLAN, refunded, asked, settled, returned
            )
            book(balances, "cny", refund_booked(*back))
            refunded, settled, returned = refunded + asked, settled + back[0], returned + back[1]
        assert balances.get((PENDING, "cny"), 0) <= 0
        assert balances.get((INCOME, "cny"), 0) <= 0

    assert set(balances.values()) == {0}
    assert all(balance.residual == 0 for balance in trial_balance(balances))


def test_the_ids_of_entries_follow_from_what_they_book():
    """Booking the same event again makes the same id; another event makes another."""
    payment, refund = an_id("pay"), an_id("rfd")

    made = [
        bookings.payment_entry_id(payment),
        bookings.late_success_entry_id(payment),
        bookings.refund_entry_id(refund),
        bookings.late_refund_entry_id(refund),
    ]

    assert made == [
        f"ent_{payment[4:]}P",
        f"ent_{payment[4:]}L",
        f"ent_{refund[4:]}R",
        f"ent_{refund[4:]}B",
    ]
    assert len({identifier[-1] for identifier in made}) == 4


@given(st.integers(0, PARTITIONS - 1))
def test_an_entry_id_carries_the_partition(partition):
    """It is looked up where its payment is."""
    assert partition == partition_of(bookings.payment_entry_id(an_id("pay", partition)))
