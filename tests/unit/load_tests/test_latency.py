"""The figure of added latency: what is offered, and what its runs say together."""

from types import SimpleNamespace

import pytest

from load_tests import open_loop
from load_tests.audit import Audit
from load_tests.figures import latency

# A peak, the run that follows it: p50 and p99 in milliseconds, requests that were skipped.
QUICK = (10_000.0, 23.0, 40.0, 0)
PLAIN = (8_000.0, 24.0, 49.0, 0)
SLOW = (4_000.0, 90.0, 300.0, 0)


def load_of(rate, p50, p99, skipped):
    at_ms = {"p50": p50, "p90": p99, "p99": p99, "p99.9": p99, "p100": p99}
    histogram = open_loop.histogram_of([int(p50 * 1000)])
    return open_loop.OpenLoopResult(
        target_rate=rate,
        seconds=8,
        due=100,
        sent=100 - skipped,
        skipped=skipped,
        acknowledged=100 - skipped,
        refused=0,
        unanswered=0,
        corrected_ms=at_ms,
        uncorrected_ms=at_ms,
        send_lag_p99_ms=1.0,
        payments=[],
        corrected=histogram,
        uncorrected=histogram,
    )


@pytest.fixture
def measure(monkeypatch, tmp_path):
    """Measure the figure over runs that are given, on a machine that nobody has."""

    def take(*given, closed_lost=0, open_lost=0):
        peaks = iter(given)
        loads = iter(given)

        def closed_run(*_):
            peak = next(peaks)[0]
            wrk = SimpleNamespace(per_second=peak)
            return SimpleNamespace(wrk=wrk, audit=Audit(7, 7, 0, closed_lost, 0))

        def offer_all(_, plan, wanted):
            (rate,) = wanted
            assert (rate,) == plan.rates
            load = load_of(rate, *next(loads)[1:])
            audit = Audit(load.acknowledged, load.acknowledged, 0, open_lost, 0)
            return [latency.OpenRun(load, audit)], audit

        monkeypatch.setattr(latency, "closed_run", closed_run)
        monkeypatch.setattr(latency, "offer_all", offer_all)
        silent = SimpleNamespace(say=lambda _: None)
        lab = SimpleNamespace(runs=len(given), out=tmp_path, options=None, progress=silent)
        return latency.measure(lab)

    return take


def test_each_run_is_offered_half_of_the_peak_that_was_measured_before_it(measure):
    """The machine was slower in between: so was what half of its peak is."""
    figure = measure(QUICK, SLOW, PLAIN)

    runs = figure.values["runs"]
    assert [10_000.0, 4_000.0, 8_000.0] == [run["peak_per_second"] for run in runs]
    assert [5_000.0, 2_000.0, 4_000.0] == [run["target_rate"] for run in runs]
    assert 8_000.0 == figure.values["peak_per_second"]
    assert "at 4,000 payments/s" in figure.title


def test_the_bars_are_of_the_median_run_and_of_what_it_adds(measure):
    """4 and 29 ms on top of the channel's 20: kept, and one slow run of three does not count."""
    figure = measure(QUICK, SLOW, PLAIN)

    assert [4.0, 29.0, 0] == [bar.value for bar in figure.bars]
    assert figure.met
    assert [False, False, True] == [bar.met for bar in measure(SLOW, SLOW, PLAIN).bars]


def test_one_skipped_request_of_any_run_is_an_error(measure):
    """No median of errors: each counts."""
    figure = measure(QUICK, (8_000.0, 24.0, 49.0, 1), PLAIN)

    assert [True, True, False] == [bar.met for bar in figure.bars]
    assert 1 == figure.bars[2].value


def test_the_runs_that_find_the_peak_are_audited_as_well(measure):
    """Seven payments each, and a hundred in the run that follows."""
    figure = measure(QUICK, PLAIN)

    assert 2 * (7 + 100) == figure.audit.acknowledged
    assert figure.met
    for lost in ({"closed_lost": 1}, {"open_lost": 1}):
        assert not measure(QUICK, PLAIN, **lost).met
