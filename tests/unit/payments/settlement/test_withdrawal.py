"""A withdrawal takes from available only, within its limits, and costs nothing if it fails."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.msgpack import decode, encode
from msgspec.structs import replace

from home_payouts import PLAN, made
from payments.errors import Conflict, InvalidField, QuotaExceeded
from payments.ledger import book
from payments.settlement import entries, holds, instruction, withdrawal
from payments.settlement.entries import accounts_of
from payments.settlement.holds import Advance, Freeze, Funder
from payments.settlement.instruction import State
from payments.settlement.purse import DayUse, Purse
from payments.settlement.withdrawal import FREE, Limits, Status, Withdrawal, use_of

PARTY = made("mch", 1, 700, "withdraws")
NAMES = accounts_of(PARTY, 700)
CUSTODY = "custody:icbc:01"
DAY = 20260302
LIMITS = Limits(10, 5_000, 8_000, 3, 4_000)


def wanted(amount=1_000, number=1):
    identifier = made("wdr", number, 700, number)
    return Withdrawal(identifier, PARTY, "cny", amount, 0, DAY, 5, "key_1")


def purse(available=10_000, use=None):
    return Purse(PARTY, {NAMES.available: -available, NAMES.pending: -99_999}, use)


def ask(amount=1_000, plan=FREE, into=None, known=None, is_blocked=False, needs_review=False):
    into = into or purse()
    return withdrawal.request(wanted(amount), known, into, LIMITS, plan, is_blocked, needs_review)


REFUSED = [
    ({"amount": 9}, InvalidField),
    ({"amount": 5_001}, InvalidField),
    ({"amount": 0}, InvalidField),
    ({"amount": -5}, InvalidField),
    ({"amount": 1_001, "into": purse(1_000)}, Conflict),
    ({"amount": 1_000, "into": purse(1_000), "plan": PLAN}, Conflict),  # the fee is not there
    ({"is_blocked": True}, Conflict),
    ({"into": purse(use=DayUse(DAY, 3, 30))}, QuotaExceeded),
    ({"into": purse(use=DayUse(DAY, 1, 7_001))}, QuotaExceeded),
]


@pytest.mark.parametrize(("asked", "refusal"), REFUSED)
def test_limits(asked, refusal):
    """Pending money, as much as there is, helps nobody; what is refused promises nothing."""
    into = asked.setdefault("into", purse())
    before = into.free, into.use
    with pytest.raises(refusal):
        ask(**asked)
    assert before == (into.free, into.use)


def test_another_day_begins_anew():
    into = purse(use=DayUse(DAY - 1, 3, 8_000))
    ask(into=into)
    assert DayUse(DAY, 1, 1_000) == into.use == use_of([wanted()], DAY)


def test_the_same_request_again_changes_nothing():
    into = purse()
    event = ask(into=into)
    into.promise(event.withdrawal.id, 1_000)
    assert 9_000 == into.free
    assert None is ask(into=into, known=event.withdrawal)
    assert 9_000 == into.free
    assert event.withdrawal == decode(encode(event.withdrawal), type=Withdrawal)


def test_large_or_suspicious_ones_are_reviewed_by_another_person():
    """Approved, it goes on; refused, its money is available again."""
    assert Status.REQUESTED is ask(4_000).withdrawal.status
    assert Status.IN_REVIEW is ask(needs_review=True).withdrawal.status
    known = ask(4_001).withdrawal
    assert Status.IN_REVIEW is known.status
    for decide in (
        lambda: withdrawal.approve(known, "key_1", 6),
        lambda: withdrawal.refuse(known, "key_1", "why", 6),
    ):
        with pytest.raises(Conflict, match="another person"):
            decide()
    with pytest.raises(InvalidField):
        withdrawal.refuse(known, "op_1", " ", 6)

    approved = withdrawal.apply(known, withdrawal.approve(known, "op_1", 6))
    assert (Status.REQUESTED, "op_1") == (approved.status, approved.reviewer)
    assert None is withdrawal.approve(approved, "op_2", 7)
    event = withdrawal.refuse(known, "op_1", "too much", 6)
    refused = withdrawal.apply(known, event)
    assert (Status.REJECTED, "too much") == (refused.status, refused.reason)
    assert None is withdrawal.refuse(refused, "op_1", "too much", 7)
    with pytest.raises(Conflict):
        withdrawal.refuse(approved, "op_1", "too late", 7, paying_of(approved))


def paying_of(known, state=State.CHECKED):
    return instruction.Instruction(
        made("ins", 1, 700, "pays"), known.id, PARTY, "cny", known.amount, known.fee, True, "acc_1",
        CUSTODY, "key_1", 6, state,
    )  # fmt: skip


STORIES = [
    # answers -> status, available, custody, fees
    ([State.ACCEPTED, State.PAID], Status.PAID, 8_990, -1_000, 10),
    ([State.REJECTED], Status.REJECTED, 10_000, 0, 0),
    ([State.UNKNOWN, State.REJECTED], Status.REJECTED, 10_000, 0, 0),
    ([State.PAID, State.RETURNED], Status.RETURNED, 10_000, 0, 0),
    ([State.ACCEPTED, State.RETURNED, State.PAID], Status.RETURNED, 10_000, 0, 0),
    ([State.UNKNOWN], Status.UNKNOWN, 8_990, 0, 0),
]


@pytest.mark.parametrize(("answers", "status", "available", "custody", "fees"), STORIES)
def test_a_withdrawal_follows_its_instruction(answers, status, available, custody, fees):
    """The fee is earned when the money has arrived, and never otherwise."""
    event = ask(plan=PLAN)
    known = event.withdrawal
    balances = {(NAMES.available, "cny"): -10_000}
    book(balances, "cny", withdrawal.booked(known, event)[1])
    paying = paying_of(known, State.SENT)
    known = withdrawal.apply(known, withdrawal.follow(known, paying, 7))
    assert Status.IN_TRANSIT is known.status
    for at, said in enumerate(answers, 8):
        heard = instruction.hear(paying, said, at)
        if heard is None:
            continue
        step = instruction.booked(paying, heard)
        book(balances, "cny", step[1] if step else ())
        paying = instruction.apply(paying, heard)
        followed = withdrawal.follow(known, paying, at)
        known = withdrawal.apply(known, followed) if followed else known
    assert status is known.status
    assert available == -balances[NAMES.available, "cny"]
    assert custody == balances.get((CUSTODY, "cny"), 0)
    assert fees == -balances.get(("fees:income#700", "cny"), 0)
    assert None is withdrawal.follow(known, paying, 99)


@given(st.lists(st.tuples(st.integers(1, 5_000), st.integers(0, 2)), max_size=12))
def test_a_days_use_is_what_its_withdrawals_say(asked):
    """Counted as it goes, and counted anew after a restart: the same."""
    into, made_ = purse(1 << 40), []
    for number, (amount, later) in enumerate(asked):
        each = replace(wanted(amount, number + 1), date=DAY + later)
        if into.use.date > each.date:
            continue
        lax = Limits(1, 5_000, 1 << 40, 1_000, 0)
        made_.append(withdrawal.request(each, None, into, lax, FREE, False, False).withdrawal)
    assert into.use == use_of(made_, into.use.date)


# --- Freezes and advances --------------------------------------------------------------------


def frozen(amount=100, reason="court order"):
    return Freeze(made("frz", 1, 700, "x"), PARTY, "cny", amount, reason, "op_1", 5)


def test_a_freeze_has_a_reason_and_gives_back_what_it_took():
    """Its two entries mirror each other; frozen again or thawed again changes nothing."""
    event = holds.freeze(frozen(), purse(100), None)
    known = holds.apply(None, event)
    thawed = holds.thaw(known, "op_2", "lifted", 6)

    assert None is holds.freeze(frozen(), purse(0), known)
    took, gave = holds.booked(known, event)[1], holds.booked(known, thawed)[1]
    assert dict(took) == {account: -minor for account, minor in gave}
    assert None is holds.thaw(holds.apply(known, thawed), "op_2", "again", 7)
    with pytest.raises(Conflict):
        holds.freeze(frozen(101), purse(100), None)
    for bad in (frozen(0), frozen(reason=""), frozen(reason="x" * 501)):
        with pytest.raises(InvalidField):
            holds.freeze(bad, purse(100), None)
    with pytest.raises(InvalidField):
        holds.thaw(known, "", "who?", 6)


def test_an_advance_is_named_limited_and_repaid_out_of_the_partys_own_cover():
    wanted_ = Advance(made("adv", 1, 700, "x"), "bank", PARTY, "cny", CUSTODY, 100, 60, 5)
    funder = Funder("bank", 150)
    event = holds.advance(wanted_, funder, 50, 60, False, None)
    known = holds.apply_advance(None, event)

    assert None is holds.advance(wanted_, funder, 150, 0, True, known)
    assert 0 == sum(minor for _, minor in holds.advance_booked(known, event)[1])
    for outstanding, pending in ((51, 60), (50, 59)):
        with pytest.raises(Conflict):
            holds.advance(wanted_, funder, outstanding, pending, False, None)
    with pytest.raises(Conflict, match="too young"):
        holds.advance(wanted_, funder, 0, 60, True, None)
    assert holds.advance(replace(wanted_, released=0), funder, 0, 0, True, None)
    with pytest.raises(InvalidField, match="100") as caught:
        holds.advance(replace(wanted_, released=101), funder, 0, 1_000, False, None)
    assert "released" == caught.value.param
    with pytest.raises(Conflict, match="to spare"):
        holds.repay(known, 99, 6)
    repaid = holds.repay(known, 100, 6)
    assert None is holds.repay(holds.apply_advance(known, repaid), 100, 7)
    assert {"advance:bank": 100, CUSTODY: -100} == dict(holds.advance_booked(known, repaid)[1])


def test_no_two_steps_share_a_letter():
    """An entry's id is its source's and the letter; P, R, L and B are taken."""
    steps = [
        entries.CLEARED, entries.ARRIVED, entries.COVERED, entries.MONEY_ARRIVED, entries.ADVANCED,
        entries.REPAID, entries.FROZEN, entries.THAWED, entries.HELD, entries.LET_GO, entries.SENT,
        entries.PAID, entries.REJECTED, entries.RETURNED, *"PRLB",
    ]  # fmt: skip
    assert len(steps) == len(set(steps))
