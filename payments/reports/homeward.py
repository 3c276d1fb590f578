"""How far an entry has come on its way home: its batch, its cover, and the payout of the batch."""

from collections.abc import Callable, Iterable

from msgspec import Struct

from payments import chart
from payments.calendar import business_date
from payments.clearing.batch import Batch
from payments.clearing.membership import chains_of, member_of
from payments.clearing.workdays import cut_off_ms
from payments.ledger import Row as EntryRow
from payments.ledger import unpack_postings
from payments.settlement import entries, explained
from payments.settlement.instruction import BACK, Instruction, State

MEMBERS = frozenset("PQR")
"""Last letters of the entries that batches take: payments, releases of what was held, refunds."""


DATE_SPREAD_MS = 36 * 3_600_000
"""A business date begins and ends within this of its midnights in China, wherever the store is."""


class Placed(Struct, frozen=True, gc=False):
    """`business_date`: the batch's, yyyymmdd, 0 outside of any; `paid_on`, `available_on`: dates
    in China, yyyymmdd, when the bank has paid and when the channel's money was there."""

    batch: str | None = None
    business_date: int = 0
    payout: str | None = None
    paid_on: str | None = None
    available_on: str | None = None


NOWHERE = Placed()


class Homeward:
    """The batches and payouts of one file. `booked_ms`: when an entry of (source, id) was booked.

    What was found for a batch is kept: its members ask one after the other.
    """

    def __init__(
        self,
        batches: Iterable[Batch],
        instructions: Iterable[Instruction],
        booked_ms: Callable[[str, str], int | None],
    ) -> None:
        self._chains = chains_of(batches)
        self._booked_ms = booked_ms
        self._payouts: dict[str, Instruction] = {}
        self._paid = {each.id: each for each in instructions}
        for each in self._paid.values():
            if each.state not in BACK:
                self._payouts |= {batch: each for batch, _ in each.parts}
        self._covered: dict[str, dict[tuple[str, int], str | None]] = {}

    def place(self, row: EntryRow, merchant: str, date: int) -> Placed:
        """Where an entry of the merchant, with this business date, has come to."""
        _, _, seq, identifier, source, at_ms, currency, packed, _ = row
        if identifier[-1] not in MEMBERS:
            found = self._paid.get(source)
            return NOWHERE if found is None else Placed(payout=found.id, paid_on=paid_on(found))
        batch = member_of(self._chains.get((merchant, currency), ()), seq, date)
        if batch is None:
            return NOWHERE
        payout = self._payouts.get(batch.id)
        account = next(
            (
                chart.parse(name).owner
                for name, _ in unpack_postings(packed)
                if name[:8] == "channel:"
            ),
            "",
        )
        day = business_date(at_ms) if account else 0
        return Placed(
            batch.id,
            batch.business_date,
            None if payout is None else payout.id,
            None if payout is None else paid_on(payout),
            self._available(batch).get((account, day)),
        )

    def batches(self, merchant: str | None, date: int | None) -> list[Batch]:
        """Batches that were added up, of one merchant and business date or of all."""
        return [
            batch
            for chain in self._chains.values()
            for batch in chain
            if batch.netted is not None
            and merchant in (None, batch.merchant)
            and date in (None, batch.business_date)
        ]

    def since_ms(self, merchant: str | None, date: int) -> int | None:
        """From when on members of a date's batches were booked; 0 for a first batch.

        They were booked after the batch before was cut off, or are dated later than it, and nothing
        is booked before its date. None if the date has no batch.
        """
        starts: list[int] = []
        for (owner, _), chain in self._chains.items():
            if merchant not in (None, owner):
                continue
            at = next((n for n, batch in enumerate(chain) if batch.business_date == date), None)
            if at is not None:
                before = chain[at - 1] if at else None
                starts.append(_ends_ms(before) if before is not None else 0)
        return min(starts, default=None)

    def _available(self, batch: Batch) -> dict[tuple[str, int], str | None]:
        """When each claim's credit was there, by channel account and the channel's day."""
        found = self._covered.get(batch.id)
        if found is None:
            found = self._covered[batch.id] = {
                (claim.claim.channel_account, claim.claim.bill_date): self._covered_on(claim.id)
                for claim in explained.claims(batch)
            }
        return found

    def _covered_on(self, claim: str) -> str | None:
        at_ms = self._booked_ms(claim, entries.entry_id(claim, entries.COVERED))
        return None if at_ms is None else str(business_date(at_ms))


def _ends_ms(batch: Batch) -> int:
    """When the first entry may have been booked that is not in this batch or one before."""
    return min(batch.cut_off_at, cut_off_ms(batch.business_date) - DATE_SPREAD_MS)


def paid_on(instruction: Instruction) -> str | None:
    """The date, in China, on which the bank paid; None where it has not."""
    paid = [moment.at for moment in instruction.history if moment.kind == State.PAID]
    return str(business_date(paid[-1])) if paid else None
