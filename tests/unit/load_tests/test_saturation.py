"""How many requests are signed before a run, and what happens when they were too few."""

from types import SimpleNamespace

import pytest

from load_tests import saturation
from load_tests.gateway import Options
from load_tests.wrk import RequestsUsedUp

FIRST = 15_000.0


class Bench:
    """A lab without a gateway: `outcomes` are payments a second, or None for too few requests."""

    def __init__(self, monkeypatch, folder, outcomes):
        self.expected = []
        self.outcomes = list(outcomes)
        self.lab = SimpleNamespace(
            expected_per_second=FIRST, fresh=lambda name: folder / name, discard=lambda path: None
        )
        monkeypatch.setattr(saturation, "_closed_run", self._run)

    def _run(self, lab, *_):
        self.expected.append(lab.expected_per_second)
        outcome = self.outcomes.pop(0)
        if outcome is None:
            raise RequestsUsedUp("all of them")
        return SimpleNamespace(wrk=SimpleNamespace(per_second=outcome))

    def run(self, data=None):
        return saturation.closed_run(self.lab, Options(), data=data).wrk.per_second


def test_a_run_on_fresh_data_signs_what_the_last_one_took(monkeypatch, tmp_path):
    """And twice as much when that was too little."""
    bench = Bench(monkeypatch, tmp_path, [5_000.0, None, 7_000.0, 10.0, 20.0])
    assert [5_000.0, 7_000.0, 10.0, 20.0] == [bench.run() for _ in range(4)]
    assert [FIRST, 5_000.0, 10_000.0, 7_000.0, 1_000.0] == bench.expected


def test_a_run_on_kept_data_does_not_lower_what_is_signed(monkeypatch, tmp_path):
    """It cannot start over, and the next one may be on a store that is quicker."""
    bench = Bench(monkeypatch, tmp_path, [4_000.0, 8_000.0, None])
    assert [4_000.0, 8_000.0] == [bench.run(tmp_path) for _ in range(2)]
    with pytest.raises(RequestsUsedUp):
        bench.run(tmp_path)
    assert [FIRST] * 3 == bench.expected
