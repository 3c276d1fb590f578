"""Money that waits or hurries by somebody's decision: freezes, and advances by a named funder.

A freeze takes money out of `available` for a reason that is written down, and gives it back whole.
An advance makes money available before the channel's credit is there: a funder that is named, up to
a limit that is agreed, puts its own money into custody for one party; it is paid back out of that
party's cover, never out of another's.
"""

from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from payments.errors import Conflict, InvalidField
from payments.ledger import Postings
from payments.settlement import entries
from payments.settlement.purse import Purse

REASON_MAX: Final = 500
"""Characters."""


class Freeze(Struct, frozen=True, array_like=True, gc=False):
    """An amount of one party that is held. `thawed_at`: when it was given back, or None."""

    id: str
    party: str
    currency: str
    amount: int
    reason: str
    by: str
    at: int
    thawed_at: int | None = None
    thawed_by: str | None = None
    thaw_reason: str | None = None
    metadata: dict[str, str] = {}


class Frozen(Struct, frozen=True, array_like=True, tag="frozen", gc=False):
    freeze: Freeze


class Thawed(Struct, frozen=True, array_like=True, tag="thawed", gc=False):
    at: int
    by: str
    reason: str


def freeze(wanted: Freeze, purse: Purse, known: Freeze | None) -> Frozen | None:
    """Hold money back, promised in the party's purse. None if it was frozen already.

    InvalidField without a reason or an amount, Conflict if there is less.
    """
    if known is not None:
        return None
    _require(wanted.reason, wanted.by)
    if wanted.amount <= 0:
        raise InvalidField(f"an amount of {wanted.amount}", param="amount")
    purse.promise(wanted.id, wanted.amount)
    return Frozen(wanted)


def thaw(frozen: Freeze, by: str, reason: str, at: int) -> Thawed | None:
    """Give a frozen amount back, whole. None if it was given back already."""
    if frozen.thawed_at is not None:
        return None
    _require(reason, by)
    return Thawed(at, by, reason)


def apply(frozen: Freeze | None, event: Frozen | Thawed) -> Freeze:
    """Fold one event into the freeze."""
    if isinstance(event, Frozen):
        return event.freeze
    assert frozen is not None, event
    return replace(frozen, thawed_at=event.at, thawed_by=event.by, thaw_reason=event.reason)


def booked(frozen: Freeze, event: Frozen | Thawed) -> tuple[str, Postings]:
    """(step, postings) of an event; the entry is about the freeze."""
    if isinstance(event, Frozen):
        return entries.FROZEN, entries.frozen(frozen.party, frozen.amount)
    return entries.THAWED, entries.thawed(frozen.party, frozen.amount)


def _require(reason: str, by: str) -> None:
    if not 0 < len(reason.strip()) <= REASON_MAX:
        raise InvalidField(f"a reason of 1 to {REASON_MAX} characters is needed", param="reason")
    if not by:
        raise InvalidField("say who decides", param="by")


# --- Advances --------------------------------------------------------------------------------


class Funder(Struct, frozen=True, array_like=True, gc=False):
    """Who advances, and how much may be outstanding at once in one partition, minor units."""

    name: str
    limit: int


class Advance(Struct, frozen=True, array_like=True, gc=False):
    """A funder's money for one party. `released`: the part that became available with it; the
    rest is there to cover refunds that exceeded sales."""

    id: str
    funder: str
    party: str
    currency: str
    custody: str
    amount: int
    released: int
    at: int
    repaid_at: int | None = None
    metadata: dict[str, str] = {}


class Advanced(Struct, frozen=True, array_like=True, tag="advanced", gc=False):
    advance: Advance


class Repaid(Struct, frozen=True, array_like=True, tag="repaid", gc=False):
    at: int


def advance(
    wanted: Advance,
    funder: Funder,
    outstanding: int,
    pending: int,
    is_young: bool,
    known: Advance | None,
) -> Advanced | None:
    """Put a funder's money there. None if this advance is known already.

    `outstanding`: what this funder has advanced and not got back. `pending`: the party's pending
    balance. `is_young`: `terms.is_young`; to release money before its day is settlement on the day
    itself by another name. Conflict above the limit, if more is to be released than is pending, or
    if anything is to be released to a young merchant.
    """
    if known is not None:
        return None
    assert wanted.funder == funder.name, (wanted, funder)
    if wanted.amount < 1:
        raise InvalidField(f"an advance of {wanted.amount}", param="amount")
    if not 0 <= wanted.released <= wanted.amount:
        raise InvalidField(f"from 0 to the {wanted.amount} that are advanced", param="released")
    if outstanding + wanted.amount > funder.limit:
        raise Conflict(f"{funder.name} advances {funder.limit} at most; {outstanding} is out")
    if wanted.released and is_young:
        raise Conflict(f"{wanted.party} is too young to be settled before its day")
    if wanted.released > pending:
        raise Conflict(f"{wanted.released} is more than the {pending} pending")
    return Advanced(wanted)


def repay(known: Advance, spare: int, at: int) -> Repaid | None:
    """Give a funder its money back. None if it has it already.

    `spare`: the party's custody money beyond what is available, frozen and in transit. Conflict
    while that is less: the credit is not there yet.
    """
    if known.repaid_at is not None:
        return None
    if spare < known.amount:
        raise Conflict(f"{known.party} has {spare} to spare of the {known.amount} advanced")
    return Repaid(at)


def apply_advance(known: Advance | None, event: Advanced | Repaid) -> Advance:
    """Fold one event into the advance."""
    if isinstance(event, Advanced):
        return event.advance
    assert known is not None, event
    return replace(known, repaid_at=event.at)


def advance_booked(advance: Advance, event: Advanced | Repaid) -> tuple[str, Postings]:
    """(step, postings) of an event; the entry is about the advance."""
    if isinstance(event, Advanced):
        postings = entries.advanced(
            advance.custody, advance.funder, advance.party, advance.amount, advance.released
        )
        return entries.ADVANCED, postings
    return entries.REPAID, entries.repaid(advance.custody, advance.funder, advance.amount)
