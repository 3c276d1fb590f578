"""When a shard clears, and what one run of it takes: pure decisions over instants and dates.

A merchant's batch of a business date is cut off when its last store has closed, and GRACE_MS later,
so that payments under way then have ended. A run clears every merchant whose date is over at its
instant; its cut-off is one number for each partition, stored before anything is read, so that a run
that a crash has interrupted goes on over the same entries (window W11).
"""

from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from payments.calendar import business_date
from payments.clearing.batch import BATCHES_A_DAY_MAX, Batch
from payments.clearing.netting import Window
from payments.clearing.workdays import cut_off_ms, latest_cut_off_ms, plus_days
from payments.ids import partition_of

GRACE_MS: Final = 10 * 60_000
"""After the last store's closing: what was begun before it has ended by then, or joins the next."""

ASKED_MAX: Final = 32
"""Runs that may wait for the one that is under way."""

_MIDNIGHT: Final = 0
_NOON: Final = 720


class Asked(Struct, frozen=True, array_like=True, gc=False):
    """Somebody wants a run up to `date` (yyyymmdd). `merchant`: empty for all."""

    merchant: str
    date: int


class Run(Struct, frozen=True, array_like=True, gc=False):
    """A run under way. `at`: business ms. `cut_no`: the shard's last entry at the cut-off; `seqs`:
    the last sequence of each partition then. `asked`: by whom it was asked for; None: by the clock.
    """

    at: int
    cut_no: int
    seqs: dict[int, int]
    asked: Asked | None = None


class Runs(Struct, frozen=True, array_like=True, gc=False):
    """What a shard knows of its runs: one record.

    `floor_no`: every entry up to here is in a batch, or will never be in one; a pass begins after
    it. `ran_at`: the instant of the last run by the clock. `waiting`: asked for, oldest first.
    """

    floor_no: int = 0
    ran_at: int = 0
    run: Run | None = None
    waiting: tuple[Asked, ...] = ()


def closes_late(minute: int) -> bool:
    """Whether a store's day goes on after midnight, so that its merchant's batch waits for it.

    A store that closes in the evening does not end the date early: payments that name no store
    are dated until midnight.
    """
    return _MIDNIGHT < minute <= _NOON


def due_ms(date: int, late_minutes: Iterable[int]) -> int:
    """When a date is cut off. `late_minutes`: of the stores that close after midnight."""
    return latest_cut_off_ms(date, (_MIDNIGHT, *late_minutes)) + GRACE_MS


def next_run_ms(after_ms: int, late_minutes: Iterable[int]) -> int:
    """The first instant after `after_ms` at which some merchant's date can be cut off."""
    return min(
        cut_off_ms(business_date(after_ms - GRACE_MS, minute), minute) + GRACE_MS
        for minute in (_MIDNIGHT, *late_minutes)
    )


def begins_ms(runs: Runs, oldest_ms: int) -> int:
    """From when on runs by the clock are due. `oldest_ms`: the instant of the oldest open entry.

    A shard that had nothing to clear for a year has no year of runs to make up for.
    """
    return max(runs.ran_at, oldest_ms)


def date_in(run: Run, merchant: str, newest: Batch | None, late: Iterable[int]) -> int | None:
    """Up to which date a run clears a merchant; None: not at all.

    `newest`: its newest batch. `late`: its stores' closings after midnight, in minutes.
    """
    asked = run.asked
    if asked is not None:
        if asked.merchant not in ("", merchant):
            return None
        date = asked.date
    else:
        closing = max(late, default=_MIDNIGHT)
        date = plus_days(business_date(run.at - GRACE_MS, closing), -1)
    if newest is None:
        return date
    if newest.business_date > date:
        return None
    if newest.business_date == date:
        if newest.sequence >= BATCHES_A_DAY_MAX:
            return None
        if asked is None and newest.cut_off_at >= due_ms(date, late):
            return None
    return date


def window_in(run: Run, merchant: str, newest: Batch | None, date: int | None) -> Window:
    """Which entries a run takes for a merchant; none, with what is done marked off, for `None`."""
    before = (0, 0) if newest is None else (newest.cut_off_seq, newest.business_date)
    if date is None:
        return Window(*before, *before)
    seq = run.seqs.get(partition_of(merchant), 0)
    return Window(seq, date, *before)
