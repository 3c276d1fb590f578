"""From a bill's lines to a finished comparison: the order of the steps, and what a crash may cost.

    begin (commit) → read and sort the bill → compare, a commit a batch found → finish (commit)

Nothing of a bill is believed before its reader came to its end, and nothing of a comparison is seen
before its last commit. The same file again begins nothing.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Final, Protocol

from msgspec.structs import replace

from payments.bills.lines import BillLine, BillRefused
from payments.clock import Clock
from payments.reconciliation.differences import Difference
from payments.reconciliation.lines import Ours, Theirs, theirs_of, theirs_of_others
from payments.reconciliation.match import Books, Counts, Elsewhere, Found, Matcher
from payments.reconciliation.runs import Run, RunStatus

FOUND_PER_COMMIT: Final = 5_000
"""Differences and crossed lines that wait in memory for their commit."""
TOLD_EVERY: Final = 10_000
"""Lines between two reports of progress."""


class DayBooks(Books, Protocol):
    """Our rows: single numbers, and a day in the order of numbers."""

    def payments(self, bill_date: int) -> Iterable[Ours]: ...
    def refunds(self, bill_date: int) -> Iterable[Ours]: ...


class Sorter(Protocol):
    """Sorts more lines than memory has room for."""

    def put(self, lines: Iterable[Theirs]) -> None: ...
    def payments(self) -> Iterable[Theirs]: ...
    def refunds(self) -> Iterable[Theirs]: ...


class Keeper(Protocol):
    """Where comparisons are kept. Each call is durable when it returns."""

    def run(self, identifier: str) -> Run | None: ...
    def current(self, account: str, bill_date: int) -> Run | None: ...
    def other_days(self, account: str, bill_date: int) -> Elsewhere: ...
    def begin(self, run: Run) -> None: ...
    def add(self, run: Run, found: list[Found]) -> None: ...
    def finish(self, run: Run, before: Run | None) -> None: ...


def reconcile(
    asked: Run,
    bill: Iterable[BillLine],
    books: DayBooks,
    sorter: Sorter,
    keeper: Keeper,
    clock: Clock,
    progress: Callable[[int], None] = lambda done: None,
    *,
    is_others: bool = False,
) -> Run:
    """Compare one bill; return the comparison as it is kept. Raise BillRefused.

    `asked`: account, day and file, with the id that they give. If that comparison finished before,
    nothing is read and it is returned as it was, also when another file has superseded it since.
    `progress` is told the number of lines read so far. `is_others`: the bill is of somebody else's
    gateway, and its lines go by the channel's numbers.
    """
    known = keeper.run(asked.id)
    if known is not None and known.status is not RunStatus.RUNNING:
        return known
    keeper.begin(asked)
    told = _Told(progress, theirs_of_others if is_others else theirs_of)
    sorter.put(told.lines(bill))
    matcher = Matcher(
        asked.account,
        asked.bill_date,
        books,
        keeper.other_days(asked.account, asked.bill_date),
    )
    by_kind: dict[str, int] = {}
    for batch in _batches(_all_of(matcher, asked.bill_date, books, sorter)):
        keeper.add(asked, batch)
        for found in batch:
            if isinstance(found, Difference):
                by_kind[found.kind.value] = by_kind.get(found.kind.value, 0) + 1
    return finished(asked, told.account, matcher.counts, by_kind, keeper, clock)


def finished(
    asked: Run, account: str, counts: Counts, by_kind: dict[str, int], keeper: Keeper, clock: Clock
) -> Run:
    """The comparison as it is kept from now on, in the place of an earlier one of the same day.

    `account`: whose the bill says it is; `by_kind`: how many differences of each kind.
    """
    assert counts.is_explained, counts
    before = keeper.current(asked.account, asked.bill_date)
    run = replace(
        asked,
        channel_account=account,
        status=RunStatus.FINISHED,
        finished_at=clock.now_ms(),
        counts=counts,
        by_kind=by_kind,
        supersedes="" if before is None else before.id,
    )
    keeper.finish(run, before)
    return run


class _Told:
    """Passes the lines of a bill on, and remembers whose they are."""

    def __init__(self, progress: Callable[[int], None], made: Callable[[BillLine], Theirs]) -> None:
        self.account = ""
        self._made = made
        self._progress = progress

    def lines(self, bill: Iterable[BillLine]) -> Iterator[Theirs]:
        done, made = 0, self._made
        for done, line in enumerate(bill, 1):
            if line.account != self.account:
                if self.account:
                    raise BillRefused("lines of two accounts of the channel", line.row)
                self.account = line.account
            if done % TOLD_EVERY == 0:
                self._progress(done)
            yield made(line)
        self._progress(done)


def _all_of(matcher: Matcher, bill_date: int, books: DayBooks, sorter: Sorter) -> Iterator[Found]:
    yield from matcher.payments(books.payments(bill_date), sorter.payments())
    yield from matcher.refunds(books.refunds(bill_date), sorter.refunds())


def _batches(found: Iterator[Found]) -> Iterator[list[Found]]:
    batch: list[Found] = []
    for each in found:
        batch.append(each)
        if len(batch) >= FOUND_PER_COMMIT:
            yield batch
            batch = []
    if batch:
        yield batch
