"""Records explain their entries: all that is booked on the way home, and nothing that is not."""

from collections import Counter

import pytest

from home_plans import run
from payments.settlement import explained
from payments.settlement.entries import ARRIVED, COVERED, MONEY_ARRIVED, entry_id

SEEDS = range(0, 36, 3)
"""Every third has all kinds of commands."""


@pytest.fixture(scope="module")
def states():
    """What long runs leave behind, by seed."""
    return {seed: run(seed, 140)[0].state for seed in SEEDS}


def explained_by(state):
    """entry id -> postings, of every record of a world; arrivals of open batches apart."""
    found, under_way = {}, {}
    for batch in state.all("batch"):
        found |= dict(explained.departures(batch))
        done = found if batch.state == "closed" else under_way
        done |= dict(explained.arrivals(batch))
    sources = {one.source for one in state.all("instruction")}
    for one in state.all("instruction"):
        found |= dict(explained.of_instruction(one))
    for one in state.all("withdrawal"):
        found |= dict(explained.of_withdrawal(one, one.id in sources))
    for one in state.all("freeze"):
        found |= dict(explained.of_freeze(one))
    for one in state.all("advance"):
        found |= dict(explained.of_advance(one))
    return found, under_way


def test_what_is_booked_is_what_the_records_say(states):
    """After any run: no entry is missing, none is another, none is left over."""
    for seed, state in states.items():
        found, under_way = explained_by(state)
        booked = {
            name: each.postings for name, each in state.booked.items() if name[-1] not in "PR"
        }

        assert found == {name: booked.get(name) for name in found}, seed
        for name in booked.keys() - found.keys():
            assert name[-1] in (ARRIVED, COVERED, MONEY_ARRIVED), (seed, name)
            assert name[-1] != ARRIVED or under_way[name] == booked[name], (seed, name)


def test_a_claim_waits_or_is_covered(states):
    """Each claim of a filed batch has its entry exactly when it waits no longer."""
    for seed, state in states.items():
        waiting = {each.id for known in state.all("cover") for each in known.waiting}
        for batch in state.all("batch"):
            for claim in explained.claims(batch):
                is_covered = entry_id(claim.id, COVERED) in state.booked
                assert is_covered is not (claim.id in waiting), (seed, claim.id)


def test_the_runs_reach_every_step(states):
    """Else the two above would prove little."""
    seen = Counter(name[-1] for state in states.values() for name in state.booked)
    assert set("PREICJAKFUHGSDXN") <= seen.keys(), seen
