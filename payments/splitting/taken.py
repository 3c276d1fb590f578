"""What was taken back at the channel, remembered for good: a bill tells of it the day after.

A turn forgets its return orders when it ends; each that came back leaves a record of its own.
"""

from hashlib import sha256

from msgspec import Struct

from payments.ids import BODY_LENGTH, derived_body
from payments.splitting.dividing import Back, Division, Turn
from payments.splitting.taking_back import number_of


class TakenBack(Struct, frozen=True, array_like=True, gc=False):
    """A return order that succeeded: a shard's record. Minor units, business ms.

    `account`: our name of the channel account; `holder`: the receiver's account at the channel.
    """

    number: str
    refund: str
    merchant: str
    account: str
    holder: str
    amount: int
    at_ms: int


def taken_id(number: str) -> str:
    """The id under which a return order is remembered: in the order of the refunds' ids."""
    refund = f"rfd_{number[:BODY_LENGTH]}"
    return "bck_" + derived_body(refund, sha256(f"taken back {number}".encode()).digest())


def taken_of(division: Division, turn: Turn, back: Back, now: int) -> TakenBack:
    """What is remembered of a return order that has just succeeded."""
    holder = division.pieces[back.at].holder
    assert holder is not None, division.payment
    return TakenBack(
        number_of(turn, back),
        turn.refund,
        division.merchant,
        division.account,
        holder.account,
        back.amount,
        now,
    )
