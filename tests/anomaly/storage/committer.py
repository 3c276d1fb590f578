"""A process that commits batch after batch and says so: `committer.py FILE [BYTES_MAX]`.

Each acknowledged number is written to standard output before the next batch begins. With
`BYTES_MAX`, no file may grow beyond it, which SQLite sees as a full disk. Ends with status 3 once
the store refuses, having tried once more.
"""

import asyncio
import os
import resource
import signal
import sys
from pathlib import Path

from conftest import make_batch

from payments.clock import ManualClock
from payments.storage.base import StoreError
from payments.storage.sqlite import SqliteStore

BATCHES_MAX = 100_000
REFUSED = 3


async def main(path: Path, bytes_max: int | None) -> int:
    store = SqliteStore(path, clock=ManualClock(), wal_pages=200, pending_max=200)
    first = store.open().commit_no + 1
    if bytes_max is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_max, bytes_max))
    for number in range(first, BATCHES_MAX):
        try:
            await store.commit(make_batch(number))
        except StoreError as error:
            os.write(2, f"{error}\n".encode())
            try:
                await store.commit(make_batch(number))
            except StoreError as again:
                return REFUSED if "takes no more" in str(again) else 1
            return 1
        os.write(1, f"{number}\n".encode())
    return 1


sys.exit(asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]) if sys.argv[2:] else None)))
