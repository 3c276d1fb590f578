"""Payments that the channel itself holds back and divides: what is asked of it, step by step.

Source: WeChat Pay API v3, "profit sharing": an order is sent with the mark that holds its money
back; after success one sharing order names what each receiver gets and lets go of the rest. What
an answer does to our record is decided here; who sends and keeps it is `actors/dividing.py`.

    ready --intent durable, sent--> sent --finished--> over
    sent  --explicit refusal-->  all parts have failed: let go of everything, under a second number
    sent  --no answer to believe, or not finished--> asked about by the same number
    sent  --the channel has no such number--> ready: sent again, under the same number

Refunds have their turns in between, one after the other: `payments/splitting/taking_back.py`.
"""

from collections.abc import Callable
from enum import StrEnum
from hashlib import sha256
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from payments.channels.sharing import (
    Absent,
    Answered,
    Divided,
    Holder,
    NotDone,
    Portion,
    SharingOrder,
)
from payments.channels.wechat.sharing_wire import MERCHANT_ID, SHARING_DAYS_MAX, share_max
from payments.errors import InvalidField
from payments.ids import BODY_LENGTH, derived_body
from payments.payment import Payment
from payments.reference import Receiver
from payments.routing import ChannelAccount
from payments.splitting.sharing import shares_of
from payments.splitting.terms import Terms

DIVIDES: Final = frozenset({"wechat"})
"""Channels that can hold money back and divide it."""

DAY_MS: Final = 86_400_000
AGAIN_MS: Final = 2_000
AGAIN_MAX_MS: Final = 3_600_000
"""How soon the channel is asked again: at first, and at the most."""

DESCRIPTION: Final = "分账"
NO_ACCOUNT: Final = "NO_CHANNEL_ACCOUNT"
"""Why a part fails whose receiver the channel cannot pay."""


class Stage(StrEnum):
    READY = "ready"
    SENT = "sent"
    OVER = "over"


class PieceState(StrEnum):
    """What a split says of itself (`status` in the API)."""

    BOOKED = "booked"
    SENT = "sent"
    SETTLED = "settled"
    FAILED = "failed"


class Piece(Struct, frozen=True, array_like=True, gc=False):
    """One receiver's part; minor units. `reason`: why it failed, in the channel's word.

    `netted`: so much of it the merchant keeps, for the receiver owed it that. `back`: taken back
    from the receiver at the channel in all; `at_hand`: what the merchant has of the receiver for
    the refund whose turn it is. `repaid`: so much more it gets, for the merchant owed it that.
    """

    receiver: str
    amount: int
    holder: Holder | None
    state: PieceState = PieceState.BOOKED
    reason: str = ""
    netted: int = 0
    back: int = 0
    at_hand: int = 0
    repaid: int = 0

    @property
    def paid(self) -> int:
        """What the channel is asked to pay to the receiver; minor units."""
        return self.amount - self.netted + self.repaid


class BackState(StrEnum):
    """Of one return order: `done` the money came back, `failed` it did not and will not."""

    READY = "ready"
    SENT = "sent"
    DONE = "done"
    FAILED = "failed"


class Back(Struct, frozen=True, array_like=True, gc=False):
    """A return order: `amount` minor units from the receiver of the piece number `at`, from 0."""

    at: int
    amount: int
    state: BackState = BackState.READY
    reason: str = ""


class Turn(Struct, frozen=True, array_like=True, gc=False):
    """The refund whose turn it is, and what it takes back first. `tries`: as of a division."""

    refund: str
    backs: tuple[Back, ...] = ()
    tries: int = 0


class Division(Struct, frozen=True, array_like=True, gc=False):
    """One payment's money at the channel: a shard's record. `settled`: all of it, minor units.

    `step`: which order is under way, 1 the parts, 2 letting go of everything. `tries`: how often
    it was asked without an end. `paid_at`: business ms. What is refunded before it is over is
    taken off `settled` and off the pieces; `whole` is what was settled at first, and 0 in records
    of older releases. `is_plain`: the channel refused the order with what it was to repay; the one
    under way repays nothing, and has a number of its own.
    """

    payment: str
    merchant: str
    merchant_no: int
    account: str
    trade_no: str
    settled: int
    paid_at: int
    pieces: tuple[Piece, ...]
    step: int = 1
    stage: Stage = Stage.READY
    tries: int = 0
    turn: Turn | None = None
    whole: int = 0
    is_plain: bool = False

    @property
    def is_untouched(self) -> bool:
        """Whether the channel was never asked to divide it, so that amounts may still change."""
        is_first = self.stage is Stage.READY and self.step == 1
        return is_first and not any(each.state is PieceState.SENT for each in self.pieces)


class Known(Struct, frozen=True, array_like=True, gc=False):
    """Whether a receiver's account is registered at the channel: a shard's record."""

    is_registered: bool


def division_id(payment: str) -> str:
    """The id of a payment's division: with a body of its own, for its entries are not sales."""
    return "dvn_" + derived_body(payment, sha256(f"division of {payment}".encode()).digest())


def known_id(account: str, merchant: str, holder: Holder) -> str:
    """The id under which a channel account's registered receivers are remembered."""
    words = "\n".join((account, merchant, holder.kind, holder.account))
    return "hld_" + sha256(words.encode()).hexdigest()[:32]


def holder_of(receiver: Receiver | None, channel: str) -> Holder | None:
    """How a channel knows the receiver; None where it does not. A merchant goes by its name."""
    for each in () if receiver is None else receiver.channel_accounts:
        if receiver is not None and each.channel == channel:
            name = receiver.name if each.type == MERCHANT_ID else None
            return Holder(each.type, each.account, each.relation, name)
    return None


def refuse_indivisible(
    terms: Terms,
    amount: int,
    fee: int,
    account: ChannelAccount,
    receiver: Callable[[str], Receiver | None],
) -> None:
    """InvalidField for a split that the channel could not carry out, before any money moves."""
    if account.channel not in DIVIDES:
        raise InvalidField(
            "the channel that holds this merchant's money cannot divide it", param="/splits"
        )
    seen = set()
    for at, part in enumerate(terms.parts):
        holder = holder_of(receiver(part.receiver), account.channel)
        if holder is None:
            raise InvalidField(
                f"the receiver has no channel account at {account.channel}",
                param=f"/splits/{at}/receiver",
            )
        if (holder.kind, holder.account) in seen:
            raise InvalidField(
                "two receivers have the same channel account", param=f"/splits/{at}/receiver"
            )
        seen.add((holder.kind, holder.account))
    shared = sum(share.amount for share in shares_of(terms, amount, fee))
    most = share_max(amount)
    # What a partner's merchants may share is agreed with the channel, which says so itself.
    if account.mode == "direct" and shared > most:
        raise InvalidField(f"the channel shares {most} of this amount at the most", param="/splits")


def begun(
    payment: Payment, merchant_no: int, holder: Callable[[str], Holder | None], now: int
) -> Division:
    """The division of a payment that has just succeeded."""
    assert payment.attempt is not None
    assert payment.settle_amount is not None
    return Division(
        payment.id,
        payment.merchant,
        merchant_no,
        payment.attempt.account,
        payment.attempt.channel_trade_no or "",
        payment.settle_amount,
        now,
        tuple(Piece(each.receiver, each.amount, holder(each.receiver)) for each in payment.shares),
        whole=payment.settle_amount,
    )


def order_of(division: Division) -> SharingOrder:
    """What is asked under the number of this step: the same whenever it is asked again."""
    portions = tuple(
        Portion(piece.holder.kind, piece.holder.account, piece.paid)
        for piece in division.pieces
        if piece.holder is not None and piece.paid > 0 and piece.state is not PieceState.FAILED
    )
    plain = "P" if division.is_plain and division.step == 1 else ""
    return SharingOrder(
        division.trade_no,
        f"{division.payment[-BODY_LENGTH:]}S{division.step}{plain}",
        division.merchant,
        portions,
        True,
        DESCRIPTION,
        division.whole,
    )


def netted(division: Division, owed: Callable[[str], int]) -> Division:
    """Of what receivers owe the merchant (minor units), what their parts pay. Before it is sent."""
    pieces = tuple(
        replace(each, netted=min(each.amount, owed(each.receiver)))
        if each.holder is not None and each.state is PieceState.BOOKED
        else each
        for each in division.pieces
    )
    return replace(division, pieces=pieces)


def nothing_left(division: Division) -> Division:
    """All was refunded before anything was divided: there is nothing to ask for."""
    pieces = tuple(replace(each, state=PieceState.SETTLED) for each in division.pieces)
    return replace(division, pieces=pieces, stage=Stage.OVER)


def sent(division: Division) -> Division:
    """The order of this step is about to leave: from now on it is asked about.

    Whom the channel cannot pay (any more) has failed.
    """
    pieces = tuple(
        each
        if each.state is not PieceState.BOOKED
        else _fail(each, NO_ACCOUNT)
        if each.holder is None and each.amount
        else replace(each, state=PieceState.SENT)
        for each in division.pieces
    )
    return replace(division, stage=Stage.SENT, pieces=pieces)


def unregistered(division: Division, holder: Holder, reason: str) -> Division:
    """The channel refuses to know a receiver: its part is the merchant's."""
    pieces = tuple(
        _fail(each, reason) if each.holder == holder else each for each in division.pieces
    )
    return replace(division, pieces=pieces)


def asked(division: Division) -> tuple[Division, int]:
    """(the division, ms until it is looked at again) once more asked without an end."""
    wait = min(AGAIN_MS << min(division.tries, 12), AGAIN_MAX_MS)
    return replace(division, tries=division.tries + 1), wait


def heard(division: Division, answer: Answered, now: int) -> Division:
    """What the channel's answer about the order of this step does; unclear ones do nothing."""
    match answer:
        case Divided(is_over=True, portions=portions):
            return _finished(division, portions)
        case NotDone(is_final=True) if any(each.repaid for each in division.pieces):
            # Perhaps for what it repays, which is nobody's part of this payment: without it first.
            pieces = tuple(replace(each, repaid=0) for each in division.pieces)
            return replace(division, pieces=pieces, is_plain=True, stage=Stage.READY, tries=0)
        case NotDone(is_final=is_final, channel_code=code) if division.step == 1 and (
            is_final or _is_let_go(division, now)
        ):
            pieces = tuple(_fail(each, code) for each in division.pieces)
            return replace(division, pieces=pieces, step=2, stage=Stage.READY, tries=0)
        case NotDone(is_final=True) if _is_let_go(division, now):
            return replace(division, stage=Stage.OVER)
        case NotDone() | Absent():
            return replace(division, stage=Stage.READY)
        case _:
            return division


def _is_let_go(division: Division, now: int) -> bool:
    """Whether by its age the channel holds nothing back any more, without being asked."""
    return now > division.paid_at + SHARING_DAYS_MAX * DAY_MS


def _finished(division: Division, portions: tuple[Portion, ...]) -> Division:
    ends = {(each.kind, each.account): each for each in portions}
    pieces = []
    for piece in division.pieces:
        if piece.state is not PieceState.FAILED:
            end = None
            if piece.holder is not None:
                end = ends.get((piece.holder.kind, piece.holder.account))
            # A part of nothing is in no order, and has what it is to have.
            if end is None or end.result == "success":
                piece = replace(piece, state=PieceState.SETTLED)
            else:
                piece = _fail(piece, end.reason)
        pieces.append(piece)
    return replace(division, pieces=tuple(pieces), stage=Stage.OVER)


def _fail(piece: Piece, reason: str) -> Piece:
    # What was owed is owed again: nothing was kept or paid of a part that is the merchant's now.
    reason = piece.reason or reason
    return replace(piece, state=PieceState.FAILED, reason=reason, netted=0, repaid=0)
