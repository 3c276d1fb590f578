"""The demo with its three sandboxes, as a stranger sees it: payments over each wire, and its books.

Everything that knows how such a gateway is started and asked stands in this file.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Final

from load_tests.books import channel_books
from load_tests.http1 import Answer, ask_all
from load_tests.process import Server

READY_TIMEOUT_S: Final = 180.0
BODY_LENGTH: Final = 24
"""Characters of a payment's id that its order number at the channel begins with."""


@dataclass(frozen=True, slots=True)
class Wire:
    """One channel, and what its wallet's codes look like."""

    name: str
    prefix: str
    digits: int
    has_reverse: bool = True


WIRES: Final = (
    Wire("wechat", "13", 18),
    Wire("alipay", "28", 18),
    Wire("unionpay", "62", 19, has_reverse=False),
)


class Demo(Server):
    """A demo on free ports, without background payments."""

    def __init__(self, data: Path, log: Path, *, runtime: str, front_doors: int) -> None:
        argv = [sys.executable, "-m", "gateway.cli", "demo", "--json", "--rate", "0"]
        argv += ["--channels", "sandbox", "--port", "0", "--admin-port", "0"]
        argv += ["--runtime", runtime, "--front-doors", str(front_doors), "--data", str(data)]
        super().__init__(argv, log, ready_timeout_s=READY_TIMEOUT_S)
        self._numbers = count(1)

    @property
    def api_key(self) -> str:
        return str(self.ready["api_key"])

    @property
    def merchant(self) -> str:
        return str(self.ready["merchant"])

    def head(self, method: str, path: str, more: str = "") -> str:
        authority = self.url.removeprefix("http://")
        return (
            f"{method} {path} HTTP/1.1\r\nHost: {authority}\r\n"
            f"Authorization: Bearer {self.api_key}\r\n{more}"
        )

    def payment(self, wire: Wire, ending: str = "", *, amount: int, wait_s: int) -> bytes:
        """A barcode payment with a code that nobody showed before, as bytes of a request."""
        number = next(self._numbers)
        room = wire.digits - len(wire.prefix) - len(ending or "0000")
        code = f"{wire.prefix}{number:0{room}d}{ending or '0000'}"
        order = {
            "order_no": f"wire-{number}",
            "amount": amount,
            "currency": "cny",
            "way": "barcode",
            "auth_code": code,
        }
        body = json.dumps(order).encode()
        more = (
            f"Content-Type: application/json\r\nIdempotency-Key: wire-{number}\r\n"
            f"Prefer: wait={wait_s}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return self.head("POST", "/v1/payments", more).encode() + body

    async def ask(self, paths: Sequence[str], connections: int = 16) -> list[Answer]:
        """Read many things."""
        requests = [self.head("GET", path, "\r\n").encode() for path in paths]
        return await ask_all(self.url, requests, connections)

    def books(self, wire: Wire) -> dict[str, dict[str, Any]]:
        """What the sandbox really took and gave back, by the body of the payment's id."""
        rows = channel_books(self.url, wire.name, self.api_key)
        return {row["out_trade_no"][:BODY_LENGTH]: row for row in rows}


def kept(row: dict[str, Any] | None) -> int:
    """What the channel still has of an order's money."""
    return 0 if row is None else row["charges"] * row["amount_minor"] - row["refunded_minor"]
