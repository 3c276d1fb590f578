"""The figure of reconciliation with few rows: its audit notices what was missed or made up."""

import csv
import json
import sys

import pytest

from load_tests import bench
from load_tests.audit import Audit
from load_tests.figures import reconciliation
from load_tests.gateway import CommandFailed


@pytest.fixture
def small(monkeypatch, tmp_path):
    """Run the figure with few payments; (exit code, what it measured)."""
    monkeypatch.setattr(reconciliation, "PAYMENTS", 600)

    def run():
        out = tmp_path / "out"
        words = ["--figure", "reconciliation", "--runs", "1", "--json", "--out", str(out)]
        code = bench.main([*words, "--work", str(tmp_path)])
        return code, json.loads((out / "run.json").read_text())["figures"][0]

    return run


def test_it_is_measured_and_audited(small):
    """Six of each kind are planted, all are found, nothing else is, and nothing is left over."""
    code, figure = small()

    assert (bench.EXIT_OK, "reconciliation") == (code, figure["name"])
    assert (72, 72, 0, 0, 0, True) == tuple(
        figure["audit"][name]
        for name in ("acknowledged", "in_ledger", "doubled", "lost", "trial_balance", "passed")
    )
    assert figure["values"]["memory_mib"][0] > 0


def test_what_is_missed_or_made_up_fails_the_audit(monkeypatch, tmp_path):
    """A difference that was not found is lost, one that was not planted is doubled."""
    monkeypatch.setattr(reconciliation, "taken", lambda words, out: None)
    totals = {"theirs": 150, "ours": 100, "differences": 40}
    run = reconciliation.Taken({"id": "rec_1", "totals": totals}, 1.0, 1.0, 1.0)
    found = write_keys(tmp_path / "found.csv", ["A", "B", "B"])
    planted = reconciliation._keys(write_keys(tmp_path / "planted.csv", ["A", "B", "C"]))

    audit = reconciliation._audited(tmp_path, run, planted, found)
    assert (Audit(3, 3, 1, 1, 10), False) == (audit, audit.passed)


def test_a_command_that_fails_is_told(monkeypatch, tmp_path):
    """With the last line of its complaint."""
    program = "import sys; print('no such bill', file=sys.stderr); sys.exit(2)"
    monkeypatch.setattr("load_tests.gateway.COMMAND", (sys.executable, "-c", program))
    with pytest.raises(CommandFailed, match="no such bill"):
        reconciliation.taken(["recon", "import"], tmp_path / "out.json")


def write_keys(path, numbers):
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = [("fee", "payment", number) for number in numbers]
        csv.writer(file).writerows([("type", "line", "number"), *rows])
    return path


def test_keys_are_counted(tmp_path):
    """A line twice is two."""
    keys = reconciliation._keys(write_keys(tmp_path / "x.csv", ["A", "A"]))
    assert {("fee", "payment", "A"): 2} == keys
