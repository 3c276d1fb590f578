"""What happens next to a payment: decided here, without time, storage or channels of its own.

Each function takes the payment as it stands, what was learned and the instant, and returns a
`Decision`: the events to fold (`payments.payment.apply`) and what to ask the channel, if anything.
Nothing here changes anything; replaying the same facts decides the same.

The law of the doubtful payment (`docs/adr/0004`): an answer is believed only when it is signed and
its order number and amount are ours; everything else is *unknown*, is inquired about on the
channel's schedule, and is undone at the deadline. Money that turns up afterwards goes back.
"""

from typing import Final

from msgspec import Struct

from payments.channels.base import Approved, Awaiting, Declined, Outcome, Unknown, Unpaid
from payments.fees import FeePlan, fee
from payments.ids import out_trade_no
from payments.pages import (
    close_page,
    expired,
    has_other_wish,
    is_unanswered,
    never_was,
    not_begun,
    refused,
    wished_again,
)
from payments.payment import Attempt, AttemptState, Failure, Payment, Status, Way
from payments.payment_events import (
    AttemptEnded,
    BecameOverdue,
    CancelRequested,
    CodeShown,
    Failed,
    Inquired,
    LateChecked,
    LateSuccess,
    PayerAwaited,
    PaymentEvent,
    Succeeded,
    Unclear,
    Undone,
    UndoStarted,
)
from payments.splitting.sharing import shares_of

VERDICT_MS: Final = 60_000
"""A barcode payment has its verdict this long after it was made, while the channel answers."""

EXPIRY_GRACE_MS: Final = 60_000
"""A code counts as unpaid this long after its own expiry, if a query still says unpaid."""

CODE_VERDICT_MS: Final = 120_000
"""`verdict_by` of a code lies this long after its expiry."""

CONFIRM_RETRY_MS: Final = 5_000
"""How soon old news of money is asked about again, should the first query stay unanswered."""

LATE_RETRY_MS: Final = 60_000
LATE_RETRY_MAX_MS: Final = 86_400_000
"""After the planned looks at a payment that ended unpaid: until the channel answers."""

UNDOING: Final = frozenset({AttemptState.REVERSING, AttemptState.CLOSING})
UNDO_REFUSED: Final = "undo_refused"
UNDO_ABSENT: Final = "undo_absent"
"""The channel refused to undo an order that it does not know."""

LOOKS: Final = frozenset({"inquired", UNDO_REFUSED, UNDO_ABSENT})
"""Lines of a time line that say: the channel was just asked how the payment stands."""


class Schedule(Struct, frozen=True, gc=False):
    """When a channel is asked about a doubtful payment. Milliseconds after the attempt was sent.

    `inquire_at` ends at or before 45 s and `undo_at` at or before 48 s, so that a verdict falls
    within 60 s. `absent_grace_ms`: how long "no such order" is not believed,
    for the request may be in flight. `late_checks`: looks at a payment that ended unpaid after a
    doubt, milliseconds after its end.
    """

    inquire_at: tuple[int, ...] = (
        2_000, 4_000, 7_000, 10_000, 14_000, 18_000, 22_000, 26_000, 30_000, 35_000, 40_000, 44_500,
    )  # fmt: skip
    undo_at: int = 46_000
    absent_grace_ms: int = 15_000
    undo_retry_ms: int = 2_000
    undo_retry_max_ms: int = 60_000
    code_poll_ms: int = 5_000
    late_checks: tuple[int, ...] = (5_000, 60_000, 600_000, 86_400_000)
    has_reverse: bool = True


DEFAULT_SCHEDULE: Final = Schedule()


class Decision(Struct, frozen=True, gc=False):
    """Events to fold, in order, and the question for the channel: inquire, reverse, close."""

    events: tuple[PaymentEvent, ...] = ()
    ask: str | None = None


NOTHING: Final = Decision()


def number_of(payment: Payment) -> str:
    """The order number of the payment's running attempt."""
    assert payment.attempt is not None, payment.id
    return out_trade_no(payment.id, payment.attempt.number)


def matches(payment: Payment, outcome: Approved) -> bool:
    """Whether a success is about our order and our amount. Checked before anything is believed."""
    return outcome.amount == payment.amount and outcome.out_trade_no == number_of(payment)


def answered_pay(
    payment: Payment, outcome: Outcome, now: int, schedule: Schedule, plan: FeePlan
) -> Decision:
    """The channel answered the payment call of the running attempt."""
    attempt = payment.attempt
    assert attempt is not None
    if attempt.state is not AttemptState.SENDING:
        # The answer comes after we began to ask: it is one more answer to our inquiries.
        is_lost = attempt.state is AttemptState.UNKNOWN and type(outcome) is Unknown
        if is_lost and payment.is_page_open and not expired(payment, now):
            return _once_more(payment, now, schedule)
        return answered_inquiry(payment, outcome, now, schedule, plan)
    kind = type(outcome)
    if kind is Approved:
        return _approved(payment, outcome, now, schedule, plan)  # type: ignore[arg-type]
    if kind is Declined:
        return Decision((not_begun(payment, outcome, now),))  # type: ignore[arg-type]
    if payment.cancel_requested or has_other_wish(payment):
        return undo(payment, now, schedule)
    if kind is Awaiting and payment.way is Way.BARCODE:
        return Decision((PayerAwaited(now, _next(payment, attempt, now, schedule)),))
    if kind is Awaiting:
        at = _capped(payment, now + schedule.code_poll_ms, now)
        assert isinstance(outcome, Awaiting)
        return Decision((_shown(outcome, now, at),))
    if payment.is_page_open and not expired(payment, now):
        return _once_more(payment, now, schedule)
    reason = outcome.reason if isinstance(outcome, Unknown) else "an answer without a verdict"
    return Decision((Unclear(now, reason, _next(payment, attempt, now, schedule)),))


def _shown(outcome: Awaiting, now: int, next_action_at: int) -> CodeShown:
    return CodeShown(
        now, outcome.code or "", next_action_at, outcome.client_params, outcome.pay_url
    )


def _once_more(payment: Payment, now: int, schedule: Schedule) -> Decision:
    """Nobody has what it takes to pay an order whose answer is unclear: close it, then again."""
    undoing = undo(payment, now, schedule)
    return Decision((*wished_again(payment, now), *undoing.events), undoing.ask)


def _approved(
    payment: Payment, outcome: Approved, now: int, schedule: Schedule, plan: FeePlan
) -> Decision:
    if not matches(payment, outcome):
        return Decision((Unclear(now, "order or amount differ from ours", now, mismatch=True),))
    attempt = payment.attempt
    assert attempt is not None
    if attempt.mismatch or (payment.cancel_requested and payment.way is Way.BARCODE):
        return undo(payment, now, schedule)
    return Decision((_success(payment, outcome, now, plan),))


def answered_inquiry(
    payment: Payment, outcome: Outcome, now: int, schedule: Schedule, plan: FeePlan
) -> Decision:
    """The channel answered a query about the running attempt, or sent a verified notice.

    After the end these are old news: see `answered_look`.
    """
    attempt = payment.attempt
    assert attempt is not None
    if payment.is_final:
        return _answered_late(payment, outcome, now, schedule, is_fresh=False)
    if isinstance(outcome, Approved):
        if attempt.state in UNDOING:
            return _paid_while_undoing(payment, outcome, now, plan)
        return _approved(payment, outcome, now, schedule, plan)
    if isinstance(outcome, Declined):
        if attempt.state in UNDOING:
            return Decision((_undone(payment, now, schedule),))
        return Decision(
            (not_begun(payment, outcome, now),)
            if attempt.state is AttemptState.SENDING
            else (refused(outcome, now),)
        )
    if isinstance(outcome, Unpaid):
        return _still_unpaid(payment, attempt, outcome, now, schedule)
    if isinstance(outcome, Awaiting) and attempt.state in (
        AttemptState.SENDING,
        AttemptState.UNKNOWN,
    ):
        return answered_pay_late(payment, outcome, now, schedule)
    if attempt.state is AttemptState.SENDING:
        at = _next(payment, attempt, now, schedule)
        return Decision((Unclear(now, "no verdict yet", at),))
    return NOTHING


def answered_pay_late(
    payment: Payment, outcome: Awaiting, now: int, schedule: Schedule
) -> Decision:
    """A query says that the payer must act, in an attempt whose own answer was lost."""
    attempt = payment.attempt
    assert attempt is not None
    if payment.cancel_requested or has_other_wish(payment):
        return undo(payment, now, schedule)
    if payment.way is Way.BARCODE:
        return Decision((PayerAwaited(now, _next(payment, attempt, now, schedule)),))
    if outcome.code is None and outcome.client_params is None and outcome.pay_url is None:
        # A code nobody can show is of no use to a payer: close it, the shop asks again.
        if payment.is_page_open and not expired(payment, now):
            return _once_more(payment, now, schedule)
        return undo(payment, now, schedule)
    at = _capped(payment, now + schedule.code_poll_ms, now)
    return Decision((_shown(outcome, now, at),))


def _paid_while_undoing(payment: Payment, outcome: Approved, now: int, plan: FeePlan) -> Decision:
    """A success turns up while we undo. What it may be worth depends on what the undo did.

    A close never gives money back, so a success in spite of it stands. A reverse does, and may
    have been done after this success was true: only a refused one proves that the money is there.
    """
    attempt = payment.attempt
    assert attempt is not None
    if outcome.out_trade_no != number_of(payment):
        return NOTHING
    is_refused = payment.history[-1].kind == UNDO_REFUSED
    is_wanted = matches(payment, outcome) and not attempt.mismatch
    if payment.cancel_requested and payment.way is Way.BARCODE:
        is_wanted = False
    if is_wanted and (is_refused or attempt.state is AttemptState.CLOSING):
        return Decision((_success(payment, outcome, now, plan),))
    if not is_refused:
        return NOTHING  # The next undo is due by its own time, and will meet it.
    # It cannot be undone and must not stand: it ends unpaid, and the money goes back as a refund.
    ended = Undone(now, _undone_state(payment), None)  # For good, of a page too.
    return Decision((ended, _late_success(outcome, now)))


def _success(payment: Payment, outcome: Approved, now: int, plan: FeePlan) -> Succeeded:
    settle = payment.amount if outcome.settle_amount is None else outcome.settle_amount
    payer = payment.amount if outcome.payer_amount is None else outcome.payer_amount
    charged = fee(plan, settle)
    shares = () if payment.split is None else shares_of(payment.split, settle, charged)
    return Succeeded(
        now,
        outcome.channel_trade_no,
        payer,
        settle,
        outcome.discounts,
        charged,
        shares,
        outcome.channel_at,
    )


def _late_success(outcome: Approved, now: int) -> LateSuccess:
    settle = outcome.amount if outcome.settle_amount is None else outcome.settle_amount
    payer = outcome.amount if outcome.payer_amount is None else outcome.payer_amount
    return LateSuccess(now, outcome.channel_trade_no, payer, settle, outcome.channel_at)


def _still_unpaid(
    payment: Payment, attempt: Attempt, outcome: Unpaid, now: int, schedule: Schedule
) -> Decision:
    ended = outcome.state in ("closed", "reversed")
    if attempt.state in UNDOING:
        if (
            ended
            or _expired_for_good(payment, now)
            or _absent_for_good(payment, attempt, outcome, now)
            or never_was(payment, outcome, now, schedule.absent_grace_ms)
        ):
            return Decision((_undone(payment, now, schedule),))
        return NOTHING
    if ended and payment.way is Way.BARCODE:
        failure = Failure("payer_timeout", "The channel ended the order unpaid.")
        return Decision((Failed(now, failure),))
    if never_was(payment, outcome, now, schedule.absent_grace_ms):
        return Decision((*wished_again(payment, now), _undone(payment, now, schedule)))
    if ended:
        return Decision((_undone(payment, now, schedule),))
    if is_unanswered(payment, now, schedule.absent_grace_ms) and not expired(payment, now):
        return _once_more(payment, now, schedule)
    if outcome.state == "absent" and attempt.state in (AttemptState.SENDING, AttemptState.UNKNOWN):
        if now - attempt.sent_at >= schedule.absent_grace_ms:
            return undo(payment, now, schedule)
        if attempt.state is AttemptState.SENDING:
            at = _next(payment, attempt, now, schedule)
            return Decision((Unclear(now, "no such order yet", at),))
    return NOTHING


def _expired_for_good(payment: Payment, now: int) -> bool:
    return (
        payment.way is not Way.BARCODE
        and payment.expires_at is not None
        and now >= payment.expires_at + EXPIRY_GRACE_MS
    )


def _undone(payment: Payment, now: int, schedule: Schedule) -> Undone | AttemptEnded:
    if payment.is_page_open and not expired(payment, now):
        return AttemptEnded(now, AttemptState.CLOSED, payment.expires_at)
    at = now + schedule.late_checks[0] if schedule.late_checks else None
    return Undone(now, _undone_state(payment), at)


def _undone_state(payment: Payment) -> AttemptState:
    return AttemptState.REVERSED if payment.way is Way.BARCODE else AttemptState.CLOSED


def _answered_late(
    payment: Payment, outcome: Outcome, now: int, schedule: Schedule, *, is_fresh: bool
) -> Decision:
    """News of a payment that had ended. Paid after we said no: the money goes back.

    `is_fresh`: the answer to a query that was asked after the end. Older news may tell of money
    that our undo has given back since, so it is only a reason to ask.
    """
    if payment.status is Status.SUCCEEDED or payment.late_success:
        return NOTHING
    if isinstance(outcome, Unpaid | Declined):
        is_last = payment.next_action_at is not None and is_fresh
        is_last = is_last and payment.late_checks >= len(schedule.late_checks)
        return Decision((LateChecked(now, None),)) if is_last else NOTHING
    if not isinstance(outcome, Approved) or outcome.out_trade_no != number_of(payment):
        return NOTHING
    if not is_fresh:
        return Decision((LateChecked(now, now + CONFIRM_RETRY_MS),), "inquire")
    return Decision((_late_success(outcome, now),))


def answered_look(payment: Payment, outcome: Outcome, now: int, schedule: Schedule) -> Decision:
    """The channel answered a query that was asked after the payment had ended."""
    assert payment.is_final, payment.status
    return _answered_late(payment, outcome, now, schedule, is_fresh=True)


def answered_undo(payment: Payment, outcome: Outcome, now: int, schedule: Schedule) -> Decision:
    """The channel answered a reverse or a close."""
    attempt = payment.attempt
    assert attempt is not None
    if attempt.state not in UNDOING:
        return NOTHING
    if isinstance(outcome, Approved) or (
        isinstance(outcome, Unpaid) and outcome.state in ("closed", "reversed")
    ):
        return Decision((_undone(payment, now, schedule),))
    if isinstance(outcome, Unpaid) and never_was(payment, outcome, now, schedule.absent_grace_ms):
        return Decision((_undone(payment, now, schedule),))
    if isinstance(outcome, Declined):
        # "Already paid, cannot": look, then succeed, or try again where a success may not stand.
        at = _undo_retry(payment, attempt, now, schedule)
        return Decision((Inquired(now, at, UNDO_REFUSED),), "inquire")
    if isinstance(outcome, Unpaid) and outcome.state == "absent":
        at = _undo_retry(payment, attempt, now, schedule)
        return Decision((Inquired(now, at, UNDO_ABSENT),), "inquire")
    return NOTHING


def _absent_for_good(payment: Payment, attempt: Attempt, outcome: Unpaid, now: int) -> bool:
    """Whether there is nothing to undo: past the deadline neither undo nor query finds an order.

    Before it the request may still be on its way; should it arrive after all, the looks at a
    payment that ended unpaid find its money.
    """
    return (
        outcome.state == "absent"
        and payment.history[-1].kind == UNDO_ABSENT
        and now >= attempt.sent_at + VERDICT_MS
    )


def undo(payment: Payment, now: int, schedule: Schedule) -> Decision:
    """Reverse or close the running attempt, or ask again that it be done."""
    attempt = payment.attempt
    assert attempt is not None
    if payment.way is Way.BARCODE and schedule.has_reverse:
        state, ask = AttemptState.REVERSING, "reverse"
    else:
        state, ask = AttemptState.CLOSING, "close"
    at = _undo_retry(payment, attempt, now, schedule)
    return Decision((UndoStarted(now, state, at),), ask)


def _undo_retry(payment: Payment, attempt: Attempt, now: int, schedule: Schedule) -> int:
    wait = min(schedule.undo_retry_ms << min(attempt.undos, 10), schedule.undo_retry_max_ms)
    return _capped(payment, now + wait, now)


def _next(payment: Payment, attempt: Attempt, now: int, schedule: Schedule) -> int:
    """When a doubtful barcode payment is looked at next; a code is polled."""
    if payment.way is not Way.BARCODE:
        return _capped(payment, now + schedule.code_poll_ms, now)
    since = now - attempt.sent_at
    for offset in schedule.inquire_at:
        if offset > since:
            return _capped(payment, attempt.sent_at + offset, now)
    return _capped(payment, max(now + 1, attempt.sent_at + schedule.undo_at), now)


def _capped(payment: Payment, at: int, now: int) -> int:
    """The overdue mark must not be slept past; a code's expiry neither."""
    if payment.verdict_by is not None and not payment.overdue and payment.verdict_by > now:
        at = min(at, payment.verdict_by)
    if payment.expires_at is not None and payment.expires_at > now:
        at = min(at, payment.expires_at)
    return at


def first_look(sent_at: int, schedule: Schedule) -> int:
    """When a new attempt is looked at should its answer never come: stored with the intent."""
    return sent_at + schedule.inquire_at[0]


def due(payment: Payment, now: int, schedule: Schedule) -> Decision:
    """`next_action_at` has come. The same for a running shard and for one that just restarted."""
    attempt = payment.attempt
    if attempt is None:
        return Decision(close_page(payment, now))
    if payment.is_final:
        return _late_check(payment, now, schedule)
    if payment.verdict_by is not None and now >= payment.verdict_by and not payment.overdue:
        return Decision((BecameOverdue(now, now),))
    state = attempt.state
    if state in UNDOING:
        if attempt.undos % 3 == 2 and payment.history[-1].kind not in LOOKS:
            return Decision(
                (Inquired(now, _undo_retry(payment, attempt, now, schedule)),), "inquire"
            )
        return undo(payment, now, schedule)
    is_unwanted = payment.cancel_requested or has_other_wish(payment)
    if attempt.mismatch or (is_unwanted and state is not AttemptState.SENDING):
        return undo(payment, now, schedule)
    if payment.way is Way.BARCODE:
        if now - attempt.sent_at >= schedule.undo_at:
            return undo(payment, now, schedule)
    elif expired(payment, now):
        return undo(payment, now, schedule)
    return Decision((Inquired(now, _next(payment, attempt, now, schedule)),), "inquire")


def _late_check(payment: Payment, now: int, schedule: Schedule) -> Decision:
    """Look once more. After the planned looks only a real answer ends it, however long it takes."""
    if payment.status is Status.SUCCEEDED or payment.late_success:
        return NOTHING
    done = payment.late_checks + 1
    waits = schedule.late_checks
    if done < len(waits):
        wait = waits[done]
    else:
        wait = min(LATE_RETRY_MS << min(done - len(waits), 11), LATE_RETRY_MAX_MS)
    return Decision((LateChecked(now, now + wait),), "inquire")


def cancel(payment: Payment, now: int, schedule: Schedule, digest: bytes | None) -> Decision:
    """A cancel of a payment under way. Final ones are the caller's to judge first."""
    assert not payment.is_final, payment.status
    attempt = payment.attempt
    asked = CancelRequested(now, digest)
    if attempt is None:
        return Decision((asked, Undone(now, AttemptState.CLOSED, None)))
    if attempt.state in (AttemptState.SENDING, AttemptState.REVERSING, AttemptState.CLOSING):
        # In flight: the answer (or the first look) leads to the undo; a second one changes nothing.
        return Decision((asked,))
    undoing = undo(payment, now, schedule)
    return Decision((asked, *undoing.events), undoing.ask)


def verdict_by(way: Way, created: int, expires_at: int | None) -> int | None:
    """Until when the verdict is promised; after it `overdue` is set."""
    if way is Way.BARCODE:
        return created + VERDICT_MS
    return None if expires_at is None else expires_at + CODE_VERDICT_MS
