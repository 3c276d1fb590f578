"""What a limit at the channel does to a division: it waits, is refused, or time decides."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments.channels.sharing import Holder, NotDone
from payments.splitting.dividing import (
    DAY_MS,
    Division,
    Piece,
    PieceState,
    Stage,
    heard,
    order_of,
    sent,
)
from payments.splitting.taking_back import given as refunded

RIDER = Holder("MERCHANT_ID", "1900000201", "PARTNER", "x")
PAYMENT = "pay_01M7Y4WH5A000W7H0V64525C"
NOT_KNOWN = NotDone("max_ratio_unknown", is_final=False)


def division(settled=10_000, part=500):
    piece = Piece("rcv_1", part, RIDER)
    return Division(PAYMENT, "mch_1", 1, "wechat-1", "42", settled, 0, (piece,), whole=settled)


@given(st.integers(2, 10_000_000), st.data())
def test_the_limit_is_of_the_whole_payment_however_much_is_refunded(settled, data):
    """A refund before the division makes parts smaller, and the limit's base not."""
    part = data.draw(st.integers(1, settled - 1))
    back = data.draw(st.integers(0, settled - 1))
    part_back = data.draw(st.integers(max(0, part - (settled - back)), min(part, back)))

    after, _ = refunded(division(settled, part), back, (part_back,))

    assert settled == order_of(after).settled
    assert settled - back == after.settled


def test_a_limit_that_is_not_known_is_asked_about_later_under_the_same_number():
    under_way = sent(division())

    after = heard(under_way, NOT_KNOWN, DAY_MS)

    assert (1, Stage.READY) == (after.step, after.stage)
    assert [PieceState.SENT] == [piece.state for piece in after.pieces]
    assert order_of(under_way) == order_of(after)


@pytest.mark.parametrize(("code", "is_final"), [("over_max_ratio", True), ("x", False)])
def test_too_much_and_too_late_are_the_merchants(code, is_final):
    """Too much at once; what nobody could say in thirty days is let go by itself by then."""
    at = 1 if is_final else 30 * DAY_MS + 1

    after = heard(sent(division()), NotDone(code, is_final=is_final), at)

    assert (2, Stage.READY) == (after.step, after.stage)
    assert [(PieceState.FAILED, code)] == [(each.state, each.reason) for each in after.pieces]
    assert () == order_of(after).portions


def test_a_record_of_an_older_release_knows_no_whole():
    packed = msgspec.msgpack.decode(msgspec.msgpack.encode(division()))
    older = msgspec.msgpack.encode(packed[:12])

    assert 0 == order_of(msgspec.msgpack.decode(older, type=Division)).settled
