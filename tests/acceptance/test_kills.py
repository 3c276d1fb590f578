"""Kill -9 of every named victim under load, judged by a stranger: `load_tests.kill`."""

import pytest

from load_tests import kill
from load_tests.kill import VICTIMS, run

KILLS_PROVEN = 200
PATIENCE_S = 120.0


@pytest.fixture
def shared_machine(monkeypatch):
    """Promises are for a machine that has nothing else to do; here tests run beside it."""
    for name in ("SERVING_WITHIN_S", "FINAL_WITHIN_S", "BROUGHT_WITHIN_S"):
        monkeypatch.setattr(kill, name, PATIENCE_S)


@pytest.mark.ray
@pytest.mark.timeout(900)
@pytest.mark.usefixtures("shared_machine")
def test_one_kill_of_each_victim_costs_nobody_a_cent(tmp_path):
    """Serving again, nothing acknowledged lost, doubled or stuck, the books agree."""
    outcome = run(tmp_path, kills=len(VICTIMS), rate=40.0)

    assert outcome.passed, outcome
    assert dict.fromkeys(VICTIMS, 1) == outcome.kills
    assert outcome.acknowledged > 100


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.timeout(5400)
def test_two_hundred_kills(tmp_path):
    """The same, 50 times each, within 10 s; finality is checked once, after the last."""
    outcome = run(tmp_path, kills=KILLS_PROVEN, rate=40.0)

    assert outcome.passed, outcome
    assert KILLS_PROVEN == sum(outcome.kills.values())
