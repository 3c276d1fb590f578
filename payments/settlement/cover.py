"""Cover: a merchant's pending money becomes available when its share of a credit is at the bank.

A channel pays many merchants' money in one credit. The credit is divided by what the channel owes
for each merchant, exactly; only where the channel has kept its fee is that fee divided, by largest
remainder. A credit that is short or over by one unit covers nobody: somebody must find out why.

Of its share, a merchant's receivers have their parts first and the merchant the rest, each at most
what it is owed and what is still pending, and all together at most the money that is there for
this merchant: its share and what earlier shares left, less what is available or on its way.
Nobody's money pays another. Where refunds were more than sales, a share is below zero; it is taken
from what that merchant has, and if that is not enough, nothing moves until a funder has put money
there by name (`payments.settlement.holds`).
"""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Final

from msgspec import Struct

from payments.clearing.netting import Claim
from payments.errors import Conflict
from payments.fees import PPM
from payments.ids import body_at, derived_body, partition_of, time_ms_of
from payments.ledger import Postings
from payments.money import Money
from payments.settlement import entries
from payments.settlement.entries import home_of

CLAIMS_MAX: Final = 100_000
"""Merchants' claims that one credit of a channel may cover."""

OPEN_CLAIMS_MAX: Final = 4_000
"""Claims of one merchant that wait for their credit: a year of eleven a day."""


class Waiting(Struct, frozen=True, array_like=True, gc=False):
    """A filed batch's claim that waits for its credit. `id`: `cvr_…`, made of the two."""

    id: str
    batch: str
    merchant: str
    claim: Claim


class Credit(Struct, frozen=True, array_like=True, gc=False):
    """Money that arrived at the custody bank from a channel.

    `custody`: the account's name in our chart. `reference`: the bank's, unique to the credit.
    `bill_date`: yyyymmdd, the channel's day that it pays; 0 if it does not say.
    """

    custody: str
    channel_account: str
    reference: str
    amount: int
    at: int
    bill_date: int = 0


class Divided(Struct, frozen=True, array_like=True, gc=False):
    """A credit as shares: (the claim's id, the channel's fee kept from it) for each claim."""

    credit: Credit
    fees: tuple[tuple[str, int], ...]


class Difference(Struct, frozen=True, array_like=True, gc=False):
    """The credit is not what the claims come to: above zero it is short. Nobody is covered."""

    credit: Credit
    short: int


def claim_id(batch: str, channel_account: str, bill_date: int) -> str:
    """`cvr_…`: made of batch, channel account and the channel's day (yyyymmdd)."""
    made_of = f"tillway cover {batch} {channel_account} {bill_date}"
    return "cvr_" + derived_body(batch, sha256(made_of.encode()).digest())


def divide(credit: Credit, claims: Sequence[Waiting], fee_max_ppm: int = 0) -> Divided | Difference:
    """Divide a credit among the claims that the channel says it pays with it.

    `fee_max_ppm`: what the channel may keep, at most, of what it owes; 0 where it pays in full and
    sends a bill for its fee. The fee is divided by what is owed to each, never to who is owed
    nothing. Claims are of the credit's day, or `carried` to it.
    """
    assert len(claims) <= CLAIMS_MAX, len(claims)
    for each in claims:
        assert each.claim.channel_account == credit.channel_account, (credit, each)
        assert not credit.bill_date or each.claim.bill_date <= credit.bill_date, (credit, each)
    owed = [each.claim.receivable for each in claims]
    short = sum(owed) - credit.amount
    weights = [max(0, minor) for minor in owed]
    fee_max = sum(weights) * fee_max_ppm // PPM
    if not 0 <= short <= fee_max:
        return Difference(credit, short)
    if not short:
        return Divided(credit, tuple((each.id, 0) for each in claims))
    fees = [share.minor for share in Money(short).split(weights)]
    return Divided(credit, tuple((c.id, fee) for c, fee in zip(claims, fees, strict=True)))


def carried(claims: Sequence[Waiting], before: int) -> list[Waiting]:
    """The claims of earlier days that a channel nets with its day `before` (yyyymmdd).

    Of a day on which refunds were as much as sales or more, a channel pays nothing, and what it
    then lacks it takes off the days that follow, until one of them is above it. `claims`: of one
    channel account, all that wait. A day that is above has a credit of its own, and is not meant.
    """
    days: dict[int, list[Waiting]] = {}
    for each in claims:
        if each.claim.bill_date < before:
            days.setdefault(each.claim.bill_date, []).append(each)
    left, found = 0, list[Waiting]()
    for day in sorted(days):
        left += sum(each.claim.receivable for each in days[day])
        found += days[day]
        if left > 0:
            left, found = 0, []
    return found


def in_order(divided: Divided, claims: Sequence[Waiting]) -> tuple[tuple[Waiting, int], ...]:
    """(claim, the channel's fee) in the order in which they are to be matched.

    Shares below zero come first, for the others' money is short by them: a share above zero is
    matched only when every one below zero is.
    """
    fees = dict(divided.fees)
    found = [(each, fees[each.id]) for each in claims if each.id in fees]
    return tuple(sorted(found, key=lambda each: (each[0].claim.receivable - each[1], each[0].id)))


# --- One merchant ----------------------------------------------------------------------------


class Cover(Struct, frozen=True, array_like=True, gc=False):
    """What a merchant and its receivers wait for.

    `waiting`: claims without their credit, oldest first. `owed`: party -> minor units that matched
    claims owe and did not release; below zero where an advance released them before. `moved`:
    receiver -> minor units that clearing sent to its home and no cover has followed yet. `kept`:
    what of our fees, less the channel's, lies among this merchant's custody money.
    """

    merchant: str
    waiting: tuple[Waiting, ...] = ()
    owed: dict[str, int] = {}
    moved: dict[str, int] = {}
    kept: int = 0


class Release(Struct, frozen=True, array_like=True, gc=False):
    """A receiver's part that becomes available. `arrival`: the source of the second step, if it
    is away from the merchant's partition; else empty."""

    receiver: str
    amount: int
    arrival: str = ""


class Queued(Struct, frozen=True, array_like=True, tag="queued", gc=False):
    """A batch was filed: its claims wait. `moved`: (receiver, minor units) that left for home."""

    waiting: tuple[Waiting, ...]
    moved: tuple[tuple[str, int], ...]


class Covered(Struct, frozen=True, array_like=True, tag="covered", gc=False):
    """A claim's share of a credit is there. `released`: the merchant's own; minor units."""

    at: int
    claim_id: str
    custody: str
    reference: str
    channel_fee: int
    released: int
    receivers: tuple[Release, ...]


class ReleasedEarly(Struct, frozen=True, array_like=True, tag="released_early", gc=False):
    """An advance made part of what a party is owed available before its credit."""

    at: int
    party: str
    amount: int


CoverEvent = Queued | Covered | ReleasedEarly


def queue(
    cover: Cover, batch: str, claims: Sequence[Claim], moved: Sequence[tuple[str, int]]
) -> Queued:
    """Let a filed batch's claims wait for their credits. Conflict if too many wait already."""
    if len(cover.waiting) + len(claims) > OPEN_CLAIMS_MAX:
        raise Conflict(f"{len(cover.waiting)} claims of {cover.merchant} wait for their credit")
    waiting = tuple(
        Waiting(claim_id(batch, each.channel_account, each.bill_date), batch, cover.merchant, each)
        for each in claims
        if each.receivable or each.fee or any(minor for _, minor in each.parts)
    )
    return Queued(waiting, tuple(each for each in moved if each[1]))


def match(
    cover: Cover,
    credit: Credit,
    claim_id: str,
    channel_fee: int,
    pending: Mapping[str, int],
    matched: int,
    backing: int,
    at: int,
) -> Covered | None:
    """Cover one claim with its share of a credit. None if it does not wait (any more).

    `pending`: each party's pending balance in the merchant's partition. `matched`: what the
    merchant has available, frozen and in transit. `backing`: custody money that is this merchant's
    (`coverage.Coverage`). Conflict if the share is below zero and the merchant's money does not
    cover it.
    """
    claim = next((each.claim for each in cover.waiting if each.id == claim_id), None)
    if claim is None:
        return None
    kept = cover.kept + claim.fee - channel_fee
    # Our fees are no merchant's money; a loss on the channel's fee is made good by them first.
    room = backing + claim.receivable - channel_fee - matched - max(0, kept)
    if room < 0:
        raise Conflict(f"{cover.merchant} lacks {-room} for its refunds; a funder must advance it")
    owed = dict(cover.owed)
    for party, minor in claim.parts:
        owed[party] = owed.get(party, 0) + minor
    partition = home_of(cover.merchant)
    receivers = []
    for party in sorted(owed.keys() - {cover.merchant}):
        is_home = home_of(party) == partition
        there = pending.get(party, 0) if is_home else cover.moved.get(party, 0)
        amount = max(0, min(owed[party], there, room))
        room -= amount
        if amount:
            source = "" if is_home else _arrival(claim_id, party)
            receivers.append(Release(party, amount, source))
    own = max(0, min(owed.get(cover.merchant, 0), pending.get(cover.merchant, 0), room))
    return Covered(
        at, claim_id, credit.custody, credit.reference, channel_fee, own, tuple(receivers)
    )


def _arrival(claim_id: str, receiver: str) -> str:
    """`cvr_…` of the second step, in the receiver's partition."""
    digest = sha256(f"tillway cover in {claim_id} {receiver}".encode()).digest()
    return "cvr_" + body_at(time_ms_of(claim_id), home_of(receiver), digest)


def apply(cover: Cover, event: CoverEvent) -> Cover:
    """Fold one event into the state. Never refuses: it already happened."""
    owed, moved = dict(cover.owed), dict(cover.moved)
    waiting, kept = cover.waiting, cover.kept
    match event:
        case Queued(queued, sent):
            waiting = (*waiting, *queued)
            for party, minor in sent:
                _add(moved, party, minor)
        case Covered():
            found = next(each for each in waiting if each.id == event.claim_id)
            waiting = tuple(each for each in waiting if each.id != event.claim_id)
            kept += found.claim.fee - event.channel_fee
            for party, minor in found.claim.parts:
                _add(owed, party, minor)
            _add(owed, cover.merchant, -event.released)
            for each in event.receivers:
                _add(owed, each.receiver, -each.amount)
                if each.arrival:
                    _add(moved, each.receiver, -each.amount)
        case ReleasedEarly(_, party, amount):
            _add(owed, party, -amount)
    return Cover(cover.merchant, waiting, owed, moved, kept)


def _add(sums: dict[str, int], party: str, minor: int) -> None:
    """Add, and forget who has come to zero."""
    total = sums.get(party, 0) + minor
    if total:
        sums[party] = total
    else:
        sums.pop(party, None)


def booked(cover: Cover, event: Covered) -> Postings:
    """The entry of a covered claim, about its id. `cover`: before the event."""
    claim = next(each.claim for each in cover.waiting if each.id == event.claim_id)
    away: dict[int, int] = {}
    for each in event.receivers:
        if each.arrival:
            home = home_of(each.receiver)
            away[home] = away.get(home, 0) + each.amount
    return entries.covered(
        event.custody,
        claim.channel_account,
        cover.merchant,
        claim.receivable,
        event.channel_fee,
        event.released,
        tuple(sorted(away.items())),
        tuple((each.receiver, each.amount) for each in event.receivers if not each.arrival),
    )


def land(event: Covered, release: Release, pending: int) -> Postings:
    """The second step of a receiver's part, at its home, about `release.arrival`.

    `pending`: the receiver's there. Conflict while that is less: the share that clearing sent is
    itself on its way, and goes first.
    """
    assert release.arrival, release
    if pending < release.amount:
        raise Conflict(f"{release.receiver}'s share is on its way; its money comes after it")
    partition = partition_of(event.claim_id)
    return entries.money_arrived(event.custody, release.receiver, partition, release.amount)
