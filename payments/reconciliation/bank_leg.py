"""How each compared day stands at the bank, and the differences that come of it.

A credit belongs to the channel account and bill date that its text names, right or wrong, as the
custody box reads it. Tolerance is zero. A day has one difference of this kind at most: while money
is missing it waits, and when the credit comes the same difference is resolved by it, or becomes
one that says by how much they are apart.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from payments.bills.lines import BillKind
from payments.calendar import DAY_MS, business_date
from payments.reconciliation.bank import (
    CREDITS_ACCOUNT,
    BankLeg,
    Booked,
    Credit,
    Due,
    LegKind,
    LegState,
    match_credits,
)
from payments.reconciliation.differences import (
    ACTS,
    OWNERS,
    Act,
    Difference,
    Kind,
    Proposal,
    Standing,
    proposal_of,
    proposal_of_credit,
)
from payments.reconciliation.lines import day_bounds
from payments.reconciliation.match import Counts
from payments.reconciliation.runs import Run, RunStatus, run_id

BILL_PATIENCE_MS: Final = 2 * DAY_MS
"""How long after its day a bill may come before the credit of that day is unexpected."""

_KINDS: Final = {
    LegState.SHORT: Kind.BANK_SHORT,
    LegState.OVER: Kind.BANK_OVER,
    LegState.NOT_THERE_YET: Kind.NOT_THERE_YET,
}
_STATES: Final = {
    LegKind.MATCHED: LegState.MATCHED,
    LegKind.SHORT: LegState.SHORT,
    LegKind.OVER: LegState.OVER,
    LegKind.MISSING: LegState.NOT_THERE_YET,
}


class Received(Struct, frozen=True, gc=False):
    """Money that came into custody. `account`, `bill_date`: what its text names; "" and 0: nobody.

    `booked_ms`: business ms; `movement`: its number in the order of the account.
    """

    movement: int
    reference: str
    amount: int
    booked_ms: int
    account: str = ""
    bill_date: int = 0

    @property
    def evidence(self) -> Booked:
        return Booked(self.reference, self.movement, business_date(self.booked_ms), self.amount)


def leg_of(
    run: Run,
    before: BankLeg | None,
    received: Iterable[Received],
    *,
    is_net: bool,
    lacking: int = 0,
) -> BankLeg:
    """How the day of a finished comparison stands. `received`: credits that name it.

    `before`: how it stood; what is booked stays booked, whoever told of it. `is_net`: whether the
    channel keeps its fees of what it pays. `lacking`: by how much refunds of days before it were
    more than sales, minor units: a channel that takes that off this day pays what is due.
    """
    assert run.counts is not None, run.id
    due = run.counts.theirs - (run.counts.fees if is_net else 0)
    known = {each.reference: each for each in (before.credits if before else ())}
    known |= {each.reference: each.evidence for each in received}
    found = tuple(sorted(known.values(), key=lambda each: (each.movement, each.reference)))
    credited = sum(each.amount for each in found)
    if due <= lacking and not found:
        return BankLeg(LegState.NOTHING_DUE, due - lacking, 0)
    if credited == due - lacking:
        due = credited
    name = f"{run.account} {run.bill_date}"
    legs = match_credits(
        [Due(run.account, run.bill_date, "cny", due, name)],
        [Credit(each.reference, each.statement_on, "cny", each.amount, name) for each in found],
    )
    assert len(legs) == 1, legs
    return BankLeg(_STATES[legs[0].kind], due, credited, found)


def lacking_after(leg: BankLeg, lacking: int) -> int:
    """What a channel still has to take off the days after one that stands so."""
    if leg.state is LegState.NOTHING_DUE:
        return -leg.due
    return 0 if leg.credits else lacking


def difference_of(run: Run, leg: BankLeg) -> Difference | None:
    """What is different of a day at the bank; None when nothing is."""
    kind = _KINDS.get(leg.state)
    if kind is None:
        return None
    return _difference(kind, run.account, number_of(run), leg.amount, leg.credits)


def number_of(run: Run) -> str:
    """What a difference of the bank's leg is about: account and day, as a credit names them."""
    return f"{run.account} {run.bill_date}"


def unexpected(
    received: Iterable[Received], accounts: Iterable[str], dates: set[tuple[str, int]], now: int
) -> Iterable[Received]:
    """The credits that no bill explains. `dates`: (account, bill date) that were compared."""
    known = set(accounts)
    for each in received:
        if (each.account, each.bill_date) in dates:
            continue
        if not each.account or (each.account in known and _is_past(each, now)):
            yield each


def _is_past(received: Received, now: int) -> bool:
    _, ended = day_bounds(received.bill_date)
    return now >= max(ended, received.booked_ms) + BILL_PATIENCE_MS


def difference_of_credit(received: Received, custody: str) -> Difference:
    """Money that nobody expected. `custody`: the account in our books, "" where it is not known.

    Whatever names an account and a day may still be divided by the custody box: it is asked about.
    What names none is kept in suspense.
    """
    found = _difference(
        Kind.UNEXPECTED_CREDIT,
        "",
        received.reference,
        received.amount,
        (received.evidence,),
    )
    if received.account:
        return replace(found, names=f"{received.account} {received.bill_date}")
    if not custody:
        return found
    return replace(found, proposal=proposal_of_credit(custody, received.amount))


def run_of_credits(booked_on: int, now: int) -> Run:
    """What stands for a comparison where credits name none: one for each day of the account."""
    return Run(
        run_id(CREDITS_ACCOUNT, booked_on, ""),
        CREDITS_ACCOUNT,
        "bank",
        "",
        booked_on,
        f"statement of {booked_on}",
        "",
        RunStatus.FINISHED,
        now,
        now,
        Counts(),
    )


def changed(was: Difference, now: Difference | None, at: int) -> Difference | None:
    """What becomes of a difference that is kept; None when it stays as it is.

    What two people agreed to holds as long as kind, amount and evidence are the same.
    """
    if now is None:
        if was.standing is Standing.RESOLVED:
            return None
        return replace(was, standing=Standing.RESOLVED, resolved_by="matched", checked_at=at)
    same = (was.kind, was.amount, was.credits) == (now.kind, now.amount, now.credits)
    return None if same and was.resolved_by == "" else now


def _difference(
    kind: Kind, account: str, number: str, amount: int, credits: tuple[Booked, ...]
) -> Difference:
    act = ACTS.get(kind)
    if act is None:
        # More than the bill is somebody's: it is kept until it is known whose. Less is claimed.
        act = Act.SUSPENSE if amount > 0 and account else Act.CLAIM
    proposal = proposal_of(account, act, amount, number) if account else Proposal(act)
    return Difference(
        kind, BillKind.CREDIT, number, None, None, amount, "cny", OWNERS[kind], (), proposal,
        credits=credits,
    )  # fmt: skip


def by_day(received: Iterable[Received]) -> Mapping[tuple[str, int], list[Received]]:
    """(account, bill date) that a credit names -> the credits, in the order of the account."""
    found: dict[tuple[str, int], list[Received]] = {}
    for each in received:
        found.setdefault((each.account, each.bill_date), []).append(each)
    return found
