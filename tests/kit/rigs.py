"""Rigs: each channel with its sandbox on a real socket, so that one suite can be run over all.

`RIGS` maps a name to a `Rig`: what a test has to know of a channel beyond `Channel`. A `Stand` is
one rig put up: clock, sandbox, connector, a place for callbacks, and a `Tap` between connector and
network in which a test can watch, replace or refuse answers.
"""

import asyncio
import functools
from collections.abc import Callable
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, Protocol

from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from msgspec import Struct

from payments.channels.base import Book, Channel, OrderRef, PayOrder, RefundOrder
from payments.channels.http import HttpSettings, PooledClient
from payments.channels.sandbox.app import SandboxApp, Served, serve
from payments.channels.signing import SigningPool
from payments.channels.transport import (
    Callback,
    CallbackAnswer,
    Heard,
    HttpAnswer,
    HttpClient,
    HttpRequest,
    NoAnswer,
    NotSent,
    Verifier,
)
from payments.clock import Clock, SystemClock
from payments.payment import Way

NUMBER = "01K5AZ00000000000000000000"
MERCHANT = "mch_1"
Change = Callable[[dict[str, Any]], None]
POLL_S = 0.01
DAY_MS = 86_400_000
PAYING = frozenset(("barcode", "qr", "reverse", "close", "refund"))


class Clocks(Clock, Protocol):
    offset_ms: int


@functools.cache
def rsa_key(name: str) -> RSAPrivateKey:
    """A key a name and a run: making one takes a tenth of a second."""
    assert name
    return generate_private_key(public_exponent=65537, key_size=2048)


@functools.cache
def private_key(pem: str) -> RSAPrivateKey:
    """Loading a key checks it, which takes a tenth of a second."""
    key = load_pem_private_key(pem.encode(), None)
    assert isinstance(key, RSAPrivateKey)
    return key


def sha256_rsa(name: str, text: bytes) -> bytes:
    """RSASSA-PKCS1-v1_5 by a named key: `channel`, or a stranger's."""
    return rsa_key(name).sign(text, PKCS1v15(), SHA256())


class Folders:
    """New folders for a sandbox, with keys in them that were made once a day of a rig's clock.

    A channel's keys take a second to make; its books are new every time.
    """

    _kept: ClassVar[dict[tuple[str, int], dict[str, bytes]]] = {}

    def __init__(self, name: str, files: tuple[str, ...]) -> None:
        self._name = name
        self._files = files
        self._folders: list[TemporaryDirectory[str]] = []

    def new(self, clock: Clock) -> Path:
        folder = TemporaryDirectory(prefix=f"rig-{self._name}-")
        self._folders.append(folder)
        self.key = (self._name, clock.real_ms() // DAY_MS)
        for file, content in self._kept.get(self.key, {}).items():
            path = Path(folder.name, file)
            path.write_bytes(content)
            path.chmod(0o600)
        return Path(folder.name)

    def close(self) -> None:
        """Remove them all."""
        for folder in self._folders:
            folder.cleanup()
        self._folders.clear()

    def keep(self) -> None:
        """Remember the keys that the newest sandbox has made."""
        if self._folders and self.key not in self._kept:
            folder = Path(self._folders[-1].name)
            self._kept[self.key] = {file: (folder / file).read_bytes() for file in self._files}


class Wanted(Struct, frozen=True):
    """Settings of a connector that tests choose."""

    notify_url: str
    timeout_s: float = 5.0


class Rig(Protocol):
    """What a test knows of one channel. Everything it makes is the product's own.

    `can`: barcode, qr, jsapi, app, h5, reverse, close, refund, callbacks (the channel tells of
    payments), refund_callbacks, wire (there are bytes to tamper with), repeats (the same request
    gets the same answer again; else: ask), seals (a reverse closes a number that the channel does
    not know; else `request_life_s` after which a late request is refused), shown_is_absent (a code
    that nobody scanned is not known yet), codes_expire_only (it is never confirmed to be closed),
    times (it says when it took money and gave it back).
    `fields` says where in a decoded answer the channel says what: order, amount, and merchant or
    app where it names them.
    """

    name: ClassVar[str]
    wallet: ClassVar[str]
    prefix: ClassVar[str]
    """First digits of the wallet's auth codes."""
    can: ClassVar[frozenset[str]]
    fields: ClassVar[dict[str, tuple[str, ...]]]
    callback_fields: ClassVar[dict[str, tuple[str, ...]]]
    """The same of a decoded callback."""
    paths: ClassVar[dict[str, bytes]]
    """operation -> what only the bytes of its requests hold. `reverse` ends an unpaid order, `undo`
    gives back a paid one."""

    def close(self) -> None:
        """Remove what the sandboxes have left."""
        ...

    def sandbox(self, clock: Clocks, random: Random, settings: Any = None) -> SandboxApp:
        """A new sandbox with this rig's keys."""
        ...

    def connector(
        self, base_url: str, http: HttpClient, clock: Clock, pool: Any, more: Wanted
    ) -> Any:
        """A connector of this rig's account. `pool` gives signers and verifiers for keys."""
        ...

    def amount(self, minor: int) -> Any:
        """An amount as an answer says it."""
        ...

    def unsigned(self, request: HttpRequest, answer: HttpAnswer) -> HttpAnswer:
        """The answer without its signature."""
        ...

    def forged(
        self, request: HttpRequest, answer: HttpAnswer, change: Change, *, key: str = "channel"
    ) -> HttpAnswer:
        """The answer with other facts in it, signed by the channel's key (or a stranger's)."""
        ...

    def forged_callback(
        self, callback: Callback, change: Change, *, key: str = "channel"
    ) -> Callback:
        """A callback with other facts in it, signed by the channel's key (or a stranger's)."""
        ...


def put(facts: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    """Set a field deep in an answer's facts. Raise KeyError where it says nothing of that."""
    for name in path[:-1]:
        facts = facts[name]
    facts[path[-1]]
    facts[path[-1]] = value


def look(facts: dict[str, Any], path: tuple[str, ...]) -> Any:
    """A field deep in an answer's facts."""
    found: Any = facts
    for name in path:
        found = found[name]
    return found


def auth_code(rig: Any, number: int, ending: str) -> str:
    """What the payer's wallet shows: 18 digits, or 19 of UnionPay's."""
    digits = getattr(rig, "code_digits", 18) - len(rig.prefix) - len(ending)
    return f"{rig.prefix}{number:0{digits}d}{ending}"


class Tap:
    """An HttpClient around another: keeps what passed, and passes what a test wants.

    `edit(request, answer)` gives the answer that the connector sees, or raises NoAnswer.
    """

    def __init__(self, inner: HttpClient) -> None:
        self.passed: list[tuple[HttpRequest, HttpAnswer]] = []
        self.sent: list[HttpRequest] = []
        self.edit: Callable[[HttpRequest, HttpAnswer], HttpAnswer] | None = None
        self.before: Callable[[HttpRequest], None] | None = None
        self._inner = inner

    async def send(self, request: HttpRequest) -> HttpAnswer:
        self.sent.append(request)
        if self.before is not None:
            self.before(request)
        answer = await self._inner.send(request)
        self.passed.append((request, answer))
        return answer if self.edit is None else self.edit(request, answer)


class OpenKeys:
    """A signing pool whose verifiers a test may replace, call by call."""

    def __init__(self, pool: SigningPool) -> None:
        self.signer = pool.signer
        self._pool = pool

    def verifier(self, key: Any) -> Any:
        return OpenVerifier(self._pool.verifier(key))


class OpenVerifier:
    def __init__(self, inner: Verifier) -> None:
        self.verify = inner.verify


def not_sent(_: HttpRequest) -> None:
    raise NotSent("refused by a test")


def no_answer(_: HttpRequest) -> None:
    raise NoAnswer("lost by a test")


class Inbox:
    """Where callbacks arrive: what came, and `answer`, which a test may change."""

    def __init__(self) -> None:
        self.came: list[Callback] = []
        self.heard: list[Heard] = []
        self.hear: Callable[[Callback], Any] | None = None
        self.reply: Callable[[Heard], CallbackAnswer] = lambda heard: heard.answer
        self.url = ""
        self._more = asyncio.Condition()
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application()
        app.router.add_route("*", "/callbacks/here", self._take)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}/callbacks/here"

    async def _take(self, request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        callback = Callback(request.method, request.query_string, headers, await request.read())
        assert self.hear is not None
        heard = await self.hear(callback)
        reply = self.reply(heard)
        async with self._more:
            self.came.append(callback)
            self.heard.append(heard)
            self._more.notify_all()
        return web.Response(
            status=reply.status, body=reply.body, headers={"Content-Type": reply.content_type}
        )

    async def wait(self, count: int, seconds: float = 60) -> list[Heard]:
        """Until so many have come."""
        async with asyncio.timeout(seconds), self._more:
            await self._more.wait_for(lambda: len(self.came) >= count)
            return self.heard

    async def close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()


class Stand:
    """A rig put up on loopback. `base_url`: where the connector sends; a proxy may stand there."""

    channel: Channel
    sandbox: SandboxApp
    served: Served

    def __init__(self, rig: Rig, clock: Clocks | None = None) -> None:
        self.rig = rig
        self.clock: Clocks = clock or SystemClock()
        self.inbox = Inbox()
        # How long a connection may take is the time-out's to say: a busy machine takes its time.
        self.http = PooledClient(HttpSettings(connections_max=64, connect_s=60.0))
        self.tap = Tap(self.http)
        self.pool = SigningPool("rig")
        self._created: dict[str, int] = {}
        """An order is asked about by the second it was made in, however often a test names it."""

    async def start(self, settings: Any = None) -> "Stand":
        self.sandbox = self.rig.sandbox(self.clock, Random(1), settings)
        self.served = await serve(self.sandbox)
        await self.inbox.start()
        self.connect(self.served.url)
        return self

    def connect(self, base_url: str, timeout_s: float = 5.0) -> Any:
        """Make the connector anew, to send to another place."""
        wanted = Wanted(self.inbox.url, timeout_s)
        channel = self.rig.connector(base_url, self.tap, self.clock, OpenKeys(self.pool), wanted)
        self.inbox.hear = getattr(channel, "hear", None)
        self.channel = channel
        return channel

    async def close(self) -> None:
        await self.http.close()
        await self.inbox.close()
        await self.served.stop()
        self.pool.close()
        self.rig.close()

    # --- orders -----------------------------------------------------------------------------

    def barcode(self, ending: str = "0000", amount: int = 3800, number: str = NUMBER) -> PayOrder:
        code = auth_code(self.rig, 123_456_789, ending)
        return self._order(number, amount, Way.BARCODE, auth_code=code)

    def shown(self, number: str = NUMBER, amount: int = 3800, way: Way = Way.QR) -> PayOrder:
        """A code, or a payment in the wallet: the payer acts later."""
        return self._order(
            number,
            amount,
            way,
            expires_at=self.clock.now_ms() + 300_000,
            payer="oUpF8uMuAJO_M2pxb1Q9zNjWeS6o" if way is Way.JSAPI else None,
            payer_ip="203.0.113.7" if way is Way.H5 else None,
            return_url="https://shop.example/done" if way in (Way.H5, Way.APP) else None,
        )

    def _order(self, number: str, amount: int, way: Way, **more: Any) -> PayOrder:
        created = self._created.setdefault(number, self.clock.now_ms() // 1000 * 1000)
        return PayOrder(
            number,
            amount,
            "cny",
            way,
            self.rig.wallet,
            MERCHANT,
            subject="two bowls of noodles",
            created=created,
            **more,
        )

    def about(self, order: PayOrder) -> OrderRef:
        return OrderRef(
            order.out_trade_no,
            order.amount,
            order.currency,
            order.way,
            order.wallet,
            order.merchant,
            order.created,
        )

    def back(self, order: PayOrder, amount: int, name: str = "R1AZ0000") -> RefundOrder:
        return RefundOrder(
            order.out_trade_no,
            name,
            amount,
            order.amount,
            order.currency,
            order.way,
            order.wallet,
            order.merchant,
            order.created,
            self.clock.now_ms() // 1000 * 1000,
        )

    # --- the world --------------------------------------------------------------------------

    def act(self, number: str, verb: str = "pay") -> str:
        """The payer acts; why it cannot be, or nothing."""
        orders = self.sandbox.books.all_with(number)
        return self.sandbox.engine.act(orders[0], verb) if orders else "there is no such order"

    def books(self) -> dict[str, Book]:
        return {book.out_trade_no: book for book in self.sandbox.engine.books()}

    def advance(self, seconds: float) -> None:
        """Business time passes."""
        self.sandbox.engine.move_clock(self.clock.offset_ms + round(seconds * 1000))

    async def open_in_wallet(self, order: PayOrder) -> None:
        """The payer goes where the wallet leads; most channels know the order before."""
        opening = getattr(self.rig, "open_in_wallet", None)
        if opening is not None:
            await opening(self, order)

    async def until(self, true: Callable[[], bool], seconds: float = 60) -> None:
        """Until something is so at the channel, which nobody here can wait for."""
        async with asyncio.timeout(seconds):
            while not true():  # noqa: ASYNC110 - the other side has no event to wait for
                await asyncio.sleep(POLL_S)

    async def hear(self, callback: Callback) -> Heard:
        heard: Heard = await self.channel.hear(callback)  # type: ignore[attr-defined]
        return heard
