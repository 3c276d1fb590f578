"""A clearing batch: what a merchant sold and gave back up to one business date, as one thing.

    OPEN ──cut off──> CLOSING ──netted──> NETTED ──filed──> FILED ──all arrived──> CLOSED*

- OPEN: the date runs. CLOSING: the two numbers of its membership are fixed. NETTED: added up.
  FILED: its entries are booked, its statement will not change. CLOSED: receivers' shares that went
  to another partition have arrived there.
- A decision that was made already is `None`: the same command again changes nothing. A decision
  that cannot be made yet is a Conflict.
- The id is made of merchant, business date and sequence, so whoever opens the batch again after a
  crash opens the same one (window W11).
"""

from enum import StrEnum
from hashlib import sha256
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from payments.clearing.netting import Claim, Netted, Window
from payments.clearing.stripes import Cleared, Due, due_parties
from payments.clearing.workdays import cut_off_ms
from payments.errors import Conflict
from payments.ids import body_at, partition_of

BATCHES_A_DAY_MAX: Final = 96
"""Batches of one merchant and business date: one each quarter of an hour."""


class BatchState(StrEnum):
    OPEN = "open"
    CLOSING = "closing"
    NETTED = "netted"
    FILED = "filed"
    CLOSED = "closed"


class Batch(Struct, frozen=True, array_like=True, gc=False):
    """The whole state of a batch: what a store packs into one row.

    `before_seq`, `before_date`: the limits of the batch before. `scan_seq`: the first sequence that
    a pass must read. `brought`: (receiver, minor units) that earlier batches left to move, or moved
    too much. `cut_off_seq`: 0 while open. `cleared`: what was booked for each party with `filed`.
    """

    id: str
    merchant: str
    business_date: int
    sequence: int
    currency: str
    opened_at: int
    before_seq: int = 0
    before_date: int = 0
    scan_seq: int = 1
    brought: tuple[tuple[str, int], ...] = ()
    state: BatchState = BatchState.OPEN
    cut_off_seq: int = 0
    cut_off_at: int = 0
    netted: Netted | None = None
    cleared: tuple[Cleared, ...] = ()
    filed_at: int = 0
    closed_at: int = 0

    @property
    def window(self) -> Window:
        """Which entries are in it. Only a batch that was cut off has one."""
        assert self.state is not BatchState.OPEN, self.id
        return Window(self.cut_off_seq, self.business_date, self.before_seq, self.before_date)

    @property
    def dues(self) -> tuple[Due, ...]:
        """What each receiver's share comes to, with what earlier batches brought."""
        assert self.netted is not None, self.id
        return due_parties(self.merchant, self.netted.pending, self.brought)

    @property
    def claims(self) -> tuple[Claim, ...]:
        """What waits for credits: of each, the fees that were netted from it are ours.

        They come with the credits of the claims that they are taken off, and not before.
        """
        assert self.netted is not None, self.id
        left = sum(each.to_fees for each in self.cleared)
        if not left:
            return self.netted.claims
        found = []
        for claim in self.netted.claims:
            parts = dict(claim.parts)
            taken = max(0, min(left, parts.get(self.merchant, 0)))
            if taken:
                left -= taken
                parts[self.merchant] -= taken
                claim = replace(claim, fee=claim.fee + taken, parts=tuple(sorted(parts.items())))
            found.append(claim)
        assert not left, self.id
        return tuple(found)


class Opened(Struct, frozen=True, array_like=True, tag="opened", gc=False):
    batch: Batch


class CutOff(Struct, frozen=True, array_like=True, tag="cut_off", gc=False):
    """The sequence that was the partition's last at this instant: later entries are not in it."""

    at: int
    seq: int


class WasNetted(Struct, frozen=True, array_like=True, tag="netted", gc=False):
    at: int
    netted: Netted


class Filed(Struct, frozen=True, array_like=True, tag="filed", gc=False):
    """Booked with the entries of `cleared`, in one commit."""

    at: int
    cleared: tuple[Cleared, ...]


class Closed(Struct, frozen=True, array_like=True, tag="closed", gc=False):
    at: int


BatchEvent = Opened | CutOff | WasNetted | Filed | Closed


def batch_id(merchant: str, business_date: int, sequence: int) -> str:
    """`bat_…`, from these three only: sorts by date, carries the merchant's partition."""
    digest = sha256(f"tillway batch {merchant} {business_date} {sequence}".encode()).digest()
    return "bat_" + body_at(cut_off_ms(business_date), partition_of(merchant), digest)


# --- Deciding --------------------------------------------------------------------------------


def open_next(
    previous: Batch | None, merchant: str, business_date: int, currency: str, at: int
) -> Opened:
    """Open the merchant's next batch of this currency, for this business date.

    `previous`: its newest one; it must be filed, because what it left to move is brought forward.
    Conflict if it is not, if the date goes back, or if the day has BATCHES_A_DAY_MAX already.
    """
    if previous is None:
        identifier = batch_id(merchant, business_date, 1)
        return Opened(Batch(identifier, merchant, business_date, 1, currency, at))
    assert (previous.merchant, previous.currency) == (merchant, currency), previous.id
    if previous.state not in (BatchState.FILED, BatchState.CLOSED):
        raise Conflict(f"{previous.id} is {previous.state}; file it before the next is opened")
    if business_date < previous.business_date:
        raise Conflict(f"{previous.id} has cleared {previous.business_date} already")
    same_day = business_date == previous.business_date
    sequence = previous.sequence + 1 if same_day else 1
    if sequence > BATCHES_A_DAY_MAX:
        raise Conflict(f"{business_date} has {previous.sequence} batches; take the next date")
    assert previous.netted is not None
    return Opened(
        Batch(
            batch_id(merchant, business_date, sequence),
            merchant,
            business_date,
            sequence,
            currency,
            at,
            before_seq=previous.cut_off_seq,
            before_date=previous.business_date,
            scan_seq=previous.netted.left_seq or previous.cut_off_seq + 1,
            brought=tuple((each.party, each.left) for each in previous.cleared if each.left),
        )
    )


def cut_off(batch: Batch, seq: int, at: int, closes_at: int | None = None) -> CutOff | None:
    """Fix the membership: entries up to `seq`, the partition's last sequence now.

    `closes_at`: the instant at which the business date ends (the merchant's last store's closing);
    None to cut a day in parts. Conflict before it. None if it was cut off already.
    """
    if batch.state is not BatchState.OPEN:
        return None
    if closes_at is not None and at < closes_at:
        raise Conflict(f"{batch.business_date} is not over; cut it off at {closes_at} ms or later")
    assert seq >= batch.before_seq, (seq, batch)
    return CutOff(at, seq)


def record(batch: Batch, netted: Netted, at: int) -> WasNetted | None:
    """Keep what the pass over `batch.window` found. None if it is known already."""
    if batch.state is BatchState.OPEN:
        raise Conflict(f"{batch.id} is open; cut it off first")
    if batch.state is not BatchState.CLOSING:
        # The same window over the same rows: anything else means that rows have changed.
        assert netted == batch.netted, batch.id
        return None
    return WasNetted(at, netted)


def file(batch: Batch, cleared: tuple[Cleared, ...], at: int) -> Filed | None:
    """The statement is final. `cleared`: `stripes.clear` of every due party, in that order.

    The caller books their first steps in the same commit. None if it was filed already.
    """
    if batch.state in (BatchState.FILED, BatchState.CLOSED):
        return None
    if batch.state is not BatchState.NETTED:
        raise Conflict(f"{batch.id} is {batch.state}; net it first")
    assert [each.party for each in cleared] == [due.party for due in batch.dues], batch.id
    return Filed(at, cleared)


def close(batch: Batch, arrived: frozenset[str], at: int) -> Closed | None:
    """Every share that left has arrived. `arrived`: the sources whose second step is booked.

    Conflict, naming one, while any is missing. None if it was closed already.
    """
    if batch.state is BatchState.CLOSED:
        return None
    if batch.state is not BatchState.FILED:
        raise Conflict(f"{batch.id} is {batch.state}; file it first")
    for each in batch.cleared:
        if each.moved and each.arrival not in arrived:
            raise Conflict(f"the share of {each.party} in {batch.id} is on its way")
    return Closed(at)


# --- Applying --------------------------------------------------------------------------------


def apply(batch: Batch | None, event: BatchEvent) -> Batch:
    """Fold one event into the state. Never refuses: it already happened."""
    if isinstance(event, Opened):
        return event.batch
    assert batch is not None, event
    match event:
        case CutOff(at, seq):
            return replace(batch, state=BatchState.CLOSING, cut_off_seq=seq, cut_off_at=at)
        case WasNetted(_, netted):
            return replace(batch, state=BatchState.NETTED, netted=netted)
        case Filed(at, cleared):
            return replace(batch, state=BatchState.FILED, cleared=cleared, filed_at=at)
        case Closed(at):
            return replace(batch, state=BatchState.CLOSED, closed_at=at)
