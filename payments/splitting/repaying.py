"""Parts that came back for a refund which then failed: the merchant owes them to their receivers.

By then the channel has let go of the payment's money, so it shares nothing of it anew; what came
back is in the merchant's own balance there. It is repaid like this, whichever comes first:

    a later refund takes it instead of asking the receiver again      (any payment of the merchant)
    a later part of the receiver is more by it, as far as the channel's ratio lets it be

Source of the ratio: WeChat Pay API v3, "profit sharing": 30 % of an order unless agreed otherwise.
"""

from collections.abc import Callable
from hashlib import sha256

from msgspec import Struct
from msgspec.structs import replace

from payments.channels.wechat.sharing_wire import share_max
from payments.splitting.dividing import Division, Piece, PieceState


class Repay(Struct, frozen=True, array_like=True, gc=False):
    """What a merchant owes a receiver: a shard's record. Minor units, never below 0.

    What orders under way repay of it (`Piece.repaid`) and what a refund that has its turn took of
    it (`Piece.at_hand`) is taken off already.
    """

    merchant: str
    receiver: str
    minor: int


def repay_id(merchant: str, receiver: str, currency: str) -> str:
    """The id under which it is kept what the merchant owes the receiver."""
    return "rpy_" + sha256("\n".join((merchant, receiver, currency)).encode()).hexdigest()[:32]


def repaying(
    get: Callable[[str], Repay | None], merchant: str, currency: str
) -> Callable[..., int]:
    """receiver -> what the merchant owes it, minor units. `get`: the record under an id."""

    def owes(receiver: str) -> int:
        record = get(repay_id(merchant, receiver, currency))
        return 0 if record is None else record.minor

    return owes


def repaid(division: Division, owes: Callable[[str], int]) -> Division:
    """The order about to be sent, with what it repays; in the order of the parts.

    `owes`: receiver -> minor units. All parts together stay below the channel's ratio of what is
    left to divide: an order above it would be refused with all that is in it.
    """
    room = share_max(division.settled) - sum(
        each.paid for each in division.pieces if _is_asked(each)
    )
    pieces = []
    for each in division.pieces:
        if _is_asked(each):
            more = max(0, min(owes(each.receiver), room))
            room -= more
            each = replace(each, repaid=more)
        pieces.append(each)
    return replace(division, pieces=tuple(pieces))


def _is_asked(piece: Piece) -> bool:
    has_part = piece.holder is not None and piece.amount > 0
    return has_part and piece.state is PieceState.BOOKED


def taken(division: Division, backs: tuple[int, ...], owes: Callable[[str], int]) -> Division:
    """A refund's turn begins: what the merchant has of its receivers is at hand for it.

    `backs`: what each part gives back for it, in their order; `owes`: receiver -> minor units.
    """
    pieces = tuple(
        replace(
            piece, at_hand=piece.at_hand + min(max(0, back - piece.at_hand), owes(piece.receiver))
        )
        if piece.state is PieceState.SETTLED
        else piece
        for piece, back in zip(division.pieces, backs, strict=True)
    )
    return replace(division, pieces=pieces)


def let_be(division: Division) -> tuple[Division, dict[str, int]]:
    """(the division after a refund's turn, what no refund used of what came back: receiver ->
    minor units). From now on the merchant owes it.
    """
    left = {each.receiver: each.at_hand for each in division.pieces if each.at_hand}
    pieces = tuple(replace(each, at_hand=0) for each in division.pieces)
    return replace(division, pieces=pieces), left
