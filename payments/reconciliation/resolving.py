"""How a difference ends: by itself, when another bill explains it, or by two people.

    open ──propose (maker)──> open, proposed ──check (checker, another person)──> resolved
                                    │  └──check: no──> open
    expected_later ──another bill has it──> resolved
                   ──all bills that might have it came──> ours_only; late_success for a
                     reversal, split_mismatch for a part
    ours_only      ──another bill has it──> resolved

Deciding may refuse and changes nothing; `apply` folds what was decided and never refuses.
"""

from typing import Final, assert_never

from msgspec import Struct
from msgspec.structs import replace

from payments.bills.lines import BillKind
from payments.reconciliation.differences import (
    OWNERS,
    Act,
    Difference,
    Kind,
    Owner,
    Proposal,
    Standing,
)
from payments.reconciliation.match import Elsewhere, dates_of

NAME_MAX: Final = 64
"""Characters of an operator's name."""
NOTE_MAX: Final = 500
"""Characters of a maker's or checker's words."""

WAITING: Final = frozenset({Kind.EXPECTED_LATER, Kind.OURS_ONLY})
"""What another day's bill may explain."""


class DecisionRefused(ValueError):
    """A person may not decide this, or not now. `code`: bad_name, bad_note, already_resolved,
    not_proposed, same_person."""

    def __init__(self, code: str, why: str) -> None:
        super().__init__(why)
        self.code = code


class Proposed(Struct, frozen=True):
    """A maker says what to do."""

    at: int
    maker: str
    note: str
    proposal: Proposal


class Agreed(Struct, frozen=True):
    """A checker agrees: the difference is resolved."""

    at: int
    checker: str
    note: str


class SentBack(Struct, frozen=True):
    """A checker does not agree: somebody proposes anew."""

    at: int
    checker: str
    note: str


class Explained(Struct, frozen=True):
    """The bill of another day has the line. `run`: the comparison of that bill."""

    at: int
    run: str


class NotExplained(Struct, frozen=True):
    """Every bill that might have the line came, and none has it; or the one that had it went."""

    at: int
    kind: Kind


Event = Proposed | Agreed | SentBack | Explained | NotExplained


# --- people ----------------------------------------------------------------------------------


def propose(
    difference: Difference, maker: str, note: str, now: int, proposal: Proposal | None = None
) -> Proposed:
    """Decide whether this person may propose to end it. `proposal`: None for the one it has."""
    _check_words(maker, note)
    _check_open(difference)
    return Proposed(now, maker, note, proposal or difference.proposal)


def check(
    difference: Difference, checker: str, note: str, now: int, *, agrees: bool
) -> Agreed | SentBack:
    """Decide whether this person may end what another one proposed."""
    _check_words(checker, note)
    _check_open(difference)
    if not difference.maker:
        raise DecisionRefused("not_proposed", "nobody has proposed anything; propose first")
    if difference.maker.casefold() == checker.casefold():
        raise DecisionRefused("same_person", "who proposed cannot agree; ask another operator")
    return Agreed(now, checker, note) if agrees else SentBack(now, checker, note)


def _check_words(name: str, note: str) -> None:
    if not name.strip() or name != name.strip() or len(name) > NAME_MAX or not name.isprintable():
        raise DecisionRefused("bad_name", f"give the operator's name, 1 to {NAME_MAX} characters")
    if len(note) > NOTE_MAX:
        raise DecisionRefused("bad_note", f"say it in at most {NOTE_MAX} characters")


def _check_open(difference: Difference) -> None:
    if difference.standing is Standing.RESOLVED:
        raise DecisionRefused("already_resolved", "this difference is resolved already")


# --- other days' bills -------------------------------------------------------------------------


def reconsider(
    difference: Difference, bill_date: int, run: str | None, elsewhere: Elsewhere, now: int
) -> Explained | NotExplained | None:
    """What other days' bills now say of a difference of `bill_date`. None: nothing new.

    `run`: the comparison whose bill has the line, if one does. A difference that two people ended
    stays ended.
    """
    if difference.checker:
        return None
    if run is not None:
        is_told = difference.resolved_by == run
        return None if is_told else Explained(now, run)
    waits = any(not elsewhere.is_done(date) for date in dates_of(difference.until, bill_date))
    kind = Kind.EXPECTED_LATER if waits else _missed(difference)
    if kind is difference.kind and not difference.resolved_by:
        return None
    return NotExplained(now, kind)


def _missed(difference: Difference) -> Kind:
    """What it is when no bill has the line."""
    if difference.line in (BillKind.SHARE, BillKind.SHARE_RETURN):
        return Kind.SPLIT_MISMATCH
    # A reversal that never came is a payment that stands at the channel and not with us.
    return Kind.OURS_ONLY if difference.theirs is None else Kind.LATE_SUCCESS


def awaited(difference: Difference) -> tuple[BillKind, str] | None:
    """The line that another bill may have; None when no other bill can explain it."""
    if difference.kind in WAITING or difference.until != (0, 0):
        return difference.line, difference.number
    return None


def apply(difference: Difference, event: Event) -> Difference:
    """Fold one event into the difference. Never refuses."""
    match event:
        case Proposed():
            return replace(
                difference,
                proposal=event.proposal,
                maker=event.maker,
                maker_note=event.note,
                made_at=event.at,
                checker_note="",
            )
        case Agreed():
            return replace(
                difference,
                standing=Standing.RESOLVED,
                checker=event.checker,
                checker_note=event.note,
                checked_at=event.at,
            )
        case SentBack():
            return replace(
                difference,
                maker="",
                maker_note="",
                made_at=0,
                checker_note=f"{event.checker}: {event.note}",
            )
        case Explained():
            return replace(
                difference,
                standing=Standing.RESOLVED,
                owner=Owner.NOBODY,
                resolved_by=event.run,
                checked_at=event.at,
            )
        case NotExplained():
            return replace(
                difference,
                kind=event.kind,
                standing=Standing.OPEN,
                owner=OWNERS[event.kind],
                proposal=_PROPOSALS[event.kind],
                resolved_by="",
                checked_at=0,
            )
        case _:
            assert_never(event)


_PROPOSALS: Final[dict[Kind, Proposal]] = {
    Kind.EXPECTED_LATER: Proposal(Act.WAIT_FOR_BILL),
    Kind.OURS_ONLY: Proposal(Act.ASK_CHANNEL),
    Kind.LATE_SUCCESS: Proposal(Act.REFUND_LATE_SUCCESS),
    Kind.SPLIT_MISMATCH: Proposal(Act.CLAIM),
}
