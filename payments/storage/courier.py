"""The courier's own store: endpoints, how far each shard was read, deliveries and their tries.

One SQLite file with one owner, 0600 because it holds the secrets that sign. A write is a list of
statements by name, in the order they were decided: what depends on rows (who is next of a payment)
is said in SQL, so that it is true at the moment of the commit. Without a path all is in memory.
"""

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

import apsw
from msgspec.msgpack import Decoder, Encoder

from payments.clock import Clock, SystemClock
from payments.storage import check, connect
from payments.storage.base import StoreError, StoreRefused
from payments.storage.owner import OwnerLock
from payments.storage.sql import ADMIN, load
from payments.webhooks import Endpoint

SCHEMA: Final = 1
FILE_NAME: Final = "courier.db"
KIND: Final = "courier"
NONCE_KEPT_S: Final = 900
WAL_PAGES_MAX: Final = 2_000

KEPT_MS: Final = 30 * 86_400_000
"""Deliveries that ended are listed for so long, and their events kept with them."""

PRUNED_MAX: Final = 500
"""Rows of each kind that one pruning removes: it shares the commits with everybody else."""

SQL: Final = load("courier")
_encode: Final = Encoder().encode
_endpoint: Final = Decoder(Endpoint).decode
_statement: Final = itemgetter(0)

Step = tuple[str, tuple[Any, ...]]
"""The name of a statement, and its values."""

DueRow = tuple[int, str, str, int, int, int, str, bytes]
"""no, event, source, step, tries, created_ms, type, body"""

DeliveryRow = tuple[int, str, str, str, int, int, int | None, int | None]
"""no, endpoint, event, status, tries, created_ms, due_ms, ended_ms"""

AttemptRow = tuple[int, int, int, int, str, str, str]
"""number, at_ms, status, took_ms, outcome, trouble, excerpt"""


def set_endpoint(endpoint: Endpoint) -> Step:
    """The write of an endpoint as it now is."""
    return "set_endpoint", (endpoint.id, _encode(endpoint))


class CourierStore:
    """One owner, one commit at a time. Reads see what is committed."""

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
        """Take ownership; check mode, schema and structure. Return the last delivery's number.

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
            self._commits = ThreadPoolExecutor(1, "courier-commit")
        self._stamp(self._writer)
        check.quick(self._writer, self._clock)
        self._poison = None
        return int(self._one("last_delivery")[0])

    def _stamp(self, writer: apsw.Connection) -> None:
        mode = "live" if self._livemode else "test"
        if not self._one("has_tables")[0]:
            with writer:
                writer.execute(ADMIN["make_stamp"])
                writer.execute(SQL["make_tables"])
                writer.executemany(
                    ADMIN["set_stamp"],
                    [("schema", str(SCHEMA)), ("mode", mode), ("kind", KIND)],
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

    # --- writing ------------------------------------------------------------------------------

    async def commit(self, steps: list[Step]) -> None:
        """Write all of them durably, in their order, or raise StoreError; then it takes no more."""
        if self._commits is None:
            self._commit_now(steps)
            return
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._commits, self._commit_now, steps)

    def _commit_now(self, steps: list[Step]) -> None:
        if self._poison is not None or self._writer is None:
            raise StoreError(f"{self._path} takes no more: {self._poison}")
        try:
            with self._writer:
                for name, group in groupby(steps, _statement):
                    self._writer.executemany(SQL[name], [values for _, values in group])
            if self._path is not None and _wal_pages(self._path) > WAL_PAGES_MAX:
                self._writer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        except BaseException as error:
            self._poison = f"{type(error).__name__}: {error}"
            if isinstance(error, apsw.Error):
                raise StoreError(f"{self._path}: {self._poison}") from error
            raise

    def pruning(self) -> list[Step]:
        """What removes some of what is older than anybody may ask for."""
        before = self._clock.real_ms() - KEPT_MS
        return [
            ("prune_attempts", (before, PRUNED_MAX)),
            ("prune_deliveries", (before, PRUNED_MAX)),
            ("prune_events", (PRUNED_MAX,)),
            ("prune_nonces", (self._clock.real_ms() // 1_000 - NONCE_KEPT_S,)),
        ]

    # --- reading ------------------------------------------------------------------------------

    def endpoints(self) -> list[Endpoint]:
        """All of them, the oldest first."""
        return [_endpoint(body) for (body,) in self._all("endpoints")]

    def cursors(self) -> dict[int, int]:
        """Shard -> the number of the last event whose deliveries are here."""
        return dict(self._all("cursors"))

    def due(self, endpoint: str, now_ms: int, limit: int) -> list[DueRow]:
        """What should leave for an endpoint by now, the longest due first."""
        return self._all("due", endpoint, now_ms, limit)

    def next_due(self, endpoint: str, after_ms: int) -> int | None:
        """When the next try after an instant is due, if one is."""
        found: int | None = self._one("next_due", endpoint, after_ms)[0]
        return found

    def open_counts(self) -> dict[str, int]:
        """Endpoint -> deliveries that have not ended."""
        return dict(self._all("open_counts"))

    def open_count(self, endpoint: str) -> int:
        return int(self._one("open_count", endpoint)[0])

    def deliveries_of_event(self, event: str) -> list[DeliveryRow]:
        """To every endpoint, the newest first."""
        return self._all("deliveries_of_event", event)

    def deliveries_of_endpoint(self, endpoint: str, before: int, limit: int) -> list[DeliveryRow]:
        """Those with no < before, the newest first."""
        return self._all("deliveries_of_endpoint", endpoint, before, limit)

    def deliveries_of_source(self, source: str, limit: int) -> list[DeliveryRow]:
        """Of all events of a payment, the oldest first."""
        return self._all("deliveries_of_source", source, limit)

    def delivery(self, event: str, endpoint: str) -> DeliveryRow | None:
        rows: list[DeliveryRow] = self._all("delivery", event, endpoint)
        return rows[0] if rows else None

    def attempts(self, delivery: int, limit: int) -> list[AttemptRow]:
        """The latest tries, the newest first."""
        return self._all("attempts", delivery, limit)

    def type_of(self, event: str) -> str:
        """The type of an event that is kept."""
        return str(self._one("type_of", event)[0])

    def answered(self, scope: str, key_digest: bytes) -> tuple[bytes, int, str] | None:
        """(fingerprint, status, object id) of the request that used this key before."""
        rows: list[tuple[bytes, int, str]] = self._all("answered", scope, key_digest)
        return rows[0] if rows else None

    def recent_nonces(self) -> list[tuple[str, int, int]]:
        """(caller, digest, created in seconds) of those that still count."""
        return self._all("recent_nonces", self._clock.real_ms() // 1_000 - NONCE_KEPT_S)

    def _all(self, name: str, *values: object) -> list[Any]:
        if self._reader is None:
            raise StoreError(f"{self._path}: {self._poison}")
        return list(self._reader.execute(SQL[name], values))

    def _one(self, name: str, *values: object) -> tuple[Any, ...]:
        rows = self._all(name, *values)
        assert rows, name
        row: tuple[Any, ...] = rows[0]
        return row


def _wal_pages(path: Path) -> int:
    wal = path.with_name(path.name + "-wal")
    return wal.stat().st_size // connect.PAGE_BYTES if wal.exists() else 0
