"""A rehearsed day's money on its way home in a running gateway, watched from outside.

    batches filed ──> the channel pays the day into the bank's sandbox ──> an order for every shop

What the channel owes is what the batches say; what was ordered is what the bank's own books say.
"""

import json
import threading
import time
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final
from urllib.error import HTTPError

from load_tests.bank import Bank, Order
from load_tests.gateway import Gateway
from load_tests.process import ServerFailed

DATE: Final = 20261116
CHANNEL_ACCOUNT: Final = "simulated"
"""The rehearsed day, and the channel account that it was paid through."""

PAGE: Final = 100
POLL_S: Final = 1.0
ASK_TIMEOUT_S: Final = 10.0


def is_done(step: Callable[[], bool]) -> bool:
    """What a step says. A slow answer is no answer, nor is "not now": then it is asked again."""
    try:
        return step()
    except TimeoutError:
        return False
    except HTTPError as error:
        if error.code != HTTPStatus.SERVICE_UNAVAILABLE:
            raise
        return False


class Watch:
    """Follows a day's money home from outside, and plays the channel that pays it.

    `filed`, `ended`: when the last shop had a batch, and an order at the bank (monotonic).
    """

    def __init__(self, server: Gateway, bank: Bank, shops: Sequence[Mapping[str, Any]]) -> None:
        self.filed: float | None = None
        self.ended: float | None = None
        self.batches: list[dict[str, Any]] = []
        self.orders: list[Order] = []
        self._server, self._bank = server, bank
        self._shops = {shop["id"] for shop in shops}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        for step in (self._is_filed, self._is_credited, self._is_ordered):
            while not is_done(step):
                if self._stop.wait(POLL_S):
                    return
        self.ended = time.monotonic()

    def _is_filed(self) -> bool:
        """Merchants' batches are filed in order of their ids."""
        if not self._page(merchant=max(self._shops), limit=1)["data"]:
            return False
        self.filed = self.filed or time.monotonic()
        return True

    def _is_credited(self) -> bool:
        found: list[dict[str, Any]] = []
        page = self._page(business_date=DATE, limit=PAGE)
        while True:
            found += [each for each in page["data"] if each["merchant"] in self._shops]
            if not page["has_more"]:
                break
            after = page["data"][-1]["id"]
            page = self._page(business_date=DATE, limit=PAGE, starting_after=after)
        self.batches = found
        owed = sum(each["gross"] - each["refunds"] - each["discounts"] for each in found)
        self._bank.credit(f"R-{DATE}", owed, f"{CHANNEL_ACCOUNT} {DATE}")
        return True

    def _is_ordered(self) -> bool:
        self.orders = self._bank.orders()
        return len(self.orders) >= len(self._shops)

    def _page(self, **query: object) -> dict[str, Any]:
        address = f"{self._server.url}/v1/clearing_batches?{urllib.parse.urlencode(query)}"
        request = urllib.request.Request(  # noqa: S310 - loopback
            address, headers={"Authorization": f"Bearer {self._server.api_key}"}
        )
        with urllib.request.urlopen(request, timeout=ASK_TIMEOUT_S) as answer:  # noqa: S310
            page: dict[str, Any] = json.load(answer)
        return page

    @property
    def goes_on(self) -> bool:
        """Whether orders are missing. Raise ServerFailed when nobody asks any more."""
        if self.ended is None and not self._thread.is_alive():
            raise ServerFailed("the gateway or the bank does not say how far it is")
        return self.ended is None

    def wait(self, until: float) -> bool:
        """Whether all orders were there by then. Ends the watch."""
        self._thread.join(max(0.0, until - time.monotonic()))
        self._stop.set()
        return self.ended is not None


def of_orders(
    shops: Sequence[Mapping[str, Any]],
    batches: Sequence[Mapping[str, Any]],
    orders: Sequence[Order],
) -> tuple[int, int]:
    """(lost, doubled) orders: each shop's net once, to its own account, and nothing else."""
    account_of = {shop["id"]: shop["account"]["number"] for shop in shops}
    due = Counter((account_of[each["merchant"]], each["net"]) for each in batches)
    told = Counter((order.account, order.amount) for order in orders)
    unpaid = len(account_of.keys() - {each["merchant"] for each in batches})
    return (due - told).total() + unpaid, (told - due).total()
