"""An instruction pays once: two people, one number, and no answer of the bank believed twice."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.msgpack import decode, encode
from msgspec.structs import replace

from home_payouts import made
from home_state import CUSTODY
from payments.errors import Conflict, InvalidField
from payments.money import AMOUNT_MAX
from payments.settlement import accounts, instruction
from payments.settlement.accounts import COOL_DOWN_MS, BankAccount, account_at, is_blocked
from payments.settlement.entries import accounts_of
from payments.settlement.instruction import (
    ABSENT_GRACE_MS,
    BACK,
    NUMBER_MAX,
    POLICY,
    Disputed,
    Heard,
    Instruction,
    Policy,
    State,
)
from payments.settlement.purse import Purse

PARTY = made("mch", 1, 700, "paid")
SOURCE = made("bat", 1, 700, "batch")
POLICY_1000 = Policy(alone_max=1_000)
ANSWERS = [State.ACCEPTED, State.UNKNOWN, State.PAID, State.REJECTED, State.RETURNED]


def account(name="a", registered_at=0, by="op_1"):
    return BankAccount(f"acc_{name}", PARTY, "张三", "6222021234", "icbc", registered_at, by)


def confirmed(name="a", at=1, registered_at=0):
    known = account(name, registered_at)
    return accounts.apply(known, accounts.confirm(known, "op_2", at))


def drafted(amount=2_000, **changes):
    event = instruction.draft(
        SOURCE, 1, PARTY, amount, "cny", confirmed(), CUSTODY, "op_1", 10, **changes
    )
    return event.instruction


def in_state(state, **changes):
    return replace(drafted(**changes), state=state, sent=1, sent_at=20)


def purse(available):
    return Purse(PARTY, {accounts_of(PARTY, 700).available: -available})


# --- Numbers ---------------------------------------------------------------------------------


@given(st.integers(1, 100))
def test_numbers_are_made_of_what_is_paid(attempt):
    """The same source and attempt have the same number, which any bank takes."""
    identifier = instruction.instruction_id(SOURCE, attempt)
    number = replace(drafted(), id=identifier).number

    assert identifier == instruction.instruction_id(SOURCE, attempt)
    assert identifier != instruction.instruction_id(SOURCE, attempt + 1)
    assert len(number) <= NUMBER_MAX
    assert number.isascii()
    assert number.isalnum()
    assert number.isupper()


def test_amounts_and_accounts_are_needed():
    for amount in (0, -1, AMOUNT_MAX + 1):
        with pytest.raises(InvalidField):
            drafted(amount)
    with pytest.raises(Conflict, match="no confirmed"):
        instruction.draft(SOURCE, 1, PARTY, 1, "cny", None, CUSTODY, "op_1", 1)


# --- Two people ------------------------------------------------------------------------------

CHECKS = [
    # amount, by -> allowed
    (1_000, "op_2", True),
    (1_000, "op_1", False),
    (1_000, POLICY, True),
    (1_001, POLICY, False),
    (1_001, "op_2", True),
]


@pytest.mark.parametrize(("amount", "by", "allowed"), CHECKS)
def test_maker_and_checker_are_two_or_the_amount_is_small(amount, by, allowed):
    known = drafted(amount)
    if allowed:
        after = instruction.apply(known, instruction.check(known, by, 11, POLICY_1000))
        assert (State.CHECKED, by) == (after.state, after.checker)
        assert None is instruction.check(after, "op_3", 12, POLICY_1000)
    else:
        with pytest.raises(Conflict):
            instruction.check(known, by, 11, POLICY_1000)


def test_nobody_and_an_unchecked_one_are_refused():
    with pytest.raises(InvalidField):
        instruction.check(drafted(), "", 1, POLICY_1000)
    with pytest.raises(Conflict, match="not checked"):
        instruction.send(drafted(), purse(9_999), "acc_a", 1)


def test_what_is_turned_down_never_reaches_the_bank():
    """Before it is sent a person may stop it; afterwards only the bank can."""
    known = drafted()
    event = instruction.turn_down(known, "op_2", "wrong amount", 12)
    after = instruction.apply(known, event)

    assert State.REJECTED is after.state
    assert None is instruction.booked(known, event)
    assert not instruction.blocks(event)
    assert None is instruction.turn_down(after, "op_2", "again", 13)
    held = drafted(is_held=True, fee=10)
    assert 2_010 == max(m for _, m in instruction.booked(held, event)[1])
    with pytest.raises(Conflict, match="only the bank"):
        instruction.turn_down(in_state(State.SENT), "op_2", "late", 14)
    with pytest.raises(InvalidField):
        instruction.turn_down(known, "op_2", " ", 15)


# --- Sending ---------------------------------------------------------------------------------


def test_money_leaves_available_with_the_sending_and_only_once():
    """More than there is, a blocked party and another account are refused."""
    known = in_state(State.CHECKED)
    with pytest.raises(Conflict, match="more than"):
        instruction.send(known, purse(1_999), "acc_a", 20)
    with pytest.raises(Conflict, match="confirmed"):
        instruction.send(known, purse(2_000), None, 20)
    with pytest.raises(Conflict, match="no longer"):
        instruction.send(known, purse(2_000), "acc_b", 20)
    with pytest.raises(Conflict, match="find out why"):
        instruction.send(replace(known, disputed=True), purse(2_000), "acc_a", 20)

    spent = purse(2_000)
    event = instruction.send(known, spent, "acc_a", 20)
    step, postings = instruction.booked(known, event)
    assert ("S", {2_000, -2_000}) == (step, {minor for _, minor in postings})
    assert 0 == spent.free
    assert None is instruction.send(instruction.apply(known, event), spent, "acc_a", 21)
    held = replace(known, is_held=True)
    assert None is instruction.booked(held, instruction.send(held, purse(0), "acc_a", 20))


def test_unknown_is_asked_about_and_repeated_only_when_the_bank_never_saw_it():
    """The same number, after the bank has had time: its "never seen" may mean "not yet"."""
    known = in_state(State.UNKNOWN)
    early = instruction.apply(known, instruction.absent(known, 20 + ABSENT_GRACE_MS - 1))
    late = instruction.apply(known, instruction.absent(known, 20 + ABSENT_GRACE_MS))

    assert None is instruction.repeat(known, 1 << 40)
    assert None is instruction.repeat(early, 1 << 40)
    again = instruction.repeat(late, 1 << 40)
    assert again.is_repeat
    assert None is instruction.booked(late, again)
    after = instruction.apply(late, again)
    assert (late.number, 2, None) == (after.number, after.sent, after.absent_at)
    for state in (State.SENT, State.ACCEPTED, State.PAID, State.REJECTED):
        assert None is instruction.absent(in_state(state), 30)
        assert None is instruction.repeat(replace(late, state=state), 1 << 40)


# --- Answers ---------------------------------------------------------------------------------


@given(st.lists(st.sampled_from(ANSWERS), max_size=12), st.booleans())
def test_any_order_of_answers_moves_money_once(answers, is_held):
    """Repeated, late, contradicting: in transit is emptied once, custody never pays twice."""
    known = in_state(State.SENT, is_held=is_held, fee=7)
    transit, custody = 2_007, 0
    for at, said in enumerate(answers, 30):
        event = instruction.hear(known, said, at, "ref")
        if event is None:
            continue
        step = instruction.booked(known, event)
        legs = dict(step[1]) if step else {}
        assert 0 == sum(legs.values())
        transit -= legs.get(accounts_of(PARTY, 700).in_transit, 0)
        custody += legs.get(CUSTODY, 0)
        known = instruction.apply(known, event)
        assert transit in (0, 2_007)
        assert custody in (0, -2_000)
        assert None is instruction.hear(known, said, at + 1)
        assert known == decode(encode(known), type=Instruction)
    assert (transit == 2_007) is (known.state in instruction.UNDER_WAY)
    assert (custody == -2_000) is (known.state is State.PAID)


CONTRADICTIONS = [
    (State.PAID, State.REJECTED),
    (State.REJECTED, State.PAID),
    (State.REJECTED, State.RETURNED),
    (State.RETURNED, State.REJECTED),
    (State.DRAFTED, State.PAID),
    (State.CHECKED, State.ACCEPTED),
]


@pytest.mark.parametrize(("state", "said"), CONTRADICTIONS)
def test_a_contradiction_moves_nothing_and_calls_a_person(state, said):
    """Which of the two is true, is for a person to find out."""
    known = in_state(state)
    event = instruction.hear(known, said, 40)
    after = instruction.apply(known, event)

    assert isinstance(event, Disputed)
    assert None is instruction.booked(known, event)
    assert (state, True) == (after.state, after.disputed)
    assert None is instruction.hear(after, said, 41)


def test_what_came_back_is_due_again_and_blocks():
    """Rejected and returned money is unpaid; everything else is paid or on its way."""
    for state in State:
        known = in_state(state, parts=(("bat_1", 1_500), ("bat_2", 500)))
        left = instruction.unpaid({"bat_1": 1_500, "bat_2": 900}, [known])
        back = state in BACK
        assert {"bat_1": 1_500 if back else 0, "bat_2": 900 if back else 400} == left
        event = Heard(1, state)
        assert back is instruction.blocks(event)


# --- Bank accounts ---------------------------------------------------------------------------


def test_an_account_counts_when_a_second_person_confirmed_it():
    known = account()
    with pytest.raises(Conflict, match="another person"):
        accounts.confirm(known, "op_1", 1)
    with pytest.raises(InvalidField):
        accounts.confirm(known, "", 1)
    assert None is account_at([known], 1 << 40)
    assert "acc_a" == account_at([confirmed()], 1).id
    assert None is account_at([confirmed(at=5)], 4)


def test_a_change_cools_down_while_the_one_before_counts():
    """Whoever stole a password gets nothing for a day, and the owner is told."""
    both = [confirmed("a", 1), confirmed("b", 1_000, 900)]

    assert "acc_a" == account_at(both, 1_000 + COOL_DOWN_MS - 1).id
    assert "acc_b" == account_at(both, 1_000 + COOL_DOWN_MS).id
    again = accounts.apply(both[1], accounts.confirm(both[1], "op_3", 1 << 40))
    assert "acc_b" == account_at([both[0], again], 1_000 + COOL_DOWN_MS).id


def test_after_a_return_the_account_must_be_confirmed_anew():
    known = confirmed(at=10)

    assert not is_blocked(known, None)
    assert is_blocked(None, None)
    assert not is_blocked(known, 9)
    assert is_blocked(known, 10)
    assert not is_blocked(accounts.apply(known, accounts.confirm(known, "op_2", 11)), 10)


BAD = [("name", ""), ("name", "x" * 141), ("number", ""), ("number", "6222-1"), ("bank", "")]


@pytest.mark.parametrize(("field", "value"), BAD)
def test_bad_accounts_cannot_be_built(field, value):
    with pytest.raises(InvalidField) as refusal:
        replace(account(), **{field: value})
    assert field == refusal.value.param


def test_an_account_does_not_show_its_owner():
    """Logs print objects; names and numbers are personal data."""
    shown = repr(account())
    assert "张三" not in shown
    assert "6222021234" not in shown
