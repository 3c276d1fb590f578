"""The embedded store: one SQLite file per shard, with a log (WAL) that is synced at every commit.

The statements of a batch run in the caller's thread (they only touch memory: handing each row to
another thread would cost more than the row). So does the COMMIT, which writes the log and does not
wait for the disk: the kernel syncs it while the loop goes on (`log_sync.py`, ADR 0017). Until that
is done nobody is answered, and this store's own reads do not see the batch. Where the kernel does
not do that, the COMMIT syncs and waits, in the store's thread.
Any failure poisons the store: what memory decided since then stood on it.
"""

import asyncio
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import apsw

from payments.clock import Clock, SystemClock
from payments.storage import check, connect, migrate
from payments.storage.base import Batch, Fenced, Opened, StoreError, StoreRefused
from payments.storage.checkpoint import WAL_PAGES_START, Checkpointer
from payments.storage.limits import (
    NONCE_KEPT_MS,
    PRUNE_EVERY_COMMITS,
    PRUNED_AT_ONCE_MAX,
    pack_marks,
    pack_nonces,
    unpack_marks,
)
from payments.storage.log_sync import LogSync, OpenLogSync, kernel_sync
from payments.storage.owner import OwnerLock
from payments.storage.read_ahead import read_ahead
from payments.storage.seek import PENDING_MAX, Seek
from payments.storage.sql import READ, WRITE
from payments.storage.sqlite_reads import SqliteReads

SYNC_SAMPLES_MAX: Final = 256
"""So many of the last commits' sync times are kept for metrics."""


class SqliteStore(SqliteReads):
    """`Store` on a file. `shards`: how many the deployment has, fixed at the first open.

    `vfs` names a registered SQLite file layer (tests plant faults with it), `open_log_sync` opens
    what syncs the log.
    """

    def __init__(
        self,
        path: Path | str,
        shard: int = 0,
        livemode: bool = False,
        *,
        shards: int = 1,
        clock: Clock | None = None,
        vfs: str | None = None,
        wal_pages: int = WAL_PAGES_START,
        pending_max: int = PENDING_MAX,
        open_log_sync: OpenLogSync = kernel_sync,
    ) -> None:
        self.path = Path(path)
        self._wanted = migrate.Stamp(0, livemode, shard, shards)
        self._clock = clock or SystemClock()
        self._vfs = vfs
        self._wal_pages_start = wal_pages
        self._pending_max = pending_max
        self._open_log_sync = open_log_sync
        self._log_sync: LogSync | None = None
        self._lock = OwnerLock(self.path)
        self._poison: str | None = "it is not open"
        self._syncs_s: deque[float] = deque(maxlen=SYNC_SAMPLES_MAX)
        self.last_sync_s = 0.0
        self._marks: dict[str, int] = {}
        self._epoch = self._commit_no = self._oldest_commit_no = self._wal_pages = 0
        self._is_fully_checked = False
        self._held: apsw.Cursor | None = None

    # --- open and close ----------------------------------------------------------------------

    def open(self) -> Opened:
        """Take ownership (epoch + 1) and check schema, mode and integrity. StoreRefused if not."""
        connect.guard_version()
        self._lock.take()
        try:
            return self._open()
        except apsw.Error as error:
            self._abandon()
            if isinstance(error, apsw.CorruptError | apsw.NotADBError):
                raise StoreRefused(check.damaged(str(self.path), [str(error)])) from error
            raise StoreRefused(f"cannot open {self.path}: {error}") from error
        except BaseException:
            self._abandon()
            raise

    def _open(self) -> Opened:
        # For its owner's eyes; the log and its index take the mode of the file.
        self.path.touch(mode=0o600)
        self._writer = connect.writer(self.path, vfs=self._vfs)
        self._writer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        migrate.prepare(self._writer, self._wanted)
        self._scanner = connect.scanner(self.path, vfs=self._vfs)
        self._is_fully_checked = check.quick(self._scanner, self._clock)
        with self._writer:
            (self._epoch,) = self._writer.execute(
                WRITE["take_ownership"], (self._clock.real_ms(),)
            ).fetchone()  # type: ignore[misc]
        self._writer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        self._log_sync = self._open_log_sync(Path(f"{self.path}-wal"))
        if self._log_sync is not None:
            connect.leave_commits_unsynced(self._writer)
        self._reader = connect.reader(self.path, vfs=self._vfs)
        self._checkpointer = Checkpointer(self.path, self._vfs, self._wal_pages_start)
        self._commits = ThreadPoolExecutor(1, "store-commit")
        self._writer.set_wal_hook(self._note_wal)
        payment, refund, entry, event, commit, oldest, record = self._one("numbers")
        self._commit_no, self._oldest_commit_no = commit, oldest
        self._marks = unpack_marks(self._one("last_marks")[0]) if commit else {}
        self._seek = Seek(self._pending_max)
        # Half a million rows: the reader's cache would keep the size that they gave it, and it is
        # emptied, all of it, at the first look-up after every commit.
        self._seek.load(self._scanner, payment, refund)
        self._read_ahead = read_ahead(self.path, self._vfs, payment)
        self._poison = None
        marks = dict(self._marks)
        return Opened(self._epoch, payment, refund, entry, event, commit, marks, record)

    def _note_wal(self, _: apsw.Connection, __: str, pages: int) -> int:
        self._wal_pages = pages
        return apsw.SQLITE_OK

    def close(self) -> None:
        """Let go; a clean close leaves no WAL behind."""
        is_clean = self._poison is None
        self._poison = "it is closed"
        self._abandon(is_clean)

    def abandon(self) -> None:
        """Let go as a process that is killed would: nothing more is written, the log stays."""
        self._poison = "it was abandoned"
        self._abandon()

    def _abandon(self, is_clean: bool = False) -> None:
        """Release whatever `open` had got hold of, in the reverse order."""
        state = self.__dict__
        if commits := state.pop("_commits", None):
            commits.shutdown(wait=True)
        for name in ("_checkpointer", "_read_ahead"):
            if beside := state.pop(name, None):
                beside.close()
        if log_sync := self._log_sync:
            self._log_sync = None
            log_sync.close()
        if self._held is not None:
            self._held.close(True)
        for name in ("_reader", "_scanner"):
            if reader := state.pop(name, None):
                reader.close()
        if writer := state.pop("_writer", None):
            try:
                if is_clean:
                    writer.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0)
                    writer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
            finally:
                writer.close(True)
                self._lock.release()
        self._lock.release()

    # --- commit ------------------------------------------------------------------------------

    async def commit(self, batch: Batch) -> None:
        """Write the batch durably or raise StoreError. Fenced when a newer epoch has written."""
        if self._poison is not None:
            raise StoreError(f"{self.path} takes no more: {self._poison}")
        try:
            self._write(batch)
            if self._log_sync is None:
                await asyncio.get_running_loop().run_in_executor(self._commits, self._sync)
            else:
                await self._sync_beside(self._log_sync)
            if self._checkpointer.is_last_step_due(self._wal_pages):
                await asyncio.get_running_loop().run_in_executor(
                    self._commits, self._checkpointer.last_step, self._writer
                )
            for beside in (self._checkpointer, self._read_ahead):
                if beside is not None and beside.error is not None:
                    raise beside.error
        except BaseException as error:
            self._poison = f"{type(error).__name__}: {error}"
            if isinstance(error, StoreError) or not isinstance(error, Exception):
                raise
            raise StoreError(f"{self.path}: {self._poison}") from error
        self._commit_no += 1
        self._seek.committed(batch.payments, batch.refunds)

    def _write(self, batch: Batch) -> None:
        """The statements of one database transaction, up to its COMMIT."""
        writer = self._writer
        now_ms = self._clock.real_ms()
        if batch.marks:
            self._marks |= batch.marks
        writer.execute("BEGIN IMMEDIATE")
        before = writer.total_changes()
        writer.execute(
            WRITE["add_commit"],
            (
                self._commit_no + 1,
                self._epoch,
                now_ms,
                pack_marks(self._marks),
                pack_nonces(batch.nonces),
            ),
        )
        if writer.total_changes() == before:
            raise Fenced(f"{self.path} has a newer owner than epoch {self._epoch}")
        rows = 1
        for name, values in (
            ("add_payments", batch.payments),
            ("change_payments", batch.payment_changes),
            ("add_refunds", batch.refunds),
            ("change_refunds", batch.refund_changes),
            ("add_entries", batch.entries),
            ("add_events", batch.events),
            ("add_records", batch.records),
            ("change_records", batch.record_changes),
        ):
            if values:
                rows += len(values)
                writer.executemany(WRITE[name], values)
        if writer.total_changes() - before != rows:
            raise StoreError(f"{self.path}: a change names a row that does not exist")
        for name, folds in (
            ("set_balances", batch.balances),
            ("set_heads", batch.heads),
            ("set_counters", batch.counters),
        ):
            if folds:
                writer.executemany(WRITE[name], folds)
        self._seek.move(writer)
        self._prune(now_ms - NONCE_KEPT_MS)

    def _prune(self, before_ms: int) -> None:
        if self._commit_no % PRUNE_EVERY_COMMITS:
            return
        first = self._oldest_commit_no
        last = min(first + PRUNED_AT_ONCE_MAX - 1, self._commit_no)
        gone = self._writer.execute(WRITE["prune_commits"], (first, last, before_ms))
        self._oldest_commit_no = first + gone.connection.changes()

    def _sync(self) -> None:
        """Write the log and wait for the disk, in the store's thread."""
        began = self._clock.monotonic()
        self._writer.execute("COMMIT")
        self._synced(began)

    async def _sync_beside(self, log_sync: LogSync) -> None:
        """Write the log, and let the loop go on until it is durable.

        Meanwhile our reads stay with what was durable before, and for ever if the sync fails.
        """
        began = self._clock.monotonic()
        # Ours to keep: a query that nobody holds any more would end, and its snapshot with it.
        self._held = self._reader.execute(READ["hold"])
        self._writer.execute("COMMIT")
        await log_sync.sync()
        self._held.close()
        self._synced(began)

    def _synced(self, began: float) -> None:
        self.last_sync_s = self._clock.monotonic() - began
        self._syncs_s.append(self.last_sync_s)

    def facts(self) -> dict[str, Any]:
        """Numbers for metrics: sync seconds of the last commits, bytes of the log and the file."""
        return {
            "sync_s": list(self._syncs_s),
            "wal_bytes": self._wal_pages * connect.PAGE_BYTES,
            "file_bytes": self.path.stat().st_size if self.path.exists() else 0,
            "checkpoints": self._checkpointer.count if self._poison is None else 0,
            "spots_waiting": self._seek.count if self._poison is None else 0,
            "epoch": self._epoch,
            "is_fully_checked": self._is_fully_checked,
        }
