"""What a shard keeps beside its payments: batches, cover, instructions, withdrawals and their like.

A record is one frozen value under an id. A change replaces it and goes into the next commit; who
reads it in between sees the change. What is clean may leave memory at any time.
"""

from typing import Any, Final, TypeVar

from msgspec.msgpack import Decoder, Encoder

from payments.storage.base import Batch, RecordRow, Store

CLEAN_MAX: Final = 20_000
"""Records kept in memory that the store has as well."""

T = TypeVar("T")

_encode: Final = Encoder().encode


class Kept:
    """A record in memory. `no`: 0 until it is in a batch for the first time."""

    __slots__ = ("due_ms", "id", "is_dirty", "kind", "no", "owner", "partition", "value")

    def __init__(
        self,
        no: int,
        identifier: str,
        kind: str,
        owner: str,
        partition: int,
        due_ms: int | None,
        value: Any,
    ) -> None:
        self.no = no
        self.id = identifier
        self.kind = kind
        self.owner = owner
        self.partition = partition
        self.due_ms = due_ms
        self.value = value
        self.is_dirty = False


class Records:
    """One shard's records. `types`: what the values of each kind are."""

    def __init__(self, store: Store, types: dict[str, type]) -> None:
        self._store = store
        self._decoders: dict[str, Decoder[Any]] = {
            kind: Decoder(shape) for kind, shape in types.items()
        }
        self._kept: dict[str, Kept] = {}
        self._fresh: dict[str, Kept] = {}
        self._fresh_of: dict[tuple[str, str], list[Kept]] = {}
        """The same by kind and owner: hundreds of claims are covered in one commit."""
        self._changed: dict[str, Kept] = {}
        self._no = 0

    def opened(self, last_no: int) -> None:
        self._no = last_no

    def __bool__(self) -> bool:
        """Whether something waits for a commit."""
        return bool(self._fresh or self._changed)

    def get(self, identifier: str, shape: type[T]) -> T | None:
        """The value under an id with everything decided so far, or None.

        `shape` is what the caller takes it for; another kind's id is a bug.
        """
        kept = self.kept(identifier)
        if kept is None:
            return None
        assert isinstance(kept.value, shape), (identifier, shape)
        return kept.value

    def has(self, identifier: str) -> bool:
        """Whether there is one. Where nothing was ever kept, the store is not asked."""
        return self._no > 0 and self.kept(identifier) is not None

    def kept(self, identifier: str) -> Kept | None:
        """The record itself, with its number and when it is due."""
        kept = self._kept.get(identifier)
        if kept is None:
            row = self._store.record(identifier)
            if row is not None:
                kept = self._take(row)
        return kept

    def put(
        self, kind: str, identifier: str, owner: str, partition: int, value: Any, due_ms: int | None
    ) -> None:
        """Keep a new value under an id; it is durable with the next commit."""
        kept = self.kept(identifier)
        if kept is None:
            assert kind in self._decoders, kind
            self._no += 1
            kept = Kept(self._no, identifier, kind, owner, partition, due_ms, value)
            self._kept[identifier] = self._fresh[identifier] = kept
            self._fresh_of.setdefault((kind, owner), []).append(kept)
        else:
            assert (kept.kind, kept.owner) == (kind, owner), (identifier, kind, owner)
            kept.value, kept.due_ms = value, due_ms
            if identifier not in self._fresh:
                self._changed[identifier] = kept
        kept.is_dirty = True

    def of(
        self,
        kind: str,
        owner: str,
        *,
        before: int | None = None,
        after: int | None = None,
        limit: int = 100,
    ) -> list[Kept]:
        """An owner's records of a kind as committed, but with the values of memory.

        New ones that are not committed yet are not among them: ask `fresh` where that matters.
        """
        rows = self._store.records(kind, owner, before=before, after=after, limit=limit)
        return [self._take(row) for row in rows]

    def newest(self, prefix: str, below: str | None, limit: int) -> list[Kept]:
        """Committed ones of all owners, by id: those that begin so, less than `below`."""
        assert prefix.endswith("_"), prefix
        rows = self._store.records_below(prefix, below or prefix + "~", limit)
        return [self._take(row) for row in rows]

    def fresh(self, kind: str, owner: str) -> list[Kept]:
        """New ones that wait for their commit, oldest first."""
        return list(self._fresh_of.get((kind, owner), ()))

    def all_of(self, kind: str, chunk: int = 1_000) -> list[Kept]:
        """Every committed record of a kind, oldest first. For recovery and few of them."""
        found: list[Kept] = []
        no = 0
        while some := self.after(kind, no, chunk):
            found += some
            no = some[-1].no
        return found

    def after(self, kind: str, no: int, limit: int) -> list[Kept]:
        """Committed records of a kind that came after a number, oldest first."""
        return [self._take(row) for row in self._store.records_after(kind, no, limit)]

    def due(self, now_ms: int, limit: int) -> list[Kept]:
        """What is due and was not put off since, the longest due first."""
        taken = [self._take(row) for row in self._store.due_records(now_ms, limit)]
        return [kept for kept in taken if kept.due_ms is not None and kept.due_ms <= now_ms]

    def next_due(self) -> int | None:
        """When the next record is due, what is not committed yet included."""
        waiting = (*self._fresh.values(), *self._changed.values())
        dues = [kept.due_ms for kept in waiting if kept.due_ms is not None]
        stored = self._store.next_due_record()
        if stored is not None:
            dues.append(stored)
        return min(dues, default=None)

    def flush(self, batch: Batch) -> None:
        """Put everything that changed into a batch that is about to be written."""
        for kept in self._fresh.values():
            batch.records.append(
                (
                    kept.no,
                    kept.id,
                    kept.kind,
                    kept.owner,
                    kept.partition,
                    kept.due_ms,
                    _encode(kept.value),
                )
            )
            kept.is_dirty = False
        for kept in self._changed.values():
            batch.record_changes.append((kept.due_ms, _encode(kept.value), kept.no))
            kept.is_dirty = False
        self._fresh.clear()
        self._fresh_of.clear()
        self._changed.clear()

    def committed(self) -> None:
        """After a commit: what is clean can be read again, so memory stays bounded."""
        if len(self._kept) > CLEAN_MAX:
            self._kept = {name: kept for name, kept in self._kept.items() if kept.is_dirty}

    def _take(self, row: RecordRow) -> Kept:
        no, identifier, kind, owner, partition, due_ms, body = row
        kept = self._kept.get(identifier)
        if kept is None:
            value = self._decoders[kind].decode(body)
            kept = Kept(no, identifier, kind, owner, partition, due_ms, value)
            self._kept[identifier] = kept
        return kept
