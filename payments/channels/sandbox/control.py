"""The `/_sandbox/` endpoints: the payer's acts, the books, the clock, faults and callbacks.

JSON in and out; what is wrong with a request is said in `error`. They are for tests and demos and
ask for no credentials: a sandbox listens on loopback unless told otherwise.
"""

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import msgspec
from aiohttp import web
from msgspec import Struct

from payments.bills.lines import BillKind
from payments.channels.base import Book
from payments.channels.sandbox.bills import BillDesk
from payments.channels.sandbox.courier import FACTOR_MAX, Courier
from payments.channels.sandbox.engine import Engine
from payments.channels.sandbox.faults import FaultMaker, Faults
from payments.channels.sandbox.turns import VERBS, MovableClock

T = TypeVar("T")

OFFSET_MAX_MS: Final = 10 * 366 * 86_400_000
"""Business time can be moved ten years ahead of real time."""


class Act(Struct, frozen=True, forbid_unknown_fields=True):
    """`merchant` is needed only where several have an order under this number."""

    out_trade_no: str
    merchant: str | None = None


class Move(Struct, frozen=True, forbid_unknown_fields=True):
    """Exactly one of them: by so much, to this instant, or this far ahead of real time."""

    advance_seconds: float | None = None
    to_ms: int | None = None
    offset_ms: int | None = None


class Delivery(Struct, frozen=True, forbid_unknown_fields=True):
    retry_factor: float


class Refused(Exception):
    """A request that cannot be. `status` and a sentence for the caller."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence


Answering = Callable[[web.Request], Awaitable[object]]


class Control:
    """See the module. `changed` is called after whatever may have changed what is due."""

    PREFIX: Final = "/_sandbox/"

    def __init__(
        self,
        engine: Engine,
        faults: FaultMaker,
        courier: Courier,
        bills: BillDesk,
        changed: Callable[[], None],
    ) -> None:
        self._engine = engine
        self._faults = faults
        self._courier = courier
        self._bills = bills
        self._changed = changed

    def add_to(self, app: web.Application) -> None:
        add = app.router.add_route
        for verb in VERBS:
            add("POST", f"{self.PREFIX}{verb}", self._json(self._act))
        add("GET", f"{self.PREFIX}books", self._json(self._books))
        add("GET", f"{self.PREFIX}takings", self._json(self._takings))
        add("GET", f"{self.PREFIX}faults", self._json(self._get_faults))
        add("POST", f"{self.PREFIX}faults", self._json(self._set_faults))
        add("GET", f"{self.PREFIX}clock", self._json(self._get_clock))
        add("POST", f"{self.PREFIX}clock", self._json(self._move_clock))
        add("GET", f"{self.PREFIX}callbacks", self._json(self._callbacks))
        add("POST", f"{self.PREFIX}callbacks", self._json(self._set_delivery))

    def _json(self, act: Answering) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            try:
                return answer(200, await act(request))
            except Refused as refusal:
                return answer(refusal.status, {"error": refusal.sentence})
            finally:
                self._changed()

        return handle

    # --- the payer -----------------------------------------------------------------------------

    async def _act(self, request: web.Request) -> object:
        asked = await read(request, Act)
        verb = request.path.removeprefix(self.PREFIX)
        order = self._engine.find(asked.out_trade_no, asked.merchant)
        if not order:
            raise Refused(404, "there is no such order")
        if len(order) > 1:
            raise Refused(409, "several merchants have this order: name one in `merchant`")
        if why := self._engine.act(order[0], verb):
            raise Refused(409, why)
        return {"out_trade_no": asked.out_trade_no, "state": order[0].state}

    async def _books(self, request: web.Request) -> object:
        number = request.query.get("out_trade_no")
        books = self._engine.books()
        return [_row(book) for book in books if number is None or book.out_trade_no == number]

    async def _takings(self, request: web.Request) -> object:
        """What a day came to, over all merchants: the sums of its bill, minor units."""
        text = request.query.get("date", "")
        try:
            date = int(text) if len(text) == 8 and text.isdigit() else 0
            is_over = self._bills.is_over(date)
        except ValueError:
            raise Refused(400, "date: a day such as 20261121") from None
        settle = fee = count = 0
        for event in self._bills.events("", date, lambda order: ("", "")):
            sign = 1 if event.line.kind is BillKind.PAYMENT else -1
            count += 1
            settle += sign * event.line.settle_amount
            fee += sign * event.line.fee
        return {
            "date": date,
            "is_over": is_over,
            "lines": count,
            "settle_minor": settle,
            "fee_minor": fee,
        }

    # --- the world -----------------------------------------------------------------------------

    async def _get_clock(self, request: web.Request) -> object:
        return {
            "now_ms": self._engine.clock.now_ms(),
            "offset_ms": self._engine.clock.offset_ms,
            "next_due_ms": self._engine.next_due(),
            "callbacks_in_flight": self._courier.in_flight,
        }

    async def _move_clock(self, request: web.Request) -> object:
        offset_ms = offset_of(await read(request, Move), self._engine.clock)
        self._engine.move_clock(offset_ms)
        return await self._get_clock(request)

    async def _get_faults(self, request: web.Request) -> object:
        return {**msgspec.to_builtins(self._faults.faults), "drawn": self._faults.drawn}

    async def _set_faults(self, request: web.Request) -> object:
        self._faults.set(await read(request, Faults))
        return await self._get_faults(request)

    async def _callbacks(self, request: web.Request) -> object:
        courier = self._courier
        return {
            "pending": courier.pending,
            "in_flight": courier.in_flight,
            "retry_factor": courier.retry_factor,
            "counts": courier.counts,
            "recent": list(courier.recent),
        }

    async def _set_delivery(self, request: web.Request) -> object:
        factor = (await read(request, Delivery)).retry_factor
        if not 0 <= factor <= FACTOR_MAX:
            raise Refused(400, f"retry_factor: from 0 to {FACTOR_MAX}")
        self._courier.retry_factor = factor
        return await self._callbacks(request)


def offset_of(asked: Move, clock: MovableClock) -> int:
    """How far ahead of real time a clock is to be, in ms. Raise Refused."""
    match (asked.advance_seconds, asked.to_ms, asked.offset_ms):
        case (float(seconds), None, None):
            offset_ms = clock.offset_ms + round(seconds * 1000)
        case (None, int(to_ms), None):
            offset_ms = clock.offset_ms + to_ms - clock.now_ms()
        case (None, None, int(offset)):
            offset_ms = offset
        case _:
            raise Refused(400, "say one of advance_seconds, to_ms, offset_ms")
    if offset_ms < clock.offset_ms:
        raise Refused(400, "business time never goes back")
    if offset_ms > OFFSET_MAX_MS:
        raise Refused(400, f"at most {OFFSET_MAX_MS} ms ahead of real time")
    return offset_ms


async def read(request: web.Request, shape: type[T]) -> T:
    """The JSON of a request to `/_sandbox/`. Raise Refused."""
    try:
        return msgspec.json.decode(await request.read(), type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused(400, f"not the JSON that is expected here: {error}") from error


def answer(status: int, body: object) -> web.Response:
    """JSON, as `/_sandbox/` speaks it."""
    return web.Response(
        status=status, body=msgspec.json.encode(body), content_type="application/json"
    )


def _row(book: Book) -> dict[str, object]:
    return {name: getattr(book, name) for name in Book.__struct_fields__}
