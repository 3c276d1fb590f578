"""A merchant that takes webhooks: verifies, counts, now and then refuses, and audits in the end.

It knows nothing of the gateway but Standard Webhooks and the public API. Every event that the API
lists must have come at least once, signed, and those of a payment first came in the listed order.
"""

import base64
import hashlib
import hmac
import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import web

REFUSE_EVERY: Final = 41
"""Of so many first tries one is refused with 503 and `Retry-After: 1`."""

TOLERANCE_S: Final = 300
PAGE: Final = 100
TIMEOUT_S: Final = 30


@dataclass
class Taken:
    """What the audit found."""

    committed: int = 0
    received: int = 0
    repeated: int = 0
    refused: int = 0
    lost: int = 0
    out_of_order: int = 0
    forged: int = 0
    unknown: int = 0

    @property
    def passed(self) -> bool:
        """Everything came, in order, and nothing that nobody sent."""
        return not (self.lost or self.out_of_order or self.forged or self.unknown)


@dataclass
class Receiver:
    """One server for all merchants: each has its path. `start` in a loop, `register` anywhere."""

    secrets: dict[str, bytes] = field(default_factory=dict)
    first_at: dict[str, int] = field(default_factory=dict)
    """Event id -> how many requests had been taken when it was taken first."""
    taken: Taken = field(default_factory=Taken)
    url: str = ""
    _runner: web.AppRunner | None = None
    _seen: set[str] = field(default_factory=set)

    async def start(self) -> None:
        """Listen on a free port of loopback."""
        app = web.Application()
        app.router.add_post("/{merchant}", self._take)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        merchant = request.match_info["merchant"]
        body = await request.read()
        identifier = request.headers.get("webhook-id", "")
        if not self._is_ours(merchant, identifier, request, body):
            self.taken.forged += 1
            return web.Response(status=401)
        if identifier not in self._seen:
            self._seen.add(identifier)
            if len(self._seen) % REFUSE_EVERY == 0:
                self.taken.refused += 1
                return web.Response(status=503, headers={"Retry-After": "1"})
        self.taken.received += 1
        if identifier in self.first_at:
            self.taken.repeated += 1
        else:
            self.first_at[identifier] = self.taken.received
        return web.Response(status=204)

    def _is_ours(self, merchant: str, identifier: str, request: web.Request, body: bytes) -> bool:
        """Standard Webhooks: the window, then each of the signatures."""
        stamp = request.headers.get("webhook-timestamp", "")
        secret = self.secrets.get(merchant)
        if secret is None or not stamp.isdigit() or abs(int(stamp) - time.time()) > TOLERANCE_S:
            return False
        text = f"{identifier}.{stamp}.".encode() + body
        expected = b"v1," + base64.b64encode(hmac.digest(secret, text, hashlib.sha256))
        given = request.headers.get("webhook-signature", "").encode().split(b" ")
        return any(hmac.compare_digest(expected, each) for each in given)

    # --- the gateway's API ---------------------------------------------------------------------

    def register(self, api: str, operator: str, merchants: Iterable[str]) -> None:
        """An endpoint for each merchant, made with an operator's bearer key."""
        for merchant in merchants:
            made = _ask(
                f"{api}/v1/webhook_endpoints",
                operator,
                merchant,
                {"url": f"{self.url}/{merchant}", "events": ["*"]},
            )
            secret = str(made["secret"]).removeprefix("whsec_")
            self.secrets[merchant] = base64.b64decode(secret)

    def missing(self, api: str, operator: str) -> int:
        """How many listed events have not come yet."""
        return sum(
            event["id"] not in self.first_at
            for merchant in self.secrets
            for event in _events(api, operator, merchant)
        )

    def audit(self, api: str, operator: str) -> Taken:
        """Compare what came with what the gateway says there was."""
        taken = self.taken
        listed: set[str] = set()
        for merchant in self.secrets:
            stories: dict[str, list[int]] = {}
            for event in reversed(_events(api, operator, merchant)):
                listed.add(event["id"])
                came = self.first_at.get(event["id"])
                if came is None:
                    taken.lost += 1
                    continue
                data = event["data"]
                stories.setdefault(data.get("payment") or data["id"], []).append(came)
            taken.out_of_order += sum(story != sorted(story) for story in stories.values())
        taken.committed = len(listed)
        taken.unknown = len(set(self.first_at) - listed)
        return taken


def _events(api: str, operator: str, merchant: str) -> list[Any]:
    """Every event of a merchant, the newest first."""
    found: list[Any] = []
    query = f"limit={PAGE}"
    while True:
        page = _ask(f"{api}/v1/events?{query}", operator, merchant)
        found += page["data"]
        if not page["has_more"]:
            return found
        query = f"limit={PAGE}&starting_after={found[-1]['id']}"


def _ask(url: str, secret: str, merchant: str, body: Any = None) -> Any:
    headers = {"Authorization": f"Bearer {secret}", "Tillway-Merchant": merchant}
    data = None
    if body is not None:
        headers["Content-Type"] = "application/json"
        data = json.dumps(body).encode()
    request = urllib.request.Request(url, data, headers)  # noqa: S310 - loopback
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310 - loopback
        return json.loads(answer.read())
