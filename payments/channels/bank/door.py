"""The sandbox's door: who may come in, and the bank's signature on everything that goes out."""

from collections import deque
from typing import Final

from aiohttp import web

from payments.calendar import parse_rfc3339, rfc3339
from payments.channels.bank import wire
from payments.channels.bank.desk import CUSTOMER
from payments.channels.bank.identity import Identity
from payments.channels.sandbox.app import spoiled
from payments.channels.sandbox.turns import MovableClock

NONCES_MAX: Final = 100_000
"""Nonces that are remembered; more in one window are refused rather than forgotten."""


class Refused(Exception):
    """A request that is not let in. `code` is for programs, `args[0]` for people."""

    def __init__(self, status: int, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.code = code


class Door:
    """Nonces are remembered in memory alone: an order that is shown again after a restart is known
    by its number, and asking twice changes nothing.
    """

    def __init__(self, identity: Identity, clock: MovableClock) -> None:
        self._identity = identity
        self._clock = clock
        self._seen: set[str] = set()
        self._order: deque[tuple[int, str]] = deque()

    def admit(self, request: web.Request, raw: bytes) -> None:
        """Let the customer in. Raise Refused."""
        headers = request.headers
        customer, nonce = headers.get(wire.CUSTOMER, ""), headers.get(wire.NONCE, "")
        date, signature = headers.get(wire.DATE, ""), headers.get(wire.SIGNATURE, "")
        if customer != CUSTOMER:
            raise Refused(401, "unknown_customer", f"{wire.CUSTOMER} names no customer")
        if not wire.is_nonce(nonce):
            raise Refused(401, "wrong_nonce", f"{wire.NONCE}: 16 to 64 of A-Z a-z 0-9 _ -")
        self._check_date(date)
        target = request.raw_path
        text = wire.request_text(request.method, target, customer, date, nonce, raw)
        if not self._identity.is_customers(text, wire.from_base64(signature)):
            raise Refused(401, "wrong_signature", f"{wire.SIGNATURE} is not the customer's")
        self.remember(nonce)

    def _check_date(self, date: str) -> None:
        try:
            at_ms = parse_rfc3339(date)
        except ValueError:
            raise Refused(401, "wrong_date", f"{wire.DATE} is not an RFC 3339 instant") from None
        if abs(at_ms - self._clock.real_ms()) > wire.WINDOW_MS:
            raise Refused(401, "wrong_date", f"{wire.DATE} is more than 300 s off")

    def remember(self, nonce: str) -> None:
        """Note a nonce. Raise Refused for one that was used, or when no more can be noted."""
        now = self._clock.real_ms()
        # Both ends of the window: a date of the future may be shown again until it is past.
        while self._order and self._order[0][0] < now - 2 * wire.WINDOW_MS:
            self._seen.discard(self._order.popleft()[1])
        if nonce in self._seen:
            raise Refused(401, "used_nonce", f"{wire.NONCE} was used before")
        if len(self._seen) >= NONCES_MAX:
            raise Refused(429, "too_many_requests", "too many requests within ten minutes")
        self._seen.add(nonce)
        self._order.append((now, nonce))

    def sealed(
        self, request: web.Request, status: int, kind: str, body: bytes, *, is_spoiled: bool = False
    ) -> web.Response:
        """A signed answer to this request."""
        nonce = request.headers.get(wire.NONCE, "")
        nonce = nonce if wire.is_nonce(nonce) else wire.NO_NONCE
        date = rfc3339(self._clock.real_ms())
        signature = self._identity.sign(wire.answer_text(status, date, nonce, body))
        headers = {
            wire.DATE: date,
            wire.NONCE: nonce,
            wire.SIGNATURE: wire.to_base64(spoiled(signature) if is_spoiled else signature),
        }
        if body:
            headers["Content-Type"] = kind
        return web.Response(status=status, body=body, headers=headers)
