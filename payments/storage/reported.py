"""Our side of somebody else's bill: what was reported to us, by the channel's numbers.

Another gateway knows nothing of our numbers, so such rows meet its bill by the channel's own
(`channel_trade_no`, `channel_refund_no`). Nothing of ours is in that order: what may be of a day is
read whole and sorted in memory, up to a named limit.
"""

from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from payments.fees import FeePlan
from payments.reconciliation.lines import Nature, Ours, day_bounds
from payments.reported import AGE_MAX_MS, AHEAD_MAX_MS, REFUND_AGE_MAX_MS
from payments.storage.base import StoreRefused
from payments.storage.expected import ShardBooks

ROWS_MAX: Final = 200_000
"""Reported payments, and refunds, that are kept in memory for one bill."""

_number: Final = attrgetter("number")


class ReportedBooks:
    """What was reported for one channel account until a month after a bill's day.

    What was reported in that time for other days is known too: a line of it in this bill is none
    that nobody told us of. Raise StoreRefused for more than ROWS_MAX.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        account: str,
        bill_date: int,
        plan: FeePlan | None = None,
        rows_max: int = ROWS_MAX,
    ) -> None:
        self._bounds = begins, ends = day_bounds(bill_date)
        shards = ShardBooks(paths, account, plan)
        try:
            self._charges = _by_number(
                shards.reported_charges(begins - AHEAD_MAX_MS, ends + AGE_MAX_MS), rows_max
            )
            self._refunds = _by_number(
                shards.reported_refunds(begins - AHEAD_MAX_MS, ends + REFUND_AGE_MAX_MS), rows_max
            )
        finally:
            shards.close()

    def payments(self, bill_date: int) -> Iterator[Ours]:
        """Those that were paid on the day, by the channel's number."""
        return self._day(self._charges.values())

    def refunds(self, bill_date: int) -> Iterator[Ours]:
        """Those that went back on the day, by the channel's number."""
        return self._day(self._refunds.values())

    def _day(self, lines: Iterable[Ours]) -> Iterator[Ours]:
        begins, ends = self._bounds
        return iter(sorted((each for each in lines if begins <= each.at_ms < ends), key=_number))

    def charge(self, number: str) -> Ours | None:
        """What was reported under a number of the channel's."""
        return self._charges.get(number)

    def refund(self, number: str) -> Ours | None:
        return self._refunds.get(number)


def _by_number(lines: Iterable[Ours], rows_max: int) -> dict[str, Ours]:
    """Number -> line. What was reported twice under one is of nobody's bill the second time."""
    found: dict[str, Ours] = {}
    for line in lines:
        number, again = line.number, 1
        while number in found:
            again += 1
            number = f"{line.number}~{again}"
        found[number] = replace(line, number=number, nature=Nature.REPORTED)
        if len(found) > rows_max:
            raise StoreRefused(f"more than {rows_max} reported lines may be of this bill")
    return found
