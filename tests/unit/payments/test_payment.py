"""A payment moves along its diagram, and what has ended stays as it ended."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec.msgpack import Decoder, Encoder
from msgspec.structs import asdict

from payments.folding import _FOLDS, apply
from payments.payment import (
    CODE_WAYS,
    FINAL,
    HISTORY_MAX,
    STATUS_OF,
    UNPAID,
    AttemptState,
    Choice,
    Discount,
    Failure,
    Moment,
    Payment,
    Status,
    Way,
    lengthen,
)
from payments.payment_events import (
    AttemptEnded,
    BecameOverdue,
    CancelRequested,
    ChoiceDropped,
    Chosen,
    CodeShown,
    EscrowReleased,
    Failed,
    Inquired,
    LateChecked,
    LateSuccess,
    PayerAwaited,
    PayerReturned,
    PaymentEvent,
    RefundDone,
    RefundHeld,
    RefundReleased,
    Sent,
    StrayPaid,
    Succeeded,
    Unclear,
    Undone,
    UndoStarted,
)
from payments.splitting.escrow import Escrow
from payments.testing import NOW_MS, a_payment, an_attempt

AT = NOW_MS + 1_000
NEXT = NOW_MS + 5_000
S = AttemptState

SUCCEEDED = Succeeded(AT, "ch-1", 3300, 3600, (Discount("channel", 300),), 14)
FAILED = Failed(AT, Failure("declined", "no", "X1"))
SHOWN = CodeShown(AT, "weixin://code", NEXT)
AWAITED = PayerAwaited(AT, NEXT)
UNCLEAR = Unclear(AT, "time-out", NEXT)
INQUIRED = Inquired(AT, NEXT)
REVERSING = UndoStarted(AT, S.REVERSING, NEXT)
CLOSING = UndoStarted(AT, S.CLOSING, NEXT)
REVERSED = Undone(AT, S.REVERSED, NEXT)
CLOSED = Undone(AT, S.CLOSED, NEXT)
LATE = LateSuccess(AT, "ch-1", 3800, 3800)
SENT = Sent(AT, an_attempt(number=1, account="other", sent_at=AT), NEXT)
ASIDE = (INQUIRED, CancelRequested(AT), BecameOverdue(AT, NEXT), StrayPaid(AT, 0, "ch-9"))
"""What happens to a running payment without moving its attempt."""

# The diagram of attempts: state -> what may happen to it -> where that leads.
DIAGRAM = [
    (S.SENDING, SUCCEEDED, S.SUCCEEDED),
    (S.SENDING, FAILED, S.FAILED),
    (S.SENDING, SHOWN, S.SHOWN),
    (S.SENDING, AWAITED, S.AWAIT_PAYER),
    (S.SENDING, UNCLEAR, S.UNKNOWN),
    (S.SENDING, SENT, S.SENDING),
    (S.SHOWN, AWAITED, S.AWAIT_PAYER),
    (S.SHOWN, SUCCEEDED, S.SUCCEEDED),
    (S.SHOWN, FAILED, S.FAILED),
    (S.SHOWN, CLOSING, S.CLOSING),
    (S.AWAIT_PAYER, SUCCEEDED, S.SUCCEEDED),
    (S.AWAIT_PAYER, FAILED, S.FAILED),
    (S.AWAIT_PAYER, REVERSING, S.REVERSING),
    (S.AWAIT_PAYER, CLOSING, S.CLOSING),
    (S.UNKNOWN, SUCCEEDED, S.SUCCEEDED),
    (S.UNKNOWN, FAILED, S.FAILED),
    (S.UNKNOWN, REVERSING, S.REVERSING),
    (S.UNKNOWN, CLOSING, S.CLOSING),
    (S.REVERSING, REVERSED, S.REVERSED),
    (S.REVERSING, SUCCEEDED, S.SUCCEEDED),
    (S.REVERSING, REVERSING, S.REVERSING),
    (S.REVERSING, UNCLEAR, S.REVERSING),
    (S.CLOSING, CLOSED, S.CLOSED),
    (S.CLOSING, SUCCEEDED, S.SUCCEEDED),
    (S.CLOSING, CLOSING, S.CLOSING),
    (S.CLOSING, UNCLEAR, S.CLOSING),
]
PAGE = (
    Chosen(AT, Choice("wechat")),
    PayerReturned(AT, b"browser"),
    AttemptEnded(AT, S.CLOSED, NEXT),
    ChoiceDropped(AT, NEXT, Failure("channel_error", "no channel")),
)
"""What happens on a payer's page only: see test_pages.py."""

AFTERWARDS = (
    StrayPaid(AT, 0, "ch-9"),
    LATE,
    LateChecked(AT, NEXT),
    LateChecked(AT, None),
    CancelRequested(AT),
    RefundHeld(AT, 100, "rfd_1"),
    RefundDone(AT, 100, 95, 1, "rfd_1"),
    RefundReleased(AT, 100, "rfd_1"),
    EscrowReleased(AT, 100),
)
"""What may still happen to a payment that has ended."""

# What a merchant may see a status become (`docs/` shows the same picture).
EDGES = {
    Status.REQUIRES_PAYER: {
        Status.PROCESSING,
        Status.SUCCEEDED,
        Status.FAILED,
        Status.CLOSED,
    },
    Status.PROCESSING: {
        Status.REQUIRES_PAYER,  # Only from the sending of a code: nobody has seen it yet.
        Status.SUCCEEDED,
        Status.FAILED,
        Status.REVERSED,
        Status.CLOSED,
    },
}


def test_every_event_has_a_fold_and_a_place_in_these_tests():
    """A new event is not forgotten here."""
    events = set(PaymentEvent.__args__)

    assert events == set(_FOLDS)
    here = (*(row[1] for row in DIAGRAM), *ASIDE, *PAGE, *AFTERWARDS)
    assert events == {type(event) for event in here}


@pytest.mark.parametrize(("state", "event", "expected"), DIAGRAM)
def test_an_event_leads_where_the_diagram_says(state, event, expected):
    """State of the attempt, status of the payment and the edge between them."""
    before = a_payment(state)

    after = apply(before, event)

    assert expected is after.attempt.state
    assert STATUS_OF[expected] is after.status
    assert before.status is after.status or after.status in EDGES[before.status]


@pytest.mark.parametrize("event", ASIDE)
@pytest.mark.parametrize("state", [s for s in S if STATUS_OF[s] not in FINAL])
def test_asking_canceling_and_being_late_move_nothing(state, event):
    """They are noted, and the attempt stays where it is."""
    before = a_payment(state)

    after = apply(before, event)

    assert (before.status, before.attempt.state) == (after.status, after.attempt.state)
    assert len(after.history) == len(before.history) + 1


@pytest.mark.parametrize("event", AFTERWARDS)
@pytest.mark.parametrize("state", [s for s in S if STATUS_OF[s] in FINAL])
def test_what_has_ended_stays_as_it_ended(state, event):
    """A late success and refunds are written down beside the status, never into it."""
    before = a_payment(state, refunding=500, escrow=Escrow(NEXT, 500))

    after = apply(before, event)

    assert before.status is after.status
    assert before.attempt.state is after.attempt.state
    assert (before.failure, before.fee, before.succeeded_at) == (
        after.failure,
        after.fee,
        after.succeeded_at,
    )
    assert after.late_success == isinstance(event, LateSuccess)


def test_finals_are_the_statuses_without_a_way_out():
    """Unpaid ones are the finals but one."""
    assert set(Status) - EDGES.keys() == FINAL
    assert FINAL - {Status.SUCCEEDED} == UNPAID
    assert set(STATUS_OF) == set(S)
    # Only a till's payment and one that another gateway took show no code.
    assert set(Way) - CODE_WAYS == {Way.BARCODE, Way.EXTERNAL}


def test_a_success_writes_down_the_money():
    """Three amounts, the coupons, the fee; and there is nothing more to do."""
    after = apply(a_payment(S.UNKNOWN), SUCCEEDED)

    assert (after.amount, after.payer_amount, after.settle_amount, after.fee) == (
        3800,
        3300,
        3600,
        14,
    )
    assert after.discounts == (Discount("channel", 300),)
    assert after.succeeded_at == AT
    assert after.attempt.channel_trade_no == "ch-1"
    assert after.next_action_at is None


def test_a_failure_says_why_also_without_an_attempt():
    """What risk refuses is never sent to a channel."""
    sent, refused = apply(a_payment(), FAILED), apply(a_payment(attempt=None), FAILED)

    assert sent.failure == sent.attempt.failure == refused.failure == FAILED.failure
    assert refused.attempt is None
    assert refused.status is Status.FAILED


def test_a_second_attempt_keeps_the_first():
    """What was tried before stays visible, in order."""
    first = a_payment()

    second = apply(first, SENT)

    assert second.earlier == (first.attempt,)
    assert (second.attempt.account, second.attempt.number) == ("other", 1)
    assert second.next_action_at == NEXT


def test_a_doubt_once_raised_stays():
    """A channel that named another amount is not believed because it later names none."""
    doubted = apply(a_payment(), Unclear(AT, "another amount", NEXT, mismatch=True))

    assert apply(doubted, UNCLEAR).attempt.mismatch
    assert not apply(a_payment(), UNCLEAR).attempt.mismatch


def test_inquiries_and_undos_are_counted():
    """The schedule goes by them."""
    asked = apply(apply(a_payment(S.UNKNOWN), INQUIRED), INQUIRED)
    undone = apply(apply(asked, REVERSING), REVERSING)

    assert (asked.attempt.inquiries, asked.attempt.undos) == (2, 0)
    assert (undone.attempt.inquiries, undone.attempt.undos) == (2, 2)


def test_an_end_is_no_longer_overdue():
    """Overdue is said of what is still open."""
    late = apply(a_payment(S.REVERSING), BecameOverdue(AT, NEXT))

    assert late.overdue
    assert not apply(late, REVERSED).overdue


def test_a_cancel_keeps_or_hastens_the_next_action():
    """And remembers the key it was asked with."""
    payment = a_payment(S.AWAIT_PAYER)
    kept = apply(payment, CancelRequested(AT, b"digest"))
    hastened = apply(payment, CancelRequested(AT, b"digest", AT))

    assert kept.cancel_requested
    assert kept.cancel_digest == b"digest"
    assert kept.next_action_at == payment.next_action_at
    assert hastened.next_action_at == AT


def test_a_long_history_keeps_its_beginning_and_its_newest_line():
    """A row does not grow without end."""
    history = ()
    for number in range(HISTORY_MAX + 50):
        history = lengthen(history, Moment(number, "inquired"))

    assert len(history) == HISTORY_MAX
    assert [moment.at for moment in history] == [*range(HISTORY_MAX - 1), HISTORY_MAX + 49]


def test_every_event_is_a_line_of_history_at_its_instant():
    """The time line is complete."""
    for state, event, _ in DIAGRAM:
        assert apply(a_payment(state), event).history[-1].at == AT
    for event in AFTERWARDS:
        held = a_payment(S.SUCCEEDED, escrow=Escrow(NEXT, 500))
        assert apply(held, event).history[-1].at == AT


NEXT_OF = {
    state: [event for known, event, _ in DIAGRAM if known is state] + list(ASIDE) for state in S
}


@given(st.data())
def test_a_walk_along_the_diagram_is_a_walk_of_the_api(data):
    """Any run of events: statuses follow the API's edges, and a row can be stored and read."""
    payment = a_payment(way=data.draw(st.sampled_from([Way.BARCODE, Way.QR])))
    encode, decode = Encoder().encode, Decoder(Payment).decode

    for _ in range(data.draw(st.integers(1, 12))):
        choices = AFTERWARDS[:4] if payment.is_final else NEXT_OF[payment.attempt.state]
        before, fields = payment, asdict(payment)
        payment = apply(payment, data.draw(st.sampled_from(choices)))

        assert asdict(before) == fields
        assert STATUS_OF[payment.attempt.state] is payment.status
        if before.status is not payment.status:
            assert payment.status in EDGES[before.status]
        assert payment == decode(encode(payment))


class Refunding(RuleBasedStateMachine):
    """Refunds that are held, done and let go in any order never exceed the payment."""

    @initialize(amount=st.integers(1, 5_000))
    def sell(self, amount):
        self.payment = a_payment(S.SUCCEEDED, amount=amount)
        self.held = []

    @rule(asked=st.integers(1, 3_000))
    def hold(self, asked):
        if asked <= self.payment.refundable:
            self.payment = apply(self.payment, RefundHeld(AT, asked, "rfd_1"))
            self.held.append(asked)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), done=st.booleans())
    def end(self, data, done):
        amount = self.held.pop(data.draw(st.integers(0, len(self.held) - 1)))
        event = (
            RefundDone(AT, amount, amount, 0, "rfd_1")
            if done
            else RefundReleased(AT, amount, "rfd_1")
        )
        self.payment = apply(self.payment, event)

    @invariant()
    def what_is_left_held_and_refunded_is_the_payment(self):
        payment = self.payment
        assert payment.refunding == sum(self.held)
        assert min(payment.refundable, payment.refunding, payment.amount_refunded) >= 0
        parts = payment.refundable + payment.refunding + payment.amount_refunded
        assert parts == payment.amount
        assert payment.settle_returned == payment.amount_refunded


TestRefunding = Refunding.TestCase
TestRefunding.settings = settings(max_examples=40, stateful_step_count=30)
