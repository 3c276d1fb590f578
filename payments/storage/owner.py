"""One owner per file: a lifelong lock on `<file>.owner`, which also says who holds it."""

import fcntl
import os
from pathlib import Path
from typing import Final

from payments.storage.base import StoreRefused


class OwnerLock:
    """Held from `take` until `release` or the end of the process, however it ends.

    The lock is on a file of its own: locking the database file itself would be undone by SQLite,
    whose own locks go away whenever the process closes any handle of that file.
    """

    def __init__(self, store: Path) -> None:
        self._store = store
        self.path = store.with_name(store.name + ".owner")
        self._handle: int | None = None

    def take(self) -> None:
        """Lock and sign, or raise StoreRefused naming the process that owns the store."""
        assert self._handle is None, "taken already"
        try:
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreRefused(
                f"cannot write {self.path}: {error.strerror}; "
                "check the owner and the mode of the data directory"
            ) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(handle, 64, 0).decode("ascii", "replace").strip()
            os.close(handle)
            raise StoreRefused(
                f"{self._store} is owned by process {holder or 'unknown'}; "
                "stop that one first, or choose another data directory"
            ) from error
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode("ascii"), 0)
        self._handle = handle

    def release(self) -> None:
        """Let go. The file stays: removing it would let two owners lock two different files."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


LOCKS: Final = Path("/proc/locks")


def owner_of(store: Path) -> str | None:
    """Who owns a store (its process id, as text); None when nobody does. Takes no lock itself.

    The kernel's table is asked: taking the lock to see that it is free could refuse a start.
    """
    path = store.with_name(store.name + ".owner")
    if not path.exists() or not LOCKS.exists():
        return None
    inode = str(path.stat().st_ino)
    for line in LOCKS.read_text("ascii", "replace").splitlines():
        words = line.split()
        if "FLOCK" in words and any(word.rpartition(":")[2] == inode for word in words[4:7]):
            return path.read_text("ascii", "replace").strip() or "unknown"
    return None
