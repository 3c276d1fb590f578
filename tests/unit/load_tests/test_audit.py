"""The audit finds what was lost and what was doubled, and forgives only what was in flight."""

import pytest

from load_tests import audit
from load_tests.audit import Audit

COUNTED = """
    # acknowledged  unanswered  stored  in ledger  said doubled  balance -> lost  doubled  passed
      1000          256         0       1000       0             0          0     0        True
      1000          256         0       1256       0             0          0     0        True
      1000          256         0       1257       0             0          0     1        False
      1000          256         0       999        0             0          1     0        False
      1000          256         500     1500       0             0          0     0        True
      1000          256         500     1499       0             0          1     0        False
      1000          256         0       1000       2             0          0     2        False
      1000          256         0       1000       0             -5         0     0        False
"""
CASES = [row.split() for row in COUNTED.strip().splitlines()[1:]]


@pytest.mark.parametrize("row", CASES, ids=" ".join)
def test_counting(row):
    """wrk keeps no answers: at most as many more as it hung up on may be in the ledger."""
    acknowledged, unanswered, stored, in_ledger, said, balance, lost, doubled = map(int, row[:8])
    verified = {
        "payments": {"succeeded": in_ledger - 3, "failed": 3},
        "doubled": said,
        "trial_balance": balance,
        "chain_ok": True,
    }

    outcome = audit.of_counts(acknowledged, unanswered, verified, stored_before=stored)

    assert (lost, doubled) == (outcome.lost, outcome.doubled)
    assert (row[8] == "True") == outcome.passed


def test_a_broken_chain_fails_the_audit():
    """Whatever the counts say."""
    verified = {"payments": {}, "doubled": 0, "trial_balance": 0, "chain_ok": False}

    assert not audit.of_counts(0, 0, verified).passed


def test_every_acknowledged_payment_is_looked_up():
    """Missing, or another id for the order: lost. More than one id for an order: doubled."""
    acknowledged = [("o1", "pay_1"), ("o2", "pay_2"), ("o3", "pay_3"), ("o4", "pay_4")]
    found = {"o1": ["pay_1"], "o2": [], "o3": ["pay_9"], "o4": ["pay_4", "pay_5", "pay_6"]}

    assert (2, 2) == audit.of_identities(acknowledged, found)


def test_audits_of_several_runs_never_cancel_out():
    """A surplus in one run's books does not hide a gap in another's."""
    both = Audit(1, 1, 0, 0, trial_balance=7) + Audit(2, 2, 1, 1, trial_balance=-7)

    assert Audit(3, 3, 1, 1, 14) == both
    assert not both.passed


def test_the_json_has_the_published_fields():
    """The bench's last line names these five."""
    fields = ["acknowledged", "in_ledger", "doubled", "lost", "trial_balance"]

    assert fields == list(Audit(1, 1, 0, 0, 0).as_json())
