"""What the sandbox's bank decides: which orders it takes, what becomes of them, what it tells.

No wire here: bytes of messages in, messages out. Nothing happens by itself; whoever asks wakes the
bank first, and everything that has become due meanwhile happens in its order, at its own time.
"""

import heapq
from bisect import bisect_left
from datetime import UTC, datetime, timedelta
from typing import Final

from msgspec import Struct

from payments.calendar import CHINA_OFFSET_MINUTES, DAY_MS, business_date
from payments.channels.bank import endings, wire
from payments.channels.bank.books import (
    Books,
    Credited,
    Ignored,
    Line,
    Moved,
    Order,
    Payment,
    Stepped,
    Taken,
)
from payments.channels.bank.endings import Answer, Step
from payments.channels.sandbox.turns import MovableClock
from payments.iso20022 import camt053, camt054, pain001
from payments.iso20022.fields import DETAIL_MAX, NO_REFERENCE
from payments.iso20022.pain001 import CreditTransfer, PaymentOrder
from payments.iso20022.pain002 import ItemStatus, StatusReport
from payments.iso20022.trees import ITEMS_MAX, MessageRefused

CUSTODY_ACCOUNT: Final = "1102000099000012345"
CUSTOMER: Final = "TILLWAY01"

OPENING_HOUR: Final = 9
"""When the bank's day begins, in China's time: what is for "the next day" happens then."""

DAYS_AHEAD_MAX: Final = 30
"""How far ahead the day of execution may be."""

NOTICE_ENTRIES_MAX: Final = 500
"""Movements in one notification message."""

PAGE_ENTRIES_MAX: Final = ITEMS_MAX
"""Movements on one page of a day's statement."""

REFUSED_ID: Final = "REFUSED"
_OFFSET_MS: Final = CHINA_OFFSET_MINUTES * 60_000
_HOUR_MS: Final = 3_600_000


class Reply(Struct, frozen=True):
    """`answer`: what goes wrong with it on the way, where the order's ending says so."""

    report: StatusReport
    answer: Answer = Answer.SOUND


class Refusal(Exception):
    """A test helper's wish that cannot be. `args[0]`: a sentence."""


class Desk:
    """The bank behind its books. `clock` is moved to where the books' was."""

    def __init__(self, books: Books, clock: MovableClock) -> None:
        self.books = books
        self.clock = clock
        clock.offset_ms = max(clock.offset_ms, books.offset_ms)
        self._due: list[tuple[int, int, str]] = []
        for payment in books.payments.values():
            self._remember(payment)

    # --- time ------------------------------------------------------------------------------

    def now_ms(self) -> int:
        """Business time; never before anything that has happened."""
        return max(self.clock.now_ms(), self.books.last_ms)

    def next_due_ms(self) -> int | None:
        return self._due[0][0] if self._due else None

    def wake(self) -> None:
        """Let everything happen that is due."""
        now = self.now_ms()
        while self._due and self._due[0][0] <= now:
            due_ms, _, number = heapq.heappop(self._due)
            payment = self.books.payments[number]
            steps = endings.ending_of(payment.account).steps
            step = steps[payment.step]
            at_ms = max(due_ms, self.books.last_ms)
            after = steps[payment.step + 1] if payment.step + 1 < len(steps) else None
            next_ms = _due_of(after, at_ms) if after else 0
            self.books.record(
                Stepped(number, at_ms, step.status, step.reason, step.is_returned, next_ms)
            )
            self._remember(payment)

    def move_clock(self, offset_ms: int) -> None:
        self.clock.offset_ms = offset_ms
        self.books.record(Moved(offset_ms))
        self.wake()

    def _remember(self, payment: Payment) -> None:
        if payment.due_ms:
            heapq.heappush(self._due, (payment.due_ms, payment.serial, payment.end_to_end_id))

    # --- orders ----------------------------------------------------------------------------

    def take(self, message: bytes) -> Reply:
        """Take an order once, or say what became of it, or refuse it whole."""
        try:
            order = pain001.decode(message)
        except MessageRefused as error:
            number = pain001.message_id_of(message)
            return Reply(self.refused(number, endings.WRONG_FORMAT, str(error)))
        known = self.books.orders.get(order.message_id)
        if known is not None:
            if known.digest != wire.digest(message):
                text = "this message id was used with other bytes"
                return Reply(self.refused(order.message_id, endings.DUPLICATE_MESSAGE, text))
            return Reply(self.report(known))
        if order.debtor_account != CUSTODY_ACCOUNT:
            text = "the debtor's account is not the customer's"
            return Reply(self.refused(order.message_id, endings.WRONG_DEBTOR, text))
        answer = _first_answer(order)
        if answer is Answer.NOT_TAKEN:
            if order.message_id not in self.books.ignored:
                self.books.record(Ignored(order.message_id))
                return Reply(
                    self.refused(order.message_id, endings.NARRATIVE, "never sent"), answer
                )
            answer = Answer.SOUND
        return Reply(self.report(self._take(order, wire.digest(message))), answer)

    def refused(self, message_id: str, reason: str, detail: str) -> StatusReport:
        """A message that was refused whole: nothing of it was taken."""
        return StatusReport(
            message_id=REFUSED_ID,
            created_ms=self.now_ms(),
            original_id=message_id or NO_REFERENCE,
            original_name=pain001.NAME,
            group_status=endings.REJECTED,
            reason=reason,
            detail=detail[:DETAIL_MAX].strip(),
        )

    def _take(self, order: PaymentOrder, digest: str) -> Order:
        now, serial = self.now_ms(), len(self.books.payments)
        taken = Order(order.message_id, order.payment_id, len(self.books.orders) + 1, digest, now)
        fresh: list[Payment] = []
        left = self.books.available
        for item in order.items:
            line = Line(item.end_to_end_id, item.amount_minor)
            taken.lines.append(line)
            before = self.books.payments.get(item.end_to_end_id)
            if before is not None:
                line.is_other = not _is_same(before, item)
                continue
            serial += 1
            payment = self._decided(order, item, serial, left)
            if payment.status != endings.REJECTED:
                left -= payment.amount_minor
            fresh.append(payment)
        self.books.record(Taken(taken, fresh))
        for payment in fresh:
            self._remember(payment)
        return taken

    def _decided(
        self, order: PaymentOrder, item: CreditTransfer, serial: int, available: int
    ) -> Payment:
        """A payment as it stands after the first look at it."""
        now = self.now_ms()
        payment = Payment(
            end_to_end_id=item.end_to_end_id,
            message_id=order.message_id,
            payment_id=order.payment_id,
            serial=serial,
            amount_minor=item.amount_minor,
            name=item.creditor_name,
            account=item.creditor_account,
            agent=item.creditor_agent,
            remittance=item.remittance,
            status=endings.REJECTED,
            changed_ms=now,
        )
        steps = endings.ending_of(item.creditor_account).steps
        start_ms = max(now, _opening_ms(order.execution_on))
        if steps[0].status == endings.REJECTED:
            payment.reason = steps[0].reason
        elif start_ms > now + DAYS_AHEAD_MAX * DAY_MS:
            payment.reason = endings.WRONG_DAY
        elif item.amount_minor > available:
            payment.reason = endings.INSUFFICIENT
        elif order.execution_on > business_date(now):
            payment.status, payment.due_ms = endings.IN_PROCESS, start_ms
        else:
            payment.status, payment.step = steps[0].status, 1
            payment.due_ms = _due_of(steps[1], now) if len(steps) > 1 else 0
        return payment

    # --- what became of them ---------------------------------------------------------------

    def order_report(self, message_id: str) -> StatusReport | None:
        """All payments of an order as they stand; None for an order that is not known."""
        order = self.books.orders.get(message_id)
        return None if order is None else self.report(order)

    def payment_report(self, end_to_end_id: str) -> StatusReport | None:
        """One payment as it stands; None for a number that is not known."""
        payment = self.books.payments.get(end_to_end_id)
        if payment is None:
            return None
        return StatusReport(
            message_id=f"Q{payment.serial:012d}-{payment.step}",
            created_ms=payment.changed_ms,
            original_id=payment.message_id,
            original_name=pain001.NAME,
            group_status=payment.status,
            payment_id=payment.payment_id,
            items=(_status(payment),),
        )

    def report(self, order: Order) -> StatusReport:
        """The same bytes as before as long as nothing has happened since."""
        payments = [
            self.books.payments[line.end_to_end_id] for line in order.lines if not line.is_other
        ]
        steps = sum(payment.step for payment in payments)
        items = tuple(map(self._line, order.lines))
        return StatusReport(
            message_id=f"R{order.serial:012d}-{steps}",
            created_ms=max([order.taken_ms, *(payment.changed_ms for payment in payments)]),
            original_id=order.message_id,
            original_name=pain001.NAME,
            group_status=_together({item.status for item in items}),
            payment_id=order.payment_id,
            items=items,
        )

    def _line(self, line: Line) -> ItemStatus:
        if line.is_other:
            return ItemStatus(
                line.end_to_end_id, endings.REJECTED, line.amount_minor, endings.DUPLICATE
            )
        return _status(self.books.payments[line.end_to_end_id])

    # --- the account -----------------------------------------------------------------------

    def credit(self, reference: str, amount_minor: int, remittance: str, sender: str) -> bool:
        """Money comes in, once for a reference. False: it was there. Raise Refusal."""
        before = self.books.credits.get(reference)
        if before is not None:
            if (before.amount_minor, before.remittance, before.sender) != (
                *(amount_minor, remittance, sender),
            ):
                raise Refusal("this reference was used for another credit")
            return False
        event = Credited(reference, amount_minor, remittance, sender, self.now_ms())
        self.books.record(event)
        return True

    def notice(self, after: int) -> camt054.Notice | None:
        """The movements that follow number `after`, at most 500; None when there are none."""
        entries = tuple(self.books.movements[after : after + NOTICE_ENTRIES_MAX])
        if not entries:
            return None
        number = f"N{entries[0].sequence}-{entries[-1].sequence}"
        return camt054.Notice(number, entries[-1].booked_ms, CUSTODY_ACCOUNT, entries)

    def statement(self, day: int, page: int) -> camt053.Statement | None:
        """One page of a day that is over; None for other days and pages."""
        books = self.books
        if not business_date(books.began_ms) <= day < business_date(self.now_ms()):
            return None
        first = bisect_left(books.movements, day, key=lambda entry: entry.value_on)
        after = bisect_left(books.movements, day + 1, key=lambda entry: entry.value_on)
        pages = max(1, -(-(after - first) // PAGE_ENTRIES_MAX))
        if not 1 <= page <= pages:
            return None
        begin = first + (page - 1) * PAGE_ENTRIES_MAX
        return camt053.Statement(
            message_id=f"S{day}-{page}",
            created_ms=_opening_ms(day) - OPENING_HOUR * _HOUR_MS + DAY_MS,
            statement_id=f"S{day}",
            account=CUSTODY_ACCOUNT,
            day=day,
            opening_minor=books.balances[first],
            closing_minor=books.balances[after],
            count=after - first,
            entries=tuple(books.movements[begin : min(after, begin + PAGE_ENTRIES_MAX)]),
            page=page,
            is_last=page == pages,
        )


def _first_answer(order: PaymentOrder) -> Answer:
    """What the first of its payments that has anything to say about it says."""
    told = (endings.ending_of(item.creditor_account).answer for item in order.items)
    return next((answer for answer in told if answer is not Answer.SOUND), Answer.SOUND)


def _is_same(payment: Payment, item: CreditTransfer) -> bool:
    """Whether an item asks for what its number was given for."""
    had = (payment.amount_minor, payment.name, payment.account, payment.agent, payment.remittance)
    whom = (item.creditor_name, item.creditor_account, item.creditor_agent)
    return had == (item.amount_minor, *whom, item.remittance)


def _status(payment: Payment) -> ItemStatus:
    return ItemStatus(
        payment.end_to_end_id,
        payment.status,
        payment.amount_minor,
        reason=payment.reason,
        bank_reference=payment.reference,
        is_returned=payment.is_returned,
    )


def _together(statuses: set[str]) -> str:
    """The state of a group: rejected or partly, else the state of the slowest."""
    if endings.REJECTED in statuses:
        return endings.REJECTED if len(statuses) == 1 else endings.PARTLY
    order = (endings.PENDING, endings.IN_PROCESS, endings.SETTLED)
    return next(status for status in order if status in statuses)


def _opening_ms(day: int) -> int:
    """Nine o'clock of a day, yyyymmdd, in China."""
    at = datetime(day // 10_000, day // 100 % 100, day % 100, OPENING_HOUR, tzinfo=UTC)
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1) - _OFFSET_MS


def _due_of(step: Step, from_ms: int) -> int:
    """When a step is taken that follows one of `from_ms`."""
    if step.after_ms != endings.NEXT_DAY:
        return from_ms + step.after_ms
    return _opening_ms(business_date(from_ms)) + DAY_MS
