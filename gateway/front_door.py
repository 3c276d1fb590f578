"""The FrontDoor actor: HTTP on one side, links to the shards and the directory on the other.

It authenticates against its snapshot, decodes into a typed command, mints the id, sends the command
to the shard of the merchant's partition and waits. It keeps no state that matters: if it dies, the
client repeats the request with the same key.
"""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, cast

from aiohttp import web
from aiohttp.web_exceptions import HTTPRequestEntityTooLarge
from msgspec import Struct

from actors.link import Dialer, Identity, Link
from actors.messages import Answer, Changes, ClockSet, Message, Refusal, Stats, Subscribe
from actors.net import ClientListener, Network
from actors.placement import Placement, shard_name
from actors.snapshot import Reference
from actors.stats import SAMPLE_MASK, Histogram, Stages
from gateway.asking import Asker, Reaction
from gateway.auth import Authenticator
from gateway.callbacks import Callbacks
from gateway.edge import NO_STORE, VERSION, Connection, EdgeServer, Heads, Reply
from gateway.errors import BodyTooLarge, Bug, EdgeError, from_refusal, problem
from gateway.handlers.payments import PATH, answer_lines, prepared
from gateway.logs import get_logger
from gateway.modules import CUSTODY, is_served
from gateway.payer.address import networks_of
from gateway.routes import Call, Route, Router
from gateway.settings_shape import Settings
from gateway.signatures import Headers, split_target
from payments.clock import SystemClock
from payments.errors import Malformed, Overloaded, PaymentError
from payments.idempotency import Digests
from payments.ids import IdMint

if TYPE_CHECKING:
    from multidict import CIMultiDictProxy

JSON: Final = "application/json"
PROBLEM: Final = "application/problem+json"
HEAD_LINES: Final = frozenset({"Content-Type", "Request-Id", "Cache-Control"})
"""Header lines that every answer has already."""

DRAIN_PATIENCE_S: Final = 2.0
"""How long a drain lets channels answer before those who wait are told how it stands."""

DURATION_EDGES_S: Final = (
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
)
ROWS_MAX: Final = 512
"""Combinations of route, method and status that are timed apart; the rest is one route, other."""

METHODS: Final = frozenset({"GET", "POST", "PATCH", "DELETE", "HEAD"})
BACKLOG_S: Final = 0.05
"""So long a listener that is about to close takes in whoever already waits before it."""

log = get_logger(__name__)


class FrontDoorOptions(Struct, frozen=True):
    """What a front door is told; secrets are in `digests` and `identity`."""

    name: str
    settings: Settings
    public_url: str


class FrontDoor:
    """One front door. `dialers` are run by its process; `serve` needs a listening socket."""

    def __init__(
        self,
        options: FrontDoorOptions,
        clock: SystemClock,
        digests: Digests,
        identity: Identity,
        network: Network,
        address: Callable[[str], str],
        placement: Placement,
        router: Router,
    ) -> None:
        settings = options.settings
        self.options = options
        self.settings = settings
        self.clock = clock
        self.digests = digests
        self.mint = IdMint()
        self.reference = Reference(clock)
        self.auth = Authenticator(self.reference, clock, settings.mode == "live")
        self.placement = placement
        self.livemode = settings.mode == "live"
        self.proxies = networks_of(settings.http.trusted_proxies)
        self._router = router
        self.asker = Asker(self, identity, network, address, placement)
        self.ask = self.asker.ask
        self.shard = self.asker.shard
        self.stats_of = self.asker.stats_of
        self.shards = self.asker.shards
        self.directory = self.asker.directory
        self.courier = self.asker.courier
        self.reconciler = self.asker.reconciler
        self.callbacks = Callbacks(settings, digests, identity, network, address)
        self._request_no = 0
        self._request_prefix = self.mint.body(clock.real_ms(), 0)[-8:]
        self._in_flight_max = settings.http.max_in_flight
        self._in_flight = 0
        self._idle = asyncio.Event()
        self._heads = Heads()
        self.draining = False
        self.server = EdgeServer(
            self.handle,
            body_max=settings.http.body_max_bytes,
            receive_deadline_s=settings.http.receive_deadline_s,
        )
        if is_served("POST", PATH, settings.modules):
            self.server.take_express(PATH, self.express)
        self._express_route, _ = router.find("POST", PATH)
        self.durations: dict[tuple[str, str, int], Histogram] = {}
        self.stages = Stages("auth", "reply")
        self.heard_at = 0.0
        self.listener: ClientListener | None = None

    @property
    def dialers(self) -> list[Dialer]:
        boxes = [self.directory, self.courier]
        if CUSTODY in self.settings.modules:
            boxes.append(self.reconciler)
        return [*self.shards, *boxes, *self.callbacks.dialers]

    # --- links ---------------------------------------------------------------------------------

    def on_link(self, link: Link) -> None:
        if link.peer_role == "directory":
            link.send(Subscribe(self.options.name, self.reference.number))

    def on_messages(self, link: Link, messages: list[Message]) -> None:
        answered = self.asker.answered
        self.heard_at = self.clock.monotonic()
        for message in messages:
            kind = type(message)
            if kind is Answer or kind is Refusal or kind is Stats:
                answered(message)  # type: ignore[arg-type]
            elif kind is Changes:
                self.reference.take(message)  # type: ignore[arg-type]
            elif kind is ClockSet:
                self.clock.offset_ms = message.offset_ms  # type: ignore[union-attr]

    def on_link_lost(self, link: Link) -> None:
        self.asker.lost(link)

    # --- HTTP ----------------------------------------------------------------------------------

    def express(self, connection: Connection, headers: Headers, body: bytes) -> None:
        """POST /v1/payments without a task of its own: decided now, answered when it is durable."""
        self._request_no += 1
        # This way asks for `get` and `getall` only, which both kinds of headers have.
        both = cast("CIMultiDictProxy[str]", headers)
        call = Call(self, "POST", both, PATH, "", self._next_id())
        call.body = body
        riding = Express(self, connection, call, self.clock.monotonic())
        self._in_flight += 1
        try:
            if self._in_flight > self._in_flight_max:
                raise Overloaded("too many requests at once; try again", retry_after_s=1)
            self._authenticate(call)
            command, shard, wait_s = prepared(call)
            self.asker.post(shard, command, wait_s, riding.deliver)
        except (PaymentError, EdgeError) as error:
            riding.finish(self.refuse(call, error))
        except Exception as error:
            log.error("unexpected", request_id=call.request_id, error=repr(error), exc_info=True)
            riding.finish(self.refuse(call, Bug()))

    def express_ended(self, status: int, began: float) -> None:
        """Count an express request that was answered."""
        self._leave()
        self._measure(self._express_route, "POST", status, began)

    def _next_id(self) -> str:
        return f"req_{self._request_prefix}{self._request_no:08x}"

    def _leave(self) -> None:
        self._in_flight -= 1
        if self._in_flight == 0:
            self._idle.set()

    def _authenticate(self, call: Call) -> None:
        """Who asks; one in a few is timed."""
        headers = call.headers
        version = headers.get("Tillway-Version")
        if version is not None and version != VERSION:
            raise Malformed(f"this server speaks version {VERSION}", param="Tillway-Version")
        authenticate = self.auth.authenticate
        if self._request_no & SAMPLE_MASK:
            call.caller = authenticate(call.method, call.path, call.query, headers, call.body)
            return
        since = self.clock.monotonic()
        call.caller = authenticate(call.method, call.path, call.query, headers, call.body)
        self.stages.observe("auth", self.clock.monotonic() - since)

    async def handle(self, request: web.BaseRequest) -> Reply:
        """One request: route, read, authenticate, do, answer. Nothing escapes but a bug's 500."""
        began = self.clock.monotonic()
        self._request_no += 1
        raw = request.raw_path
        path, query = split_target(raw)
        call = Call(
            self,
            request.method,
            request.headers,
            path,
            query,
            self._next_id(),
            keep_alive=request.keep_alive,
            version=request.version,
            peer=request.remote or "",
        )
        route: Route | None = None
        connection = cast("Connection", request.protocol)
        self._in_flight += 1
        try:
            route, call.params = self._router.find(request.method, path)
            if self._in_flight > self._in_flight_max:
                raise Overloaded("too many requests at once; try again", retry_after_s=1)
            if request.body_exists:
                connection.ask_for_body(request)
                call.body = await request.read()
            connection.received()
            if route.authenticated:
                self._authenticate(call)
            number = self._request_no
            reply = await route.handler(call)
            if not number & SAMPLE_MASK:
                self.stages.observe("reply", self.clock.monotonic() - self.heard_at)
        except (PaymentError, EdgeError) as error:
            # Refused before its body was here: nobody waits for the rest of it.
            reply = self.refuse(call, error, close=not request.content.is_eof())
        except HTTPRequestEntityTooLarge:
            limit = self.settings.http.body_max_bytes
            too_large = BodyTooLarge(f"the body is over {limit} bytes")
            reply = self.refuse(call, too_large, close=True)
        except (ConnectionError, asyncio.CancelledError):
            raise
        except Exception as error:
            log.error("unexpected", request_id=call.request_id, error=repr(error), exc_info=True)
            reply = self.refuse(call, Bug())
        finally:
            connection.answered()
            self._leave()
        self._measure(route, request.method, reply.status, began)
        return reply

    def refuse(self, call: Call, error: PaymentError | EdgeError, *, close: bool = False) -> Reply:
        """The problem that an error is, as an answer."""
        status, headers, body = problem(error, call.request_id, call.path)
        lines = "".join(
            f"{name}: {value}\r\n" for name, value in headers.items() if name not in HEAD_LINES
        )
        return self.reply(call, status, body, PROBLEM, lines.encode("latin-1"), close=close)

    def reply(
        self,
        call: Call,
        status: int,
        body: bytes,
        kind: str = JSON,
        extra: bytes = b"",
        *,
        close: bool = False,
        cache: str = NO_STORE,
    ) -> Reply:
        """The bytes of an answer. `extra`: header lines, each with its CRLF."""
        keep = call.keep_alive and not close and not self.draining
        if not keep:
            extra += b"Connection: close\r\n"
        elif call.version == (1, 0):
            extra += b"Connection: keep-alive\r\n"
        second = self.clock.real_ms() // 1000
        head = self._heads.make(status, kind, len(body), call.request_id, second, extra, cache)
        data = head if call.method == "HEAD" else head + body
        return Reply(status, data, keep)

    def _measure(self, route: Route | None, method: str, status: int, began: float) -> None:
        key = (route.template if route is not None else "unknown", method, status)
        histogram = self.durations.get(key) or self._row(*key)
        histogram.observe(self.clock.monotonic() - began)

    def _row(self, route: str, method: str, status: int) -> Histogram:
        """The histogram of a combination that is seen for the first time."""
        if method not in METHODS:
            method = "other"
        if len(self.durations) >= ROWS_MAX:
            route = "other"
        key = (route, method, status)
        found = self.durations.get(key)
        if found is None:
            label = f'route="{route}",method="{method}",status="{status}"'
            found = Histogram("http_request_duration_seconds", DURATION_EDGES_S, label)
            self.durations[key] = found
        return found

    # --- numbers and readiness -----------------------------------------------------------------

    def ready(self) -> dict[str, bool]:
        """What readiness stands on, by name."""
        checks = {
            shard_name(number): dialer.link is not None for number, dialer in enumerate(self.shards)
        }
        checks["reference"] = self.reference.ready()
        checks["accepting"] = not self.draining
        return checks

    def stats(self) -> dict[str, float]:
        """Plain numbers by metric name and label text, for the gateway's metrics."""
        numbers: dict[str, float] = {
            "in_flight": self._in_flight,
            "pending": len(self.asker),
            "connections": len(self.server.connections),
            "ready": float(all(self.ready().values())),
        }
        age_s = self.reference.age_s()
        if age_s is not None:
            numbers["reference_age_seconds"] = age_s
        for histogram in self.durations.values():
            histogram.report(numbers)
        self.stages.report(numbers)
        return numbers

    async def _settle(self, timeout_s: float) -> bool:
        """Wait until nothing is in flight; False when that takes too long."""
        if self._in_flight:
            self._idle.clear()
            try:
                async with asyncio.timeout(timeout_s):
                    await self._idle.wait()
            except TimeoutError:
                return False
        return True

    async def drain(self, timeout_s: float) -> None:
        """Answer what is in flight with `Connection: close`, take nothing new."""
        self.draining = True
        if self.listener is not None:
            await asyncio.sleep(BACKLOG_S)
            self.listener.close()
        patience_s = min(DRAIN_PATIENCE_S, timeout_s)
        if not await self._settle(patience_s):
            self.asker.hurry()
            if not await self._settle(timeout_s - patience_s):
                log.warning("requests are cut off by the drain", count=self._in_flight)
        self.server.closing = True
        await self.server.shutdown(1.0)


class Express:
    """A request in the express lane, until its answer is written."""

    __slots__ = ("_began", "_call", "_connection", "_door")

    def __init__(self, door: FrontDoor, connection: Connection, call: Call, began: float) -> None:
        self._door = door
        self._connection = connection
        self._call = call
        self._began = began

    def deliver(self, reaction: Reaction) -> None:
        """The shard's answer, or its refusal worded as a problem."""
        door, call = self._door, self._call
        if type(reaction) is Answer:
            reply = door.reply(call, reaction.status, reaction.body, extra=answer_lines(reaction))
        else:
            assert isinstance(reaction, Refusal), reaction
            error = from_refusal(
                reaction.code, reaction.detail, reaction.param, reaction.retry_after
            )
            reply = door.refuse(call, error)
        self.finish(reply)
        if not reaction.ref & SAMPLE_MASK:
            door.stages.observe("reply", door.clock.monotonic() - door.heard_at)

    def finish(self, reply: Reply) -> None:
        self._connection.finish_express(reply.data, close=not reply.keep_alive)
        self._door.express_ended(reply.status, self._began)
