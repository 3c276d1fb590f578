"""A shard puts the reconciler's notices into its outbox: the courier delivers them as all events.

An event's id is made of what it is about, so that a notice that is told again is one event.
"""

from actors.adjusting_messages import TellNotices, ToldNotices
from actors.home import HomeDesk
from actors.link import Link


class Telling:
    """Registers itself at the shard's desk."""

    def __init__(self, desk: HomeDesk) -> None:
        self._desk = desk
        desk.hears(TellNotices, self.take)

    def take(self, link: Link, message: TellNotices) -> None:
        """Emit what is new of them; answered once that is durable."""
        core = self._desk.core
        for notice in message.notices:
            merchant = core.reference.merchant(notice.merchant)
            if merchant is not None:
                self._desk.emit(merchant.number, notice.source, notice.kind, notice.at, notice.body)
        core.answer(link, ToldNotices(message.ref))
