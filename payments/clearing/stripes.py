"""Receivers' stripes come home: each batch's share goes to the receiver's partition in two steps.

A receiver's share is booked where the payment is (`receiver:<id>:pending#<p>`), because no commit
crosses partitions. When the batch is filed, each share first pays what the receiver owes there; the
rest leaves through `transit:<p>:<home>` in the batch's commit, and arrives in a commit of its own
at home. Both steps have ids that are made of batch and receiver, so either may be booked again;
the second is due for as long as the pair of transits does not add up to zero.

A later refund may have drawn on a share before its batch is filed. Then less leaves than is due,
and the difference is left to the next batch, where that refund stands with the opposite sign.
"""

from collections.abc import Iterable, Mapping
from hashlib import sha256

from msgspec import Struct

from payments.ids import body_at, partition_of, time_ms_of
from payments.ledger import Postings
from payments.settlement import entries
from payments.settlement.entries import home_of


class Due(Struct, frozen=True, array_like=True, gc=False):
    """What a batch owes one party: its own sum and what earlier batches brought, minor units."""

    party: str
    amount: int


class Cleared(Struct, frozen=True, array_like=True, gc=False):
    """What was booked for one party when its batch was filed, minor units.

    `departure`, `arrival`: the sources of the two steps. `to_debt`: netted against what it owes.
    `moved`: sent home; 0 for who is at home. `left`: for the next batch. `to_fees`: netted against
    what a merchant owes of our fees on money that came past custody.
    """

    party: str
    partition: int
    departure: str
    arrival: str
    to_debt: int = 0
    moved: int = 0
    left: int = 0
    to_fees: int = 0

    @property
    def postings(self) -> Postings:
        """The first step, in the batch's partition. Empty if there is nothing to book."""
        return entries.cleared(self.party, self.partition, self.to_debt, self.moved, self.to_fees)

    @property
    def arrival_postings(self) -> Postings:
        """The second step, at the party's home. Empty for who is at home."""
        return entries.arrived(self.party, self.partition, self.moved)


def due_parties(
    merchant: str, pending: Mapping[str, int], brought: Iterable[tuple[str, int]]
) -> tuple[Due, ...]:
    """Every party of a batch with what is due to it: the merchant first, then by receiver."""
    sums = dict(brought)
    for party, amount in pending.items():
        sums[party] = sums.get(party, 0) + amount
    sums.setdefault(merchant, 0)
    parties = sorted(sums, key=lambda party: (party != merchant, party))
    return tuple(Due(party, sums[party]) for party in parties)


def clear(batch: str, due: Due, pending: int, debt: int, fees_due: int = 0) -> Cleared:
    """Decide what one party's entry says, from its balances in the batch's partition now.

    `pending`, `debt`, `fees_due` (a merchant's): as people read them, never below zero. Never takes
    more than there is; a debt comes before fees.
    """
    assert pending >= 0, (batch, due, pending)
    assert debt >= 0, (batch, due, debt)
    partition = partition_of(batch)
    home = home_of(due.party)
    departure, arrival = (_source(batch, due.party, step) for step in ("out", "in"))
    taken = max(0, min(due.amount, pending))
    to_debt = min(debt, taken)
    to_fees = min(fees_due, taken - to_debt)
    if home == partition:
        # Its share stays where it is; only cover moves it on.
        return Cleared(due.party, partition, departure, arrival, to_debt, to_fees=to_fees)
    assert not to_fees, due.party  # A merchant is always at home.
    left = due.amount - taken
    return Cleared(due.party, partition, departure, arrival, to_debt, taken - to_debt, left)


def _source(batch: str, party: str, step: str) -> str:
    """`clr_…`: what a step is about, in the partition in which it is booked."""
    digest = sha256(f"tillway clearing {step} {batch} {party}".encode()).digest()
    partition = partition_of(batch) if step == "out" else home_of(party)
    return "clr_" + body_at(time_ms_of(batch), partition, digest)
