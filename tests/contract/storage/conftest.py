"""Both stores, made the same way, and rows to put into them."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from payments.clock import ManualClock
from payments.storage.base import Batch, Store
from payments.storage.memory import Disk, MemoryStore
from payments.storage.sqlite import SqliteStore


def no_log_sync(_: Path) -> None:
    """The kernel does not sync for us: a thread of the store waits for the disk."""


class Place:
    """Where a store lives: opening it again finds what was committed before."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind = kind
        self.path = folder / "shard-0.db"
        self.disk = Disk()
        self.clock = ManualClock()

    def store(self, shard: int = 0, livemode: bool = False, shards: int = 1) -> Any:
        """A store that is not open yet."""
        if self.kind == "memory":
            return MemoryStore(shard, livemode, shards=shards, disk=self.disk, clock=self.clock)
        # Few spots may wait, so that these small stores use the table as large ones do.
        options: dict[str, Any] = {"shards": shards, "clock": self.clock, "pending_max": 6}
        if self.kind == "sqlite in a thread":
            options["open_log_sync"] = no_log_sync
        return SqliteStore(self.path, shard, livemode, **options)

    def bump_epoch(self, store: Any) -> None:
        """What a newer owner does first, wherever it runs."""
        if self.kind == "memory":
            self.disk.epoch += 1
        else:
            store._reader.pragma("query_only", False)
            store._reader.execute("UPDATE owner SET epoch = epoch + 1")


@pytest.fixture(params=["memory", "sqlite", "sqlite in a thread"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return Place(request.param, tmp_path)


@pytest.fixture
def store(place: Place) -> Iterator[Store]:
    store = place.store()
    store.open()
    yield store
    store.close()


class Rows:
    """Makes rows with numbers that grow, as an owner does."""

    def __init__(self, seed: int = 0) -> None:
        self.random = random.Random(seed)
        self.last = dict.fromkeys(("payment", "refund", "entry", "event"), 0)

    def _no(self, kind: str) -> int:
        self.last[kind] += 1
        return self.last[kind]

    def hash(self) -> int:
        return self.random.randrange(-(1 << 63), 1 << 63)

    def body(self) -> str:
        return f"{self.random.getrandbits(100):024X}"[:24]

    def payment(self, **known: Any) -> tuple[Any, ...]:
        facts = {
            "no": self._no("payment"), "id": f"pay_{self.body()}", "merchant_no": 1,
            "partition": 7, "key": self.hash(), "order": self.hash(), "auth": None,
            "due_ms": None, "body": b"a payment",
        } | known  # fmt: skip
        return tuple(facts.values())

    def refund(self, **known: Any) -> tuple[Any, ...]:
        facts = {
            "no": self._no("refund"), "id": f"ref_{self.body()}", "payment_no": 1,
            "merchant_no": 1, "partition": 7, "key": self.hash(), "due_ms": None,
            "body": b"a refund",
        } | known  # fmt: skip
        return tuple(facts.values())

    def entry(self, **known: Any) -> tuple[Any, ...]:
        no = self._no("entry")
        facts = {
            "no": no, "partition": 7, "seq": no, "id": f"ent_{self.body()}",
            "source": f"pay_{self.body()}", "at_ms": 1_000, "currency": "CNY",
            "postings": b"postings", "chain": bytes(32),
        } | known  # fmt: skip
        return tuple(facts.values())

    def event(self, **known: Any) -> tuple[Any, ...]:
        facts = {
            "no": self._no("event"), "partition": 7, "merchant_no": 1,
            "id": f"evt_{self.body()}00", "type": "payment.succeeded", "at_ms": 1_000,
            "body": b"{}",
        } | known  # fmt: skip
        return tuple(facts.values())


@pytest.fixture
def rows() -> Rows:
    return Rows()


@pytest.fixture
def batch() -> Callable[..., Batch]:
    """A batch of what is named: `batch(payments=[…])`."""

    def make(**lists: Any) -> Batch:
        made = Batch.empty()
        for name, value in lists.items():
            setattr(made, name, value)
        return made

    return make
