"""Baseline: FastAPI on two uvicorn workers, asyncpg, PostgreSQL, two commits a payment.

Written as FastAPI's and asyncpg's own pages show it: a typed body, a typed answer, the signature in
a dependency, a transaction block where several statements belong together. The first commit is the
intent, the second its outcome with three postings and an event. No risk is assessed, no route
chosen, no channel asked, no replay answered: the baseline does less than we do.

Usage: python -m load_tests.baselines.fastapi_postgres --port N --data DIR
"""

import json
import secrets
from typing import Annotated, Final

import asyncpg  # type: ignore[import-untyped]
from fastapi import Depends, FastAPI, Header, HTTPException, Request
from pydantic import BaseModel, Field

from load_tests.baselines.common import is_signed
from load_tests.baselines.fastapi_tuned import FEE_PPM, INTENT, MERCHANT, lifespan, serve

PAID: Final = "UPDATE payment SET status = 'succeeded' WHERE id = $1"
POSTED: Final = "INSERT INTO posting (payment, account, amount) VALUES ($1, $2, $3)"
HAPPENED: Final = "INSERT INTO event (payment, body) VALUES ($1, $2)"


class Wish(BaseModel):
    """POST /v1/payments."""

    order_no: Annotated[str, Field(min_length=1, max_length=64, pattern="^[0-9A-Za-z_-]+$")]
    amount: Annotated[int, Field(ge=1)]
    currency: str
    way: str
    auth_code: str
    terminal: str | None = None
    subject: str | None = None


class Told(BaseModel):
    """The answer."""

    id: str
    order_no: str
    amount: int
    status: str


app = FastAPI(lifespan=lifespan, openapi_url=None)


async def signed(request: Request) -> None:
    """Refuse what is not signed."""
    body = await request.body()
    if not is_signed(request.method, request.url.path, request.headers, body):
        raise HTTPException(401)


@app.post("/v1/payments", status_code=201, dependencies=[Depends(signed)])
async def pay(wish: Wish, request: Request, idempotency_key: Annotated[str, Header()]) -> Told:
    """Take a payment: intent, outcome, answer."""
    payment = f"pay_{secrets.token_hex(12)}"
    pool: asyncpg.Pool = request.app.state.pool
    told = Told(id=payment, order_no=wish.order_no, amount=wish.amount, status="succeeded")
    fee = (wish.amount * FEE_PPM + 500_000) // 1_000_000
    postings = [
        (payment, "channel:receivable", wish.amount),
        (payment, f"merchant:{MERCHANT}:pending", fee - wish.amount),
        (payment, "fees:income", -fee),
    ]
    async with pool.acquire() as connection:
        # A single statement is a commit of its own.
        await connection.execute(
            INTENT, payment, MERCHANT, wish.order_no, idempotency_key, wish.amount, wish.terminal
        )
        async with connection.transaction():
            await connection.execute(PAID, payment)
            await connection.executemany(POSTED, postings)
            await connection.execute(HAPPENED, payment, json.dumps(told.model_dump()))
    return told


if __name__ == "__main__":
    serve("load_tests.baselines.fastapi_postgres:app")
