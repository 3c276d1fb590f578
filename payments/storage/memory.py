"""The store in memory: what simulation and quick tests run on. Same promises, no disk."""

import asyncio
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import islice, pairwise
from typing import Any, TypeVar

from payments.clock import Clock, SystemClock
from payments.storage.base import (
    BalanceRow,
    Batch,
    ClearingRow,
    CounterRow,
    EntryRow,
    EventRow,
    EventStub,
    Fenced,
    HeadRow,
    Opened,
    PaymentRow,
    RecordRow,
    RefundRow,
    StoreError,
    StoreRefused,
)
from payments.storage.limits import NONCE_KEPT_MS, Found, event_range

Row = TypeVar("Row", bound=tuple[Any, ...])
Keys = dict[int, list[int]]


class Table(dict[int, Row]):
    """Rows by number, in the order of their numbers, which only grow."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers: list[int] = []
        self.ids: dict[str, int] = {}
        self.due: dict[int, int] = {}

    @property
    def last(self) -> int:
        return self.numbers[-1] if self.numbers else 0

    def add(self, row: Row, identifier: str) -> None:
        no: int = row[0]
        assert no > self.last, row
        self[no] = row
        self.numbers.append(no)
        self.ids[identifier] = no

    def after(self, no: int, limit: int) -> list[Row]:
        first = bisect_right(self.numbers, no)
        return [self[number] for number in self.numbers[first : first + limit]]

    def at(self, numbers: Iterable[int]) -> list[Row]:
        return [self[no] for no in numbers]

    def set_due(self, no: int, due_ms: int | None) -> None:
        if due_ms is None:
            self.due.pop(no, None)
        else:
            self.due[no] = due_ms

    def come_due(self, before_ms: int, limit: int) -> list[Row]:
        come = sorted((due, no) for no, due in self.due.items() if due <= before_ms)
        return [self[no] for _, no in come[:limit]]


class Disk:
    """What outlives a store: hand the same one to the next owner, as one would a file."""

    def __init__(self) -> None:
        self.owner: object | None = None
        self.stamp: tuple[int, bool, int] | None = None
        self.epoch = 0
        self.commit_no = 0
        self.marks: dict[str, int] = {}
        self.nonces: list[tuple[int, list[tuple[int, int]]]] = []
        self.payments: Table[PaymentRow] = Table()
        self.refunds: Table[RefundRow] = Table()
        self.entries: Table[EntryRow] = Table()
        self.events: Table[EventRow] = Table()
        self.keys, self.orders, self.auths, self.refund_keys, self.refunds_of = (
            _keys() for _ in range(5)
        )
        self.merchant_payments, self.merchant_refunds = _keys(), _keys()
        self.sources: dict[str, list[int]] = defaultdict(list)
        self.stories: dict[str, list[int]] = defaultdict(list)
        self.balances: dict[tuple[str, str], BalanceRow] = {}
        self.heads: dict[int, HeadRow] = {}
        self.counters: dict[int, CounterRow] = {}
        self.records: Table[RecordRow] = Table()
        self.owned: dict[tuple[str, str], list[int]] = defaultdict(list)

    def crash(self) -> None:
        """The owner is gone without a word; what was committed stays."""
        self.owner = None

    def apply(self, batch: Batch, now_ms: int) -> None:
        """Make a checked batch part of what is committed."""
        for payment in batch.payments:
            self._add_payment(payment)
        for due_ms, body, no in batch.payment_changes:
            self.payments[no] = (*self.payments[no][:7], due_ms, body)
            self.payments.set_due(no, due_ms)
        for refund in batch.refunds:
            self._add_refund(refund)
        for due_ms, body, no in batch.refund_changes:
            self.refunds[no] = (*self.refunds[no][:6], due_ms, body)
            self.refunds.set_due(no, due_ms)
        for entry in batch.entries:
            self.entries.add(entry, f"{entry[4]} {entry[3]}")
            self.sources[entry[4]].append(entry[0])
        for event in batch.events:
            self.events.add(event, event[3])
            self.stories[event_range(event[3][:28])[0]].append(event[0])
        for record in batch.records:
            self.records.add(record, record[1])
            self.records.set_due(record[0], record[5])
            self.owned[record[2], record[3]].append(record[0])
        for due_ms, body, no in batch.record_changes:
            self.records[no] = (*self.records[no][:5], due_ms, body)
            self.records.set_due(no, due_ms)
        self.balances |= {(row[0], row[1]): row for row in batch.balances}
        self.heads |= {row[0]: row for row in batch.heads}
        self.counters |= {row[0]: row for row in batch.counters}
        self.marks |= batch.marks
        self.commit_no += 1
        self.nonces.append((now_ms, list(batch.nonces)))
        while len(self.nonces) > 1 and self.nonces[0][0] < now_ms - NONCE_KEPT_MS:
            del self.nonces[0]

    def _add_payment(self, row: PaymentRow) -> None:
        no, identifier, merchant_no, _, key, order, auth, due_ms, _ = row
        self.payments.add(row, identifier)
        self.payments.set_due(no, due_ms)
        self.keys[key].append(no)
        self.orders[order].append(no)
        if auth is not None:
            self.auths[auth].append(no)
        self.merchant_payments[merchant_no].append(no)

    def _add_refund(self, row: RefundRow) -> None:
        no, identifier, payment_no, merchant_no, _, key, due_ms, _ = row
        self.refunds.add(row, identifier)
        self.refunds.set_due(no, due_ms)
        self.refund_keys[key].append(no)
        self.refunds_of[payment_no].append(no)
        self.merchant_refunds[merchant_no].append(no)


def _keys() -> Keys:
    return defaultdict(list)


async def _one_tick() -> None:
    await asyncio.sleep(0)


class MemoryStore:
    """`Store` on a `Disk`. `sync` stands for the disk's answer: tests let it wait or fail."""

    def __init__(
        self,
        shard: int = 0,
        livemode: bool = False,
        *,
        shards: int = 1,
        disk: Disk | None = None,
        clock: Clock | None = None,
        sync: Callable[[], Awaitable[None]] = _one_tick,
    ) -> None:
        self.disk = disk or Disk()
        self._stamp = (shard, livemode, shards)
        self._clock = clock or SystemClock()
        self._sync = sync
        self.last_sync_s = 0.0
        self._epoch = 0
        self._poison: str | None = "it is not open"

    def open(self) -> Opened:
        """Take ownership (epoch + 1) and check shard and mode. StoreRefused if not."""
        disk = self.disk
        if disk.owner is not None:
            raise StoreRefused("the store in memory is owned by another; close that one first")
        if disk.stamp not in (None, self._stamp):
            raise StoreRefused(f"the store is (shard, live, shards) {disk.stamp}: {self._stamp}")
        disk.owner, disk.stamp = self, self._stamp
        disk.epoch += 1
        self._epoch = disk.epoch
        self._poison = None
        return Opened(
            disk.epoch,
            disk.payments.last,
            disk.refunds.last,
            disk.entries.last,
            disk.events.last,
            disk.commit_no,
            dict(disk.marks),
            disk.records.last,
        )

    def close(self) -> None:
        """Let go."""
        self._poison = "it is closed"
        if self.disk.owner is self:
            self.disk.owner = None

    def abandon(self) -> None:
        """Let go as a process that is killed would."""
        self._poison = "it was abandoned"
        if self.disk.owner is self:
            self.disk.crash()

    async def commit(self, batch: Batch) -> None:
        """Make the batch count or raise StoreError. Fenced when a newer epoch has written."""
        if self._poison is not None:
            raise StoreError(f"the store takes no more: {self._poison}")
        try:
            self._check(batch)
            await self._sync()
            self._check(batch)
        except BaseException as error:
            self._poison = f"{type(error).__name__}: {error}"
            if isinstance(error, StoreError) or not isinstance(error, Exception):
                raise
            raise StoreError(self._poison) from error
        self.disk.apply(batch, self._clock.real_ms())

    def _check(self, batch: Batch) -> None:
        """Refuse what the tables of a database would refuse."""
        disk = self.disk
        if disk.epoch != self._epoch or disk.owner is not self:
            raise Fenced(f"there is a newer owner than epoch {self._epoch}")
        for table, rows, ids in (
            (disk.payments, batch.payments, [row[1] for row in batch.payments]),
            (disk.refunds, batch.refunds, [row[1] for row in batch.refunds]),
            (disk.entries, batch.entries, [f"{row[4]} {row[3]}" for row in batch.entries]),
            (disk.events, batch.events, [row[3] for row in batch.events]),
            (disk.records, batch.records, [row[1] for row in batch.records]),
        ):
            numbers = [table.last, *(row[0] for row in rows)]
            if any(after <= before for before, after in pairwise(numbers)):
                raise StoreError(f"numbers must grow: {numbers[:5]}")
            if len(set(ids)) != len(ids) or not table.ids.keys().isdisjoint(ids):
                raise StoreError("an id is there already")
        for table, rows, changes in (
            (disk.payments, batch.payments, batch.payment_changes),
            (disk.refunds, batch.refunds, batch.refund_changes),
            (disk.records, batch.records, batch.record_changes),
        ):
            new = {row[0] for row in rows}
            if any(no not in table and no not in new for _, _, no in changes):
                raise StoreError("a change names a row that does not exist")

    # --- reads -------------------------------------------------------------------------------

    def payments_by_key(self, hashes: Sequence[int]) -> list[PaymentRow]:
        return _found(self.disk.payments, self.disk.keys, hashes)

    def payments_by_order(self, hashes: Sequence[int]) -> list[PaymentRow]:
        return _found(self.disk.payments, self.disk.orders, hashes)

    def payments_by_auth(self, hashes: Sequence[int]) -> list[PaymentRow]:
        return _found(self.disk.payments, self.disk.auths, hashes)

    def refunds_by_key(self, hashes: Sequence[int]) -> list[RefundRow]:
        return _found(self.disk.refunds, self.disk.refund_keys, hashes)

    def probe(self, keys: Sequence[int], orders: Sequence[int], auths: Sequence[int]) -> Found:
        return (
            self.payments_by_key(keys),
            self.payments_by_order(orders),
            self.payments_by_auth(auths),
            self.refunds_by_key(keys),
        )

    def payment(self, identifier: str) -> PaymentRow | None:
        return self.disk.payments.get(self.disk.payments.ids.get(identifier, 0))

    def payment_by_no(self, no: int) -> PaymentRow | None:
        return self.disk.payments.get(no)

    def refund(self, identifier: str) -> RefundRow | None:
        return self.disk.refunds.get(self.disk.refunds.ids.get(identifier, 0))

    def refunds_of(self, payment_no: int) -> list[RefundRow]:
        return self.disk.refunds.at(self.disk.refunds_of.get(payment_no, ()))

    def merchant_payments(
        self, merchant_no: int, *, before: int | None, after: int | None, limit: int
    ) -> list[PaymentRow]:
        numbers = self.disk.merchant_payments.get(merchant_no, [])
        return self.disk.payments.at(_page(numbers, before, after, limit))

    def merchant_refunds(
        self, merchant_no: int, *, before: int | None, after: int | None, limit: int
    ) -> list[RefundRow]:
        numbers = self.disk.merchant_refunds.get(merchant_no, [])
        return self.disk.refunds.at(_page(numbers, before, after, limit))

    def due_payments(self, before_ms: int, limit: int) -> list[PaymentRow]:
        return self.disk.payments.come_due(before_ms, limit)

    def due_refunds(self, before_ms: int, limit: int) -> list[RefundRow]:
        return self.disk.refunds.come_due(before_ms, limit)

    def entries_of(self, source: str) -> list[EntryRow]:
        return self.disk.entries.at(self.disk.sources.get(source, ()))

    def entries_after(self, no: int, limit: int) -> list[EntryRow]:
        return self.disk.entries.after(no, limit)

    def clearing_rows(self, after: int, upto: int) -> list[ClearingRow]:
        numbers = self.disk.entries.numbers
        found = []
        for no in numbers[bisect_right(numbers, after) : bisect_right(numbers, upto)]:
            _, _, seq, identifier, source, at_ms, _, postings, _ = self.disk.entries[no]
            if identifier[-1] in "PQR":
                row = self.refund(source) if identifier[-1] == "R" else self.payment(source)
                assert row is not None, source
                found.append((no, seq, identifier, at_ms, postings, row[-1]))
        return found

    def events_after(self, no: int, limit: int) -> list[EventRow]:
        return self.disk.events.after(no, limit)

    def event_stubs(self, after: int, limit: int) -> list[EventStub]:
        rows = self.disk.events.after(after, limit)
        return [(no, merchant_no, kind, at_ms) for no, _, merchant_no, _, kind, at_ms, _ in rows]

    def events_at(self, numbers: Sequence[int]) -> list[EventRow]:
        return self.disk.events.at(no for no in numbers if no in self.disk.events)

    def event(self, identifier: str) -> EventRow | None:
        no = self.disk.events.ids.get(identifier)
        return None if no is None else self.disk.events[no]

    def events_of(self, source: str) -> list[EventRow]:
        return self.disk.events.at(self.disk.stories.get(event_range(source)[0], ()))

    def balance(self, account: str, currency: str) -> BalanceRow | None:
        return self.disk.balances.get((account, currency))

    def balances(self) -> Iterable[BalanceRow]:
        return sorted(self.disk.balances.values())

    def balances_under(self, prefix: str) -> list[BalanceRow]:
        return [row for row in self.balances() if row[0].startswith(prefix)]

    def heads(self) -> list[HeadRow]:
        return sorted(self.disk.heads.values())

    def counter(self, merchant_no: int) -> CounterRow | None:
        return self.disk.counters.get(merchant_no)

    def record(self, identifier: str) -> RecordRow | None:
        return self.disk.records.get(self.disk.records.ids.get(identifier, 0))

    def records(
        self, kind: str, owner: str, *, before: int | None, after: int | None, limit: int
    ) -> list[RecordRow]:
        numbers = self.disk.owned.get((kind, owner), [])
        return self.disk.records.at(_page(numbers, before, after, limit))

    def records_after(self, kind: str, no: int, limit: int) -> list[RecordRow]:
        numbers = (
            number
            for number in self.disk.records.numbers
            if number > no and self.disk.records[number][2] == kind
        )
        return self.disk.records.at(islice(numbers, limit))

    def records_below(self, prefix: str, below: str, limit: int) -> list[RecordRow]:
        ids = self.disk.records.ids
        found = sorted((each for each in ids if prefix <= each < below), reverse=True)
        return self.disk.records.at([ids[each] for each in found[:limit]])

    def due_records(self, before_ms: int, limit: int) -> list[RecordRow]:
        return self.disk.records.come_due(before_ms, limit)

    def next_due_record(self) -> int | None:
        return min(self.disk.records.due.values(), default=None)

    def recent_nonces(self, since_s: int) -> list[tuple[int, int]]:
        return [nonce for _, kept in self.disk.nonces for nonce in kept if nonce[1] >= since_s]

    def facts(self) -> dict[str, Any]:
        """The same names as the store on disk, where memory has something to say."""
        return {
            "sync_s": [],
            "wal_bytes": 0,
            "file_bytes": 0,
            "checkpoints": 0,
            "epoch": self._epoch,
            "is_fully_checked": True,
        }


def _found(table: Table[Row], keys: Keys, hashes: Sequence[int]) -> list[Row]:
    numbers = {no for asked in hashes for no in keys.get(asked, ())}
    return table.at(sorted(numbers))


def _page(numbers: list[int], before: int | None, after: int | None, limit: int) -> list[int]:
    first = bisect_right(numbers, after or 0)
    if before is None and after is not None:
        return numbers[first : first + limit]
    last = len(numbers) if before is None else bisect_left(numbers, before)
    return numbers[first:last][::-1][:limit]
