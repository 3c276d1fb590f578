"""Which differences and comparisons were told of: marks in the file of comparisons."""

from typing import Final

from msgspec import Struct

from payments.calendar import DAY_MS
from payments.reconciliation.notices import (
    Notice,
    notice_of,
    standing_of,
    summaries,
)
from payments.storage.reconciliation import ReconciliationStore

ITEMS_MAX: Final = 1_000
"""Differences that are told of at one time."""
RUNS_MAX: Final = 20
TOLD_BACK_MS: Final = 14 * DAY_MS
"""Comparisons that finished longer ago are only marked: their time is over."""


class Untold(Struct, frozen=True):
    """Notices to be told; `marks`: (id, how it stands), to be kept once they are."""

    notices: list[Notice]
    marks: list[tuple[str, str]]


def untold(store: ReconciliationStore, now: int) -> Untold | None:
    """What was not told yet, the oldest first; None when there is nothing."""
    store.begin_telling()
    notices: list[Notice] = []
    marks: list[tuple[str, str]] = []
    for run in store.untold_runs(RUNS_MAX):
        if now - run.finished_at < TOLD_BACK_MS:
            notices += summaries(run, (each for _, each in store.items(run.id)))
        marks.append((run.id, run.status))
    for identifier, difference, run, told in store.untold_items(ITEMS_MAX):
        notice = notice_of(identifier, difference, run, told)
        if notice is not None and now - run.finished_at < TOLD_BACK_MS:
            notices.append(notice)
        marks.append((identifier, standing_of(difference)))
    return Untold(notices, marks) if marks else None
