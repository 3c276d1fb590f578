"""What a watcher of the demo sees: figures from the metrics, a start in steps, a summary."""

import asyncio
import io
import re

import pytest
from rich.console import Console

from gateway.cli.demo_screen import DemoScreen, money
from gateway.metrics import Metrics
from gateway.screen import Figures, Pulse, Ready, quantile_ms, read
from gateway.settings import load

EDGES = (0.001, 0.01, 0.1, float("inf"))


def figures(succeeded=0, failed=0, imbalance=0, **more):
    outcomes = {"succeeded": succeeded, "failed": failed, **more}
    total = succeeded + failed
    buckets = tuple((edge, total if edge > 0.001 else 0) for edge in EDGES)
    return Figures(outcomes, {"cny": 3800 * succeeded}, imbalance, buckets)


@pytest.fixture
def settings(tmp_path):
    return load(None, {"data_dir": str(tmp_path), "http.port": 8080}, {})


LINE = {"api": "http://127.0.0.1:8080", "admin": "http://127.0.0.1:8081", "api_key": "sk_test_1"}
CODE = {"pay_url": "http://127.0.0.1:8080/p/token"}


def shown(settings, *, is_terminal=False, lan=None, code=CODE, end=None):
    """Everything that one run prints."""
    paper = io.StringIO()
    screen = DemoScreen(
        Console(file=paper, force_terminal=is_terminal, width=100, color_system=None), lan
    )
    screen.began(settings)
    screen.step("runtime", "local, one event loop", 0.12)
    screen.ready(Ready(LINE, "Lao Wang", 2, 3, code), settings)
    screen.draining()
    screen.ended(end or figures(1234, 3), settings)
    return paper.getvalue()


def test_the_figures_are_those_of_the_metrics():
    """Summed over channels and ways; only POSTs of payments count for the latency."""
    metrics = Metrics({})
    payment = 'payments_total{channel="%s",way="barcode",outcome="%s"}'
    took = 'http_request_duration_seconds_bucket{method="%s",route="%s",status="201",le="%s"}'
    metrics.take(
        "shard-0",
        "shard",
        1,
        {
            payment % ("wechat", "succeeded"): 3.0,
            payment % ("alipay", "succeeded"): 2.0,
            payment % ("alipay", "failed"): 1.0,
            payment % ("alipay", "late_success"): 1.0,
            'payment_amount_minor_total{currency="cny",channel="wechat"}': 11_400.0,
            "imbalance_minor": 0.0,
            took % ("POST", "/v1/payments", "0.01"): 6.0,
            took % ("GET", "/v1/payments", "0.01"): 99.0,
        },
    )
    found = read(metrics)

    assert (6, {"cny": 11_400}, 0) == (found.payments, found.amounts, found.imbalance)
    assert pytest.approx(500 / 6) == found.success_percent
    assert ((0.01, 6),) == found.buckets


def test_the_pulse_looks_at_the_last_seconds_only():
    """Not at what was before: a failure long ago is no news."""
    pulse = Pulse()
    assert (0.0, None, None) == (pulse.take(figures(50, 50)).tps, *[None, None])
    for number in range(1, 12):
        now = pulse.take(figures(50 + 10 * number, 50))
    assert (10.0, 100.0, (10,) * 10) == (now.tps, now.success_percent, now.rates)


def test_what_began_anew_is_no_negative_rate():
    """A box that was replaced may for a moment have counted less."""
    pulse = Pulse()
    pulse.take(figures(100))
    assert (0,) == pulse.take(figures(90)).rates


BUCKETS = [
    ([], 0.5, None),
    ([(0.01, 0), (0.1, 0)], 0.5, None),
    ([(0.01, 10), (0.1, 10)], 0.5, 5.0),
    ([(0.01, 0), (0.1, 10)], 0.99, 99.1),
    ([(0.01, 5), (float("inf"), 10)], 0.99, 10.0),
]


@pytest.mark.parametrize(("buckets", "share", "ms"), BUCKETS)
def test_a_quantile_lies_on_the_line_through_its_bucket(buckets, share, ms):
    """Beyond the last edge nothing is known but that edge."""
    assert (None if ms is None else pytest.approx(ms)) == quantile_ms(buckets, share)


def test_a_start_is_told_in_steps_with_addresses_a_key_and_things_to_try(settings):
    """And commands say which data directory, when it is not the default."""
    text = shown(settings)

    assert re.search(r"✓ runtime +local, one event loop +0\.1 s", text)
    for word in (
        "http://127.0.0.1:8080/docs",
        "http://127.0.0.1:8081/metrics",
        CODE["pay_url"],
        "sk_test_1",
        "Lao Wang · 2 stores · 3 terminals",
        f"tillway trigger refund.succeeded --data {settings.data_dir}",
    ):
        assert word in text, word


def test_a_terminal_gets_a_code_to_scan_and_plain_lines_do_not(settings):
    """A log file is no place for pictures; nor is there one when no code could be made."""
    assert "▀▀▀▀▀█" in shown(settings, is_terminal=True)
    assert "▀▀▀▀▀█" not in shown(settings)
    assert "could not be made" in shown(settings, is_terminal=True, code=None)
    assert "\x1b" not in shown(settings)


def test_an_open_network_is_warned_of(settings):
    """With the address under which the machine is seen."""
    text = shown(settings, lan="192.168.1.7")
    assert "warning" in text
    assert "192.168.1.7" in text
    assert "nothing leaves this machine" not in text
    assert "nothing leaves this machine" in shown(settings)


def test_the_summary_has_five_lines(settings):
    """Payments, amount, success, trial balance, and where the data is."""
    lines = shown(settings).split("draining")[1].splitlines()[1:]
    words = [line.split()[:2] for line in lines]
    assert [
        ["payments", "1,237"],
        ["amount", "¥46,892.00"],
        ["success", "99.8"],
        ["trial", "balance"],
        ["data", str(settings.data_path)],
    ] == words
    assert "balance 0" in lines[3]


@pytest.mark.parametrize(
    ("minor", "currency", "text"), [(5, "cny", "¥0.05"), (123_456, "usd", "USD 1,234.56")]
)
def test_money_is_written_for_people(minor, currency, text):
    """Two places, by whole numbers."""
    assert text == money(minor, currency)


@pytest.mark.parametrize(("imbalance", "words"), [(0, "ledger 0"), (-7, "LEDGER OFF BY -7")])
async def test_the_live_line_has_rate_success_latency_and_the_ledger(imbalance, words):
    """And an imbalance cannot be overlooked."""
    paper = io.StringIO()
    screen = DemoScreen(Console(file=paper, force_terminal=True, width=120, color_system=None))
    readings = [figures(0), figures(10, imbalance=imbalance)]
    enough = asyncio.Event()

    def look():
        if len(readings) == 1:
            enough.set()
        return readings.pop(0) if len(readings) > 1 else readings[0]

    watching = asyncio.create_task(screen.watch(look))
    await asyncio.wait_for(enough.wait(), 60)
    watching.cancel()
    await asyncio.wait([watching])
    text = paper.getvalue()
    assert words in text
    assert "tps 10.0 █" in text
    assert "ok 100.0 %" in text
    assert re.search(r"p50 \d+\.\d ms  p99 \d+\.\d ms", text)
