"""What a shard tells of a store's day: takings by operator, terminal and wallet, slice by slice.

Nothing is kept for it. A merchant's payments are walked newest first until the day is passed, then
its refunds; whoever asks adds up the slices and goes on where the last one ended (`next`).
"""

from collections.abc import Callable
from typing import Final, TypeVar

from msgspec.json import Encoder

from actors.core import Core
from actors.home import HomeDesk, Said
from actors.home_messages import HomeAsk
from actors.live import decode_payment, decode_refund
from payments.clearing.workdays import cut_off_ms
from payments.errors import NotFound
from payments.payment import Payment
from payments.refund import Refund
from payments.reports.homeward import DATE_SPREAD_MS
from payments.reports.sales import store_day_table
from payments.reports.settlement import Scope

SLICE_ROWS: Final = 500
"""Payments or refunds that one question walks over."""
DAY_MS: Final = 86_400_000
PAYMENTS: Final = "payments"
REFUNDS: Final = "refunds"

T = TypeVar("T", Payment, Refund)
_encode: Final = Encoder().encode


class StoreDays:
    """The question, registered at the desk. Its body is for the front door, not for clients."""

    def __init__(self, desk: HomeDesk) -> None:
        self._core: Core = desk.core
        desk.takes("store_day.get", self.takings)

    def takings(self, ask: HomeAsk) -> Said:
        """{rows: [cells of `store_day.1`], next}: what one slice adds; the same group may come
        again in the next. `next`: "" at the end. Only what is committed is told."""
        core, query = self._core, ask.query
        date, store = int(query["business_date"]), query.get("store")
        merchant = core.reference.merchant(ask.party)
        if merchant is None:
            raise NotFound(f"no merchant {ask.party[:40]!r}")
        what, _, at = query.get("from", f"{PAYMENTS}:").partition(":")
        before = int(at) if at else None
        payments: list[Payment] = []
        refunds: list[Refund] = []
        if what == PAYMENTS:
            sold = core.store.merchant_payments(
                merchant.number, before=before, after=None, limit=SLICE_ROWS
            )
            numbers = [row[0] for row in sold]
            payments = [decode_payment(row[8]) for row in sold]
            is_last = self._is_past(payments, date)
        else:
            back = core.store.merchant_refunds(
                merchant.number, before=before, after=None, limit=SLICE_ROWS
            )
            numbers = [row[0] for row in back]
            refunds = [decode_refund(row[7]) for row in back]
            is_last = self._is_past(refunds, date)
        table = store_day_table(payments, refunds, self._payment, Scope(ask.party, date), store)
        after = f"{what}:{numbers[-1]}" if numbers else ""
        if is_last:
            after = f"{REFUNDS}:" if what == PAYMENTS else ""
        return Said(200, _encode({"rows": list(table.rows), "next": after}))

    def _is_past(self, found: list[T], date: int) -> bool:
        """Whether nothing older can be of the day: a slice is not full, or was made before it."""
        begins = cut_off_ms(date) - DAY_MS - DATE_SPREAD_MS
        return len(found) < SLICE_ROWS or max(each.created for each in found) < begins

    @property
    def _payment(self) -> Callable[[str], Payment | None]:
        def payment_of(identifier: str) -> Payment | None:
            row = self._core.store.payment(identifier)
            return None if row is None else decode_payment(row[8])

        return payment_of
