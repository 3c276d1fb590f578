"""The last leg: what bills say the channel owes, against what the bank credited. Tolerance: zero.

Credits are given to bills in four steps, each with what the one before left:

    1. named      the credit's reference has the bill's: such belong together, right or wrong
    2. one to one the same amount, credited within SETTLE_DAYS_MAX after the bill's day
    3. several    bills of days in a row that sum to the credit: a weekend is paid on Monday
    4. left over  a bill without a credit is missing, a credit without a bill is over

Nothing is matched nearly: an amount that is off by one unit is short or over where a reference
names it, and missing and over where none does.
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Final

from msgspec import Struct

from payments.calendar import DAY_MS
from payments.reconciliation.lines import day_bounds

SETTLE_DAYS_MAX: Final = 10
"""Natural days between a bill's day and its credit: T+1 over the longest holidays."""
BILLS_PER_CREDIT_MAX: Final = 10
"""Bills that one credit without a name may pay."""
ROWS_MAX: Final = 2_000
"""Bills, and credits, of one comparison: some years of one channel account."""


CREDITS_ACCOUNT: Final = "custody:credits"
"""In the place of a channel account, where a credit names none. No channel account has a colon."""


class LegKind(StrEnum):
    MATCHED = "matched"
    SHORT = "short"
    OVER = "over"
    MISSING = "missing"


class Due(Struct, frozen=True, gc=False):
    """What a bill says the channel owes: settled, less returned, less fees; minor units.

    `reference`: what the channel writes beside the credit, as agreed with it; empty if nothing.
    """

    account: str
    bill_date: int
    currency: str
    amount: int
    reference: str = ""


class Credit(Struct, frozen=True, gc=False):
    """A movement of the bank's on the account that the channel pays into. `id`: the bank's."""

    id: str
    booked_on: int
    currency: str
    amount: int
    reference: str = ""


class LegState(StrEnum):
    """How one day of one channel account stands at the bank."""

    MATCHED = "matched"
    SHORT = "short"
    OVER = "over"
    NOT_THERE_YET = "not_there_yet"
    NOTHING_DUE = "nothing_due"
    """Refunds were as much as sales or more: the channel pays nothing for this day."""


class Booked(Struct, frozen=True, array_like=True, gc=False):
    """A credit as evidence. `reference`: the bank's number; `movement`: its number in the order of
    the account, as statements have it; `statement_on`: the day whose camt.053 has it, yyyymmdd."""

    reference: str
    movement: int
    statement_on: int
    amount: int


class BankLeg(Struct, frozen=True, array_like=True, gc=False):
    """What a bill says the channel owes for its day, and what the bank credited; minor units."""

    state: LegState
    due: int
    credited: int
    credits: tuple[Booked, ...] = ()

    @property
    def amount(self) -> int:
        """Credited less due."""
        return self.credited - self.due


class Leg(Struct, frozen=True, gc=False):
    """Bills and credits that belong together. `amount`: credited less due, minor units."""

    kind: LegKind
    currency: str
    amount: int
    dues: tuple[Due, ...]
    credits: tuple[Credit, ...]


def match_credits(dues: Iterable[Due], credits: Iterable[Credit]) -> list[Leg]:
    """Every bill and every credit in exactly one leg, in the order of the steps above.

    Raise ValueError for more than ROWS_MAX of either.
    """
    open_dues = sorted(dues, key=lambda due: (due.bill_date, due.account, due.amount))
    open_credits = sorted(credits, key=lambda credit: (credit.booked_on, credit.id))
    if len(open_dues) > ROWS_MAX or len(open_credits) > ROWS_MAX:
        raise ValueError(f"more than {ROWS_MAX} bills or credits; compare fewer days at a time")
    legs = _named(open_dues, open_credits)
    settled = [due for due in open_dues if due.amount == 0]
    open_dues = [due for due in open_dues if due.amount != 0]
    legs += [_leg((due,), ()) for due in settled]
    for size in range(1, BILLS_PER_CREDIT_MAX + 1):
        for credit in list(open_credits):
            found = _in_a_row(open_dues, credit, size)
            if found:
                for due in found:
                    open_dues.remove(due)
                open_credits.remove(credit)
                legs.append(_leg(found, (credit,)))
    legs += [_leg((due,), ()) for due in open_dues]
    legs += [_leg((), (credit,)) for credit in open_credits]
    return legs


def _named(dues: list[Due], credits: list[Credit]) -> list[Leg]:
    """Groups that references hold together; what they took is gone from both lists."""
    legs = []
    for due in [one for one in dues if one.reference]:
        if due not in dues:
            continue
        group, paid = [due], list[Credit]()
        grew = True
        while grew:  # A credit may name several bills, and a bill may be paid in parts.
            more = [c for c in credits if c not in paid and any(_names(c, d) for d in group)]
            paid += more
            others = [d for d in dues if d not in group and any(_names(c, d) for c in paid)]
            group += others
            grew = bool(more or others)
        if not paid:
            continue
        for each in group:
            dues.remove(each)
        for credit in paid:
            credits.remove(credit)
        legs.append(_leg(group, paid))
    return legs


def _names(credit: Credit, due: Due) -> bool:
    is_named = bool(due.reference) and due.reference in credit.reference
    return is_named and credit.currency == due.currency


def _in_a_row(dues: Sequence[Due], credit: Credit, size: int) -> Sequence[Due]:
    """The first so many bills in a row that a credit pays exactly; empty if there are none."""
    may = [
        due
        for due in dues
        if due.currency == credit.currency and _is_in_time(due.bill_date, credit.booked_on)
    ]
    for account in dict.fromkeys(due.account for due in may):
        of_account = [due for due in may if due.account == account]
        for at in range(len(of_account) - size + 1):
            row = of_account[at : at + size]
            if sum(due.amount for due in row) == credit.amount:
                return row
    return ()


def _is_in_time(bill_date: int, booked_on: int) -> bool:
    since = day_bounds(booked_on)[0] - day_bounds(bill_date)[0]
    return 0 <= since <= SETTLE_DAYS_MAX * DAY_MS


def _leg(dues: Sequence[Due], credits: Sequence[Credit]) -> Leg:
    amount = sum(credit.amount for credit in credits) - sum(due.amount for due in dues)
    if amount == 0:
        kind = LegKind.MATCHED
    elif not credits and amount < 0:
        kind = LegKind.MISSING
    else:
        kind = LegKind.SHORT if amount < 0 else LegKind.OVER
    one = dues[0] if dues else credits[0]
    return Leg(kind, one.currency, amount, tuple(dues), tuple(credits))
