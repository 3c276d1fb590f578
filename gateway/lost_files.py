"""Whether a data directory that was used still has all its shards' files."""

from gateway.processes import shard_path
from gateway.settings import Settings
from payments.clock import Clock
from payments.storage.base import StoreRefused
from payments.storage.courier import FILE_NAME, CourierStore


def refuse_lost_shards(settings: Settings, clock: Clock) -> None:
    """Raise StoreRefused when the courier read events of a shard whose file is not there.

    A shard makes its file when it starts for the first time. Made anew, it would forget every
    payment it ever took, and take their orders again. Called before anything starts, because it
    owns the courier's store for that moment.
    """
    for number, events in lost_shards(settings, clock).items():
        raise StoreRefused(
            f"{shard_path(settings, number)} is gone, and {events} events of it were read. Put it "
            "back, or restore the backup (docs/OPERATIONS.md); its payments are in no other file"
        )


def lost_shards(settings: Settings, clock: Clock) -> dict[int, int]:
    """Shards without a file -> how many events of theirs the courier read; above zero."""
    shards = range(settings.shards.count)
    gone = [number for number in shards if not shard_path(settings, number).exists()]
    if not gone or not (settings.data_path / FILE_NAME).exists():
        return {}
    read = _read_up_to(settings, clock)
    return {number: read[number] for number in gone if read.get(number, 0) > 0}


def _read_up_to(settings: Settings, clock: Clock) -> dict[int, int]:
    store = CourierStore(settings.data_path / FILE_NAME, livemode=settings.livemode, clock=clock)
    store.open()
    try:
        return store.cursors()
    finally:
        store.close()
