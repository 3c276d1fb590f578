"""The log is synced beside the loop: by the real kernel, and with syncs that hang or fail."""

import asyncio
import gc
import logging
import os

import pytest
from caio import linux_aio

from payments.clock import ManualClock
from payments.storage.base import StoreError
from payments.storage.log_sync import KernelSync, kernel_sync
from payments.storage.sqlite import SqliteStore


@pytest.fixture
def log(tmp_path):
    """A file with something in it that waits for the disk."""
    path = tmp_path / "shard-0.db-wal"
    path.write_bytes(bytes(1 << 20))
    return path


@pytest.fixture
def synced(log):
    sync = KernelSync(log)
    yield sync
    sync.close()


class Held(KernelSync):
    """A sync of the kernel that begins when the test says so, or fails with what it says."""

    def __init__(self, path):
        super().__init__(path)
        self.asked, self.go = asyncio.Event(), asyncio.Event()
        self.error = None

    async def sync(self):
        self.asked.set()
        await self.go.wait()
        if self.error is not None:
            raise self.error
        await super().sync()


class Town:
    """A store whose syncs wait."""

    def __init__(self, path):
        self.path = path
        self.store = SqliteStore(path, clock=ManualClock(), open_log_sync=self._open)

    def _open(self, path):
        self.sync = Held(path)
        return self.sync

    async def begin(self, batch):
        """A commit whose log is written and not synced."""
        self.sync.asked.clear()
        commit = asyncio.create_task(self.store.commit(batch))
        async with asyncio.timeout(5):
            await self.sync.asked.wait()
        return commit


@pytest.fixture
def town(tmp_path):
    town = Town(tmp_path / "shard-0.db")
    town.store.open()
    yield town
    town.store.close()


async def test_the_kernel_syncs_again_and_again(synced, log):
    """Each is waited for by itself, and the file is written on between them."""
    with log.open("r+b", buffering=0) as file:
        for number in range(50):
            file.write(b"%d" % number)
            async with asyncio.timeout(5):
                await synced.sync()
    assert not synced._is_under_way


async def test_the_loop_goes_on_while_the_kernel_syncs(synced):
    """The sync is handed over; nothing has ended before the loop looks."""
    sync = asyncio.create_task(synced.sync())
    await asyncio.sleep(0)
    assert synced._is_under_way
    assert not sync.done()
    async with asyncio.timeout(5):
        await sync


def test_one_sync_serves_several_loops(synced):
    """A store outlives the loop that opened it, as where each coroutine is run by itself."""
    for _ in range(3):
        asyncio.run(asyncio.wait_for(synced.sync(), 5))
    assert synced._loop.is_closed()


async def test_two_at_a_time_are_refused(synced):
    first = asyncio.create_task(synced.sync())
    await asyncio.sleep(0)
    with pytest.raises(AssertionError, match="one sync at a time"):
        await synced.sync()
    await first


async def test_what_the_kernel_refuses_is_raised(synced):
    """A pipe cannot be synced: the kernel's own words come out."""
    ours, theirs = os.pipe()
    file, synced._file = synced._file, ours
    with pytest.raises(ValueError, match="EINVAL"):
        await synced.sync()
    os.close(ours)
    os.close(theirs)
    synced._file = file
    async with asyncio.timeout(5):
        await synced.sync()


async def test_a_sync_that_failed_says_why(synced, monkeypatch):
    """An operation that ended with an error is not taken for one that went well."""

    class Failed:
        def __init__(self, file):
            self.inner = linux_aio.Operation.fdsync(file)

        @classmethod
        def fdsync(cls, file):
            return cls(file)

        def set_callback(self, callback):
            self.inner.set_callback(callback)

        def get_value(self):
            raise SystemError("Input/output error")

    class Context:
        def __init__(self, inner):
            self.inner = inner

        def __getattr__(self, name):
            return getattr(self.inner, name)

        def submit(self, operation):
            return self.inner.submit(operation.inner)

    monkeypatch.setattr(synced, "_context", Context(synced._context))
    monkeypatch.setattr(synced, "_operation", Failed)
    with pytest.raises(SystemError, match="Input/output error"):
        await asyncio.wait_for(synced.sync(), 5)


async def test_results_that_cannot_be_read_fail_the_sync(synced, monkeypatch):
    """Whoever waits is told: a sync of which nothing is heard would hold its answers for ever."""

    class Deaf:
        def __init__(self, inner):
            self.inner = inner

        def __getattr__(self, name):
            return getattr(self.inner, name)

        def process_events(self, *_):
            raise SystemError("no results")

    with monkeypatch.context() as patch:
        patch.setattr(synced, "_context", Deaf(synced._context))
        with pytest.raises(SystemError, match="no results"):
            await asyncio.wait_for(synced.sync(), 5)


async def test_a_sync_that_was_not_taken_is_an_error(synced, monkeypatch):
    """It would never end."""

    class Busy:
        def __init__(self, inner):
            self.fileno = inner.fileno

        def submit(self, _):
            return 0

    with monkeypatch.context() as patch:
        patch.setattr(synced, "_context", Busy(synced._context))
        with pytest.raises(OSError, match="did not take"):
            await asyncio.wait_for(synced.sync(), 5)


async def test_a_cancelled_sync_is_waited_for_by_close(log):
    """What the kernel lent is given back: no more open files, and no error in the loop."""
    errors = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        synced = KernelSync(log)
        sync = asyncio.create_task(synced.sync())
        await asyncio.sleep(0)
        sync.cancel()
        await asyncio.wait([sync])
        synced.close()
        del sync
    assert before == len(os.listdir("/proc/self/fd"))
    assert [] == errors


@pytest.mark.parametrize("error", [ImportError("Linux 4.17"), SystemError("no such call")])
async def test_without_such_a_kernel_a_thread_waits(
    tmp_path, make_batch, survivors, caplog, monkeypatch, error
):
    """It is said once at the opening, and the store works all the same."""

    def refuse(**_):
        raise error

    monkeypatch.setattr(linux_aio, "Context", refuse)
    path = tmp_path / "shard-0.db"
    store = SqliteStore(path, clock=ManualClock(), open_log_sync=kernel_sync)
    with caplog.at_level(logging.WARNING):
        store.open()
    assert [str(error) in record.message for record in caplog.records] == [True]
    assert (2,) == store._writer.execute("PRAGMA synchronous").fetchone()
    await store.commit(make_batch(1))
    store.close()
    assert 1 == survivors(path)


async def test_reads_do_not_see_what_is_not_durable(town, make_batch):
    """Neither while the sync is under way nor in between; from its end on they do."""
    store = town.store
    commit = await town.begin(make_batch(1))
    assert store.payment_by_no(1) is None
    assert [] == store.entries_after(0, 9)
    assert store.balance("cash", "CNY") is None
    assert not commit.done()

    town.sync.go.set()
    await asyncio.wait_for(commit, 5)
    assert b"made 1" == store.payment_by_no(1)[8]
    assert 3 == len(store.entries_after(0, 9))


async def test_after_a_sync_that_failed_reads_stay_with_what_was_durable(
    town, make_batch, survivors
):
    """The store is poisoned; whether the batch is there is for the next owner to find out."""
    town.sync.go.set()
    await town.store.commit(make_batch(1))
    town.sync.error = OSError(5, "Input/output error")
    with pytest.raises(StoreError, match="Input/output error"):
        await town.store.commit(make_batch(2))
    town.sync.error = None
    gc.collect()  # Nothing of the error keeps the snapshot: the store does.
    assert b"made 1" == town.store.payment_by_no(1)[8]
    assert town.store.payment_by_no(4) is None
    with pytest.raises(StoreError, match="takes no more"):
        await town.store.commit(make_batch(2))
    town.store.close()
    assert survivors(town.path) in (1, 2)


async def test_whoever_is_abandoned_before_the_sync_leaves_a_whole_file(
    town, make_batch, survivors
):
    """As a kill between the log's write and its sync: the kernel has the pages."""
    town.sync.go.set()
    await town.store.commit(make_batch(1))
    town.sync.go.clear()
    commit = await town.begin(make_batch(2))
    commit.cancel()
    await asyncio.wait([commit])
    town.store.abandon()
    assert 2 == survivors(town.path)


async def test_the_log_is_emptied_while_commits_are_synced_beside(tmp_path, make_batch):
    """The reads that are held back do not keep checkpoints from coming to their end."""
    store = SqliteStore(tmp_path / "shard-0.db", clock=ManualClock(), wal_pages=40)
    store.open()
    for number in range(1, 61):
        await store.commit(make_batch(number))
    assert 3 < store.facts()["checkpoints"]
    assert 200 * 4096 > store.facts()["wal_bytes"]
    store.close()
