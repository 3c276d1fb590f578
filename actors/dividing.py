"""Money that the channel holds back, divided by the channel: one record a payment carries it.

The record is in the commit of the payment's success and due at once. Each step is durable before
the lane hears of it, and its number is made of payment and step: a crash anywhere means that the
same number is asked about, or sent again. Refunds in between: `actors/taking_back.py`.
"""

from collections.abc import Callable
from typing import Final

from msgspec.structs import replace

from actors import crash
from actors.core import Core
from actors.home import HomeDesk
from actors.link import Link
from actors.live import LivePayment
from actors.messages import Message
from actors.paying import Paying
from actors.record_kinds import DIVISION, HOLDER, OWED, REPAY
from actors.records import Kept
from actors.sharing_messages import LaneShare, LaneShared
from payments import bookings
from payments.channels.sharing import Holder, NotDone, Registered
from payments.splitting import dividing as rules
from payments.splitting import repaying
from payments.splitting.dividing import Division, Known, Piece, PieceState, Stage, known_id
from payments.splitting.repaying import Repay, repay_id
from payments.splitting.taking_back import Owed, owed_id, owing
from payments.view import split_id, split_json

LANE_DOWN_MS: Final = 2_000
"""How soon a lane that is away is looked for again."""

TURN_MS: Final = 60_000
"""How soon is looked again while a refund has its turn; its end is told at once."""

TAKE_BACK: Final = "take_back"
INQUIRE_RETURN: Final = "inquire_return"
BACK_OPS: Final = frozenset({TAKE_BACK, INQUIRE_RETURN})

NO_RELATION: Final = "NO_RELATION"
"""The channel's word for a receiver that it does not know (any more)."""

EVENTS: Final = {
    PieceState.SENT: "split.sent",
    PieceState.SETTLED: "split.settled",
    PieceState.FAILED: "split.failed",
}


class Dividing:
    """The flow of divisions."""

    def __init__(self, desk: HomeDesk, paying: Paying) -> None:
        self._desk = desk
        self._core: Core = desk.core
        self._paying = paying
        self.returned: Callable[[Kept, LaneShared, int], None] | None = None
        """Told of the channel's answers about return orders (`actors/taking_back.py`)."""
        self.over: Callable[[LivePayment, int], None] | None = None
        """Told of a payment that the channel has divided."""
        paying.divided = self._begin
        desk.does(DIVISION, self._due)
        desk.hears(LaneShared, self._heard)

    def _begin(self, live: LivePayment, now: int) -> None:
        """A payment succeeded whose money the channel holds: the intent, in its commit."""
        core, payment = self._core, live.payment
        assert payment.attempt is not None
        channel = payment.attempt.channel
        division = rules.begun(
            payment,
            live.merchant_no,
            lambda receiver: rules.holder_of(core.reference.receiver(receiver), channel),
            now,
        )
        identifier = rules.division_id(payment.id)
        core.records.put(DIVISION, identifier, payment.merchant, live.partition, division, now)

    def _due(self, kept: Kept, now: int) -> None:
        division: Division = kept.value
        if division.is_untouched and division.turn is not None:
            self.keep(kept, division, now + TURN_MS)
            return
        if division.is_untouched and not division.settled:
            self.keep(kept, rules.nothing_left(division), None)
            return
        core = self._core
        peer = core.lanes.peer(division.account, kept.partition)
        if peer is None or peer.link is None:
            self.keep(kept, division, now + LANE_DOWN_MS)
            return
        stranger = self._stranger(division)
        division, wait = rules.asked(division)
        if stranger is not None:
            self.keep(kept, division, now + wait)
            message = LaneShare(0, "register", kept.id, division.merchant, stranger)
        elif division.stage is Stage.READY:
            if division.is_untouched:
                division = rules.netted(division, self._owing(division))
                division = repaying.repaid(division, self.repaying(division))
            division = rules.sent(division)
            self._changed(kept, division, now, now + wait)
            order = rules.order_of(division)
            message = LaneShare(0, "share", kept.id, division.merchant, None, order)
        else:
            self.keep(kept, division, now + wait)
            order = rules.order_of(division)
            message = LaneShare(0, "inquire_share", kept.id, division.merchant, None, order)
        self.tell(division.account, kept.partition, message.op, message)

    def _stranger(self, division: Division) -> Holder | None:
        """A receiver of the order under way that the channel was not told of yet."""
        if division.stage is not Stage.READY:
            return None
        for piece in division.pieces:
            holder = piece.holder
            # What was sent once is sent again as it was.
            if holder is None or not piece.amount or piece.state is not PieceState.BOOKED:
                continue
            if not self._is_known(division, holder):
                return holder
        return None

    def _is_known(self, division: Division, holder: Holder) -> bool:
        identifier = known_id(division.account, division.merchant, holder)
        known = self._core.records.get(identifier, Known)
        return known is not None and known.is_registered

    def _remember(self, kept: Kept, holder: Holder, *, is_registered: bool) -> None:
        division: Division = kept.value
        identifier = known_id(division.account, division.merchant, holder)
        self._core.records.put(
            HOLDER, identifier, division.merchant, kept.partition, Known(is_registered), None
        )
        self._core.wake.set()

    def tell(self, account: str, partition: int, op: str, message: Message) -> None:
        """Say it to the lane once what led to it is durable; what is lost is due again."""
        core = self._core

        def leave() -> None:
            core.lanes.send(account, partition, message)
            if core.reach is not None:
                core.reach(crash.sent(op))

        core.releases.asks.append(leave)
        core.wake.set()

    # --- answers -------------------------------------------------------------------------------

    def _heard(self, link: Link, message: LaneShared) -> None:
        kept = self._core.records.kept(message.id)
        if kept is None or kept.kind != DIVISION:
            return
        now = self._core.clock.now_ms()
        if message.op == "register":
            self._registered(kept, message, now)
        elif message.op in BACK_OPS:
            if self.returned is not None:
                self.returned(kept, message, now)
        else:
            self._answered(kept, message, now)

    def _registered(self, kept: Kept, message: LaneShared, now: int) -> None:
        division: Division = kept.value
        holder, answer = message.holder, message.answer
        if holder is None or division.stage is not Stage.READY:
            return
        if isinstance(answer, Registered):
            self._remember(kept, holder, is_registered=True)
            self.keep(kept, replace(division, tries=0), now)
            self._due(kept, now)
        elif isinstance(answer, NotDone) and answer.is_final:
            refused = rules.unregistered(division, holder, answer.channel_code)
            self._changed(kept, replace(refused, tries=0), now, now)
            self._due(kept, now)

    def _answered(self, kept: Kept, message: LaneShared, now: int) -> None:
        """An answer about an order: of this step, or too late to matter."""
        division: Division = kept.value
        if division.stage is not Stage.SENT or message.number != rules.order_of(division).number:
            return
        after = rules.heard(division, message.answer, now)
        if after == division:
            return  # It is asked about when it is due.
        if after.stage is Stage.OVER:
            self._changed(kept, after, now, None)
            self._paid_out(kept, after, now)
        elif after.step > division.step:
            self._changed(kept, after, now, now)
        else:
            _, wait = rules.asked(division)
            self._changed(kept, after, now, now + wait)

    def _paid_out(self, kept: Kept, division: Division, now: int) -> None:
        """The channel has paid everybody: what it held is gone, and with it what was to come."""
        live = self._paying.find(division.payment)
        assert live is not None, division.payment
        currency = live.payment.currency
        failed = _amounts(division, PieceState.FAILED, lambda piece: piece.amount)
        netted = _amounts(division, PieceState.SETTLED, lambda piece: piece.netted)
        repaid = _amounts(division, PieceState.SETTLED, lambda piece: piece.repaid)
        paid = _amounts(division, PieceState.SETTLED, lambda piece: piece.paid)
        entries = (
            (
                bookings.parts_failed_entry_id(kept.id),
                bookings.parts_failed(division.merchant, kept.partition, failed),
            ),
            (
                bookings.netted_entry_id(kept.id),
                bookings.netted(division.merchant, kept.partition, netted, repaid),
            ),
            (
                bookings.paid_out_entry_id(kept.id),
                bookings.paid_out(
                    division.account,
                    division.merchant,
                    kept.partition,
                    division.settled,
                    paid,
                ),
            ),
        )
        core = self._core
        for entry_id, postings in entries:
            if postings:
                core.books.book(
                    core.batch, kept.partition, entry_id, kept.id, now, currency, postings
                )
        core.count("divisions_over")
        if self.over is not None:
            self.over(live, now)
        core.forget(live)

    # --- keeping -------------------------------------------------------------------------------

    def keep(self, kept: Kept, division: Division, due_ms: int | None) -> None:
        core = self._core
        core.records.put(DIVISION, kept.id, kept.owner, kept.partition, division, due_ms)
        core.wake.set()

    def _changed(self, kept: Kept, division: Division, now: int, due_ms: int | None) -> None:
        """Keep it, and tell of each part that stands elsewhere now."""
        before: Division = kept.value
        self.keep(kept, division, due_ms)
        for old, new in zip(before.pieces, division.pieces, strict=True):
            if old.netted != new.netted:
                self.owe(kept, new.receiver, old.netted - new.netted)
            if old.repaid != new.repaid:
                self.repay(kept, new.receiver, old.repaid - new.repaid)
            if old.state is new.state:
                continue
            if new.reason == NO_RELATION and new.holder is not None:
                self._remember(kept, new.holder, is_registered=False)
            self._emit(division, new.receiver, new.state, now)

    def owe(self, kept: Kept, receiver: str, minor: int) -> None:
        """The receiver owes the merchant so much more, or less."""
        division: Division = kept.value
        before = self._owing(division)(receiver)
        assert before + minor >= 0, (division.payment, receiver, before, minor)
        identifier = owed_id(division.merchant, receiver, self._currency(division))
        owed = Owed(receiver, before + minor)
        self._core.records.put(OWED, identifier, division.merchant, kept.partition, owed, None)

    def _owing(self, division: Division) -> Callable[[str], int]:
        records = self._core.records
        return owing(
            lambda name: records.get(name, Owed), division.merchant, self._currency(division)
        )

    def repay(self, kept: Kept, receiver: str, minor: int) -> None:
        """The merchant owes the receiver so much more, or less."""
        division: Division = kept.value
        merchant = division.merchant
        before = self.repaying(division)(receiver)
        assert before + minor >= 0, (division.payment, receiver, before, minor)
        identifier = repay_id(merchant, receiver, self._currency(division))
        value = Repay(merchant, receiver, before + minor)
        self._core.records.put(REPAY, identifier, merchant, kept.partition, value, None)

    def repaying(self, division: Division) -> Callable[[str], int]:
        """receiver -> what the merchant of the division owes it; minor units."""
        records = self._core.records
        return repaying.repaying(
            lambda name: records.get(name, Repay), division.merchant, self._currency(division)
        )

    def _currency(self, division: Division) -> str:
        live = self._paying.find(division.payment)
        assert live is not None, division.payment
        currency = live.payment.currency
        self._core.forget(live)
        return currency

    def _emit(self, division: Division, receiver: str, state: PieceState, now: int) -> None:
        live = self._paying.find(division.payment)
        assert live is not None, division.payment
        payment = live.payment
        share = next(each for each in payment.shares if each.receiver == receiver)
        body = split_json(payment, share, self._core.presentation, state)
        source = split_id(payment.id, receiver)
        self._desk.emit(division.merchant_no, source, EVENTS[state], now, body)
        self._core.forget(live)


def _amounts(
    division: Division, state: PieceState, amount: Callable[[Piece], int]
) -> dict[str, int]:
    """receiver -> minor units, of the pieces that stand so."""
    return {piece.receiver: amount(piece) for piece in division.pieces if piece.state is state}
