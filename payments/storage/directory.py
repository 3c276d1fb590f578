"""The directory's own store: reference data with numbered changes, in one SQLite file.

Written by one owner (the DirectoryActor, or the command that plants a seed before it starts). The
file holds HMAC keys as they are, because both sides of an HMAC need them: it is made 0600.
Without a path everything is in memory: for tests, simulation and throw-away gateways.
"""

import asyncio
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import apsw
from msgspec import Struct
from msgspec.msgpack import Decoder, Encoder

from payments.clock import Clock, SystemClock
from payments.reference import Record
from payments.storage import check, connect
from payments.storage.base import StoreError, StoreRefused
from payments.storage.owner import OwnerLock
from payments.storage.sql import ADMIN, load

SCHEMA: Final = 1
FILE_NAME: Final = "directory.db"
NONCE_KEPT_S: Final = 900
"""Nonces count for the signature window, 300 s either way; kept longer, so that clocks may err."""

WAL_PAGES_MAX: Final = 2_000
SQL: Final = load("directory")
_encode: Final = Encoder().encode
record_of: Final = Decoder(Record).decode
"""The record in a stored body."""

RecordRow = tuple[str, int, bytes]
"""id, change, body (msgpack of a Record)"""
AnswerRow = tuple[str, bytes, bytes, int, str]
"""scope, key_digest, fingerprint, status, object_id"""
NonceRow = tuple[str, int, int]
"""caller, digest, created in seconds"""


class Write(Struct, gc=False):
    """Everything of one database transaction."""

    records: list[RecordRow]
    answers: list[AnswerRow]
    nonces: list[NonceRow]
    marks: dict[str, str]

    @classmethod
    def empty(cls) -> "Write":
        return cls([], [], [], {})

    def __bool__(self) -> bool:
        return bool(self.records or self.answers or self.nonces or self.marks)


class DirectoryStore:
    """One owner, one write at a time. Reads see what is committed."""

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

    def open(self) -> int:
        """Take ownership and check mode, schema and integrity. Return the last change's number.

        Raise StoreRefused for another owner, the other mode, a newer schema or a damaged file.
        """
        connect.guard_version()
        if self._lock is not None:
            self._lock.take()
        try:
            return self._open()
        except apsw.Error as error:
            self.close()
            raise StoreRefused(f"cannot open {self._path}: {error}") from error
        except BaseException:
            self.close()
            raise

    def _open(self) -> int:
        if self._path is None:
            self._writer = self._reader = apsw.Connection(":memory:")
        else:
            # Before SQLite makes it with the mode of the day; -wal and -shm follow its mode.
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            self._writer = connect.writer(self._path)
            self._reader = connect.reader(self._path)
            self._commits = ThreadPoolExecutor(1, "directory-commit")
        self._stamp(self._writer)
        check.quick(self._writer, self._clock)
        self._poison = None
        return self._one(SQL["last_change"])

    def _stamp(self, writer: apsw.Connection) -> None:
        mode = "live" if self._livemode else "test"
        if not self._one(SQL["has_tables"]):
            with writer:
                writer.execute(ADMIN["make_stamp"])
                writer.execute(SQL["make_tables"])
                writer.executemany(
                    ADMIN["set_stamp"],
                    [("schema", str(SCHEMA)), ("mode", mode), ("kind", "directory")],
                )
        facts = dict(writer.execute(ADMIN["stamp"]))
        if int(facts["schema"]) > SCHEMA:
            raise StoreRefused(
                f"{self._path} has schema {facts['schema']}, this release knows {SCHEMA}: "
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

    # --- writing ------------------------------------------------------------------------------

    async def commit(self, write: Write) -> None:
        """Write durably or raise StoreError; after that the store takes no more."""
        if self._commits is None:
            self.commit_now(write)
            return
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._commits, self.commit_now, write)

    def commit_now(self, write: Write) -> None:
        """The same, in this thread: for seeds, before anybody waits."""
        if self._poison is not None or self._writer is None:
            raise StoreError(f"{self._path} takes no more: {self._poison}")
        try:
            self._write(self._writer, write)
        except BaseException as error:
            self._poison = f"{type(error).__name__}: {error}"
            if isinstance(error, apsw.Error):
                raise StoreError(f"{self._path}: {self._poison}") from error
            raise

    def plant(self, records: Iterable[Record], marks: dict[str, str]) -> None:
        """Write the records of a seed and the marks that say so, all or nothing."""
        number = self._one(SQL["last_change"])
        rows = [
            (record.id, change, _encode(record))
            for change, record in enumerate(records, number + 1)
        ]
        self.commit_now(Write(rows, [], [], marks))

    def _write(self, writer: apsw.Connection, write: Write) -> None:
        with writer:
            if write.records:
                writer.executemany(SQL["set_records"], write.records)
            if write.answers:
                writer.executemany(SQL["add_answers"], write.answers)
            if write.nonces:
                writer.executemany(SQL["add_nonces"], write.nonces)
                oldest = self._clock.real_ms() // 1_000 - NONCE_KEPT_S
                writer.execute(SQL["prune_nonces"], (oldest,))
            if write.marks:
                writer.executemany(SQL["set_marks"], list(write.marks.items()))
        if self._path is not None and _wal_pages(self._path) > WAL_PAGES_MAX:
            writer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)

    # --- reading ------------------------------------------------------------------------------

    def records_after(self, change: int, limit: int) -> list[tuple[int, bytes]]:
        """(change, body) of records last changed after `change`, the oldest change first."""
        return list(self._connection.execute(SQL["records_after"], (change, limit)))

    def has_record(self, identifier: str) -> bool:
        return bool(self._one(SQL["has_record"], identifier))

    def answered(self, scope: str, key_digest: bytes) -> tuple[bytes, int, str] | None:
        """(fingerprint, status, object id) of the request that used this key before."""
        row = self._connection.execute(SQL["answered"], (scope, key_digest)).fetchone()
        return row

    def recent_nonces(self) -> list[NonceRow]:
        """Those that still count."""
        oldest = self._clock.real_ms() // 1_000 - NONCE_KEPT_S
        return list(self._connection.execute(SQL["recent_nonces"], (oldest,)))

    def mark(self, name: str) -> str | None:
        """A small fact that `Write.marks` has set."""
        row = self._connection.execute(SQL["mark"], (name,)).fetchone()
        return None if row is None else str(row[0])

    @property
    def _connection(self) -> apsw.Connection:
        if self._reader is None:
            raise StoreError(f"{self._path}: {self._poison}")
        return self._reader

    def _one(self, statement: str, *values: str) -> int:
        row = self._connection.execute(statement, values).fetchone()
        assert row is not None
        return int(row[0])


def _wal_pages(path: Path) -> int:
    wal = path.with_name(path.name + "-wal")
    return wal.stat().st_size // connect.PAGE_BYTES if wal.exists() else 0
