"""The comparison: one pass over two streams that are sorted by our numbers.

Everything that agrees is only counted. What does not is looked at in the order of `Kind`:

    a line of ours alone        it may stand in a neighbor day's bill, or nowhere
    lines of theirs alone       we may know the number from another day, or from an ended attempt
    both                        currency, then state, then amount, discount and fee, each on its own
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Final, Protocol

from msgspec import Struct

from payments.bills.lines import BillKind, BillState
from payments.calendar import business_date
from payments.reconciliation.differences import Difference, Kind, Maker
from payments.reconciliation.lines import SKEW_MS, Nature, Ours, Theirs, day_bounds

SAME_NUMBER_MAX: Final = 1_000
"""Lines of one number that are kept together in memory. A bill with more is not believed."""


_BESIDE: Final = frozenset({Kind.FEE, Kind.SPLIT_MISMATCH})
"""Differences that change nothing of what the channel owes."""


class Unsorted(ValueError):
    """A stream is not in ascending order, or a number has too many lines: nothing can be said."""


class Books(Protocol):
    """Our rows, asked about single numbers."""

    def charge(self, out_trade_no: str) -> Ours | None:
        """What we know of an attempt on this account, however it ended."""
        ...

    def refund(self, out_refund_no: str) -> Ours | None: ...


class Elsewhere(Protocol):
    """What other days' bills had, as far as they were compared."""

    def crossed(self, kind: BillKind, number: str) -> bool:
        """Whether another day's bill has a line of this number."""
        ...

    def is_done(self, bill_date: int) -> bool:
        """Whether that day's bill was compared."""
        ...


class Crossed(Struct, frozen=True, gc=False):
    """A line of this bill that belongs to another day of ours: that day must not miss it."""

    kind: BillKind
    number: str


class Counts(Struct):
    """What a comparison came to. Amounts are effects (see lines.py), minor units.

    `theirs - ours = differences + crossed - elsewhere`, always: every unit is explained.
    `crossed`: of lines that belong to another day of ours. `elsewhere`: of lines of ours that
    another day's bill has.
    """

    matched: int = 0
    crossed_lines: int = 0
    elsewhere_lines: int = 0
    ours_lines: int = 0
    theirs_lines: int = 0
    ours: int = 0
    theirs: int = 0
    crossed: int = 0
    elsewhere: int = 0
    differences: int = 0
    fees: int = 0
    """What the channel charged for payments, less what it gave back."""

    @property
    def is_explained(self) -> bool:
        return self.theirs - self.ours == self.differences + self.crossed - self.elsewhere


Found = Difference | Crossed


class Matcher:
    """One comparison of one channel account and bill date. Made anew for each."""

    def __init__(self, account: str, bill_date: int, books: Books, elsewhere: Elsewhere) -> None:
        self.counts = Counts()
        self._make = Maker(account).make
        self._bill_date = bill_date
        self._bounds = day_bounds(bill_date)
        self._books = books
        self._elsewhere = elsewhere

    def payments(self, ours: Iterable[Ours], theirs: Iterable[Theirs]) -> Iterator[Found]:
        """Payments, and the reversals that undo them whole. Both sorted by `number`."""
        return self._walk(ours, theirs, self._payment_alone, self._payment_pair)

    def refunds(self, ours: Iterable[Ours], theirs: Iterable[Theirs]) -> Iterator[Found]:
        """Refunds under a number of their own. Both sorted by `number`."""
        return self._walk(ours, theirs, self._refund_alone, self._refund_pair)

    # --- the pass ------------------------------------------------------------------------------

    def _walk(
        self,
        ours: Iterable[Ours],
        theirs: Iterable[Theirs],
        alone: Callable[[list[Theirs]], Iterator[Found]],
        together: Callable[[Ours, list[Theirs]], Iterator[Found]],
    ) -> Iterator[Found]:
        counts = self.counts
        lines = self._ours(ours)
        line = next(lines, None)
        for number, group in self._groups(theirs):
            while line is not None and line.number < number:
                yield from self._ours_alone(line)
                line = next(lines, None)
            if line is None or line.number != number:
                yield from alone(group)
                continue
            if len(group) == 1 and _agree(line, group[0]):
                counts.matched += 1
            else:
                yield from together(line, group)
            line = next(lines, None)
        while line is not None:
            yield from self._ours_alone(line)
            line = next(lines, None)

    def _ours(self, ours: Iterable[Ours]) -> Iterator[Ours]:
        counts, last, lines, effect = self.counts, "", 0, 0
        for line in ours:
            number = line.number
            if number <= last:
                raise Unsorted(f"our lines: {number[:40]} after {last[:40]}")
            last = number
            lines += 1
            effect += line.effect
            yield line
        counts.ours_lines += lines
        counts.ours += effect

    def _groups(self, theirs: Iterable[Theirs]) -> Iterator[tuple[str, list[Theirs]]]:
        counts = self.counts
        group: list[Theirs] = []
        number, payment = "", BillKind.PAYMENT
        lines = effect = fees = 0  # Counted here: an attribute a line would be a tenth of the walk.
        for line in theirs:
            lines += 1
            if line.kind is payment:
                effect += line.settle_amount
                fees += line.fee
            elif line.state is not BillState.FAILED:
                effect -= line.settle_amount
                fees -= line.fee
            now = line.number
            if now == number and group:
                group.append(line)
                if len(group) > SAME_NUMBER_MAX:
                    raise Unsorted(f"more than {SAME_NUMBER_MAX} lines of one number")
                continue
            if group:
                if now < number:
                    raise Unsorted(f"the bill's lines: row {line.row}")
                yield number, group
            group, number = [line], now
        if group:
            yield number, group
        counts.theirs_lines += lines
        counts.theirs += effect
        counts.fees += fees

    def _counted(self, found: Iterator[Difference]) -> Iterator[Difference]:
        """A pair: matched when nothing is different."""
        counts, is_same = self.counts, True
        for difference in found:
            is_same = False
            yield self._noted(difference)
        counts.matched += is_same

    def _noted(self, difference: Difference) -> Difference:
        if difference.kind not in _BESIDE:
            self.counts.differences += difference.amount
        return difference

    # --- lines without their counterpart ---------------------------------------------------------

    def _ours_alone(self, line: Ours) -> Iterator[Found]:
        if self._elsewhere.crossed(line.kind, line.number):
            self.counts.elsewhere_lines += 1
            self.counts.elsewhere += line.effect
            return
        until = self._other_bills(line)
        waits = any(not self._elsewhere.is_done(date) for date in dates_of(until, self._bill_date))
        kind = Kind.EXPECTED_LATER if waits else Kind.OURS_ONLY
        yield self._noted(self._make(kind, -line.effect, line, (), until))

    def _other_bills(self, line: Ours) -> tuple[int, int]:
        """The first and the last bill date that may have a line of ours; (0, 0): only this one.

        The channel took the money between being asked and our learning of it.
        """
        first = business_date(line.began_at - SKEW_MS)
        last = business_date(line.at_ms + SKEW_MS)
        return (0, 0) if first == last == self._bill_date else (first, last)

    def _payment_alone(self, group: list[Theirs]) -> Iterator[Found]:
        known = self._books.charge(group[0].number)
        if known is None:
            for line in group:
                yield self._noted(self._make(Kind.UNKNOWN_ORDER, line.effect, None, (line,)))
            return
        if all(line.is_reversal for line in group):
            yield from self._reversal_alone(known, group)
            return
        yield self._crossing(known, BillKind.PAYMENT, known.effect)
        yield from self._counted(self._charged(known, group))

    def _reversal_alone(self, known: Ours, group: list[Theirs]) -> Iterator[Found]:
        """The whole payment was given back; the payment itself is in another day's bill."""
        effect = sum(line.effect for line in group)
        if known.state in (BillState.SUCCEEDED, BillState.PROCESSING):
            yield self._noted(self._make(Kind.STATUS, effect, known, tuple(group)))
            return
        self.counts.matched += 1
        yield self._crossing(known, BillKind.REFUND, effect)

    def _refund_alone(self, group: list[Theirs]) -> Iterator[Found]:
        known = self._books.refund(group[0].number)
        if known is None:
            for line in group:
                payment = self._books.charge(line.trade)
                kind = Kind.UNKNOWN_ORDER if payment is None else Kind.THEIRS_ONLY
                yield self._noted(self._make(kind, line.effect, None, (line,)))
            return
        # What the channel took already and has not given on is ours of the day that it arrives.
        line = group[0]
        is_under_way = known.state is line.state is BillState.PROCESSING
        is_same_money = known.currency == line.currency
        effect = line.effect if is_under_way and is_same_money else known.effect
        yield self._crossing(known, BillKind.REFUND, effect)
        yield from self._counted(self._refunded(known, group))

    def _crossing(self, known: Ours, kind: BillKind, effect: int) -> Crossed:
        """A line of ours from another day, here in this bill: it counts as ours of that day."""
        self.counts.crossed_lines += 1
        self.counts.crossed += effect
        return Crossed(kind, known.number)

    # --- pairs ---------------------------------------------------------------------------------

    def _payment_pair(self, ours: Ours, group: list[Theirs]) -> Iterator[Found]:
        if all(line.is_reversal for line in group):
            yield from self._reversal_alone(ours, group)
            yield from self._ours_alone(ours)
            return
        yield from self._counted(self._charged(ours, group))

    def _refund_pair(self, ours: Ours, group: list[Theirs]) -> Iterator[Found]:
        return self._counted(self._refunded(ours, group))

    def _charged(self, ours: Ours, group: list[Theirs]) -> Iterator[Difference]:
        first, *extras = [line for line in group if not line.is_reversal]
        for extra in extras:
            yield self._make(Kind.DUPLICATE, extra.effect, ours, (extra,))
        undone = [line for line in group if line.is_reversal]
        lines = (first, *undone)
        theirs = sum(line.effect for line in lines)
        if first.currency != ours.currency:
            yield self._make(Kind.CURRENCY, theirs - ours.effect, ours, lines)
        elif undone and ours.state in (BillState.SUCCEEDED, BillState.PROCESSING):
            yield self._make(Kind.STATUS, theirs - ours.effect, ours, lines)
        elif undone:
            if theirs:
                yield self._make(Kind.AMOUNT, theirs, ours, lines)
        elif ours.state is BillState.SUCCEEDED:
            if ours.nature is Nature.LATE:
                yield self._make(Kind.LATE_SUCCESS, 0, ours, lines)
            yield from self._amounts(ours, first)
            if ours.misshared is not None:
                yield self._make(Kind.SPLIT_MISMATCH, ours.misshared, ours, (first,))
        elif ours.state is BillState.PROCESSING:
            yield self._make(Kind.STATUS, theirs, ours, lines)
        elif ours.state is BillState.REVERSED and self._may_be_undone_next_day(ours):
            yield from self._undone_later(ours, first)
        else:
            yield self._make(Kind.LATE_SUCCESS, theirs, ours, lines)

    def _undone_later(self, ours: Ours, line: Theirs) -> Iterator[Difference]:
        """We reversed it past midnight: the channel enters that in the next day's bill."""
        tomorrow = business_date(self._bounds[1])
        if self._elsewhere.crossed(BillKind.REFUND, ours.number):
            self.counts.crossed += line.effect
            return
        waits = not self._elsewhere.is_done(tomorrow)
        kind = Kind.EXPECTED_LATER if waits else Kind.LATE_SUCCESS
        until = (tomorrow, tomorrow)
        yield self._make(kind, line.effect, ours, (line,), until, BillKind.REFUND)

    def _may_be_undone_next_day(self, ours: Ours) -> bool:
        return ours.at_ms + SKEW_MS >= self._bounds[1]

    def _refunded(self, ours: Ours, group: list[Theirs]) -> Iterator[Difference]:
        for extra in group[1:]:
            yield self._make(Kind.DUPLICATE, extra.effect, ours, (extra,))
        line = group[0]
        if line.currency != ours.currency:
            yield self._make(Kind.CURRENCY, line.effect - ours.effect, ours, (line,))
        elif not _states_agree(ours.state, line.state):
            yield self._make(Kind.STATUS, line.effect - ours.effect, ours, (line,))
        elif ours.state is BillState.SUCCEEDED:
            yield from self._amounts(ours, line)

    def _amounts(self, ours: Ours, line: Theirs) -> Iterator[Difference]:
        """Price, discount and fee, each for itself: their sum is what the two are apart."""
        sign = 1 if line.kind is BillKind.PAYMENT else -1
        price = line.amount - ours.amount
        discount = (line.amount - line.settle_amount) - (ours.amount - ours.settle_amount)
        if price:
            yield self._make(Kind.AMOUNT, sign * price, ours, (line,))
        # Who funded a coupon is kept with sales only.
        is_sale = ours.nature is Nature.SALE
        if discount or (is_sale and line.discount_channel != ours.discount_channel):
            yield self._make(Kind.DISCOUNT, -sign * discount, ours, (line,))
        if ours.fee is not None and line.fee != ours.fee:
            yield self._make(Kind.FEE, line.fee - ours.fee, ours, (line,))


def dates_of(until: tuple[int, int], besides: int) -> Iterator[int]:
    """The bill dates from the first to the last, without the one that was looked at."""
    first, last = until
    date = first
    while date and date <= last:
        if date != besides:
            yield date
        date = business_date(day_bounds(date)[1])


def _agree(ours: Ours, theirs: Theirs) -> bool:
    """Whether nothing is different: the answer for nearly all pairs, so it is asked first."""
    return (
        ours.nature is not Nature.LATE
        and ours.amount == theirs.amount
        and ours.settle_amount == theirs.settle_amount
        and ours.state is theirs.state
        and ours.misshared is None
        and (ours.fee is None or ours.fee == theirs.fee)
        and ours.currency == theirs.currency
        and (ours.nature is not Nature.SALE or ours.discount_channel == theirs.discount_channel)
    )


def _states_agree(ours: BillState, theirs: BillState) -> bool:
    """Of a refund. One that the channel still carries out has left the merchant's money already."""
    if theirs is BillState.PROCESSING:
        return ours in (BillState.PROCESSING, BillState.SUCCEEDED)
    return ours is theirs
