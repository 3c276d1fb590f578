"""The way home of the money in all shards' files, recomputed: the second half of the audit.

Every batch's members add up to its figures, and none is in two batches; each batch, instruction,
withdrawal, freeze and advance has its entries, and each such entry its record; nobody's money pays
another; what left a partition has arrived in the other or is due there.

One file is looked at after the other, each as of one moment. A share may so be seen to arrive that
was not yet seen to leave: before anybody is told, what was booked since is read.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final, TypeVar

import apsw
from msgspec.msgpack import Decoder

from payments.clearing.batch import Batch, BatchState
from payments.clearing.lines import lines_of
from payments.clearing.membership import Chains, chains_of, member_of
from payments.clearing.netting import Line, Netted, Netting, Window
from payments.ledger import Postings, Row, entry_of, unpack_postings
from payments.payment import Payment
from payments.reconciliation.adjustment import Adjustment
from payments.reconciliation.adjustment import entry_id as adjustment_entry_id
from payments.refund import Refund
from payments.settlement import entries, explained
from payments.settlement.cover import Cover
from payments.settlement.coverage import Coverage
from payments.settlement.entries import entry_id
from payments.settlement.holds import Advance, Freeze
from payments.settlement.instruction import Instruction
from payments.settlement.withdrawal import Withdrawal
from payments.storage.sql import load

SQL: Final = load("home_audit")
ALL: Final = Window(1 << 62, 99_999_999)
"""A batch's members are chosen before they are added up."""

_HOME: Final = frozenset("EICJAKFUHGSDXNO")
"""The last letters of entries that a record explains (`settlement/entries.py`)."""
_AWAY: Final = frozenset({entries.ARRIVED, entries.MONEY_ARRIVED})
"""Of these, the second steps of transits: explained by a record of another partition."""
_TRANSIT: Final = {entries.CLEARED: -1, entries.ARRIVED: -1, entries.COVERED: 1}
"""Which way a pair of transits leans while the second step is due: shares -1, money 1."""

T = TypeVar("T")
_payment: Final = Decoder(Payment).decode
_refund: Final = Decoder(Refund).decode


class HomeAudit:
    """All files together. `batches`: how many were looked at."""

    def __init__(self) -> None:
        self.batches = 0
        self._coverage = Coverage()
        self._sums: dict[tuple[str, int], int] = {}
        self._arrived: dict[str, Postings] = {}
        self._due: dict[str, Postings] = {}
        self._closed: dict[str, str] = {}

    # --- one file ------------------------------------------------------------------------------

    def file(self, connection: apsw.Connection) -> "FileAudit":
        """Begin with a file, in the database transaction that its caller has begun."""
        return FileAudit(self, connection)

    def count(self, identifier: str, postings: Postings) -> None:
        """Both steps of a transit meet here, whichever file is read first."""
        step = identifier[-1]
        if step in _AWAY:
            self._arrived[identifier] = postings
        lean = _TRANSIT.get(step, 1)
        for account, minor in postings:
            if account.startswith("transit:"):
                self._sums[account, lean] = self._sums.get((account, lean), 0) + minor

    # --- all of them ---------------------------------------------------------------------------

    def catch_up(self, connection: apsw.Connection, after: int) -> None:
        """Count the steps of transits that a file has booked since it was looked at."""
        rows: Any = connection.execute(SQL["steps_after"], (after,))
        for identifier, packed in rows:
            self.count(identifier, unpack_postings(packed))

    def complaints(self) -> Iterator[str]:
        """What is wrong with all files together, in words."""
        yield from self._coverage.complaints()
        for (account, lean), minor in sorted(self._sums.items()):
            if minor * lean < 0:
                yield f"{account}: {abs(minor)} more arrived than left"
        for identifier, batch in sorted(self._closed.items()):
            if identifier not in self._arrived:
                yield f"{batch} is closed and lacks entry {identifier}"
        for identifier, postings in sorted(self._due.items()):
            found = self._arrived.get(identifier, postings)
            if found != postings:
                yield f"entry {identifier} is not what its batch sent"

    @property
    def transits_due(self) -> int:
        """Pairs of partitions between which something is on its way."""
        return sum(minor != 0 for minor in self._sums.values())


def _added_up(netted: Netted) -> tuple[Any, ...]:
    return netted.totals, netted.claims, netted.outside


class FileAudit:
    """One file's part: fed with its entries while they are folded, then asked."""

    def __init__(self, home: HomeAudit, connection: apsw.Connection) -> None:
        self._home = home
        self._connection = connection
        self._batches = self._records("batch", Batch)
        self._covers = {each.merchant: each for each in self._records("cover", Cover)}
        self._claims = {
            entry_id(claim.id, entries.COVERED): claim
            for batch in self._batches
            for claim in explained.claims(batch)
        }
        self._advances = {each.id: each for each in self._records("advance", Advance)}
        self._booked: dict[str, Postings] = {}
        home.batches += len(self._batches)
        self.last_no = 0

    def _records(self, kind: str, shape: type[T]) -> list[T]:
        decode = Decoder(shape).decode
        rows: Any = self._connection.execute(SQL["records"], (kind,))
        return [decode(body) for _, body in rows]

    def entry(self, row: Row) -> None:
        """Take an entry of the file, in the order of booking. ValueError for a damaged one."""
        self.last_no = row[0]
        entry = entry_of(row)
        self._home._coverage.add(entry, self._owner(row, entry.postings))
        if entry.id[-1] in _HOME:
            self._home.count(entry.id, entry.postings)
            self._booked[entry.id] = entry.postings

    def _owner(self, row: Row, postings: Postings) -> str | None:
        """Whose it is, where none of its accounts says so."""
        if any(account.startswith("merchant:") for account, _ in postings):
            return None
        identifier, source = row[3], row[4]
        match identifier[-1]:
            case "P":
                return self._merchant_of(source, "payment_of", _payment)
            case "R":
                return self._merchant_of(source, "refund_of", _refund)
            case entries.COVERED:
                claim = self._claims.get(identifier)
                return None if claim is None else claim.merchant
            case entries.ADVANCED | entries.REPAID:
                advance = self._advances.get(source)
                return None if advance is None else advance.party
        return None

    def _merchant_of(
        self, source: str, query: str, decode: Callable[[bytes], Payment | Refund]
    ) -> str | None:
        found: Any = self._connection.execute(SQL[query], (source,)).fetchone()
        return None if found is None else decode(found[0]).merchant

    # --- complaints ----------------------------------------------------------------------------

    def complaints(self) -> Iterator[str]:
        """What is wrong within this file, in words. After its last entry."""
        yield from self._chains()
        yield from self._figures()
        expected: dict[str, Postings | None] = dict(self._explained())
        waiting = {each.id for cover in self._covers.values() for each in cover.waiting}
        for name, claim in self._claims.items():
            # A claim on nobody moves nothing if there was nothing to release: it has no entry then.
            if claim.id not in waiting and (claim.claim.receivable or name in self._booked):
                expected[name] = self._booked.get(name, ())
        for name, postings in expected.items():
            found = self._booked.get(name)
            if not found:
                yield f"lacks entry {name}, which a record says is booked"
            elif found != postings:
                yield f"entry {name} is not what its record says"
        for name in self._booked:
            if name not in expected and name[-1] not in _AWAY:
                yield f"has entry {name}, which no record explains"

    def _explained(self) -> Iterator[tuple[str, Postings]]:
        for batch in self._batches:
            yield from explained.departures(batch)
            for name, postings in explained.arrivals(batch):
                self._home._due[name] = postings
                if batch.state is BatchState.CLOSED:
                    self._home._closed[name] = batch.id
        instructions = self._records("instruction", Instruction)
        sources = {each.source for each in instructions}
        for instruction in instructions:
            yield from explained.of_instruction(instruction)
        for withdrawal in self._records("withdrawal", Withdrawal):
            yield from explained.of_withdrawal(withdrawal, withdrawal.id in sources)
        for freeze in self._records("freeze", Freeze):
            yield from explained.of_freeze(freeze)
        for advance in self._advances.values():
            yield from explained.of_advance(advance)
        for adjustment in self._records("adjustment", Adjustment):
            yield adjustment_entry_id(adjustment.item), adjustment.postings

    def _chains(self) -> Iterator[str]:
        """Each batch begins where the one before it ended: so none has a member of another."""
        for chain in chains_of(self._batches).values():
            before = (0, 0)
            for batch in chain:
                if (batch.before_seq, batch.before_date) != before:
                    yield f"{batch.id} does not begin where the batch before it ended"
                before = batch.cut_off_seq, batch.business_date

    def _figures(self) -> Iterator[str]:
        """The members of every batch, added up anew in one pass over the file."""
        chains = chains_of(self._batches)
        if not chains:
            return
        netting = Netting(lambda batch: ALL)
        netting.feed(self._members(chains))
        found = netting.netted()
        for chain in chains.values():
            for batch in chain:
                mine, said = found.get(batch.id), batch.netted
                if said is None or (mine is None and not said.totals.items):
                    continue
                if mine is None or _added_up(mine) != _added_up(said):
                    yield f"{batch.id}: its members do not add up to its figures"

    def _members(self, chains: Chains) -> Iterator[Line]:
        """Lines of members, each under its batch's id in the place of the merchant's."""
        rows: Any = self._connection.execute(SQL["members"])
        for *row, currency in rows:
            (line,) = lines_of((tuple(row),))
            seq, date, merchant = line[:3]
            batch = member_of(chains.get((merchant, currency), []), seq, date)
            if batch is not None:
                yield row[0], date, batch.id, *line[3:]
