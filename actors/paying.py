"""How a payment is decided and carried to its end, inside its shard.

`take` decides new ones: key, order, merchant, risk, route, without awaiting. `answered` folds what
a lane said. Nothing here waits, writes or sends: changes go to the core, which commits and releases.
"""

import heapq
from collections.abc import Callable
from typing import Final

from actors.core import Core
from actors.link import Link
from actors.live import LivePayment, Waiter, decode_payment, decode_refund
from actors.messages import LaneAsk, LanePay, Pay
from actors.merchant import MerchantEntity
from payments import bookings
from payments.calendar import business_date
from payments.channels.base import Approved, Declined, Outcome, Unknown
from payments.errors import (
    IdempotencyMismatch,
    InvalidField,
    MerchantSuspended,
    NoChannel,
    Overloaded,
    PaymentError,
    Unauthorized,
)
from payments.idempotency import Judgement, index_of, judge_key, judge_order
from payments.ids import out_trade_no, partition_of
from payments.lifecycle import (
    Decision,
    answered_inquiry,
    answered_pay,
    answered_undo,
    first_look,
    verdict_by,
)
from payments.payment import (
    Attempt,
    AttemptState,
    BecameOverdue,
    Failed,
    LateSuccess,
    Moment,
    Payment,
    PaymentEvent,
    Sent,
    Status,
    Succeeded,
    Undone,
    Way,
    apply,
)
from payments.reference import Merchant, MerchantStatus
from payments.refund import Refund
from payments.risk import REJECT, Facts, assess, failure_of
from payments.routing import may_go_on, wallet_of
from payments.storage.base import PaymentRow, RefundRow

CODE_EXPIRES_S: Final = 300
ATTEMPTS_PER_PAYMENT_MAX: Final = 3

PAY, INQUIRE, UNDO, REFUND = range(4)
"""The lowest two bits of a lane's `ref`: what the answer is to."""

CANCEL: Final = "cancel"
"""What a waiter that asked for a cancel has `seen`: it waits for the end like a POST."""

_ASKED: Final = {"inquire": INQUIRE, "reverse": UNDO, "close": UNDO}


class Found:
    """Stored rows that a frame's commands may collide with, by digest."""

    __slots__ = ("auths", "keys", "orders", "refunds")

    def __init__(
        self,
        keys: list[PaymentRow],
        orders: list[PaymentRow],
        auths: list[PaymentRow],
        refunds: list[RefundRow],
    ) -> None:
        self.keys: dict[bytes, tuple[PaymentRow, Payment]] = {}
        for row in keys:
            payment = decode_payment(row[8])
            self.keys[payment.key_digest] = (row, payment)
        self.refunds: dict[bytes, Refund] = {}
        for refund_row in refunds:
            refund = decode_refund(refund_row[7])
            self.refunds[refund.key_digest] = refund
        self.orders: dict[tuple[str, str], list[Payment]] = {}
        for row in orders:
            payment = decode_payment(row[8])
            self.orders.setdefault((payment.merchant, payment.order_no), []).append(payment)
        self.auths = {decode_payment(row[8]).auth_digest for row in auths}


NOTHING_FOUND: Final = Found([], [], [], [])


class Paying:
    """The flow of payments. `late_refund` makes the refund of a late success."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self.late_refund: Callable[[LivePayment, Approved | None, int], None] | None = None

    # --- new payments --------------------------------------------------------------------------

    def take(self, link: Link, commands: list[Pay]) -> None:
        """Decide every new payment of a frame, after one look into the store for all of them."""
        core = self._core
        keys = [index_of(command.key_digest) for command in commands]
        orders = [command.order_hash for command in commands]
        auths = [index_of(c.auth_digest) for c in commands if c.auth_digest is not None]
        rows = core.store.probe(keys, orders, auths)
        found = Found(*rows) if any(rows) else NOTHING_FOUND
        for command in commands:
            try:
                self._decide(link, command, found)
            except PaymentError as error:
                core.refuse(link, command.ref, error)

    def _decide(self, link: Link, command: Pay, found: Found) -> None:
        core = self._core
        live = core.live_by_id.get(command.id)
        if live is not None:
            self._attach(link, command, live, replayed=False)  # Re-sent by its front door.
            return
        stored = found.keys.get(command.key_digest)
        if stored is not None and stored[1].id == command.id:
            core.say(link, command.ref, 201, core.render_payment(stored[1]))
            return
        if command.nonce:
            if not core.nonces.accept(command.nonce, command.nonce_at):
                raise Unauthorized("this signature was used before; sign the request again")
            core.batch.nonces.append((command.nonce, command.nonce_at))
        if self._replayed(link, command, stored, found):
            return
        self._judge_order(command, found)
        merchant = core.reference.merchant(command.merchant)
        if merchant is None:
            raise Overloaded("the merchant is not known here yet; try again", retry_after_s=1)
        if merchant.status is not MerchantStatus.ACTIVE:
            raise MerchantSuspended(f"the merchant is {merchant.status}")
        if core.draining or len(core.live) >= core.live_max:
            raise Overloaded("the shard takes no new payments just now", retry_after_s=1)
        self._open(link, command, merchant, found)

    def _replayed(
        self, link: Link, command: Pay, stored: tuple[PaymentRow, Payment] | None, found: Found
    ) -> bool:
        """The key was used before: the same request hears how it stands, another is refused."""
        core = self._core
        live = core.live_by_key.get(command.key_digest)
        refund_live = core.refund_by_key.get(command.key_digest)
        if live is not None:
            existing: Payment | Refund | None = live.payment
        elif stored is not None:
            existing = stored[1]
        elif refund_live is not None:
            existing = refund_live.refund
        else:
            existing = found.refunds.get(command.key_digest)
        judgement = judge_key(existing, command.key_digest, command.fingerprint)
        if judgement is Judgement.NEW:
            return False
        if judgement is Judgement.MISMATCH or not isinstance(existing, Payment):
            raise IdempotencyMismatch(
                "this Idempotency-Key belongs to another request; use a new key",
                param="Idempotency-Key",
            )
        if live is not None:
            self._attach(link, command, live, replayed=True)
            return True
        status = 202 if existing.status is Status.PROCESSING else 201
        core.say(link, command.ref, status, core.render_payment(existing), replayed=True)
        return True

    def _judge_order(self, command: Pay, found: Found) -> None:
        core = self._core
        order = (command.merchant, command.order_no)
        live = core.live_by_order.get(order)
        if live is not None:
            judge_order(live.payment)
        for payment in found.orders.get(order, ()):
            newer = core.live_by_id.get(payment.id)
            judge_order(newer.payment if newer is not None else payment)

    def _attach(self, link: Link, command: Pay, live: LivePayment, *, replayed: bool) -> None:
        status = live.payment.status
        if status is Status.PROCESSING:
            self.wait(live, link, command.ref, command.wait_ms, None, replayed)
            return
        core = self._core
        core.say(link, command.ref, 201, core.render(live), replayed=replayed)

    def _open(self, link: Link, command: Pay, merchant: Merchant, found: Found) -> None:
        """Risk, route, intent. What is decided here is durable before a lane hears of it."""
        core = self._core
        now = core.clock.now_ms()
        way = Way(command.way)
        wallet = command.wallet
        if way is Way.BARCODE:
            wallet = wallet_of(command.auth_code or "")
            if wallet is None:
                raise InvalidField("no wallet shows such a code; scan it again", param="auth_code")
        closing = self._place(command)
        partition = merchant.partition
        facts = core.lanes.facts(partition)
        route, account = core.lanes.router.plan(way, wallet, facts, command.channel_hint)
        date = business_date(now, closing)
        entity = core.merchants.get(merchant.number, date)
        assessment = assess(self._facts(command, way, entity, date, now, found), core.policy)
        core.payment_no = no = core.payment_no + 1
        rejected = assessment.decision == REJECT
        expires_at = None
        if way is not Way.BARCODE:
            expires_at = now + (command.expires_in or CODE_EXPIRES_S) * 1000
        schedule = core.options.schedule(account.name)
        payment = Payment(
            command.id,
            command.merchant,
            command.order_no,
            command.amount,
            command.currency,
            way,
            wallet,
            Status.FAILED if rejected else Status.PROCESSING,
            None
            if rejected
            else Attempt(0, account.channel, account.name, AttemptState.SENDING, now),
            now,
            date,
            command.key_digest,
            command.fingerprint,
            command.auth_digest,
            command.store,
            command.terminal,
            command.operator,
            command.subject,
            command.order_ref,
            command.table,
            command.tip_amount,
            command.metadata,
            "api",
            expires_at,
            None if rejected else verdict_by(way, now, expires_at),
            None if rejected else first_look(now, schedule),
            failure=failure_of(assessment) if rejected else None,
            risk=assessment,
            route=None if rejected else route,
            history=(Moment(now, "rejected" if rejected else "sending", account.name),),
            payer=command.payer,
            return_url=command.return_url,
        )
        auth_hash = None if command.auth_digest is None else index_of(command.auth_digest)
        live = LivePayment(
            payment,
            no,
            merchant.number,
            partition,
            index_of(command.key_digest),
            command.order_hash,
            auth_hash,
        )
        core.add(live)
        core.merchants.reserved(entity, live)
        if rejected:
            core.count("payment_failed")
            body = core.render(live)
            core.emit(live, "payment.failed", payment.id, now, body)
            core.say(link, command.ref, 201, body)
            return
        facts[account.name].credits -= 1
        live.auth_code = command.auth_code
        live.lane_ref = True
        core.releases.sends.append(live)
        self.wait(live, link, command.ref, command.wait_ms, None, False)

    def _place(self, command: Pay) -> int:
        """Check store and terminal; the closing time (minutes after midnight) of the store."""
        core = self._core
        store_id = command.store
        if command.terminal is not None:
            terminal = core.reference.terminal(command.terminal)
            if terminal is None or terminal.merchant != command.merchant:
                raise InvalidField("no such terminal of this merchant", param="terminal")
            if store_id is None:
                store_id = command.store = terminal.store
            elif store_id != terminal.store:
                raise InvalidField("the terminal stands in another store", param="store")
        if store_id is None:
            return 0
        store = core.reference.store(store_id)
        if store is None or store.merchant != command.merchant:
            raise InvalidField("no such store of this merchant", param="store")
        return store.closing_minute

    def _facts(
        self, command: Pay, way: Way, entity: MerchantEntity, date: int, now: int, found: Found
    ) -> Facts:
        counters = entity.counters
        digest = command.auth_digest
        return Facts(
            command.amount,
            way,
            counters.day.on(date),
            counters.minute.of(command.terminal, now) if command.terminal is not None else 0,
            digest is not None and (digest in self._core.live_auths or digest in found.auths),
            command.payer,
        )

    # --- sending -------------------------------------------------------------------------------

    def send(self, live: LivePayment) -> None:
        """Hand a durable attempt to its lane. What certainly was not sent is refused, not lost."""
        payment = live.payment
        attempt = payment.attempt
        assert attempt is not None
        if attempt.state is not AttemptState.SENDING:
            return
        message = LanePay(
            live.no << 2 | PAY,
            out_trade_no(payment.id, attempt.number),
            payment.amount,
            payment.currency,
            payment.way,
            payment.merchant,
            payment.wallet,
            live.auth_code,
            payment.subject,
            payment.expires_at,
            payment.payer,
        )
        if not self._core.lanes.send(attempt.account, live.partition, message):
            refused = Declined(
                "channel_error", "The channel could not be reached.", "not_sent", not_sent=True
            )
            self.answered(live, PAY, refused)

    def ask(self, live: LivePayment, op: str) -> None:
        """Ask about (or undo) the running attempt, once what led to it is durable."""
        attempt = live.payment.attempt
        assert attempt is not None
        number = out_trade_no(live.payment.id, attempt.number)
        message = LaneAsk(live.no << 2 | _ASKED[op], op, number)
        account, partition = attempt.account, live.partition

        def leave() -> None:
            if self._core.lanes.send(account, partition, message):
                live.lane_ref = True

        self._core.releases.asks.append(leave)
        self._core.wake.set()

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
        schedule = core.options.schedule(attempt.account)
        if op == PAY:
            if type(outcome) is Declined and may_go_on(outcome) and self._go_on(live, now):
                return
            decision = answered_pay(payment, outcome, now, schedule, core.options.fee_plan)
        else:
            if type(outcome) is Declined and outcome.not_sent:
                outcome = Unknown("the lane did not take the question")
            if op == INQUIRE:
                decision = answered_inquiry(
                    payment, outcome, now, schedule, core.options.fee_plan
                )
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
        if payment.way is Way.BARCODE and live.auth_code is None:
            return False
        tried = (*(earlier.account for earlier in payment.earlier), attempt.account)
        facts = core.lanes.facts(live.partition)
        try:
            _, account = core.lanes.router.plan(
                payment.way, payment.wallet, facts, None, tried=tried
            )
        except NoChannel:
            return False
        schedule = core.options.schedule(account.name)
        facts[account.name].credits -= 1
        following = Attempt(
            attempt.number + 1, account.channel, account.name, AttemptState.SENDING, now
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

    def _consequences(self, live: LivePayment, event: PaymentEvent, now: int) -> None:
        core = self._core
        payment = live.payment
        kind = type(event)
        if kind is Succeeded:
            live.auth_code = None
            self._book_payment(live, payment, now)
            core.emit(live, "payment.succeeded", payment.id, now, core.render(live))
            core.count("payment_succeeded")
        elif kind is Failed:
            live.auth_code = None
            core.emit(live, "payment.failed", payment.id, now, core.render(live))
            core.count("payment_failed")
        elif kind is Undone:
            live.auth_code = None
            core.emit(live, f"payment.{payment.status}", payment.id, now, core.render(live))
            core.count(f"payment_{payment.status}")
        elif kind is BecameOverdue:
            core.emit(live, "payment.overdue", payment.id, now, core.render(live))
            live.body = None
        elif kind is LateSuccess:
            self._book_late_success(live, payment, now)
            core.emit(live, "payment.late_success", payment.id, now, core.render(live))
            assert self.late_refund is not None
            self.late_refund(live, None, now)

    def _book_payment(self, live: LivePayment, payment: Payment, now: int) -> None:
        assert payment.attempt is not None
        assert payment.settle_amount is not None
        postings = bookings.payment_booked(
            payment.attempt.account,
            payment.merchant,
            live.partition,
            payment.settle_amount,
            payment.fee,
        )
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

    def _book_late_success(self, live: LivePayment, payment: Payment, now: int) -> None:
        assert payment.attempt is not None
        postings = bookings.late_success_booked(
            payment.attempt.account, live.partition, payment.settle_amount or 0
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

