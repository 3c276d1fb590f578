"""Refunds of a payment whose money the channel holds and divides: in turns, receivers first.

Source: WeChat Pay API v3, "profit sharing": before it is shared, a refund comes out of the frozen
money; after it, what a receiver has got is taken back by a return order of its own number, and the
refund then takes the money of the merchant. Only merchants can be asked to return; persons cannot.

    asked --the channel divides just now, or another refund has its turn--> waits, for so long
    asked --nothing was divided (yet)--> its turn: the refund leaves; the parts are less afterwards
    asked --divided and over--> its turn: return orders, then the refund leaves

    a return order:  ready --intent durable, sent--> sent --came back--> done
                     sent --the channel has no such number--> ready: sent again, the same number
                     sent --refused, or closed--> failed: it becomes the receiver's debt
                     sent --anything else--> asked about by its number

Money that came back for a refund that then fails is with the merchant, who owes it: see
`payments/splitting/repaying.py`.
"""

from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from payments.channels.sharing import Absent, Answered, NotDone, Returned, SharingReturn
from payments.channels.wechat.sharing_wire import MERCHANT_ID
from payments.ids import BODY_LENGTH, derived_body
from payments.splitting.dividing import (
    Back,
    BackState,
    Division,
    Piece,
    PieceState,
    Stage,
    Turn,
    order_of,
)

WAIT_MAX_MS: Final = 3_600_000
"""So long a refund waits until the channel has divided, or until an earlier refund has ended."""

LOOK_MS: Final = 2_000
LOOK_MAX_MS: Final = 60_000
"""How soon a refund that waits looks again: at first, and at the most."""

AGAIN_MS: Final = 2_000
AGAIN_MAX_MS: Final = 600_000
"""How soon the channel is asked about return orders again: at first, and at the most."""

TRIES_DOUBLED_MAX: Final = 12
DESCRIPTION: Final = "退款"

_OPEN: Final = frozenset({BackState.READY, BackState.SENT})


class Owed(Struct, frozen=True, array_like=True, gc=False):
    """What a receiver owes a merchant after refunds: a shard's record. Minor units, never below 0.

    What parts under way pay of it (`Piece.netted`) is taken off already.
    """

    receiver: str
    minor: int


def owed_id(merchant: str, receiver: str, currency: str) -> str:
    """The id under which it is kept what the receiver owes the merchant."""
    return "owe_" + sha256("\n".join((merchant, receiver, currency)).encode()).hexdigest()[:32]


def turn_id(refund: str) -> str:
    """What the entry is about that books what came back for a refund: with a body of its own, for
    the money had left our books.
    """
    return "trn_" + derived_body(refund, sha256(f"turn of {refund}".encode()).digest())


def may_start(division: Division) -> bool:
    """Whether a refund may have its turn: nobody else has it, and parts are not on their way."""
    if division.turn is not None:
        return False
    return division.stage is Stage.OVER or division.step > 1 or division.is_untouched


def started(division: Division, refund: str, backs: Sequence[int]) -> Division:
    """It is the refund's turn. `backs`: what each part gives back for it, in their order. What the
    merchant has of it is at hand already (`payments/splitting/repaying.py`).

    What is not asked for will be the receiver's debt: what it has got no more, what it may not
    return.
    """
    asked = []
    if division.stage is Stage.OVER:
        for at, (piece, back) in enumerate(zip(division.pieces, backs, strict=True)):
            amount = min(max(0, back - piece.at_hand), _with_receiver(piece))
            if amount and piece.holder is not None and piece.holder.kind == MERCHANT_ID:
                asked.append(Back(at, amount))
    return replace(division, turn=Turn(refund, tuple(asked)))


def _with_receiver(piece: Piece) -> int:
    """What the channel paid to a receiver of its part and did not take back; minor units."""
    is_paid = piece.state is PieceState.SETTLED
    return piece.paid - piece.back if is_paid else 0


def is_back(turn: Turn) -> bool:
    """Whether everything came back that will."""
    return not any(each.state in _OPEN for each in turn.backs)


def open_backs(turn: Turn) -> tuple[Back, ...]:
    return tuple(each for each in turn.backs if each.state in _OPEN)


def return_of(division: Division, turn: Turn, back: Back) -> SharingReturn:
    """What is asked under a return order's number: the same whenever it is asked again."""
    holder = division.pieces[back.at].holder
    assert holder is not None, division.payment
    return SharingReturn(
        order_of(division).number,
        number_of(turn, back),
        division.merchant,
        holder.account,
        back.amount,
        DESCRIPTION,
    )


def number_of(turn: Turn, back: Back) -> str:
    """The number of a return order: of its refund and its part, never made anew."""
    return f"{turn.refund[-BODY_LENGTH:]}B{back.at + 1:02d}"


def asked_back(division: Division, turn: Turn) -> tuple[Division, int]:
    """(the division, ms until it is looked at again): all that is open is about to be asked."""
    wait = min(AGAIN_MS << min(turn.tries, TRIES_DOUBLED_MAX), AGAIN_MAX_MS)
    backs = tuple(
        replace(each, state=BackState.SENT) if each.state is BackState.READY else each
        for each in turn.backs
    )
    return replace(division, turn=replace(turn, backs=backs, tries=turn.tries + 1)), wait


def heard_back(division: Division, number: str, answer: Answered) -> Division:
    """What the channel's answer about a return order does; unclear and late ones do nothing."""
    turn = division.turn
    back = None
    if turn is not None:
        back = next((each for each in turn.backs if number_of(turn, each) == number), None)
    if turn is None or back is None or back.state is not BackState.SENT:
        return division
    match answer:
        case Returned(result="success"):
            return _now(division, turn, replace(back, state=BackState.DONE))
        case Returned(result="closed", reason=reason):
            return _now(division, turn, replace(back, state=BackState.FAILED, reason=reason))
        case NotDone(is_final=True, channel_code=code):
            return _now(division, turn, replace(back, state=BackState.FAILED, reason=code))
        case NotDone() | Absent():
            return _now(division, turn, replace(back, state=BackState.READY))
        case _:
            return division


def _now(division: Division, turn: Turn, back: Back) -> Division:
    backs = tuple(back if each.at == back.at else each for each in turn.backs)
    pieces = division.pieces
    if back.state is BackState.DONE:
        pieces = tuple(
            replace(piece, back=piece.back + back.amount, at_hand=piece.at_hand + back.amount)
            if at == back.at
            else piece
            for at, piece in enumerate(pieces)
        )
    return replace(division, pieces=pieces, turn=replace(turn, backs=backs))


def given(
    division: Division, settle_back: int, backs: Sequence[int]
) -> tuple[Division, tuple[int, ...]]:
    """(the division after a refund that succeeded, what each receiver owes for it); minor units.

    `settle_back`: what the books give back; `backs`: of that, each part's.
    """
    if division.stage is not Stage.OVER:
        left = tuple(
            replace(piece, amount=piece.amount - back)
            for piece, back in zip(division.pieces, backs, strict=True)
        )
        after = replace(division, settled=division.settled - settle_back, pieces=left)
        assert after.settled >= sum(piece.amount for piece in left), division.payment
        return after, (0,) * len(backs)
    pieces, owed = [], []
    for piece, back in zip(division.pieces, backs, strict=True):
        # A part that had failed was the merchant's: so is what is given back of it.
        used = min(back, piece.at_hand)
        owed.append(back - used if piece.state is PieceState.SETTLED else 0)
        pieces.append(replace(piece, at_hand=piece.at_hand - used))
    return replace(division, pieces=tuple(pieces)), tuple(owed)


def look_again_ms(age_ms: int) -> int:
    """How long a refund of that age that waits looks away."""
    return min(max(LOOK_MS, age_ms), LOOK_MAX_MS)


def owing(get: Callable[[str], Owed | None], merchant: str, currency: str) -> Callable[[str], int]:
    """receiver -> what it owes the merchant, minor units. `get`: the record under an id."""

    def owed(receiver: str) -> int:
        record = get(owed_id(merchant, receiver, currency))
        return 0 if record is None else record.minor

    return owed
