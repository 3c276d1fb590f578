"""The oracle sees shares that are wrong: each planted defect is named."""

import pytest
from msgspec.structs import replace

from payments import bookings
from payments.invariants import of_payment, of_shares
from payments.payment import AttemptState
from payments.refund import RefundStatus
from payments.splitting.terms import Part, Share, ShareBack, Terms
from payments.testing import a_payment, a_refund

SHARES = (Share("rcv_1", 500, 100), Share("rcv_2", 900))
PAYMENT = a_payment(
    AttemptState.SUCCEEDED,
    split=Terms((Part("rcv_1", 500), Part("rcv_2", 900))),
    shares=SHARES,
    amount_refunded=760,
)
REFUND = a_refund(
    PAYMENT, RefundStatus.SUCCEEDED, amount=760, shares_back=(ShareBack("rcv_1", 100, 40),)
)
NET = 3_800 - 14
BOOKED = bookings.split_payment_booked("sim", PAYMENT.merchant, 17, 3_800, 14, SHARES)
BACK = bookings.split_refund_booked(
    "sim", PAYMENT.merchant, 17, 760, 3, [bookings.Drawn("rcv_1", 60, 0, 40)]
)


def about_shares(payment, refund=REFUND):
    found = of_payment(payment, [refund], [], [])
    return [each for each in found if "rcv_" in each or "split" in each]


def test_what_is_right_has_no_complaint():
    assert [] == about_shares(PAYMENT)
    assert [] == list(of_shares(PAYMENT, [BOOKED, BACK]))


PLANTED = [
    ({"shares": (Share("rcv_1", NET, 100), Share("rcv_2", 1))}, "were split of"),
    ({"shares": (Share("rcv_1", 500, 99), SHARES[1])}, "the refunds say 100"),
    ({"shares": (Share("rcv_1", 90, 100), SHARES[1])}, "returned 100 of 90"),
    ({"shares": SHARES[1:]}, "returned what it never got"),
    ({"amount_refunded": 3_800}, "keeps some of 500"),
    ({"status": "failed"}, "and was split"),
]


@pytest.mark.parametrize(("changes", "complaint"), PLANTED)
def test_each_wrong_share_is_named(changes, complaint):
    """What the rows of a payment and its refunds contradict."""
    assert any(complaint in each for each in about_shares(replace(PAYMENT, **changes)))


BOOKS = [
    ([BOOKED], "is to have 400 and the entries say 500"),
    ([BOOKED, BACK, BACK], "is to have 400 and the entries say 300"),
    ([], "is to have 900 and the entries say 0"),
    ([BOOKED, BACK, (("receiver:rcv_9:pending#17", -1), ("fees:income#17", 1))], "rcv_9"),
]


@pytest.mark.parametrize(("postings", "complaint"), BOOKS)
def test_each_wrong_entry_is_named(postings, complaint):
    """What the entries say otherwise than the shares."""
    assert any(complaint in each for each in of_shares(PAYMENT, postings))
