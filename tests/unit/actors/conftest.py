"""A directory with fake links, for the tests of the directory."""

import asyncio
import contextlib
import json
from pathlib import Path
from typing import Any

import pytest

from actors.directory import DirectoryActor, Limits
from actors.messages import (
    Answer,
    Changes,
    ClockQuiet,
    ClockSet,
    DirectoryAsk,
    Refusal,
    Subscribe,
    decoder,
    encoder,
)
from actors.snapshot import Reference
from payments.clock import ManualClock
from payments.ids import IdMint, SeededEntropy
from payments.reference import Key, KeyOwner, KeyType
from payments.storage.directory import DirectoryStore

NOW_MS = 1_795_000_000_000


class FakeLink:
    """The directory's side of a link: keeps what was sent, as the codec would deliver it."""

    def __init__(self, directory: DirectoryActor, name: str, role: str) -> None:
        self.peer_name = name
        self.peer_role = role
        self.directory = directory
        self.sent: list[Any] = []
        self.room = 1_000_000
        self.timers: list[int] = []
        self.is_mute = False
        self.fired: list[tuple[int, int]] = []
        self.reference: Reference | None = None
        self.frames_max = 0

    def send(self, message: Any) -> bool:
        if self.room <= 0:
            return False
        self.room -= 1
        frame = encoder.encode([message])
        self.frames_max = max(self.frames_max, len(frame))
        (arrived,) = decoder.decode(frame)
        self.sent.append(arrived)
        if isinstance(arrived, Changes) and self.reference is not None:
            self.reference.take(arrived)
        if isinstance(arrived, ClockSet) and self.peer_role != "front" and not self.is_mute:
            asyncio.get_running_loop().call_soon(self.fire, arrived)
        return True

    def fire(self, message: ClockSet) -> None:
        """A timed actor: fires what is due, says when the next one is."""
        now = NOW_MS + message.offset_ms
        self.fired += [(now, timer) for timer in self.timers if timer <= now]
        self.timers = [timer for timer in self.timers if timer > now]
        quiet = ClockQuiet(message.step, min(self.timers, default=None))
        self.directory.on_messages(self, [quiet])

    def all(self, kind: type) -> list[Any]:
        return [message for message in self.sent if isinstance(message, kind)]


class World:
    """A directory over a store, an operator's key to ask with, and links that keep what came."""

    def __init__(self, path: Path | None, *, livemode: bool = False) -> None:
        self.path = path
        self.livemode = livemode
        self.clock = ManualClock(NOW_MS)
        self.limits = Limits(heartbeat_s=0.01, feed_pause_s=0.001)
        self.mint = IdMint(SeededEntropy(7))
        self.operator = self.mint.new("key", NOW_MS, 0)
        self.ref = 0

    async def start(self) -> DirectoryActor:
        """Open, plant the operator at the first start, and run."""
        self.store = DirectoryStore(self.path, livemode=self.livemode, clock=self.clock)
        self.directory = DirectoryActor(
            self.store,
            self.clock,
            self.mint,
            SeededEntropy(8),
            self.limits,
            livemode=self.livemode,
        )
        self.directory.open(plant=[an_operator(self.operator)])
        self.task = asyncio.create_task(self.directory.run())
        self.front = self.link("front-0", "front")
        return self.directory

    async def stop(self) -> None:
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task
        self.store.close()

    def link(self, name: str, role: str, since: int | None = None) -> FakeLink:
        """A link; with `since` it subscribes and keeps a Reference."""
        link = FakeLink(self.directory, name, role)
        self.directory.on_link(link)
        if since is not None:
            link.reference = Reference(self.clock)
            self.directory.on_messages(link, [Subscribe(name, since)])
        return link

    async def ask(self, op: str, body: Any = None, **fields: Any) -> Answer | Refusal:
        """Ask as the operator, or as `caller`, and wait for the answer."""
        (answer,) = await self.ask_all([(op, body, fields)])
        return answer

    async def ask_all(
        self, questions: list[tuple[str, Any, dict[str, Any]]]
    ) -> list[Answer | Refusal]:
        """Several asks in one frame."""
        asks = []
        for op, body, fields in questions:
            self.ref += 1
            known = {"caller": self.operator, "merchant": None, "target": None} | fields
            raw = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
            asks.append(DirectoryAsk(self.ref, op, body=raw, **known))
        self.directory.on_messages(self.front, asks)
        wanted = {ask.ref for ask in asks}
        async with asyncio.timeout(60):
            while True:
                answers = {m.ref: m for m in self.front.sent if getattr(m, "ref", None) in wanted}
                if len(answers) == len(wanted):
                    return [answers[ask.ref] for ask in asks]
                await asyncio.sleep(0)

    async def made(self, op: str, body: Any, **fields: Any) -> dict[str, Any]:
        """The object that a creation answered with."""
        answer = await self.ask(op, body, **fields)
        assert isinstance(answer, Answer), answer
        assert answer.status == 201
        return dict(json.loads(answer.body))


def an_operator(identifier: str) -> Key:
    return Key(
        identifier, KeyType.BEARER, KeyOwner.OPERATOR, "", b"o" * 32, (), roles=("operator",)
    )


async def until(condition: Any) -> None:
    """Let the loop turn until something is so."""
    async with asyncio.timeout(60):
        while True:
            if condition():
                return
            await asyncio.sleep(0.001)


@pytest.fixture
def until_true():
    return until


@pytest.fixture
async def world(tmp_path):
    """A directory on a file."""
    made = World(tmp_path / "directory.db")
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def live_world(tmp_path):
    """A directory of a live deployment."""
    made = World(tmp_path / "directory.db", livemode=True)
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
def make_world():
    return World


@pytest.fixture
def now_ms():
    return NOW_MS
