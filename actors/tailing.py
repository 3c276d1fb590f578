"""A shard's events for the courier: read by number from the store, whatever the commits do.

Only what is durable can be read, so an answer needs no commit to stand on. Whoever has read all
is told after the next commit that there is more: once, however many commits follow.
"""

from typing import Final

from actors.core import Core
from actors.event_messages import EventRows, EventsWaiting, EventTail, FetchEvents, TailEvents
from actors.link import Link
from payments.ids import MalformedId, body_of
from payments.storage.base import EventRow

TAIL_MAX: Final = 1_000
"""Events that one answer names, without their bodies: well under a millisecond of the loop."""

FETCH_MAX: Final = 200
"""Events that one answer holds whole."""

FETCH_BYTES_MAX: Final = 512 * 1024
"""Bytes of their bodies: an answer fits into one frame of a link."""


class Tailing:
    """The flow of the courier's reads."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._told_all: dict[Link, None] = {}

    def tail(self, link: Link, command: TailEvents) -> None:
        """Which events there are after a number."""
        limit = max(1, min(command.limit, TAIL_MAX))
        rows = self._core.store.event_stubs(command.after, limit)
        if len(rows) < limit:
            self._told_all[link] = None
        link.send(EventTail(command.ref, self._core.event_no, tuple(rows)))

    def fetch(self, link: Link, command: FetchEvents) -> None:
        """Events with their bodies."""
        store = self._core.store
        if command.payment:
            rows = self._of_payment(command.payment)
        elif command.id:
            row = store.event(command.id)
            rows = [] if row is None else [row]
        else:
            rows = store.events_at(command.numbers[:FETCH_MAX])
        link.send(EventRows(command.ref, _within_a_frame(rows)))

    def _of_payment(self, identifier: str) -> list[EventRow]:
        """Events of a payment and of its refunds, in the order of their numbers."""
        store = self._core.store
        try:
            body_of(identifier, "pay")
        except MalformedId:
            return []
        payment = store.payment(identifier)
        if payment is None:
            return []
        sources = [identifier, *(row[1] for row in store.refunds_of(payment[0])[:FETCH_MAX])]
        # An automatic refund shares the body of its payment's id, and so the range of its events.
        rows = {row[0]: row for source in sources for row in store.events_of(source)}
        return [rows[no] for no in sorted(rows)]

    def committed(self) -> None:
        """Events are durable: whoever has read all before learns of it."""
        if self._told_all:
            waiting = EventsWaiting(self._core.event_no)
            told, self._told_all = self._told_all, {}
            for link in told:
                link.send(waiting)

    def lost(self, link: Link) -> None:
        self._told_all.pop(link, None)


def _within_a_frame(rows: list[EventRow]) -> tuple[EventRow, ...]:
    size = 0
    for count, row in enumerate(rows):
        size += len(row[6])
        if count and size > FETCH_BYTES_MAX:
            return tuple(rows[:count])
    return tuple(rows)
