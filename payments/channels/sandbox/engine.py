"""Decides what a sandbox does, by the auth code's last four digits; a channel renders it.

Every public call is one step: it decides, writes the books, hands out the news (what callbacks
are about) and returns what to render. Nothing waits in here, so no two calls interleave.
Time is business time: the sandbox's own clock, which the deployment's test clock moves.

Scenes are those of `payments.channels.simulated.endings`. Orders are unique per merchant.
"""

import heapq
from collections.abc import Callable
from typing import Final

from msgspec import structs

from payments.channels.base import Book
from payments.channels.sandbox import books as log
from payments.channels.sandbox.books import CLOSED, PAID, REVERSED, UNPAID, Books, Order, Refund
from payments.channels.sandbox.turns import (
    BARCODE,
    VERBS,
    Asked,
    AskedRefund,
    Kind,
    MovableClock,
    News,
    RefundKind,
    RefundTurn,
    Rules,
    Turn,
    given_back,
)
from payments.channels.simulated.endings import (
    BARCODE_ENDINGS,
    COUPON_CHANNEL,
    COUPON_MERCHANT,
    ENDINGS,
    LATE_MS,
    PLAIN,
    REFUND_ANSWER_LOST,
    REFUND_REQUEST_LOST,
    Ending,
    refund_ending,
)
from payments.payment import Discount

COUPONS: Final = (Discount("channel", COUPON_CHANNEL), Discount("merchant", COUPON_MERCHANT))
TWICE: Final = 2
DAY_MS: Final = 86_400_000


class Engine:
    """The channel's side of everything. `listeners` hear the news, also of orders without a
    `notify_url`: after the books are written, before the answer leaves.

    Every call may raise OSError (the books cannot be written): answer "system error".
    """

    def __init__(self, books: Books, clock: MovableClock, rules: Rules | None = None) -> None:
        self.listeners: list[Callable[[News], None]] = []
        self.rules = rules or Rules()
        self.clock = clock
        self._books = books
        self._news: list[News] = []
        self._due: list[tuple[int, int, str]] = []
        clock.offset_ms = max(clock.offset_ms, books.offset_ms)
        for order in books:
            self._remember(order.due_ms, order.serial)
            for refund in order.refunds.values():
                self._remember(refund.due_ms, order.serial, refund.number)

    # --- payments --------------------------------------------------------------------------

    def pay(self, asked: Asked) -> Turn:
        """Take a payment or open a code. The same order again gets the same answer, no charge.

        paid, awaiting, declined, error, silent, used; closed, reversed: the number is over.
        """
        known = self._current(asked.out_trade_no, asked.merchant)
        turn = self._pay_new(asked) if known is None else self._pay_again(known, asked)
        self.flush()
        return turn

    def inquire(self, out_trade_no: str, merchant: str = "") -> Turn:
        """paid (see `order.refunded`), awaiting, declined, closed, reversed, absent, error."""
        order = self._current(out_trade_no, merchant)
        turn = Turn(Kind.ABSENT) if order is None else self._inquire(order)
        self.flush()
        return turn

    def view(self, order: Order) -> Turn:
        """The order as an answer or a callback about it shows it now: as `inquire`, never error."""
        ending = ENDINGS.get(order.ending, PLAIN)
        amount = order.amount + ending.misreports
        coupons = COUPONS if _has_coupons(order.amount, ending) else ()
        everyone = sum(coupon.amount for coupon in coupons)
        merchant = sum(coupon.amount for coupon in coupons if coupon.funder == "merchant")
        refusal = ENDINGS["declined"] if ending.failure != order.failure else ending
        return Turn(
            self._kind(order),
            order,
            unsigned=self.clock.now_ms() < order.created_ms + ending.unsigned_ms,
            amount=amount,
            payer_amount=amount - everyone,
            settle_amount=amount - merchant,
            discounts=coupons,
            failure=order.failure,
            message=refusal.message if order.failure else "",
        )

    def taken(self, order: Order) -> tuple[int, int]:
        """(settled, paid) of an order as they are, also where its answers report others."""
        turn = self.view(order)
        misreported = turn.amount - order.amount
        return turn.settle_amount - misreported, turn.payer_amount - misreported

    def reverse(self, out_trade_no: str, merchant: str = "", *, seal: bool = True) -> Turn:
        """Undo: paid money goes back (`undone`), an unpaid order is closed for ever.

        reversed, closed: done, now or before; declined: it had failed; refunded: refused.
        An absent number is closed too, so that a late request cannot pay it; with `seal` False
        it is answered absent.
        """
        order = self._current(out_trade_no, merchant)
        if order is None and not seal:
            turn = Turn(Kind.ABSENT)
        elif order is None or order.state == UNPAID:
            turn = self._end(order or self._sealed(out_trade_no, merchant))
        elif order.state == PAID and order.committed:
            turn = Turn(Kind.REFUNDED, order)
        elif order.state == PAID:
            self._books.record(log.Undone(order.serial, self.clock.now_ms()))
            self._tell(REVERSED, order)
            turn = structs.replace(self.view(order), undone=True)
        else:
            self._said_over(order)
            turn = self.view(order)
        self.flush()
        return turn

    def close(self, out_trade_no: str, merchant: str = "", *, seal: bool = True) -> Turn:
        """End an unpaid order.

        closed: done, now or before; paid: refused; reversed, declined: over already. `seal` as
        for `reverse`.
        """
        order = self._current(out_trade_no, merchant)
        if order is None and not seal:
            turn = Turn(Kind.ABSENT)
        elif order is None or order.state == UNPAID:
            turn = self._end(order or self._sealed(out_trade_no, merchant))
        else:
            self._said_over(order)
            turn = self.view(order)
        self.flush()
        return turn

    def by_trade_no(self, trade_no: str) -> Order | None:
        """The order with this number of the channel's."""
        return self._books.by_trade_no(trade_no)

    def _pay_new(self, asked: Asked) -> Turn:
        name = "code" if asked.way != BARCODE else (asked.auth_code or "")[-4:]
        name = name if name == "code" or name in BARCODE_ENDINGS else ""
        ending = ENDINGS.get(name, PLAIN)
        if not ending.exists:
            return Turn(Kind.SILENT if ending.answer == "silent" else Kind.ERROR)
        order = self._open(asked, name)
        now = order.created_ms
        if ending.failure:
            self._books.record(log.Closed(order.serial, now, ending.failure))
            self._tell(Kind.DECLINED, order)
        elif ending.takes and name != "code":
            self._take(order, now, times=max(1, ending.notices))
        elif ending.pays_after_ms:
            self._schedule(order, now + ending.pays_after_ms)
        elif asked.expires_ms:
            self._schedule(order, asked.expires_ms)
        return self._first_answer(order)

    def _pay_again(self, order: Order, asked: Asked) -> Turn:
        if not order.failure and order.state in (CLOSED, REVERSED):
            return self.view(order)
        if order.amount != asked.amount or order.fingerprint != asked.fingerprint:
            return Turn(Kind.USED, order)
        return self._first_answer(order)

    def _first_answer(self, order: Order) -> Turn:
        """What the payment call answers for an order as it stands."""
        answer = ENDINGS.get(order.ending, PLAIN).answer
        if not order.failure and answer == "silent":
            return Turn(Kind.SILENT, order)
        if not order.failure and answer == "error":
            return Turn(Kind.ERROR, order)
        return self.view(order)

    def _inquire(self, order: Order) -> Turn:
        if order.state == UNPAID and ENDINGS.get(order.ending, PLAIN).blind:
            return Turn(Kind.ERROR, order)
        self._said_over(order)
        return self.view(order)

    def _kind(self, order: Order) -> Kind:
        if order.failure:
            return Kind.DECLINED
        states = {PAID: Kind.PAID, CLOSED: Kind.CLOSED, REVERSED: Kind.REVERSED}
        return states.get(order.state, Kind.AWAITING)

    def _open(self, asked: Asked, ending: str) -> Order:
        now, serial = self.clock.now_ms(), self._books.next_serial()
        order = Order(
            merchant=asked.merchant,
            number=asked.out_trade_no,
            serial=serial,
            trade_no=self.rules.order_number(now, serial),
            amount=asked.amount,
            currency=asked.currency,
            way=asked.way,
            wallet=asked.wallet,
            ending=ending,
            fingerprint=asked.fingerprint,
            created_ms=now,
            expires_ms=asked.expires_ms,
            notify_url=asked.notify_url,
            extra=asked.extra,
        )
        self._books.record(log.Opened(order))
        return order

    def _sealed(self, out_trade_no: str, merchant: str) -> Order:
        """An order under a number that nobody paid with, there to be closed."""
        return self._open(Asked(out_trade_no, 0, "", BARCODE, merchant=merchant), "")

    def _end(self, order: Order) -> Turn:
        self._books.record(log.Closed(order.serial, self.clock.now_ms()))
        self._tell(CLOSED, order)
        self._said_over(order)
        return self.view(order)

    def _take(self, order: Order, at_ms: int, times: int = 1) -> None:
        self._books.record(log.Paid(order.serial, at_ms))
        self._tell(PAID, order, times=times)

    def _said_over(self, order: Order) -> None:
        """We just said that an order ended unpaid. Where money is to be late, its time starts."""
        late = order.late or ENDINGS.get(order.ending, PLAIN).late
        if late and order.state == CLOSED and not order.due_ms and not order.failure:
            self._schedule(order, self.clock.now_ms() + LATE_MS)

    # --- refunds ---------------------------------------------------------------------------

    def refund(self, asked: AskedRefund) -> RefundTurn:
        """Give money back. The same refund again gets the same answer (`again`), no second one."""
        turn = self._refund(asked)
        self.flush()
        return turn

    def inquire_refund(
        self, out_refund_no: str, out_trade_no: str | None = None, merchant: str = ""
    ) -> RefundTurn:
        """made, processing, absent. `out_trade_no` None: the refund number alone identifies it."""
        self.wake()
        if out_trade_no is None:
            refund = self._books.refund_by_number(out_refund_no, merchant)
        else:
            of = self._books.get(out_trade_no, merchant)
            refund = None if of is None else of.refunds.get(out_refund_no)
        if refund is None or refund.lost:
            return RefundTurn(RefundKind.ABSENT)
        return _refund_stands(self._books.by_serial(refund.order), refund)

    def refund_by_trade_no(self, trade_no: str) -> Refund | None:
        """The refund with this number of the channel's."""
        return self._books.refund_by_trade_no(trade_no)

    def _refund(self, asked: AskedRefund) -> RefundTurn:
        order = self._current(asked.out_trade_no, asked.merchant)
        if order is None:
            return RefundTurn(RefundKind.ABSENT)
        before = order.refunds.get(asked.out_refund_no)
        if before is None and not self.rules.refunds_per_order:
            before = self._books.refund_by_number(asked.out_refund_no, asked.merchant)
        if before is not None:
            same = (before.order, before.amount, before.fingerprint)
            if same != (order.serial, asked.amount, asked.fingerprint):
                return RefundTurn(RefundKind.USED, order, before)
            if not before.lost:
                return _refund_stands(order, before, again=True)
        if (refusal := self._refund_refusal(order, asked)) is not None:
            return RefundTurn(refusal, order)
        last = refund_ending(asked.amount)
        lost = before is None and last == REFUND_REQUEST_LOST
        refund = self._begin_refund(order, asked, lost=lost)
        if lost or last == REFUND_ANSWER_LOST:
            return RefundTurn(RefundKind.ERROR, order, refund)
        return _refund_stands(order, refund)

    def _refund_refusal(self, order: Order, asked: AskedRefund) -> RefundKind | None:
        if order.state != PAID:
            return RefundKind.UNPAID
        if asked.amount < 1 or asked.total not in (None, order.amount):
            return RefundKind.MISMATCH
        if order.committed + asked.amount > order.amount:
            return RefundKind.EXCEEDS
        if sum(not refund.lost for refund in order.refunds.values()) >= self.rules.refunds_max:
            return RefundKind.TOO_MANY
        if self.clock.now_ms() - order.paid_ms > self.rules.refund_days_max * DAY_MS:
            return RefundKind.TOO_LATE
        return None

    def _begin_refund(self, order: Order, asked: AskedRefund, *, lost: bool) -> Refund:
        now, serial = self.clock.now_ms(), self._books.next_serial()
        due = 0 if lost else now + self.rules.refund_ms
        refund = Refund(
            number=asked.out_refund_no,
            order=order.serial,
            serial=serial,
            amount=asked.amount,
            trade_no=self.rules.refund_number(now, serial),
            created_ms=now,
            fingerprint=asked.fingerprint,
            notify_url=asked.notify_url,
            extra=asked.extra,
            lost=lost,
            due_ms=due,
        )
        self._books.record(log.RefundAsked(refund))
        if not lost and self.rules.refund_ms:
            self._remember(due, order.serial, refund.number)
        elif not lost:
            self._make_refund(order, refund, now)
        return refund

    def _make_refund(self, order: Order, refund: Refund, at_ms: int) -> None:
        """The payer's part is cumulative, so that a full refund gives back what was paid."""
        settled, paid = self.taken(order)
        before = given_back(order.amount, settled, paid, order.refunded)[1]
        after = given_back(order.amount, settled, paid, order.refunded + refund.amount)[1]
        self._books.record(log.RefundMade(order.serial, refund.number, at_ms, after - before))
        self._tell(Kind.REFUNDED, order, refund)

    # --- the payer, the clock, the auditor --------------------------------------------------

    def find(self, out_trade_no: str, merchant: str | None = None) -> list[Order]:
        """The orders under this number as of now. `merchant` None: whoever has it."""
        found = self._books.all_with(out_trade_no)
        orders = [o for o in found if merchant is None or o.merchant == merchant]
        return [self._as_of_now(order) for order in orders]

    def act(self, order: Order, verb: str) -> str:
        """The payer acts (`VERBS`) on an open order. Return why it cannot be, or nothing.

        `pay_late`: the money comes LATE_MS after the channel said that the order is over.
        `pay_twice`: one charge, and the callback twice.
        """
        assert verb in VERBS, verb
        why = self._act(self._as_of_now(order), verb)
        self.flush()
        return why

    def _act(self, order: Order, verb: str) -> str:
        now = self.clock.now_ms()
        may_be_late = verb == "pay_late" and order.state == CLOSED and not order.failure
        if order.state != UNPAID and not may_be_late:
            return f"the order is {order.state}"
        if verb == "pay_late":
            self._books.record(log.Late(order.serial))
            self._said_over(order)
        elif verb == "decline":
            self._books.record(log.Closed(order.serial, now, "declined"))
            self._tell(Kind.DECLINED, order)
        else:
            self._take(order, now, times=TWICE if verb == "pay_twice" else 1)
        return ""

    def books(self) -> list[Book]:
        """What was really taken and given back, as of now."""
        self.wake()
        return [order.book() for order in self._books]

    def next_due(self) -> int | None:
        """Business milliseconds at which something happens by itself; None: nothing will."""
        while self._due and not self._is_due(*self._due[0]):
            heapq.heappop(self._due)
        return self._due[0][0] if self._due else None

    def wake(self) -> None:
        """Let everything happen that is due by now, in order of time, each at its own instant."""
        now = self.clock.now_ms()
        while (due := self.next_due()) is not None and due <= now:
            _, serial, refund = self._due[0]
            self._happen(self._books.by_serial(serial), refund)
        self.flush()

    def move_clock(self, offset_ms: int) -> None:
        """Set the distance of business time to real time; what became due happens. Forward only."""
        assert offset_ms >= self.clock.offset_ms, "business time never goes back"
        self.clock.offset_ms = offset_ms
        self._books.record(log.Moved(offset_ms))
        self.wake()

    def owed(self) -> list[News]:
        """Callbacks that nobody acknowledged yet, the oldest first: what a restart sends again."""
        return [self._as_news(told) for told in self._books.owed.values()]

    def settle(self, news_id: int) -> None:
        """A callback was acknowledged, or given up: it is owed no more."""
        if news_id in self._books.owed:
            self._books.record(log.Settled(news_id))
            self._books.flush()

    def flush(self) -> None:
        """Write the books, then hand out the news that rest on them. Raise OSError."""
        self._books.flush()
        while self._news:
            news, self._news = self._news, []
            for one in news:
                for listener in self.listeners:
                    listener(one)

    def _schedule(self, order: Order, due_ms: int) -> None:
        self._books.record(log.Due(order.serial, due_ms))
        self._remember(due_ms, order.serial)

    def _remember(self, due_ms: int, serial: int, refund: str = "") -> None:
        if due_ms:
            heapq.heappush(self._due, (due_ms, serial, refund))

    def _is_due(self, due_ms: int, serial: int, refund: str) -> bool:
        order = self._books.by_serial(serial)
        return due_ms == (order.refunds[refund].due_ms if refund else order.due_ms)

    def _current(self, out_trade_no: str, merchant: str) -> Order | None:
        order = self._books.get(out_trade_no, merchant)
        return None if order is None else self._as_of_now(order)

    def _as_of_now(self, order: Order) -> Order:
        """What is due for this order has happened, although nobody woke us."""
        now = self.clock.now_ms()
        if order.due_ms and order.due_ms <= now:
            self._happen(order, "")
        for refund in order.refunds.values():
            if refund.due_ms and refund.due_ms <= now:
                self._happen(order, refund.number)
        return order

    def _happen(self, order: Order, refund: str) -> None:
        if refund:
            self._make_refund(order, order.refunds[refund], order.refunds[refund].due_ms)
        elif order.state == UNPAID and not ENDINGS.get(order.ending, PLAIN).pays_after_ms:
            self._books.record(log.Closed(order.serial, order.due_ms))  # A code has expired.
            self._tell(CLOSED, order)
        else:
            self._take(order, order.due_ms)

    def _tell(self, kind: str, order: Order, refund: Refund | None = None, times: int = 1) -> None:
        told = log.Told(
            self._books.next_serial(),
            str(kind),
            order.serial,
            "" if refund is None else refund.number,
            times,
            self.clock.now_ms(),
        )
        news = self._as_news(told)
        if news.notify_url is not None:
            self._books.record(told)
        self._news.append(news)

    def _as_news(self, told: log.Told) -> News:
        order = self._books.by_serial(told.order)
        refund = order.refunds[told.refund] if told.refund else None
        return News(told.id, told.kind, order, refund, told.times, told.at_ms)


def _refund_stands(order: Order, refund: Refund, *, again: bool = False) -> RefundTurn:
    kind = RefundKind.MADE if refund.made_ms else RefundKind.PROCESSING
    return RefundTurn(kind, order, refund, again)


def _has_coupons(amount: int, ending: Ending) -> bool:
    return ending.coupons and amount > COUPON_CHANNEL + COUPON_MERCHANT
