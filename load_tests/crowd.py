"""Clients that insist: pay, and repeat with the same key until somebody takes responsibility.

Every acknowledgement goes to a log of our own, synced before it counts, so that whatever happens to
the server there is a witness of what it promised.
"""

import asyncio
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

from load_tests.http1 import Answer, BadAnswer, Connection, connect, host_and_port
from load_tests.presign import AMOUNT_MINOR_MIN, AMOUNT_MINOR_SPAN, PAYMENTS_PATH, order_no
from load_tests.signing import MerchantKey, post_signer

INSIST_S: Final = 40.0
"""How long one client repeats a payment before it counts as never acknowledged."""

ANSWER_TIMEOUT_S: Final = 12.0
PAUSE_S: Final = 0.1
TROUBLE: Final = ("9005", "9006", "9001")
"""Endings that are in doubt for a while and then paid: so that kills meet doubtful payments."""

TROUBLE_EVERY: Final = 7
SYNC_S: Final = 0.05


@dataclass
class Acknowledged:
    """What the server promised about one order. `sent_at`: monotonic, of the answered try."""

    order: str
    key: MerchantKey
    amount: int
    payment: str
    status: str
    sent_at: float
    tries: int


@dataclass
class Crowd:
    """Arrivals at `rate` a second over the keys, until `stop`."""

    url: str
    keys: list[MerchantKey]
    tag: int
    log: Path
    rate: float
    acknowledged: list[Acknowledged] = field(default_factory=list)
    given_up: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    _stopping: bool = False

    def __post_init__(self) -> None:
        self._file: IO[str] = self.log.open("a", encoding="utf-8")
        self._running: set[asyncio.Task[None]] = set()
        self._numbers: Iterator[int] = iter(range(10**9))

    async def run(self) -> None:
        """Pay until stopped, then let everybody finish."""
        syncer = asyncio.create_task(self._sync_forever())
        while not self._stopping:
            task = asyncio.create_task(self._insist(next(self._numbers)))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
            await asyncio.sleep(1 / self.rate)
        if self._running:
            await asyncio.wait(self._running)
        syncer.cancel()
        os.fsync(self._file.fileno())
        self._file.close()

    def stop(self) -> None:
        """No new payments; those under way go on."""
        self._stopping = True

    async def _sync_forever(self) -> None:
        while True:
            await asyncio.sleep(SYNC_S)
            self._file.flush()
            os.fsync(self._file.fileno())

    def _order(self, number: int, key: MerchantKey) -> dict[str, Any]:
        ending = f"{number % 9000:04d}"
        if number % TROUBLE_EVERY == 0:
            ending = TROUBLE[number // TROUBLE_EVERY % len(TROUBLE)]
        return {
            "order_no": order_no(self.tag, number),
            "amount": AMOUNT_MINOR_MIN + number * 37 % AMOUNT_MINOR_SPAN,
            "currency": "cny",
            "way": "barcode",
            "auth_code": f"28{self.tag:07d}{number % 100_000:05d}{ending}",
            "terminal": key.terminals[number % len(key.terminals)],
        }

    async def _insist(self, number: int) -> None:
        key = self.keys[number % len(self.keys)]
        order = self._order(number, key)
        body = json.dumps(order).encode()
        began = time.monotonic()
        tries = 0
        while time.monotonic() - began < INSIST_S:
            tries += 1
            sent_at = time.monotonic()
            answer = await self._post(key, body, f"k{order['order_no']}", tries)
            if answer.acknowledged:
                self._note(order, key, answer, sent_at, tries)
                return
            if answer.status not in (0, 408, 429, 503, 504):
                self.unexpected.append(f"{order['order_no']}: {answer.status} {answer.body!r}")
                return
            await asyncio.sleep(PAUSE_S)
        self.given_up.append(order["order_no"])

    def _note(
        self,
        order: dict[str, Any],
        key: MerchantKey,
        answer: Answer,
        sent_at: float,
        tries: int,
    ) -> None:
        payment = json.loads(answer.body)
        noted = Acknowledged(
            order["order_no"],
            key,
            order["amount"],
            payment["id"],
            payment["status"],
            sent_at,
            tries,
        )
        self.acknowledged.append(noted)
        line = {"order": noted.order, "payment": noted.payment, "status": noted.status}
        self._file.write(json.dumps(line) + "\n")

    async def _post(self, key: MerchantKey, body: bytes, idempotency: str, tries: int) -> Answer:
        authority = self.url.removeprefix("http://")
        sign = post_signer(key, authority, PAYMENTS_PATH, int(time.time()))
        nonce = f"{idempotency}.{tries}.{time.monotonic_ns()}"
        digest, signature_input, signature = sign(body, idempotency, nonce)
        head = (
            f"POST {PAYMENTS_PATH} HTTP/1.1\r\nHost: {authority}\r\n"
            "Content-Type: application/json\r\nConnection: close\r\nPrefer: wait=2\r\n"
            f"Content-Digest: {digest}\r\nIdempotency-Key: {idempotency}\r\n"
            f"Signature-Input: {signature_input}\r\nSignature: {signature}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        return await exchange(self.url, head.encode() + body)


async def exchange(url: str, request: bytes) -> Answer:
    """One request over a connection of its own; status 0 for whatever is not an answer."""
    host, port = host_and_port(url)
    connection: Connection | None = None
    done: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

    def heard(answer: Answer) -> None:
        if not done.done():
            done.set_result(answer)

    try:
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            connection = await connect(host, port)
            connection.send(request, heard)
            return await done
    except (OSError, TimeoutError, BadAnswer) as error:
        return Answer(0, repr(error).encode())
    finally:
        if connection is not None:
            connection.close()
