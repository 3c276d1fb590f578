"""Defects that a payment gateway can have: each is planted by a patch, and must be found.

A defect is a function of pytest's `monkeypatch`. The product code has no switches for them.
"""

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from actors import paying as paying_module
from actors import refunding as refunding_module
from actors.books import Books
from actors.core import Core
from actors.lanes import Lanes
from actors.live import LivePayment
from actors.merchant import Merchants
from actors.nonces import Nonces
from actors.opening import Found, Opening
from actors.paying import PAY, Paying
from actors.reading import Reading
from actors.refunding import Refunding
from actors.shard import MerchantShard
from payments import bookings, lifecycle, pages
from payments.channels.base import Approved, Unknown
from payments.payment import Payment
from payments.storage.memory import MemoryStore

Plant = Callable[[Any], None]
PLANTED: dict[str, Plant] = {}


def defect(plant: Plant) -> Plant:
    PLANTED[plant.__name__] = plant
    return plant


@defect
def answer_before_the_commit(patch: Any) -> None:
    patch.setattr(Core, "answer", lambda self, link, message: link.send(message))


@defect
def a_number_of_its_own_for_each_question(patch: Any) -> None:
    ask = paying_module.LaneAsk
    patch.setattr(
        paying_module, "LaneAsk", lambda ref, op, no, *of: ask(ref, op, no[:-1] + "1", *of)
    )


@defect
def another_refund_number_each_time(patch: Any) -> None:
    made, asked = refunding_module.LaneRefund, {"times": 0}
    ask = Refunding._ask

    def remember(self: Any, entry: Any, op: str) -> None:
        asked["times"] = entry.refund.asked
        ask(self, entry, op)

    def lane_refund(ref: int, op: str, number: str, refund: str, *rest: Any) -> Any:
        return made(ref, op, number, refund[:-1] + str(asked["times"] % 10), *rest)

    patch.setattr(Refunding, "_ask", remember)
    patch.setattr(refunding_module, "LaneRefund", lane_refund)


@defect
def no_epoch_check(patch: Any) -> None:
    check = MemoryStore._check

    def lenient(self: Any, batch: Any) -> None:
        epoch, owner = self._epoch, self.disk.owner
        self._epoch, self.disk.owner = self.disk.epoch, self
        try:
            check(self, batch)
        finally:
            self._epoch, self.disk.owner = epoch, owner

    patch.setattr(MemoryStore, "_check", lenient)


@defect
def amount_of_an_answer_not_compared(patch: Any) -> None:
    patch.setattr(lifecycle, "matches", lambda payment, outcome: True)


@defect
def refunds_not_added_up(patch: Any) -> None:
    patch.setattr(Payment, "refundable", property(lambda self: self.amount))


@defect
def limit_not_released_by_a_reverse(patch: Any) -> None:
    followed = Merchants.followed

    def forgetful(self: Any, live: Any, before: Any) -> None:
        if live.payment.status != "reversed":
            followed(self, live, before)

    patch.setattr(Merchants, "followed", forgetful)


@defect
def unsigned_answer_believed(patch: Any) -> None:
    answered = Paying.answered

    def believing(self: Any, live: Any, op: int, outcome: Any) -> None:
        if isinstance(outcome, Unknown) and "signature" in outcome.reason:
            outcome = Approved(lifecycle.number_of(live.payment), live.payment.amount)
        answered(self, live, op, outcome)

    patch.setattr(Paying, "answered", believing)


@defect
def refunds_and_cancels_of_other_merchants(patch: Any) -> None:
    find = Refunding.find_payment

    def lenient(self: Any, merchant: str, identifier: str, store: Any) -> Any:
        live = self._paying.find(identifier)
        return live or find(self, merchant, identifier, store)

    patch.setattr(Refunding, "find_payment", lenient)


@defect
def reads_of_other_merchants(patch: Any) -> None:
    patch.setattr(Reading, "_allow", lambda *_: None)


@defect
def second_channel_while_unknown(patch: Any) -> None:
    answered = Paying.answered

    def hasty(self: Any, live: Any, op: int, outcome: Any) -> None:
        is_unclear = op == PAY and isinstance(outcome, Unknown)
        if is_unclear and self._go_on(live, self._core.clock.now_ms()):
            return
        answered(self, live, op, outcome)

    patch.setattr(Paying, "answered", hasty)


@defect
def double_booking(patch: Any) -> None:
    book = Paying._book_payment

    def twice(self: Any, live: LivePayment, payment: Payment, now: int) -> None:
        book(self, live, payment, now)
        patch.setattr(bookings, "payment_entry_id", lambda i: "ent_" + i[-24:] + "Q")
        book(self, live, payment, now)
        patch.setattr(bookings, "payment_entry_id", lambda i: "ent_" + i[-24:] + "P")

    patch.setattr(Paying, "_book_payment", twice)


@defect
def late_success_kept(patch: Any) -> None:
    patch.setattr(Refunding, "begin_automatic", lambda *_: None)


@defect
def late_success_kept_by_the_flow(patch: Any) -> None:
    patch.setattr(lifecycle, "_answered_late", lambda *_, **__: lifecycle.NOTHING)


@defect
def old_news_believed(patch: Any) -> None:
    late = lifecycle._answered_late

    def credulous(*news: Any, is_fresh: bool) -> Any:
        return late(*news, is_fresh=True)

    patch.setattr(lifecycle, "_answered_late", credulous)


@defect
def nonce_not_stored(patch: Any) -> None:
    patch.setattr(Nonces, "recover", lambda *_: None)


@defect
def nonce_not_looked_at(patch: Any) -> None:
    patch.setattr(Nonces, "accept", lambda *_: True)


@defect
def keys_only_remembered_in_memory(patch: Any) -> None:
    made = Found.__init__

    def forgetful(self: Any, keys: Any, *rest: Any) -> None:
        made(self, [], *rest)

    patch.setattr(Found, "__init__", forgetful)


@defect
def orders_not_looked_at(patch: Any) -> None:
    patch.setattr(Opening, "_judge_order", lambda *_: None)


@defect
def an_event_forgotten(patch: Any) -> None:
    emit = Core.emit

    def forgetful(self: Any, live: Any, kind: str, *rest: Any) -> None:
        if kind != "payment.reversed":
            emit(self, live, kind, *rest)

    patch.setattr(Core, "emit", forgetful)


@defect
def credits_not_given_back(patch: Any) -> None:
    patch.setattr(Lanes, "give_back", lambda *_: None)


@defect
def the_floor_runs_ahead_of_the_balances(patch: Any) -> None:
    flush = Books.flush

    def hasty(self: Any, batch: Any, most: int = 0) -> None:
        flush(self, batch, 1)
        batch.marks["balance_floor"] = self.entry_no

    patch.setattr(Books, "flush", hasty)


@defect
def an_answer_written_and_never_sent_to_the_store(patch: Any) -> None:
    """The outcome leaves memory only: a crash forgets it, though it was told."""
    commit = MerchantShard._commit

    async def lossy(self: Any) -> None:
        for live in self.core.dirty:
            live.dirty = False
        if len(self.core.dirty) % 2:
            self.core.dirty.clear()
        await commit(self)

    patch.setattr(MerchantShard, "_commit", lossy)


@defect
def timers_not_found_after_a_restart(patch: Any) -> None:
    patch.setattr(MemoryStore, "due_payments", lambda *_: [])


@defect
def a_refused_payment_counted_as_paid(patch: Any) -> None:
    refused = pages.refused

    def generous(outcome: Any, now: int) -> Any:
        made = refused(outcome, now)
        if made.failure.code != "auth_code_expired":
            return made
        return lifecycle.Succeeded(now, None, 1, 1, (), 0)

    patch.setattr(lifecycle, "refused", generous)
    patch.setattr(pages, "refused", generous)


@defect
def a_cancel_answered_and_forgotten(patch: Any) -> None:
    undo = lifecycle._approved

    def forgetful(payment: Any, *rest: Any) -> Any:
        return undo(replace(payment, cancel_requested=False), *rest)

    patch.setattr(lifecycle, "_approved", forgetful)
