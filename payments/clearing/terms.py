"""Settlement terms: on which day how much of which batch goes to the merchant's bank account.

A cycle is `T+n` (working days) or `D+n` (calendar days) after the business date. What others have
decreed (no same-day settlement for young merchants, no holding back for longer than so many days)
is dated configuration with its source: `config/settlement.toml`.

What keeps money back, strongest first:

    blocked        an instruction came back; nothing is sent until the bank account is confirmed
    risk hold      for as long as the review takes
    plain hold     manual payout, a minimum that is not reached, a hold: at most `hold_days_max`
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Final

from msgspec import Struct

from payments.clearing.workdays import STEPS_MAX, Workdays, days_between, plus_days, to_date

POSITIONS_MAX: Final = 4_000
"""Unpaid batches of one party looked at together: a year of eleven a day."""


BREAK_DAYS_MAX: Final = 14
"""No published break is as long, so a longer time has a working day in it, known or not."""


class Unit(StrEnum):
    WORKING = "T"
    CALENDAR = "D"


class Cycle(Struct, frozen=True, array_like=True, gc=False):
    """T+1, D+0 and the like."""

    unit: Unit
    days: int

    def __post_init__(self) -> None:
        if not 0 <= self.days <= STEPS_MAX:
            raise ValueError(f"a cycle of {self.days} days; 0 to {STEPS_MAX} are possible")

    def __str__(self) -> str:
        return f"{self.unit}+{self.days}"


def cycle_of(text: str) -> Cycle:
    """`T+1` as a cycle. ValueError, saying the forms, for anything else."""
    unit, plus, days = text.partition("+")
    well_formed = plus and days.isascii() and days.isdigit() and len(days) <= 3
    if unit not in (Unit.WORKING, Unit.CALENDAR) or not well_formed:
        raise ValueError(f"{text[:20]!r} is no cycle; write T+1 (working days) or D+1 (calendar)")
    return Cycle(Unit(unit), int(days))


class PayoutMode(StrEnum):
    AUTO = "auto"
    MANUAL = "manual"


class Terms(Struct, frozen=True, array_like=True, gc=False):
    """What is agreed with one merchant. `minimum`: least total of a payout, minor units."""

    cycle: Cycle
    minimum: int = 0
    payout_mode: PayoutMode = PayoutMode.AUTO

    def __post_init__(self) -> None:
        if self.minimum < 0:
            raise ValueError(f"a minimum payout of {self.minimum}")


DEFAULT_TERMS: Final = Terms(Cycle(Unit.WORKING, 1))


class Rules(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """What others decreed, from a date (yyyymmdd) on. `source`: where it is written."""

    effective_from: int
    source: str
    young_days: int
    trading_days: int
    hold_days_max: int

    def __post_init__(self) -> None:
        to_date(self.effective_from)
        if not self.source:
            raise ValueError("a rule without a source; say where it is written")
        if min(self.young_days, self.trading_days, self.hold_days_max) < 0:
            raise ValueError(f"rules of {self.effective_from}: a number of days below zero")


def rules_on(rules: Iterable[Rules], date: int) -> Rules:
    """The rules in force on `date`. LookupError if none is: that is never "everything goes"."""
    found = max(
        (rule for rule in rules if rule.effective_from <= date),
        key=lambda rule: rule.effective_from,
        default=None,
    )
    if found is None:
        raise LookupError(f"no settlement rules on {date}; add [[settlement.rules]] from then on")
    return found


class Standing(Struct, frozen=True, array_like=True, gc=False):
    """What is known of a merchant on a day.

    `onboarded_on`: yyyymmdd. `trading_since`: first day of its present run of continuous normal
    trading; None if it does not trade.
    """

    onboarded_on: int
    trading_since: int | None


def is_young(standing: Standing, date: int, rules: Rules) -> bool:
    """Whether a merchant may not be settled on the day itself. Either reason is enough."""
    if days_between(standing.onboarded_on, date) < rules.young_days:
        return True
    since = standing.trading_since
    return since is None or days_between(since, date) < rules.trading_days


def cycle_on(terms: Terms, standing: Standing, date: int, rules: Rules) -> Cycle:
    """The cycle that applies to a business date: a young merchant's +0 becomes +1."""
    if terms.cycle.days == 0 and is_young(standing, date, rules):
        return Cycle(terms.cycle.unit, 1)
    return terms.cycle


def due_on(date: int, terms: Terms, standing: Standing, rules: Rules, workdays: Workdays) -> int:
    """The day (yyyymmdd) on which a business date's money is due by the cycle."""
    cycle = cycle_on(terms, standing, date, rules)
    if cycle.unit is Unit.CALENDAR:
        return plus_days(date, cycle.days)
    return workdays.t_plus(date, cycle.days)


def is_overdue(date: int, day: int, unit: Unit, rules: Rules, workdays: Workdays) -> bool:
    """Whether `day` is the last on which a business date's money can be paid in time, or later.

    In time is within `hold_days_max` natural days; by working days, the last of them within.
    """
    left = days_between(day, plus_days(date, rules.hold_days_max))
    if left <= 0 or unit is Unit.CALENDAR:
        return left <= 0
    if left > BREAK_DAYS_MAX:
        return False
    return not any(workdays.is_working(plus_days(day, later)) for later in range(1, left + 1))


class Position(Struct, frozen=True, array_like=True, gc=False):
    """What of one batch has not been paid out, minor units; below zero where refunds were more."""

    batch: str
    business_date: int
    amount: int


class Keeping(Struct, frozen=True, array_like=True, gc=False):
    """What keeps a party's money back just now."""

    is_blocked: bool = False
    in_review: bool = False
    is_held: bool = False


class Payout(Struct, frozen=True, array_like=True, gc=False):
    """What is due on a day: (batch, minor units above zero) of each, oldest first."""

    parts: tuple[tuple[str, int], ...] = ()

    @property
    def amount(self) -> int:
        return sum(minor for _, minor in self.parts)


NOTHING: Final = Payout()


def payout_on(
    day: int,
    positions: Sequence[Position],
    available: int,
    terms: Terms,
    standing: Standing,
    rules: Rules,
    workdays: Workdays,
    keeping: Keeping,
) -> Payout:
    """What is to be paid to a party on `day` (yyyymmdd), out of which batches.

    `available`: what the party has there; no payout is more. Batches below zero are taken out of
    the oldest that are above. A minimum, manual payout or a plain hold gives way to the limit of
    days; then what is over it is paid, and only that, unless the rest is due as well.
    """
    assert len(positions) <= POSITIONS_MAX, len(positions)
    if keeping.is_blocked or keeping.in_review or available <= 0:
        return NOTHING
    oldest_first = sorted(positions, key=lambda each: (each.business_date, each.batch))
    unit = terms.cycle.unit
    overdue = [
        each for each in oldest_first if is_overdue(each.business_date, day, unit, rules, workdays)
    ]
    due = [
        each
        for each in oldest_first
        if each in overdue or due_on(each.business_date, terms, standing, rules, workdays) <= day
    ]
    if not keeping.is_held and terms.payout_mode is PayoutMode.AUTO:
        payout = _payout(due, oldest_first, available)
        if payout.amount >= terms.minimum:
            return payout
    return _payout(overdue, oldest_first, available)


def _payout(due: Iterable[Position], all_of_them: Iterable[Position], available: int) -> Payout:
    """The positive part of what is due, less every batch below zero, within what is available."""
    owed = -sum(each.amount for each in all_of_them if each.amount < 0)
    left = available
    parts = []
    for each in due:
        if each.amount <= 0:
            continue
        netted = min(owed, each.amount)
        owed -= netted
        minor = min(each.amount - netted, left)
        left -= minor
        if minor:
            parts.append((each.batch, minor))
    return Payout(tuple(parts))
