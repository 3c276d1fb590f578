"""Divided money against the channel's bill of it: each part, and each that was taken back.

Both sides meet by our numbers of sharing orders and return orders, a part by its receiver as well.
Such a comparison stands beside the one of payments, under the account's name and a suffix. All it
finds is a `split_mismatch`; `amount` is what receivers have more than our rows say. This money is
never in our books, so nothing of it is booked: whoever has it too much is asked for it.
"""

from collections.abc import Iterable, Iterator
from typing import Final, Protocol

from msgspec import Struct
from msgspec.structs import replace

from payments.bills.lines import BillKind, BillRefused, BillState
from payments.bills.shares import SHARES_MAX, ShareLine
from payments.calendar import business_date
from payments.clock import Clock
from payments.reconciliation.differences import (
    ACTS,
    OWNERS,
    Difference,
    Kind,
    Proposal,
    Side,
)
from payments.reconciliation.importing import FOUND_PER_COMMIT, Keeper, finished
from payments.reconciliation.lines import SKEW_MS, day_bounds
from payments.reconciliation.match import Counts, Crossed, Elsewhere, Found, dates_of
from payments.reconciliation.runs import Run, RunStatus

SUFFIX: Final = ":sharing"
"""No channel account's name has a colon."""

CURRENCY: Final = "cny"


class OurShare(Struct, frozen=True, gc=False):
    """What our rows say of one part, or of one return order. Minor units, business ms.

    - `number`: of the order; `holder`: the receiver's account at the channel. `object`: the payment
      or refund.
    - `state`: succeeded; processing while the channel has not said; failed when it was not paid, or
      the receiver has no part at all (`amount` 0).
    - `began_at`, `at_ms`: since when it may have been done, and when we learned of it.
    """

    kind: BillKind
    number: str
    holder: str
    object: str
    merchant: str
    state: BillState
    amount: int
    began_at: int
    at_ms: int

    @property
    def key(self) -> str:
        return key_of(self.kind, self.number, self.holder)

    @property
    def effect(self) -> int:
        """What the receivers have by it, minor units."""
        return _signed(self.kind, self.amount) if self.state is BillState.SUCCEEDED else 0


class SharedBooks(Protocol):
    """Our rows of one channel account."""

    def share(self, number: str, holder: str) -> OurShare | None: ...
    def taken(self, number: str) -> OurShare | None: ...
    def day(self, bill_date: int) -> Iterable[OurShare]:
        """What we learned of on a day in China, in any order."""
        ...


def sharing_account(account: str) -> str:
    """What stands for the account's divided money among the comparisons."""
    return account + SUFFIX


def is_sharing(account: str) -> bool:
    return account.endswith(SUFFIX)


def key_of(kind: BillKind, number: str, holder: str) -> str:
    """The number of a difference: an order has several receivers, a return order has one."""
    return f"{number} {holder}" if kind is BillKind.SHARE else number


def reconcile_shares(
    asked: Run, bill: Iterable[ShareLine], books: SharedBooks, keeper: Keeper, clock: Clock
) -> Run:
    """Compare one bill; return the comparison as it is kept. Raise BillRefused.

    As with payments, the same file again begins nothing, and nothing of it is seen before its end.
    """
    known = keeper.run(asked.id)
    if known is not None and known.status is not RunStatus.RUNNING:
        return known
    keeper.begin(asked)
    matcher = Sharing(asked.bill_date, books, keeper.other_days(asked.account, asked.bill_date))
    batch: list[Found] = []
    by_kind: dict[str, int] = {}
    for found in matcher.walk(bill):
        batch.append(found)
        if isinstance(found, Difference):
            by_kind[found.kind.value] = by_kind.get(found.kind.value, 0) + 1
        if len(batch) >= FOUND_PER_COMMIT:
            keeper.add(asked, batch)
            batch = []
    if batch:
        keeper.add(asked, batch)
    return finished(asked, matcher.account, matcher.counts, by_kind, keeper, clock)


class Sharing:
    """One comparison of one account and day. Made anew for each."""

    def __init__(self, bill_date: int, books: SharedBooks, elsewhere: Elsewhere) -> None:
        self.counts = Counts()
        self.account = ""
        self._bill_date = bill_date
        self._books = books
        self._elsewhere = elsewhere
        self._seen: set[tuple[BillKind, str]] = set()

    def walk(self, theirs: Iterable[ShareLine]) -> Iterator[Found]:
        """Each line of the bill, then what no line was about. Raise BillRefused."""
        begins, ends = day_bounds(self._bill_date)
        for line in theirs:
            self.account = line.account
            self.counts.theirs_lines += 1
            self.counts.theirs += _effect(line)
            if self.counts.theirs_lines > SHARES_MAX:
                raise BillRefused(f"more than {SHARES_MAX} lines", line.row)
            ours = self._known(line)
            key = (line.kind, key_of(line.kind, line.number, line.receiver))
            if key in self._seen:
                yield self._noted(_difference(line, ours, _effect(line)))
                continue
            self._seen.add(key)
            is_of_today = ours is not None and begins <= ours.at_ms < ends
            if ours is not None and not (is_of_today and ours.state is BillState.SUCCEEDED):
                self.counts.crossed_lines += 1
                self.counts.crossed += ours.effect
                yield Crossed(line.kind, key[1])
            if ours is not None and _agree(ours, line):
                self.counts.matched += 1
            else:
                effect = 0 if ours is None else ours.effect
                yield self._noted(_difference(line, ours, _effect(line) - effect))
        yield from self._ours()

    def _known(self, line: ShareLine) -> OurShare | None:
        if line.kind is BillKind.SHARE:
            return self._books.share(line.number, line.receiver)
        return self._books.taken(line.number)

    def _ours(self) -> Iterator[Found]:
        """What we learned of on this day, and the bill does not have."""
        for ours in self._books.day(self._bill_date):
            if ours.state is not BillState.SUCCEEDED:
                continue
            self.counts.ours_lines += 1
            self.counts.ours += ours.effect
            if (ours.kind, ours.key) in self._seen:
                continue
            if self._elsewhere.crossed(ours.kind, ours.key):
                self.counts.elsewhere_lines += 1
                self.counts.elsewhere += ours.effect
                continue
            until = self._other_bills(ours)
            others = dates_of(until, self._bill_date)
            waits = any(not self._elsewhere.is_done(date) for date in others)
            yield self._noted(_missing(ours, until, waits=waits))

    def _other_bills(self, ours: OurShare) -> tuple[int, int]:
        """The first and the last bill date that may have it; (0, 0): only this one."""
        first = business_date(ours.began_at - SKEW_MS)
        last = business_date(ours.at_ms + SKEW_MS)
        return (0, 0) if first == last == self._bill_date else (first, last)

    def _noted(self, difference: Difference) -> Difference:
        self.counts.differences += difference.amount
        return difference


def _agree(ours: OurShare, line: ShareLine) -> bool:
    is_done = ours.state is BillState.SUCCEEDED
    return is_done and (ours.amount, ours.holder) == (line.amount, line.receiver)


def _difference(line: ShareLine, ours: OurShare | None, amount: int) -> Difference:
    """What a line of the bill shows."""
    theirs = Side("", BillState.SUCCEEDED, CURRENCY, line.amount, line.amount, 0, None, line.at_ms)
    number = key_of(line.kind, line.number, line.receiver)
    side = None if ours is None else _side(ours)
    return _made(Kind.SPLIT_MISMATCH, line.kind, number, side, theirs, amount, (line.row,))


def _missing(ours: OurShare, until: tuple[int, int], *, waits: bool) -> Difference:
    """We say that it was paid, or came back, and no bill has it (yet)."""
    kind = Kind.EXPECTED_LATER if waits else Kind.SPLIT_MISMATCH
    made = _made(kind, ours.kind, ours.key, _side(ours), None, -ours.effect, ())
    return replace(made, until=until)


def _made(
    kind: Kind,
    line: BillKind,
    number: str,
    ours: Side | None,
    theirs: Side | None,
    amount: int,
    rows: tuple[int, ...],
) -> Difference:
    proposal = Proposal(ACTS[kind])
    return Difference(
        kind, line, number, ours, theirs, amount, CURRENCY, OWNERS[kind], rows, proposal
    )


def _side(ours: OurShare) -> Side:
    return Side(
        ours.object, ours.state, CURRENCY, ours.amount, ours.amount, 0, None, ours.at_ms,
        ours.merchant,
    )  # fmt: skip


def _effect(line: ShareLine) -> int:
    return _signed(line.kind, line.amount)


def _signed(kind: BillKind, amount: int) -> int:
    return amount if kind is BillKind.SHARE else -amount
