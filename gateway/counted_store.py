"""A shard's store that counts rows: what a drill says that clearing reads and writes."""

from typing import Any, Final

from payments.ledger import unpack_postings
from payments.storage.base import Batch, ClearingRow
from payments.storage.sqlite import SqliteStore

ENTRY_ROWS: Final = 2
EVENT_ROWS: Final = 2
RECORD_ROWS: Final = 3
"""The row, and one in each index that a new one is put into; `due_ms` has an index of its own."""


LOOK_UPS: Final = frozenset({"record", "balance", "event", "counter"})
"""Questions for one row. Others, such as when something is due next, are asked as time passes."""


class CountedStore(SqliteStore):
    """The same store. `rows_read`: rows that it answered with, an entry and what it is about being
    two of them. `rows_written`: rows of tables and indexes, and postings in entries."""

    rows_read = rows_written = 0

    def clearing_rows(self, after: int, upto: int) -> list[ClearingRow]:
        found = super().clearing_rows(after, upto)
        self.rows_read += 2 * len(found)
        return found

    def _all(self, name: str, *values: Any) -> list[Any]:
        found = super()._all(name, *values)
        self.rows_read += len(found)
        return found

    def _one(self, name: str, *values: Any) -> Any:
        found = super()._one(name, *values)
        self.rows_read += name in LOOK_UPS and found is not None
        return found

    async def commit(self, batch: Batch) -> None:
        self.rows_written += rows_of(batch)
        await super().commit(batch)


def rows_of(batch: Batch) -> int:
    """Rows that a commit writes: of tables and indexes, postings, and the commit's own."""
    folds = (batch.balances, batch.heads, batch.counters)
    due = sum(row[5] is not None for row in batch.records)
    return (
        1
        + ENTRY_ROWS * len(batch.entries)
        + sum(len(unpack_postings(row[7])) for row in batch.entries)
        + EVENT_ROWS * len(batch.events)
        + RECORD_ROWS * len(batch.records)
        + due
        + len(batch.record_changes)
        + sum(len(rows) for rows in folds)
    )
