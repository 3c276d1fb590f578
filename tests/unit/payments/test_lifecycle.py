"""The law of the doubtful payment: what is believed, when it is asked, and how it ends.

A run is a channel and a payment alone: the channel answers, lies, is silent or forgets, and time
jumps from one `next_action_at` to the next.
"""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from payments.channels.base import Approved, Awaiting, Declined, Unknown, Unpaid
from payments.fees import DEFAULT_PLAN
from payments.folding import apply
from payments.lifecycle import (
    CODE_VERDICT_MS,
    DEFAULT_SCHEDULE,
    VERDICT_MS,
    Schedule,
    answered_inquiry,
    answered_look,
    answered_pay,
    answered_undo,
    cancel,
    due,
    first_look,
    matches,
    number_of,
    verdict_by,
)
from payments.payment import UNPAID, AttemptState, Status, Way
from payments.payment_events import LateSuccess, Succeeded
from payments.testing import NOW_MS, a_payment

LAST_INQUIRY_MS = 45_000
LAST_UNDO_MS = 48_000
PLAN = DEFAULT_PLAN
S = AttemptState


def a_sent(way=Way.BARCODE, **changes):
    """A payment as its first commit has it."""
    expires = None if way is Way.BARCODE else NOW_MS + 30_000
    return a_payment(
        way=way,
        expires_at=expires,
        verdict_by=verdict_by(way, NOW_MS, expires),
        next_action_at=first_look(NOW_MS, DEFAULT_SCHEDULE),
        **changes,
    )


def good(payment, **changes):
    return replace(Approved(number_of(payment), payment.amount, "ch-1"), **changes)


class Run:
    """A payment carried on by what a channel says: `answers(op)` is asked at every question."""

    def __init__(self, payment, answers, schedule=DEFAULT_SCHEDULE):
        self.payment = payment
        self.answers = answers
        self.schedule = schedule
        self.now = payment.created
        self.asked = []
        self.events = []
        self.steps_at = {}

    def take(self, decision):
        for event in decision.events:
            before = self.payment
            self.payment = apply(before, event)
            self.events.append((event, before))
        at = self.payment.next_action_at
        assert at is None or at >= self.now
        op = decision.ask
        if op is not None:
            self.asked.append((self.now - self.payment.created, op))
            is_look = op == "inquire" and self.payment.is_final
            answer = self.answers(op)
            self.hear("look" if is_look else op, answer)

    def hear(self, op, outcome):
        if outcome is None:
            return  # Lost with its lane: the timer will see to it.
        if op == "pay":
            told = answered_pay(self.payment, outcome, self.now, self.schedule, PLAN)
        elif op in ("inquire", "notice"):
            told = answered_inquiry(self.payment, outcome, self.now, self.schedule, PLAN)
        elif op == "look":
            told = answered_look(self.payment, outcome, self.now, self.schedule)
        else:
            told = answered_undo(self.payment, outcome, self.now, self.schedule)
        self.take(told)

    def ends(self):
        """(ms after the payment was made, line of the time line) of each end."""
        kinds = ("succeeded", "failed", "reversed", "closed")
        history = self.payment.history
        return [(m.at - self.payment.created, m) for m in history if m.kind in kinds]

    def step(self):
        """To the next timer. False when there is none."""
        at = self.payment.next_action_at
        if at is None:
            return False
        self.now = max(self.now, at)
        count = self.steps_at[self.now] = self.steps_at.get(self.now, 0) + 1
        assert count <= 4, f"busy at {self.now - NOW_MS}: {self.payment.history[-6:]}"
        self.take(due(self.payment, self.now, self.schedule))
        return True

    def until(self, ms):
        while (
            self.payment.next_action_at is not None and self.payment.next_action_at <= NOW_MS + ms
        ):
            self.step()


def outcomes(payment):
    """Anything a connector can say, true or not."""
    return st.sampled_from(
        [
            good(payment),
            good(payment, amount=payment.amount + 100),
            good(payment, out_trade_no="0" * 26),
            Declined("declined", "no", "X"),
            Awaiting(),
            Awaiting("code"),
            Unpaid("absent"),
            Unpaid("open"),
            Unpaid("closed"),
            Unpaid("reversed"),
            Unknown("no answer"),
            None,
        ]
    )


WAYS = st.sampled_from([Way.BARCODE, Way.QR])


@st.composite
def runs(draw):
    """A payment over a channel that says anything, with notices and a cancel in between."""
    payment = a_sent(draw(WAYS))
    answers = outcomes(payment)
    schedule = replace(DEFAULT_SCHEDULE, has_reverse=draw(st.booleans()))
    run = Run(payment, lambda _: draw(answers), schedule)
    run.hear("pay", draw(answers))
    for _ in range(draw(st.integers(0, 25))):
        what = draw(st.sampled_from(["step", "step", "step", "notice", "cancel", "pay", "undo"]))
        if what == "step":
            if not run.step():
                break
        elif what == "cancel":
            if not run.payment.is_final:
                run.take(cancel(run.payment, run.now, run.schedule, None))
        elif what == "undo":
            run.hear("reverse", draw(answers))
        else:
            run.hear(what, draw(answers))
    return run


@settings(max_examples=400)
@given(runs())
def test_a_success_is_believed_once_and_only_with_our_number_and_amount(run):
    """At most one success; never one about another order or amount, never after an end."""
    succeeded = [(e, before) for e, before in run.events if isinstance(e, Succeeded)]
    late = [(e, before) for e, before in run.events if isinstance(e, LateSuccess)]

    assert len(succeeded) + len(late) <= 1
    for event, before in succeeded:
        assert not before.is_final
        assert before.attempt is not None
        assert not before.attempt.mismatch
        assert event.settle_amount == before.amount
    for _, before in late:
        assert before.status in UNPAID


@settings(max_examples=400)
@given(runs())
def test_an_end_is_an_end(run):
    """After its end a payment learns of late success and refunds; its status stays."""
    ends = [event for event, before in run.events if before.is_final]
    finals = [before.status for _, before in run.events if before.is_final]

    assert {*finals} <= {run.payment.status}
    assert {type(event).__name__ for event in ends} <= {"LateChecked", "LateSuccess"}


@settings(max_examples=400)
@given(runs())
def test_a_canceled_barcode_payment_never_succeeds_afterwards(run):
    """A cancel that was accepted wins over any success that is heard later."""
    for event, before in run.events:
        if isinstance(event, Succeeded) and before.way is Way.BARCODE:
            assert not before.cancel_requested


@settings(max_examples=200)
@given(run=runs(), rest=st.data())
def test_everything_ends_once_the_channel_answers_truly(run, rest):
    """From wherever lies and silence led: a channel that is honest from now on brings the end."""
    is_paid = rest.draw(st.booleans())
    undone = []

    def truth(op):
        if op in ("reverse", "close"):
            if is_paid and op == "close":
                return Declined("channel_error", "the order is paid", "ORDERPAID")
            undone.append(op)
            return good(run.payment)
        if undone:
            return Unpaid("reversed" if is_paid else "closed")
        return good(run.payment) if is_paid else Unpaid("open")

    run.answers = truth
    for _ in range(80):
        if run.payment.is_final and run.payment.next_action_at is None:
            break
        assert run.step(), run.payment.history

    assert run.payment.is_final
    # Paid, and by a close that cannot undo it: the money is ours to keep or to give back.
    if run.payment.late_success:
        assert run.payment.status in UNPAID


@pytest.mark.parametrize("first", [Unknown("no answer"), Awaiting(), None, Unpaid("open")])
def test_a_silent_channel_is_asked_until_45_s_and_undone_by_48_s(first):
    """The verdict within 60 s stands on these two limits."""
    run = Run(a_sent(), lambda _: Unknown("no answer"))
    run.hear("pay", first)
    run.until(120_000)

    inquiries = [at for at, op in run.asked if op == "inquire" and at < LAST_UNDO_MS]
    undos = [at for at, op in run.asked if op == "reverse"]
    assert max(inquiries) <= LAST_INQUIRY_MS
    assert undos[0] <= LAST_UNDO_MS
    assert inquiries[0] <= 10_000


def test_overdue_is_set_at_verdict_by_and_not_before():
    """A till knows at the promised time that the promise is broken."""
    uneven = replace(DEFAULT_SCHEDULE, undo_at=46_130)
    run = Run(a_sent(), lambda _: Unknown("no answer"), uneven)
    run.hear("pay", Unknown("no answer"))
    run.until(VERDICT_MS - 1)
    assert not run.payment.overdue
    run.until(VERDICT_MS)

    assert run.payment.overdue
    assert [NOW_MS + VERDICT_MS] == [m.at for m in run.payment.history if m.kind == "overdue"]


def test_undo_is_repeated_ever_more_slowly_and_never_given_up():
    """Nobody else will give the money back."""
    run = Run(a_sent(), lambda _: Unknown("no answer"))
    run.hear("pay", Unknown("no answer"))
    run.until(3_600_000)

    undos = [at for at, op in run.asked if op == "reverse"]
    gaps = [later - earlier for earlier, later in pairwise(undos)]
    assert undos[-1] > 3_400_000
    assert max(gaps) <= 3 * DEFAULT_SCHEDULE.undo_retry_max_ms
    assert len(undos) < 100


def test_a_code_is_polled_until_it_expires_and_then_closed():
    """The payer has until the expiry, the verdict comes two minutes later at most."""
    run = Run(a_sent(Way.QR), lambda op: Unpaid("open") if op == "inquire" else None)
    run.hear("pay", Awaiting("weixin://code"))
    run.until(29_999)
    assert Status.REQUIRES_PAYER == run.payment.status
    run.until(30_000)

    assert (30_000, "close") == run.asked[-1]
    assert S.CLOSING == run.payment.attempt.state
    run.answers = lambda op: Unpaid("open") if op == "inquire" else Unknown("no answer")
    run.until(30_000 + CODE_VERDICT_MS)
    assert Status.CLOSED == run.payment.status


def test_no_such_order_is_not_believed_while_the_request_may_be_under_way():
    """Absent is not failed: for 15 s it is unknown, then it is reversed, never just forgotten."""
    run = Run(a_sent(), lambda op: Unpaid("absent") if op == "inquire" else good(run.payment))
    run.hear("pay", None)
    run.until(14_999)
    assert Status.PROCESSING == run.payment.status
    run.until(60_000)

    assert Status.REVERSED == run.payment.status
    assert "reverse" in {op for _, op in run.asked}


def test_a_success_during_a_reverse_counts_only_once_the_reverse_is_refused():
    """What was true before our reverse may be undone by it."""
    run = Run(a_sent(), lambda _: None)
    run.hear("pay", Unknown("no answer"))
    run.until(46_000)
    assert S.REVERSING == run.payment.attempt.state
    run.hear("notice", good(run.payment))
    run.hear("inquire", good(run.payment))
    assert S.REVERSING == run.payment.attempt.state

    run.answers = lambda op: good(run.payment) if op == "inquire" else None
    run.hear("reverse", Declined("channel_error", "paid, cannot be reversed"))
    assert Status.SUCCEEDED == run.payment.status


def test_money_that_cannot_be_undone_and_must_not_stand_goes_back_as_a_refund():
    """Canceled, paid, and the reverse refused: it ends reversed, with a late success to refund."""
    run = Run(a_sent(), lambda op: good(run.payment) if op == "inquire" else None)
    run.hear("pay", Unknown("no answer"))
    run.take(cancel(run.payment, run.now, run.schedule, None))
    run.hear("reverse", Declined("channel_error", "paid, cannot be reversed"))

    assert Status.REVERSED == run.payment.status
    assert run.payment.late_success


def test_old_news_after_the_end_is_asked_about_first():
    """A callback may tell of money that our reverse gave back since."""
    run = Run(a_sent(), lambda op: Unpaid("reversed") if op == "inquire" else good(run.payment))
    run.hear("pay", Unknown("no answer"))
    run.take(cancel(run.payment, run.now, run.schedule, None))
    assert Status.REVERSED == run.payment.status
    run.hear("notice", good(run.payment))

    assert "inquire" == run.asked[-1][1]
    assert not run.payment.late_success
    run.answers = lambda _: good(run.payment)
    run.hear("notice", good(run.payment))
    assert run.payment.late_success


def test_an_answer_about_another_order_is_not_believed():
    """Neither at first, nor by a query, nor while closing, nor after the end."""
    other = good(a_sent())
    run = Run(a_sent(), lambda _: None)
    run.hear("pay", other)
    assert run.payment.attempt.mismatch

    code = Run(a_sent(Way.QR), lambda _: None)
    code.hear("pay", Awaiting("weixin://code"))
    code.take(cancel(code.payment, code.now, code.schedule, None))
    code.hear("inquire", other)
    assert S.CLOSING == code.payment.attempt.state
    code.hear("close", good(code.payment))
    code.hear("notice", other)
    assert [] == [op for _, op in code.asked if op == "inquire"]
    assert Status.CLOSED == code.payment.status


def test_an_answer_with_another_amount_undoes_the_charge():
    """Never believed, not even when a later answer says what we hoped for."""
    run = Run(a_sent(), lambda _: None)
    run.hear("pay", good(run.payment, amount=1))
    run.hear("inquire", good(run.payment))

    assert not matches(run.payment, good(run.payment, amount=1))
    assert S.REVERSING == run.payment.attempt.state


def test_the_default_schedule_keeps_the_promises_it_is_made_of():
    """Limits of docs/RELIABILITY.md, as data."""
    assert max(DEFAULT_SCHEDULE.inquire_at) <= LAST_INQUIRY_MS
    assert DEFAULT_SCHEDULE.undo_at <= LAST_UNDO_MS
    assert list(DEFAULT_SCHEDULE.inquire_at) == sorted(set(DEFAULT_SCHEDULE.inquire_at))
    assert Schedule().late_checks == tuple(sorted(Schedule().late_checks))


@pytest.mark.parametrize("way", [Way.BARCODE, Way.QR])
def test_what_neither_undo_nor_query_finds_is_over_after_the_deadline(way):
    """A channel that refuses to reverse what it does not know is not asked for ever."""
    run = Run(a_sent(way), lambda _: Unpaid("absent"))
    run.hear("pay", Unknown("no answer"))
    run.until(VERDICT_MS - 1)
    assert not run.payment.is_final
    run.until(2 * VERDICT_MS)

    expected = Status.REVERSED if way is Way.BARCODE else Status.CLOSED
    assert (run.payment.status, run.payment.overdue) == (expected, False)
    ended = run.ends()[0][0]
    assert ended >= VERDICT_MS
    assert (ended, "inquire") in run.asked, "a last query, after the last undo"
    assert run.payment.next_action_at is not None, "it is still looked at afterwards"


def test_an_order_that_arrives_after_the_undo_was_refused_is_undone():
    """Absent before the deadline is no verdict: the late request's money goes back."""
    run = Run(a_sent(), lambda _: Unpaid("absent"))
    run.hear("pay", Unknown("no answer"))
    run.until(30_000)
    assert S.REVERSING == run.payment.attempt.state
    run.answers = lambda op: good(run.payment)
    run.until(2 * VERDICT_MS)

    assert Status.REVERSED == run.payment.status
    assert run.asked[-1][1] in ("reverse", "inquire")


def test_an_undo_that_nobody_answers_is_no_proof_of_absence():
    """Queries say "no such order", and the reverse might still have met it: asked on."""
    run = Run(a_sent(), lambda op: Unpaid("absent") if op == "inquire" else Unknown("no answer"))
    run.hear("pay", Unknown("no answer"))
    run.until(10 * VERDICT_MS)

    assert not run.payment.is_final
    assert run.payment.overdue
