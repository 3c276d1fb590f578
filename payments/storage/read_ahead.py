"""Reading the table of look-ups once after a start, beside everything else.

After a restart its pages are on the disk only. One look-up in three of a shard with ten million
payments needs one of them, a shard has one thread, and each page that it waits for holds up all
others: so they are fetched into the system's cache in order, in a second or two, before they are
asked for one by one.
"""

from pathlib import Path
from threading import Thread
from typing import Any, Final

import apsw

from payments.storage import connect
from payments.storage.seek import bucket_bounds
from payments.storage.sql import SEEK

PAYMENTS_MIN: Final = 100_000
"""Below so many payments, the table has a few megabytes and is in the cache before it matters."""

PAYMENTS_MAX: Final = 100_000_000
"""Beyond so many, it has four gigabytes: not to be had in memory by reading it once."""


class ReadAhead:
    """One pass in a thread of its own. `error` is what it failed with; the store then stops.

    A bucket at a time: one long look at the table would keep the owner's log from beginning anew.
    """

    def __init__(self, path: Path, vfs: str | None) -> None:
        self.error: apsw.Error | None = None
        self.spots = 0
        """How many it has passed."""
        self._closing = False
        self._connection = connect.scanner(path, vfs=vfs)
        self._thread = Thread(target=self._pass, name="store-read-ahead", daemon=True)
        self._thread.start()

    def _pass(self) -> None:
        try:
            for bounds in bucket_bounds():
                if self._closing:
                    return
                counted: Any = self._connection.execute(SEEK["count_spots"], bounds).fetchone()
                self.spots += counted[0]
        except apsw.Error as error:
            self.error = error

    def wait(self) -> None:
        """Until the pass is over."""
        self._thread.join()

    def close(self) -> None:
        """End a pass that is under way, after its bucket, then let go."""
        self._closing = True
        self._thread.join()
        self._connection.close()


def read_ahead(path: Path, vfs: str | None, payment_no: int) -> ReadAhead | None:
    """Begin, where it is worth it. `payment_no`: of the last payment."""
    return ReadAhead(path, vfs) if PAYMENTS_MIN <= payment_no <= PAYMENTS_MAX else None
