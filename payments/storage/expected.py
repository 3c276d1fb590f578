"""Our side of a reconciliation, read from the shards' files, beside their owners or without them.

Numbers at the channels are made of ids, and ids begin with the instant at which they were made: a
walk along the index of ids is a walk in the order of numbers, so nothing has to be sorted. Rows are
read a page at a time: no page keeps the owner's log from being cleared.
"""

from collections.abc import Callable, Iterator, Sequence
from heapq import merge
from operator import attrgetter
from pathlib import Path
from typing import Any, Final

import apsw
from msgspec.msgpack import Decoder
from msgspec.structs import replace

from payments.bills.lines import BillState
from payments.calendar import DAY_MS
from payments.fees import FeePlan
from payments.ids import (
    IdMint,
    MalformedId,
    SeededEntropy,
    is_body,
    out_trade_no,
    payment_of_out_trade_no,
)
from payments.payment import Payment, Status
from payments.reconciliation.lines import Ours, day_bounds
from payments.reconciliation.ours import charge_of, charges_of, refund_of, sale_of
from payments.refund import Refund
from payments.storage import connect, migrate
from payments.storage.base import StoreRefused
from payments.storage.sql import load

PAYMENTS_BACK_MS: Final = DAY_MS
"""How long before a day a payment may have been begun that succeeded on it. A code lives two hours;
the rest is for a gateway that was down. What took longer is found by its number."""
REFUNDS_BACK_MS: Final = 31 * DAY_MS
"""The same for refunds, which banks may take weeks for."""
PAGE_ROWS: Final = 2_000

SQL: Final = load("expected")
_payment: Final = Decoder(Payment).decode
_refund: Final = Decoder(Refund).decode
_number: Final = attrgetter("number")
_mint: Final = IdMint(SeededEntropy(0))
_TIME_END: Final = len("pay_") + 10


class ShardBooks:
    """The rows of all shards about one channel account. Close it after use.

    `plan`: what the channel charges on this account; None when nobody told us.
    """

    def __init__(self, paths: Sequence[Path], account: str, plan: FeePlan | None = None) -> None:
        """Raise StoreRefused when a file is no store."""
        connect.guard_version()
        self._account = account
        self._plan = plan
        self._shards: list[apsw.Connection] = []
        for path in paths:
            try:
                self._shards.append(connect.reader(path))
            except apsw.Error as error:
                raise StoreRefused(f"{path}: {error}") from error

    def close(self) -> None:
        for shard in self._shards:
            shard.close()

    # --- a day, in the order of numbers --------------------------------------------------------

    def payments(self, bill_date: int) -> Iterator[Ours]:
        """The charges that we learned of on a day in China, sorted by out_trade_no."""
        return self._day(bill_date, self._payments)

    def refunds(self, bill_date: int) -> Iterator[Ours]:
        """The refunds that succeeded on a day in China, sorted by out_refund_no."""
        return self._day(bill_date, self._refunds)

    def _day(
        self, bill_date: int, of_shard: Callable[[apsw.Connection, int, int], Iterator[Ours]]
    ) -> Iterator[Ours]:
        begins, ends = day_bounds(bill_date)
        streams = [of_shard(shard, begins, ends) for shard in self._shards]
        return streams[0] if len(streams) == 1 else merge(*streams, key=_number)

    def _payments(self, shard: apsw.Connection, begins: int, ends: int) -> Iterator[Ours]:
        rows = _pages(shard, "payments_between", "pay", begins - PAYMENTS_BACK_MS, ends)
        account, plan = self._account, self._plan
        for _, no, body in rows:
            payment = _payment(body)
            attempt = payment.attempt
            if payment.status is Status.SUCCEEDED and not payment.earlier and attempt is not None:
                # Nearly all are so: the million that is walked here goes the short way.
                if attempt.account == account:
                    line = sale_of(payment, attempt, plan)
                    if begins <= line.at_ms < ends:
                        yield line
                continue
            charges = charges_of(payment, account, plan, _refunds_of(shard, no))
            # Of several charges of one payment the running attempt has the highest number.
            for line in charges:
                if begins <= line.at_ms < ends:
                    yield line

    def _refunds(self, shard: apsw.Connection, begins: int, ends: int) -> Iterator[Ours]:
        for _, _, body in _pages(shard, "refunds_between", "rfd", begins - REFUNDS_BACK_MS, ends):
            line = refund_of(_refund(body), self._account)
            if line is None or line.state is not BillState.SUCCEEDED:
                continue
            if begins <= line.at_ms < ends:
                yield line

    # --- what others took -----------------------------------------------------------------------

    def reported_charges(self, from_ms: int, to_ms: int) -> Iterator[Ours]:
        """Payments that were reported between two instants, under the channel's own numbers."""
        for shard in self._shards:
            for _, _, body in _pages(shard, "payments_between", "pay", from_ms, to_ms):
                payment = _payment(body)
                attempt = payment.attempt
                if attempt is None or not payment.is_reported or attempt.account != self._account:
                    continue
                line = sale_of(payment, attempt, self._plan)
                yield replace(line, number=attempt.channel_trade_no or line.number)

    def reported_refunds(self, from_ms: int, to_ms: int) -> Iterator[Ours]:
        """Refunds that were reported between two instants, under the channel's own numbers."""
        for shard in self._shards:
            for _, _, body in _pages(shard, "refunds_between", "rfd", from_ms, to_ms):
                refund = _refund(body)
                line = refund_of(refund, self._account)
                if line is not None and line.state is BillState.SUCCEEDED:
                    yield replace(line, number=refund.channel_refund_no or line.number)

    # --- single numbers ------------------------------------------------------------------------

    def charge(self, out_trade_no: str) -> Ours | None:
        """What we know of an attempt on this account, however it ended."""
        found = self._payment_of(out_trade_no)
        if found is None:
            return None
        payment, number, refunds = found
        return charge_of(payment, number, self._account, self._plan, refunds)

    def account_of(self, out_trade_no: str) -> str | None:
        """The channel account on which an attempt was made; None if we never made it."""
        found = self._payment_of(out_trade_no)
        if found is None:
            return None
        payment, number, _ = found
        attempts = (*payment.earlier, payment.attempt)
        return next((one.account for one in attempts if one and one.number == number), None)

    def payment(self, out_trade_no: str) -> tuple[Payment, int] | None:
        """The payment that an order number belongs to, and the number of the attempt."""
        found = self._payment_of(out_trade_no)
        return None if found is None else found[:2]

    def refund(self, out_refund_no: str) -> Ours | None:
        """What we know of a refund on this account."""
        found = self._refund_of(out_refund_no)
        return None if found is None else refund_of(found, self._account)

    def refunded(self, out_refund_no: str) -> tuple[Refund, Payment] | None:
        """A refund and the payment that it gives back."""
        refund = self._refund_of(out_refund_no)
        if refund is None:
            return None
        payment = self.payment(out_trade_no(refund.payment, 1))
        return None if payment is None else (refund, payment[0])

    def _refund_of(self, out_refund_no: str) -> Refund | None:
        if not is_body(out_refund_no):
            return None
        for shard in self._shards:
            row: Any = shard.execute(SQL["refund"], (f"rfd_{out_refund_no}",)).fetchone()
            if row is not None:
                return _refund(row[0])
        return None

    def _payment_of(
        self, out_trade_no: str
    ) -> tuple[Payment, int, Callable[[], Sequence[Refund]]] | None:
        try:
            identifier, number = payment_of_out_trade_no(out_trade_no)
        except MalformedId:
            return None
        for shard in self._shards:
            row: Any = shard.execute(SQL["payment"], (identifier,)).fetchone()
            if row is not None:
                return _payment(row[1]), number, _refunds_of(shard, row[0])
        return None


def is_live(path: Path) -> bool:
    """Whether a shard's file holds real money. Raise StoreRefused when it is not one of ours."""
    shard = connect.reader(path)
    try:
        stamp = migrate.read_stamp(shard)
    finally:
        shard.close()
    return stamp is not None and stamp.livemode


def _pages(
    shard: apsw.Connection, name: str, prefix: str, from_ms: int, to_ms: int
) -> Iterator[tuple[str, int, bytes]]:
    after, before = (_mint.new(prefix, ms, 0)[:_TIME_END] for ms in (from_ms, to_ms))
    while True:
        rows: Any = shard.execute(SQL[name], (after, before, PAGE_ROWS)).fetchall()
        yield from rows
        if len(rows) < PAGE_ROWS:
            return
        after = rows[-1][0]


def _refunds_of(shard: apsw.Connection, payment_no: int) -> Callable[[], Sequence[Refund]]:
    def read() -> Sequence[Refund]:
        rows: Any = shard.execute(SQL["refunds_of"], (payment_no,))
        return [_refund(body) for (body,) in rows]

    return read
