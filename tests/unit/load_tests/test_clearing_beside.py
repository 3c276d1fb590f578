"""The figure of clearing beside payments with few rows: a real gateway, on one loop."""

import json
from email.message import Message
from types import SimpleNamespace
from urllib.error import HTTPError

import pytest

from load_tests import bench, orders
from load_tests.figures import clearing_beside
from load_tests.process import ServerFailed

SOUND = {
    "ok": True,
    "payments": {"succeeded": 107},
    "doubled": 0,
    "trial_balance": 0,
    "chain_ok": True,
    "transits_due": 0,
}
RATE = 40
WORDS = ("--figure", "clearing-beside", "--runtime", "local", "--payments", "300")


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Nobody measures a peak here; a busy machine may take its time."""
    found = SimpleNamespace(wrk=SimpleNamespace(per_second=2.0 * RATE))
    monkeypatch.setattr(clearing_beside, "closed_run", lambda *_: found)
    monkeypatch.setattr(clearing_beside, "START_S", 1e6)
    monkeypatch.setattr(clearing_beside, "TIMES_MAX", 1e6)
    monkeypatch.setattr(clearing_beside, "MERCHANT_PAYMENTS", 100)


def measured(tmp_path):
    out = tmp_path / "out"
    words = [*WORDS, "--duration", "1", "--out", str(out), "--work", str(tmp_path)]
    code = bench.main(words)
    return code, json.loads((out / "run.json").read_text())["figures"][0]


def test_a_day_is_cleared_while_payments_go_on(tmp_path):
    """Every payment that was acknowledged is in the ledger, and the last shop has its batch."""
    code, figure = measured(tmp_path)

    assert (bench.EXIT_OK, True) == (code, figure["met"])
    told, audit = figure["values"]["acknowledged"], figure["audit"]
    assert 0 < min(told.values())
    assert (sum(told.values()), 0, 0) == (audit["in_ledger"], audit["lost"], audit["doubled"])
    assert clearing_beside.WITHOUT == len(figure["values"]["windows_p99_ms"]["without"])
    errors = figure["values"]["errors"]
    assert len(told) == len(errors)
    assert not any(sum(each.values()) for windows in errors.values() for each in windows)
    assert 3 == figure["values"]["orders"]
    assert 1 <= figure["values"]["messages"] <= 3
    assert 0 < figure["values"]["filed_s"] <= figure["bars"][0]["value"]


@pytest.mark.parametrize(
    ("changes", "is_done", "samples", "passes"),
    [
        ({}, True, (0, 0), True),
        ({}, False, (0, 0), False),
        ({}, True, (1, 0), False),
        ({}, True, (0, 1), False),
        ({"ok": False}, True, (0, 0), False),
        ({"transits_due": 1}, True, (0, 0), False),
        ({"payments": {"succeeded": 106}}, True, (0, 0), False),
        ({"payments": {"succeeded": 108}}, True, (0, 0), False),
    ],
)
def test_what_the_ledger_and_the_samples_say_decides(changes, is_done, samples, passes):
    """A hundred were stored; seven were acknowledged, none was left open."""
    offers = [SimpleNamespace(acknowledged=n, errors=0) for n in (3, 4)]

    counted = clearing_beside.audited(100, offers, samples, SOUND | changes, is_done=is_done)

    assert passes is counted.passed


SHOPS = [{"id": name, "account": {"number": f"6222-{name}"}} for name in "ab"]
BATCHES = [{"merchant": "a", "net": 10}, {"merchant": "b", "net": 7}]


@pytest.mark.parametrize(
    ("told", "batches", "found"),
    [
        ([("6222-a", 10), ("6222-b", 7)], BATCHES, (0, 0)),
        ([("6222-a", 10)], BATCHES, (1, 0)),
        ([("6222-a", 10), ("6222-b", 7), ("6222-b", 7)], BATCHES, (0, 1)),
        ([("6222-a", 10), ("6222-b", 8)], BATCHES, (1, 1)),
        ([("6222-a", 7), ("6222-b", 10)], BATCHES, (2, 2)),
        ([("6222-a", 10)], BATCHES[:1], (1, 0)),
    ],
)
def test_each_shop_is_paid_what_its_batch_says_once(told, batches, found):
    """(lost, doubled): an order too few, too many, of another amount, to another account."""
    orders_told = [orders.Order(account, amount, "m") for account, amount in told]

    assert found == orders.of_orders(SHOPS, batches, orders_told)


@pytest.mark.parametrize(("code", "asks_again"), [(503, True), (500, False)])
def test_a_watch_asks_again_where_it_is_told_to(code, asks_again):
    """503: nothing is there yet. What is our bug, ends the run."""

    def refused():
        raise HTTPError("http://127.0.0.1:1", code, "", Message(), None)

    if asks_again:
        assert not orders.is_done(refused)
    else:
        with pytest.raises(HTTPError):
            orders.is_done(refused)


def test_a_watch_that_hears_nothing_ends_the_run(monkeypatch):
    """A gateway that is gone has no batches, and never will."""
    failed = []
    monkeypatch.setattr("threading.excepthook", lambda told: failed.append(told.exc_type))
    monkeypatch.setattr(orders, "POLL_S", 0.001)
    nobody = SimpleNamespace(url="http://127.0.0.1:1", api_key="key")
    watch = orders.Watch(nobody, nobody, [{"id": "mch_x"}])
    watch._thread.join()

    with pytest.raises(ServerFailed, match="how far"):
        assert watch.goes_on
    assert 1 == len(failed)
