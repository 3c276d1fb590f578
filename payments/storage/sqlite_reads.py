"""The look-ups of the SQLite store, on a reader connection of the caller's thread."""

from array import array
from collections.abc import Iterable, Sequence
from typing import Any, cast

import apsw

from payments.storage.base import (
    BalanceRow,
    CounterRow,
    EntryRow,
    EventRow,
    HeadRow,
    PaymentRow,
    RefundRow,
)
from payments.storage.limits import (
    NO_MAX,
    Found,
    event_range,
    nonces_since,
)
from payments.storage.sql import READ


class SqliteReads:
    """Everything of `Store` that only reads. Each call sees the commits before it, whole."""

    _reader: apsw.Connection

    def _all(self, name: str, *values: Any) -> list[Any]:
        return self._reader.execute(READ[name], values).fetchall()

    def _one(self, name: str, *values: Any) -> Any:
        return self._reader.execute(READ[name], values).fetchone()

    def _hashes(self, name: str, hashes: Sequence[int]) -> list[Any]:
        if not hashes:
            return []
        bound = apsw.carray(array("q", dict.fromkeys(hashes)))
        found = self._reader.execute(READ[name], (bound,)).fetchall()
        found.sort()  # By number; a list of none or one costs nothing.
        return found

    def payments_by_key(self, hashes: Sequence[int]) -> list[PaymentRow]:
        return self._hashes("payments_by_key", hashes)

    def payments_by_order(self, hashes: Sequence[int]) -> list[PaymentRow]:
        return self._hashes("payments_by_order", hashes)

    def payments_by_auth(self, hashes: Sequence[int]) -> list[PaymentRow]:
        return self._hashes("payments_by_auth", hashes)

    def refunds_by_key(self, hashes: Sequence[int]) -> list[RefundRow]:
        return self._hashes("refunds_by_key", hashes)

    def probe(self, keys: Sequence[int], orders: Sequence[int], auths: Sequence[int]) -> Found:
        """Four look-ups in one read transaction: the snapshot is taken once."""
        reader = self._reader
        reader.execute("BEGIN")
        try:
            return (
                self._hashes("payments_by_key", keys),
                self._hashes("payments_by_order", orders),
                self._hashes("payments_by_auth", auths),
                self._hashes("refunds_by_key", keys),
            )
        finally:
            reader.execute("COMMIT")

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
        return self._page("payments", merchant_no, before, after, limit)

    def merchant_refunds(
        self, merchant_no: int, *, before: int | None, after: int | None, limit: int
    ) -> list[RefundRow]:
        return self._page("refunds", merchant_no, before, after, limit)

    def _page(
        self, kind: str, merchant_no: int, before: int | None, after: int | None, limit: int
    ) -> list[Any]:
        if before is None and after is not None:
            return self._all(f"oldest_{kind}", merchant_no, after, limit)
        first, last = after or 0, NO_MAX if before is None else before
        return self._all(f"newest_{kind}", merchant_no, first, last, limit)

    def due_payments(self, before_ms: int, limit: int) -> list[PaymentRow]:
        return self._all("due_payments", before_ms, limit)

    def due_refunds(self, before_ms: int, limit: int) -> list[RefundRow]:
        return self._all("due_refunds", before_ms, limit)

    def entries_of(self, source: str) -> list[EntryRow]:
        return self._all("entries_of", source)

    def entries_after(self, no: int, limit: int) -> list[EntryRow]:
        return self._all("entries_after", no, limit)

    def events_after(self, no: int, limit: int) -> list[EventRow]:
        return self._all("events_after", no, limit)

    def events_of(self, source: str) -> list[EventRow]:
        return self._all("events_of", *event_range(source))

    def balance(self, account: str, currency: str) -> BalanceRow | None:
        return cast(BalanceRow | None, self._one("balance", account, currency))

    def balances(self) -> Iterable[BalanceRow]:
        return self._all("balances")

    def heads(self) -> list[HeadRow]:
        return self._all("heads")

    def counter(self, merchant_no: int) -> CounterRow | None:
        return cast(CounterRow | None, self._one("counter", merchant_no))

    def recent_nonces(self, since_s: int) -> list[tuple[int, int]]:
        return nonces_since((packed for (packed,) in self._reader.execute(READ["nonces"])), since_s)
