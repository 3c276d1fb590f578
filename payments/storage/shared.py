"""Our rows of divided money, read from the shards' files beside their owners, or without them.

A division's record does not say when the channel had divided: its entry does. Rows are read a page
at a time, so that no page keeps the owner's log from being cleared.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import apsw
from msgspec.msgpack import Decoder

from payments.bills.lines import BillKind, BillState
from payments.bookings import paid_out_entry_id
from payments.calendar import DAY_MS
from payments.ids import BODY_LENGTH, IdMint, SeededEntropy, is_body, time_ms_of
from payments.reconciliation.lines import day_bounds
from payments.reconciliation.shared import OurShare
from payments.splitting.dividing import (
    Division,
    Piece,
    PieceState,
    Stage,
    division_id,
    order_of,
)
from payments.splitting.taken import TakenBack, taken_id
from payments.storage import connect
from payments.storage.base import StoreRefused
from payments.storage.sql import load

BACK_MS: Final = 3 * DAY_MS
"""How long before a day a payment or refund may have been begun of which parts were paid, or came
back, on that day. What took longer is found by its number, when the bill has it."""

PAGE_ROWS: Final = 2_000

SQL: Final = load("shared")
_STATES: Final = {
    PieceState.SETTLED: BillState.SUCCEEDED,
    PieceState.SENT: BillState.PROCESSING,
    PieceState.BOOKED: BillState.PROCESSING,
    PieceState.FAILED: BillState.FAILED,
}
_division: Final = Decoder(Division).decode
_taken: Final = Decoder(TakenBack).decode
_mint: Final = IdMint(SeededEntropy(0))
_TIME_END: Final = len("dvn_") + 10


class SharedRows:
    """See `payments.reconciliation.shared.SharedBooks`. Close it after use.

    `account`: our name of the channel account.
    """

    def __init__(self, paths: Sequence[Path], account: str) -> None:
        """Raise StoreRefused when a file is no store."""
        connect.guard_version()
        self._account = account
        self._shards: list[apsw.Connection] = []
        self._latest: tuple[str, apsw.Connection, Division] | None = None
        """The lines of an order stand together in a bill."""
        with ExitStack() as opened:
            for path in paths:
                try:
                    shard = connect.reader(path)
                except apsw.Error as error:
                    raise StoreRefused(f"{path}: {error}") from error
                opened.callback(shard.close)
                self._shards.append(shard)
            self._opened = opened.pop_all()

    def close(self) -> None:
        self._opened.close()

    # --- single numbers ------------------------------------------------------------------------

    def share(self, number: str, holder: str) -> OurShare | None:
        """What we know of a receiver's part by the number of a sharing order."""
        found = self._division(number[:BODY_LENGTH])
        if found is None or found[1].account != self._account:
            return None
        shard, division = found
        order = order_of(division)
        amounts = {each.account: each.amount for each in order.portions}
        for piece in division.pieces:
            if piece.holder is not None and piece.holder.account == holder:
                is_asked = number == order.number and holder in amounts
                amount = amounts[holder] if is_asked else piece.amount
                state = _STATES[piece.state] if is_asked else BillState.FAILED
                return _share(shard, division, number, holder, state, amount)
        return _share(shard, division, number, holder, BillState.FAILED, 0)

    def taken(self, number: str) -> OurShare | None:
        """What we know of a return order."""
        if not is_body(number[:BODY_LENGTH]):
            return None
        identifier = taken_id(number)
        for shard in self._shards:
            row: Any = shard.execute(SQL["record"], (identifier,)).fetchone()
            if row is not None:
                back = _taken(row[0])
                return _back(back) if back.account == self._account else None
        return None

    def account_of(self, number: str) -> str | None:
        """The channel account of a sharing order or return order; None if it is none of ours."""
        found = self._division(number[:BODY_LENGTH])
        if found is not None:
            return found[1].account
        if is_body(number[:BODY_LENGTH]):
            for shard in self._shards:
                row: Any = shard.execute(SQL["record"], (taken_id(number),)).fetchone()
                if row is not None:
                    return _taken(row[0]).account
        return None

    def _division(self, body: str) -> tuple[apsw.Connection, Division] | None:
        if self._latest is not None and self._latest[0] == body:
            return self._latest[1:]
        if not is_body(body):
            return None
        identifier = division_id(f"pay_{body}")
        for shard in self._shards:
            row: Any = shard.execute(SQL["record"], (identifier,)).fetchone()
            if row is not None:
                self._latest = (body, shard, _division(row[0]))
                return self._latest[1:]
        return None

    # --- a day -----------------------------------------------------------------------------------

    def day(self, bill_date: int) -> Iterator[OurShare]:
        """What was paid and came back on a day in China, as we learned of it."""
        begins, ends = day_bounds(bill_date)
        for shard in self._shards:
            for body in _pages(shard, "dvn", begins - BACK_MS, ends):
                yield from self._paid(shard, _division(body), begins, ends)
            for body in _pages(shard, "bck", begins - BACK_MS, ends):
                back = _taken(body)
                if back.account == self._account and begins <= back.at_ms < ends:
                    yield _back(back)

    def _paid(
        self, shard: apsw.Connection, division: Division, begins: int, ends: int
    ) -> Iterator[OurShare]:
        if division.account != self._account or division.stage is not Stage.OVER:
            return
        order = order_of(division)
        settled = {_holder(each) for each in division.pieces if each.state is PieceState.SETTLED}
        for portion in order.portions:
            if portion.account in settled:
                made = _share(
                    shard,
                    division,
                    order.number,
                    portion.account,
                    BillState.SUCCEEDED,
                    portion.amount,
                )
                if not begins <= made.at_ms < ends:
                    return
                yield made


def _holder(piece: Piece) -> str:
    return "" if piece.holder is None else piece.holder.account


def _share(
    shard: apsw.Connection,
    division: Division,
    number: str,
    holder: str,
    state: BillState,
    amount: int,
) -> OurShare:
    identifier = division_id(division.payment)
    asked = (identifier, paid_out_entry_id(identifier))
    row: Any = shard.execute(SQL["booked_at"], asked).fetchone()
    return OurShare(
        BillKind.SHARE,
        number,
        holder,
        division.payment,
        division.merchant,
        state,
        amount,
        division.paid_at,
        division.paid_at if row is None else row[0],
    )


def _back(back: TakenBack) -> OurShare:
    return OurShare(
        BillKind.SHARE_RETURN,
        back.number,
        back.holder,
        back.refund,
        back.merchant,
        BillState.SUCCEEDED,
        back.amount,
        time_ms_of(back.refund),
        back.at_ms,
    )


def _pages(shard: apsw.Connection, prefix: str, from_ms: int, to_ms: int) -> Iterator[bytes]:
    after, before = (_mint.new(prefix, ms, 0)[:_TIME_END] for ms in (from_ms, to_ms))
    while True:
        rows: Any = shard.execute(SQL["records_between"], (after, before, PAGE_ROWS)).fetchall()
        for _, body in rows:
            yield body
        if len(rows) < PAGE_ROWS:
            return
        after = rows[-1][0]
