"""The demo's lunch crowd: a few payments a second against our own API, like any client's.

It knows nothing that a till would not know, so what it does shows in metrics, ledger and lists as
everybody else's payments do. Most show their code to the till; some scan the till's, one in a
hundred has to enter a PIN, few have too little money, and some want their money back. Seeded: who
comes when, with which wallet and what for, can be repeated. Codes and order numbers cannot, because
a code is taken once.
"""

import asyncio
from random import Random
from typing import Any, Final

import aiohttp
from msgspec import Struct

from gateway.logs import get_logger

RATE_MAX: Final = 500.0
"""Background payments a second, at most: a demo, not a benchmark."""

AT_ONCE_MAX: Final = 64
TIMEOUT_S: Final = 15.0
AMOUNTS: Final = (800, 1200, 1800, 2600, 3800, 5200, 8800, 12800)
DISHES: Final = ("牛肉面", "炸酱面", "饺子", "凉菜", "豆浆", "套餐")
WALLETS: Final = (
    ("alipay", "28", 12),
    ("wechat", "13", 12),
    ("wechat", "10", 12),
    ("alipay", "25", 12),
    ("unionpay", "62", 13),
)
"""Wallet, first digits of its codes, digits in the middle."""

PLAIN_ENDINGS: Final = 9_000
"""Codes end below this: none of the endings that make a channel misbehave."""

SECONDS_MAX: Final = 10**7
NUMBERS_MAX: Final = 10**5
PER_MILLE: Final = 1_000
PIN, POOR, SCANS = "9001", "9003", "scans"
HABITS: Final = ((PIN, 10), (POOR, 3), (SCANS, 70))
"""How many of a thousand; the others show a code and pay at once."""

WANTS_BACK: Final = 10
"""How many of a thousand that paid."""

SCAN_S: Final = (0.3, 1.5)
"""How long somebody looks for the phone."""

CODE_AMOUNT: Final = 3_800
CODE_DISH: Final = "牛肉面"
CODE_LIVES_S: Final = 7_200

log = get_logger(__name__)


class Guest(Struct, frozen=True):
    """Somebody who pays. `habit`: an ending of the code, SCANS, or empty."""

    order: dict[str, Any]
    habit: str
    wants_back: bool
    takes_s: float


class Trickle:
    """Background payments at `rate` a second until stopped. `start_s`: makes codes of its own."""

    def __init__(self, url: str, api_key: str, rate: float, seed: int | None, start_s: int) -> None:
        self._url = url
        self._headers = {"Authorization": f"Bearer {api_key}"}
        self._rate = min(rate, RATE_MAX)
        self._random = Random(start_s if seed is None else seed)  # noqa: S311 - orders of noodles
        self._start_s = start_s
        self._number = 0
        self._asked = 0
        self._running: set[asyncio.Task[None]] = set()
        self.counts: dict[str, int] = {}

    async def run(self) -> None:
        """Pay until cancelled; arrivals as a crowd makes them (exponential gaps).

        Guests who are still here then leave before the connections close.
        """
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        async with (
            aiohttp.ClientSession(headers=self._headers, timeout=timeout) as session,
            asyncio.TaskGroup() as guests,
        ):
            while True:
                await asyncio.sleep(self._random.expovariate(self._rate))
                guest = self.next_guest()
                if len(self._running) >= AT_ONCE_MAX:
                    continue  # Left again: the shop is full.
                task = guests.create_task(self._serve(session, guest))
                self._running.add(task)
                task.add_done_callback(self._running.discard)

    def next_guest(self) -> Guest:
        """Who comes next."""
        random = self._random
        self._number += 1
        wallet, head, middle = random.choice(WALLETS)
        order: dict[str, Any] = {
            "order_no": f"demo-{self._start_s:x}-{self._number}",
            "amount": random.choice(AMOUNTS),
            "currency": "cny",
            "subject": random.choice(DISHES),
        }
        habit = _habit(random.randrange(PER_MILLE))
        wants_back = random.randrange(PER_MILLE) < WANTS_BACK
        takes_s = random.uniform(*SCAN_S)
        if habit == SCANS:
            order |= {"way": "qr", "wallet": wallet}
        else:
            order |= {"way": "barcode", "auth_code": self._code(head, middle, habit)}
        return Guest(order, habit, wants_back, takes_s)

    def _code(self, head: str, middle: int, ending: str) -> str:
        """A code that nobody showed before: of this start's second and this guest's number."""
        high, low = divmod(self._number, PLAIN_ENDINGS)
        body = (self._start_s % SECONDS_MAX) * NUMBERS_MAX + high % NUMBERS_MAX
        if ending:
            body = (self._start_s % SECONDS_MAX) * NUMBERS_MAX + self._number % NUMBERS_MAX
        return f"{head}{body:0{middle}d}{ending or f'{low:04d}'}"

    async def _serve(self, session: aiohttp.ClientSession, guest: Guest) -> None:
        try:
            answer = await self._post(session, "/v1/payments", guest.order)
            payment = answer.get("id")
            if guest.habit == SCANS and payment is not None:
                await asyncio.sleep(guest.takes_s)
                await self._post(session, f"/v1/test_helpers/payments/{payment}/pay", {})
            elif guest.wants_back and answer.get("status") == "succeeded":
                await asyncio.sleep(guest.takes_s)
                await self._post(session, f"/v1/payments/{payment}/refunds", {"reason": "cold"})
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            outcome = type(error).__name__
            self.counts[outcome] = self.counts.get(outcome, 0) + 1
            log.warning("a background payment got no answer", error=outcome)

    async def _post(
        self, session: aiohttp.ClientSession, path: str, body: dict[str, Any]
    ) -> dict[str, Any]:
        self._asked += 1
        headers = {"Idempotency-Key": f"demo-{self._start_s:x}-{self._asked}"}
        async with session.post(f"{self._url}{path}", json=body, headers=headers) as answer:
            said: dict[str, Any] = await answer.json(content_type=None)
            outcome = str(answer.status)
        self.counts[outcome] = self.counts.get(outcome, 0) + 1
        return said


async def show_code(api: str, api_key: str | None, now_ms: int) -> dict[str, Any] | None:
    """A payment that shows a cashier's code, to be scanned; None when it could not be made."""
    order = {
        "order_no": f"demo-code-{now_ms:x}",
        "amount": CODE_AMOUNT,
        "currency": "cny",
        "way": "cashier",
        "subject": CODE_DISH,
        "expires_in": CODE_LIVES_S,
    }
    headers = {"Authorization": f"Bearer {api_key}", "Idempotency-Key": str(order["order_no"])}
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    try:
        async with (
            aiohttp.ClientSession(headers=headers, timeout=timeout) as session,
            session.post(f"{api}/v1/payments", json=order) as answer,
        ):
            made: dict[str, Any] = await answer.json(content_type=None)
            return made if answer.status == 201 and made.get("code") else None
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        # Also when a Ctrl-C reached the front door first: a word, and nothing that looks broken.
        log.info("no code to show", reason=type(error).__name__.removesuffix("Error"))
        return None


def shop_of(table: dict[str, Any]) -> tuple[str, int, int]:
    """The name of the seed's first merchant, its stores and its terminals."""
    merchant: dict[str, Any] = next(iter(table.get("merchants", [])), {})
    stores = merchant.get("stores", [])
    tills = sum(len(store.get("terminals", [])) for store in stores)
    return str(merchant.get("name", "")), len(stores), tills


def _habit(number: int) -> str:
    """What the number from 0 to 999 makes somebody do."""
    for habit, share in HABITS:
        if number < share:
            return habit
        number -= share
    return ""
