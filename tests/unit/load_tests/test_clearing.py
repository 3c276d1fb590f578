"""The figure of clearing with few rows: from made rows to signed orders, audited from the rows."""

import json
import sqlite3

import pytest

from gateway.counted_store import rows_of
from load_tests import bench
from load_tests.audit import Audit
from load_tests.figures import clearing
from load_tests.gateway import verify_ledger
from load_tests.history import load
from payments.clearing import rehearsal
from payments.ledger import pack_postings
from payments.storage import clearing_day
from payments.storage.audit import audit_all
from payments.storage.base import Batch, StoreRefused

MEMORY = ("memory_mib", "private_mib", "mapped_mib")
SOUND = {
    "ok": True,
    "payments": {"succeeded": 5},
    "doubled": 0,
    "trial_balance": 0,
    "chain_ok": True,
    "transits_due": 0,
}


def test_it_is_measured_audited_and_kept(tmp_path, monkeypatch):
    """Three days, the last with ten merchants: each is paid once, in one signed message."""
    monkeypatch.setattr(clearing, "SECONDS_MAX", 1e6)
    monkeypatch.setattr(clearing, "SHARES", (10, 1))
    monkeypatch.setattr(clearing, "MERCHANT_PAYMENTS", 100)
    monkeypatch.setattr(clearing, "TURNS", 1)
    out = tmp_path / "out"
    words = ["--figure", "clearing", "--payments", "1000", "--runs", "1", "--out", str(out)]

    code = bench.main([*words, "--work", str(tmp_path), "--json"])

    figure = json.loads((out / "run.json").read_text())["figures"][0]
    assert (bench.EXIT_OK, "clearing", True) == (code, figure["name"], figure["met"])
    assert (1_200, 1_200, 0, 0, 0) == tuple(
        figure["audit"][name]
        for name in ("acknowledged", "in_ledger", "doubled", "lost", "trial_balance")
    )
    assert (10, 1) == (figure["values"]["instructions"], figure["values"]["messages"])
    values = {name: figure["values"][name]["1000"] for name in MEMORY}
    assert 0 < values["mapped_mib"] < values["memory_mib"] < clearing.MEMORY_MIB_MAX
    assert 0 < values["private_mib"] < values["memory_mib"]
    assert 0 < figure["values"]["longest_slice_ms"]["1000"]
    of_each = figure["values"]["cpu_us_of_each_run"]
    assert {"100": 2, "1000": 1} == {size: len(runs) for size, runs in of_each.items()}
    rows = figure["values"]["rows_per_payment"]
    assert 2 * 1.02 < rows["read"]["1000"] < 4  # An entry and what it is about; refunds, batches.
    assert 0 < rows["written"]["1000"] < 4
    assert 1 == len(load(out))


def test_a_bar_that_is_missed_is_told(tmp_path, monkeypatch):
    """Exit code 4: the day took longer than it may."""
    monkeypatch.setattr(clearing, "SECONDS_MAX", 0.0)
    monkeypatch.setattr(clearing, "SHARES", (1,))
    words = ["--figure", "clearing", "--payments", "20", "--runs", "1", "--work", str(tmp_path)]

    assert bench.EXIT_THRESHOLD == bench.main([*words, "--out", str(tmp_path / "out")])


@pytest.mark.parametrize(
    ("changes", "passes"),
    [
        ({}, True),
        ({"ok": False}, False),
        ({"transits_due": 3}, False),
        ({"chain_ok": False}, False),
        ({"doubled": 1}, False),
        ({"trial_balance": 1}, False),
        ({"payments": {"succeeded": 4}}, False),
    ],
)
def test_what_the_ledger_says_decides(changes, passes):
    """A complaint about a batch, money on its way and a lost payment fail the audit."""
    assert passes is clearing.audited(5, SOUND | changes).passed


def test_the_cost_is_held_against_the_cheapest_day():
    assert 0.5 == clearing._spread([20.0, 10.0, 15.0])
    assert 0.0 == clearing._spread([20.0, 10.0])


def test_rows_of_a_commit_are_those_of_tables_indexes_and_entries():
    """One entry with two postings, a record that is due and one that is not, a change, a fold."""
    batch = Batch.empty()
    assert 1 == rows_of(batch)
    postings = pack_postings((("fees:income#1", -4), ("merchant:m:pending", 4)))
    batch.entries.append((1, 1, 1, "e", "s", 0, "cny", postings, b""))
    batch.records += [(1, "a", "k", "o", 1, 7, b""), (2, "b", "k", "o", 1, None, b"")]
    batch.record_changes.append((None, b"", 1))
    batch.events.append((1, 1, 1, "evt", "type", 0, b""))
    batch.balances.append(("a", "cny", 4, 1))

    assert 1 + (2 + 2) + (3 + 1 + 3) + 1 + 2 + 1 == rows_of(batch)


# --- the made day ----------------------------------------------------------------------------


@pytest.fixture
def day(tmp_path):
    """A folder with a day of 400 sales of 4 shops."""
    folder = tmp_path / "day"
    facts = {"payments": 400, "merchants": 4, "seed": 1, "business_date": rehearsal.DATE}
    clearing_day.write(folder, rehearsal.sales(rehearsal.shops(4), 400), facts)
    return folder


def test_the_day_has_everything_that_days_have(day):
    """Sound books before clearing, with receivers, coupons and refunds."""
    found, home = audit_all([day / clearing_day.SHARD], lambda _: None)

    assert found[0].ok, found[0].complaints
    assert ([], {"succeeded": 400}) == (list(home.complaints()), found[0].payments)
    sold = [sale for _, sale in rehearsal.sales(rehearsal.shops(4), 400)]
    assert {3} == {len(sale.payment.shares) for sale in sold}
    assert 10 < sum(bool(sale.payment.discounts) for sale in sold) < 100
    assert 5 < sum(sale.refund is not None for sale in sold) < 50
    for sale in sold:
        assert 0 == sum(minor for _, minor in (*sale.paid, *sale.returned))


def test_the_same_seed_makes_the_same_day():
    one, same, other = (
        list(rehearsal.sales(rehearsal.shops(3, seed=seed), 30, seed=seed)) for seed in (1, 1, 2)
    )
    assert one == same
    assert one != other


def test_a_day_is_not_written_over_another(day):
    with pytest.raises(StoreRefused, match="exists"):
        clearing_day.write(day, [], {})


def test_the_audit_sees_a_batch_that_is_not_its_members(day):
    """A cleared day is sound; with one refund's amount changed behind its back it is not."""
    from gateway.clearing_drill import drill

    answer = drill(day)
    assert (400, 4, 1) == (answer["payments"], answer["instructions"], answer["messages"])
    assert answer["paid"] > 0
    assert clearing.audited(400, verify_ledger(day)).passed

    with sqlite3.connect(day / clearing_day.SHARD) as file:
        file.execute("DELETE FROM record WHERE kind = 'batch' AND no = (SELECT min(no) FROM record"
                     " WHERE kind = 'batch')")  # fmt: skip
    file.close()
    found: Audit = clearing.audited(400, verify_ledger(day))
    assert not found.passed
