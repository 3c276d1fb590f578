"""A small store beside the shards': one SQLite file, one owner, one commit at a time.

What the directory's and the courier's store share: ownership, stamp, commits and their end. The
file holds secrets, so it is made 0600. Without a path all is in memory: for tests, simulation and
throw-away gateways.
"""

import asyncio
import os
from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar, Final, Generic, TypeVar

import apsw

from payments.clock import Clock, SystemClock
from payments.storage import check, connect
from payments.storage.base import StoreError, StoreRefused
from payments.storage.owner import OwnerLock
from payments.storage.sql import ADMIN

NONCE_KEPT_S: Final = 900
"""Nonces count for the signature window, 300 s either way; kept longer, so that clocks may err."""

WAL_PAGES_MAX: Final = 2_000

W = TypeVar("W")
"""What one commit writes."""

Step = tuple[str, tuple[Any, ...]]
"""One of the things that a commit may write: the name of a statement, and its values."""


class SideStore(ABC, Generic[W]):
    """Reads see what is committed. A heir names its statements and says how it writes."""

    KIND: ClassVar[str]
    SCHEMA: ClassVar[int] = 1
    SQL: ClassVar[dict[str, str]]
    LAST: ClassVar[str]
    """The statement that gives the number of the last row."""

    def __init__(
        self, path: Path | None, *, livemode: bool = False, clock: Clock | None = None
    ) -> None:
        self._path = path
        self._livemode = livemode
        self._clock = clock or SystemClock()
        self._lock = OwnerLock(path) if path is not None else None
        self._writer: apsw.Connection | None = None
        self._reader: apsw.Connection | None = None
        self._commits: ThreadPoolExecutor | None = None
        self._poison: str | None = "it is not open"

    # --- open and close ------------------------------------------------------------------------

    def open(self) -> int:
        """Take ownership; check mode, schema and structure. Return the last row's number.

        Raise StoreRefused for another owner, the other mode, a newer schema or a damaged file.
        """
        connect.guard_version()
        if self._lock is not None:
            self._lock.take()
        try:
            return self._open()
        except apsw.Error as error:
            self._let_go(is_clean=False)
            raise StoreRefused(f"cannot open {self._path}: {error}") from error
        except BaseException:
            self._let_go(is_clean=False)
            raise

    def _open(self) -> int:
        if self._path is None:
            self._writer = self._reader = apsw.Connection(":memory:")
        else:
            # Before SQLite makes it with the mode of the day; -wal and -shm follow its mode.
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            self._writer = connect.writer(self._path)
            self._reader = connect.reader(self._path)
            self._commits = ThreadPoolExecutor(1, f"{self.KIND}-commit")
        self._stamp(self._writer)
        # Through the reader: what a writer has passed stays in its cache, all of it.
        check.quick(self._reader, self._clock)
        self._poison = None
        return int(self._one(self.LAST)[0])

    def _stamp(self, writer: apsw.Connection) -> None:
        mode = "live" if self._livemode else "test"
        if not self._one("has_tables")[0]:
            with writer:
                writer.execute(ADMIN["make_stamp"])
                writer.execute(self.SQL["make_tables"])
                writer.executemany(
                    ADMIN["set_stamp"],
                    [("schema", str(self.SCHEMA)), ("mode", mode), ("kind", self.KIND)],
                )
        facts = dict(writer.execute(ADMIN["stamp"]))
        if int(facts["schema"]) > self.SCHEMA:
            raise StoreRefused(
                f"{self._path} has schema {facts['schema']}, this release knows {self.SCHEMA}: "
                "install the newer release again"
            )
        if facts["mode"] != mode:
            raise StoreRefused(
                f"{self._path} belongs to {facts['mode']} mode and this is a {mode} deployment; "
                "choose another data directory"
            )

    def close(self) -> None:
        """Let go; a clean close leaves no log behind."""
        is_clean = self._poison is None
        self._poison = "it is closed"
        self._let_go(is_clean=is_clean)

    def abandon(self) -> None:
        """Let go as a process that is killed would: nothing more is written, the log stays."""
        self._poison = "it was abandoned"
        self._let_go(is_clean=False)

    def _let_go(self, *, is_clean: bool) -> None:
        if self._commits is not None:
            self._commits.shutdown(wait=True)
            self._commits = None
        if self._reader is not None and self._reader is not self._writer:
            self._reader.close()
        if self._writer is not None:
            if is_clean and self._path is not None:
                self._writer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
            self._writer.close(True)
        self._reader = self._writer = None
        if self._lock is not None:
            self._lock.release()

    # --- writing and reading -------------------------------------------------------------------

    async def commit(self, write: W) -> None:
        """Write durably or raise StoreError; after that the store takes no more."""
        if self._commits is None:
            self.commit_now(write)
            return
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._commits, self.commit_now, write)

    def commit_now(self, write: W) -> None:
        """The same, in this thread: for seeds, before anybody waits."""
        if self._poison is not None or self._writer is None:
            raise StoreError(f"{self._path} takes no more: {self._poison}")
        try:
            with self._writer:
                self._write(self._writer, write)
            if self._path is not None and _wal_pages(self._path) > WAL_PAGES_MAX:
                self._writer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        except BaseException as error:
            self._poison = f"{type(error).__name__}: {error}"
            if isinstance(error, apsw.Error):
                raise StoreError(f"{self._path}: {self._poison}") from error
            raise

    @abstractmethod
    def _write(self, writer: apsw.Connection, write: W) -> None:
        """The statements of one database transaction."""

    def _all(self, name: str, *values: object) -> list[Any]:
        if self._reader is None:
            raise StoreError(f"{self._path}: {self._poison}")
        return list(self._reader.execute(self.SQL[name], values))

    def _one(self, name: str, *values: object) -> tuple[Any, ...]:
        rows = self._all(name, *values)
        assert rows, name
        row: tuple[Any, ...] = rows[0]
        return row


def _wal_pages(path: Path) -> int:
    wal = path.with_name(path.name + "-wal")
    return wal.stat().st_size // connect.PAGE_BYTES if wal.exists() else 0
