"""How differences end: two people, or another day's bill."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments.bills.lines import BillKind, BillState
from payments.reconciliation.differences import Act, Kind, Maker, Owner, Proposal, Standing
from payments.reconciliation.lines import Nature, Ours
from payments.reconciliation.resolving import (
    NAME_MAX,
    NOTE_MAX,
    DecisionRefused,
    apply,
    awaited,
    check,
    propose,
    reconsider,
)

DAY, NEXT = 20261121, 20261122
SALE = Ours(
    "A", "pay_A", BillKind.PAYMENT, Nature.SALE, BillState.SUCCEEDED,
    "cny", 3800, 3800, 0, 23, 1, 2,
)  # fmt: skip


def a_difference(kind=Kind.OURS_ONLY, until=(0, 0)):
    return Maker("wechat-1").make(kind, -3800, SALE, (), until)


class Done:
    def __init__(self, *dates):
        self.dates = dates

    def is_done(self, date):
        return date in self.dates


def test_two_people_end_a_difference():
    """One proposes, another agrees; who, when and why stays with it."""
    proposed = apply(a_difference(), propose(a_difference(), "li", "asked them", 10))
    ended = apply(proposed, check(proposed, "wang", "seen", 20, agrees=True))

    assert (Standing.OPEN, "li", "asked them", 10) == (
        proposed.standing,
        proposed.maker,
        proposed.maker_note,
        proposed.made_at,
    )
    assert (Standing.RESOLVED, "li", "wang", 20) == (
        ended.standing,
        ended.maker,
        ended.checker,
        ended.checked_at,
    )


def test_a_proposal_may_be_another_act():
    """The maker knows better than the proposal that was made by itself."""
    event = propose(a_difference(), "li", "", 10, Proposal(Act.CLAIM))

    assert Act.CLAIM is apply(a_difference(), event).proposal.act


def test_a_checker_may_send_it_back():
    """Then it is as if nobody had proposed, and somebody may propose anew."""
    proposed = apply(a_difference(), propose(a_difference(), "li", "x", 10))
    back = apply(proposed, check(proposed, "wang", "why?", 20, agrees=False))

    assert ("", "wang: why?", Standing.OPEN) == (back.maker, back.checker_note, back.standing)
    assert "zhao" == apply(back, propose(back, "zhao", "", 30)).maker


REFUSED = [
    # what is tried -> why not
    (lambda d: propose(d, "", "", 1), "bad_name"),
    (lambda d: propose(d, " li", "", 1), "bad_name"),
    (lambda d: propose(d, "l\ni", "", 1), "bad_name"),
    (lambda d: propose(d, "l" * (NAME_MAX + 1), "", 1), "bad_name"),
    (lambda d: propose(d, "li", "x" * (NOTE_MAX + 1), 1), "bad_note"),
    (lambda d: check(d, "wang", "", 1, agrees=True), "not_proposed"),
    (lambda d: check(apply(d, propose(d, "li", "", 1)), "li", "", 2, agrees=True), "same_person"),
    (lambda d: check(apply(d, propose(d, "li", "", 1)), "LI", "", 2, agrees=False), "same_person"),
]


@pytest.mark.parametrize(("attempt", "code"), REFUSED)
def test_what_a_person_may_not(attempt, code):
    """Nobody ends what they proposed, and nobody agrees with nothing."""
    with pytest.raises(DecisionRefused) as refused:
        attempt(a_difference())
    assert code == refused.value.code


def test_what_has_ended_stays_ended():
    """Neither a person nor another bill changes what two people ended."""
    proposed = apply(a_difference(), propose(a_difference(), "li", "", 1))
    ended = apply(proposed, check(proposed, "wang", "", 2, agrees=True))

    for attempt in (
        lambda: propose(ended, "zhao", "", 3),
        lambda: check(ended, "zhao", "", 3, agrees=False),
    ):
        with pytest.raises(DecisionRefused) as refused:
            attempt()
        assert "already_resolved" == refused.value.code
    assert None is reconsider(ended, DAY, "rec_1", Done(NEXT), 3)


RECONSIDERED = [
    # kind, until, run that has it, days compared -> kind and standing then; None: nothing new
    (Kind.EXPECTED_LATER, (DAY, NEXT), None, (), None),
    (Kind.EXPECTED_LATER, (DAY, NEXT), "rec_1", (NEXT,), (Kind.EXPECTED_LATER, "resolved")),
    (Kind.EXPECTED_LATER, (DAY, NEXT), None, (NEXT,), (Kind.OURS_ONLY, "open")),
    (Kind.OURS_ONLY, (0, 0), "rec_1", (), (Kind.OURS_ONLY, "resolved")),
    (Kind.OURS_ONLY, (0, 0), None, (NEXT,), None),
    (Kind.OURS_ONLY, (DAY, NEXT), None, (), (Kind.EXPECTED_LATER, "open")),
]


@pytest.mark.parametrize(("kind", "until", "run", "done", "then"), RECONSIDERED)
def test_another_days_bill(kind, until, run, done, then):
    """It explains a line, or was the last that could have."""
    difference = a_difference(kind, until)
    event = reconsider(difference, DAY, run, Done(*done), 5)

    if then is None:
        assert event is None
        return
    after = apply(difference, event)
    assert then == (after.kind, after.standing)
    assert (run or "") == after.resolved_by
    assert None is reconsider(after, DAY, run, Done(*done), 6)


def test_what_was_explained_can_open_again():
    """The bill that had the line was superseded by one that has it not."""
    explained = apply(a_difference(), reconsider(a_difference(), DAY, "rec_1", Done(NEXT), 5))
    again = apply(explained, reconsider(explained, DAY, None, Done(NEXT), 6))

    assert (Standing.RESOLVED, Owner.NOBODY) == (explained.standing, explained.owner)
    assert (Standing.OPEN, Owner.OPERATIONS, "") == (again.standing, again.owner, again.resolved_by)


def test_only_some_differences_wait_for_a_bill():
    """An amount that is wrong will not be right in tomorrow's bill."""
    assert (BillKind.PAYMENT, "A") == awaited(a_difference())
    assert (BillKind.PAYMENT, "A") == awaited(a_difference(Kind.EXPECTED_LATER, (DAY, NEXT)))
    assert None is awaited(a_difference(Kind.AMOUNT))


@given(st.lists(st.tuples(st.sampled_from(["li", "wang", "zhao"]), st.integers(0, 2)), max_size=12))
def test_nobody_ends_a_difference_alone(steps):
    """Whatever three people try in whatever order: it ends by two of them, once."""
    difference = a_difference()
    for now, (name, step) in enumerate(steps):
        was_open = difference.standing is Standing.OPEN
        try:
            event = (
                propose(difference, name, "", now)
                if step == 0
                else check(difference, name, "", now, agrees=step == 1)
            )
        except DecisionRefused:
            continue
        assert was_open
        difference = apply(difference, event)
    if difference.standing is Standing.RESOLVED:
        assert difference.maker
        assert difference.checker
        assert difference.maker != difference.checker
