"""The demo's lunch crowd: a few barcode payments a second against our own API, like any client.

It knows nothing that a till would not know, so what it does shows in metrics, ledger and lists as
everybody else's payments do. Seeded, so that a demo can be repeated.
"""

import asyncio
from random import Random
from typing import Any, Final

import aiohttp

from gateway.logs import get_logger

RATE_MAX: Final = 500.0
"""Background payments a second, at most: a demo, not a benchmark."""

AT_ONCE_MAX: Final = 64
TIMEOUT_S: Final = 15.0
AMOUNTS: Final = (800, 1200, 1800, 2600, 3800, 5200, 8800, 12800)
DISHES: Final = ("牛肉面", "炸酱面", "饺子", "凉菜", "豆浆", "套餐")
HEADS: Final = {"28": 12, "13": 12, "10": 12, "25": 12, "62": 13}
"""First digits of the codes that the crowd shows -> digits in the middle."""

PLAIN_ENDINGS: Final = 9_000
"""Codes end below this: none of the endings that make the simulated channel misbehave."""

log = get_logger(__name__)


class Trickle:
    """Background payments at `rate` a second until stopped."""

    def __init__(self, url: str, api_key: str, rate: float, seed: int | None, tag: str) -> None:
        self._url = url
        self._headers = {"Authorization": f"Bearer {api_key}"}
        self._rate = min(rate, RATE_MAX)
        self._random = Random(seed)  # noqa: S311 - what a crowd orders is no secret
        self._tag = tag
        self._number = 0
        self._running: set[asyncio.Task[None]] = set()
        self.counts: dict[str, int] = {}

    async def run(self) -> None:
        """Pay until cancelled; arrivals as a crowd makes them (exponential gaps)."""
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        async with aiohttp.ClientSession(headers=self._headers, timeout=timeout) as session:
            while True:
                await asyncio.sleep(self._random.expovariate(self._rate))
                if len(self._running) >= AT_ONCE_MAX:
                    continue
                self._number += 1
                task = asyncio.create_task(self._pay(session, self._number))
                self._running.add(task)
                task.add_done_callback(self._running.discard)

    def _order(self, number: int) -> dict[str, Any]:
        random = self._random
        head = random.choice(list(HEADS))
        middle = HEADS[head]
        tail = random.randrange(PLAIN_ENDINGS)
        return {
            "order_no": f"demo-{self._tag}-{number}",
            "amount": random.choice(AMOUNTS),
            "currency": "cny",
            "way": "barcode",
            "auth_code": f"{head}{random.randrange(10**middle):0{middle}d}{tail:04d}",
            "subject": random.choice(DISHES),
        }

    async def _pay(self, session: aiohttp.ClientSession, number: int) -> None:
        order = self._order(number)
        headers = {"Idempotency-Key": order["order_no"]}
        try:
            async with session.post(
                f"{self._url}/v1/payments", json=order, headers=headers
            ) as answer:
                await answer.read()
                outcome = str(answer.status)
        except (aiohttp.ClientError, TimeoutError) as error:
            outcome = type(error).__name__
            log.warning("a background payment got no answer", error=outcome)
        self.counts[outcome] = self.counts.get(outcome, 0) + 1
