"""What a shard tells of its ledger: a party's balance transactions, entries, accounts, statements.

Nothing is kept for these questions, so that a payment pays nothing for them: entries are walked in
slices, newest or oldest first, and whoever asks goes on where the last slice ended (`next`). Only
what is committed is told, and nothing is changed.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final

from msgspec.json import Encoder

from actors.core import Core
from actors.home import HomeDesk, Said
from actors.home_messages import HomeAsk
from actors.live import decode_payment, decode_refund
from actors.record_kinds import BATCH, INSTRUCTION
from payments import chart
from payments.calendar import rfc3339
from payments.clearing.batch import Batch
from payments.clearing.workdays import cut_off_ms
from payments.errors import InvalidField
from payments.ids import BODY_LENGTH, partition_of
from payments.ledger import Row, unpack_postings
from payments.payment import Payment
from payments.refund import Refund
from payments.reports.homeward import DATE_SPREAD_MS, Homeward
from payments.reports.movements import Movement, movement_of
from payments.reports.settlement import Scope, Source, itemized_table
from payments.settlement.instruction import Instruction

SLICE_ROWS: Final = 1_000
"""Entries that one question walks over: about three milliseconds, between which payments go on."""

ACCOUNTS_MAX: Final = 5_000
"""Accounts of one owner in a shard: a receiver's stripes, five a partition, and some room."""

BATCHES_MAX: Final = 1_000
"""A merchant's newest batches that a statement looks through; older ones are read offline."""

SOURCES: Final = ("pay_", "rfd_", "clr_", "cvr_", "ins_", "wdr_", "frz_", "adv_")
"""What entries are about: with the body of an entry's id, one of these names its source."""

_encode: Final = Encoder().encode


class Papers:
    """The questions, registered at the desk. All bodies are for the front door, not for clients."""

    def __init__(self, desk: HomeDesk) -> None:
        self._core: Core = desk.core
        desk.takes("balance_transaction.list", self.movements)
        desk.takes("ledger_entry.list", self.entries)
        desk.takes("ledger_account.list", self.accounts)
        desk.takes("statement.get", self.statement)

    # --- backward ------------------------------------------------------------------------------

    def movements(self, ask: HomeAsk) -> Said:
        """{rows: [[no, balance transaction]], next}: of `party` at its home, newest first."""
        party, partition = ask.party, partition_of(ask.party)
        wanted, source = ask.query.get("type"), ask.query.get("source")

        def shown(row: Row) -> Any:
            if row[1] != partition or (source and row[4] != source):
                return None
            movement = movement_of(row, party)
            if movement is None or wanted not in (None, movement.type):
                return None
            return self._shown(row, movement, party)

        return self._walk(ask, party.encode(), shown, source)

    def _shown(self, row: Row, movement: Movement, party: str) -> dict[str, Any]:
        is_receiver = party.startswith("rcv_")
        return {
            "object": "balance_transaction",
            "id": row[3],
            "type": movement.type,
            "merchant": None if is_receiver else party,
            "receiver": party if is_receiver else None,
            "amount": movement.amount,
            "fee": movement.fee,
            "currency": row[6],
            "changes": movement.changes,
            "source": row[4],
            "available_on": movement.available_on,
            "created": rfc3339(row[5]),
            "livemode": self._core.options.livemode,
            "metadata": {},
        }

    def entries(self, ask: HomeAsk) -> Said:
        """{rows: [[no, entry]], next}: of an `account` or about a `source`, newest first."""
        account, source = ask.query.get("account", ""), ask.query.get("source")

        def shown(row: Row) -> Any:
            postings = unpack_postings(row[7])
            if account and all(name != account for name, _ in postings):
                return None
            return {
                "object": "ledger_entry",
                "id": row[3],
                "source": row[4],
                "currency": row[6],
                "created": rfc3339(row[5]),
                "partition": row[1],
                "sequence": row[2],
                "hash": row[8].hex(),
                "postings": [{"account": name, "amount": minor} for name, minor in postings],
                "livemode": self._core.options.livemode,
                "metadata": {},
            }

        return self._walk(ask, account.encode(), shown, source)

    def _walk(
        self,
        ask: HomeAsk,
        holding: bytes,
        shown: Callable[[Row], Any],
        source: str | None,
    ) -> Said:
        """One slice backward from `from`, or from behind `starting_after`, or from the newest.

        `next` is where to go on, 0 at the end. A source is looked up, and needs no walk.
        """
        query, store = ask.query, self._core.store
        before = int(query.get("from", 0)) or self._cursor(query) or self._core.books.entry_no + 1
        after = max(0, before - 1 - SLICE_ROWS)
        if source is not None:
            after, rows = 0, store.entries_of(source)
        else:
            rows = store.entries_after(after, before - 1 - after)
        found: list[tuple[int, Any]] = []
        for row in reversed(rows):
            if row[0] >= before or holding not in row[7] or not _within(row[5], query):
                continue
            body = shown(row)
            if body is not None:
                found.append((row[0], body))
        earliest = int(query.get("created[gte]", query.get("created[gt]", 0)))
        is_last = after == 0 or not rows or rows[0][5] < earliest - DATE_SPREAD_MS
        return Said(200, _encode({"rows": found, "next": 0 if is_last else after + 1}))

    def _cursor(self, query: dict[str, str]) -> int:
        """The number of the entry that a page starts after. InvalidField if it is not here."""
        wanted = query.get("starting_after")
        if wanted is None:
            return 0
        body = wanted[4 : 4 + BODY_LENGTH]
        for prefix in SOURCES:
            for row in self._core.store.entries_of(prefix + body):
                if row[3] == wanted:
                    return row[0]
        raise InvalidField("this list has no such object", param="starting_after")

    # --- accounts ------------------------------------------------------------------------------

    def accounts(self, ask: HomeAsk) -> Said:
        """{rows: [[account, currency, signed minor units]]}: whose names begin with `account`."""
        found = self._core.books.under(ask.query["account"])
        if len(found) > ACCOUNTS_MAX:
            raise InvalidField(f"more than {ACCOUNTS_MAX} accounts; name one", param="account")
        rows = [(name, currency, minor) for (name, currency), minor in found.items()]
        return Said(200, _encode({"rows": rows, "next": 0}))

    # --- statements ----------------------------------------------------------------------------

    def statement(self, ask: HomeAsk) -> Said:
        """{rows: [cells], next, batches}: one slice of a merchant's statement of a business date.

        Forward from `from`. Cells are those of `settlement_statement.itemized.1`. `batches`: as the
        store keeps them, with the last slice only.
        """
        merchant, date = ask.party, int(ask.query["business_date"])
        partition, core = partition_of(merchant), self._core
        batches: list[Batch] = [
            kept.value for kept in core.records.of(BATCH, merchant, limit=BATCHES_MAX)
        ]
        if len(batches) == BATCHES_MAX and batches[-1].business_date >= date:
            raise InvalidField("so long ago is read from the files", param="business_date")
        paid: list[Instruction] = [
            kept.value for kept in core.records.of(INSTRUCTION, merchant, limit=BATCHES_MAX)
        ]
        home = Homeward(batches, paid, self._booked_ms)
        after = int(ask.query.get("from", 0)) - 1
        if after < 0:
            since_ms = home.since_ms(merchant, date)
            begins = cut_off_ms(date) - DATE_SPREAD_MS - 86_400_000
            after = self._before(begins if since_ms is None else min(begins, since_ms))
        rows = core.store.entries_after(after, SLICE_ROWS)
        holding = chart.merchant_prefix(merchant).encode()
        mine = [row for row in rows if row[1] == partition and holding in row[7]]
        source = Source(self._payment, self._refund, home.place)
        table = itemized_table(((row, source) for row in mine), Scope(merchant, date))
        is_last = len(rows) < SLICE_ROWS or self._is_past(mine, date, home.batches(merchant, date))
        answer = {
            "rows": list(table.rows),
            "next": 0 if is_last else rows[-1][0] + 1,
            "batches": list(_figures(home.batches(merchant, date))) if is_last else [],
        }
        return Said(200, _encode(answer))

    def _is_past(self, rows: list[Row], date: int, batches: list[Batch]) -> bool:
        """Whether nothing further on can be of this date: its batches are full, its day is over."""
        if not rows or not batches:
            return False
        is_full = rows[-1][2] > max(batch.cut_off_seq for batch in batches)
        return is_full and rows[-1][5] > cut_off_ms(date) + DATE_SPREAD_MS

    def _before(self, at_ms: int) -> int:
        """The number before the first entry of an instant: entries are in the order of time."""
        low, high = 0, self._core.books.entry_no
        while low < high:
            middle = (low + high) // 2
            rows = self._core.store.entries_after(middle, 1)
            if rows and rows[0][5] < at_ms:
                low = middle + 1
            else:
                high = middle
        return low

    def _booked_ms(self, source: str, identifier: str) -> int | None:
        rows = self._core.store.entries_of(source)
        return next((row[5] for row in rows if row[3] == identifier), None)

    def _payment(self, identifier: str) -> Payment | None:
        row = self._core.store.payment(identifier)
        return None if row is None else decode_payment(row[8])

    def _refund(self, identifier: str) -> Refund | None:
        row = self._core.store.refund(identifier)
        return None if row is None else decode_refund(row[7])


def _figures(batches: list[Batch]) -> Iterator[dict[str, Any]]:
    for batch in batches:
        assert batch.netted is not None, batch.id
        totals = batch.netted.totals
        yield {
            "id": batch.id,
            "sequence": batch.sequence,
            "status": batch.state.value,
            "currency": batch.currency,
            "items": totals.items,
            "gross": totals.gross,
            "refunds": totals.refunds,
            "discounts": totals.discounts,
            "fees": totals.fees,
            "splits": totals.splits,
            "net": totals.net,
        }


def _within(at_ms: int, query: dict[str, str]) -> bool:
    """Whether an instant is within `created[…]`, milliseconds in decimal."""
    bounds = {
        name: int(query[f"created[{name}]"]) for name in _EDGES if f"created[{name}]" in query
    }
    return all(_EDGES[name](at_ms, edge) for name, edge in bounds.items())


_EDGES: Final[dict[str, Callable[[int, int], bool]]] = {
    "gt": lambda at, edge: at > edge,
    "gte": lambda at, edge: at >= edge,
    "lt": lambda at, edge: at < edge,
    "lte": lambda at, edge: at <= edge,
}
