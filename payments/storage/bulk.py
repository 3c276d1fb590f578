"""Filling a fresh store file with finished payments, fast: for tests and figures at size.

Each payment is whole: its row, its look-ups, its entry in an unbroken chain, its event, and the
balances folded from all of them, as if each had come in by itself. The same seed makes the same
file.
"""

import gc
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import apsw

from payments.reference import Merchant
from payments.storage import connect, migrate
from payments.storage.base import StoreRefused
from payments.storage.bulk_rows import Maker
from payments.storage.limits import pack_marks, pack_nonces
from payments.storage.owner import OwnerLock
from payments.storage.seek import Seek
from payments.storage.sql import WRITE

LAST_MS: Final = 1_790_000_000_000
"""2026-09-21: the made payments end here, long enough ago to be outside of every limit's day."""
SPAN_MS: Final = 30 * 86_400_000
CHUNK: Final = 16_384
"""Payments per database transaction and per report of progress."""
WAITING_MAX: Final = 4_000_000
"""Spots kept in memory (8 bytes each) before all of them move into the table, in order: in rounds,
so that its pages are as full as they would be had they grown slowly."""


def make_payments(
    path: Path,
    count: int,
    merchants: Sequence[Merchant],
    *,
    shard: int = 0,
    shards: int = 1,
    livemode: bool = False,
    account: str = "simulated",
    seed: int = 1,
    last_ms: int = LAST_MS,
    progress: Callable[[int], None] | None = None,
) -> None:
    """Make a store file at `path` with `count` succeeded payments of `merchants`.

    All of `merchants` must belong to the shard's partitions. `progress` is told the number done
    so far. The file has another name until it is whole and synced. Raise StoreRefused when it is
    there already.
    """
    connect.guard_version()
    if path.exists():
        raise StoreRefused(f"{path} exists; payments in bulk go into a new file")
    lock = OwnerLock(path)
    lock.take()
    try:
        unfinished = path.with_name(path.name + ".making")
        unfinished.unlink(missing_ok=True)
        connection = connect.scratch(unfinished)
        try:
            migrate.prepare(connection, migrate.Stamp(0, livemode, shard, shards))
            maker = Maker(merchants, account, livemode, seed)
            _fill(connection, maker, count, last_ms, progress)
        finally:
            connection.close()
        _sync(unfinished)
        unfinished.rename(path)
    finally:
        lock.release()


def _fill(
    connection: apsw.Connection,
    maker: Maker,
    count: int,
    last_ms: int,
    progress: Callable[[int], None] | None,
) -> None:
    seek = Seek(pending_max=0)

    def at_ms(no: int) -> int:
        return last_ms - (count - no) * SPAN_MS // count

    gc.disable()  # Nothing here is cyclic, and so many rows make the collector look all the time.
    try:
        _fill_rows(connection, maker, seek, count, at_ms, progress)
    finally:
        gc.enable()
    _fill_folds(connection, maker, count, last_ms)


def _fill_rows(
    connection: apsw.Connection,
    maker: Maker,
    seek: Seek,
    count: int,
    at_ms: Callable[[int], int],
    progress: Callable[[int], None] | None,
) -> None:
    while maker.no < count:
        payments, entries, events = maker.rows(min(CHUNK, count - maker.no), at_ms)
        with connection:
            connection.executemany(WRITE["add_payments"], payments)
            connection.executemany(WRITE["add_entries"], entries)
            connection.executemany(WRITE["add_events"], events)
            seek.committed(payments, [])
            if seek.count >= WAITING_MAX or maker.no == count:
                seek.move_all(connection)
        if progress is not None:
            progress(maker.no)


def _fill_folds(connection: apsw.Connection, maker: Maker, count: int, last_ms: int) -> None:
    with connection:
        connection.executemany(
            WRITE["set_balances"],
            [
                (account, "cny", minor, no)
                for account, (minor, no) in sorted(maker.balances.items())
            ],
        )
        connection.executemany(
            WRITE["set_heads"],
            [(partition, *head) for partition, head in sorted(maker.heads.items())],
        )
        marks = pack_marks({"balance_floor": count})
        connection.execute(WRITE["add_commit"], (1, 0, last_ms, marks, pack_nonces([])))


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
