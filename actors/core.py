"""The heart of a shard: what is in memory, what the next commit holds, and what it releases.

The flows (`paying`, `refunding`, `reading`, `timers`) decide without awaiting and put their changes
here; the shard's one loop writes them and lets the answers go. Commit N+1 is decided over the
uncommitted effects of commit N, therefore a commit that fails ends the process.
"""

import asyncio
import logging
from collections.abc import Callable, Collection
from typing import Final

from msgspec import Struct

from actors.books import Books
from actors.gathering import Gathering
from actors.home_options import HomeOptions
from actors.lanes import Lanes
from actors.link import Link
from actors.live import Decided, LivePayment, LiveRefund, Releases, into_rows
from actors.merchant import Merchants
from actors.messages import Answer, Message, Refusal
from actors.nonces import Nonces
from actors.record_kinds import KINDS
from actors.records import Records
from actors.shard_numbers import ShardNumbers
from actors.snapshot import Reference
from payments.barcodes import ECNY_PREFIX, barcodes
from payments.clock import Clock
from payments.errors import Internal, PaymentError
from payments.fees import DEFAULT_PLAN, FeePlan, give_back
from payments.idempotency import Digests, index_of
from payments.ids import BODY_LENGTH, PARTITIONS
from payments.ledger import Postings
from payments.lifecycle import DEFAULT_SCHEDULE, Schedule
from payments.payment import CODE_WAYS, Payment
from payments.reference import SplitRule
from payments.refund import Refund
from payments.risk import Policy
from payments.routing import ChannelAccount
from payments.splitting.dividing import Division, division_id
from payments.splitting.escrow import from_held
from payments.splitting.returning import shares_back
from payments.storage.base import Batch, Opened, Store
from payments.view import Presentation, event_id, event_json, payment_json

log = logging.getLogger(__name__)

BATCH_MAX: Final = 1_024
"""New payments in one commit; more wait in the queue for the next."""

QUEUE_MAX: Final = 8_192
"""Commands that may wait for a commit; more are refused as overloaded."""

MERCHANT_QUEUE_MAX: Final = 2_048
"""Of those, commands of one merchant; more are that merchant's own quota."""

PAGE_MAC_LENGTH: Final = 16

LIVE_MAX: Final = 500_000
"""Payments under way in one shard."""


class ShardOptions(Struct, frozen=True):
    """What a shard is told when it is built. No secrets: those come from 0600 files."""

    name: str
    number: int
    accounts: tuple[ChannelAccount, ...]
    policy: Policy
    livemode: bool = False
    public_url: str = ""
    fee_plan: FeePlan = DEFAULT_PLAN
    schedules: dict[str, Schedule] = {}
    incarnation: int = 0
    ecny_prefix: str = ECNY_PREFIX
    home: HomeOptions = HomeOptions()
    has_split_rules: bool = True
    """Whether merchants' split rules apply: not where splitting is not served."""
    partitions: Collection[int] = range(PARTITIONS)
    """Whose entries are booked here; all of them where there is one shard."""

    def schedule(self, account: str) -> Schedule:
        return self.schedules.get(account, DEFAULT_SCHEDULE)


class Core:
    """State of one shard. Plain attributes: the flows are its only users."""

    def __init__(
        self,
        options: ShardOptions,
        store: Store,
        clock: Clock,
        digests: Digests,
        reference: Reference,
        exit_process: Callable[[str], None],
        gather_s: float = 0.0,
    ) -> None:
        self.options = options
        self.store = store
        self.clock = clock
        self.digests = digests
        self.reference = reference
        self.exit_process = exit_process
        self.barcodes = barcodes(options.ecny_prefix)
        self.presentation = Presentation(options.livemode, options.public_url)
        self.books = Books(store)
        self.nonces = Nonces()
        self.records = Records(store, KINDS)
        self.lanes = Lanes(options.accounts)
        self.merchants = Merchants(store, options.policy, clock, self.newest)
        self.batch = Batch.empty()
        self.releases = Releases()
        self.fresh: list[LivePayment] = []
        self.dirty: list[LivePayment] = []
        self.fresh_refunds: list[LiveRefund] = []
        self.dirty_refunds: list[LiveRefund] = []
        self.live: dict[int, LivePayment] = {}
        self.live_by_id: dict[str, LivePayment] = {}
        self.live_by_key: dict[bytes, LivePayment] = {}
        self.live_by_order: dict[tuple[str, str], LivePayment] = {}
        self.live_auths: dict[bytes, LivePayment] = {}
        self.refunds: dict[int, LiveRefund] = {}
        self.refund_by_id: dict[str, LiveRefund] = {}
        self.refund_by_key: dict[bytes, LiveRefund] = {}
        self.refund_holds: dict[str, int] = {}
        self.held: dict[int, int] = {}
        self.payment_no = 0
        self.refund_no = 0
        self.event_no = 0
        self.epoch = 0
        self.waiting: dict[int, LivePayment | LiveRefund] = {}
        self.timers: list[tuple[int, int, int]] = []
        """Heap of (due ms, kind 0 payment | 1 refund, no); checked against the object when due."""
        self.wake = asyncio.Event()
        self.gathering = Gathering(gather_s, clock.monotonic)
        self.draining = False
        self.committing = False
        self.parting: list[LivePayment] = []
        self.parting_refunds: list[LiveRefund] = []
        self.live_max = LIVE_MAX
        self.counts: dict[str, float] = {"bugs": 0.0}
        self.numbers = ShardNumbers(clock.monotonic, (account.name for account in options.accounts))
        self.follow: Callable[[Postings, str | None], None] = _nothing_follows
        """Told of a refund's entry: what its parties have at the bank follows (`parties.py`)."""
        self.reach: Callable[[str], None] | None = None
        """Told when a named point between two steps is reached; a test may end it all there.
        Looked at once a commit and once a question, never once a payment. Names: `crash.py`."""
        self.links: dict[Link, None] = {}
        """Those that are up, in the order in which they came."""

    def opened(self, opened: Opened) -> None:
        """Start where the last owner stopped."""
        self.payment_no = opened.payment_no
        self.refund_no = opened.refund_no
        self.event_no = opened.event_no
        self.epoch = opened.epoch
        self.books.recover(opened.entry_no, opened.marks.get("balance_floor", 0))
        self.nonces.recover(self.store, self.clock.real_ms())
        self.records.opened(opened.record_no)

    @property
    def policy(self) -> Policy:
        return self.options.policy

    def split_rules(self, merchant: str) -> tuple[SplitRule, ...]:
        """The merchant's split rules that may apply here."""
        return self.reference.split_rules(merchant) if self.options.has_split_rules else ()

    def newest(self, no: int) -> Payment | None:
        live = self.live.get(no)
        return live.payment if live is not None else None

    def token(self, payment: Payment) -> str:
        """The unguessable name of a payment's page."""
        mac = self.digests.key("payer page", payment.id).hex()
        return payment.id[-BODY_LENGTH:] + mac[:PAGE_MAC_LENGTH]

    def render(self, live: LivePayment) -> bytes:
        """The payment as JSON: made once for each state."""
        body = live.body
        if body is None:
            body = live.body = self.render_payment(live.payment)
        return body

    def render_payment(self, payment: Payment) -> bytes:
        token = self.token(payment) if payment.way in CODE_WAYS else ""
        return payment_json(payment, self.presentation, token)

    # --- changes -------------------------------------------------------------------------------

    def add(self, live: LivePayment) -> None:
        """A new payment: its intent goes into the next commit."""
        payment = live.payment
        live.fresh = True
        self.fresh.append(live)
        self.live[live.no] = live
        self.live_by_id[payment.id] = live
        self.live_by_key[payment.key_digest] = live
        self.live_by_order[payment.merchant, payment.order_no] = live
        if payment.auth_digest is not None:
            self.live_auths[payment.auth_digest] = live
        self.wake.set()

    def add_refund(self, of: LivePayment, refund: Refund) -> LiveRefund:
        """A new refund: its row goes into the next commit."""
        self.refund_no += 1
        entry = LiveRefund(refund, self.refund_no, of, index_of(refund.key_digest))
        entry.fresh = True
        self.fresh_refunds.append(entry)
        self.refunds[entry.no] = entry
        self.refund_by_id[refund.id] = entry
        self.refund_by_key[refund.key_digest] = entry
        of.refunds += 1
        self.wake.set()
        return entry

    def adopt(self, live: LivePayment) -> LivePayment:
        """A stored payment comes back to memory, unless it is there already."""
        known = self.live.get(live.no)
        if known is not None:
            return known
        payment = live.payment
        self.live[live.no] = live
        self.live_by_id[payment.id] = live
        self.live_by_key[payment.key_digest] = live
        return live

    def adopt_refund(self, entry: LiveRefund) -> LiveRefund:
        """A stored refund comes back to memory with its payment, unless it is there already."""
        known = self.refunds.get(entry.no)
        if known is not None:
            return known
        refund = entry.refund
        self.refunds[entry.no] = entry
        self.refund_by_id[refund.id] = entry
        self.refund_by_key[refund.key_digest] = entry
        entry.of.refunds += 1
        self.rehold(entry.of)
        return entry

    def give_back(self, payment: Payment, amount: int) -> tuple[int, int]:
        """(settle_back, fee_back) of `amount` more, after what was given back already."""
        return give_back(
            payment.amount,
            payment.settle_amount or 0,
            payment.fee,
            self.options.fee_plan,
            payment.amount_refunded,
            amount,
            payment.settle_returned,
            payment.fee_returned,
        )

    def shares_back(self, payment: Payment, settle_back: int, fee_back: int) -> tuple[int, ...]:
        """What each of the payment's shares gives back of what `give_back` said."""
        return shares_back(
            payment.shares,
            payment.settle_amount or 0,
            payment.fee,
            payment.settle_returned + settle_back,
            payment.fee_returned + fee_back,
        )

    def merchant_back(self, payment: Payment, amount: int) -> int:
        """What the merchant gives back of `amount` more, out of pending and available.

        Nothing where the channel pays the merchant itself: there it takes refunds itself, too.
        """
        if payment.attempt is not None and payment.attempt.is_outside:
            return 0
        back = self.own_back(payment, amount)
        return back - from_held(payment.escrow, back)

    def own_back(self, payment: Payment, amount: int) -> int:
        """What the merchant itself gives back of `amount` more: the fee and shares are others'."""
        settle_back, fee_back = self.give_back(payment, amount)
        back = settle_back - fee_back
        if payment.shares:
            back -= sum(self.shares_back(payment, settle_back, fee_back))
        return back

    def division(self, payment: Payment) -> Division | None:
        """How the channel divides the payment's money; None where it comes to custody."""
        if not payment.shares:
            return None
        return self.records.get(division_id(payment.id), Division)

    def split_states(self, payment: Payment) -> dict[str, str]:
        """What the channel did with each receiver's part; empty where it divides nothing."""
        division = self.division(payment)
        pieces = () if division is None else division.pieces
        return {piece.receiver: piece.state.value for piece in pieces}

    def rehold(self, live: LivePayment) -> None:
        """Other refunds of the merchant must leave alone what this payment's will take."""
        payment = live.payment
        held = 0
        is_paid = payment.refunding and payment.status == "succeeded"
        if is_paid and self.division(payment) is None:
            # All together: one by one, their parts would depend on which of them ends first.
            held = max(0, self.merchant_back(payment, payment.refunding))
        before = self.held.pop(live.no, 0)
        if held:
            self.held[live.no] = held
        merchant = payment.merchant
        total = self.refund_holds.pop(merchant, 0) + held - before
        assert total >= 0, payment.id
        if total:
            self.refund_holds[merchant] = total

    def take_nonce(self, nonce: int, created: int) -> None:
        """Spend a signature's nonce in the next commit; 0 is none. Unauthorized if it was spent."""
        if nonce:
            self.nonces.spend(nonce, created)
            self.batch.nonces.append((nonce, created))
            self.wake.set()

    def touch(self, live: LivePayment) -> None:
        """The payment changed: its row follows with the next commit."""
        if not live.dirty and not live.fresh:
            live.dirty = True
            self.dirty.append(live)
        self.wake.set()

    def touch_refund(self, live: LiveRefund) -> None:
        if not live.dirty and not live.fresh:
            live.dirty = True
            self.dirty_refunds.append(live)
        self.wake.set()

    def decided(self) -> Decided:
        """Everything decided since the last commit began, as the rows of the next one.

        Entries and events are in the batch already; without the rows that they are about they must
        never be written: the next owner would decide the same again, and book it twice.
        """
        batch, self.batch = self.batch, Batch.empty()
        fresh, self.fresh = self.fresh, []
        dirty, self.dirty = self.dirty, []
        fresh_refunds, self.fresh_refunds = self.fresh_refunds, []
        dirty_refunds, self.dirty_refunds = self.dirty_refunds, []
        into_rows(fresh, dirty, batch.payments, batch.payment_changes)
        into_rows(fresh_refunds, dirty_refunds, batch.refunds, batch.refund_changes)
        if self.records:
            self.records.flush(batch)
        dirty += fresh
        fresh_refunds += dirty_refunds
        return Decided(batch, dirty, fresh_refunds, len(fresh))

    def forget(self, live: LivePayment) -> None:
        """Let a settled payment leave memory, if nothing holds it.

        Not while a commit is under way: its row may be in it, and the stored one is not true yet.
        """
        if self.committing:
            self.parting.append(live)
            return
        if live.dirty or live.fresh or live.waiters or live.refunds or live.lane_ref:
            return
        payment = live.payment
        if not payment.is_final:
            return
        if self.live.get(live.no) is not live:
            return
        del self.live[live.no]
        self.live_by_id.pop(payment.id, None)
        self.live_by_key.pop(payment.key_digest, None)
        order = (payment.merchant, payment.order_no)
        if self.live_by_order.get(order) is live:
            del self.live_by_order[order]
        if payment.auth_digest is not None and self.live_auths.get(payment.auth_digest) is live:
            del self.live_auths[payment.auth_digest]

    def forget_refund(self, live: LiveRefund) -> None:
        if self.committing:
            self.parting_refunds.append(live)
            return
        if live.dirty or live.fresh or live.waiters or live.lane_ref:
            return
        if live.refund.status == "processing" or self.refunds.get(live.no) is not live:
            return
        del self.refunds[live.no]
        self.refund_by_id.pop(live.refund.id, None)
        self.refund_by_key.pop(live.refund.key_digest, None)
        live.of.refunds -= 1
        self.forget(live.of)

    def reached(self, points: Callable[[Batch], tuple[str, ...]], batch: Batch) -> None:
        """Tell `reach` of the points around a commit."""
        if self.reach is not None:
            for point in points(batch):
                self.reach(point)

    def flush_links(self) -> None:
        """Let the answers of a commit leave before the next one is written: a part of a millisecond
        for everybody who waits for them."""
        for link in self.links:
            link.flush()

    def part(self) -> None:
        """After a commit: let go whoever was to leave while it was under way."""
        parting, self.parting = self.parting, []
        for live in parting:
            self.forget(live)
        parting_refunds, self.parting_refunds = self.parting_refunds, []
        for entry in parting_refunds:
            self.forget_refund(entry)

    def emit(self, live: LivePayment, kind: str, source: str, at_ms: int, body: bytes) -> None:
        """One event for the outbox, in the commit of the change it tells of."""
        self.event_no = no = self.event_no + 1
        self.batch.events.append(
            (
                no,
                live.partition,
                live.merchant_no,
                event_id(source, kind),
                kind,
                at_ms,
                event_json(kind, at_ms, body),
            )
        )

    # --- answers -------------------------------------------------------------------------------

    def answer(self, link: Link, message: Message) -> None:
        """Say something once the commit of everything decided so far is durable."""
        self.releases.answers.append((link, message))
        self.wake.set()

    def refuse(self, link: Link, ref: int, error: PaymentError) -> None:
        self.answer(
            link, Refusal(ref, error.code, error.detail, error.param, error.retry_after_s or 0)
        )

    def bug(self, link: Link, ref: int, error: Exception) -> None:
        """An unexpected exception while deciding: answered as our bug, counted and logged."""
        self.count("bugs")
        log.error("a decision failed", exc_info=error)
        self.refuse(link, ref, Internal())

    def say(
        self, link: Link, ref: int, status: int, body: bytes, *, replayed: bool = False
    ) -> None:
        self.answer(link, Answer(ref, status, body, replayed, 1 if status == 202 else 0))

    def count(self, name: str, by: float = 1) -> None:
        """Plain numbers; only the gateway knows Prometheus."""
        self.counts[name] = self.counts.get(name, 0.0) + by


def _nothing_follows(postings: Postings, owner: str | None) -> None:
    """Until the way home is there, nothing lies at a bank."""
