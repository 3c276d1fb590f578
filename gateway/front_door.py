"""The FrontDoor actor: HTTP on one side, links to the shards and the directory on the other.

It authenticates against its snapshot, decodes into a typed command, mints the id, sends the command
to the shard of the merchant's partition and waits. It keeps no state that matters: if it dies, the
client repeats the request with the same key.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from aiohttp import web
from aiohttp.web_exceptions import HTTPRequestEntityTooLarge
from msgspec import Struct

from actors.fair import FairQueue
from actors.link import Dialer, Identity, Link
from actors.messages import (
    Answer,
    CancelPayment,
    Changes,
    ClockSet,
    Message,
    ReadBooks,
    ReadList,
    ReadOne,
    ReadStatus,
    Refusal,
    Stats,
    Subscribe,
)
from actors.net import Network
from actors.placement import DIRECTORY, Placement, shard_name
from actors.snapshot import Reference
from actors.stats import SAMPLE_MASK, Histogram, Stages
from gateway.auth import Authenticator
from gateway.edge import SWEEP_S, VERSION, EdgeServer, Heads, Reply
from gateway.errors import BodyTooLarge, Bug, EdgeError, from_refusal, problem
from gateway.logs import get_logger
from gateway.routes import Call, Route, Router
from gateway.settings_shape import Settings
from gateway.signatures import split_target
from payments.clock import SystemClock
from payments.errors import (
    Malformed,
    OutcomeUnknown,
    Overloaded,
    PaymentError,
    QuotaExceeded,
)
from payments.idempotency import Digests
from payments.ids import IdMint

JSON: Final = "application/json"
PROBLEM: Final = "application/problem+json"
DRAIN_PATIENCE_S: Final = 2.0
"""How long a drain lets channels answer before those who wait are told how it stands."""

MARGIN_S: Final = 10.0
"""How long after the wait that a client asked for a shard's answer is given up."""

LINK_QUEUE_MAX: Final = 4_096
"""Commands of one front door that may wait before the link to a shard."""

MERCHANT_LINK_QUEUE_MAX: Final = 1_024
"""Of those, commands of one merchant; more are that merchant's own quota."""

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

METHODS: Final = frozenset({"GET", "POST", "DELETE", "HEAD"})
BACKLOG_S: Final = 0.05
"""So long a listener that is about to close takes in whoever already waits before it."""

READS: Final = (ReadOne, ReadList, ReadBooks, ReadStatus)

log = get_logger(__name__)


class Pending:
    """A command whose answer is awaited."""

    __slots__ = ("deadline", "future", "link", "message", "resent", "to")

    def __init__(
        self,
        future: "asyncio.Future[Answer | Refusal | Stats]",
        deadline: float,
        link: Link | None,
        message: Any,
        to: Dialer,
    ) -> None:
        self.future = future
        self.deadline = deadline
        self.link = link
        self.message = message
        self.to = to
        self.resent = False


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
        self._router = router
        self._pending: dict[int, Pending] = {}
        self._ref = 0
        self._request_no = 0
        self._request_prefix = self.mint.body(clock.real_ms(), 0)[-8:]
        self._fair: dict[Link, FairQueue[Any]] = {}
        self._in_flight_max = settings.http.max_in_flight
        self._in_flight = 0
        self._idle = asyncio.Event()
        self._heads = Heads()
        self._second = clock.real_ms() // 1000
        self.draining = False
        self.server = EdgeServer(
            self.handle,
            body_max=settings.http.body_max_bytes,
            receive_deadline_s=settings.http.receive_deadline_s,
        )
        shards = [shard_name(number) for number in range(placement.shards)]
        self.shards = [
            Dialer(network, lambda name=name: address(name), self, identity)  # type: ignore[misc]
            for name in shards
        ]
        self.directory = Dialer(network, lambda: address(DIRECTORY), self, identity)
        self.durations: dict[tuple[str, str, int], Histogram] = {}
        self.stages = Stages("auth", "reply")
        self.listener: asyncio.AbstractServer | None = None
        self._heard_at = 0.0
        self._shard_links = [self.shards[number] for number in placement.shard_of]

    @property
    def dialers(self) -> list[Dialer]:
        return [*self.shards, self.directory]

    # --- links ---------------------------------------------------------------------------------

    def on_link(self, link: Link) -> None:
        if link.peer_role == "directory":
            link.send(Subscribe(self.options.name, self.reference.number))

    def on_messages(self, link: Link, messages: list[Message]) -> None:
        pending = self._pending
        self._heard_at = self.clock.monotonic()
        for message in messages:
            kind = type(message)
            if kind is Answer or kind is Refusal or kind is Stats:
                waiting = pending.pop(message.ref, None)  # type: ignore[union-attr]
                if waiting is not None and not waiting.future.done():
                    waiting.future.set_result(message)  # type: ignore[arg-type]
            elif kind is Changes:
                self.reference.take(message)  # type: ignore[arg-type]
            elif kind is ClockSet:
                self.clock.offset_ms = message.offset_ms  # type: ignore[union-attr]

    def on_link_lost(self, link: Link) -> None:
        """Commands in flight there are sent once more when the shard is back: their ids stay."""
        self._fair.pop(link, None)
        for waiting in self._pending.values():
            if waiting.link is link:
                waiting.link = None

    async def ask(self, to: Dialer, message: Any, patience_s: float) -> Answer:
        """Send a command and wait for its answer; a Refusal is raised as the error it names."""
        link = to.link
        if link is None:
            raise Overloaded("a part of the gateway is starting; try again", retry_after_s=1)
        self._ref = ref = self._ref + 1
        message.ref = ref
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Answer | Refusal | Stats] = loop.create_future()
        deadline = self.server.now + patience_s + MARGIN_S
        if link.congested or self._fair.get(link):
            self._queue_fairly(link, message)
        elif not link.send(message):
            raise Overloaded("a queue to a shard is full; try again", retry_after_s=1)
        self._pending[ref] = Pending(future, deadline, link, message, to)
        answer = await future
        if not ref & SAMPLE_MASK:
            self.stages.observe("reply", self.clock.monotonic() - self._heard_at)
        if type(answer) is Answer:
            return answer
        assert isinstance(answer, Refusal), answer
        raise from_refusal(answer.code, answer.detail, answer.param, answer.retry_after)

    def _queue_fairly(self, link: Link, message: Any) -> None:
        """The link is behind: wait in the merchant's own line, so that a flood delays itself."""
        queue = self._fair.get(link)
        if queue is None:
            queue = FairQueue(total_max=LINK_QUEUE_MAX, key_max=MERCHANT_LINK_QUEUE_MAX)
            self._fair[link] = queue
            link.refill = lambda: self._refill(link)
        merchant = getattr(message, "merchant", None) or ""
        if not queue.put(merchant, message):
            if queue.waiting(merchant) >= MERCHANT_LINK_QUEUE_MAX:
                raise QuotaExceeded("too many requests of this merchant wait", retry_after_s=1)
            raise Overloaded("a queue to a shard is full; try again", retry_after_s=1)

    def _refill(self, link: Link) -> None:
        queue = self._fair.get(link)
        while queue and not link.congested:
            taken = queue.get()
            if taken is None or not link.send(taken[1]):
                return

    async def stats_of(self, to: Dialer, kind: str = "stats") -> Stats | None:
        """A shard's numbers, or None when it is not there."""
        link = to.link
        if link is None:
            return None
        self._ref = ref = self._ref + 1
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        message = ReadStatus(ref, kind)
        if not link.send(message):
            return None
        self._pending[ref] = Pending(future, self.server.now + 2.0, link, message, to)
        answer = await future
        return answer if isinstance(answer, Stats) else None

    def shard(self, partition: int) -> Dialer:
        return self._shard_links[partition]

    async def sweep(self) -> None:
        """Give up what nobody answered; send again what a lost link may have swallowed."""
        while True:
            await asyncio.sleep(SWEEP_S / 2)
            now = asyncio.get_running_loop().time()
            for ref, waiting in list(self._pending.items()):
                if waiting.link is None and not waiting.resent:
                    link = waiting.to.link
                    if link is not None and _send_again(link, waiting.message):
                        waiting.link = link
                        waiting.resent = True
                if now > waiting.deadline or (waiting.link is None and waiting.resent):
                    del self._pending[ref]
                    self._give_up(ref, waiting)

    def _give_up(self, ref: int, waiting: Pending) -> None:
        if waiting.future.done():
            return
        if isinstance(waiting.message, READS):
            refusal = Refusal(ref, Overloaded.code, "a shard did not answer; try again", None, 1)
        else:
            refusal = Refusal(
                ref,
                OutcomeUnknown.code,
                "it may have happened: repeat the request with the same Idempotency-Key",
                None,
                1,
            )
        waiting.future.set_result(refusal)

    # --- HTTP ----------------------------------------------------------------------------------

    async def handle(self, request: web.BaseRequest) -> Reply:
        """One request: route, read, authenticate, do, answer. Nothing escapes but a bug's 500."""
        began = self.clock.monotonic()
        self._request_no += 1
        request_id = f"req_{self._request_prefix}{self._request_no:08x}"
        raw = request.raw_path
        path, query = (raw, "") if raw.find("?") < 0 else split_target(raw)
        route: Route | None = None
        self._in_flight += 1
        try:
            route, params = self._router.find(request.method, path)
            if self._in_flight > self._in_flight_max:
                raise Overloaded("too many requests at once; try again", retry_after_s=1)
            body = await request.read() if request.body_exists else b""
            request.protocol.receiving_since = 0.0  # type: ignore[attr-defined]
            call = Call(self, request, path, query, body, params, request_id)
            if route.authenticated:
                version = request.headers.get("Tillway-Version")
                if version is not None and version != VERSION:
                    raise Malformed(
                        f"this server speaks version {VERSION}", param="Tillway-Version"
                    )
                signed = (request.method, path, query, request.headers, body)
                if self._request_no & SAMPLE_MASK:
                    call.caller = self.auth.authenticate(*signed)
                else:
                    since = self.clock.monotonic()
                    call.caller = self.auth.authenticate(*signed)
                    self.stages.observe("auth", self.clock.monotonic() - since)
            reply = await route.handler(call)
        except (PaymentError, EdgeError) as error:
            reply = self.refuse(request, error, request_id, path)
        except HTTPRequestEntityTooLarge:
            limit = self.settings.http.body_max_bytes
            too_large = BodyTooLarge(f"the body is over {limit} bytes")
            reply = self.refuse(request, too_large, request_id, path, close=True)
        except (ConnectionError, asyncio.CancelledError):
            raise
        except Exception as error:
            log.error("unexpected", request_id=request_id, error=repr(error), exc_info=True)
            reply = self.refuse(request, Bug(), request_id, path)
        finally:
            self._in_flight -= 1
            if self._in_flight == 0:
                self._idle.set()
        self._measure(route, request.method, reply.status, began)
        return reply

    def refuse(
        self,
        request: web.BaseRequest,
        error: PaymentError | EdgeError,
        request_id: str,
        path: str,
        *,
        close: bool = False,
    ) -> Reply:
        status, headers, body = problem(error, request_id, path)
        lines = "".join(
            f"{name}: {value}\r\n"
            for name, value in headers.items()
            if name not in ("Content-Type", "Request-Id")
        )
        return self.reply(
            request, status, body, request_id, PROBLEM, lines.encode("latin-1"), close=close
        )

    def reply(
        self,
        request: web.BaseRequest,
        status: int,
        body: bytes,
        request_id: str,
        kind: str = JSON,
        extra: bytes = b"",
        *,
        close: bool = False,
    ) -> Reply:
        """The bytes of an answer. `extra`: header lines, each with its CRLF."""
        keep = request.keep_alive and not close and not self.draining
        if not keep:
            extra += b"Connection: close\r\n"
        elif request.version == (1, 0):
            extra += b"Connection: keep-alive\r\n"
        second = self.clock.real_ms() // 1000
        head = self._heads.make(status, kind, len(body), request_id, second, extra)
        data = head if request.method == "HEAD" else head + body
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
            "pending": len(self._pending),
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

    def _hurry(self) -> None:
        """Who waits for a payer hears how it stands: the same command again, without patience."""
        for waiting in self._pending.values():
            message = waiting.message
            if getattr(message, "wait_ms", 0) and waiting.link is not None:
                message.wait_ms = 0
                _send_again(waiting.link, message)

    async def drain(self, timeout_s: float) -> None:
        """Answer what is in flight with `Connection: close`, take nothing new."""
        self.draining = True
        if self.listener is not None:
            await asyncio.sleep(BACKLOG_S)
            self.listener.close()
        patience_s = min(DRAIN_PATIENCE_S, timeout_s)
        if not await self._settle(patience_s):
            self._hurry()
            if not await self._settle(timeout_s - patience_s):
                log.warning("requests are cut off by the drain", count=self._in_flight)
        self.server.closing = True
        await self.server.shutdown(1.0)


def _send_again(link: Link, message: Any) -> bool:
    """Repeat a command whose answer may be lost. Its id keeps it one; a cancel has no id.

    A cancel that was taken has used up its nonce, and canceling twice is canceling once.
    """
    if isinstance(message, CancelPayment):
        message.nonce = 0
    return link.send(message)
