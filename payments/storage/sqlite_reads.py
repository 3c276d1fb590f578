"""The look-ups of the SQLite store, on a reader connection of the caller's thread."""

from array import array
from collections.abc import Iterable, Sequence
from typing import Any, cast

import apsw

from payments.storage.base import (
    BalanceRow,
    ClearingRow,
    CounterRow,
    EntryRow,
    EventRow,
    EventStub,
    HeadRow,
    PaymentRow,
    RecordRow,
    RefundRow,
)
from payments.storage.limits import (
    Found,
    event_range,
    nonces_since,
)
from payments.storage.seek import MERCHANT, MERCHANT_REFUND, NUMBER_MASK, REFUND, Seek
from payments.storage.sql import READ


class SqliteReads:
    """Everything of `Store` that only reads. Each call sees the commits before it, whole."""

    _reader: apsw.Connection
    _scanner: apsw.Connection
    """For what goes through the whole file: it leaves nothing of it in memory."""
    _seek: Seek

    def _all(self, name: str, *values: Any) -> list[Any]:
        return self._reader.execute(READ[name], values).fetchall()

    def _one(self, name: str, *values: Any) -> Any:
        return self._reader.execute(READ[name], values).fetchone()

    def _payments(self, numbers: Iterable[int]) -> list[PaymentRow]:
        """Rows by number, in the order asked for."""
        asked = array("q", numbers)
        return self._all("payments_at", apsw.carray(asked)) if asked else []

    def _refunds(self, numbers: Iterable[int]) -> list[RefundRow]:
        asked = array("q", numbers)
        return self._all("refunds_at", apsw.carray(asked)) if asked else []

    def _candidates(self, hashes: Sequence[int]) -> tuple[list[PaymentRow], list[RefundRow]]:
        """Rows, by number, that share at least the first bits of one of the hashes."""
        suspects = self._seek.suspects(hashes)
        spots = self._seek.find(self._reader, suspects) if suspects else []
        if not spots:
            return [], []
        return (
            self._payments(sorted({spot & NUMBER_MASK for spot in spots if not spot & REFUND})),
            self._refunds(sorted({spot & NUMBER_MASK for spot in spots if spot & REFUND})),
        )

    def payments_by_key(self, hashes: Sequence[int]) -> list[PaymentRow]:
        asked = set(hashes)
        return [row for row in self._candidates(hashes)[0] if row[4] in asked]

    def payments_by_order(self, hashes: Sequence[int]) -> list[PaymentRow]:
        asked = set(hashes)
        return [row for row in self._candidates(hashes)[0] if row[5] in asked]

    def payments_by_auth(self, hashes: Sequence[int]) -> list[PaymentRow]:
        asked = set(hashes)
        return [row for row in self._candidates(hashes)[0] if row[6] in asked]

    def refunds_by_key(self, hashes: Sequence[int]) -> list[RefundRow]:
        asked = set(hashes)
        return [row for row in self._candidates(hashes)[1] if row[5] in asked]

    def probe(self, keys: Sequence[int], orders: Sequence[int], auths: Sequence[int]) -> Found:
        """The four look-ups for one frame. Something new is known as such without a query."""
        payments, refunds = self._candidates([*keys, *orders, *auths])
        if not payments and not refunds:
            return [], [], [], []
        by_key, by_order, by_auth = set(keys), set(orders), set(auths)
        return (
            [row for row in payments if row[4] in by_key],
            [row for row in payments if row[5] in by_order],
            [row for row in payments if row[6] in by_auth],
            [row for row in refunds if row[5] in by_key],
        )

    def payment(self, identifier: str) -> PaymentRow | None:
        return cast(PaymentRow | None, self._one("payment", identifier))

    def payment_by_no(self, no: int) -> PaymentRow | None:
        return cast(PaymentRow | None, self._one("payment_by_no", no))

    def refund(self, identifier: str) -> RefundRow | None:
        return cast(RefundRow | None, self._one("refund", identifier))

    def refunds_of(self, payment_no: int) -> list[RefundRow]:
        return self._all("refunds_of", payment_no)

    def merchant_payments(
        self, merchant_no: int, *, before: int | None, after: int | None, limit: int
    ) -> list[PaymentRow]:
        return self._payments(self._page(merchant_no, MERCHANT, before, after, limit))

    def merchant_refunds(
        self, merchant_no: int, *, before: int | None, after: int | None, limit: int
    ) -> list[RefundRow]:
        return self._refunds(self._page(merchant_no, MERCHANT_REFUND, before, after, limit))

    def _page(
        self, merchant_no: int, kind: int, before: int | None, after: int | None, limit: int
    ) -> list[int]:
        return self._seek.page(
            self._reader,
            merchant_no,
            kind,
            after=after or 0,
            before=before,
            limit=limit,
            is_newest_first=before is not None or after is None,
        )

    def due_payments(self, before_ms: int, limit: int) -> list[PaymentRow]:
        return self._all("due_payments", before_ms, limit)

    def due_refunds(self, before_ms: int, limit: int) -> list[RefundRow]:
        return self._all("due_refunds", before_ms, limit)

    def entries_of(self, source: str) -> list[EntryRow]:
        return self._all("entries_of", source)

    def entries_after(self, no: int, limit: int) -> list[EntryRow]:
        return self._all("entries_after", no, limit)

    def clearing_rows(self, after: int, upto: int) -> list[ClearingRow]:
        found: Any = self._scanner.execute(READ["clearing_rows"], (after, upto))
        return cast(list[ClearingRow], found.fetchall())

    def events_after(self, no: int, limit: int) -> list[EventRow]:
        return self._all("events_after", no, limit)

    def event_stubs(self, after: int, limit: int) -> list[EventStub]:
        return self._all("event_stubs", after, limit)

    def events_at(self, numbers: Sequence[int]) -> list[EventRow]:
        asked = array("q", numbers)
        return self._all("events_at", apsw.carray(asked)) if asked else []

    def event(self, identifier: str) -> EventRow | None:
        return cast(EventRow | None, self._one("event", identifier))

    def events_of(self, source: str) -> list[EventRow]:
        return self._all("events_of", *event_range(source))

    def balance(self, account: str, currency: str) -> BalanceRow | None:
        return cast(BalanceRow | None, self._one("balance", account, currency))

    def balances(self) -> Iterable[BalanceRow]:
        return self._all("balances")

    def balances_under(self, prefix: str) -> list[BalanceRow]:
        # All that begin so are below the prefix with its last character moved one up.
        return self._all("balances_between", prefix, prefix[:-1] + chr(ord(prefix[-1]) + 1))

    def heads(self) -> list[HeadRow]:
        return self._all("heads")

    def counter(self, merchant_no: int) -> CounterRow | None:
        return cast(CounterRow | None, self._one("counter", merchant_no))

    def record(self, identifier: str) -> RecordRow | None:
        return cast(RecordRow | None, self._one("record", identifier))

    def records(
        self, kind: str, owner: str, *, before: int | None, after: int | None, limit: int
    ) -> list[RecordRow]:
        if before is None and after is not None:
            return self._all("records_oldest", kind, owner, after, limit)
        last = NUMBER_MASK if before is None else before
        return self._all("records_newest", kind, owner, after or 0, last, limit)

    def records_after(self, kind: str, no: int, limit: int) -> list[RecordRow]:
        return self._all("records_after", kind, no, limit)

    def records_below(self, prefix: str, below: str, limit: int) -> list[RecordRow]:
        return self._all("records_below", prefix, below, limit)

    def due_records(self, before_ms: int, limit: int) -> list[RecordRow]:
        return self._all("due_records", before_ms, limit)

    def next_due_record(self) -> int | None:
        return cast(int | None, self._one("next_due_record")[0])

    def recent_nonces(self, since_s: int) -> list[tuple[int, int]]:
        return nonces_since((packed for (packed,) in self._reader.execute(READ["nonces"])), since_s)
