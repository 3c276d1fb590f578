"""Every ending over each real wire, judged by a stranger in real time: `load_tests.endings`."""

import json
from dataclasses import asdict

import pytest

from load_tests.endings import ENDINGS, run
from load_tests.sandboxes import WIRES

AT_ONCE = 200


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("wire", WIRES, ids=[wire.name for wire in WIRES])
def test_two_hundred_at_once_of_each_end_as_the_table_says(tmp_path, wire, capsys):
    """And one of each alone; the sandbox's books agree to the fen, and the ledger verifies."""
    (outcome,), ledger = run(tmp_path, at_once=AT_ONCE, wires=(wire,))
    with capsys.disabled():
        print("\n" + json.dumps({"passed": outcome.passed, **asdict(outcome)}))

    assert outcome.passed, outcome
    assert ledger["ok"], ledger
    assert len(ENDINGS) * (AT_ONCE + 1) == outcome.payments == outcome.as_the_table_says
