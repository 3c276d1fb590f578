"""Copying the log (WAL) into the file, on a connection and a thread of its own.

Passive checkpoints never make the writer wait. Under load they never reach the end of a log that
keeps growing, and only a log copied to its end starts anew: so when the background has come close
to the end, the writer's thread does the last short step between two commits.
"""

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final

import apsw

from payments.storage import connect

WAL_PAGES_START: Final = 16_000
"""Log length at which the background starts copying."""
LAST_STEP_PAGES_MAX: Final = 2_000
"""So much may be left for the step that a commit waits for."""
PASSES_MAX: Final = 4
"""After so many background passes the last step is taken however much is left."""


class Checkpointer:
    """One background thread. `error` is what it failed with; the store then stops."""

    def __init__(self, path: Path, vfs: str | None, start_pages: int = WAL_PAGES_START) -> None:
        self._connection = connect.checkpointer(path, vfs=vfs)
        self._thread = ThreadPoolExecutor(1, "store-checkpoint")
        self._running: Future[None] | None = None
        self._start_pages = start_pages
        self._copied_pages = 0
        self._passes = 0
        self.error: apsw.Error | None = None
        self.count = 0

    def is_last_step_due(self, wal_pages: int) -> bool:
        """Asked after each commit: start a pass when the log is long; True for the last step."""
        if wal_pages < self._start_pages or self.is_running:
            return False
        left = wal_pages - self._copied_pages
        if self._passes and (left <= LAST_STEP_PAGES_MAX or self._passes >= PASSES_MAX):
            return True
        self._passes += 1
        self._running = self._thread.submit(self._pass)
        return False

    def last_step(self, connection: apsw.Connection) -> None:
        """Copy the rest on the writer's own connection, so that its next commit starts anew."""
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        self._copied_pages = self._passes = 0
        self.count += 1

    @property
    def is_running(self) -> bool:
        return self._running is not None and not self._running.done()

    def _pass(self) -> None:
        try:
            _, copied = self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        except apsw.Error as error:
            self.error = error
            return
        self._copied_pages = max(copied, 0)

    def close(self) -> None:
        """Wait for a running pass, then let go."""
        self._thread.shutdown(wait=True)
        self._connection.close()
