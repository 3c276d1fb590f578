"""The way home of the money, any command at any time: nobody's money pays another, crash or not."""

import asyncio
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from home_payouts import LIMITS, PLAN, made
from home_plans import Drawn, bank_moves, complaints, plan, prove, rerun, restarted, run
from home_world import DAY, HOUR_MS, World
from payments import chart
from payments.errors import Conflict, PaymentError, QuotaExceeded
from payments.settlement import withdrawal
from payments.settlement.entries import accounts_of, held
from payments.settlement.purse import Purse
from payments.settlement.withdrawal import Limits, Withdrawal, use_of
from planted_home import PLANTED

MERCHANT = made("mch", 1, 700, "parallel")
LAX = Limits(day_count_max=1_000_000, day_max=1 << 60, review_above=1 << 60)


@settings(max_examples=12, suppress_health_check=[HealthCheck.data_too_large, HealthCheck.too_slow])
@given(st.data(), st.integers(5, 40))
def test_the_laws_hold_after_every_command(data, steps):
    """Books balance, floors hold, cover is everybody's own, and a restart changes nothing."""
    world, by = World(), Drawn(data, st)
    for step in range(1, steps + 1):
        for command in (bank_moves(world, by, step * HOUR_MS), plan(world, by, step * HOUR_MS)):
            if command is not None:
                world.execute(*command)
                assert [] == complaints(world), command
                assert [] == restarted(world), command


@pytest.mark.parametrize("seed", range(12))
def test_long_runs_come_to_rest_with_the_bank_agreeing(seed):
    """When faults stop, books and bank agree, crashed or not."""
    assert None is prove(seed, 120), f"seed {seed}"


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, 2_000, 100))
def test_two_thousand_long_runs(first):
    """The same, for longer."""
    found = {seed: prove(seed, 160, crashes=3) for seed in range(first, first + 100)}
    assert {} == {seed: said for seed, said in found.items() if said}


def test_a_crash_at_every_commit_changes_nothing():
    """Lost or kept, first or last: the same command again brings the same books."""
    world, script = run(3, 50)
    expected = world.state.summary()
    assert len(world.journal) > 30
    for number in range(5, len(world.journal) + 1):
        for stored in (False, True):
            assert expected == rerun(script, (number, stored)).state.summary(), (number, stored)


@pytest.mark.parametrize("name", sorted(PLANTED))
def test_planted_defects_are_found(name, monkeypatch):
    """Proof that these proofs can fail: a defect shows within a few seeds."""
    PLANTED[name](monkeypatch)
    for seed in (0, 1, 3, 4, 6, 7, *range(2, 120, 3)):  # Every third has many payouts.
        try:
            found = prove(seed, 120, crashes=2)
        except Exception as error:  # A defect may also fail on the spot.
            found = repr(error)
        if found:
            return
    pytest.fail(f"{name} was not found in 46 runs")


# --- Parallel withdrawals --------------------------------------------------------------------


def wanted(number, amount):
    identifier = made("wdr", number + 1, 700, "parallel", number)
    return Withdrawal(identifier, MERCHANT, "cny", amount, 0, DAY, number, "key_1")


def purse_of(available):
    names = accounts_of(MERCHANT, 700)
    return Purse(MERCHANT, {names.available: -available, names.pending: -1_000_000})


def ask(purse, each, limits=LAX):
    try:
        return withdrawal.request(each, None, purse, limits, PLAN, False, False)
    except PaymentError as refusal:
        return refusal


@settings(max_examples=40)
@given(st.integers(0, 60_000), st.lists(st.integers(1, 4_000), max_size=60), st.randoms())
def test_any_interleaving_of_decisions_and_commits_keeps_to_what_is_available(
    available, amounts, chance
):
    """Decisions pile up, commits follow in any order: together never more than there was."""
    purse, decided, refused = purse_of(available), [], []
    waiting = [wanted(number, amount) for number, amount in enumerate(amounts)]
    taken = 0
    while waiting or decided:
        if waiting and (not decided or chance.random() < 0.5):
            event = ask(purse, waiting.pop())
            (refused if isinstance(event, PaymentError) else decided).append(event)
        else:
            about = decided.pop(chance.randrange(len(decided))).withdrawal
            purse.book(about.id, held(MERCHANT, about.total))
            taken += about.total
        assert 0 <= purse.free <= purse.available
    assert available == taken + purse.available
    assert all(isinstance(each, Conflict) for each in refused)
    assert taken == purse.in_transit


async def test_a_thousand_parallel_withdrawals_with_room_for_some():
    """1 000 at once, room for exactly 37 with their fees: 37 pass, in whatever order."""
    purse, order = purse_of(37 * 110 + 109), random.Random(4)
    answers = []

    async def one(number):
        await asyncio.sleep(order.random() / 1_000)
        event = ask(purse, wanted(number, 100))
        await asyncio.sleep(order.random() / 1_000)  # The commit runs, others decide meanwhile.
        if not isinstance(event, PaymentError):
            purse.book(event.withdrawal.id, held(MERCHANT, event.withdrawal.total))
        answers.append(event)

    await asyncio.gather(*(one(number) for number in range(1_000)))

    assert 37 == sum(not isinstance(each, PaymentError) for each in answers)
    assert (109, 37 * 110) == (purse.available, purse.in_transit)


async def test_a_thousand_parallel_withdrawals_keep_the_days_limits():
    """The day's count is taken with the decision, not with the commit."""
    purse = purse_of(10_000_000)
    answers = await asyncio.gather(*(_later(purse, number) for number in range(1_000)))

    passed = [each.withdrawal for each in answers if not isinstance(each, PaymentError)]
    assert LIMITS.day_count_max == len(passed)
    assert {QuotaExceeded} == {type(each) for each in answers if isinstance(each, PaymentError)}
    assert purse.use == use_of(passed, DAY)


async def _later(purse, number):
    await asyncio.sleep(0)
    return ask(purse, wanted(number, 100), LIMITS)


def test_the_chart_knows_every_account_of_a_party():
    """What is paid out has its accounts, for merchants and receivers alike."""
    for party in (MERCHANT, made("rcv", 1, 700, "chart")):
        names = accounts_of(party, 700)
        for name in (names.pending, names.available, names.frozen, names.in_transit, names.debt):
            assert chart.is_limited(name)
            assert party == chart.parse(name).owner
