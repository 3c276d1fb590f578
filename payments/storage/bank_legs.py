"""The bank's leg of the comparisons: what the bank credited against the bills that were compared.

The custody box's file is only read. Nothing is written where nothing has changed, so this may be
asked as often as one likes.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import apsw
from msgspec.structs import replace

from payments.calendar import DAY_MS, business_date
from payments.reconciliation.bank import CREDITS_ACCOUNT
from payments.reconciliation.bank_leg import (
    Received,
    by_day,
    changed,
    difference_of,
    difference_of_credit,
    lacking_after,
    leg_of,
    number_of,
    run_of_credits,
    unexpected,
)
from payments.reconciliation.differences import Difference
from payments.reconciliation.lines import day_bounds
from payments.reconciliation.runs import Run, RunStatus
from payments.storage import connect
from payments.storage.base import StoreRefused
from payments.storage.reconciliation import Reads, Stand
from payments.storage.sql import load

LOOK_BACK_DAYS: Final = 45
"""Days of bills that are looked at again: the longest holidays, and a month."""
CREDITS_MAX: Final = 20_000
"""Credits of these days."""
RUNS_MAX: Final = 2_000

SQL: Final = load("custody")


def read_credits(path: Path, since_ms: int) -> list[Received]:
    """What came into custody since an instant, from the custody box's file. Raise StoreRefused."""
    connection = connect.reader(path)
    try:
        rows: Any = connection.execute(SQL["credits_since"], (since_ms, CREDITS_MAX)).fetchall()
    except apsw.Error as error:
        raise StoreRefused(f"{path}: {error}") from error
    finally:
        connection.close()
    return [Received(*row) for row in rows]


def standing(
    reads: Reads,
    received: Sequence[Received],
    settles: Mapping[str, bool],
    now: int,
    custody: str = "",
) -> Stand | None:
    """What is to be written so that days stand as they do at the bank; None when they do.

    `settles`: channel account that pays into custody -> whether it keeps its fees. `custody`: that
    account in our books; without it a credit of nobody is only asked about.
    """
    since = business_date(now - LOOK_BACK_DAYS * DAY_MS)
    finished = [run for run in reads.runs(RUNS_MAX) if run.status is RunStatus.FINISHED]
    current = [run for run in finished if run.bill_date >= since]
    bills = [run for run in current if run.account in settles]
    days = by_day(received)
    found = _Found(reads, now)
    lacking = _lacking(run for run in finished if run.bill_date < since)
    for run in sorted(bills, key=lambda each: each.bill_date):
        mine = days.get((run.account, run.bill_date), ())
        old = reads.run(run.supersedes) if run.bank is None and run.supersedes else run
        before = None if old is None else old.bank
        still = lacking.get(run.account, 0)
        leg = leg_of(run, before, mine, is_net=settles[run.account], lacking=still)
        lacking[run.account] = lacking_after(leg, still)
        if leg != run.bank:
            found.runs.append(replace(run, bank=leg))
        found.look(run, number_of(run), difference_of(run, leg))
    dates = {(run.account, run.bill_date) for run in bills}
    explained = {each.reference for day in dates for each in days.get(day, ())}
    strange = unexpected(received, settles, dates, now)
    _look_at_credits(found, current, strange, explained, custody)
    return found.write


def _lacking(runs: Iterable[Run]) -> dict[str, int]:
    """What each channel account still has to take off, after days that are not looked at again."""
    found: dict[str, int] = {}
    for run in sorted(runs, key=lambda each: each.bill_date):
        if run.bank is not None:
            found[run.account] = lacking_after(run.bank, found.get(run.account, 0))
    return found


def _look_at_credits(
    found: "_Found",
    current: list[Run],
    credits: Iterable[Received],
    explained: set[str],
    custody: str,
) -> None:
    known = {run.bill_date: run for run in current if run.account == CREDITS_ACCOUNT}
    for each in {credit.reference: credit for credit in credits}.values():
        booked_on = business_date(each.booked_ms)
        run = known.get(booked_on)
        if run is None:
            run = known[booked_on] = run_of_credits(booked_on, found.now)
            found.runs.append(run)
        found.look(run, each.reference, difference_of_credit(each, custody))
    for run in known.values():
        # A bill that came late explains the credit of its day.
        for identifier, was in found.reads.items(run.id):
            if was.number in explained:
                found.change(identifier, was, None)


class _Found:
    def __init__(self, reads: Reads, now: int) -> None:
        self.reads = reads
        self.runs: list[Run] = []
        self.now = now
        self._added: list[tuple[Run, Difference]] = []
        self._changed: list[tuple[str, Difference]] = []

    @property
    def write(self) -> Stand | None:
        if not (self.runs or self._added or self._changed):
            return None
        return Stand(self.runs, self._added, self._changed)

    def look(self, run: Run, number: str, now: Difference | None) -> None:
        """Compare what is kept about a number with what is to be."""
        for identifier, was in self.reads.about(run.id, number):
            self.change(identifier, was, now)
            return
        if now is not None:
            self._added.append((run, self._kept(run, number, now)))

    def change(self, identifier: str, was: Difference, now: Difference | None) -> None:
        after = changed(was, now, self.now)
        if after is not None:
            self._changed.append((identifier, after))

    def _kept(self, run: Run, number: str, now: Difference) -> Difference:
        """What people decided of the same difference, before another file took the bill's place."""
        for _, was in self.reads.about(run.supersedes, number):
            if changed(was, now, self.now) is None:
                return was
        return now


def since_ms(now: int) -> int:
    """From when on credits matter to the days that are looked at."""
    begins, _ = day_bounds(business_date(now - LOOK_BACK_DAYS * DAY_MS))
    return begins
