"""What the figures over real wires make of what they saw."""

import pytest

from load_tests import endings
from load_tests.endings import AMOUNT, ENDINGS, Outcome
from load_tests.figures import wires
from load_tests.figures.wires import WireRun, figure_of
from load_tests.sandboxes import WIRES, kept

WECHAT, ALIPAY, UNIONPAY = WIRES
VERIFIED = {"payments": {"succeeded": 60}, "doubled": 0, "trial_balance": 0, "chain_ok": True}


def a_run(wire, channel_us=1_500.0, errors=0):
    run = WireRun(wire, 2.0, [f"pay_{n}" for n in range(10)], [], 10, errors)
    run.latencies_ms = [float(n) for n in range(1, 11 + errors)]
    run.cpu_us = {"channel": channel_us, "sandbox": 2_000.0, "shard": 100.0}
    return run


def runs(**changes):
    return [a_run(wire, **changes) for wire in WIRES]


def test_the_lanes_own_work_is_what_it_uses_beyond_rsa():
    """1500 µs of which 700 are RSA: 800, 1.14 times as much."""
    figure = figure_of(runs(), 700.0, VERIFIED, 0, 0)

    assert 800.0 == figure.values["wechat"]["lane_us_without_rsa"]
    assert 1.14 == figure.values["wechat"]["lane_without_rsa_to_rsa"]
    assert (5.0, 3_600.0) == (
        figure.values["alipay"]["payments_per_second"],
        figure.values["alipay"]["cpu_us_per_payment"],
    )
    assert 2_000.0 == figure.values["unionpay"]["cpu_us_by_role"]["sandbox"]
    assert figure.met


@pytest.mark.parametrize(
    ("changes", "lost", "doubled"),
    [({"errors": 1}, 0, 0), ({}, 1, 0), ({}, 0, 1)],
    ids=["an error", "one lost", "one doubled"],
)
def test_the_figure_is_missed_when_anything_is_wrong(changes, lost, doubled):
    assert not figure_of(runs(**changes), 700.0, VERIFIED, lost, doubled).met


def test_rsa_costs_something():
    """A signature takes far longer than a check, both together less than ten milliseconds."""
    assert 50 < wires.rsa_us() < 10_000


def a_payment(ending, **changes):
    status, code = ENDINGS[ending]
    failure = None if code is None else {"code": code}
    made = {"status": status, "failure": failure, "late_success": ending == "9008"}
    return {**made, "overdue": False, "amount_refunded": 0, **changes}


def a_book(ending):
    money = AMOUNT if ENDINGS[ending][0] == "succeeded" else 0
    return {"charges": 1, "amount_minor": AMOUNT, "refunded_minor": AMOUNT - money}


def judged(wire=WECHAT, took_s=10.0, payment=None, books=None):
    """What is said of one payment of each ending, the first of them as given."""
    asked = {f"pay_{ending:0>24}": ending for ending in ENDINGS}
    payments = {each: a_payment(ending) for each, ending in asked.items()}
    found = {each[-24:]: a_book(ending) for each, ending in asked.items()}
    first = next(iter(asked))
    if payment is not None:
        payments[first] |= payment
    found |= books or {}
    outcome = Outcome(wire.name, payments=len(asked))
    endings._judge(outcome, wire, asked, payments, dict.fromkeys(asked, took_s), found)
    return outcome


def test_all_as_the_table_says_passes():
    assert judged().passed
    assert judged().slowest_s["9001"] == 10.0


@pytest.mark.parametrize(
    "wrong",
    [
        {"took_s": 61.0},
        {"payment": {"status": "reversed"}},
        {"payment": {"late_success": True}},
        {"payment": {"overdue": True}},
        {"books": {f"{9001:0>24}": {"charges": 2, "amount_minor": AMOUNT, "refunded_minor": 0}}},
        {"books": {"nobody": {"charges": 1, "amount_minor": AMOUNT, "refunded_minor": 0}}},
    ],
)
def test_whatever_is_wrong_is_found(wrong):
    """A late verdict, another ending, money too much, and money for nobody."""
    assert not judged(**wrong).passed


def test_the_channel_without_a_reverse_has_no_minute():
    """UnionPay's promise is worded so; its endings and its books are judged alike."""
    assert judged(wire=UNIONPAY, took_s=75.0).passed
    assert not judged(wire=UNIONPAY, payment={"status": "reversed"}).passed


def test_what_a_channel_keeps_is_what_it_took_and_did_not_give_back():
    assert 0 == kept(None)
    assert 500 == kept({"charges": 1, "amount_minor": 800, "refunded_minor": 300})
