"""A shard's file that is gone from a used data directory: nothing may start without it."""

import asyncio

import pytest

from gateway.lost_files import lost_shards, refuse_lost_shards
from gateway.processes import shard_path
from gateway.settings import load
from payments.clock import ManualClock
from payments.storage.base import StoreRefused
from payments.storage.courier import FILE_NAME, CourierStore

READ_UP_TO = {0: 17, 1: 0}
"""Shard -> events that the courier read; the second one never committed any."""


@pytest.fixture
def used(tmp_path):
    """Settings of a data directory with two shards, and a courier who read of one of them."""
    settings = load(None, {"data_dir": str(tmp_path), "shards.count": 2}, {})
    store = CourierStore(tmp_path / FILE_NAME, livemode=settings.livemode, clock=ManualClock())
    store.open()
    asyncio.run(store.commit([("set_cursor", each) for each in READ_UP_TO.items()]))
    store.close()
    for number in READ_UP_TO:
        shard_path(settings, number).touch()
    return settings


def test_a_whole_data_directory_may_start(used):
    assert {} == lost_shards(used, ManualClock())


def test_a_shard_that_was_read_must_be_there(used):
    shard_path(used, 0).unlink()

    assert {0: 17} == lost_shards(used, ManualClock())
    with pytest.raises(StoreRefused, match=r"shard-0\.db is gone, and 17 events"):
        refuse_lost_shards(used, ManualClock())


def test_a_first_start_that_was_cut_off_is_no_loss(used):
    """The courier made its file, the second shard did not come to it."""
    shard_path(used, 1).unlink()

    assert {} == lost_shards(used, ManualClock())


def test_a_new_data_directory_has_nothing_to_lose(tmp_path):
    settings = load(None, {"data_dir": str(tmp_path / "new")}, {})

    assert {} == lost_shards(settings, ManualClock())


def test_the_courier_can_open_its_store_afterwards(used):
    shard_path(used, 0).unlink()
    with pytest.raises(StoreRefused):
        refuse_lost_shards(used, ManualClock())

    store = CourierStore(used.data_path / FILE_NAME, livemode=used.livemode, clock=ManualClock())
    store.open()

    assert READ_UP_TO == store.cursors()
    store.close()
