"""A party's standing: backing as the check of coverage counts it, and what is unpaid."""

import random

from hypothesis import given
from hypothesis import strategies as st

from home_plans import Seeded, plan
from home_state import CUSTODY
from home_world import MERCHANTS, RECEIVERS, World
from payments.clearing import terms
from payments.clearing.terms import Position
from payments.settlement import party as parties
from payments.settlement.party import Party

DATES = {f"bat_{number}": 20260302 + number for number in range(6)}


@given(st.integers(0, 1 << 30))
def test_backing_follows_entry_by_entry(seed):
    """What is added up with each entry is what the check counts over all of them."""
    world, by = World(), Seeded(seed)
    for step in range(40):
        command = plan(world, by, step * 3_600_000)
        if command:
            world.execute(*command)
    backing = dict.fromkeys([*MERCHANTS, *RECEIVERS], 0)
    owners = {
        (each.source, each.step): each.owner for commit in world.journal for each in commit.entries
    }
    for entry in world.state.booked.values():
        owner = owners[entry.source, entry.id[-1]]
        for who, minor in parties.attributed(entry.postings, owner):
            backing[who] += minor

    assert {who: world.state.backing(who) for who in backing} == backing


def test_an_entry_without_custody_and_matched_money_moves_no_backing():
    sale = (("channel:wx:receivable#7", 10), ("merchant:mch_1:pending", -10))
    assert [] == list(parties.attributed(sale))


def test_an_advance_to_cover_refunds_is_its_owners():
    kept = ((CUSTODY, 10), ("advance:bank", -10))
    assert [("mch_1", 10)] == list(parties.attributed(kept, "mch_1"))


@given(st.lists(st.integers(-50, 100), max_size=6), st.integers(0, 400), st.integers(0, 1 << 30))
def test_netting_positions_pays_the_same(owed, available, seed):
    """Taking batches below zero out of the oldest above changes no payout, and no sum."""
    positions = [
        Position(batch, date, minor)
        for (batch, date), minor in zip(DATES.items(), owed, strict=False)
    ]
    party = Party("mch_1")
    shuffled = random.Random(seed).sample(positions, len(positions))
    for number, each in enumerate(shuffled, 1):
        party = parties.owe(party, each.batch, each.business_date, each.amount, number)

    assert sum(owed[:6]) == sum(each.amount for each in party.unpaid)
    rules = terms.Rules(20161201, "made for tests", 90, 30, 30)
    agreed = terms.Terms(terms.cycle_of("D+1"))
    standing = terms.Standing(20250101, 20250101)
    payouts = [
        terms.payout_on(
            20260310, each, available, agreed, standing, rules, None, terms.Keeping()
        ).amount
        for each in (positions, party.unpaid)
    ]
    assert payouts[0] == payouts[1]


@given(st.lists(st.integers(1, 100), min_size=1, max_size=6), st.data())
def test_what_came_back_is_unpaid_as_before(owed, data):
    party = Party("mch_1")
    for number, (minor, (batch, date)) in enumerate(zip(owed, DATES.items(), strict=False), 1):
        party = parties.owe(party, batch, date, minor, number)
    parts = tuple(
        (each.batch, data.draw(st.integers(1, each.amount))) for each in party.unpaid[::2]
    )

    gone = parties.pay(party, parts)

    assert sum(owed) - sum(minor for _, minor in parts) == sum(p.amount for p in gone.unpaid)
    assert party == parties.unpay(gone, parts, DATES)


@given(st.lists(st.integers(1, 100), max_size=6), st.integers(1, 700))
def test_what_was_withdrawn_is_taken_off_the_oldest_and_comes_back(owed, taken):
    party = Party("mch_1")
    for number, (minor, (batch, date)) in enumerate(zip(owed, DATES.items(), strict=False), 1):
        party = parties.owe(party, batch, date, minor, number)

    left = parties.move(party, "wdr_1", 20260309, -taken)
    back = parties.move(left, "wdr_1", 20260309, taken)

    assert sum(owed) - taken == sum(each.amount for each in left.unpaid)
    whole = [each for each in left.unpaid if each in party.unpaid]
    assert whole == list(party.unpaid[len(party.unpaid) - len(whole) :])
    assert sum(owed) == sum(each.amount for each in back.unpaid)
