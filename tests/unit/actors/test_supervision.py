"""The supervisor over LocalSystem: deaths, new incarnations, numbers, hopeless boxes, the drain."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from actors import process, supervision
from actors.link import Identity, Link
from actors.local import LocalNetwork, LocalSystem
from actors.process import Boxed, Spec
from actors.supervision import Supervisor
from payments.clock import SystemClock

SECRET = b"for tests"
PATIENCE_S = 60


class Quiet:
    """A handler nobody talks to."""

    def on_link(self, link: Link) -> None: ...
    def on_messages(self, link: Link, messages: list[Any]) -> None: ...
    def on_link_lost(self, link: Link) -> None: ...


class World:
    """Toy boxes, a supervisor over them, and a diary of what happened."""

    def __init__(self) -> None:
        self.diary: list[str] = []
        self.readiness: dict[str, float] = {}
        self.logged: list[dict[str, Any]] = []
        self.heard: list[tuple[str, str, int]] = []
        self.gone_boxes: list[str] = []
        self.hopeless: list[str] = []
        self.refused: set[str] = set()
        self.born: list[Spec] = []
        self.never_drained = False
        self.before: Callable[[], Any] | None = None
        self.network = LocalNetwork()
        roles = ("front_door", "shard", "lane", "courier", "directory")
        self.supervisor = Supervisor(
            LocalSystem(self.network, SystemClock()),
            self.network,
            "supervisor",
            Identity("supervisor", "supervisor", SECRET),
            SystemClock(),
            lambda network, *_: network,
            dict.fromkeys(roles, self.build),
            lambda event, **facts: self.logged.append({"event": event, **facts}),
            self,
            self.hopeless.append,
        )

    def build(self, spec: Spec, network: Any) -> Boxed:
        self.born.append(spec)
        if spec.name in self.refused:
            raise RuntimeError("the store is newer than this release")

        async def drain(timeout_s: float) -> None:
            self.diary.append(f"drain {spec.name}")
            if self.never_drained:
                await asyncio.Event().wait()

        async def after() -> None:
            self.diary.append(f"stop {spec.name}")

        identity = Identity(spec.role, spec.name, SECRET, spec.incarnation)

        def numbers() -> dict[str, float]:
            return {"ready": self.readiness.get(spec.name, 1.0)}

        box = Boxed(spec, identity, network, str, Quiet(), numbers, drain)
        box.after.append(after)
        if self.before is not None:
            box.before.append(self.before)
        return box

    def take(self, box: str, role: str, incarnation: int, values: dict[str, float]) -> None:
        self.heard.append((box, role, incarnation))

    def gone(self, box: str) -> None:
        self.gone_boxes.append(box)

    async def start(self, *names: str) -> None:
        specs = [Spec(name.split(".")[0], name, 0, 1, "", "") for name in names]
        await self.supervisor.start(specs)


async def until(condition: Callable[[], Any]) -> None:
    """Wait for something that the supervisor does by itself."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - nobody would set an event for it
            await asyncio.sleep(0.005)


@pytest.fixture
async def world():
    made = World()
    yield made
    await made.supervisor.end()


async def test_a_killed_box_comes_back_as_the_next_incarnation(world):
    """It reports again, its restart is counted, and who keeps its numbers learns of both."""
    await world.start("shard.0", "directory")
    assert await world.supervisor.wait_ready(5)

    world.supervisor.handles["shard.0"].kill()
    await until(lambda: world.supervisor.restarts["shard.0"])
    assert world.supervisor.checks()["shard.0"] is False
    assert await world.supervisor.wait_ready(5)

    assert [spec.incarnation for spec in world.born if spec.name == "shard.0"] == [1, 2]
    assert ("shard.0", "shard", 2) in world.heard
    assert world.gone_boxes == ["shard.0"]
    assert world.supervisor.restarts_by_role()["shard"] == 1
    assert [each["actor"] for each in world.logged] == ["shard.0"]


async def test_a_box_that_never_comes_up_ends_the_start(world, monkeypatch):
    """A wrong release or a damaged file gets no better by trying: the reason is told."""
    monkeypatch.setattr(supervision, "RESTART_WAIT_MAX_S", 0.01)
    monkeypatch.setattr(supervision, "RESTART_WAIT_S", 0.001)
    world.refused.add("shard.0")

    await world.start("shard.0", "directory")
    await until(lambda: world.hopeless)

    assert world.hopeless == [
        "shard.0 does not start: RuntimeError: the store is newer than this release"
    ]
    assert len([spec for spec in world.born if spec.name == "shard.0"]) == 8


async def test_a_box_that_was_ready_once_is_never_given_up(world, monkeypatch):
    """What worked before may work again, when the disk has room or the other side is back."""
    monkeypatch.setattr(supervision, "RESTART_WAIT_MAX_S", 0.001)
    monkeypatch.setattr(supervision, "RESTART_WAIT_S", 0.001)
    await world.start("shard.0")
    assert await world.supervisor.wait_ready(5)
    world.refused.add("shard.0")

    world.supervisor.handles["shard.0"].kill()
    await until(lambda: world.supervisor.restarts["shard.0"] >= 20)
    world.refused.clear()

    assert await world.supervisor.wait_ready(5)
    assert world.hopeless == []


async def test_who_asks_is_drained_before_who_is_asked(world):
    """Front doors, shards, lanes, courier, directory; all are drained before any is stopped."""
    await world.start("directory", "courier", "lane.0", "shard.0", "front_door.0")
    assert await world.supervisor.wait_ready(5)

    await world.supervisor.drain(1.0)

    order = ["front_door.0", "shard.0", "lane.0", "courier", "directory"]
    assert world.diary == [f"drain {name}" for name in order] + [f"stop {name}" for name in order]
    assert not any(world.supervisor.restarts.values())


async def test_a_drain_does_not_wait_for_the_word_of_a_box_that_died(world):
    """With Ray's raylet all boxes die within a moment of being told to drain."""
    await world.start("shard.0", "directory")
    assert await world.supervisor.wait_ready(PATIENCE_S)
    world.never_drained = True
    drain = asyncio.create_task(world.supervisor.drain(10 * PATIENCE_S))
    await until(lambda: "drain shard.0" in world.diary)

    world.supervisor.handles["shard.0"].kill()
    await until(lambda: "drain directory" in world.diary)
    world.supervisor.handles["directory"].kill()

    async with asyncio.timeout(PATIENCE_S):
        await drain


async def test_a_drain_does_not_wait_for_a_box_that_cannot_be_told(world, monkeypatch):
    """One that was still starting is killed, and the reason is said."""
    monkeypatch.setattr(supervision, "STOP_PATIENCE_S", 10 * PATIENCE_S)
    started = asyncio.Event()

    async def never() -> None:
        started.set()
        await asyncio.Event().wait()

    world.before = never
    await world.start("shard.0")
    async with asyncio.timeout(PATIENCE_S):
        await started.wait()

        await world.supervisor.drain(10 * PATIENCE_S)

    assert [(each["actor"], each["reason"]) for each in world.logged] == [
        ("shard.0", "it had no link to be told")
    ]


async def test_a_box_says_at_once_when_it_is_ready(world, monkeypatch):
    """Until then it reports often: nobody waits for its next report to be due."""
    monkeypatch.setattr(process, "REPORT_S", 3_600)
    world.readiness["shard.0"] = 0.0
    await world.start("shard.0", "lane.0")
    await until(lambda: world.supervisor.checks() == {"shard.0": False, "lane.0": True})

    world.readiness["shard.0"] = 1.0
    assert await world.supervisor.wait_ready(PATIENCE_S)
