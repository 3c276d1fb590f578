"""A small channel of our own over real HTTP: the frame, the engine and the courier at work.

Its wire is plain: JSON in and out, and the SHA-256 of a key and the body in `Seal`.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from random import Random

import aiohttp
import msgspec
import pytest
from aiohttp import web

from payments.channels.sandbox.app import (
    Call,
    Route,
    SandboxApp,
    SandboxSettings,
    Served,
    Silence,
    Trouble,
    serve,
    spoiled,
)
from payments.channels.sandbox.books import Books
from payments.channels.sandbox.courier import Plan, Post
from payments.channels.sandbox.engine import Engine
from payments.channels.sandbox.faults import Faults
from payments.channels.sandbox.turns import (
    Asked,
    AskedRefund,
    Kind,
    MovableClock,
    News,
    RefundTurn,
    Rules,
    Turn,
)
from payments.clock import ManualClock

SEED = 7
MOVED = 307
RETRIES = Plan(delays_s=(15, 15, 30, 180), timeout_s=10)
CODES = {Trouble.ERROR: 500, Trouble.BUSY: 429, Trouble.TOO_LARGE: 413, Trouble.NOT_FOUND: 404}


def seal(body: bytes) -> bytes:
    return hashlib.sha256(b"key" + body).digest()


class Example(SandboxApp):
    """The example channel. `holding`, `left`: a call that is never answered began, and ended."""

    def __init__(self, settings: SandboxSettings, clock: MovableClock) -> None:
        super().__init__(settings, clock, Random(SEED), Rules(), RETRIES)
        self.holding = asyncio.Event()
        self.left = asyncio.Event()

    async def _hold(self, request: web.Request) -> web.StreamResponse:
        self.holding.set()
        try:
            return await super()._hold(request)
        finally:
            self.left.set()

    def routes(self) -> list[Route]:
        return [
            Route("POST", "/pay", self.pay, "pay"),
            Route("GET", "/orders/{number}", self.inquire, "inquire"),
            Route("POST", "/orders/{number}/reverse", self.reverse, "reverse"),
            Route("POST", "/orders/{number}/close", self.close, "close"),
            Route("POST", "/orders/{number}/refunds", self.refund, "refund"),
            Route("POST", "/broken", self.broken, lambda request, raw: raw.decode()),
        ]

    async def pay(self, call: Call) -> web.Response:
        asked = msgspec.json.decode(call.raw)
        print_ = hashlib.sha256(f"{asked['amount']} {asked.get('code')}".encode()).hexdigest()
        way = "barcode" if "code" in asked else "qr"
        turn = self.engine.pay(
            Asked(
                asked["number"],
                asked["amount"],
                "cny",
                way,
                auth_code=asked.get("code"),
                fingerprint=print_,
                notify_url=asked.get("notify_url"),
                merchant=asked.get("merchant", ""),
                extra={"attach": asked.get("attach")},
            )
        )
        return self.render(turn, call)

    async def inquire(self, call: Call) -> web.Response:
        return self.render(self.engine.inquire(call.request.match_info["number"]), call)

    async def reverse(self, call: Call) -> web.Response:
        return self.render(self.engine.reverse(call.request.match_info["number"]), call)

    async def close(self, call: Call) -> web.Response:
        return self.render(self.engine.close(call.request.match_info["number"]), call)

    async def refund(self, call: Call) -> web.Response:
        asked = msgspec.json.decode(call.raw)
        number = call.request.match_info["number"]
        turn = self.engine.refund(AskedRefund(number, asked["number"], asked["amount"]))
        return self.signed(200, {"kind": turn.kind}, wrongly=call.unsigned)

    async def broken(self, call: Call) -> web.Response:
        raise ZeroDivisionError("the payer is ou_secret")

    def render(self, turn: Turn, call: Call) -> web.Response:
        if turn.kind == Kind.SILENT:
            raise Silence
        said = {"kind": turn.kind, "amount": turn.amount, "failure": turn.failure}
        if turn.order is not None:
            said["attach"] = turn.order.extra.get("attach")
        status = 500 if turn.kind == Kind.ERROR else 200
        return self.signed(status, said, wrongly=call.unsigned or turn.unsigned)

    def signed(self, status: int, said: object, *, wrongly: bool = False) -> web.Response:
        body = msgspec.json.encode(said)
        mark = spoiled(seal(body)) if wrongly else seal(body)
        return web.Response(status=status, body=body, headers={"Seal": mark.hex()})

    async def trouble(self, trouble: Trouble, request: web.Request, raw: bytes) -> web.Response:
        return self.signed(CODES.get(trouble, 400), {"kind": trouble})

    async def post(self, news: News, attempt: int) -> Post | None:
        if news.kind not in ("paid", "refunded"):
            return None
        turn = self.engine.view(news.order)
        body = {"id": news.id, "kind": news.kind, "number": news.order.number, "try": attempt}
        body["amount"] = turn.amount if news.refund is None else news.refund.amount
        return self.letter(news, msgspec.json.encode(body))

    async def probe(self, news: News) -> Post | None:
        return self.letter(news, b'{"kind": "probe"}')

    def letter(self, news: News, body: bytes) -> Post:
        return Post(news.notify_url or "", {"Content-Type": "application/json"}, body)

    def accepted(self, status: int, body: bytes) -> bool:
        return status == 200 and body == b"success"


class Receiver:
    """Takes callbacks; `answers` says how to answer the next ones, after that with success."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[dict[str, object]] = asyncio.Queue()
        self.answers: list[tuple[int, str]] = []
        self.url = ""

    async def take(self, request: web.Request) -> web.Response:
        status, text = self.answers.pop(0) if self.answers else (200, "success")
        await self.heard.put(msgspec.json.decode(await request.read()))
        headers = {"Location": "/elsewhere"} if status == MOVED else {}
        return web.Response(status=status, text=text, headers=headers)

    async def next(self) -> dict[str, object]:
        async with asyncio.timeout(60):
            return await self.heard.get()


class Client:
    """Speaks the example wire to one sandbox, and `/_sandbox/` too."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url = url
        self.session = session

    async def ask(self, method: str, path: str, body: object = None) -> tuple[int, object, bool]:
        """Status, JSON, and whether the seal was right."""
        data = None if body is None else msgspec.json.encode(body)
        async with self.session.request(method, self.url + path, data=data) as answer:
            raw = await answer.read()
            right = answer.headers.get("Seal") == seal(raw).hex()
            return answer.status, msgspec.json.decode(raw), right

    async def kind(self, method: str, path: str, body: object = None) -> str:
        _, said, _ = await self.ask(method, path, body)
        assert isinstance(said, dict)
        return str(said["kind"])

    async def get(self, path: str) -> object:
        status, said, _ = await self.ask("GET", "/_sandbox/" + path)
        assert status == 200, said
        return said

    async def post(self, path: str, body: object) -> tuple[int, object]:
        status, said, _ = await self.ask("POST", "/_sandbox/" + path, body)
        return status, said

    async def pay(self, number: str, ending: str = "0000", **more: object) -> tuple[int, object]:
        """Status and what was said. `ending` empty: a shown code."""
        code = {"code": "13000000000000" + ending} if ending else {}
        body = {"number": number, "amount": 3800, **code, **more}
        status, said, _ = await self.ask("POST", "/pay", body)
        return status, said


class Town:
    """Starts sandboxes and receivers, and stops them all at the end."""

    def __init__(self) -> None:
        self.clock: MovableClock = ManualClock()
        self.served: Served | None = None
        self.sandbox: Example | None = None
        self.session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60))
        self.runners: list[web.AppRunner] = []

    async def start(
        self, folder: Path | None = None, faults: Faults | None = None, retry_factor: float = 0.001
    ) -> Client:
        """A sandbox in place of the one before."""
        await self.stop()
        settings = SandboxSettings(folder, faults or Faults(), retry_factor)
        self.sandbox = Example(settings, self.clock)
        self.served = await serve(self.sandbox)
        self.client = Client(self.served.url, self.session)
        return self.client

    async def stop(self) -> None:
        if self.served is not None:
            await self.served.stop()
            self.served = None

    async def receiver(self) -> Receiver:
        made = Receiver()
        app = web.Application()
        app.router.add_post("/hear", made.take)
        app.router.add_post("/elsewhere", made.take)
        runner = web.AppRunner(app)
        self.runners.append(runner)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        made.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hear"
        return made

    async def close(self) -> None:
        await self.stop()
        await self.session.close()
        for runner in self.runners:
            await runner.cleanup()


class Desk:
    """An engine under a clock that the test moves, with all its news."""

    def __init__(self, folder: Path | None = None, rules: Rules | None = None) -> None:
        self.folder = folder
        self.rules = rules or Rules()
        self.clock = ManualClock()
        self.news: list[tuple[str, str, int]] = []
        self.books = Books(folder)
        self._sit_down()

    def _sit_down(self) -> None:
        self.engine = Engine(self.books, self.clock, self.rules)
        self.engine.listeners.append(
            lambda news: self.news.append((news.kind, news.order.number, news.times))
        )

    def restart(self) -> None:
        """A new process over the same books."""
        self.books.close()
        self.clock.offset_ms = 0
        self.books = Books(self.folder)
        self._sit_down()

    def pay(self, ending: str = "0000", number: str = "N1", **more: object) -> Turn:
        """A barcode payment of 3800; `ending` empty: a shown code."""
        asked = {
            "amount": 3800,
            "way": "barcode" if ending else "qr",
            "auth_code": "13000000000000" + ending if ending else None,
            "notify_url": "http://127.0.0.1/hear",
            **more,
        }
        return self.engine.pay(Asked(number, currency="cny", **asked))  # type: ignore[arg-type]

    def refund(self, number: str, amount: int, **more: object) -> RefundTurn:
        asked = {"out_trade_no": "N1", **more}
        return self.engine.refund(
            AskedRefund(out_refund_no=number, amount=amount, **asked)  # type: ignore[arg-type]
        )

    def book(self, number: str = "N1") -> tuple[int, int, str, int] | None:
        """amount, refunded, state, charges."""
        for book in self.engine.books():
            if book.out_trade_no == number:
                return book.amount_minor, book.refunded_minor, book.state, book.charges
        return None


@pytest.fixture
async def town() -> AsyncIterator[Town]:
    made = Town()
    yield made
    await made.close()


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def desks(tmp_path: Path) -> Callable[..., Desk]:
    """Makes desks; `kept=True` over books in a folder."""

    def make(*, kept: bool = False, **rules: object) -> Desk:
        return Desk(tmp_path / "books" if kept else None, Rules(**rules))  # type: ignore[arg-type]

    return make
