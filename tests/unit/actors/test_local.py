"""Wires in memory behave like sockets: in order, one tick a hop, and lost when a box dies."""

import asyncio

import pytest

from actors.link import Identity
from actors.local import LocalHost, LocalNetwork, LocalSystem, wire_pair
from actors.net import FRAME_MAX
from actors.process import Boxed, Spec
from payments.clock import SystemClock
from virtual_loop import VirtualLoop


class Ear:
    def __init__(self):
        self.heard, self.lost = [], []

    def on_frame(self, frame):
        self.heard.append(frame)

    def on_lost(self, reason):
        self.lost.append(reason)

    def on_writable(self):
        self.heard.append("writable")


@pytest.fixture
def loop():
    made = VirtualLoop()
    yield made
    assert [] == made.failures
    made.finish()


async def tick(times=3):
    for _ in range(times):
        await asyncio.sleep(0)


def test_frames_arrive_in_order_and_not_in_the_same_tick(loop):
    """At least one tick a hop, as over a socket; early frames wait for their listener."""

    async def run():
        near, far = wire_pair()
        ear = Ear()
        near.send(b"1")
        near.send(b"2")
        assert [] == ear.heard
        await tick()
        far.bind(ear)
        near.send(b"3")
        assert [b"1", b"2"] == ear.heard
        await tick()
        assert [b"1", b"2", b"3"] == ear.heard
        with pytest.raises(AssertionError):
            near.send(bytes(FRAME_MAX + 1))

    loop.run_until_complete(run())


def test_a_closed_wire_is_lost_on_both_sides_once(loop):
    """And nothing is heard after it."""

    async def run():
        near, far = wire_pair()
        ears = Ear(), Ear()
        near.bind(ears[0])
        far.bind(ears[1])
        near.close()
        near.close()
        far.send(b"late")
        await tick()
        assert (1, 1) == (len(ears[0].lost), len(ears[1].lost))
        assert [] == ears[0].heard

    loop.run_until_complete(run())


def test_nobody_listens_where_nobody_listens(loop):
    """Dialing refuses as a socket would."""

    async def run():
        with pytest.raises(ConnectionRefusedError):
            await LocalNetwork().dial("shard-0")

    loop.run_until_complete(run())


def test_a_crashed_host_is_silent_and_its_peers_hear_of_it(loop):
    """Cut wires, no listener, no new dials; the far sides are told, the near ones are not."""

    async def run():
        network = LocalNetwork()
        dead, other = LocalHost(network), LocalHost(network)
        accepted = []
        await dead.listen("dead", accepted.append)
        wire = await other.dial("dead")
        ears = Ear(), Ear()
        wire.bind(ears[0])
        accepted[0].bind(ears[1])
        dead.crash()
        wire.send(b"anybody?")
        await tick()
        assert 1 == len(ears[0].lost)
        assert ([], []) == (ears[1].heard, ears[1].lost)
        with pytest.raises(ConnectionRefusedError):
            await other.dial("dead")
        with pytest.raises(ConnectionAbortedError):
            await dead.dial("dead")

    loop.run_until_complete(run())


def test_an_old_listener_does_not_close_the_door_of_the_next(loop):
    """The next incarnation listens at the same address before the last one is cleaned up."""

    async def run():
        network = LocalNetwork()
        old = await network.listen("shard-0", lambda wire: None)
        await network.listen("shard-0", lambda wire: None)
        await old.close()
        await network.dial("shard-0")
        return True

    assert loop.run_until_complete(run())


class Nobody:
    def on_link(self, link):
        """Nothing to say."""

    def on_messages(self, link, messages):
        """Nothing to hear."""

    def on_link_lost(self, link):
        """Nothing to mourn."""


@pytest.mark.parametrize("how", ["killed", "failed"])
def test_a_box_that_dies_gives_back_what_the_system_would_take(loop, how):
    """Locks and handles are let go; no step of a clean end is taken."""
    steps = []

    async def drain(_):
        steps.append("drained")

    def build(spec, host):
        box = Boxed(spec, Identity("x", spec.name, b"s"), host, str, Nobody(), dict, drain)

        async def close():
            steps.append("closed")

        async def fail():
            await asyncio.sleep(1 if how == "failed" else 1_000)
            raise OSError("the disk is gone")

        box._report = asyncio.Event().wait
        box.tasks.append(fail)
        box.after.append(close)
        box.abandon.append(lambda: steps.append("abandoned"))
        return box

    async def run():
        system = LocalSystem(LocalNetwork(), SystemClock())
        handle = system.spawn(build, lambda host, *_: host, Spec("x", "x-0", 0, 0, "", ""))
        await asyncio.sleep(0.5)
        if how == "killed":
            handle.kill()
        return await handle.ended()

    reason = loop.run_until_complete(run())
    assert (how == "killed") is (reason == "killed")
    assert ["abandoned"] == steps
