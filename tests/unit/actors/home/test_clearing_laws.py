"""Clearing over real files: whatever is sold, split, given back, carried and restarted, the audit
that reads every row again finds the books and the batches right.
"""

import time
from random import Random

import pytest
from msgspec.structs import replace

from actors.home_messages import Carry, Land, Landed
from home_clearing import Till, batches, clear, work
from home_payouts import made
from home_shard import HomeShard
from payments.calendar import business_date
from payments.clearing.batch import BatchState
from payments.clearing.runs import GRACE_MS, Runs
from payments.clearing.workdays import cut_off_ms, plus_days
from payments.reference import Merchant, MerchantStatus
from payments.storage.audit import audit_all
from payments.storage.bulk import make_payments
from payments.testing import NOW_MS, a_merchant

HERE, THERE = 17, 900
MERCHANTS = [a_merchant(id=made("mch", 1, HERE, n), number=n) for n in (1, 2, 3)]
OTHERS = [a_merchant(id=made("mch", 1, THERE, n), number=n) for n in (4, 5)]
RECEIVERS = [made("rcv", 1, partition, "one of two") for partition in (HERE, THERE)]
START = cut_off_ms(business_date(NOW_MS)) - 12 * 3_600_000


class Pair:
    """Two shards with a partition each, and somebody who carries between them, now and then."""

    def __init__(self, folder):
        self.shards = [
            HomeShard([*MERCHANTS, *OTHERS], path=folder / f"{n}.db", now_ms=START, number=n)
            for n in (0, 1)
        ]
        self.tills = [Till(shard) for shard in self.shards]
        self._own()

    def _own(self):
        for shard, partition in zip(self.shards, (HERE, THERE), strict=True):
            shard.core.options = replace(shard.core.options, partitions=frozenset({partition}))

    def restart(self, n):
        self.shards[n].commit()
        self.shards[n].restart()
        self._own()

    def pass_time(self, seconds):
        for shard in self.shards:
            shard.commit()
            shard.clock.advance(seconds)
            shard.tick()

    def rest(self):
        for shard in self.shards:
            work(shard)

    def carry(self):
        """What each shard said to the custody box is said to the other, twice."""
        for n in (0, 1):
            for carry in self.shards[n].custody.take(Carry):
                fields = {name: getattr(carry, name) for name in Carry.__struct_fields__}
                other = self.shards[1 - n]
                for _ in range(2):
                    other.hear(other.custody, Land(**fields))
                for landed in other.custody.take(Landed):
                    self.shards[n].hear(self.shards[n].custody, Landed(0, landed.source))

    def close(self):
        for shard in self.shards:
            shard.close()


def move(pair, dice):
    """One thing that happens, at either shard."""
    n = dice.randrange(2)
    till, shard = pair.tills[n], pair.shards[n]
    match dice.choice(("sell",) * 6 + ("give back", "clear", "slice", "restart", "carry", "wait")):
        case "sell":
            amount = dice.randrange(100, 10_000)
            share = ((dice.choice(RECEIVERS), dice.randrange(1, amount // 2)),)
            date = plus_days(business_date(shard.clock.now_ms()), dice.choice((0, 0, -1)))
            whose = dice.choice(MERCHANTS if n == 0 else OTHERS)
            till.sell(whose, amount, share * dice.randrange(2), date=date)
            shard.commit()
        case "give back" if till.sold:
            till.give_back(till.sold.pop(dice.randrange(len(till.sold))))
            shard.commit()
        case "clear":
            shard.made("clearing_batch.run", {}, "")
        case "slice":
            shard.desk.slices.step()
        case "restart":
            pair.restart(n)
        case "carry":
            pair.carry()
        case "wait":
            pair.pass_time(dice.choice((60, 3_600, 24 * 3_600)))


@pytest.mark.parametrize("seed", range(3))
def test_whatever_happens_the_audit_finds_the_batches_right(tmp_path, seed, monkeypatch):
    """Members add up, none is in two batches, every final sale is in one when all is quiet."""
    monkeypatch.setattr("actors.clearing.SLICE_ENTRIES", 7)
    monkeypatch.setattr("actors.clearing.FILED_MAX", 1)
    dice = Random(seed)
    pair = Pair(tmp_path)
    for _ in range(80):
        move(pair, dice)
    pair.rest()
    for _ in range(4):
        pair.pass_time(24 * 3_600)
        pair.rest()
        pair.carry()
    pair.pass_time(3_600)
    filed = [
        each
        for shard, merchants in zip(pair.shards, (MERCHANTS, OTHERS), strict=True)
        for merchant in merchants
        for each in batches(shard, merchant)
    ]
    booked = sum(
        row[3][-1] in "PR" for shard in pair.shards for row in shard.store.entries_after(0, 10_000)
    )
    pair.close()
    found, home = audit_all([tmp_path / "0.db", tmp_path / "1.db"], lambda _: None)

    assert all(each.ok for each in found), [each.complaints for each in found]
    assert [] == list(home.complaints())
    assert {BatchState.CLOSED} == {each.state for each in filed}
    assert booked == sum(each.netted.totals.items for each in filed) > 0


# --- Size ------------------------------------------------------------------------------------


def cleared(tmp_path, count):
    """(CPU seconds, wall seconds of the longest slice, batches, entries booked) of a file."""
    merchants = [
        Merchant(made("mch", 1, no % 8, no), no, "A shop", MerchantStatus.ACTIVE, no % 8)
        for no in range(1, 1_001)
    ]
    path = tmp_path / "shard-0.db"
    make_payments(path, count, merchants, last_ms=START)
    shard = HomeShard(merchants, path=path, now_ms=START)
    shard.made("clearing_batch.run", {}, "")
    began, longest, more = time.process_time(), 0.0, True
    while more or shard.core.records.get("clearing", Runs).run is not None:
        at = time.perf_counter()
        more = shard.desk.slices.step()
        longest = max(longest, time.perf_counter() - at)
        shard.commit()
    cpu_s = time.process_time() - began
    filed = [batches(shard, merchant) for merchant in merchants]
    booked = shard.core.books.entry_no - count
    again = sum(len(each) for each in filed)
    clear(shard)
    assert again == sum(len(batches(shard, merchant)) for merchant in merchants)
    shard.close()
    return cpu_s, longest, [each for each in filed if each], booked


def test_a_thousand_merchants_are_cleared_in_one_pass(tmp_path):
    """Ten thousand payments: all are in batches, one a merchant; nothing of it is an entry more."""
    _, _, filed, booked = cleared(tmp_path, 10_000)

    assert all(len(each) == 1 for each in filed)
    assert len(filed) > 990
    assert 10_000 == sum(each[0].netted.totals.items for each in filed)
    assert 0 == booked


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("count", [10_000, 100_000, 1_000_000])
def test_what_a_payment_costs(tmp_path, count):
    """CPU µs a payment from the file to filed batches, and the longest slice."""
    cpu_s, longest, filed, _ = cleared(tmp_path, count)
    found, home = audit_all([tmp_path / "shard-0.db"], lambda _: None)
    assert found[0].ok, found[0].complaints
    assert [] == list(home.complaints())
    print(f"{count}: {cpu_s / count * 1e6:.2f} µs a payment, {longest * 1e3:.1f} ms a slice")
    assert count == sum(each[0].netted.totals.items for each in filed)


def test_a_run_ends_at_its_instant_and_its_grace(tmp_path):
    """Nothing is due in an empty file; a sale makes the shard due at the end of its day."""
    pair = Pair(tmp_path)
    assert None is pair.shards[0].shard.timers.next_due()
    pair.tills[0].sell(MERCHANTS[0])
    pair.rest()
    day = business_date(START)
    assert cut_off_ms(day) + GRACE_MS == pair.shards[0].shard.timers.next_due()
    pair.close()
