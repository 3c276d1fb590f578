"""Batches whose traces can be counted, and a disk that fails or loses what was not synced."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw
import pytest

from payments.clock import ManualClock
from payments.storage import check
from payments.storage.base import Batch, StoreError
from payments.storage.log_sync import KernelSync
from payments.storage.sqlite import SqliteStore

PER_BATCH = 3


def make_batch(number: int) -> Batch:
    """Batch `number` (from 1): rows of every kind, and a change to the rows of the one before."""
    batch = Batch.empty()
    first = (number - 1) * PER_BATCH + 1
    for no in range(first, first + PER_BATCH):
        batch.payments.append(
            (no, f"pay_{no:024}", no % 5, 7, no << 40, -no << 40, None, no, b"made %d" % number)
        )
        batch.entries.append(
            (no, 7, no, f"ent_{no:024}P", f"pay_{no:024}", 1, "CNY", bytes(90), bytes(32))
        )
        batch.events.append((no, 7, no % 5, f"evt_{no:024}S", "payment.succeeded", 1, bytes(900)))
        if number > 1:
            batch.payment_changes.append((None, b"done %d" % number, no - PER_BATCH))
    batch.balances.append(("cash", "CNY", number, first))
    batch.nonces.append((number, number))
    batch.marks = {"batch": number}
    return batch


def batches_in(store: Any) -> int:
    """How many batches are there, each of them wholly: anything else is an error."""
    payments = []
    while rows := [store.payment_by_no(len(payments) + n + 1) for n in range(PER_BATCH)]:
        if None in rows:
            assert rows == [None] * PER_BATCH, "half a batch"
            break
        payments += rows
    count = len(payments) // PER_BATCH
    bodies = [b"done %d" % (n + 1) for n in range(1, count) for _ in range(PER_BATCH)]
    assert bodies + [b"made %d" % count] * PER_BATCH * bool(count) == [row[8] for row in payments]
    assert len(payments) == len(store.entries_after(0, 1 << 30))
    assert len(payments) == len(store.events_after(0, 1 << 30))
    assert {n for n, _ in store.recent_nonces(0)} == set(range(1, count + 1))
    assert payments == store.payments_by_key([row[4] for row in payments])
    assert payments == store.payments_by_order([row[5] for row in payments])
    if count:
        assert store.balance("cash", "CNY")[2] == count
    return count


def survivors(path: Path, **options: Any) -> int:
    """Open the file anew, as the next owner does: how many whole batches it has."""
    store = SqliteStore(path, clock=ManualClock(), **options)
    opened = store.open()
    count = batches_in(store)
    assert opened.commit_no == count
    assert opened.marks.get("batch", 0) == count
    store.close()
    assert [] == check.full(path)
    return count


async def commit_until_refused(store: Any, most: int) -> int:
    """Commit batch after batch; return how many were acknowledged before one failed."""
    for number in range(1, most + 1):
        try:
            await store.commit(make_batch(number))
        except StoreError:
            return number - 1
    return most


@dataclass
class Shadow:
    """What is surely on the disk of one file, and what was written since."""

    durable: bytearray = field(default_factory=bytearray)
    pending: list[tuple[int, bytes | None]] = field(default_factory=list)

    def apply(self, image: bytearray, at: int, data: bytes | None) -> None:
        if data is None:
            del image[at:]
            return
        image.extend(bytes(max(0, at + len(data) - len(image))))
        image[at : at + len(data)] = data

    def sync(self) -> None:
        for at, data in self.pending:
            self.apply(self.durable, at, data)
        self.pending.clear()

    def after_power_cut(self, dice: random.Random) -> bytes:
        """The synced content, and any part of the rest, the last write perhaps torn."""
        image = bytearray(self.durable)
        kept = [write for write in self.pending if dice.random() < 0.5]
        for at, data in kept[:-1]:
            self.apply(image, at, data)
        for at, data in kept[-1:]:
            torn = None if data is None else data[: dice.randrange(len(data) // 512 + 1) * 512]
            if data is None or torn:
                self.apply(image, at, torn)
        return bytes(image)


class FaultyDisk(apsw.VFS):
    """SQLite's own file layer, with one planned failure, and a shadow of what is synced."""

    def __init__(self, name: str) -> None:
        self.vfs_name = name
        self.fails_at: tuple[str, int] | None = None
        self.seen = {"write": 0, "sync": 0}
        self.shadows: dict[str, Shadow] = {}
        self.on_write: Callable[[], None] | None = None
        super().__init__(name, "")

    def plan(self, operation: str, nth: int) -> None:
        """Let the nth `operation` from now on fail, and all after it (a broken disk stays so)."""
        self.seen = dict.fromkeys(self.seen, 0)
        self.fails_at = (operation, nth)

    def note(self, operation: str) -> None:
        self.seen[operation] += 1
        if (
            self.fails_at
            and self.fails_at[0] == operation
            and self.seen[operation] >= self.fails_at[1]
        ):
            raise apsw.IOError(f"planned failure of {operation}")

    def log_sync(self, path: Path) -> "FaultyLogSync":
        """What syncs a log beside SQLite, on this disk."""
        return FaultyLogSync(self, path)

    def xOpen(self, name: Any, flags: list[int]) -> Any:
        return FaultyFile(self, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        self.shadows.pop(filename, None)
        super().xDelete(filename, syncdir)


class FaultyFile(apsw.VFSFile):
    def __init__(self, disk: FaultyDisk, name: Any, flags: list[int]) -> None:
        self.disk = disk
        text = name.filename() if isinstance(name, apsw.URIFilename) else str(name)
        self.shadow = disk.shadows.setdefault(text, Shadow())
        super().__init__("", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:
        self.disk.note("write")
        self.shadow.pending.append((offset, bytes(data)))
        super().xWrite(data, offset)
        if self.disk.on_write:
            self.disk.on_write()

    def xTruncate(self, newsize: int) -> None:
        self.shadow.pending.append((newsize, None))
        super().xTruncate(newsize)

    def xSync(self, flags: int) -> None:
        self.disk.note("sync")
        super().xSync(flags)
        self.shadow.sync()


class FaultyLogSync(KernelSync):
    """The kernel's sync, which fails as planned; what it has synced is surely on the disk."""

    def __init__(self, disk: FaultyDisk, path: Path) -> None:
        self.disk = disk
        self.shadow = disk.shadows[str(path)]
        super().__init__(path)

    async def sync(self) -> None:
        self.disk.note("sync")
        await super().sync()
        self.shadow.sync()


@pytest.fixture
def disk(request: pytest.FixtureRequest) -> Iterator[FaultyDisk]:
    faulty = FaultyDisk(f"faulty-{request.node.name}")
    yield faulty
    faulty.unregister()


@pytest.fixture(name="survivors")
def survivors_fixture() -> Callable[..., int]:
    return survivors


@pytest.fixture(name="commit_until_refused")
def commit_until_refused_fixture() -> Callable[..., Any]:
    return commit_until_refused


@pytest.fixture(name="make_batch")
def make_batch_fixture() -> Callable[[int], Batch]:
    return make_batch
