"""What a shard remembers of a party at home, beside its balances: one record each.

A party is a merchant or a receiver. What can be recomputed from other records and entries is kept
because the decisions that need it are made without reading months of them; tests compare the two.
"""

from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct
from msgspec.structs import replace

from payments import chart
from payments.clearing.terms import POSITIONS_MAX, Position
from payments.ledger import Postings
from payments.settlement.coverage import MATCHED
from payments.settlement.purse import DayUse


class Party(Struct, frozen=True, array_like=True, gc=False):
    """A party's standing.

    `blocked_at`: when a payout of it last came back, business ms, or None. `use`: of the newest
    day with a withdrawal. `backing`: custody money that came for it and no other, minor units, as
    `coverage.Coverage` counts it. `unpaid`: what no instruction pays of its filed batches; the
    batches up to the record number `batch_no` are in it. `drafts`: instructions that are drafted or
    checked, whose money is not taken before they are sent.
    """

    id: str
    blocked_at: int | None = None
    use: DayUse = DayUse()
    backing: int = 0
    unpaid: tuple[Position, ...] = ()
    batch_no: int = 0
    drafts: tuple[str, ...] = ()


def attributed(postings: Postings, owner: str | None = None) -> Iterator[tuple[str, int]]:
    """(party, minor units) of backing that an entry gives or takes, by the law of `coverage.py`.

    `owner`: whose payment, covered claim or advance it is about, where no leg says so.
    """
    custody = 0
    moved: dict[str, int] = {}
    head = owner
    for name, minor in postings:
        family = name[: name.index(":")]
        if family == "custody":
            custody += minor
        elif family in ("merchant", "receiver"):
            account = chart.parse(name)
            owed = -minor if account.part in MATCHED else 0
            moved[account.owner] = moved.get(account.owner, 0) + owed
            if family == "merchant":
                head = account.owner
    if head is None:
        assert len(moved) <= 1 or not custody, postings
        head = next(iter(moved), None)
    for party, owed in moved.items():
        if party != head and owed:
            custody -= owed
            yield party, owed
    if custody:
        assert head is not None, postings
        yield head, custody


def owe(party: Party, batch: str, date: int, minor: int, batch_no: int) -> Party:
    """A filed batch owes its merchant `minor`, below zero where refunds were more."""
    unpaid = (*party.unpaid, Position(batch, date, minor)) if minor else party.unpaid
    return replace(party, unpaid=_netted(unpaid), batch_no=batch_no)


def pay(party: Party, parts: Iterable[tuple[str, int]]) -> Party:
    """An instruction pays these parts of its batches."""
    taken = dict(parts)
    unpaid = tuple(
        replace(each, amount=each.amount - taken.get(each.batch, 0)) for each in party.unpaid
    )
    return replace(party, unpaid=tuple(each for each in unpaid if each.amount))


def unpay(party: Party, parts: Iterable[tuple[str, int]], dates: Mapping[str, int]) -> Party:
    """It came back: the parts are unpaid again. `dates`: the batches' business dates."""
    back = dict(parts)
    kept = [replace(each, amount=each.amount + back.pop(each.batch, 0)) for each in party.unpaid]
    kept += [Position(batch, dates[batch], minor) for batch, minor in back.items()]
    return replace(party, unpaid=_netted(kept))


def move(party: Party, source: str, date: int, minor: int) -> Party:
    """A withdrawal took `minor` out (below zero), or brought it back (above): as a batch would."""
    return replace(party, unpaid=_netted((*party.unpaid, Position(source, date, minor))))


def _netted(positions: Iterable[Position]) -> tuple[Position, ...]:
    """Oldest first, with those below zero taken out of the oldest above: a payout does the same.

    So they stay few; only a merchant with more refunds than sales has one below zero.
    """
    ordered = sorted(positions, key=lambda each: (each.business_date, each.batch))
    owed = -sum(each.amount for each in ordered if each.amount < 0)
    kept = []
    for each in ordered:
        if each.amount > 0:
            taken = min(owed, each.amount)
            owed -= taken
            if each.amount > taken:
                kept.append(replace(each, amount=each.amount - taken))
    if owed:
        last = next(each for each in reversed(ordered) if each.amount < 0)
        kept.append(replace(last, amount=-owed))
    # More than these are years of batches that nobody could pay: the oldest is made one with the
    # next, and keeps its date.
    while len(kept) > POSITIONS_MAX:
        first, second = kept[0], kept[1]
        kept[:2] = [replace(first, amount=first.amount + second.amount)]
    return tuple(kept)
