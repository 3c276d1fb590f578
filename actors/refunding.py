"""How refunds are decided and carried to their end, inside the payment's shard.

The hold on the payment is taken in the same step that checks it and committed with the refund's
intent; the channel is asked after that commit. An unclear answer is inquired about and, where the
channel has no such refund, asked again under the same number: never under a new one.
"""

import heapq
from typing import Final

from msgspec.structs import replace

from actors import crash
from actors.core import Core
from actors.key_uses import key_id, taken
from actors.link import Link
from actors.live import LivePayment, LiveRefund, decode_refund
from actors.messages import LaneRefund, MakeRefund
from actors.outside import is_outside, refund_postings
from actors.paying import REF_BITS, REFUND, Paying
from actors.refund_waiting import RefundWaiting
from actors.returning import Turns, tell_returned
from actors.sharing import draw, out_of_what_there_is
from payments import bookings, chart
from payments.bookings import Drawn
from payments.calendar import business_date
from payments.channel_time import believed
from payments.channels.base import Approved, Declined, Outcome, Unpaid
from payments.errors import (
    ExceedsPaid,
    NotFound,
    NotRefundable,
    Overloaded,
    PaymentError,
)
from payments.idempotency import index_of
from payments.ids import BODY_LENGTH, out_trade_no
from payments.lifecycle import Decision
from payments.payment import Failure, Moment, Payment, Status, lengthen
from payments.payment_events import RefundDone, RefundHeld, RefundReleased
from payments.refund import Refund, RefundStatus
from payments.reported import refuse_refund
from payments.splitting.escrow import from_held
from payments.splitting.terms import ShareBack
from payments.storage.base import RefundRow
from payments.view import refund_json

FIRST_LOOK_MS: Final = 5_000
"""After the lane's own time-out for a call, so that its answer normally comes first."""

RETRY_MS: Final = 2_000
RETRY_MAX_MS: Final = 600_000
FAR_MS: Final = 1 << 50

REFUNDS_OPEN_MAX: Final = 100_000
"""Refunds under way that a shard takes up when it opens; the scan finds others when due."""


class Refunding(RefundWaiting):
    """The flow of refunds and cancels."""

    def __init__(self, core: Core, paying: Paying) -> None:
        super().__init__(core)
        self._paying = paying
        self.turns: Turns | None = None
        paying.late_refund = self.begin_automatic

    # --- asked by a merchant ---------------------------------------------------------------------

    def make(self, link: Link, command: MakeRefund) -> None:
        try:
            self._make(link, command)
        except PaymentError as error:
            self._core.refuse(link, command.ref, error)
        except Exception as error:
            self._core.bug(link, command.ref, error)
        self.let_go(command.payment)

    def let_go(self, payment: str) -> None:
        """A payment that was brought to memory for a look leaves it again, unless held."""
        live = self._core.live_by_id.get(payment)
        if live is not None:
            self._core.forget(live)

    def recover(self) -> None:
        """Bring the refunds under way back, so that what they hold is held: at open, once."""
        core = self._core
        for row in core.store.due_refunds(FAR_MS, REFUNDS_OPEN_MAX):
            self.adopt(row)

    def adopt(self, row: RefundRow) -> LiveRefund:
        """A stored refund, in memory with its payment."""
        core = self._core
        known = core.refunds.get(row[0])
        if known is not None:
            return known
        of = core.live.get(row[2])
        if of is None:
            payment_row = core.store.payment_by_no(row[2])
            assert payment_row is not None, row[1]
            of = core.adopt(LivePayment.of_row(payment_row))
        entry = core.adopt_refund(LiveRefund.of_row(row, of))
        self.schedule(entry)
        return entry

    def _make(self, link: Link, command: MakeRefund) -> None:
        core = self._core
        if self.is_known(link, command):
            return
        live = self.find_payment(command.merchant, command.payment, command.store)
        payment = live.payment
        refuse_refund(payment)
        if core.draining:
            raise Overloaded("the shard takes no new refunds just now", retry_after_s=1)
        if payment.status is not Status.SUCCEEDED:
            raise NotRefundable(f"{payment.id} is {payment.status}; only a paid one is refunded")
        amount = payment.refundable if command.amount is None else command.amount
        if amount > payment.refundable or amount < 1:
            raise ExceedsPaid(
                f"{payment.refundable} of {payment.amount} is left to refund", param="amount"
            )
        refund = self.begin(live, command, amount)
        self.wait(refund, link, command.ref, command.wait_ms, None, replayed=False)

    def is_known(self, link: Link, command: MakeRefund) -> bool:
        """Whether the command was taken before: then it is answered. Spends a new one's nonce."""
        core = self._core
        known = core.refund_by_id.get(command.id)
        if known is not None:
            self.wait(known, link, command.ref, command.wait_ms, None, replayed=False)
            return True
        stored = self.stored_by_key(command.key_digest)
        if stored is not None and stored.id == command.id:
            status = 202 if stored.status is RefundStatus.PROCESSING else 201
            core.say(link, command.ref, status, refund_json(stored, core.presentation))
            return True
        self._core.take_nonce(command.nonce, command.nonce_at)
        return self._replayed(link, command, stored)

    def begin(self, live: LivePayment, command: MakeRefund, amount: int) -> LiveRefund:
        core = self._core
        payment = live.payment
        assert payment.attempt is not None
        now = core.clock.now_ms()
        refund = Refund(
            command.id,
            payment.id,
            payment.merchant,
            amount,
            payment.currency,
            RefundStatus.PROCESSING,
            now,
            self.date(payment, now),
            command.key_digest,
            command.fingerprint,
            reason=command.reason,
            metadata=command.metadata,
            attempt_no=payment.attempt.number,
            account=payment.attempt.account,
            channel=payment.attempt.channel,
        )
        return self.hold(live, refund, now)

    def date(self, payment: Payment, now: int) -> int:
        store = self._core.reference.store(payment.store) if payment.store else None
        return business_date(now, store.closing_minute if store is not None else 0)

    def hold(self, live: LivePayment, refund: Refund, now: int) -> LiveRefund:
        """Write the intent and hold the amount; or a refund that failed before it was asked."""
        core = self._core
        is_divided = not refund.automatic and core.division(live.payment) is not None
        if not refund.automatic and not is_divided and not self._covered(live, refund.amount):
            refund = replace(
                refund,
                status=RefundStatus.FAILED,
                failure=Failure(
                    "insufficient_balance", "The merchant's balance does not cover it."
                ),
            )
        elif is_divided:
            refund = replace(refund, next_action_at=now, history=(Moment(now, "refund_waiting"),))
        else:
            refund = _sending(refund, now)
        entry = core.add_refund(live, refund)
        if refund.status is RefundStatus.FAILED:
            body = refund_json(refund, core.presentation)
            core.emit(live, "refund.failed", refund.id, now, body)
            core.count("refund_failed")
        else:
            if refund.stray is None:
                held = RefundHeld(now, refund.amount, refund.id)
                self._paying.fold(live, Decision((held,)), now)
                core.rehold(live)
            if is_divided and self.turns is not None:
                self.turns.look(entry, now)
            else:
                self._ask(entry, "refund")
        core.wake.set()
        return entry

    def _covered(self, live: LivePayment, amount: int) -> bool:
        """Whether pending and available of the merchant cover the refund, holds counted."""
        core = self._core
        payment = live.payment
        needed = core.merchant_back(payment, payment.refunding + amount)
        balance = core.books.balance
        has = -balance(chart.merchant_pending(payment.merchant), payment.currency)
        has -= balance(chart.merchant_available(payment.merchant), payment.currency)
        others = core.refund_holds.get(payment.merchant, 0) - core.held.get(live.no, 0)
        return has - others >= needed

    def begin_automatic(self, live: LivePayment, _: Approved | None, now: int) -> None:
        """A late success goes back by itself; the id comes from the payment's, so only once."""
        core = self._core
        payment = live.payment
        assert payment.attempt is not None
        identifier = "rfd_" + payment.id[-BODY_LENGTH:]
        if identifier in core.refund_by_id or payment.refundable < 1:
            return
        refund = Refund(
            identifier,
            payment.id,
            payment.merchant,
            payment.amount,
            payment.currency,
            RefundStatus.PROCESSING,
            now,
            self.date(payment, now),
            core.digests.key(payment.merchant, f"late success of {payment.id}"),
            b"",
            reason="late_success",
            automatic=True,
            attempt_no=payment.attempt.number,
            account=payment.attempt.account,
            channel=payment.attempt.channel,
        )
        self.hold(live, refund, now)

    # --- keys and nonces -------------------------------------------------------------------------

    def stored_by_key(self, digest: bytes) -> Refund | None:
        for row in self._core.store.refunds_by_key([index_of(digest)]):
            refund = decode_refund(row[7])
            if refund.key_digest == digest:
                return refund
        return None

    def is_key_of_another(self, digest: bytes) -> bool:
        """Whether a payment, or something on the way home, used the key."""
        core = self._core
        if digest in core.live_by_key or core.records.has(key_id(digest)):
            return True
        rows = core.store.payments_by_key([index_of(digest)])
        return any(LivePayment.of_row(row).payment.key_digest == digest for row in rows)

    def _replayed(self, link: Link, command: MakeRefund, stored: Refund | None) -> bool:
        core = self._core
        live = core.refund_by_key.get(command.key_digest)
        existing = live.refund if live is not None else stored
        if existing is None:
            if self.is_key_of_another(command.key_digest):
                raise taken()
            return False
        if existing.fingerprint != command.fingerprint:
            raise taken()
        if live is not None:
            self.wait(live, link, command.ref, command.wait_ms, None, replayed=True)
        else:
            status = 202 if existing.status is RefundStatus.PROCESSING else 201
            body = refund_json(existing, core.presentation)
            core.say(link, command.ref, status, body, replayed=True)
        return True

    def find_payment(self, merchant: str, identifier: str, store: str | None) -> LivePayment:
        """The payment, if it is this merchant's (and in the one store a terminal key may see)."""
        live = self._paying.find(identifier)
        if live is None or live.payment.merchant != merchant:
            raise NotFound(f"no payment {identifier[:40]!r}")
        if store is not None and live.payment.store != store:
            raise NotFound(f"no payment {identifier[:40]!r}")
        return live

    # --- the channel -----------------------------------------------------------------------------

    def _ask(self, entry: LiveRefund, op: str) -> None:
        refund, payment = entry.refund, entry.of.payment
        attempt = payment.attempt_of(refund.attempt_no)
        message = LaneRefund(
            entry.no << REF_BITS | REFUND,
            op,
            out_trade_no(refund.payment, refund.attempt_no),
            refund.id[-BODY_LENGTH:],
            refund.amount,
            payment.amount,
            refund.currency,
            (attempt and attempt.way) or payment.way,
            (attempt and attempt.wallet) or payment.wallet,
            payment.merchant,
            payment.created if attempt is None else attempt.sent_at,
            refund.created,
        )
        account, partition = refund.account, entry.of.partition
        core = self._core

        def leave() -> None:
            if core.lanes.send(account, partition, message):
                entry.lane_ref = True
            if core.reach is not None:
                core.reach(crash.sent(op))

        core.releases.asks.append(leave)
        core.wake.set()

    def answered(self, entry: LiveRefund, outcome: Outcome) -> None:
        """A lane answered a refund or a query about one."""
        core = self._core
        entry.lane_ref = False
        refund = entry.refund
        if refund.status is not RefundStatus.PROCESSING:
            core.forget_refund(entry)  # The last answer of several: nothing holds it any more.
            return
        now = core.clock.now_ms()
        outcome = believed(outcome, refund.created, core.clock)
        if isinstance(outcome, Approved) and not self.is_ours(refund, outcome):
            self._later(entry, now, "mismatch")
        elif isinstance(outcome, Approved):
            self.succeeded(entry, outcome, now)
        elif isinstance(outcome, Declined) and not outcome.not_sent and not refund.automatic:
            self.failed(entry, outcome, now)
        elif isinstance(outcome, Unpaid) and outcome.state == "absent":
            self._again(entry, "refund", now)
        else:
            self._later(entry, now, type(outcome).__name__.lower())

    def is_ours(self, refund: Refund, outcome: Approved) -> bool:
        """Whether a success is about our order and our amount: else it proves nothing."""
        number = out_trade_no(refund.payment, refund.attempt_no)
        return (outcome.out_trade_no, outcome.amount) == (number, refund.amount)

    def succeeded(
        self, entry: LiveRefund, outcome: Approved, now: int, at: int | None = None
    ) -> None:
        """The money went back: book it. `at`: when, if it was told later."""
        core = self._core
        live, refund = entry.of, entry.refund
        payment = live.payment
        drawn: tuple[Drawn, ...] = ()
        held = 0
        if refund.automatic:
            settle_back, fee_back = payment.settle_amount or 0, 0
            if refund.stray is not None:
                settle_back = refund.stray
            postings = bookings.late_refund_booked(
                refund.account,
                live.partition,
                settle_back,
                is_outside=is_outside(payment, refund.attempt_no),
            )
            entry_id = bookings.late_refund_entry_id(refund.id)
        elif self.turns is not None and core.division(payment) is not None:
            settle_back, fee_back = core.give_back(payment, refund.amount)
            drawn, postings = self.turns.give(entry, settle_back, fee_back, now)
            entry_id = bookings.held_refund_entry_id(refund.id)
        else:
            settle_back, fee_back = core.give_back(payment, refund.amount)
            drawn = draw(core, payment, live.partition, settle_back, fee_back)
            own = settle_back - fee_back - sum(each.amount for each in drawn)
            held = from_held(payment.escrow, own)
            postings = refund_postings(core, live, refund, settle_back, fee_back, drawn, held)
            entry_id = bookings.refund_entry_id(refund.id)
        entry.refund = refund = replace(
            refund,
            status=RefundStatus.SUCCEEDED,
            settle_back=settle_back,
            fee_back=fee_back,
            channel_refund_no=outcome.channel_trade_no,
            succeeded_at=now if at is None else at,
            channel_at=outcome.channel_at,
            next_action_at=None,
            history=lengthen(refund.history, Moment(now, "refund_succeeded")),
            shares_back=tuple(ShareBack(d.receiver, d.amount, d.debt) for d in drawn if d.amount),
        )
        if refund.stray is None:
            backs = tuple(each.amount for each in drawn)
            done = RefundDone(now, refund.amount, settle_back, fee_back, refund.id, backs, held)
            self._paying.fold(live, Decision((done,)), now)
            tell_returned(core, live, payment.shares, now)
        if postings:
            postings = out_of_what_there_is(core, payment, postings)
            core.books.book(
                core.batch, live.partition, entry_id, refund.id, now, refund.currency, postings
            )
            core.follow(postings, payment.merchant)
        self._ended(entry, now)

    def failed(self, entry: LiveRefund, outcome: Declined, now: int) -> None:
        refund = entry.refund
        entry.refund = replace(
            refund,
            status=RefundStatus.FAILED,
            failure=Failure(outcome.code, outcome.message, outcome.channel_code),
            next_action_at=None,
            history=lengthen(refund.history, Moment(now, "refund_failed", outcome.code)),
        )
        released = RefundReleased(now, refund.amount, refund.id)
        self._paying.fold(entry.of, Decision((released,)), now)
        self._ended(entry, now)

    def _ended(self, entry: LiveRefund, now: int) -> None:
        core = self._core
        refund = entry.refund
        core.rehold(entry.of)
        if self.turns is not None:
            self.turns.end(entry, now)
        body = refund_json(refund, core.presentation)
        core.emit(entry.of, f"refund.{refund.status}", refund.id, now, body)
        core.count(f"refund_{refund.status}")
        core.touch_refund(entry)
        waiters, entry.waiters = entry.waiters, None
        for waiter in waiters or ():
            self.tell(entry, waiter)
        core.waiting.pop(entry.no << 1 | 1, None)

    def _wait_ms(self, refund: Refund) -> int:
        tries = refund.asked + refund.inquiries
        return min(RETRY_MS << min(tries, 12), RETRY_MAX_MS)

    def _later(self, entry: LiveRefund, now: int, reason: str) -> None:
        refund = entry.refund
        entry.refund = replace(
            refund,
            next_action_at=now + self._wait_ms(refund),
            history=lengthen(refund.history, Moment(now, "refund_unknown", reason)),
        )
        self._core.touch_refund(entry)
        self.schedule(entry)

    def _again(self, entry: LiveRefund, op: str, now: int) -> None:
        """Ask once more, durable first: the same number, or a query about it."""
        refund = entry.refund
        inquiring = op == "inquire_refund"
        entry.refund = replace(
            refund,
            asked=refund.asked + (not inquiring),
            inquiries=refund.inquiries + inquiring,
            next_action_at=now + self._wait_ms(refund),
            history=lengthen(refund.history, Moment(now, op)),
        )
        self._core.touch_refund(entry)
        self.schedule(entry)
        self._ask(entry, op)

    def due(self, entry: LiveRefund, now: int) -> None:
        """Its time has come: look before asking again."""
        if entry.refund.status is not RefundStatus.PROCESSING:
            return
        if not entry.refund.asked and self.turns is not None:
            self.turns.look(entry, now)
        else:
            self._again(entry, "inquire_refund", now)

    def send(self, entry: LiveRefund, now: int) -> None:
        """Nothing is in its way any more: ask the channel for the first time, durable first."""
        entry.refund = _sending(entry.refund, now)
        self._core.touch_refund(entry)
        self.schedule(entry)
        self._ask(entry, "refund")

    def put_off(self, entry: LiveRefund, at: int) -> None:
        """Look at it then. It was not asked for yet."""
        entry.refund = replace(entry.refund, next_action_at=at)
        self._core.touch_refund(entry)
        self.schedule(entry)

    def schedule(self, entry: LiveRefund) -> None:
        at = entry.refund.next_action_at
        if at is not None and at != entry.due_at:
            entry.due_at = at
            heapq.heappush(self._core.timers, (at, 1, entry.no))


def _sending(refund: Refund, now: int) -> Refund:
    """The refund, about to be asked for."""
    return replace(
        refund,
        next_action_at=now + FIRST_LOOK_MS,
        asked=1,
        history=lengthen(refund.history, Moment(now, "refund_sending", refund.account)),
    )
