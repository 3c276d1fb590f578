"""The reconciler ends before or after each of its writes, and compares the same bill again."""

import io
from hashlib import sha256

import pytest

from payments.channels.wechat import bill
from payments.clock import ManualClock
from payments.reconciliation import daily, rehearsal
from payments.reconciliation.lines import day_bounds
from payments.storage.comparing import Bill, Comparing
from payments.storage.reconciliation import ReconciliationStore
from payments.storage.rehearsal import BILL, SHARD, write

DAY = 20261121
PAYMENTS, PLANTED_EACH = 60, 20
CHUNK = 10
"""Differences in one write, so that a day of a few has several."""


class Died(BaseException):
    """The process ends here."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A shard's file and the bill of its day, with known differences."""
    folder = tmp_path_factory.mktemp("rehearsed") / "day"
    day = rehearsal.rehearse(PAYMENTS, DAY, bill.CHANNEL, PLANTED_EACH, 1)
    details = bill.Details(rate_ppm=rehearsal.RATE.rate_ppm)

    def bill_of(lines):
        return bill.write(bill.BillType.ALL, ((line, details) for line in lines))

    write(folder, day, DAY, bill_of)
    return folder


def compared(folder, data):
    """The day's comparison, over whatever an earlier process has left."""
    _, ended = day_bounds(DAY)
    clock = ManualClock(ended + 11 * daily.HOUR_MS)
    content = (folder / BILL).read_bytes()
    asked = Bill(rehearsal.ACCOUNT, bill.CHANNEL, DAY, BILL, sha256(content).hexdigest())
    comparing = Comparing(data, [folder / SHARD], clock, livemode=False)
    run = comparing.compare(asked, io.BytesIO(content), bill.read, rehearsal.RATE)
    reader = comparing.reader()
    try:
        return run, list(reader.items(run.id)), [each.id for each in reader.runs(10)]
    finally:
        reader.close()


def until(monkeypatch, count, is_written):
    """Writes are counted, and the `count`-th is the last: it is in the file, or it is not."""
    passed = []
    commit = ReconciliationStore.commit_now

    def dies(store, wanted):
        passed.append(wanted)
        if len(passed) == count and not is_written:
            store.abandon()
            raise Died
        commit(store, wanted)
        if len(passed) == count:
            store.abandon()
            raise Died

    monkeypatch.setattr(ReconciliationStore, "commit_now", dies)
    return passed


@pytest.fixture(scope="module")
def calm(folder, tmp_path_factory):
    """(What a comparison without a crash comes to, how often it writes)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("payments.reconciliation.importing.FOUND_PER_COMMIT", CHUNK)
        passed = until(patch, 0, is_written=True)
        found = compared(folder, tmp_path_factory.mktemp("calm"))
    return found, len(passed)


@pytest.mark.parametrize("is_written", [False, True])
def test_a_crash_at_any_write_costs_only_the_work(folder, calm, tmp_path, monkeypatch, is_written):
    """Nothing is seen of half a comparison; the next one has the same ids and differences."""
    whole, writes = calm
    monkeypatch.setattr("payments.reconciliation.importing.FOUND_PER_COMMIT", CHUNK)
    assert writes >= 4
    for count in range(1, writes + 1):
        data = tmp_path / str(count)
        data.mkdir()
        with monkeypatch.context() as patch:
            until(patch, count, is_written)
            with pytest.raises(Died):
                compared(folder, data)
        assert whole == compared(folder, data), (count, is_written)
