"""Events as callers see them: one, a page, a range to be sent again. The shards have the bodies.

A page of one merchant goes by the shard's numbers. Over all merchants of a platform it goes by the
instant of the events, then by shard and number.
"""

from collections.abc import Callable, Iterable, Iterator
from heapq import nlargest, nsmallest
from typing import Final

from msgspec import Raw, Struct

from actors.courier_commits import Commits
from actors.courier_tail import Away, Tail, source_of
from actors.courier_views import event_json, list_json
from actors.event_messages import CourierAsk
from actors.snapshot import Reference
from payments.calendar import parse_rfc3339
from payments.clock import Clock
from payments.errors import InvalidField, NotFound, Overloaded
from payments.ids import BODY_LENGTH, MalformedId, partition_of
from payments.storage.base import EventRow
from payments.view import EVENT_LETTER
from payments.webhook_wishes import RESEND_MAX, ResendRange
from payments.webhooks import Endpoint, matches, platform_number

URL: Final = "/v1/events"
PREFIX: Final = "evt_"
PAGE_BYTES_MAX: Final = 768 * 1024
"""A page must fit into one frame of a link: it ends early, with `has_more`, before this."""

MERCHANTS_MAX: Final = 5_000
"""Merchants of a platform whose events are listed together; a platform with more names one."""

LETTERS: Final = frozenset(EVENT_LETTER.values())

Key = tuple[int, int, int]
"""at_ms, shard, no: the order of a list over several merchants (at_ms 0 for one alone)"""


class Owner(Struct, frozen=True):
    """Whose an event is: a merchant's, which may be a platform's; or a platform's own."""

    merchant: str | None
    platform: str | None


Found = tuple[EventRow, Owner]


class EventDesk:
    """Reads over all shards. `shard_of`: which tail reads a partition."""

    def __init__(
        self,
        tails: list[Tail],
        shard_of: Callable[[int], int],
        reference: Reference,
        commits: Commits,
        clock: Clock,
        added: Callable[[str, int], bool],
        number: Callable[[], int],
        *,
        livemode: bool,
    ) -> None:
        """`added`: told of deliveries to an endpoint; `number`: the next delivery's."""
        self._tails = tails
        self._shard_of = shard_of
        self._reference = reference
        self._commits = commits
        self._clock = clock
        self._added = added
        self._number = number
        self._livemode = livemode

    # --- one -----------------------------------------------------------------------------------

    async def one(self, ask: CourierAsk, identifier: str) -> Found:
        """An event of the caller's. Raise NotFound, or Overloaded while its shard is away."""
        row = await self._read(identifier)
        owner = None if row is None else self._owner(ask, row[2])
        if row is None or owner is None or not _is_of(ask, owner):
            raise NotFound(f"no event {identifier[:40]!r}")
        return row, owner

    def _owner(self, ask: CourierAsk, number: int) -> Owner | None:
        """Whose a number is; of platforms only the caller's is known by its number."""
        if number < 0:
            is_caller = ask.platform is not None and platform_number(ask.platform) == number
            return Owner(None, ask.platform) if is_caller else None
        merchant = self._reference.merchant_by_number(number)
        return None if merchant is None else Owner(merchant.id, merchant.platform)

    async def _read(self, identifier: str) -> EventRow | None:
        body = identifier.removeprefix(PREFIX)
        is_one = (
            identifier.startswith(PREFIX)
            and len(body) == BODY_LENGTH + 1
            and body[-1] in LETTERS
            and body.isascii()
        )
        if not is_one:
            return None
        try:
            tail = self._tail_of(body)
        except MalformedId:
            return None
        try:
            return await tail.event(identifier)
        except Away:
            raise Overloaded("a shard did not answer; try again", retry_after_s=1) from None

    def _tail_of(self, identifier: str) -> Tail:
        return self._tails[self._shard_of(partition_of(identifier))]

    async def show(self, ask: CourierAsk, identifier: str) -> bytes:
        """The JSON of one event."""
        row, owner = await self.one(ask, identifier)
        return event_json(row, owner.merchant, livemode=self._livemode)

    # --- lists ---------------------------------------------------------------------------------

    async def page(self, ask: CourierAsk) -> bytes:
        """A page of events, newest first, as JSON."""
        query = ask.query
        limit = int(query.get("limit", "10"))
        owners = self._owners(ask)
        is_back = "ending_before" in query
        edge_name = "ending_before" if is_back else "starting_after"
        edge = await self._edge(ask, query.get(edge_name), edge_name, len(owners) > 1)
        if "payment" in query:
            found = await self._of_payment(query, owners, edge, is_back=is_back)
        else:
            self._refuse_unread()
            found = self._search(query, owners, edge, limit + 1, is_back=is_back)
        rows = await self._rows(found[: limit + 1], owners)
        has_more = len(rows) > limit
        items: list[Raw] = []
        size = 0
        for row, owner in rows[:limit]:
            item = event_json(row, owner.merchant, livemode=self._livemode)
            size += len(item)
            if size > PAGE_BYTES_MAX:
                has_more = True
                break
            items.append(Raw(item))
        if is_back:
            items.reverse()
        return list_json(URL, items, has_more=has_more)

    def _owners(self, ask: CourierAsk) -> dict[int, Owner]:
        """Whose events the caller may see, by the numbers in the events."""
        reference = self._reference
        if ask.merchant:
            merchant = reference.merchant(ask.merchant)
            if merchant is None:
                return {}
            return {merchant.number: Owner(merchant.id, merchant.platform)}
        if ask.platform is None:
            return {}
        merchants = reference.merchants_of_platform(ask.platform)
        if len(merchants) > MERCHANTS_MAX:
            raise InvalidField(
                f"this key has more than {MERCHANTS_MAX} merchants; name one",
                param="Tillway-Merchant",
            )
        theirs = {one.number: Owner(one.id, one.platform) for one in merchants}
        return {**theirs, platform_number(ask.platform): Owner(None, ask.platform)}

    async def _edge(
        self, ask: CourierAsk, identifier: str | None, param: str, is_merged: bool
    ) -> Key | None:
        if identifier is None:
            return None
        try:
            row, _ = await self.one(ask, identifier)
        except NotFound:
            raise InvalidField("this list has no such object", param=param) from None
        shard = self._shard_of(row[1])
        return (row[5] if is_merged else 0, shard, row[0])

    def _refuse_unread(self) -> None:
        if not all(tail.is_loaded for tail in self._tails):
            raise Overloaded("events are being read; try again", retry_after_s=1)

    def _search(
        self,
        query: dict[str, str],
        owners: dict[int, Owner],
        edge: Key | None,
        most: int,
        *,
        is_back: bool,
    ) -> list[Key]:
        """Keys of the events asked for: the nearest to the edge, in the list's direction."""
        keep = _filter(query)
        is_merged = len(owners) > 1

        def keys() -> Iterator[Key]:
            for number in owners:
                for tail in self._tails:
                    index = tail.index
                    places = index.oldest_first if is_back else index.newest_first
                    for no, at_ms, kind in places(number):
                        key = (at_ms if is_merged else 0, tail.shard, no)
                        is_past = edge is None or (key > edge if is_back else key < edge)
                        if is_past and keep(kind, at_ms):
                            yield key

        if is_merged:
            return nsmallest(most, keys()) if is_back else nlargest(most, keys())
        return [key for key, _ in zip(keys(), range(most), strict=False)]

    async def _of_payment(
        self,
        query: dict[str, str],
        owners: dict[int, Owner],
        edge: Key | None,
        *,
        is_back: bool,
    ) -> list[Key]:
        identifier = query["payment"]
        keep = _filter(query)
        try:
            tail = self._tail_of(identifier)
            rows = await tail.of_payment(identifier)
        except MalformedId:
            return []
        except Away:
            raise Overloaded("a shard did not answer; try again", retry_after_s=1) from None
        is_merged = len(owners) > 1
        keys = [
            (row[5] if is_merged else 0, tail.shard, row[0])
            for row in rows
            if row[2] in owners and keep(row[4], row[5])
        ]
        keys = [key for key in keys if edge is None or (key > edge if is_back else key < edge)]
        return sorted(keys, reverse=not is_back)

    async def _rows(self, keys: list[Key], owners: dict[int, Owner]) -> list[Found]:
        """The events of keys, in their order."""
        rows: dict[tuple[int, int], EventRow] = {}
        for tail in self._tails:
            numbers = [no for _, shard, no in keys if shard == tail.shard]
            try:
                for row in await tail.fetch(numbers):
                    rows[tail.shard, row[0]] = row
            except Away:
                raise Overloaded("a shard did not answer; try again", retry_after_s=1) from None
        found = (rows[shard, no] for _, shard, no in keys)
        return [(row, owners[row[2]]) for row in found]

    # --- again ---------------------------------------------------------------------------------

    async def range(self, ask: CourierAsk, wish: ResendRange) -> tuple[list[Found], bool]:
        """The events of a range, the oldest first, and whether there are more."""
        if (wish.after is None) == (wish.from_ is None):
            raise InvalidField("say either after, or from and to", param="after")
        if wish.after is not None and wish.to is not None:
            raise InvalidField("to goes with from", param="to")
        query: dict[str, str] = {}
        for name, text, bound in (("from", wish.from_, "gte"), ("to", wish.to, "lt")):
            if text is not None:
                try:
                    query[f"created[{bound}]"] = str(parse_rfc3339(text))
                except ValueError as error:
                    raise InvalidField(str(error), param=name) from None
        owners = self._owners(ask)
        edge = await self._edge(ask, wish.after, "after", len(owners) > 1)
        self._refuse_unread()
        keys = self._search(query, owners, edge, RESEND_MAX + 1, is_back=True)
        rows = await self._rows(keys[:RESEND_MAX], owners)
        return rows, len(keys) > RESEND_MAX

    def send_again(self, found: Iterable[Found], endpoints: list[Endpoint]) -> int:
        """Put deliveries of events to those who want them into the next commit. How many."""
        count = 0
        now = self._clock.real_ms()
        for row, owner in found:
            takers = [
                endpoint
                for endpoint in endpoints
                if endpoint.wants(row[4]) and hears_of(endpoint, owner)
            ]
            if not takers:
                continue
            source = source_of(row)
            event = (row[3], owner.merchant or "", source, row[4], row[5], row[6])
            self._commits.add(("add_event", event))
            for endpoint in takers:
                values = (self._number(), endpoint.id, row[3], source, now)
                self._commits.add(("again", values))
                self._added(endpoint.id, 1)
                count += 1
        return count


def hears_of(endpoint: Endpoint, owner: Owner) -> bool:
    """Whether an owner's events are an endpoint's: its own, or one of its platform's."""
    if endpoint.merchant is not None:
        return endpoint.merchant == owner.merchant
    return owner.platform is not None and endpoint.platform == owner.platform


def _is_of(ask: CourierAsk, owner: Owner) -> bool:
    if ask.merchant:
        return owner.merchant == ask.merchant
    return ask.platform is not None and owner.platform == ask.platform


def _filter(query: dict[str, str]) -> Callable[[str, int], bool]:
    """A predicate over type and instant."""
    pattern = query.get("type", "*")
    bounds = [
        (int(query[f"created[{name}]"]), name)
        for name in ("gt", "gte", "lt", "lte")
        if f"created[{name}]" in query
    ]

    def keep(kind: str, at_ms: int) -> bool:
        if not matches(pattern, kind):
            return False
        for edge, name in bounds:
            if name == "gt" and not at_ms > edge:
                return False
            if name == "gte" and not at_ms >= edge:
                return False
            if name == "lt" and not at_ms < edge:
                return False
            if name == "lte" and not at_ms <= edge:
                return False
        return True

    return keep
