"""A channel's callback spoke of a sharing or return order: it is asked about now, not when due.

The callback itself proves nothing here: what the shard believes is the answer to its own question.
"""

from actors.core import Core
from actors.dividing import Dividing
from actors.home import HomeDesk
from actors.link import Link
from actors.record_kinds import DIVISION
from actors.refunding import Refunding
from actors.sharing_messages import ShareNews
from payments.ids import BODY_LENGTH, is_body
from payments.refund import RefundStatus
from payments.splitting.dividing import Division, Stage, division_id, order_of


class HearingOfShares:
    """Registers itself at the desk."""

    def __init__(self, desk: HomeDesk, dividing: Dividing, refunding: Refunding) -> None:
        self._core: Core = desk.core
        self._dividing = dividing
        self._refunding = refunding
        desk.hears(ShareNews, self._heard)

    def _heard(self, link: Link, message: ShareNews) -> None:
        body = message.number[:BODY_LENGTH]
        if not is_body(body):
            return
        now = self._core.clock.now_ms()
        kept = self._core.records.kept(division_id(f"pay_{body}"))
        if kept is not None and kept.kind == DIVISION:
            division: Division = kept.value
            is_asked = division.stage is Stage.SENT and order_of(division).number == message.number
            if is_asked:
                self._dividing.keep(kept, division, now)
            return
        entry = self._core.refund_by_id.get(f"rfd_{body}")
        if entry is None or entry.refund.asked:
            return
        if entry.refund.status is RefundStatus.PROCESSING:
            self._refunding.put_off(entry, now)
