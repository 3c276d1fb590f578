"""What a channel tells us of something else than the running attempt: refunds, and stray money.

Stray money is that of an attempt that had ended and was charged after all: the first channel
refused "not sent" and a second one took the payment, or a payer changed the wallet and paid by the
first one's code. It is nobody's sale. It is booked to suspense and goes back by a refund of its
own, whatever became of the payment, whose own amounts it does not touch. The refund's id follows
from the attempt's number, so it is made once.
"""

from typing import Final

from actors.core import Core
from actors.live import LivePayment
from actors.paying import Paying
from actors.refunding import Refunding
from payments import bookings
from payments.channel_time import believed
from payments.channels.base import Approved, Outcome
from payments.ids import derived_body, out_trade_no
from payments.lifecycle import Decision
from payments.payment import Attempt
from payments.payment_events import StrayPaid
from payments.refund import Refund, RefundStatus

REASON: Final = "late_success"


class News:
    """The flow of such news. None of them waits; what they change goes into the next commit."""

    def __init__(self, core: Core, paying: Paying, refunding: Refunding) -> None:
        self._core = core
        self._paying = paying
        self._refunding = refunding

    def of_attempt(self, live: LivePayment, number: int, outcome: Outcome) -> None:
        """News of an attempt that is not the running one. Only that it was charged matters."""
        attempt = next((one for one in live.payment.earlier if one.number == number), None)
        if attempt is None or attempt.is_stray or not isinstance(outcome, Approved):
            self._core.count("notices_of_earlier_attempts")
            return
        if outcome.out_trade_no != out_trade_no(live.payment.id, number):
            return
        told = believed(outcome, attempt.sent_at, self._core.clock)
        assert isinstance(told, Approved)
        self._give_back(live, attempt, told)

    # --- refunds -------------------------------------------------------------------------------

    def of_refund(self, identifier: str, outcome: Outcome) -> None:
        """A callback about a refund: done, or a reason to ask at once."""
        core, refunding = self._core, self._refunding
        entry = core.refund_by_id.get(identifier)
        if entry is None:
            row = core.store.refund(identifier)
            if row is None:
                core.count("notices_unknown")
                return
            entry = refunding.adopt(row)
        refund = entry.refund
        if refund.status is RefundStatus.PROCESSING:
            if isinstance(outcome, Approved) and refunding.is_ours(refund, outcome):
                lane_ref = entry.lane_ref
                refunding.answered(entry, outcome)
                entry.lane_ref = lane_ref
            elif not entry.lane_ref:
                refunding.due(entry, core.clock.now_ms())
        core.forget_refund(entry)

    # --- stray money ---------------------------------------------------------------------------

    def _give_back(self, live: LivePayment, attempt: Attempt, outcome: Approved) -> None:
        core = self._core
        payment = live.payment
        now = core.clock.now_ms()
        number = out_trade_no(payment.id, attempt.number)
        digest = core.digests.key(payment.merchant, f"stray money of {number}")
        settled = outcome.amount if outcome.settle_amount is None else outcome.settle_amount
        refund = Refund(
            "rfd_" + derived_body(payment.id, digest),
            payment.id,
            payment.merchant,
            payment.amount,
            payment.currency,
            RefundStatus.PROCESSING,
            now,
            self._refunding.date(payment, now),
            digest,
            b"",
            reason=REASON,
            automatic=True,
            attempt_no=attempt.number,
            account=attempt.account,
            channel=attempt.channel,
            stray=settled,
        )
        is_first = not (payment.late_success or payment.has_stray)
        stray = StrayPaid(now, attempt.number, outcome.channel_trade_no, outcome.channel_at)
        self._paying.fold(live, Decision((stray,)), now)
        postings = bookings.late_success_booked(
            attempt.account, live.partition, settled, is_outside=attempt.is_outside
        )
        if postings:
            core.books.book(
                core.batch,
                live.partition,
                bookings.late_success_entry_id(refund.id),
                refund.id,
                now,
                payment.currency,
                postings,
            )
        self._refunding.hold(live, refund, now)
        if is_first:
            core.emit(live, "payment.late_success", payment.id, now, core.render(live))
        core.numbers.outcome(live.payment, "late_success")
