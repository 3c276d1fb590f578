"""Netting reads from rows what the whole payment says, and nothing else."""

from hypothesis import given
from hypothesis import strategies as st
from msgspec.msgpack import decode, encode
from msgspec.structs import replace

from payments.calendar import DAY_MS, business_date
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


LAST_MS = 1_780_243_199_000
"""2026-05-31 23:59:59 in China; five seconds later it is June."""

BOOKED_MS = LAST_MS + 5_000


def days_of(payment, refund):
    rows = [
        (1, 1, "ent_1P", BOOKED_MS, b"", encode(payment)),
        (2, 2, "ent_2R", BOOKED_MS, b"", encode(refund)),
    ]
    return [line[-1] for line in lines_of(rows)]


def test_the_day_is_the_channels_own_where_it_is_known():
    """We learned of both after midnight; the channel bills and pays them by the day before."""
    payment = a_payment(AttemptState.SUCCEEDED)
    refund = a_refund(payment, RefundStatus.SUCCEEDED)
    assert [20260601, 20260601] == days_of(payment, refund)

    payment = replace(payment, attempt=replace(payment.attempt, channel_at=LAST_MS))
    refund = replace(refund, channel_at=LAST_MS)
    assert [20260531, 20260531] == days_of(payment, refund)


def test_a_refund_has_a_day_of_its_own():
    payment = a_payment(AttemptState.SUCCEEDED)
    payment = replace(payment, attempt=replace(payment.attempt, channel_at=LAST_MS - DAY_MS))
    refund = a_refund(payment, RefundStatus.SUCCEEDED, channel_at=LAST_MS)

    assert [20260530, 20260531] == days_of(payment, refund)


def test_rows_of_before_there_was_such_a_time_have_the_day_of_their_entry():
    """As the release before wrote them: one field less."""
    payment = a_payment(AttemptState.SUCCEEDED)
    refund = a_refund(payment, RefundStatus.SUCCEEDED)
    *attempt, _ = decode(encode(payment.attempt))
    fields = decode(encode(payment))
    fields[8] = attempt
    rows = [
        (1, 1, "ent_1P", BOOKED_MS, b"", encode(fields)),
        (2, 2, "ent_2R", BOOKED_MS, b"", encode(decode(encode(refund))[:-1])),
    ]

    assert [20260601, 20260601] == [line[-1] for line in lines_of(rows)]
