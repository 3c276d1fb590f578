"""What a shard asks of its store: one batch a commit, look-ups, and what recovery needs.

The tables are the truth, actor memory is a cache. Rows go in and out as plain tuples in the column
order given here, so that a batch reaches the database without being copied. `no` columns are the
shard's own numbers, counted by the owner (never by the database).

    payment   no, id, merchant_no, partition, key_hash, order_hash, auth_hash, due_ms, body
    refund    no, id, payment_no, merchant_no, partition, key_hash, due_ms, body
    entry     no, partition, seq, id, source, at_ms, currency, postings, chain
    event     no, partition, merchant_no, id, type, at_ms, body
    balance   account, currency, minor, entry_no      (a fold of the entries up to entry_no)
    head      partition, seq, chain, entry_no         (likewise, the end of the hash chain)
    counter   merchant_no, body, payment_no           (limit counters up to payment_no)
    record    no, id, kind, owner, partition, due_ms, body   (`payments/storage/records.py`)
    commit    no, epoch, at_ms, marks, nonces

`id` and `source` are texts of the whole id. `body` is a msgpack array: Payment, Refund, or (event)
the JSON webhook body. Hashes are signed 64-bit integers made of the first 8 bytes of a keyed
digest; two different digests may share one, so callers compare the digest in the body.
`postings` is a msgpack array of [account, minor]; `chain` the 32-byte hash after the entry.
`nonces` is a msgpack array of [digest, created seconds] accepted in that commit; `marks` is a
msgpack map of the small facts that recovery starts from, such as {"balance_floor": entry_no}.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from msgspec import Struct

PaymentRow = tuple[int, str, int, int, int, int, int | None, int | None, bytes]
PaymentChange = tuple[int | None, bytes, int]
"""due_ms, body, no"""
RefundRow = tuple[int, str, int, int, int, int, int | None, bytes]
RefundChange = tuple[int | None, bytes, int]
EntryRow = tuple[int, int, int, str, str, int, str, bytes, bytes]
EventRow = tuple[int, int, int, str, str, int, bytes]
BalanceRow = tuple[str, str, int, int]
HeadRow = tuple[int, int, bytes, int]
CounterRow = tuple[int, bytes, int]
RecordRow = tuple[int, str, str, str, int, int | None, bytes]
"""no, id, kind, owner (a merchant, receiver or empty), partition, due_ms, body"""
RecordChange = tuple[int | None, bytes, int]
"""due_ms, body, no"""
EventStub = tuple[int, int, str, int]
"""no, merchant_no, type, at_ms"""


ClearingRow = tuple[int, int, str, int, bytes, bytes]
"""no, seq, id, at_ms, postings of an entry, and the body of the payment or refund it is about"""


class Batch(Struct, gc=False):
    """Everything of one database transaction. Lists are appended to while a commit runs."""

    payments: list[PaymentRow]
    payment_changes: list[PaymentChange]
    refunds: list[RefundRow]
    refund_changes: list[RefundChange]
    entries: list[EntryRow]
    events: list[EventRow]
    balances: list[BalanceRow]
    heads: list[HeadRow]
    counters: list[CounterRow]
    nonces: list[tuple[int, int]]
    marks: dict[str, int]
    records: list[RecordRow]
    record_changes: list[RecordChange]

    @classmethod
    def empty(cls) -> "Batch":
        return cls([], [], [], [], [], [], [], [], [], [], {}, [], [])

    def __bool__(self) -> bool:
        return bool(
            self.payments
            or self.payment_changes
            or self.refunds
            or self.refund_changes
            or self.entries
            or self.events
            or self.balances
            or self.heads
            or self.counters
            or self.nonces
            or self.records
            or self.record_changes
        )


class Opened(Struct, frozen=True, gc=False):
    """What a new owner learns at open: its epoch and where the numbers stand (the last used)."""

    epoch: int
    payment_no: int
    refund_no: int
    entry_no: int
    event_no: int
    commit_no: int
    marks: dict[str, int]
    record_no: int = 0


class StoreError(Exception):
    """The store cannot go on. The process that sees it ends: later decisions stood on this."""


class StoreRefused(StoreError):
    """Start-up refused: newer schema, other mode, second owner, damaged file. Says what to do."""


class Fenced(StoreError):
    """Another owner with a newer epoch has written: this one's writes no longer count."""


class Store(Protocol):
    """One shard's store. `commit` is for one caller at a time; reads see committed rows only.

    Reads are plain calls of well under a millisecond each (a reader connection of the caller's
    thread); `commit` waits for the disk without blocking the loop.
    """

    last_sync_s: float
    """How long the last commit waited for the disk, for metrics."""

    def open(self) -> Opened:
        """Take ownership (epoch + 1) and check schema, mode and integrity. StoreRefused if not."""
        ...

    async def commit(self, batch: Batch) -> None:
        """Write the batch durably or raise StoreError. Fenced when a newer epoch has written."""
        ...

    def close(self) -> None:
        """Let go; a clean close leaves no WAL behind."""
        ...

    def abandon(self) -> None:
        """Let go as a process that is killed would; for systems whose boxes share a process."""
        ...

    def payments_by_key(self, hashes: Sequence[int]) -> list[PaymentRow]: ...
    def payments_by_order(self, hashes: Sequence[int]) -> list[PaymentRow]: ...
    def payments_by_auth(self, hashes: Sequence[int]) -> list[PaymentRow]: ...
    def refunds_by_key(self, hashes: Sequence[int]) -> list[RefundRow]: ...

    def probe(
        self, keys: Sequence[int], orders: Sequence[int], auths: Sequence[int]
    ) -> tuple[list[PaymentRow], list[PaymentRow], list[PaymentRow], list[RefundRow]]:
        """The four look-ups above for one frame of commands, as cheaply as the store can."""
        ...

    def payment(self, identifier: str) -> PaymentRow | None: ...
    def payment_by_no(self, no: int) -> PaymentRow | None: ...
    def refund(self, identifier: str) -> RefundRow | None: ...
    def refunds_of(self, payment_no: int) -> list[RefundRow]: ...

    def merchant_payments(
        self, merchant_no: int, *, before: int | None, after: int | None, limit: int
    ) -> list[PaymentRow]:
        """Newest first with `no` < before; or, with `after` alone, oldest first with no > after."""
        ...

    def merchant_refunds(
        self, merchant_no: int, *, before: int | None, after: int | None, limit: int
    ) -> list[RefundRow]: ...

    def due_payments(self, before_ms: int, limit: int) -> list[PaymentRow]:
        """Rows whose due_ms has come, the longest due first."""
        ...

    def due_refunds(self, before_ms: int, limit: int) -> list[RefundRow]: ...

    def entries_of(self, source: str) -> list[EntryRow]: ...
    def entries_after(self, no: int, limit: int) -> list[EntryRow]: ...
    def clearing_rows(self, after: int, upto: int) -> list[ClearingRow]:
        """Entries of payments, releases and refunds with after < `no` <= upto, in order of `no`.

        Others are left out: late successes, the way home.
        """
        ...

    def events_after(self, no: int, limit: int) -> list[EventRow]: ...
    def event_stubs(self, after: int, limit: int) -> list[EventStub]:
        """What there is after number `after`, without the bodies: cheap to read by the thousand."""
        ...

    def events_at(self, numbers: Sequence[int]) -> list[EventRow]:
        """Events by number, in the order asked for; numbers that there are not are left out."""
        ...

    def event(self, identifier: str) -> EventRow | None: ...
    def events_of(self, source: str) -> list[EventRow]:
        """Events whose body is about the payment or refund `source` (by the event's id body)."""
        ...

    def balance(self, account: str, currency: str) -> BalanceRow | None: ...
    def balances(self) -> Iterable[BalanceRow]: ...
    def balances_under(self, prefix: str) -> list[BalanceRow]:
        """Of the accounts whose names begin so (ASCII, not empty), in the order of their names."""
        ...

    def heads(self) -> list[HeadRow]: ...
    def counter(self, merchant_no: int) -> CounterRow | None: ...
    def record(self, identifier: str) -> RecordRow | None: ...
    def records(
        self, kind: str, owner: str, *, before: int | None, after: int | None, limit: int
    ) -> list[RecordRow]:
        """An owner's records of a kind: newest first with `no` < before; or, with `after` alone,
        oldest first with no > after."""
        ...

    def records_after(self, kind: str, no: int, limit: int) -> list[RecordRow]:
        """Of all owners, oldest first: what recovery reads."""
        ...

    def records_below(self, prefix: str, below: str, limit: int) -> list[RecordRow]:
        """Of all owners, those whose ids begin so and are less than `below`, the highest first."""
        ...

    def due_records(self, before_ms: int, limit: int) -> list[RecordRow]: ...
    def next_due_record(self) -> int | None:
        """When the next record is due, if any is."""
        ...

    def recent_nonces(self, since_s: int) -> list[tuple[int, int]]:
        """Nonces whose created is at or after `since_s`, of every commit kept."""
        ...

    def facts(self) -> dict[str, Any]:
        """Numbers for metrics: fsync seconds of the last commits, WAL bytes, file bytes."""
        ...
