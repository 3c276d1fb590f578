"""Baseline: two aiohttp front doors that make one awaited Ray actor call a payment.

Front doors and shard are Ray actors. The shard commits to SQLite (WAL, FULL) in groups, twice a
payment, exactly as durable as we are: only the way between the actors differs.

Usage: python -m load_tests.baselines.ray_call --port N --data DIR
"""

import asyncio
import signal
import threading
import time
from pathlib import Path
from typing import Any, Final

import apsw
import orjson
import ray
import uvloop
from aiohttp import web

from load_tests.baselines.common import RAY_CPUS, arguments, is_signed, say_ready

FRONT_DOORS: Final = 2
CALLS_MAX: Final = 2_048
BATCH_MAX: Final = 128
FEE_PPM: Final = 3_800

SCHEMA: Final = """
CREATE TABLE payment (
    id INTEGER PRIMARY KEY, order_no TEXT NOT NULL UNIQUE, amount INTEGER NOT NULL,
    status TEXT NOT NULL, body BLOB NOT NULL
);
CREATE TABLE posting (payment INTEGER NOT NULL, account TEXT NOT NULL, amount INTEGER NOT NULL);
CREATE TABLE event (number INTEGER PRIMARY KEY, payment INTEGER NOT NULL, body BLOB NOT NULL);
"""


class Shard:
    """The only writer: what arrived during one commit is the next commit."""

    def __init__(self, path: str) -> None:
        self._database = apsw.Connection(path)
        self._database.pragma("journal_mode", "wal")
        self._database.pragma("synchronous", "full")
        self._database.execute(SCHEMA)
        self._waiting: list[tuple[bytes, asyncio.Future[bytes]]] = []
        self._arrived = asyncio.Event()
        self._last_id = 0
        self._writer: asyncio.Task[None] | None = None

    async def pay(self, body: bytes) -> bytes:
        """One payment, answered when its outcome is durable."""
        if self._writer is None:
            self._writer = asyncio.create_task(self._write())
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting.append((body, answer))
        self._arrived.set()
        return await answer

    async def _write(self) -> None:
        while True:
            await self._arrived.wait()
            batch, self._waiting = self._waiting[:BATCH_MAX], self._waiting[BATCH_MAX:]
            if not self._waiting:
                self._arrived.clear()
            asked = [orjson.loads(body) for body, _ in batch]
            first, self._last_id = self._last_id + 1, self._last_id + len(batch)
            ids = range(first, self._last_id + 1)
            await asyncio.to_thread(self._commit_intents, ids, asked, batch)
            told = await asyncio.to_thread(self._commit_outcomes, ids, asked)
            for (_, answer), reply in zip(batch, told, strict=True):
                answer.set_result(reply)

    def _commit_intents(self, ids: range, asked: list[Any], batch: list[Any]) -> None:
        with self._database:
            self._database.executemany(
                "INSERT INTO payment VALUES (?, ?, ?, 'sending', ?)",
                [
                    (number, one["order_no"], one["amount"], body)
                    for number, one, (body, _) in zip(ids, asked, batch, strict=True)
                ],
            )

    def _commit_outcomes(self, ids: range, asked: list[Any]) -> list[bytes]:
        postings, told = [], []
        for number, one in zip(ids, asked, strict=True):
            amount = one["amount"]
            fee = (amount * FEE_PPM + 500_000) // 1_000_000
            postings.append((number, "channel:receivable", amount))
            postings.append((number, "merchant:pending", fee - amount))
            postings.append((number, "fees:income", -fee))
            reply = {"id": f"pay_{number}", "order_no": one["order_no"], "status": "succeeded"}
            told.append(orjson.dumps(reply))
        with self._database:
            self._database.executemany(
                "UPDATE payment SET status = 'succeeded' WHERE id = ?", [(n,) for n in ids]
            )
            self._database.executemany("INSERT INTO posting VALUES (?, ?, ?)", postings)
            self._database.executemany(
                "INSERT INTO event (payment, body) VALUES (?, ?)",
                list(zip(ids, told, strict=True)),
            )
        return told


class FrontDoor:
    """HTTP in, one awaited actor call, HTTP out."""

    def __init__(self, shard: Any) -> None:
        self._shard = shard

    async def serve(self, port: int) -> None:
        """Serve for ever on a port that the front doors share."""
        app = web.Application(client_max_size=65_536)
        app.router.add_post("/v1/payments", self._pay)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port, reuse_port=True, backlog=1024).start()

    async def _pay(self, request: web.Request) -> web.Response:
        body = await request.read()
        if not is_signed(request.method, request.path, request.headers, body):
            return web.Response(status=401)
        reply = await self._shard.pay.remote(body)
        return web.Response(body=reply, status=201, content_type="application/json")


def main() -> None:
    """Start Ray and the actors, serve until ended."""
    options = arguments()
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    uvloop.install()
    ray.init(num_cpus=RAY_CPUS, include_dashboard=False, log_to_driver=False)
    path: Path = options.data / "payments.sqlite"
    concurrent = {"num_cpus": 0, "max_concurrency": CALLS_MAX}
    # Imported by name: an actor class that lives in __main__ cannot be found by Ray's workers.
    from load_tests.baselines import ray_call

    shard = ray.remote(ray_call.Shard).options(**concurrent).remote(str(path))
    doors: list[Any] = [
        ray.remote(ray_call.FrontDoor).options(**concurrent).remote(shard)
        for _ in range(FRONT_DOORS)
    ]
    ray.get([door.serve.remote(options.port) for door in doors])
    say_ready(options.port)
    while not ended.is_set():
        time.sleep(0.1)
    ray.shutdown()


if __name__ == "__main__":
    main()
