"""Opening SQLite connections: the version guard, and the settings that measurement chose.

None maps its file into memory (docs/adr/0015).
"""

from pathlib import Path
from typing import Final

import apsw

from payments.storage.base import StoreRefused

SQLITE_MIN: Final = (3, 51, 3)
"""Before 3.51.3, a checkpoint beside a commit could lose committed pages (the WAL-reset race)."""

PAGE_BYTES: Final = 4096
CACHE_KIB: Final = 8 * 1024
"""Of the one that commits: the ends of tables and indexes. With 64 MiB each COMMIT spent a
twenty-fifth of the shard's processor time in walking through the cache's own table."""
READER_CACHE_KIB: Final = 16 * 1024
SCRATCH_CACHE_KIB: Final = 256 * 1024
SCANNER_CACHE_KIB: Final = 4 * 1024
"""Of a connection that goes through a file once: what it has passed is not asked for again."""

BUSY_MS: Final = 5_000
"""How long a statement waits for another process (a backup, the query actor) to let go."""


def guard_version(version: str | None = None) -> None:
    """Raise StoreRefused for an SQLite that can lose data with two connections."""
    found = version or apsw.sqlite_lib_version()
    if tuple(int(part) for part in found.split(".")) < SQLITE_MIN:
        raise StoreRefused(
            f"SQLite {found} is older than {'.'.join(map(str, SQLITE_MIN))} and may lose committed "
            "rows; install apsw >= 3.51.3 from its wheel, which brings its own SQLite"
        )


def writer(path: Path, *, vfs: str | None = None) -> apsw.Connection:
    """The connection that commits. Creates the file; its first user decides the page size."""
    flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
    return _opened(path, flags, CACHE_KIB, vfs)


def reader(path: Path, *, vfs: str | None = None) -> apsw.Connection:
    """A connection that only reads: single rows, and lists of them."""
    connection = _opened(path, apsw.SQLITE_OPEN_READWRITE, READER_CACHE_KIB, vfs)
    connection.pragma("query_only", True)
    return connection


def scanner(path: Path, *, vfs: str | None = None) -> apsw.Connection:
    """A connection that reads much of a file in its order, and keeps only a little in memory."""
    connection = _opened(path, apsw.SQLITE_OPEN_READWRITE, SCANNER_CACHE_KIB, vfs)
    connection.pragma("query_only", True)
    return connection


def checkpointer(path: Path, *, vfs: str | None = None) -> apsw.Connection:
    """The connection that copies the log into the file, beside the writer."""
    return _opened(path, apsw.SQLITE_OPEN_READWRITE, 0, vfs)


def scratch(path: Path) -> apsw.Connection:
    """A connection for making a file that nobody needs until it is finished: no log, no syncs."""
    connection = apsw.Connection(str(path), statementcachesize=64)
    connection.pragma("page_size", PAGE_BYTES)
    connection.pragma("journal_mode", "off")
    connection.pragma("synchronous", "off")
    connection.pragma("locking_mode", "exclusive")
    connection.pragma("cache_size", -SCRATCH_CACHE_KIB)
    return connection


def leave_commits_unsynced(connection: apsw.Connection) -> None:
    """From now on its owner syncs the log after each COMMIT, before anybody learns of it.

    The log is still synced before it is copied into the file, and its head before a new start.
    """
    connection.pragma("synchronous", "normal")


def _opened(path: Path, flags: int, cache_kib: int, vfs: str | None) -> apsw.Connection:
    connection = apsw.Connection(str(path), flags=flags, vfs=vfs, statementcachesize=64)
    connection.set_busy_timeout(BUSY_MS)
    connection.pragma("page_size", PAGE_BYTES)
    connection.pragma("journal_mode", "wal")
    connection.pragma("synchronous", "full")
    connection.wal_autocheckpoint(0)
    # A connection that goes away says nothing about the disk: only a clean close copies the log.
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    connection.pragma("mmap_size", 0)
    connection.pragma("cache_size", -cache_kib)
    connection.pragma("temp_store", "memory")
    connection.pragma("foreign_keys", False)
    return connection
