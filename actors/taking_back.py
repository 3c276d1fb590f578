"""Refunds of payments whose money the channel divides: each in its turn, receivers' parts first.

The turn and its return orders are in the payment's division, one record; what the refund itself
waits for is in its row, and its own due time carries both. Each step is durable before the lane
hears of it; a crash anywhere means that the same numbers are asked about, or sent again.
"""

from collections.abc import Callable
from typing import Final

from msgspec.structs import replace

from actors.core import Core
from actors.dividing import INQUIRE_RETURN, TAKE_BACK, Dividing
from actors.live import LivePayment, LiveRefund
from actors.record_kinds import TAKEN
from actors.records import Kept
from actors.refunding import Refunding
from actors.sharing_messages import LaneShare, LaneShared
from payments import bookings
from payments.bookings import Drawn
from payments.channels.base import Declined
from payments.ledger import Postings
from payments.refund import RefundStatus
from payments.splitting import repaying
from payments.splitting import taking_back as rules
from payments.splitting.dividing import BackState, Division, Stage, division_id
from payments.splitting.taken import taken_id, taken_of

WAITED: Final = Declined(
    "split_in_progress",
    "The channel is still dividing this payment, or refunding a part of it; ask again later.",
)
"""Why a refund fails that waited for so long as it may. The channel was not asked."""


class TakingBack:
    """See `actors.returning.Turns`."""

    def __init__(self, dividing: Dividing, core: Core, refunding: Refunding) -> None:
        self._dividing = dividing
        self._core = core
        self._refunding = refunding
        refunding.turns = self
        dividing.returned = self._heard
        dividing.over = self._wake

    def _kept(self, entry: LiveRefund) -> Kept | None:
        """The division of the refund's payment, if the channel divides it."""
        payment = entry.of.payment
        return self._core.records.kept(division_id(payment.id)) if payment.shares else None

    # --- before the channel is asked for the refund ----------------------------------------------

    def look(self, entry: LiveRefund, now: int) -> None:
        kept = self._kept(entry)
        assert kept is not None, entry.refund.id
        division: Division = kept.value
        refund, turn = entry.refund, division.turn
        if turn is not None and turn.refund == refund.id:
            self._go_on(kept, entry, now)
        elif rules.may_start(division):
            backs = self._core.shares_back(
                entry.of.payment, *self._core.give_back(entry.of.payment, refund.amount)
            )
            self._take(kept, entry, backs, now)
            self._keep(kept, rules.started(kept.value, refund.id, backs))
            self._go_on(kept, entry, now)
        elif now - refund.created >= rules.WAIT_MAX_MS:
            self._refunding.failed(entry, WAITED, now)
        else:
            wait = rules.look_again_ms(now - refund.created)
            self._refunding.put_off(entry, now + wait)

    def _take(self, kept: Kept, entry: LiveRefund, backs: tuple[int, ...], now: int) -> None:
        """What the merchant has of the receivers is taken first."""
        before: Division = kept.value
        if before.stage is not Stage.OVER:
            return
        after = repaying.taken(before, backs, self._dividing.repaying(before))
        taken = {
            new.receiver: old.at_hand - new.at_hand
            for old, new in zip(before.pieces, after.pieces, strict=True)
            if old.at_hand != new.at_hand
        }
        self._keep(kept, after)
        self._repay(kept, entry, bookings.netted_entry_id, taken, now)

    def _repay(
        self,
        kept: Kept,
        entry: LiveRefund,
        entry_id: Callable[[str], str],
        more: dict[str, int],
        now: int,
    ) -> None:
        """The merchant owes its receivers so much more, or less: kept and booked."""
        for receiver, minor in more.items():
            self._dividing.repay(kept, receiver, minor)
        core, payment = self._core, entry.of.payment
        postings = bookings.kept(payment.merchant, kept.partition, more)
        if postings:
            source = rules.turn_id(entry.refund.id)
            core.books.book(
                core.batch,
                kept.partition,
                entry_id(source),
                source,
                now,
                payment.currency,
                postings,
            )

    def _go_on(self, kept: Kept, entry: LiveRefund, now: int) -> None:
        """Ask for, or about, what is not back; when all is, ask for the refund."""
        division: Division = kept.value
        turn = division.turn
        assert turn is not None, entry.refund.id
        if rules.is_back(turn):
            self._refunding.send(entry, now)
            return
        after, wait = rules.asked_back(division, turn)
        self._keep(kept, after)
        self._refunding.put_off(entry, now + wait)
        for back in rules.open_backs(turn):
            op = TAKE_BACK if back.state is BackState.READY else INQUIRE_RETURN
            asked = rules.return_of(division, turn, back)
            message = LaneShare(0, op, kept.id, division.merchant, back=asked)
            self._dividing.tell(division.account, kept.partition, op, message)

    def _heard(self, kept: Kept, message: LaneShared, now: int) -> None:
        """An answer about a return order: of this turn, or too late to matter."""
        division: Division = kept.value
        after = rules.heard_back(division, message.number, message.answer)
        if after == division:
            return  # It is asked about when it is due.
        self._keep(kept, after)
        assert after.turn is not None
        self._remember(kept, after, message.number, now)
        if rules.is_back(after.turn):
            self._refunding.send(self._entry(after.turn.refund), now)

    def _remember(self, kept: Kept, division: Division, number: str, now: int) -> None:
        """What came back is in a bill of the channel, long after the turn has ended."""
        turn = division.turn
        assert turn is not None, division.payment
        back = next(each for each in turn.backs if rules.number_of(turn, each) == number)
        if back.state is BackState.DONE:
            taken = taken_of(division, turn, back, now)
            self._core.records.put(
                TAKEN, taken_id(number), division.merchant, kept.partition, taken, None
            )

    def _entry(self, identifier: str) -> LiveRefund:
        known = self._core.refund_by_id.get(identifier)
        if known is not None:
            return known
        row = self._core.store.refund(identifier)
        assert row is not None, identifier
        return self._refunding.adopt(row)

    # --- its end -------------------------------------------------------------------------------

    def give(
        self, entry: LiveRefund, settle_back: int, fee_back: int, now: int
    ) -> tuple[tuple[Drawn, ...], Postings]:
        kept = self._kept(entry)
        assert kept is not None, entry.refund.id
        core, payment, refund = self._core, entry.of.payment, entry.refund
        before: Division = kept.value
        backs = core.shares_back(payment, settle_back, fee_back)
        names = [share.receiver for share in payment.shares]
        parts = dict(zip(names, backs, strict=True))
        after, debts = rules.given(before, settle_back, backs)
        self._keep(kept, after)
        about = (before.account, payment.merchant, kept.partition, settle_back, parts)
        if before.stage is Stage.OVER:
            owed = dict(zip(names, debts, strict=True))
            for receiver, minor in owed.items():
                if minor:
                    self._dividing.owe(kept, receiver, minor)
            postings = bookings.came_back(*about, owed)
            if postings:
                source = rules.turn_id(refund.id)
                entry_id = bookings.came_back_entry_id(source)
                core.books.book(
                    core.batch, kept.partition, entry_id, source, now, payment.currency, postings
                )
        drawn = tuple(
            Drawn(name, back - debt, 0, debt)
            for name, back, debt in zip(names, backs, debts, strict=True)
        )
        return drawn, bookings.held_refund(*about)

    def end(self, entry: LiveRefund, now: int) -> None:
        kept = self._kept(entry)
        if kept is None:
            return
        division: Division = kept.value
        if division.turn is None or division.turn.refund != entry.refund.id:
            return
        division, left = repaying.let_be(replace(division, turn=None))
        self._repay(kept, entry, bookings.kept_entry_id, left, now)
        due_ms = now if division.is_untouched else kept.due_ms
        self._dividing.keep(kept, division, due_ms)
        self._wake(entry.of, now)

    def _wake(self, live: LivePayment, now: int) -> None:
        """Refunds of the payment that wait look at once."""
        if not live.payment.refunding:
            return
        for entry in self._core.refunds.values():
            refund = entry.refund
            if entry.of is live and not refund.asked and refund.status is RefundStatus.PROCESSING:
                self._refunding.put_off(entry, now)

    def _keep(self, kept: Kept, division: Division) -> None:
        self._dividing.keep(kept, division, kept.due_ms)
