"""What is read once after a start, so that payments need not wait for it."""

import itertools

import apsw
import pytest

from payments.ids import IdMint, SeededEntropy
from payments.reference import Merchant, MerchantStatus
from payments.storage import connect, read_ahead
from payments.storage.base import Batch, StoreError
from payments.storage.bulk import make_payments
from payments.storage.read_ahead import ReadAhead
from payments.storage.seek import bucket_bounds
from payments.storage.sqlite import SqliteStore

COUNT = 300
SPOTS_EACH = 3
"""Key, order and merchant; nobody showed a code."""


@pytest.fixture
def path(tmp_path):
    shop = Merchant(IdMint(SeededEntropy(2)).new("mch", 1, 7), 1, "A", MerchantStatus.ACTIVE, 7)
    made = tmp_path / "shard-0.db"
    make_payments(made, COUNT, [shop])
    return made


@pytest.fixture
def small(monkeypatch):
    """Worth it from the first payment on."""
    monkeypatch.setattr(read_ahead, "PAYMENTS_MIN", 1)


@pytest.fixture
def endless(monkeypatch):
    """A table that never ends."""
    monkeypatch.setattr(read_ahead, "bucket_bounds", lambda: itertools.repeat((0, 1)))


def test_buckets_are_all_there_is():
    """From the lowest number of 64 bits to the highest, none left out, none twice."""
    bounds = list(bucket_bounds())
    assert (-(1 << 63), (1 << 63) - 1) == (bounds[0][0], bounds[-1][1])
    assert all(end + 1 == begin for (_, end), (begin, _) in itertools.pairwise(bounds))


def test_all_of_the_table_is_passed(path, small):
    store = SqliteStore(path)
    store.open()
    store._read_ahead.wait()
    assert store._reader.execute("SELECT count(*) FROM seek").fetchone() == (
        store._read_ahead.spots,
    )
    assert store._read_ahead.spots >= SPOTS_EACH * COUNT
    store.close()


def test_a_small_store_is_left_alone(path):
    """Its table is a few pages."""
    store = SqliteStore(path)
    store.open()
    assert store._read_ahead is None
    store.close()


@pytest.mark.parametrize(("payment_no", "is_worth_it"), [(9, 0), (10, 1), (20, 1), (21, 0)])
def test_limits(path, monkeypatch, payment_no, is_worth_it):
    monkeypatch.setattr(read_ahead, "PAYMENTS_MIN", 10)
    monkeypatch.setattr(read_ahead, "PAYMENTS_MAX", 20)
    begun = read_ahead.read_ahead(path, None, payment_no)
    assert is_worth_it == (begun is not None)
    if begun is not None:
        begun.close()


def test_a_close_does_not_wait_for_its_end(path, endless):
    begun = ReadAhead(path, None)
    begun.close()
    assert begun.error is None


def test_a_store_that_closes_ends_it(path, small, endless):
    """Its thread reads no file that its owner has let go."""
    store = SqliteStore(path)
    store.open()
    begun = store._read_ahead
    store.close()
    assert not begun._thread.is_alive()
    with pytest.raises(apsw.ConnectionClosedError):
        begun._connection.execute("SELECT 1")


async def test_what_cannot_be_read_stops_the_store(path, small, monkeypatch):
    """The next commit says so, as with every other failure of the disk."""
    monkeypatch.setitem(read_ahead.SEEK, "count_spots", "SELECT ?1, ?2 FROM gone")
    store = SqliteStore(path)
    store.open()
    store._read_ahead.wait()
    assert isinstance(store._read_ahead.error, apsw.SQLError)
    with pytest.raises(StoreError, match="gone"):
        await store.commit(Batch.empty())
    store.close()


def test_it_only_reads(path):
    begun = ReadAhead(path, None)
    begun.wait()
    with pytest.raises(apsw.ReadOnlyError):
        begun._connection.execute("DELETE FROM seek")
    begun.close()
    assert connect.reader(path).execute("SELECT count(*) FROM seek").fetchone() == (begun.spots,)
