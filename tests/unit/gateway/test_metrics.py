"""Merging the numbers of boxes: nothing lost, nothing twice, nothing that names a merchant."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from actors.stats import Histogram
from gateway import metrics as names_of
from gateway.metrics import METRICS, SERIES_MAX, Metrics

FORBIDDEN = ("merchant", "payment", "terminal", "store", "order", "payer", "key")
PAID = 'payments_total{channel="sim",way="barcode",outcome="succeeded"}'
OPERATIONS = Path(__file__).parents[3] / "docs" / "OPERATIONS.md"


@pytest.fixture
def metrics():
    return Metrics({"mode": "test"})


def samples(metrics: Metrics) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Everything that is exposed, read by Prometheus' own parser."""
    body, _ = metrics.expose("")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return samples(metrics).get((name, frozenset(labels.items())))


def paid(metrics: Metrics) -> float | None:
    return value(
        metrics, "tillway_payment_total", channel="sim", way="barcode", outcome="succeeded"
    )


def test_counters_of_all_boxes_are_added(metrics):
    """Two shards that took 3 and 4 payments took 7."""
    metrics.take("shard-0", "shard", 1, {PAID: 3})
    metrics.take("shard-1", "shard", 1, {PAID: 4})

    assert paid(metrics) == 7


def test_a_later_report_replaces_an_earlier_one(metrics):
    """Reports are totals, not differences."""
    metrics.take("shard-0", "shard", 1, {PAID: 3})
    metrics.take("shard-0", "shard", 1, {PAID: 5})

    assert paid(metrics) == 5


def test_what_an_ended_incarnation_counted_is_kept(metrics):
    """A counter neither goes back nor loses anything when its box is replaced."""
    metrics.take("shard-0", "shard", 1, {PAID: 10})
    metrics.gone("shard-0")
    assert paid(metrics) == 10
    metrics.take("shard-0", "shard", 2, {})
    assert paid(metrics) == 10
    metrics.take("shard-0", "shard", 2, {PAID: 2})
    metrics.take("shard-0", "shard", 3, {PAID: 1})

    assert paid(metrics) == 13


def test_the_last_word_of_a_replaced_box_is_ignored(metrics):
    """It was reckoned with when its successor first spoke."""
    metrics.take("shard-0", "shard", 2, {PAID: 2})
    metrics.take("shard-0", "shard", 1, {PAID: 100})

    assert paid(metrics) == 2


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(0, 50)), max_size=40))
def test_counters_never_go_back(steps):
    """Whatever the order of deaths and reports: within an incarnation counts grow."""
    metrics = Metrics({})
    incarnation, count, last = 1, 0, 0.0
    for newer, more in steps:
        if newer > incarnation:
            incarnation, count = newer, 0
        count += more
        metrics.take("shard-0", "shard", incarnation, {PAID: count})
        now = paid(metrics)
        assert now is not None
        assert now >= last
        last = now


def test_a_state_is_gone_with_its_box(metrics):
    """Nobody has 7 payments in memory when the shard that had them is dead."""
    metrics.take("shard-0", "shard", 1, {"live": 7, PAID: 1})
    assert value(metrics, "tillway_payment_live", shard="shard-0") == 7

    metrics.gone("shard-0")

    assert value(metrics, "tillway_payment_live", shard="shard-0") is None
    assert paid(metrics) == 1


@pytest.mark.parametrize("states", [(0, 2), (2, 0), (2, 1)])
def test_the_worst_lane_speaks_for_a_channel(metrics, states):
    """One open circuit among two lanes shows, whichever reports last."""
    for lane, state in enumerate(states):
        number = f'channel_circuit_state{{channel="sim",lane="{lane}"}}'
        metrics.take(f"lane-{lane}", "lane", 1, {number: state})

    assert value(metrics, "tillway_channel_circuit_state", channel="sim") == 2


def test_boxes_of_one_process_are_counted_once(metrics):
    """On one event loop every box would report the same processor time."""
    own = {"pid": os.getpid(), "cpu_seconds_total": 1_000_000, "resident_bytes": 1}
    metrics.take("shard-0", "shard", 1, own)
    metrics.take("front-door-0", "front_door", 1, {**own, "pid": os.getpid() + 1})

    cpu = "tillway_process_cpu_seconds_total"
    assert value(metrics, cpu, role="shard") is None
    assert value(metrics, cpu, role="front_door") == 1_000_000
    supervisor = value(metrics, cpu, role="supervisor")
    assert supervisor is not None
    assert 0 < supervisor < 1_000_000


def test_histograms_of_boxes_are_added_bucket_by_bucket(metrics):
    """The sum of two histograms is the histogram of both."""
    for box, values in (("shard-0", (1.0, 3.0)), ("shard-1", (3.0, 900.0, 5000.0))):
        histogram = Histogram("batch_size", (1.0, 4.0, 1024.0))
        for each in values:
            histogram.observe(each)
        numbers: dict[str, float] = {}
        histogram.report(numbers)
        metrics.take(box, "shard", 1, numbers)

    name = "tillway_shard_batch_size"
    found = [value(metrics, f"{name}_bucket", le=le) for le in ("1.0", "4.0", "1024.0", "+Inf")]
    assert found == [1, 3, 4, 5]
    assert value(metrics, f"{name}_count") == 5
    assert value(metrics, f"{name}_sum") == 5907


def test_restarts_and_readiness_come_from_the_supervisor(metrics):
    """Boxes cannot know them."""
    metrics.restarts = lambda: {"shard": 2, "lane": 1}
    metrics.checks = lambda: {"shard-0": True, "lane-sim-0": False}

    assert value(metrics, "tillway_shard_restarts_total") == 2
    assert value(metrics, "tillway_box_restarts_total", role="lane") == 1
    assert value(metrics, "tillway_box_ready", box="shard-0") == 1
    assert value(metrics, "tillway_box_ready", box="lane-sim-0") == 0


def test_numbers_nobody_named_are_left_out(metrics):
    """A box of a newer release may say more; a name is decided in one file."""
    metrics.take("shard-0", "shard", 1, {"of_the_future_total": 5})

    assert not [name for name, _ in samples(metrics) if "future" in name]


def test_a_box_cannot_fill_the_memory(metrics):
    """More series than a bounded label could have are dropped."""
    many = {
        f'payments_total{{channel="c{n}",way="qr",outcome="failed"}}': 1.0
        for n in range(SERIES_MAX + 10)
    }
    metrics.take("shard-0", "shard", 1, many)

    found = [name for name, _ in samples(metrics) if name == "tillway_payment_total"]
    assert len(found) == SERIES_MAX


def test_no_label_names_a_merchant_a_payment_or_a_terminal():
    """Their number has no bound, and figures of a merchant come from the ledger."""
    for metric in METRICS:
        for label in metric.all_labels:
            assert not any(word in label for word in FORBIDDEN), (metric.name, label)


@pytest.mark.parametrize(
    ("accept", "kind", "end"),
    [
        ("", "text/plain", ""),
        ("text/plain;version=0.0.4", "text/plain", ""),
        ("application/openmetrics-text; version=1.0.0", "application/openmetrics-text", "# EOF\n"),
    ],
)
def test_the_format_follows_the_accept_header(metrics, accept, kind, end):
    """Text for everybody, OpenMetrics for whoever asks."""
    metrics.take("shard-0", "shard", 1, {PAID: 1})

    body, content_type = metrics.expose(accept)

    assert content_type.startswith(kind)
    assert body.decode().endswith(end)
    assert "tillway_payment_total" in body.decode()


def test_the_page_of_operations_names_exactly_what_there_is():
    """A name without a line, or a line without a name, is a promise not kept."""
    table = re.findall(r"^\| `(tillway_\w+)`", OPERATIONS.read_text("utf-8"), re.MULTILINE)

    assert sorted(table) == names_of.names()


def test_promtool_has_nothing_to_say(metrics):
    """Names, units, help: Prometheus' own linter is silent about all of them."""
    promtool = shutil.which("promtool", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    assert promtool is not None, "make setup fetches it"
    metrics.restarts = lambda: {"shard": 1}
    metrics.checks = lambda: {"shard-0": True}
    numbers: dict[str, float] = {}
    for metric in METRICS:
        label = ",".join(f'{name}="x"' for name in metric.labels)
        if metric.kind == "histogram":
            Histogram(metric.number, (1.0,), label).report(numbers)
        else:
            numbers[f"{metric.number}{{{label}}}" if label else metric.number] = 1
    for role in ("shard", "front_door"):
        metrics.take(role, role, 1, numbers)
    body, _ = metrics.expose("")
    families = {family.name for family in text_string_to_metric_families(body.decode())}

    done = subprocess.run(
        [promtool, "check", "metrics"], input=body, capture_output=True, check=False
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert len(families) == len(names_of.names())
