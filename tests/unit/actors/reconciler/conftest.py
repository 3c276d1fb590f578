"""A shard over a store in a file, which may be opened again."""

import pytest

from actors.core import Core, ShardOptions
from actors.shard import MerchantShard
from actors.snapshot import Reference
from payments.clock import ManualClock
from payments.idempotency import Digests
from payments.storage.sqlite import SqliteStore
from payments.testing import a_policy


@pytest.fixture
async def make_shard(tmp_path):
    """make_shard(): the shard, started anew over the same file."""
    stores = []

    async def make():
        for store in stores:
            store.abandon()
        stores.clear()
        clock = ManualClock()
        store = SqliteStore(tmp_path / "shard-0.db", 0, False, shards=1, clock=clock)
        options = ShardOptions("shard-0", 0, (), a_policy())
        reference = Reference(clock)
        reference.complete = True
        core = Core(options, store, clock, Digests(b"k" * 32), reference, lambda why: None)
        shard = MerchantShard(core)
        shard.open()
        stores.append(store)
        return shard

    yield make
    for store in stores:
        store.abandon()
