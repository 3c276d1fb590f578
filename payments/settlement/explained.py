"""Which entries the records of the way home explain: what must be booked, and nothing else.

Pure: one record in, its entries out as (entry id, postings). Whoever audits the books compares them
with what is booked: an entry that is missing, another one, or one that no record explains are all
somebody's money in the wrong place.
"""

from collections.abc import Iterator

from payments.clearing.batch import Batch, BatchState
from payments.ledger import Postings
from payments.settlement import cover, entries
from payments.settlement.cover import Cover, Waiting
from payments.settlement.entries import entry_id
from payments.settlement.holds import Advance, Freeze
from payments.settlement.instruction import BACK, Instruction, State
from payments.settlement.withdrawal import Status, Withdrawal

Explained = Iterator[tuple[str, Postings]]

FINAL = frozenset({BatchState.FILED, BatchState.CLOSED})
"""States in which a batch's entries are booked."""


def departures(batch: Batch) -> Explained:
    """The first steps of a batch, in its own partition, and what channels pay past custody."""
    for each in batch.cleared:
        if each.postings:
            yield entry_id(each.departure, entries.CLEARED), each.postings
    if batch.netted is not None and batch.state in FINAL:
        outside = entries.settled_outside(batch.merchant, batch.netted.outside)
        if outside:
            yield entry_id(batch.id, entries.OUTSIDE), outside


def arrivals(batch: Batch) -> Explained:
    """The second steps, each at its party's home. All of them are booked once it is closed."""
    for each in batch.cleared:
        if each.moved:
            yield entry_id(each.arrival, entries.ARRIVED), each.arrival_postings


def claims(batch: Batch) -> tuple[Waiting, ...]:
    """What the channels owe for a filed batch, each with the id that its cover is about."""
    if batch.netted is None or batch.state not in FINAL:
        return ()
    return cover.queue(Cover(batch.merchant), batch.id, batch.claims, ()).waiting


def of_instruction(one: Instruction) -> Explained:
    """Its money leaves available once (a withdrawal's left before), and ends in one place."""
    was_paid = any(moment.kind == State.PAID for moment in one.history)
    if one.sent and not one.is_held:
        yield entry_id(one.id, entries.SENT), entries.held(one.party, one.total)
    if was_paid:
        paid = entries.paid(one.custody, one.party, one.amount, one.fee)
        yield entry_id(one.id, entries.PAID), paid
    if one.state is State.RETURNED and was_paid:
        returned = entries.returned(one.custody, one.party, one.amount, one.fee)
        yield entry_id(one.id, entries.RETURNED), returned
    elif one.state in BACK and (one.is_held or one.sent):
        yield entry_id(one.id, entries.REJECTED), entries.let_go(one.party, one.total)


def of_withdrawal(one: Withdrawal, has_instruction: bool) -> Explained:
    """Held with the request; let go by a refusal, unless an instruction did that."""
    yield entry_id(one.id, entries.HELD), entries.held(one.party, one.total)
    if one.status is Status.REJECTED and not has_instruction:
        yield entry_id(one.id, entries.LET_GO), entries.let_go(one.party, one.total)


def of_freeze(one: Freeze) -> Explained:
    yield entry_id(one.id, entries.FROZEN), entries.frozen(one.party, one.amount)
    if one.thawed_at is not None:
        yield entry_id(one.id, entries.THAWED), entries.thawed(one.party, one.amount)


def of_advance(one: Advance) -> Explained:
    there = entries.advanced(one.custody, one.funder, one.party, one.amount, one.released)
    yield entry_id(one.id, entries.ADVANCED), there
    if one.repaid_at is not None:
        repaid = entries.repaid(one.custody, one.funder, one.amount)
        yield entry_id(one.id, entries.REPAID), repaid
