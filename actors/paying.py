"""How a payment is carried to its end inside its shard, once its intent is decided.

`send` hands a durable attempt to its lane, `answered` folds what the lane said, `fold` books and
tells. Nothing here waits or writes: changes go to the core, which commits and then releases.
"""

import heapq
from collections.abc import Callable
from typing import Final

from actors import crash
from actors.core import Core
from actors.link import Link
from actors.live import LivePayment, Waiter
from actors.messages import LaneAsk, LanePay
from actors.outside import unable
from payments import bookings
from payments.channel_time import believed
from payments.channels.base import Approved, Declined, Outcome, Unknown
from payments.errors import (
    NoChannel,
)
from payments.folding import apply
from payments.ids import out_trade_no
from payments.lifecycle import (
    Decision,
    answered_inquiry,
    answered_look,
    answered_pay,
    answered_undo,
    first_look,
)
from payments.payment import Attempt, AttemptState, Payment, Status, Way
from payments.payment_events import (
    BecameOverdue,
    Failed,
    LateSuccess,
    PaymentEvent,
    Sent,
    Succeeded,
    Undone,
)
from payments.routing import may_go_on

CODE_EXPIRES_S: Final = 300
ATTEMPTS_PER_PAYMENT_MAX: Final = 3

PAY, INQUIRE, UNDO, REFUND, LOOK = range(5)
"""The lowest bits of a lane's `ref`: what the answer is to. A look is a query after the end."""

REF_BITS: Final = 3
REF_MASK: Final = (1 << REF_BITS) - 1

CANCEL: Final = "cancel"
"""What a waiter that asked for a cancel has `seen`: it waits for the end like a POST."""

_ASKED: Final = {"inquire": INQUIRE, "reverse": UNDO, "close": UNDO}


class Paying:
    """The flow of payments. `late_refund` makes the refund of a late success."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self.page_moved: Callable[[LivePayment], None] | None = None
        """Told after each change of a payment with a payer's page (`actors/pages.py`)."""
        self.late_refund: Callable[[LivePayment, Approved | None, int], None] | None = None
        self.held: Callable[[LivePayment], None] | None = None
        """Told of a payment that succeeded and is held (`actors/escrowing.py`)."""
        self.divided: Callable[[LivePayment, int], None] | None = None
        """Told of a payment that the channel is to divide, and of now (`actors/dividing.py`)."""

    # --- sending -------------------------------------------------------------------------------

    def send(self, live: LivePayment) -> None:
        """Hand a durable attempt to its lane. What certainly was not sent is refused, not lost."""
        payment = live.payment
        attempt = payment.attempt
        assert attempt is not None
        if attempt.state is not AttemptState.SENDING:
            return
        message = LanePay(
            live.no << REF_BITS | PAY,
            out_trade_no(payment.id, attempt.number),
            payment.amount,
            payment.currency,
            attempt.way or payment.way,
            payment.merchant,
            attempt.wallet or payment.wallet,
            live.auth_code,
            payment.subject,
            payment.expires_at,
            attempt.payer or payment.payer,
        )
        lanes = self._core.lanes
        if payment.split is not None and payment.split.parts:
            message.is_shared = attempt.account in lanes.dividing
        if attempt.account in lanes.wired:
            message.created = attempt.sent_at
            message.payer_ip = live.payer_ip
            message.return_url = payment.return_url
            message.store = payment.store
            message.terminal = payment.terminal
        self._core.numbers.sent(live.no)
        if not lanes.send(attempt.account, live.partition, message):
            refused = Declined(
                "channel_error", "The channel could not be reached.", "not_sent", not_sent=True
            )
            lanes.give_back(attempt.account, live.partition)
            self.answered(live, PAY, refused)

    def ask(self, live: LivePayment, op: str) -> None:
        """Ask about (or undo) the running attempt, once what led to it is durable."""
        attempt = live.payment.attempt
        assert attempt is not None
        number = out_trade_no(live.payment.id, attempt.number)
        about = LOOK if live.payment.is_final else _ASKED[op]
        payment = live.payment
        message = LaneAsk(
            live.no << REF_BITS | about,
            op,
            number,
            payment.amount,
            payment.currency,
            attempt.way or payment.way,
            attempt.wallet or payment.wallet,
            payment.merchant,
            attempt.sent_at,
        )
        account, partition = attempt.account, live.partition

        core = self._core

        def leave() -> None:
            if core.lanes.send(account, partition, message):
                live.lane_ref = True
            if core.reach is not None:
                core.reach(crash.sent(op))

        core.releases.asks.append(leave)
        core.wake.set()

    # --- answers of the channel ----------------------------------------------------------------

    def answered(self, live: LivePayment, op: int, outcome: Outcome) -> None:
        """A lane answered: decide, fold, book."""
        core = self._core
        live.lane_ref = False
        payment = live.payment
        attempt = payment.attempt
        if attempt is None:
            return
        now = core.clock.now_ms()
        outcome = believed(outcome, attempt.sent_at, core.clock)
        schedule = core.options.schedule(attempt.account)
        if op == PAY:
            core.numbers.heard(live.no)
            if type(outcome) is Declined and may_go_on(outcome) and self._go_on(live, now):
                return
            decision = answered_pay(payment, outcome, now, schedule, core.options.fee_plan)
        else:
            if type(outcome) is Declined and outcome.not_sent:
                outcome = Unknown("the lane did not take the question")
            if op == LOOK:
                decision = answered_look(payment, outcome, now, schedule)
            elif op == INQUIRE:
                decision = answered_inquiry(payment, outcome, now, schedule, core.options.fee_plan)
            else:
                decision = answered_undo(payment, outcome, now, schedule)
        self.fold(live, decision, now)
        if payment.is_final:
            core.forget(live)

    def _go_on(self, live: LivePayment, now: int) -> bool:
        """The channel refused for its own reasons: the next candidate, if there is one."""
        core = self._core
        payment = live.payment
        attempt = payment.attempt
        assert attempt is not None
        if attempt.state is not AttemptState.SENDING or payment.cancel_requested:
            return False
        if attempt.number + 1 >= ATTEMPTS_PER_PAYMENT_MAX:
            return False
        if payment.page is not None:
            return False  # Its payer chooses again: the wallet named them to this account alone.
        if payment.way is Way.BARCODE and live.auth_code is None:
            return False
        tried = (*(earlier.account for earlier in payment.earlier), attempt.account)
        tried += unable(core.lanes, payment)
        facts = core.lanes.facts(live.partition)
        try:
            _, account = core.lanes.router.plan(
                payment.way, payment.wallet, facts, None, tried=tried
            )
        except NoChannel:
            return False
        dividing = core.lanes.dividing
        if payment.split is not None and (account.name in dividing) is not (
            attempt.account in dividing
        ):
            return False  # What it was split for, the other account could not do.
        schedule = core.options.schedule(account.name)
        facts[account.name].credits -= 1
        following = Attempt(
            attempt.number + 1,
            account.channel,
            account.name,
            AttemptState.SENDING,
            now,
            is_outside=account.pays_merchant,
        )
        self.fold(live, Decision((Sent(now, following, first_look(now, schedule)),)), now)
        live.lane_ref = True
        core.releases.sends.append(live)
        return True

    # --- folding -------------------------------------------------------------------------------

    def fold(self, live: LivePayment, decision: Decision, now: int) -> None:
        """Apply the events in order, with their bookings and webhooks, and wake who waits."""
        events = decision.events
        if events:
            before = live.payment
            live.body = None
            for event in events:
                live.payment = apply(live.payment, event)
                self._consequences(live, event, now)
            after = live.payment
            core = self._core
            core.touch(live)
            if before.status is not after.status:
                core.merchants.followed(live, before)
            if live.waiters and after.status is not before.status:
                self._wake(live)
            self.schedule(live)
        if decision.ask is not None:
            self.ask(live, decision.ask)
        if events and live.payment.page is not None and self.page_moved is not None:
            self.page_moved(live)

    def _consequences(self, live: LivePayment, event: PaymentEvent, now: int) -> None:
        core = self._core
        payment = live.payment
        kind = type(event)
        if kind is Succeeded:
            live.auth_code = None
            self._book_payment(live, payment, now)
            core.emit(live, "payment.succeeded", payment.id, now, core.render(live))
            core.numbers.outcome(payment, "succeeded")
        elif kind is Failed:
            live.auth_code = None
            core.emit(live, "payment.failed", payment.id, now, core.render(live))
            core.numbers.outcome(payment, "failed")
        elif kind is Undone:
            live.auth_code = None
            core.emit(live, f"payment.{payment.status}", payment.id, now, core.render(live))
            core.numbers.outcome(payment, payment.status)
        elif kind is BecameOverdue:
            core.numbers.overdue(payment)
            core.emit(live, "payment.overdue", payment.id, now, core.render(live))
            live.body = None
        elif kind is LateSuccess:
            self._book_late_success(live, payment, now)
            if not payment.has_stray:  # Else it was said when that money turned up.
                core.emit(live, "payment.late_success", payment.id, now, core.render(live))
            core.numbers.outcome(payment, "late_success")
            assert self.late_refund is not None
            self.late_refund(live, None, now)

    def _book_payment(self, live: LivePayment, payment: Payment, now: int) -> None:
        assert payment.attempt is not None
        assert payment.settle_amount is not None
        shares = payment.shares
        amounts = (payment.settle_amount, payment.fee)
        account, merchant = payment.attempt.account, payment.merchant
        is_held = payment.escrow is not None
        if (
            shares
            and payment.settle_amount
            and account in self._core.lanes.dividing
            and not payment.is_reported
            and self.divided is not None
        ):
            self._book_held(live, payment, account, now)
            self.divided(live, now)
            return
        about = (account, merchant, live.partition, *amounts)
        if payment.attempt.is_outside:
            postings = bookings.outside_payment_booked(*about)
        elif shares or is_held:
            postings = bookings.split_payment_booked(*about, shares, is_held=is_held)
        else:
            postings = bookings.payment_booked(*about)
        if is_held and self.held is not None:
            self.held(live)
        if postings:
            core = self._core
            core.books.book(
                core.batch,
                live.partition,
                bookings.payment_entry_id(payment.id),
                payment.id,
                now,
                payment.currency,
                postings,
            )

    def _book_held(self, live: LivePayment, payment: Payment, account: str, now: int) -> None:
        """The channel has the money and pays everybody itself: none of it is in custody."""
        core = self._core
        core.books.book(
            core.batch,
            live.partition,
            bookings.held_entry_id(payment.id),
            payment.id,
            now,
            payment.currency,
            bookings.held_at_channel(
                account,
                payment.merchant,
                live.partition,
                payment.settle_amount or 0,
                payment.shares,
            ),
        )

    def _book_late_success(self, live: LivePayment, payment: Payment, now: int) -> None:
        assert payment.attempt is not None
        postings = bookings.late_success_booked(
            payment.attempt.account,
            live.partition,
            payment.settle_amount or 0,
            is_outside=payment.attempt.is_outside,
        )
        if postings:
            core = self._core
            core.books.book(
                core.batch,
                live.partition,
                bookings.late_success_entry_id(payment.id),
                payment.id,
                now,
                payment.currency,
                postings,
            )

    # --- waiting -------------------------------------------------------------------------------

    def wait(
        self,
        live: LivePayment,
        link: Link,
        ref: int,
        wait_ms: int,
        seen: str | None,
        replayed: bool,
    ) -> None:
        """Hold an answer until the status changes or the time is over."""
        core = self._core
        waiter = Waiter(link, ref, core.clock.monotonic() + wait_ms / 1000, seen, replayed)
        if live.waiters is None:
            live.waiters = [waiter]
        else:
            live.waiters.append(waiter)
        core.waiting[live.no << 1] = live

    def _wake(self, live: LivePayment) -> None:
        status = live.payment.status
        waiters = live.waiters
        assert waiters is not None
        keep = None
        for waiter in waiters:
            if status is Status.PROCESSING and waiter.seen in (None, CANCEL):
                keep = [waiter] if keep is None else [*keep, waiter]
            else:
                self.tell(live, waiter)
        live.waiters = keep
        if keep is None:
            self._core.waiting.pop(live.no << 1, None)

    def tell(self, live: LivePayment, waiter: Waiter) -> None:
        """Answer one waiter with the payment as it stands: a POST by 201 or 202, a GET by 200."""
        processing = live.payment.status is Status.PROCESSING
        if processing and waiter.seen in (None, CANCEL):
            status = 202
        else:
            status = 201 if waiter.seen is None else 200
        body = self._core.render(live)
        self._core.say(waiter.link, waiter.ref, status, body, replayed=waiter.replayed)

    def schedule(self, live: LivePayment) -> None:
        """Remember when the payment is to be looked at; the row remembers it for a restart."""
        at = live.payment.next_action_at
        if at is not None and at != live.due_at:
            live.due_at = at
            heapq.heappush(self._core.timers, (at, 0, live.no))

    # --- finding -------------------------------------------------------------------------------

    def find(self, identifier: str) -> LivePayment | None:
        """The payment in memory, brought there if it is stored."""
        core = self._core
        live = core.live_by_id.get(identifier)
        if live is None:
            row = core.store.payment(identifier)
            if row is not None:
                live = core.adopt(LivePayment.of_row(row))
        return live
