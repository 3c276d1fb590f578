"""MerchantShard: the only writer of its partitions. Many commands in, one fsync, many answers.

If an answer arrives, its effects survive a crash. If none arrives, they may or may not have
happened: send the same command again, its id makes that safe.
"""

import asyncio
import logging
from typing import Final

from actors import crash, sharing
from actors.canceling import Canceling
from actors.core import BATCH_MAX, MERCHANT_QUEUE_MAX, QUEUE_MAX, Core
from actors.event_messages import FetchEvents, TailEvents
from actors.fair import FairQueue
from actors.home_flows import home_desk
from actors.link import Link
from actors.live import LivePayment, Releases
from actors.messages import (
    Act,
    Answer,
    CancelPayment,
    Changes,
    ClockQuiet,
    ClockSet,
    LaneBookList,
    LaneCredit,
    LaneNotice,
    LaneReply,
    MakeRefund,
    Message,
    NoticeTaken,
    PageAsk,
    Pay,
    ReadBalances,
    ReadBooks,
    ReadList,
    ReadOne,
    ReadStatus,
    Stats,
    Subscribe,
)
from actors.news import News
from actors.opening import Opening
from actors.pages import Paging
from actors.paying import INQUIRE, LOOK, PAY, REF_BITS, REF_MASK, REFUND, Paying
from actors.payment_flows import of_payments
from actors.reading import Reading
from actors.refunding import Refunding
from actors.tailing import Tailing
from actors.timers import TICK_S, Timers
from payments.channels.base import Unknown
from payments.clock import SystemClock
from payments.errors import Overloaded, PaymentError, QuotaExceeded
from payments.ids import MalformedId, out_trade_no, payment_of_out_trade_no
from payments.payment import Payment
from payments.storage.base import Opened

log = logging.getLogger(__name__)

DRAIN_FOLDS: Final = 5_000
"""Balances written with one of the last commits of a drain."""


class MerchantShard:
    """The actor: frames in, one commit at a time, answers out."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.paying = Paying(core)
        self.opening = Opening(core, self.paying)
        self.refunding = Refunding(core, self.paying)
        self.news = News(core, self.paying, self.refunding)
        self.canceling = Canceling(core, self.paying, self.refunding)
        self.reading = Reading(core, self.paying)
        self.tailing = Tailing(core)
        self.paging = Paging(core, self.paying)
        self.paging.act_on_order = self.reading.act
        self.home = home_desk(core)
        of_payments(self.home, self.opening, self.paying, self.refunding)
        self.timers = Timers(core, self.paying, self.refunding, self.paging, self.home)
        self._queue: FairQueue[tuple[Link, Pay]] = FairQueue(
            total_max=QUEUE_MAX, key_max=MERCHANT_QUEUE_MAX
        )
        self._step: tuple[Link, ClockSet] | None = None
        self._busy = False
        self._failure: Exception | None = None
        self._ended = False

    def open(self) -> Opened:
        """Take ownership of the store and recover what a snapshot would otherwise hold."""
        opened = self.core.store.open()
        self.core.opened(opened)
        self.refunding.recover()
        return opened

    async def run(self) -> None:
        """Commit and release until cancelled. Any failure here ends the process."""
        core = self.core
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._tick())
            tasks.create_task(self.home.slices.run())
            while True:
                await core.wake.wait()
                await core.gathering.wait()
                core.wake.clear()
                if self._failure is not None:
                    raise self._failure
                self._busy = True
                await self._commit()
                self._busy = False
                if self._step is not None:
                    self._report_quiet()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self.timers.tick()
            if self._step is not None:
                self._report_quiet()

    # --- commit ----------------------------------------------------------------------------------

    async def _commit(self) -> None:
        """Write everything decided so far, then let out what stood on it."""
        core = self.core
        decided = core.decided()
        batch = decided.batch
        releases, core.releases = core.releases, type(core.releases)()
        if batch:
            core.books.flush(batch)
            core.merchants.flush(batch, core.payment_no)
            core.reached(crash.before, batch)
            began = core.clock.monotonic()
            core.committing = True
            await core.store.commit(batch)
            core.committing = False
            core.numbers.committed(decided.started, decided.rows, began, core.store.last_sync_s)
            core.gathering.committed(decided.rows, began)
            core.reached(crash.after, batch)
            if batch.events:
                self.tailing.committed()
        core.records.committed()
        self._release(releases)
        for live in decided.payments:
            if live.payment.is_final:
                core.forget(live)
        for entry in decided.refunds:
            core.forget_refund(entry)
        core.part()
        if len(self._queue):
            self._take_queued()

    def _release(self, releases: Releases) -> None:
        """What stood on a commit leaves, now that it is durable."""
        core = self.core
        for live in releases.sends:
            self.paying.send(live)
        if core.reach is not None and releases.sends:
            core.reach(crash.AFTER_PAY_SENT)
        for leave in releases.asks:
            leave()
        for link, message in releases.answers:
            link.send(message)
        if core.reach is not None and releases.answers:
            core.reach(crash.AFTER_ANSWER)
        core.flush_links()

    def _take_queued(self) -> None:
        by_link: dict[Link, list[Pay]] = {}
        for _ in range(min(len(self._queue), BATCH_MAX)):
            taken = self._queue.get()
            if taken is None:
                break
            link, command = taken[1]
            by_link.setdefault(link, []).append(command)
        for link, commands in by_link.items():
            self.opening.take(link, commands)
        if len(self._queue):
            # Those taken may all wait for payments under way, which needs no commit.
            self.core.wake.set()

    # --- frames ----------------------------------------------------------------------------------

    def on_link(self, link: Link) -> None:
        """A front door, a lane (which grants its window) or the directory (asked for its data)."""
        if link.peer_role == "directory":
            core = self.core
            link.send(Subscribe(core.options.name, core.reference.number))
        self.core.links[link] = None
        self.home.on_link(link)

    def on_messages(self, link: Link, messages: list[Message]) -> None:
        """Take a frame. What fails beyond one command's decision ends the process."""
        if self._failure is None and not self._ended:
            try:
                self._take_frame(link, messages)
                if self._step is not None:
                    # An answer that changed nothing has no commit to follow it.
                    self._report_quiet()
            except Exception as error:
                self._fail(error)

    def _fail(self, error: Exception) -> None:
        """Memory may hold half a change: nothing that stands on it is written or told."""
        log.critical("the shard ends itself", exc_info=error)
        self._failure = error
        self.core.wake.set()

    def _take_frame(self, link: Link, messages: list[Message]) -> None:
        pays: list[Pay] = []
        for message in messages:
            kind = type(message)
            if kind is LaneReply:
                self._replied(link, message)  # type: ignore[arg-type]
            elif kind is Pay:
                pays.append(message)  # type: ignore[arg-type]
            else:
                self._other(link, message)
        if pays:
            self._take(link, pays)

    def _take(self, link: Link, pays: list[Pay]) -> None:
        """Decide at once while the next commit has room; otherwise queue, fairly by merchant."""
        if len(self._queue) == 0 and len(self.core.fresh) + len(pays) <= BATCH_MAX:
            self.opening.take(link, pays)
            return
        for command in pays:
            if self._queue.put(command.merchant, (link, command)):
                continue
            if self._queue.waiting(command.merchant) >= MERCHANT_QUEUE_MAX:
                error: PaymentError = QuotaExceeded(
                    "too many requests of this merchant wait", retry_after_s=1
                )
            else:
                error = Overloaded("the shard's queue is full; try again", retry_after_s=1)
            self.core.refuse(link, command.ref, error)
        self.core.wake.set()

    def _replied(self, link: Link, message: LaneReply) -> None:
        core = self.core
        ref = message.ref
        if ref < 0:
            if ref & 1:
                self.paging.named(ref, message.outcome)
            else:
                self.reading.acted(ref, message.outcome)
            return
        if ref & REF_MASK == REFUND:
            entry = core.refunds.get(ref >> REF_BITS)
            if entry is not None:
                self.refunding.answered(entry, message.outcome)
            return
        live = core.live.get(ref >> REF_BITS)
        if live is None:
            live = self._stored(ref >> REF_BITS)
            if live is None:
                return
        attempt = live.payment.attempt
        if live.payment.earlier and message.out_trade_no != _number_of(live.payment):
            # A ref names the payment, not the attempt: of an earlier one only its money matters.
            if ref & REF_MASK in (PAY, INQUIRE, LOOK):
                self._heard_earlier(live, ref & REF_MASK, message)
            core.forget(live)
            return
        if attempt is not None and ref & REF_MASK == PAY:
            core.lanes.give_back(attempt.account, live.partition)
        self.paying.answered(live, ref & REF_MASK, message.outcome)

    def _stored(self, no: int) -> LivePayment | None:
        row = self.core.store.payment_by_no(no)
        return None if row is None else self.core.adopt(LivePayment.of_row(row))

    def _other(self, link: Link, message: Message) -> None:
        match message:
            case LaneCredit():
                self.core.lanes.credit(link, message)
            case LaneNotice():
                self._noticed(link, message)
            case ReadOne():
                self.reading.one(link, message)
            case ReadList():
                self.reading.page(link, message)
            case MakeRefund():
                self.refunding.make(link, message)
            case CancelPayment():
                self.canceling.cancel(link, message)
            case PageAsk():
                self.paging.ask(link, message)
            case Act():
                if not self.paging.act(link, message):
                    self.reading.act(link, message)
            case ReadBooks():
                self.reading.books(link, message)
            case LaneBookList():
                self.reading.booked(message)
            case Changes():
                self.core.reference.take(message)
            case ClockSet():
                self._clock_set(link, message)
            case ReadBalances():
                sharing.balances(self.core, link, message)
            case ReadStatus():
                self._status(link, message)
            case TailEvents():
                self.tailing.tail(link, message)
            case FetchEvents():
                self.tailing.fetch(link, message)
            case _:
                if not self.home.hear(link, message):
                    self.core.count("messages_ignored")

    def _noticed(self, link: Link, message: LaneNotice) -> None:
        """A verified callback. The channel is told that we took it only after the commit."""
        core = self.core
        try:
            identifier, number = payment_of_out_trade_no(message.out_trade_no)
        except MalformedId:
            core.count("notices_unknown")
            link.send(NoticeTaken(message.ref))
            return
        if message.out_refund_no is not None:
            self.news.of_refund(f"rfd_{message.out_refund_no}", message.outcome)
            core.answer(link, NoticeTaken(message.ref))
            return
        live = self.paying.find(identifier)
        if live is not None:
            attempt = live.payment.attempt
            if attempt is not None and attempt.number == number:
                lane_ref = live.lane_ref
                self.paying.answered(live, INQUIRE, message.outcome)
                live.lane_ref = lane_ref
            else:
                self.news.of_attempt(live, number, message.outcome)
                core.forget(live)
        core.answer(link, NoticeTaken(message.ref))

    def _heard_earlier(self, live: LivePayment, op: int, message: LaneReply) -> None:
        try:
            identifier, attempt_no = payment_of_out_trade_no(message.out_trade_no)
        except MalformedId:
            return
        if identifier != live.payment.id:
            return
        attempt = live.payment.attempt_of(attempt_no)
        if op == PAY and attempt is not None:
            self.core.lanes.give_back(attempt.account, live.partition)
        self.news.of_attempt(live, attempt_no, message.outcome)

    # --- losses ----------------------------------------------------------------------------------

    def on_link_lost(self, link: Link) -> None:
        """A lane that died leaves its calls unknown; a front door's waiters are gone."""
        if self._failure is None and not self._ended:
            try:
                self._lost(link)
            except Exception as error:
                self._fail(error)

    def _lost(self, link: Link) -> None:
        core = self.core
        core.links.pop(link, None)
        self.tailing.lost(link)
        self.home.on_link_lost(link)
        peer = core.lanes.lost(link)
        if peer is None:
            return
        self.reading.lane_lost()
        self.paging.lane_lost()
        lost = Unknown("the lane was lost")
        for live in list(core.live.values()):
            attempt = live.payment.attempt
            if (
                live.lane_ref
                and attempt is not None
                and attempt.account == peer.account
                and core.lanes.peer(peer.account, live.partition) is peer
            ):
                op = PAY if attempt.state == "sending" else INQUIRE
                self.paying.answered(live, op, lost)
        for entry in list(core.refunds.values()):
            if entry.lane_ref and entry.refund.account == peer.account:
                self.refunding.answered(entry, lost)

    # --- clock, status, drain --------------------------------------------------------------------

    def _clock_set(self, link: Link, message: ClockSet) -> None:
        clock = self.core.clock
        assert isinstance(clock, SystemClock) or hasattr(clock, "offset_ms")
        clock.offset_ms = message.offset_ms
        self._step = (link, message)
        self.timers.tick()
        self.timers.scan(self.core.clock.now_ms())
        self.core.wake.set()

    def _report_quiet(self) -> None:
        """Everything due at this step is done and nothing is out: say when the next timer is."""
        core = self.core
        assert self._step is not None
        if self._busy or core.wake.is_set():
            return
        if any(live.lane_ref for live in core.live.values()):
            return
        if any(entry.lane_ref for entry in core.refunds.values()):
            return
        due_at = self.timers.next_due()
        if due_at is not None and due_at <= core.clock.now_ms():
            self.timers.scan(core.clock.now_ms())
            return
        link, step = self._step
        self._step = None
        link.send(ClockQuiet(step.step, due_at))

    def _status(self, link: Link, message: ReadStatus) -> None:
        core = self.core
        if message.kind == "trial_balance":
            core.answer(link, Answer(message.ref, 200, self.reading.trial_balance()))
            return
        # Floats, all of them: a truth value would not be one on the other side, and cut the link.
        numbers = {name: float(value) for name, value in self.stats().items()}
        link.send(Stats(message.ref, core.options.name, numbers))

    def stats(self) -> dict[str, float]:
        """Plain numbers for metrics, status and readiness."""
        core = self.core
        facts = core.store.facts()
        numbers = {f"{name}_total": count for name, count in core.counts.items()}
        numbers |= {
            "live": len(core.live),
            "queued": len(self._queue),
            "mailbox": len(self._queue) + len(core.fresh),
            "waiting": len(core.waiting),
            "merchants_active": len(core.merchants),
            "payments": core.payment_no,
            "entries": core.books.entry_no,
            "events": core.event_no,
            "epoch": core.epoch,
            "imbalance_minor": core.books.imbalance(),
            "nonces": len(core.nonces),
            "ready": core.reference.ready(),
            "lanes_up": sum(state != "down" for state in core.lanes.circuits().values()),
            "lanes": len(core.lanes.circuits()),
        }
        for name in ("wal_bytes", "file_bytes"):
            numbers[name] = float(facts.get(name, 0))
        age_s = core.reference.age_s()
        if age_s is not None:
            numbers["reference_age_seconds"] = age_s
        for account, credits in core.lanes.credits().items():
            numbers[f'channel_credits{{channel="{account}"}}'] = credits
        core.numbers.report(numbers)
        return numbers | self.home.numbers()

    async def drain(self, timeout_s: float) -> None:
        """Take nothing new, finish what is asked, write all folds, close the store."""
        core = self.core
        core.draining = True
        deadline = core.clock.monotonic() + timeout_s
        while core.clock.monotonic() < deadline:
            busy = self._busy or core.wake.is_set() or len(self._queue)
            if not busy and not any(live.lane_ref for live in core.live.values()):
                break
            await asyncio.sleep(TICK_S / 4)

    async def finish(self) -> None:
        """After `run` was cancelled: write what is decided and the last folds, and close.

        Nothing is decided any more, and nobody is answered: front doors ask the next owner.
        """
        core = self.core
        self._ended = True
        core.merchants.passivate(core.batch, core.payment_no, everybody=True)
        while True:
            batch = core.decided().batch
            core.books.flush(batch, DRAIN_FOLDS, 0)
            if batch:
                await core.store.commit(batch)
            if not core.books.unwritten:
                break
        core.store.close()


def _number_of(payment: Payment) -> str:
    """The order number of the running attempt; empty between the attempts of a payer's page."""
    attempt = payment.attempt
    return "" if attempt is None else out_trade_no(payment.id, attempt.number)
