"""A sandbox of a bank: signed ISO 20022 messages over HTTP and by file, over books of its own.

docs/BANK.md is its manual. What is taken and what becomes of it is the desk's decision; this file
speaks the wire. For tests and demos: it is nobody's bank.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from random import Random
from typing import Any, Final

import msgspec
from aiohttp import web
from msgspec import Struct

from payments.channels.bank import wire
from payments.channels.bank.books import Books
from payments.channels.bank.desk import CUSTODY_ACCOUNT, CUSTOMER, Desk, Refusal, Reply
from payments.channels.bank.door import Door, Refused
from payments.channels.bank.endings import Answer
from payments.channels.bank.files import Files
from payments.channels.bank.identity import Identity
from payments.channels.sandbox import control
from payments.channels.sandbox.app import (
    CALLS_MAX,
    STATUSES,
    TROUBLES,
    SandboxSettings,
    Silence,
    Trouble,
    cut,
)
from payments.channels.sandbox.courier import blame
from payments.channels.sandbox.faults import Fate, FaultMaker, Faults
from payments.channels.sandbox.turns import MovableClock
from payments.iso20022 import camt053, camt054, fields, pain002
from payments.iso20022.fields import REMITTANCE_MAX
from payments.iso20022.trees import MESSAGE_MAX_BYTES
from payments.money import AMOUNT_MAX

LATE_S: Final = 8.0
"""How late the answer comes where an ending makes it late: after any sensible client's patience."""

SILENCE_S: Final = 60.0
"""A call that is never answered ends by itself after this long, should the client stay."""

FILES_LOOK_S: Final = 0.2
"""Between two looks into the folder of orders."""

DAY_DIGITS: Final = 8
PAGE_DIGITS_MAX: Final = 5
SEQUENCE_DIGITS_MAX: Final = 15

log = logging.getLogger(__name__)


class Credit(Struct, frozen=True, forbid_unknown_fields=True):
    """Money that a channel pays into the custody account, once for a reference."""

    amount_minor: int
    remittance: str
    reference: str
    sender: str = "Channel Settlement"


class Told(Struct, frozen=True):
    """An answer before it is signed. `answer`: what goes wrong with it on the way."""

    body: bytes
    answer: Answer = Answer.SOUND
    status: int = 200
    kind: str = wire.XML_TYPE


Serving = Callable[[web.Request, bytes], Told]


class BankSandbox:
    """One bank, one customer. Raise BooksInUse, BooksDamaged, Damaged, OSError.

    `late_s`: see LATE_S; shorter for tests.
    """

    def __init__(
        self,
        settings: SandboxSettings,
        clock: MovableClock,
        random: Random,
        identity: Identity | None = None,
        late_s: float = LATE_S,
    ) -> None:
        self.clock = clock
        self.identity = identity or Identity.open(settings.folder)
        self.books = Books(settings.folder, clock.now_ms())
        self.desk = Desk(self.books, clock)
        self.faults = FaultMaker(settings.faults, random)
        self._door = Door(self.identity, clock)
        self._files: Files | None = None
        if settings.folder is not None:
            self._files = Files(settings.folder, self.desk, self.identity, self.books.flush)
        self._late_s = late_s
        self._calls = 0
        self._stopping = asyncio.Event()

    def credentials(self) -> dict[str, Any]:
        """What a client needs: the fields of `tillway sandbox bank`."""
        return {
            "customer_id": CUSTOMER,
            "custody_account": CUSTODY_ACCOUNT,
            "signing_private_key_pem": self.identity.customer_private_pem,
            "bank_public_key_pem": self.identity.bank_public_pem,
            "paths": {
                "payments": wire.PAYMENTS,
                "status": wire.STATUS,
                "statements": wire.STATEMENTS,
            },
        }

    def application(self) -> web.Application:
        app = web.Application(middlewares=[self._guard], client_max_size=MESSAGE_MAX_BYTES)
        add = app.router.add_route
        for method, path, serving, name in (
            ("POST", wire.PAYMENTS, self._payments, "payments"),
            ("GET", wire.STATUS, self._status, "status"),
            ("GET", wire.NOTICES, self._notices, "statements"),
            ("GET", wire.DAYS, self._days, "statements"),
        ):
            add(method, path, self._framed(serving, name))
        for method, name, act in (
            ("POST", "credit", self._credit),
            ("GET", "books", self._books),
            ("GET", "clock", self._get_clock),
            ("POST", "clock", self._move_clock),
            ("GET", "faults", self._get_faults),
            ("POST", "faults", self._set_faults),
        ):
            add(method, control.Control.PREFIX + name, self._helper(act))
        app.cleanup_ctx.append(self._running)
        app.on_shutdown.append(self._shut)
        return app

    async def _running(self, app: web.Application) -> AsyncIterator[None]:
        watching = asyncio.get_running_loop().create_task(self._watch())
        yield
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        self.books.close()

    async def _shut(self, app: web.Application) -> None:
        self._stopping.set()

    async def _watch(self) -> None:
        """Take orders that come in files."""
        while self._files is not None:
            try:
                self._files.look()
            except OSError as error:
                log.error("the folder of orders cannot be used: %s", error.strerror)
            await asyncio.sleep(FILES_LOOK_S)

    # --- one call ----------------------------------------------------------------------------

    def _framed(
        self, serving: Serving, operation: str
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            raw = await request.read()
            fate = self.faults.draw(operation)
            if fate == Fate.BUSY or self._calls >= CALLS_MAX:
                return self._trouble(Trouble.BUSY, request)
            self._calls += 1
            try:
                return await self._meet(fate, serving, request, raw)
            except Silence:
                return await self._hold(request)
            except Refused as refusal:
                return self._refused(request, refusal)
            finally:
                self._calls -= 1

        return handle

    async def _meet(
        self, fate: Fate, serving: Serving, request: web.Request, raw: bytes
    ) -> web.StreamResponse:
        """Decide and write down on arrival, answer after the latency."""
        if fate == Fate.HANG:
            raise Silence
        if fate == Fate.ERROR:
            return self._trouble(Trouble.ERROR, request)
        self._door.admit(request, raw)
        self.desk.wake()
        try:
            told = serving(request, raw)
        finally:
            self.books.flush()
        if (latency_s := self.faults.latency_s()) > 0:
            await asyncio.sleep(latency_s)
        if told.answer in (Answer.NEVER, Answer.NOT_TAKEN):
            raise Silence
        if told.answer is Answer.LATE:
            await asyncio.sleep(self._late_s)
        if told.answer is Answer.CUT or fate == Fate.DROP:
            return cut(request)
        if fate == Fate.LOST:
            return self._trouble(Trouble.ERROR, request)
        is_spoiled = told.answer is Answer.UNSIGNED or fate == Fate.UNSIGNED
        return self._door.sealed(request, told.status, told.kind, told.body, is_spoiled=is_spoiled)

    async def _hold(self, request: web.Request) -> web.StreamResponse:
        """Keep the client waiting until it goes, the sandbox stops, or SILENCE_S."""
        try:
            async with asyncio.timeout(SILENCE_S):
                await self._stopping.wait()
        except TimeoutError:
            log.debug("a call that is never answered ends")
        return cut(request)

    @web.middleware
    async def _guard(
        self,
        request: web.Request,
        handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
    ) -> web.StreamResponse:
        """No traceback leaves; unknown paths and methods are answered like anything else."""
        try:
            return await handler(request)
        except web.HTTPException as error:
            trouble = TROUBLES.get(error.status, Trouble.BAD_REQUEST)
        except Exception as error:
            log.error("a call failed: %s", blame(error))
            trouble = Trouble.ERROR
        if request.path.startswith(control.Control.PREFIX):
            return control.answer(STATUSES[trouble], {"error": trouble.replace("_", " ")})
        return self._trouble(trouble, request)

    def _trouble(self, trouble: Trouble, request: web.Request) -> web.Response:
        words = trouble.replace("_", " ")
        return self._refused(request, Refused(STATUSES[trouble], trouble.value, words))

    def _refused(self, request: web.Request, refusal: Refused) -> web.Response:
        body = msgspec.json.encode({"error": refusal.code, "detail": refusal.args[0]})
        return self._door.sealed(request, refusal.status, wire.JSON_TYPE, body)

    # --- what the customer asks ---------------------------------------------------------------

    def _payments(self, request: web.Request, raw: bytes) -> Told:
        reply: Reply = self.desk.take(raw)
        return Told(pain002.encode(reply.report), reply.answer)

    def _status(self, request: web.Request, raw: bytes) -> Told:
        """By `message_id` or by `end_to_end_id`."""
        match dict(request.query):
            case {"message_id": str(number), **rest} if not rest:
                report = self.desk.order_report(number)
            case {"end_to_end_id": str(number), **rest} if not rest:
                report = self.desk.payment_report(number)
            case _:
                raise Refused(400, "wrong_query", "ask by message_id or by end_to_end_id")
        if report is None:
            raise Refused(404, wire.NO_SUCH_ORDER, "the bank does not have this number")
        return Told(pain002.encode(report))

    def _notices(self, request: web.Request, raw: bytes) -> Told:
        """The movements that follow number `after`; an empty 204 when there are none."""
        after = _number(request, "after", "0", SEQUENCE_DIGITS_MAX)
        notice = self.desk.notice(after)
        return Told(b"", status=204) if notice is None else Told(camt054.encode(notice))

    def _days(self, request: web.Request, raw: bytes) -> Told:
        """One page of the statement of a `day` that is over."""
        day = _number(request, "day", "", DAY_DIGITS)
        page = _number(request, "page", "1", PAGE_DIGITS_MAX)
        statement = self.desk.statement(day, page) if fields.is_day(day) else None
        if statement is None:
            raise Refused(404, "no_statement", "no such page, or the day is not over")
        return Told(camt053.encode(statement))

    # --- what a test asks ---------------------------------------------------------------------

    def _helper(
        self, act: Callable[[web.Request], Awaitable[object]]
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            try:
                self.desk.wake()
                made = await act(request)
            except control.Refused as refusal:
                return control.answer(refusal.status, {"error": refusal.sentence})
            finally:
                self.books.flush()
            return control.answer(200, made)

        return handle

    async def _credit(self, request: web.Request) -> object:
        asked = await control.read(request, Credit)
        if not 0 < asked.amount_minor <= AMOUNT_MAX:
            raise control.Refused(400, f"amount_minor: from 1 to {AMOUNT_MAX}")
        if asked.remittance and not fields.is_text(asked.remittance, REMITTANCE_MAX):
            raise control.Refused(400, f"remittance: at most {REMITTANCE_MAX} characters")
        if not fields.is_text(asked.sender, fields.NAME_MAX):
            raise control.Refused(400, f"sender: 1 to {fields.NAME_MAX} characters")
        if not fields.is_id(asked.reference) or asked.reference == fields.NO_REFERENCE:
            raise control.Refused(400, "reference: 1 to 35 printable ASCII characters")
        try:
            is_new = self.desk.credit(
                asked.reference, asked.amount_minor, asked.remittance, asked.sender
            )
        except Refusal as refusal:
            raise control.Refused(409, refusal.args[0]) from refusal
        return {"reference": asked.reference, "is_new": is_new, "balance": self.books.balance}

    async def _books(self, request: web.Request) -> object:
        """The whole truth: the account, every payment, every movement."""
        books = self.books
        return {
            "custody_account": CUSTODY_ACCOUNT,
            "currency": "cny",
            "balance_minor": books.balance,
            "reserved_minor": books.reserved,
            "available_minor": books.available,
            "payments": [
                {
                    "end_to_end_id": payment.end_to_end_id,
                    "message_id": payment.message_id,
                    "amount_minor": payment.amount_minor,
                    "account": payment.account,
                    "status": payment.status,
                    "reason": payment.reason,
                    "is_returned": payment.is_returned,
                }
                for payment in books.payments.values()
            ],
            "movements": [
                {
                    "sequence": entry.sequence,
                    "kind": entry.kind.value,
                    "amount_minor": entry.amount_minor,
                    "end_to_end_id": entry.end_to_end_id,
                    "booked_ms": entry.booked_ms,
                }
                for entry in books.movements
            ],
        }

    async def _get_clock(self, request: web.Request) -> object:
        return {
            "now_ms": self.desk.now_ms(),
            "offset_ms": self.clock.offset_ms,
            "next_due_ms": self.desk.next_due_ms(),
            "callbacks_in_flight": 0,
        }

    async def _move_clock(self, request: web.Request) -> object:
        asked = await control.read(request, control.Move)
        self.desk.move_clock(control.offset_of(asked, self.clock))
        return await self._get_clock(request)

    async def _get_faults(self, request: web.Request) -> object:
        return {**msgspec.to_builtins(self.faults.faults), "drawn": self.faults.drawn}

    async def _set_faults(self, request: web.Request) -> object:
        self.faults.set(await control.read(request, Faults))
        return await self._get_faults(request)


def _number(request: web.Request, name: str, default: str, digits_max: int) -> int:
    """A number in the query. Raise Refused."""
    text = request.query.get(name, default)
    if not (text.isascii() and text.isdigit() and len(text) <= digits_max):
        raise Refused(400, "wrong_query", f"{name}: 1 to {digits_max} digits")
    return int(text)
