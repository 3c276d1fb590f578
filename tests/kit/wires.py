"""A whole gateway on one loop, its channels behind real sockets that can be cut.

As `World`, with two accounts at one kind of channel: each has a sandbox of its own (an outside
party: it never dies with us), and a cutting proxy between that and its lane. Time is virtual and
moves for everybody alike; the bytes on loopback are real. A callback comes in over HTTP and is
handed to whichever incarnation of the lane lives then.
"""

import asyncio
from pathlib import Path
from random import Random
from typing import Any

from aiohttp import web
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from msgspec.structs import replace

from actors.calls import LaneLimits
from actors.channel import ChannelLane
from actors.link import Identity, Link
from actors.local import LocalHost
from actors.messages import CallbackAnswered, HearCallback, Message, Pay
from actors.process import Boxed, Spec
from all_rigs import RIGS
from client import SECRET
from crashing import Crashing
from cutting_proxy import Cut, CuttingProxy, Rule
from gateway.processes import LaneHandler
from hurried_loop import HurriedLoop
from payments.channels.base import Book
from payments.channels.http import HttpSettings, PooledClient
from payments.channels.sandbox.app import SandboxApp, Served, serve
from payments.channels.sandboxed import Sandboxed
from payments.channels.transport import HttpAnswer, HttpRequest
from payments.lifecycle import Schedule
from payments.routing import ChannelAccount
from payments.testing import an_account
from rigs import Rig, Wanted, auth_code
from world import ACCOUNTS, _keep_quiet

PATIENCE_S = 4.5
LATE_MS = (5_000, 60_000, 125_000)
"""Looks after the end; the last one is later than any request of a channel lives."""


class InlineKeys:
    """Signers and verifiers that need no thread: time would jump over one."""

    def signer(self, key: Any) -> Any:
        return _InlineSigner(key)

    def verifier(self, key: Any) -> Any:
        return _InlineVerifier(key)


class _InlineSigner:
    def __init__(self, key: Any) -> None:
        self._key = key

    async def sign(self, text: bytes) -> bytes:
        signature: bytes = self._key.sign(text, PKCS1v15(), SHA256())
        return signature


class _InlineVerifier:
    def __init__(self, key: Any) -> None:
        self._key = key

    async def verify(self, text: bytes, signature: bytes) -> bool:
        try:
            self._key.verify(signature, text, PKCS1v15(), SHA256())
        except InvalidSignature:
            return False
        return True


class Counting:
    """An HttpClient that says how many answers are awaited."""

    def __init__(self, inner: PooledClient) -> None:
        self.inner = inner
        self.flying = 0

    async def send(self, request: HttpRequest) -> HttpAnswer:
        self.flying += 1
        try:
            return await self.inner.send(request)
        finally:
            self.flying -= 1


class Wire:
    """One account's way to its channel, which outlives every incarnation of the lane."""

    sandbox: SandboxApp
    proxy: CuttingProxy
    served: Served

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.http: Counting | None = None
        self.callbacks: list[int] = []
        """The status of every answer to a callback."""

    def is_busy(self) -> bool:
        flying = 0 if self.http is None else self.http.flying
        return flying > 0 or self.sandbox.courier.in_flight > 0


class WireWorld(Crashing):
    """`kind`: a name of `RIGS`."""

    schedule = Schedule(late_checks=LATE_MS)
    deaf = False
    """Callbacks are not answered."""

    def __init__(self, kind: str, path: Path | None = None, **more: Any) -> None:
        super().__init__(path, loop=HurriedLoop(), **more)
        self.kind = kind
        self.wires = {account: Wire(RIGS[kind]()) for account in ACCOUNTS}
        self.url = ""
        self._ref = 0
        assert isinstance(self.loop, HurriedLoop)
        self.loop.awaited = lambda: any(wire.is_busy() for wire in self.wires.values())
        self.loop.run_until_complete(self._open())

    async def _open(self) -> None:
        app = web.Application()
        app.router.add_post("/callbacks/{account}", self._callback)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        for number, wire in enumerate(self.wires.values()):
            wire.sandbox = wire.rig.sandbox(self.clock, Random(number))
            wire.served = await serve(wire.sandbox)
            host, port = wire.served.url.removeprefix("http://").split(":")
            wire.proxy = CuttingProxy(host, int(port))
            await wire.proxy.accept()

    def close(self) -> None:
        self.kill()
        self.loop.run_until_complete(self._shut())
        self.loop.finish()

    async def _shut(self) -> None:
        for wire in self.wires.values():
            if wire.http is not None:
                await wire.http.inner.close()
            await wire.proxy.close()
            await wire.served.stop()
            wire.rig.close()
        await self._runner.cleanup()
        # What the loop still has to say to closed sockets.
        await asyncio.sleep(0.1)

    # --- boxes ----------------------------------------------------------------------------------

    def accounts(self) -> tuple[ChannelAccount, ...]:
        wallet = RIGS[self.kind].wallet
        return tuple(
            an_account(name, channel=self.kind, wallets=(wallet,), priority=number, is_wired=True)
            for number, name in enumerate(ACCOUNTS)
        )

    def _lane(self, spec: Spec, host: LocalHost, account: str) -> Boxed:
        name, wire = f"lane-{account}", self.wires[account]
        http = PooledClient(HttpSettings(connections_max=1_024))
        wire.http = Counting(http)
        wanted = Wanted(f"{self.url}/callbacks/{account}")
        channel = wire.rig.connector(wire.proxy.url, wire.http, self.clock, InlineKeys(), wanted)
        self.plant(channel)
        # As in production: what a test ordered is no sign of the channel's health.
        channel = Sandboxed(channel, http, wire.served.url)
        links: dict[str, Link] = {}

        def send(_: int, message: Message) -> bool:
            link = links.get("shard-0")
            return link is not None and link.send(message)

        limits = LaneLimits(capacity=self.window)
        lane = ChannelLane(name, account, 0, channel, self.clock, limits, send)
        lane.reach = self._reached
        self.lanes[account] = lane
        identity = Identity("lane", name, SECRET, spec.incarnation)

        async def drain(_: float) -> None:
            await lane.drain()

        box = Boxed(spec, identity, host, str, LaneHandler(lane, links), lane.stats, drain)
        _keep_quiet(box)
        box.abandon.append(lane.abandon)
        box.abandon.append(lambda: self._cut_off(http))
        self.boxes[name] = box
        return box

    def plant(self, channel: Any) -> None:
        """A test may make each new connector a wrong one."""

    def _cut_off(self, http: PooledClient) -> None:
        """The sockets of a process that died are closed by the kernel."""
        self.loop.create_task(http.close())

    async def _callback(self, request: web.Request) -> web.Response:
        account = request.match_info["account"]
        wire = self.wires[account]
        headers = {name.lower(): text for name, text in request.headers.items()}
        body = await request.read()
        answered: asyncio.Future[CallbackAnswered] = self.loop.create_future()
        self._ref += 1
        message = HearCallback(self._ref, request.method, request.query_string, headers, body)
        if f"lane-{account}" in self.boxes and not self.deaf:
            self.lanes[account].on_messages(_CallbackLink(answered), [message])
        try:
            async with asyncio.timeout(PATIENCE_S):
                answer = await answered
        except TimeoutError:
            wire.callbacks.append(503)
            return web.Response(status=503)
        wire.callbacks.append(answer.status)
        return web.Response(
            status=answer.status,
            body=answer.body,
            headers={"Content-Type": answer.content_type},
        )

    # --- what a test does -------------------------------------------------------------------------

    @property
    def first(self) -> Wire:
        """The way to the account that is asked first."""
        return self.wires[ACCOUNTS[0]]

    def cut(self, cut: Cut, operation: str, *, times: int = 1, then: Any = None) -> Rule:
        """Cut the next such exchange with either account; the rule is the first one's."""
        paths = self.first.rig.paths
        first, _ = (
            wire.proxy.cut(cut, matching=paths[operation], times=times, then=then)
            for wire in self.wires.values()
        )
        return first

    def cut_and_die(self, cut: Cut, operation: str, victims: tuple[str, ...]) -> Rule:
        """Cut the wire, and in this very moment the victims die, too."""

        def die() -> None:
            self.crashed = True
            if victims:  # Without names, everything would die.
                self.kill(*victims)

        self.crashed = not victims
        return self.cut(cut, operation, then=die)

    def heal(self) -> None:
        for wire in self.wires.values():
            wire.proxy.heal()

    def asked(self, operation: str) -> list[bytes]:
        """Every request of this kind that reached a proxy."""
        path = self.first.rig.paths[operation]
        return [
            exchange.request
            for wire in self.wires.values()
            for exchange in wire.proxy.exchanges
            if path in exchange.request
        ]

    def payment(self, **asked: Any) -> tuple[Pay, str]:
        rig = self.first.rig
        if asked.get("way", "barcode") == "barcode" and "code" not in asked:
            ending = asked.pop("ending", "0000")
            asked["code"] = auth_code(rig, self.unique(), ending)
        command, key = super().payment(**asked)
        if command.way != "barcode":
            command = replace(command, wallet=rig.wallet)
        return command, key

    def pays(self, number: str, verb: str = "pay") -> str:
        """The payer acts at the channel; why that cannot be, or nothing."""

        async def act() -> str:
            for wire in self.wires.values():
                for order in wire.sandbox.books.all_with(number):
                    return wire.sandbox.engine.act(order, verb)
            return "there is no such order"

        return self.loop.run_until_complete(act())

    def taken(self) -> dict[str, dict[str, Book]]:
        async def look() -> dict[str, dict[str, Book]]:
            return {
                account: {book.out_trade_no: book for book in wire.sandbox.engine.books()}
                for account, wire in self.wires.items()
            }

        return self.loop.run_until_complete(look())

    def settle(self, seconds: float = 500) -> list[str]:
        self.heal()
        return super().settle(seconds)


class _CallbackLink:
    """The front door's end of a link to a lane, for one callback."""

    peer_role = "front_door"
    peer_name = "front-door-0"

    def __init__(self, answered: "asyncio.Future[CallbackAnswered]") -> None:
        self._answered = answered

    def send(self, message: Message) -> bool:
        if isinstance(message, CallbackAnswered) and not self._answered.done():
            self._answered.set_result(message)
        return True
