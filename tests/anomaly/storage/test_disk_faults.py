"""A disk that fails: nothing acknowledged is lost, and nothing is acknowledged after."""

import random

import pytest

from payments.clock import ManualClock
from payments.storage.base import StoreError
from payments.storage.sqlite import SqliteStore

BATCHES = 12
OPTIONS = {"wal_pages": 40, "pending_max": 20}
"""Small limits: a dozen batches see checkpoints, a new start of the log and moves to the table."""


@pytest.fixture(params=["by_the_kernel", "in_a_thread"], autouse=True)
def open_log_sync(request, monkeypatch, disk):
    """Both ways to wait for the disk."""
    by_kernel = request.param == "by_the_kernel"
    monkeypatch.setitem(OPTIONS, "open_log_sync", disk.log_sync if by_kernel else lambda _: None)


def a_store(path, disk):
    return SqliteStore(path, clock=ManualClock(), vfs=disk.vfs_name, **OPTIONS)


@pytest.mark.parametrize("nth", [1, 2, 3, 5, 8, 13, 21])
@pytest.mark.parametrize("operation", ["sync", "write"])
async def test_an_error_of_the_disk_poisons_the_store(
    tmp_path, disk, survivors, commit_until_refused, make_batch, operation, nth
):
    """The n-th write or sync fails: that commit is refused, and so is every one after it."""
    path = tmp_path / "shard-0.db"
    store = a_store(path, disk)
    store.open()
    disk.plan(operation, nth)

    acknowledged = await commit_until_refused(store, 200)

    assert acknowledged < 200
    with pytest.raises(StoreError, match="takes no more"):
        await store.commit(make_batch(acknowledged + 2))
    store.close()
    assert acknowledged <= survivors(path) <= acknowledged + 1


@pytest.mark.parametrize("seed", range(4))
async def test_a_power_cut_loses_nothing_acknowledged(tmp_path, disk, survivors, make_batch, seed):
    """Whatever was not synced is dropped, kept or torn at random, at many moments of a run."""
    dice = random.Random(seed)
    path = tmp_path / "shard-0.db"
    store = a_store(path, disk)
    store.open()
    acknowledged, cuts = 0, []

    def perhaps_cut():
        if dice.random() < 0.03:
            files = {name: shadow.after_power_cut(dice) for name, shadow in disk.shadows.items()}
            cuts.append((acknowledged, files))

    disk.on_write = perhaps_cut
    for number in range(1, BATCHES + 1):
        await store.commit(make_batch(number))
        acknowledged = number
    disk.on_write = None
    store.close()

    assert BATCHES == survivors(path)
    assert len(cuts) > 3
    for index, (before, files) in enumerate(cuts):
        folder = tmp_path / f"cut-{index}"
        folder.mkdir()
        for name, content in files.items():
            (folder / name.rpartition("/")[2]).write_bytes(content)
        found = survivors(folder / path.name)
        assert before <= found <= before + 1, f"seed {seed}, cut {index}"
