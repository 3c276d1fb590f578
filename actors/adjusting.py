"""A shard books what two people agreed to of a difference: an entry to or from suspense.

The flow of the adjustments: each is a record under the difference's id, in the commit of its entry.
"""

from actors.adjusting_messages import Adjust, Adjusted
from actors.home import HomeDesk
from actors.link import Link
from actors.record_kinds import ADJUSTMENT
from payments.chart import UnknownAccount
from payments.reconciliation.adjustment import (
    Adjustment,
    BadAdjustment,
    below_floor,
    entry_id,
    partition_of_entry,
)


class Adjusting:
    """Registers itself at the shard's desk."""

    def __init__(self, desk: HomeDesk) -> None:
        self._core = desk.core
        desk.hears(Adjust, self.take)

    def take(self, link: Link, message: Adjust) -> None:
        """Book it once; the same again is answered as if it had been booked now."""
        core, wish = self._core, message.adjustment
        known = core.records.get(wish.item, Adjustment)
        if known is None:
            why = self._book(wish)
        else:
            why = "" if known.is_same(wish) else "another entry was booked for this difference"
        core.answer(link, Adjusted(message.ref, why))

    def _book(self, wish: Adjustment) -> str:
        """Book the entry and keep the record. Why not, if it cannot be."""
        core = self._core
        if any(each.name == wish.account and each.pays_merchant for each in core.lanes.accounts):
            core.count("adjustments_refused")
            return f"{wish.account} pays merchants itself: it has nothing to do with custody"
        try:
            partition = partition_of_entry(wish)
        except (BadAdjustment, UnknownAccount) as error:
            core.count("adjustments_refused")
            return str(error)
        why = below_floor(wish.postings, wish.currency, core.books.balance)
        if why is not None:
            core.count("adjustments_refused")
            return why
        at = core.clock.now_ms()
        core.books.book(
            core.batch,
            partition,
            entry_id(wish.item),
            wish.item,
            at,
            wish.currency,
            wish.postings,
        )
        kept = Adjustment(
            wish.item,
            wish.account,
            wish.act,
            wish.currency,
            wish.postings,
            wish.maker,
            wish.checker,
            at,
        )
        core.records.put(ADJUSTMENT, wish.item, wish.account, partition, kept, None)
        return ""
