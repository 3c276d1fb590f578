"""Netting reads from rows what the whole payment says, and nothing else."""

from hypothesis import given
from hypothesis import strategies as st
from msgspec.msgpack import encode

from payments.calendar import business_date
from payments.clearing.lines import lines_of
from payments.payment import AttemptState, Moment
from payments.refund import RefundStatus
from payments.testing import NOW_MS, a_payment, a_refund


@given(st.integers(1, 1 << 40), st.integers(20200101, 20991231), st.integers(0, 1 << 41))
def test_a_line_is_what_the_row_and_its_object_say(amount, date, at_ms):
    """Whatever stands before and after the fields that are read; the day is the entry's."""
    payment = a_payment(
        AttemptState.SUCCEEDED, amount=amount, business_date=date, history=(Moment(1, "x"),) * 3
    )
    refund = a_refund(payment, RefundStatus.SUCCEEDED, business_date=date)
    rows = [
        (1, 7, "ent_1P", at_ms, b"p", encode(payment)),
        (2, 8, "ent_2R", at_ms, b"r", encode(refund)),
    ]
    day = business_date(at_ms)

    assert [
        (7, date, payment.merchant, amount, "ent_1P", b"p", day),
        (8, date, payment.merchant, refund.amount, "ent_2R", b"r", day),
    ] == list(lines_of(rows))


def test_a_code_that_was_never_scanned_has_an_attempt_to_pass_over():
    """Payments of every shape are read: here one without attempt, wallet or key."""
    payment = a_payment(AttemptState.SUCCEEDED, attempt=None, wallet=None)
    ((_, _, merchant, *_),) = lines_of([(1, 1, "ent_1P", NOW_MS, b"", encode(payment))])

    assert payment.merchant == merchant
