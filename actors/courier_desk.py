"""What callers ask about webhooks: endpoints decided and written, events and deliveries shown.

The front door has verified the caller and its scope; here is judged what belongs to it. A merchant
has its own endpoints; a platform has endpoints that hear of all its merchants, and sees theirs.
Endpoint changes are decided without waiting, true in memory at once, and answered when durable.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Protocol

from msgspec import UNSET
from msgspec.structs import replace

from actors.courier_commits import Commits
from actors.courier_events import EventDesk
from actors.courier_lanes import Lanes, Sender
from actors.courier_views import delivery_view, encode, list_json, timeline_lines
from actors.event_messages import CourierAsk
from actors.messages import Answer
from actors.snapshot import Reference
from payments.addresses import Reach
from payments.clock import Clock
from payments.directory_view import wish_of
from payments.errors import (
    Conflict,
    IdempotencyMismatch,
    InvalidField,
    NotFound,
    Overloaded,
    Unauthorized,
)
from payments.ids import Entropy, IdMint, partition_of
from payments.storage.courier import CourierStore, DeliveryRow, Step, set_endpoint
from payments.webhook_views import (
    DeletedView,
    DeliveryView,
    EndpointView,
    ResendView,
    endpoint_view,
)
from payments.webhook_wishes import (
    ENDPOINTS_MAX,
    EnableEndpoint,
    EndpointChange,
    NewEndpoint,
    ResendEvent,
    ResendRange,
    RollSecret,
    check_filters,
    check_url,
)
from payments.webhooks import (
    DISABLED,
    ENABLED,
    SECRET_BYTES,
    Endpoint,
    Secret,
    roll,
    secret_text,
)

URL: Final = "/v1/webhook_endpoints"
LIMIT_DEFAULT: Final = "10"
NONCES_MAX: Final = 200_000
TIMELINE_MAX: Final = 200
PLATFORM_PARTITION: Final = 0


class Book(Protocol):
    """The courier, as the desk sees it."""

    endpoints: dict[str, Endpoint]
    reference: Reference

    def take(self, endpoint: Endpoint) -> None:
        """An endpoint as it is from now on."""
        ...

    def forget(self, identifier: str) -> None: ...
    def positions(self) -> list[Step]:
        """How far each shard was read: what is older is not for an endpoint that changes now."""
        ...

    async def caught_up(self) -> None:
        """Wait, not for long, until what the shards have committed by now was read."""
        ...

    @property
    def is_loaded(self) -> bool: ...


class Desk:
    """Answers one question at a time each; questions wait for each other only at the commit."""

    def __init__(
        self,
        book: Book,
        events: EventDesk,
        store: CourierStore,
        commits: Commits,
        lanes: Lanes,
        sender: Sender,
        clock: Clock,
        mint: IdMint,
        entropy: Entropy,
        reach: Reach,
    ) -> None:
        self._book = book
        self._events = events
        self._store = store
        self._commits = commits
        self._lanes = lanes
        self._sender = sender
        self._clock = clock
        self._mint = mint
        self._entropy = entropy
        self._reach = reach
        self._nonces: dict[tuple[str, int], int] = {}
        self._operations: dict[str, Callable[[CourierAsk], Awaitable[Answer]]] = {
            "endpoints.create": self._create,
            "endpoints.list": self._list,
            "endpoints.get": self._get,
            "endpoints.update": self._update,
            "endpoints.delete": self._delete,
            "endpoints.roll": self._roll,
            "endpoints.enable": self._enable,
            "endpoints.deliveries": self._deliveries_of_endpoint,
            "events.list": self._list_events,
            "events.get": self._get_event,
            "events.deliveries": self._deliveries_of_event,
            "events.resend": self._resend,
            "events.resend_range": self._resend_range,
            "payments.webhooks": self._timeline,
        }

    def open(self) -> None:
        """Remember the signatures that still count."""
        for caller, digest, created in self._store.recent_nonces():
            self._nonces[caller, digest] = created

    async def answer(self, ask: CourierAsk) -> Answer:
        """The answer, true when it is given. Raise PaymentError."""
        operation = self._operations.get(ask.op)
        if operation is None:
            raise NotFound(f"there is no {ask.op}")
        if ask.nonce:
            self._spend_nonce(ask)
        replay = self._replay(ask)
        return replay if replay is not None else await operation(ask)

    def _spend_nonce(self, ask: CourierAsk) -> None:
        """A signature counts once. Its nonce is in the next commit, whatever else is decided."""
        key = (ask.caller, ask.nonce)
        if key in self._nonces:
            raise Unauthorized("the nonce was used before")
        if len(self._nonces) >= NONCES_MAX:
            kept = {(caller, digest): at for caller, digest, at in self._store.recent_nonces()}
            self._nonces = kept
            if len(kept) >= NONCES_MAX:
                raise Overloaded("too many signed requests", retry_after_s=60)
        self._nonces[key] = ask.nonce_at
        self._commits.add(("add_nonce", (ask.caller, ask.nonce, ask.nonce_at)))

    def _replay(self, ask: CourierAsk) -> Answer | None:
        """The object of a repeated request as it stands now, without its secret."""
        if ask.key_digest is None:
            return None
        known = self._store.answered(_scope(ask), ask.key_digest)
        if known is None:
            return None
        fingerprint, status, object_id = known
        if fingerprint != ask.fingerprint:
            raise IdempotencyMismatch("the key was used for another request; make a new one")
        return Answer(0, status, encode(self._view(self._mine(ask, object_id))), True)

    def _answered(self, ask: CourierAsk, status: int, object_id: str) -> list[Step]:
        if ask.key_digest is None:
            return []
        values = (_scope(ask), ask.key_digest, ask.fingerprint, status, object_id)
        return [("add_answer", values)]

    # --- whose endpoints -----------------------------------------------------------------------

    def _is_mine(self, ask: CourierAsk, endpoint: Endpoint) -> bool:
        if ask.merchant:
            return endpoint.merchant == ask.merchant
        if ask.platform is None:
            return False
        if endpoint.merchant is None:
            return endpoint.platform == ask.platform
        merchant = self._book.reference.merchant(endpoint.merchant)
        return merchant is not None and merchant.platform == ask.platform

    def _mine(self, ask: CourierAsk, identifier: str | None) -> Endpoint:
        endpoint = self._book.endpoints.get(identifier or "")
        if endpoint is None or not self._is_mine(ask, endpoint):
            raise NotFound(f"no webhook endpoint {(identifier or '')[:40]!r}")
        return endpoint

    def _view(self, endpoint: Endpoint, secret: str | None = None) -> EndpointView:
        return endpoint_view(
            endpoint,
            livemode=self._reach.livemode,
            real_ms=self._clock.real_ms(),
            secret=secret,
        )

    # --- endpoints -----------------------------------------------------------------------------

    async def _create(self, ask: CourierAsk) -> Answer:
        wish = wish_of(NewEndpoint, ask.body)
        events = check_filters(wish.events)
        await self._check_url(wish.url)
        await self._book.caught_up()
        merchant = self._book.reference.merchant(ask.merchant) if ask.merchant else None
        if not self._book.is_loaded or (ask.merchant and merchant is None):
            raise Overloaded("the courier is starting; try again", retry_after_s=1)
        self._refuse_too_many(ask)
        partition = partition_of(merchant.id) if merchant is not None else PLATFORM_PARTITION
        key = self._entropy.bytes(SECRET_BYTES)
        now = self._clock.now_ms()
        endpoint = Endpoint(
            self._mint.new("whk", now, partition),
            wish.url,
            events,
            (Secret(key),),
            now,
            merchant.id if merchant is not None else None,
            merchant.number if merchant is not None else 0,
            None if merchant is not None else ask.platform,
            ENABLED,
            None,
            wish.description,
            wish.metadata,
        )
        await self._write(endpoint, *self._answered(ask, 201, endpoint.id))
        return Answer(0, 201, encode(self._view(endpoint, secret_text(key))))

    async def _check_url(self, url: str) -> None:
        check_url(url, self._reach)
        why = await self._sender.refusal(url)
        if why is not None:
            raise InvalidField(why, param="url")

    def _refuse_too_many(self, ask: CourierAsk) -> None:
        owned = [
            endpoint
            for endpoint in self._book.endpoints.values()
            if (endpoint.merchant == ask.merchant if ask.merchant else not endpoint.merchant)
            and (ask.merchant or endpoint.platform == ask.platform)
        ]
        if len(owned) >= ENDPOINTS_MAX:
            raise Conflict(f"there may be {ENDPOINTS_MAX} endpoints; delete one")

    async def _write(self, endpoint: Endpoint, *more: Step) -> None:
        """An endpoint changes: it hears of what is committed from here on."""
        self._book.take(endpoint)
        await self._commits.durable(set_endpoint(endpoint), *self._book.positions(), *more)

    async def _list(self, ask: CourierAsk) -> Answer:
        mine = [each for each in self._book.endpoints.values() if self._is_mine(ask, each)]
        mine.sort(key=lambda endpoint: endpoint.id, reverse=True)
        page, has_more = _page(mine, ask.query)
        return Answer(
            0, 200, list_json(URL, [self._view(each) for each in page], has_more=has_more)
        )

    async def _get(self, ask: CourierAsk) -> Answer:
        return Answer(0, 200, encode(self._view(self._mine(ask, ask.target))))

    async def _update(self, ask: CourierAsk) -> Answer:
        wish = wish_of(EndpointChange, ask.body)
        changes: dict[str, Any] = {}
        if wish.events is not UNSET:
            changes["events"] = check_filters(wish.events)
        self._mine(ask, ask.target)
        if wish.url is not UNSET:
            await self._check_url(wish.url)
            changes["url"] = wish.url
        if wish.events is not UNSET or wish.status is not UNSET:
            await self._book.caught_up()
        if wish.description is not UNSET:
            changes["description"] = wish.description
        if wish.metadata is not UNSET:
            changes["metadata"] = wish.metadata
        endpoint = self._mine(ask, ask.target)
        if wish.status is not UNSET and wish.status != endpoint.status:
            is_on = wish.status == ENABLED
            changes |= {"status": wish.status, "reason": None if is_on else "asked"}
        changed = replace(endpoint, **changes)
        is_off = changed.status == DISABLED and endpoint.status == ENABLED
        cancel = [("cancel", (self._clock.real_ms(), changed.id))] if is_off else []
        await self._write(changed, *cancel, *self._answered(ask, 200, changed.id))
        return Answer(0, 200, encode(self._view(changed)))

    async def _enable(self, ask: CourierAsk) -> Answer:
        wish_of(EnableEndpoint, ask.body)
        self._mine(ask, ask.target)
        await self._book.caught_up()
        endpoint = replace(self._mine(ask, ask.target), status=ENABLED, reason=None)
        await self._write(endpoint, *self._answered(ask, 200, endpoint.id))
        return Answer(0, 200, encode(self._view(endpoint)))

    async def _roll(self, ask: CourierAsk) -> Answer:
        wish = wish_of(RollSecret, ask.body)
        key = self._entropy.bytes(SECRET_BYTES)
        endpoint = self._mine(ask, ask.target)
        rolled = roll(endpoint, key, wish.overlap_seconds * 1_000, self._clock.real_ms())
        await self._write(rolled, *self._answered(ask, 200, rolled.id))
        return Answer(0, 200, encode(self._view(rolled, secret_text(key))))

    async def _delete(self, ask: CourierAsk) -> Answer:
        endpoint = self._mine(ask, ask.target)
        self._book.forget(endpoint.id)
        await self._commits.durable(
            ("drop_endpoint", (endpoint.id,)), ("cancel", (self._clock.real_ms(), endpoint.id))
        )
        return Answer(0, 200, encode(DeletedView(id=endpoint.id)))

    # --- deliveries ----------------------------------------------------------------------------

    async def _deliveries_of_endpoint(self, ask: CourierAsk) -> Answer:
        endpoint = self._mine(ask, ask.target)
        limit = int(ask.query.get("limit", LIMIT_DEFAULT))
        before = 1 << 62
        after = ask.query.get("starting_after")
        if after is not None:
            found = self._store.delivery(after.partition(".")[0], endpoint.id)
            if found is None:
                raise InvalidField("this list has no such object", param="starting_after")
            before = found[0]
        rows = self._store.deliveries_of_endpoint(endpoint.id, before, limit + 1)
        data = [self._shown(row) for row in rows[:limit]]
        url = f"{URL}/{endpoint.id}/deliveries"
        return Answer(0, 200, list_json(url, data, has_more=len(rows) > limit))

    def _shown(self, row: DeliveryRow) -> DeliveryView:
        endpoint = self._book.endpoints.get(row[1])
        return delivery_view(
            row,
            self._store.type_of(row[2]),
            self._store.attempts(row[0], 50),
            endpoint.url if endpoint is not None else None,
            livemode=self._reach.livemode,
        )

    def _deliveries(self, ask: CourierAsk, event: str) -> list[DeliveryView]:
        """Of one event, to endpoints that the caller may see."""
        rows = self._store.deliveries_of_event(event)
        return [self._shown(row) for row in rows if self._may_see(ask, row[1])]

    def _may_see(self, ask: CourierAsk, identifier: str) -> bool:
        endpoint = self._book.endpoints.get(identifier)
        return endpoint is not None and self._is_mine(ask, endpoint)

    async def _deliveries_of_event(self, ask: CourierAsk) -> Answer:
        row, _ = await self._events.one(ask, ask.target or "")
        url = f"/v1/events/{row[3]}/deliveries"
        return Answer(0, 200, list_json(url, self._deliveries(ask, row[3]), has_more=False))

    async def _timeline(self, ask: CourierAsk) -> Answer:
        """Tries of a payment's events, for its time line."""
        rows = self._store.deliveries_of_source(ask.target or "", TIMELINE_MAX)
        mine = [row for row in rows if self._may_see(ask, row[1])]
        return Answer(0, 200, encode(timeline_lines(self._store, mine)))

    # --- events --------------------------------------------------------------------------------

    async def _list_events(self, ask: CourierAsk) -> Answer:
        return Answer(0, 200, await self._events.page(ask))

    async def _get_event(self, ask: CourierAsk) -> Answer:
        return Answer(0, 200, await self._events.show(ask, ask.target or ""))

    async def _resend(self, ask: CourierAsk) -> Answer:
        wish = wish_of(ResendEvent, ask.body)
        row, merchant = await self._events.one(ask, ask.target or "")
        endpoints = self._takers(ask, wish.endpoint)
        count = self._events.send_again([(row, merchant)], endpoints)
        if not count:
            raise Conflict("no enabled endpoint of yours takes this event")
        await self._commits.durable()
        for endpoint in endpoints:
            self._lanes.stir(endpoint.id)
        url = f"/v1/events/{row[3]}/deliveries"
        return Answer(0, 202, list_json(url, self._deliveries(ask, row[3]), has_more=False))

    async def _resend_range(self, ask: CourierAsk) -> Answer:
        wish = wish_of(ResendRange, ask.body)
        endpoints = self._takers(ask, wish.endpoint)
        rows, has_more = await self._events.range(ask, wish)
        count = self._events.send_again(rows, endpoints)
        await self._commits.durable()
        for endpoint in endpoints:
            self._lanes.stir(endpoint.id)
        body = ResendView(
            events=len(rows),
            deliveries=count,
            has_more=has_more,
            last=rows[-1][0][3] if rows else None,
        )
        return Answer(0, 202, encode(body))

    def _takers(self, ask: CourierAsk, identifier: str | None) -> list[Endpoint]:
        """To whom something is sent again: one endpoint, or all that the caller sees."""
        if identifier is not None:
            endpoint = self._mine(ask, identifier)
            if endpoint.status != ENABLED:
                raise Conflict("the endpoint is disabled; enable it first", param="endpoint")
            return [endpoint]
        return [
            endpoint
            for endpoint in self._book.endpoints.values()
            if endpoint.status == ENABLED and self._is_mine(ask, endpoint)
        ]


def _scope(ask: CourierAsk) -> str:
    """Whose idempotency keys these are."""
    return ask.merchant or ask.platform or ask.caller


def _page(rows: list[Endpoint], query: Mapping[str, str]) -> tuple[list[Endpoint], bool]:
    limit = int(query.get("limit", LIMIT_DEFAULT))
    ids = [row.id for row in rows]
    start, end = 0, len(rows)
    for name in ("starting_after", "ending_before"):
        if name in query and query[name] not in ids:
            raise InvalidField("this list has no such object", param=name)
    if "starting_after" in query:
        start = ids.index(query["starting_after"]) + 1
    if "ending_before" in query:
        end = ids.index(query["ending_before"])
        start = max(0, end - limit)
        return rows[start:end], start > 0
    return rows[start : start + limit], end - start > limit
