"""One shard's file, read from its beginning for statements, exports and reports.

Reads only, beside a running owner or without one. Rows come a page at a time, each page in a
database transaction of its own: a reader that held one for a whole export would keep the owner's
log from being emptied. What is read ends at the numbers that were there when the file was opened,
and entries never change, so the pages fit together.
"""

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import apsw
from msgspec.msgpack import Decoder

from payments.calendar import INSTANT_MAX_MS
from payments.ids import RANDOM_AT, IdMint, SeededEntropy
from payments.ledger import Row
from payments.payment import Payment
from payments.refund import Refund
from payments.storage import connect
from payments.storage.base import StoreRefused
from payments.storage.sql import load

SQL: Final = load("journal")
PAGE_ROWS: Final = 4_096
"""Rows of one page: what is in memory at a time."""
ALWAYS_MS: Final = (-(1 << 62), 1 << 62)

T = TypeVar("T")
_payment: Final = Decoder(Payment).decode
_refund: Final = Decoder(Refund).decode


class Journal:
    """`entries_max`, `refunds_max`: the last numbers, as of the opening."""

    def __init__(self, path: Path) -> None:
        """Raise StoreRefused when the file is not a store."""
        connect.guard_version()
        if not path.exists():
            raise StoreRefused(f"{path} does not exist")
        self.path = path
        self._connection = connect.reader(path)
        try:
            (last,) = self._ask("last", ())
        except StoreRefused:
            self._connection.close()
            raise
        self.entries_max, self.refunds_max = last

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()

    def entries(
        self, from_ms: int | None = None, to_ms: int | None = None, holding: str = ""
    ) -> Iterator[Row]:
        """Rows of entries in the order of booking, `from_ms` included, `to_ms` excluded.

        `holding`: only entries whose packed postings contain this text, such as the beginning of
        an account's name. It may stand within a longer name: the caller looks again.
        """
        from_ms = ALWAYS_MS[0] if from_ms is None else from_ms
        to_ms = ALWAYS_MS[1] if to_ms is None else to_ms
        query = "entries_holding" if holding else "entries"
        more = (holding.encode(),) if holding else ()
        for first in range(0, self.entries_max, PAGE_ROWS):
            last = min(first + PAGE_ROWS, self.entries_max)
            yield from self._ask(query, (first, last, from_ms, to_ms, *more))

    def payments(self, from_ms: int = 0, to_ms: int = INSTANT_MAX_MS) -> Iterator[Payment]:
        """Payments whose ids were made from `from_ms` and before `to_ms`, in that order.

        An id is made when a request arrives, a moment before the payment's `created`.
        """
        last, end = _first_id(max(from_ms, 0)), _first_id(to_ms)
        while True:
            page = self._ask("payments", (last, end, PAGE_ROWS))
            for _, body in page:
                yield _payment(body)
            if len(page) < PAGE_ROWS:
                return
            last = page[-1][0]

    def refunds(self) -> Iterator[Refund]:
        """All refunds, in the order in which they were made.

        Not by time: the id of a refund that we make ourselves says when its payment was made.
        """
        for first in range(0, self.refunds_max, PAGE_ROWS):
            for (body,) in self._ask("refunds", (first, min(first + PAGE_ROWS, self.refunds_max))):
                yield _refund(body)

    def payment(self, identifier: str) -> Payment | None:
        """The payment of an id, as it is now."""
        found = self._ask("payment", (identifier,))
        return _payment(found[0][0]) if found else None

    def refund(self, identifier: str) -> Refund | None:
        """The refund of an id, as it is now."""
        found = self._ask("refund", (identifier,))
        return _refund(found[0][0]) if found else None

    def records(self, kind: str, shape: type[T]) -> list[T]:
        """All records of a kind, as `actors/record_kinds.py` names it, oldest first."""
        decode = Decoder(shape).decode
        return [decode(body) for (body,) in self._ask("records", (kind,))]

    def booked_ms(self, source: str, identifier: str) -> int | None:
        """When an entry about `source` was booked, in business ms; None if it is not."""
        found = self._ask("booked_at", (source, identifier))
        return found[0][0] if found else None

    def _ask(self, query: str, bound: tuple[Any, ...]) -> list[Any]:
        try:
            return self._connection.execute(SQL[query], bound).fetchall()
        except apsw.Error as error:
            raise StoreRefused(f"{self.path}: {error}") from error


def _first_id(ms: int) -> str:
    """What no payment of this instant or later sorts before."""
    return IdMint(SeededEntropy(0)).new("pay", ms, 0)[: len("pay_") + RANDOM_AT]
