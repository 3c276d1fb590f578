"""A withdrawal: a merchant or receiver takes available money out.

    REQUESTED ──────────────────> IN_TRANSIT ──> PAID ──> RETURNED*
        │  ╲                        │   ╲    ╲
        │   IN_REVIEW ──approved──> (REQUESTED)  UNKNOWN ──> PAID · REJECTED* · RETURNED*
        └──────── IN_REVIEW ──refused──> REJECTED*

The amount and our fee leave `available` in the commit of the request, so that requests in parallel
cannot take more than there is. Its instruction (`payments.settlement.instruction`, `is_held`) tells
what the bank does; the withdrawal follows it. The fee is earned when the bank has paid; what does
not arrive, costs nothing.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from payments import fees
from payments.errors import Conflict, InvalidField
from payments.fees import FeePlan
from payments.ledger import Postings
from payments.settlement import entries, instruction
from payments.settlement.instruction import Instruction
from payments.settlement.purse import DayUse, Purse


class Status(StrEnum):
    REQUESTED = "requested"
    IN_REVIEW = "in_review"
    IN_TRANSIT = "in_transit"
    PAID = "paid"
    RETURNED = "returned"
    REJECTED = "rejected"
    UNKNOWN = "unknown"


STATUS_OF: Final = {
    instruction.State.DRAFTED: Status.REQUESTED,
    instruction.State.CHECKED: Status.REQUESTED,
    instruction.State.SENT: Status.IN_TRANSIT,
    instruction.State.ACCEPTED: Status.IN_TRANSIT,
    instruction.State.UNKNOWN: Status.UNKNOWN,
    instruction.State.PAID: Status.PAID,
    instruction.State.REJECTED: Status.REJECTED,
    instruction.State.RETURNED: Status.RETURNED,
}
"""What the state of its instruction means for a withdrawal."""


class Limits(Struct, frozen=True, array_like=True, gc=False):
    """Minor units and counts. `review_above`: more than this is looked at by a person first."""

    single_min: int = 1
    single_max: int = 5_000_000_00
    day_max: int = 50_000_000_00
    day_count_max: int = 20
    review_above: int = 50_000_00


DEFAULT_LIMITS: Final = Limits()
FREE: Final = FeePlan("free withdrawals", 0)


class Withdrawal(Struct, frozen=True, array_like=True, gc=False):
    """The whole state. `amount`: what arrives at the bank account; `fee`: taken beside it.

    `date`: business date of the request, yyyymmdd. `account`: the registered bank account that
    counted at the request. `reviewer`: who approved or refused it, if it was looked at.
    """

    id: str
    party: str
    currency: str
    amount: int
    fee: int
    date: int
    requested_at: int
    requested_by: str
    status: Status = Status.REQUESTED
    reviewer: str | None = None
    reason: str | None = None
    metadata: dict[str, str] = {}

    @property
    def total(self) -> int:
        return self.amount + self.fee


class Requested(Struct, frozen=True, array_like=True, tag="requested", gc=False):
    withdrawal: Withdrawal


class Approved(Struct, frozen=True, array_like=True, tag="approved", gc=False):
    at: int
    by: str


class Refused(Struct, frozen=True, array_like=True, tag="refused", gc=False):
    """Looked at and refused: the money is available again."""

    at: int
    by: str
    reason: str


class Followed(Struct, frozen=True, array_like=True, tag="followed", gc=False):
    """Its instruction went on; what that does to the books is the instruction's entry."""

    at: int
    status: Status
    reason: str | None = None


WithdrawalEvent = Requested | Approved | Refused | Followed


# --- Deciding --------------------------------------------------------------------------------


def request(
    wanted: Withdrawal,
    known: Withdrawal | None,
    purse: Purse,
    limits: Limits,
    plan: FeePlan,
    is_blocked: bool,
    needs_review: bool,
) -> Requested | None:
    """Decide a request, and promise its money and its place in the day in the purse.

    None if it is known already. `wanted`: id, party, amount, date and who asks; its fee and status
    are set here. `is_blocked`: no bank account counts, or the last payout came back.

    InvalidField outside the limits of a single one, QuotaExceeded beyond the day's, Conflict if the
    money or the account is not there.
    """
    if known is not None:
        return None
    assert wanted.party == purse.party, (wanted, purse.party)
    if not limits.single_min <= wanted.amount <= limits.single_max:
        raise InvalidField(
            f"{wanted.amount} is outside {limits.single_min} to {limits.single_max}", param="amount"
        )
    if is_blocked:
        raise Conflict(f"payouts of {wanted.party} wait until its bank account is confirmed")
    fee = fees.fee(plan, wanted.amount)
    purse.promise_withdrawal(
        wanted.id, wanted.date, wanted.amount, fee, limits.day_count_max, limits.day_max
    )
    in_review = needs_review or wanted.amount > limits.review_above
    status = Status.IN_REVIEW if in_review else Status.REQUESTED
    return Requested(replace(wanted, fee=fee, status=status))


def approve(withdrawal: Withdrawal, by: str, at: int) -> Approved | None:
    """A person lets it go on. None if it does not wait for review. Conflict for who asked."""
    if withdrawal.status is not Status.IN_REVIEW:
        return None
    _another(withdrawal, by)
    return Approved(at, by)


def refuse(
    withdrawal: Withdrawal, by: str, reason: str, at: int, paying: Instruction | None = None
) -> Refused | None:
    """A person refuses it, with a reason, before an instruction was drafted (`paying`).

    None if it was refused. Conflict once there is one: turn that down (`instruction.turn_down`).
    """
    if withdrawal.status is Status.REJECTED:
        return None
    if withdrawal.status not in (Status.IN_REVIEW, Status.REQUESTED) or paying is not None:
        raise Conflict(f"{withdrawal.id} is {withdrawal.status} and has its instruction")
    _another(withdrawal, by)
    if not reason.strip():
        raise InvalidField("say why", param="reason")
    return Refused(at, by, reason)


def _another(withdrawal: Withdrawal, by: str) -> None:
    if not by:
        raise InvalidField("say who decides", param="by")
    if by == withdrawal.requested_by:
        raise Conflict(f"{by} asked for {withdrawal.id}; another person must review it")


def follow(withdrawal: Withdrawal, paying: Instruction, at: int) -> Followed | None:
    """Follow the instruction that pays it. None if that says nothing new."""
    assert paying.source == withdrawal.id, (paying, withdrawal)
    status = STATUS_OF[paying.state]
    return None if status is withdrawal.status else Followed(at, status, paying.reason)


# --- Applying --------------------------------------------------------------------------------


def apply(withdrawal: Withdrawal | None, event: WithdrawalEvent) -> Withdrawal:
    """Fold one event into the state. Never refuses: it already happened."""
    if isinstance(event, Requested):
        return event.withdrawal
    assert withdrawal is not None, event
    match event:
        case Approved(_, by):
            return replace(withdrawal, status=Status.REQUESTED, reviewer=by)
        case Refused(_, by, reason):
            return replace(withdrawal, status=Status.REJECTED, reviewer=by, reason=reason)
        case Followed(_, status, reason):
            return replace(withdrawal, status=status, reason=reason or withdrawal.reason)


def booked(withdrawal: Withdrawal, event: WithdrawalEvent) -> tuple[str, Postings] | None:
    """(step, postings) of an event, about the withdrawal, or None."""
    match event:
        case Requested():
            return entries.HELD, entries.held(withdrawal.party, withdrawal.total)
        case Refused():
            return entries.LET_GO, entries.let_go(withdrawal.party, withdrawal.total)
    return None


def use_of(withdrawals: Iterable[Withdrawal], date: int) -> DayUse:
    """A day's use, counted anew from a party's withdrawals: what a purse begins with."""
    amounts = [each.amount for each in withdrawals if each.date == date]
    return DayUse(date, len(amounts), sum(amounts))
