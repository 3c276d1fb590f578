"""A connector whose channel is one of our sandboxes: the real wire, and a payer who acts when told.

Everything that is about money goes through the connector. The sandbox's own endpoints under
`/_sandbox/` are used for what no real channel has: acts of the payer, open books, a clock.
"""

import asyncio
from typing import Any, Final

import msgspec
from msgspec import Struct

from payments.channels.base import (
    Approved,
    Awaiting,
    Book,
    Channel,
    Declined,
    Outcome,
    PayOrder,
    Unknown,
)
from payments.channels.simulated.endings import BARCODE_ENDINGS
from payments.channels.transport import HttpAnswer, HttpClient, HttpRequest, NoAnswer, NotSent
from payments.payment import Way

CONTROL_S: Final = 5.0
CLOCK_POLL_S: Final = 0.05
CLOCK_POLLS_MAX: Final = 40
"""So often, and that many times, a moved sandbox is asked whether its callbacks have arrived."""

ENDING_LENGTH: Final = 4

NO_SUCH_ORDER: Final = 404

SHOWN_MAX: Final = 10_000
"""So many pages and order strings are kept for payers who open them; the oldest makes room."""

ORDER_STRING: Final = "orderString"
"""Alipay's name among the parameters of an app; the sandbox's wallet opens it."""


class _Clock(Struct, frozen=True):
    next_due_ms: int | None = None
    callbacks_in_flight: int = 0


class Sandboxed:
    """`is_first`: of several lanes of one sandbox, one alone tells its books."""

    def __init__(
        self, inner: Channel, http: HttpClient, base_url: str, *, is_first: bool = True
    ) -> None:
        self._inner = inner
        self._http = http
        self._base = base_url
        self._is_first = is_first
        self._shown: dict[str, Awaiting] = {}
        """By order number: what the channel hears of only when the payer opens it."""
        self.inquire = inner.inquire
        self.reverse = inner.reverse
        self.close = inner.close
        self.refund = inner.refund
        self.inquire_refund = inner.inquire_refund

    def __getattr__(self, name: str) -> Any:
        """What else the connector can do: callbacks, the names of payers."""
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._inner, name)

    async def pay(self, order: PayOrder) -> Outcome:
        """The connector's, and what the payer was shown is remembered for `act`."""
        outcome = await self._inner.pay(order)
        if isinstance(outcome, Awaiting) and _is_opened(outcome):
            while len(self._shown) >= SHOWN_MAX:
                del self._shown[next(iter(self._shown))]
            self._shown[order.out_trade_no] = outcome
        return outcome

    def is_scripted(self, order: PayOrder) -> bool:
        """Whether the auth code asks for a scene of test mode, whose failures say nothing else."""
        tail = (order.auth_code or "")[-ENDING_LENGTH:]
        return order.way is Way.BARCODE and tail in BARCODE_ENDINGS

    async def act(self, out_trade_no: str, verb: str) -> Outcome:
        """The payer acts on an open order. Approved: it is done; Declined: it cannot be."""
        try:
            answer = await self._ask("POST", verb, {"out_trade_no": out_trade_no})
            if answer.status == NO_SUCH_ORDER and await self._open(out_trade_no):
                answer = await self._ask("POST", verb, {"out_trade_no": out_trade_no})
        except (NotSent, NoAnswer) as error:
            return Unknown(f"the sandbox did not answer: {error}")
        if answer.status == 200:
            return Approved(out_trade_no, 0)
        return Declined("channel_error", _error_of(answer))

    async def _open(self, out_trade_no: str) -> bool:
        """The payer opens the page or the wallet: only now the channel hears of the order."""
        shown = self._shown.get(out_trade_no)
        if shown is None:
            return False
        if shown.pay_url is not None:
            await self._http.send(HttpRequest("GET", shown.pay_url, {}, b"", CONTROL_S))
        elif shown.client_params is not None:
            await self._ask("POST", "open", {"order_string": shown.client_params[ORDER_STRING]})
        return True

    async def books(self) -> list[Book]:
        """What was really taken and given back. Raise when the sandbox does not say it."""
        if not self._is_first:
            return []
        answer = await self._ask("GET", "books")
        rows = msgspec.json.decode(answer.body, type=list[dict[str, Any]])
        return [
            msgspec.convert([row[name] for name in Book.__struct_fields__], Book) for row in rows
        ]

    async def set_clock(self, offset_ms: int) -> int | None:
        """Move the sandbox's clock; return its next timer, once its callbacks have arrived.

        A sandbox that is ahead already, or away, is left as it is: it is asked again at the next
        move.
        """
        try:
            answer = await self._ask("POST", "clock", {"offset_ms": offset_ms})
            for _ in range(CLOCK_POLLS_MAX):
                clock = msgspec.json.decode(answer.body, type=_Clock)
                if not clock.callbacks_in_flight and answer.status == 200:
                    return clock.next_due_ms
                await asyncio.sleep(CLOCK_POLL_S)
                answer = await self._ask("GET", "clock")
            return msgspec.json.decode(answer.body, type=_Clock).next_due_ms
        except (NotSent, NoAnswer, msgspec.DecodeError):
            return None

    async def _ask(self, method: str, what: str, body: object = None) -> HttpAnswer:
        content = b"" if body is None else msgspec.json.encode(body)
        headers = {"Content-Type": "application/json"}
        url = f"{self._base}/_sandbox/{what}"
        return await self._http.send(HttpRequest(method, url, headers, content, CONTROL_S))


def _is_opened(shown: Awaiting) -> bool:
    """Whether a payer opens it, a page or a string: a code is scanned, a script names its order."""
    return shown.pay_url is not None or ORDER_STRING in (shown.client_params or {})


class _Refusal(Struct, frozen=True):
    error: str = ""


def _error_of(answer: HttpAnswer) -> str:
    try:
        return msgspec.json.decode(answer.body, type=_Refusal).error
    except msgspec.DecodeError:
        return f"the sandbox answered {answer.status}"
