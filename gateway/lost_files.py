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
    places = [shard_path(settings, number) for number in range(settings.shards.count)]
    gone = {number: path for number, path in enumerate(places) if not path.exists()}
    if gone and (settings.data_path / FILE_NAME).exists():
        read = _read_up_to(settings, clock)
        for number, path in gone.items():
            if read.get(number, 0) > 0:
                raise StoreRefused(
                    f"{path} is gone, and {read[number]} events of it were read. Put it back, or "
                    "restore the backup (docs/OPERATIONS.md); its payments are in no other file"
                )


def _read_up_to(settings: Settings, clock: Clock) -> dict[int, int]:
    store = CourierStore(settings.data_path / FILE_NAME, livemode=settings.livemode, clock=clock)
    store.open()
    try:
        return store.cursors()
    finally:
        store.close()
