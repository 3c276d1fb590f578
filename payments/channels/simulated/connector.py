"""The simulated channel: answers as the table of test mode says, and keeps its own books.

Time in it is business time (the test clock moves it), except latency, which is real. Whatever it
took is in the log of its books before an answer leaves: every call flushes, and `pay_now`, the
hot path, leaves that to its caller (`flush` once for a whole frame of payments).
"""

import asyncio
import heapq
from collections.abc import Callable
from random import Random
from typing import Final
from zlib import crc32

from payments.channels.base import (
    Approved,
    Awaiting,
    Book,
    Declined,
    Notice,
    OrderRef,
    Outcome,
    PayOrder,
    RefundOrder,
    Unknown,
    Unpaid,
)
from payments.channels.simulated.books import CLOSED, PAID, REVERSED, UNPAID, Books, Order
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
from payments.channels.simulated.held import Held, HeldAnswers
from payments.channels.simulated.settings import PPM, Latency, SimulatedSettings
from payments.clock import Clock
from payments.payment import Discount, Way

BARCODE: Final = Way.BARCODE
"""Looked up once: reading a member of an enum is a tenth of the hot path."""

CODE_URL: Final = "https://pay.example/sim/"
"""A shown code's payload is this and the order number; nobody serves it, `act` pays it."""

SILENCE_S: Final = 60.0
"""A call that is never answered ends by itself after this long, should nobody cancel it."""

VERBS: Final = ("pay", "decline", "pay_late", "pay_twice")

ORDER_PAID: Final = "ORDERPAID"
ORDER_CLOSED: Final = "ORDERCLOSED"
ORDER_REVERSED: Final = "ORDERREVERSED"
NUMBER_USED: Final = "OUT_TRADE_NO_USED"
NO_SUCH_ORDER: Final = "ORDERNOTEXIST"
NOT_ENOUGH: Final = "REFUND_EXCEEDS"
NOT_ALLOWED: Final = "NOAUTH"
BUSY: Final = "FREQUENCY_LIMITED"

SYSTEM_ERROR: Final = Unknown("system error")
UNSIGNED: Final = Unknown("an answer with a wrong signature")
NO_ANSWER: Final = Unknown("no answer")

_COUPONS: Final = (Discount("channel", COUPON_CHANNEL), Discount("merchant", COUPON_MERCHANT))


class SimulatedChannel:
    """One simulated channel account, or one lane's share of it. See `Channel`.

    `notify` receives verified callbacks; set it before the first call. `random` draws latencies.
    """

    def __init__(
        self, settings: SimulatedSettings, clock: Clock, random: Random, books: Books
    ) -> None:
        self.notify: Callable[[Notice], None] | None = None
        self.failed_writes = 0
        self._settings = settings
        self._clock = clock
        self._random = random
        self._books = books
        self._wallets = frozenset((*settings.wallets, None))
        self._at_once = settings.latency.is_none
        self._longest_ms = settings.latency.longest_ms
        self._by_rate = settings.decline_ppm + settings.error_ppm > 0
        self._plain_barcodes = not self._by_rate and "barcode" in settings.ways
        self._calls = 0
        self._held = HeldAnswers(self._leave)
        self._notices: list[Notice] = []
        self._flushing = False
        self._due: list[tuple[int, str]] = [(order.due, order.number) for order in books.waiting()]
        heapq.heapify(self._due)

    # --- payments --------------------------------------------------------------------------

    def pay_now(self, order: PayOrder) -> Outcome | None:
        """Pay without waiting; None when it needs time: then nothing happened, `await pay(order)`.

        `flush` must return before the outcome leaves the process.
        """
        return self._pay_here(order) if self._at_once else None

    def _pay_here(self, order: PayOrder) -> Outcome | None:
        """The hot path first: a new barcode payment with nothing special about it."""
        number = order.out_trade_no
        code = order.auth_code
        books = self._books
        if (
            self._plain_barcodes
            and code is not None
            and order.way == BARCODE
            and code[-4:] not in BARCODE_ENDINGS
            and order.wallet in self._wallets
            and number not in books.taken
            and number not in books.orders
        ):
            books.take(number, order.amount, crc32(f"barcode {order.currency} {code}".encode()))
            return Approved(number, order.amount, f"sim{number}")
        return None if self._ending_of(order).answer == "silent" else self._pay(order)

    def pay_soon(self, order: PayOrder, within_ms: int, answer: Callable[[Outcome], None]) -> bool:
        """Pay now and have `answer` called once the latency is over, before `within_ms`.

        False when it may take longer, or for ever: then nothing happened, `await pay(order)`.
        """
        if self._at_once or self._longest_ms >= within_ms or self._is_full:
            return False
        if (outcome := self._pay_here(order)) is None:
            return False
        self._calls += 1
        self._flush_soon()
        wait_s = self._settings.latency.draw_ms(self._random) / 1000
        self._held.hold(wait_s, answer, outcome)
        return True

    def _leave(self, held: list[Held]) -> None:
        """The books first, then the answers that rest on them."""
        self._calls -= len(held)
        try:
            self.flush()
        except OSError as error:
            lost = Unknown(f"the channel's books: {error.strerror}")
            held = [(answer, lost) for answer, _ in held]
        for answer, outcome in held:
            answer(outcome)

    @property
    def _is_full(self) -> bool:
        return self._calls >= self._settings.capacity

    async def pay(self, order: PayOrder) -> Outcome:
        return await self._call(self._settings.latency, lambda: self._pay(order))

    def _pay(self, order: PayOrder) -> Outcome | None:
        """The channel's side of a payment. None: it never answers."""
        if order.way not in self._settings.ways or order.wallet not in self._wallets:
            return Declined(
                "channel_error", "the account may not do this", NOT_ALLOWED, not_sent=True
            )
        if order.way == BARCODE and not order.auth_code:
            return Declined("channel_error", "a barcode payment needs its code", "PARAM_ERROR")
        known = self._current(order.out_trade_no)
        print_ = crc32(f"{order.way} {order.currency} {order.auth_code}".encode())
        if known is not None:
            return self._pay_again(known, order, print_)
        name = self._ending_name(order)
        if not name:
            self._books.take(order.out_trade_no, order.amount, print_)
            return Approved(order.out_trade_no, order.amount, f"sim{order.out_trade_no}")
        ending = ENDINGS[name]
        if not ending.exists:
            return None if ending.answer == "silent" else SYSTEM_ERROR
        made = self._make(order, print_, name, ending)
        return self._first_answer(made, ending)

    def _make(self, order: PayOrder, print_: int, name: str, ending: Ending) -> Order:
        books, number, now = self._books, order.out_trade_no, self._clock.now_ms()
        is_code = order.way != BARCODE
        expires = (order.expires_at or 0) if is_code else 0
        made = books.open(number, order.amount, print_, name, now, expires)
        if ending.failure:
            books.close_order(number, ending.failure)
        elif ending.takes:
            books.pay(number)
        elif ending.pays_after_ms:
            self._schedule(number, now + ending.pays_after_ms)
        elif expires:
            self._schedule(number, expires)
        for _ in range(ending.notices):
            self._tell(made)
        return made

    def _pay_again(self, known: Order, order: PayOrder, print_: int) -> Outcome | None:
        """The same number once more: the same answer for the same order, and never a charge."""
        if not known.failure:
            if known.state == CLOSED:
                return Declined("channel_error", "the order number is closed", ORDER_CLOSED)
            if known.state == REVERSED:
                return Declined("channel_error", "the order was reversed", ORDER_REVERSED)
        if known.amount != order.amount or known.print != print_:
            return Declined("channel_error", "the number belongs to another order", NUMBER_USED)
        return self._first_answer(known, ENDINGS.get(known.ending, PLAIN))

    def _first_answer(self, order: Order, ending: Ending) -> Outcome | None:
        """What the payment call answers for an order as it stands."""
        if order.failure:
            return _declined(order)
        if ending.answer == "silent":
            return None
        if ending.answer == "error":
            return SYSTEM_ERROR
        if order.state == PAID:
            return self._paid(order)
        return Awaiting(CODE_URL + order.number if ending is ENDINGS["code"] else None)

    def _ending_name(self, order: PayOrder) -> str:
        if order.way != BARCODE:
            return "code"
        tail = (order.auth_code or "")[-4:]
        if tail in BARCODE_ENDINGS:
            return tail
        if self._by_rate:
            settings = self._settings
            draw = crc32(f"{settings.seed} {order.out_trade_no}".encode())
            if draw % PPM < settings.decline_ppm:
                return "declined"
            if draw % PPM < settings.decline_ppm + settings.error_ppm:
                return "9005" if draw // PPM & 1 else "lost"
        return ""

    def _ending_of(self, order: PayOrder) -> Ending:
        return ENDINGS.get(self._ending_name(order), PLAIN)

    # --- what came of it -------------------------------------------------------------------

    async def inquire(self, order: OrderRef) -> Outcome:
        return await self._call(self._settings.latency, lambda: self._inquire(order.out_trade_no))

    def _inquire(self, number: str) -> Outcome:
        order = self._current(number)
        if order is None:
            return Unpaid("absent")
        if order.state == PAID:
            return self._paid(order)
        if order.state == UNPAID:
            blind = ENDINGS.get(order.ending, PLAIN).blind
            return SYSTEM_ERROR if blind else Unpaid("open")
        if order.failure:
            return _declined(order)
        self._said_over(order)
        return Unpaid(order.state)

    def _paid(self, order: Order) -> Outcome:
        """A paid order in an answer: with its coupons, or wrongly signed, or wrongly reported."""
        ending = ENDINGS.get(order.ending, PLAIN)
        if ending.unsigned_ms and self._clock.now_ms() < order.created + ending.unsigned_ms:
            return UNSIGNED
        amount, trade_no = order.amount + ending.misreports, f"sim{order.number}"
        if ending.coupons and order.amount > COUPON_CHANNEL + COUPON_MERCHANT:
            return Approved(
                order.number,
                amount,
                trade_no,
                payer_amount=amount - COUPON_CHANNEL - COUPON_MERCHANT,
                settle_amount=amount - COUPON_MERCHANT,
                discounts=_COUPONS,
            )
        return Approved(order.number, amount, trade_no)

    async def reverse(self, order: OrderRef) -> Outcome:
        return await self._call(self._settings.latency, lambda: self._reverse(order.out_trade_no))

    def _reverse(self, number: str) -> Outcome:
        """Undo: paid money goes back, an unpaid or absent number is closed for ever."""
        order = self._current(number)
        if order is None or order.state == UNPAID:
            return self._end_unpaid(order, number)
        if order.state == PAID:
            if order.refunded:
                return Declined("channel_error", "the order was refunded", NUMBER_USED)
            self._books.reverse(number)
            order = self._books.orders[number]
        self._said_over(order)
        return self._unsigned_yet(order) or Approved(number, order.amount)

    async def close(self, order: OrderRef) -> Outcome:
        return await self._call(self._settings.latency, lambda: self._close(order.out_trade_no))

    def _close(self, number: str) -> Outcome:
        """End a code: refused when it is paid (ORDERPAID), done when it is over already."""
        order = self._current(number)
        if order is None or order.state == UNPAID:
            return self._end_unpaid(order, number)
        if order.state == PAID:
            return Declined("channel_error", "the order is paid", ORDER_PAID)
        self._said_over(order)
        return Approved(number, order.amount)

    def _end_unpaid(self, order: Order | None, number: str) -> Outcome:
        if order is None:
            order = self._books.open(number, 0, 0, "", self._clock.now_ms(), 0)
        self._books.close_order(number)
        self._said_over(order)
        return Approved(number, order.amount)

    def _unsigned_yet(self, order: Order) -> Outcome | None:
        ending = ENDINGS.get(order.ending, PLAIN)
        unsigned = self._clock.now_ms() < order.created + ending.unsigned_ms
        return UNSIGNED if unsigned else None

    def _said_over(self, order: Order) -> None:
        """We just said that an order ended unpaid. Where money is to be late, its time starts."""
        late = order.late or ENDINGS.get(order.ending, PLAIN).late
        if late and order.state == CLOSED and not order.due and not order.failure:
            self._schedule(order.number, self._clock.now_ms() + LATE_MS)

    # --- refunds ---------------------------------------------------------------------------

    async def refund(self, order: RefundOrder) -> Outcome:
        return await self._call(self._settings.refund_latency, lambda: self._refund(order))

    def _refund(self, asked: RefundOrder) -> Outcome:
        number, refund, amount = asked.out_trade_no, asked.out_refund_no, asked.amount
        order = self._current(number)
        if order is None:
            return Declined("channel_error", "there is no such order", NO_SUCH_ORDER)
        before = order.refunds.get(refund)
        if before is not None and abs(before) != amount:
            return Declined("channel_error", "the refund number is another's", NUMBER_USED)
        if before is not None and before > 0:
            return _refunded(asked)
        if order.state != PAID:
            return Declined("channel_error", f"the order is {order.state}", NO_SUCH_ORDER)
        if amount < 1 or asked.total != order.amount:
            return Declined("channel_error", "not the amounts of this order", "PARAM_ERROR")
        if order.refunded + amount > order.amount:
            return Declined("channel_error", "more than what is left of the order", NOT_ENOUGH)
        if before is None and refund_ending(amount) == REFUND_REQUEST_LOST:
            self._books.ask_refund(number, refund, amount)
            return SYSTEM_ERROR
        self._books.refund(number, refund, amount)
        if refund_ending(amount) == REFUND_ANSWER_LOST:
            return SYSTEM_ERROR
        return _refunded(asked)

    async def inquire_refund(self, order: RefundOrder) -> Outcome:
        return await self._call(self._settings.refund_latency, lambda: self._inquire_refund(order))

    def _inquire_refund(self, asked: RefundOrder) -> Outcome:
        order = self._current(asked.out_trade_no)
        made = 0 if order is None else order.refunds.get(asked.out_refund_no, 0)
        if made <= 0:
            return Unpaid("absent")
        return _refunded(asked, made)

    # --- the payer, the clock, the auditor --------------------------------------------------

    def act(self, out_trade_no: str, verb: str) -> Outcome:
        """The payer acts on an open order. Approved: it is done; Declined: it cannot be.

        `pay_late`: the money comes LATE_MS after the channel said that the order is over.
        """
        outcome = self._act(out_trade_no, verb)
        self.flush()
        return outcome

    def _act(self, number: str, verb: str) -> Outcome:
        if verb not in VERBS:
            raise ValueError(f"no such verb: {verb}")
        order = self._current(number)
        if order is None:
            return Declined("channel_error", "there is no such order", NO_SUCH_ORDER)
        may_be_late = verb == "pay_late" and order.state == CLOSED and not order.failure
        if order.state != UNPAID and not may_be_late:
            return Declined("channel_error", f"the order is {order.state}", NUMBER_USED)
        if verb == "pay_late":
            self._books.set_late(number)
            if order.state == CLOSED:
                self._said_over(order)
            return Approved(number, order.amount)
        if verb == "decline":
            self._books.close_order(number, "declined")
        else:
            self._books.pay(number)
        self._tell(order)
        if verb == "pay_twice":
            # The payer's second try finds the order paid: no charge, and the callback once more.
            self._tell(order)
        return Approved(number, order.amount)

    def is_scripted(self, order: PayOrder) -> bool:
        """Whether the auth code asks for a scene of test mode, whose failures say nothing else."""
        return order.way == BARCODE and (order.auth_code or "")[-4:] in BARCODE_ENDINGS

    def next_due(self) -> int | None:
        """Business milliseconds at which something happens by itself; None: nothing will."""
        due = self._due
        while due and self._books.due_of(due[0][1]) != due[0][0]:
            heapq.heappop(due)
        return due[0][0] if due else None

    def wake(self, now_ms: int) -> None:
        """Let everything happen that is due at `now_ms`, in order of time."""
        while (due := self.next_due()) is not None and due <= now_ms:
            self._happen(self._books.orders[self._due[0][1]])
        self.flush()

    def books(self) -> list[Book]:
        """What was really taken and given back, as of now."""
        self.wake(self._clock.now_ms())
        return list(self._books.list())

    def flush(self) -> None:
        """Write the books, then send the callbacks that rest on them. Raise OSError."""
        self._flushing = False
        self._books.flush()
        if self._notices:
            notices, self._notices = self._notices, []
            for notice in notices:
                if self.notify is not None:
                    self.notify(notice)

    def _schedule(self, number: str, due: int) -> None:
        self._books.set_due(number, due)
        heapq.heappush(self._due, (due, number))

    def _current(self, number: str) -> Order | None:
        """The order as of now: what is due has happened, although nobody woke us."""
        order = self._books.get(number)
        if order is not None and order.due and order.due <= self._clock.now_ms():
            self._happen(order)
        return order

    def _happen(self, order: Order) -> None:
        ending = ENDINGS.get(order.ending, PLAIN)
        if order.state == UNPAID and not ending.pays_after_ms:
            self._books.close_order(order.number)  # A code has expired.
            return
        self._books.pay(order.number)
        self._tell(order)

    def _tell(self, order: Order) -> None:
        outcome = self._paid(order) if order.state == PAID else _declined(order)
        self._notices.append(Notice(order.number, outcome))

    # --- the way there and back --------------------------------------------------------------

    async def _call(self, latency: Latency, decide: Callable[[], Outcome | None]) -> Outcome:
        """Decide on arrival, answer after the latency; the books are written in between."""
        if self._is_full:
            return Declined("channel_error", "too many calls at once", BUSY, not_sent=True)
        self._calls += 1
        try:
            outcome = decide()
            if outcome is None:
                self.flush()
                await asyncio.sleep(SILENCE_S)
                return NO_ANSWER
            if not latency.is_none:
                self._flush_soon()
                await asyncio.sleep(latency.draw_ms(self._random) / 1000)
            self.flush()
            return outcome
        except OSError as error:
            return Unknown(f"the channel's books: {error.strerror}")
        finally:
            self._calls -= 1

    def _flush_soon(self) -> None:
        """One write for all that this loop tick brings."""
        if not self._flushing:
            self._flushing = True
            asyncio.get_running_loop().call_soon(self._flush_tick)

    def _flush_tick(self) -> None:
        self._flushing = False
        try:
            self._books.flush()
        except OSError:
            # The lines are kept; each call's own flush meets the error again and answers Unknown.
            self.failed_writes += 1


def _declined(order: Order) -> Declined:
    ending = ENDINGS.get(order.ending, PLAIN)
    if ending.failure != order.failure:
        ending = ENDINGS["declined"]
    return Declined(order.failure, ending.message, ending.channel_code)


def _refunded(asked: RefundOrder, amount: int = 0) -> Approved:
    return Approved(asked.out_trade_no, amount or asked.amount, f"simr{asked.out_refund_no}")
