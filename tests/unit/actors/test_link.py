"""Links: who may speak, in which frames, and what happens when the other side is slow or gone."""

import asyncio
import logging

import pytest

from actors import link as link_module
from actors.link import HANDSHAKE_TIMEOUT_S, OUTBOX_MAX, Dialer, Identity, Link, serve
from actors.local import LocalNetwork
from actors.messages import Answer, Hello, Ping, decoder, encoder
from actors.net import FRAME_MAX
from virtual_loop import VirtualLoop

SECRET = b"the secret of the cluster"


class Box:
    """A handler that keeps what it is told."""

    def __init__(self):
        self.up, self.got, self.lost = [], [], []

    def on_link(self, link):
        self.up.append(link)

    def on_messages(self, link, messages):
        self.got.extend(messages)

    def on_link_lost(self, link):
        self.lost.append(link)


class Tap:
    """A wire that keeps its frames."""

    def __init__(self):
        self.writable = True
        self.frames = []
        self.closed = False
        self.events = None

    def bind(self, events):
        self.events = events

    def send(self, frame):
        self.frames.append(frame)

    def send_now(self, frame):
        self.frames.append(frame)

    def close(self):
        self.closed = True

    def messages(self):
        return [message for frame in self.frames for message in decoder.decode(frame)]


@pytest.fixture
def loop():
    made = VirtualLoop()
    yield made
    assert [] == made.failures
    made.finish()


def connected(loop, near_secret=SECRET, far_secret=SECRET):
    """A dialer and an acceptor over a wire in memory."""
    network, near, far = LocalNetwork(), Box(), Box()

    async def start():
        await serve(network, "shard-0", far, Identity("shard", "shard-0", far_secret, 3))
        dialer = Dialer(network, lambda: "shard-0", near, Identity("lane", "lane-a", near_secret))
        task = asyncio.get_running_loop().create_task(dialer.run())
        await asyncio.sleep(0.1)
        return dialer, task

    dialer, task = loop.run_until_complete(start())
    return dialer, task, near, far


def up(loop, tap, dialing=True):
    """A link over a tap, made to believe that its handshake is done."""
    box = Box()

    async def make():
        return Link(tap, box, Identity("lane", "lane-a", SECRET), dialing=dialing)

    link = loop.run_until_complete(make())
    link._state = "up"
    tap.frames.clear()
    return link, box


def test_both_sides_know_each_other_after_the_handshake(loop):
    """Role, name and incarnation are said once and proven."""
    dialer, _, near, far = connected(loop)

    assert dialer.link is near.up[0]
    assert ("shard", "shard-0") == (near.up[0].peer_role, near.up[0].peer_name)
    assert ("lane", "lane-a") == (far.up[0].peer_role, far.up[0].peer_name)
    assert 3 == near.up[0].peer.incarnation
    assert SECRET.decode() not in repr(Identity("lane", "lane-a", SECRET))


@pytest.mark.parametrize(("near", "far"), [(b"wrong", SECRET), (SECRET, b"wrong")])
def test_without_the_secret_nobody_gets_in(loop, near, far):
    """Neither a stranger that dials nor one that listens at our address."""
    dialer, _, one, other = connected(loop, near, far)

    assert dialer.link is None
    assert ([], []) == (one.up, other.up)


def speak(loop, *messages, raw=None):
    """An acceptor to which a stranger says something; returns its tap and handler."""
    tap, box = Tap(), Box()

    async def make():
        link = Link(tap, box, Identity("shard", "shard-0", SECRET), dialing=False)
        if raw is not None:
            link.on_frame(raw)
        for message in messages:
            link.on_frame(encoder.encode([message]))

    loop.run_until_complete(make())
    return tap, box


def hello(**changes):
    fields = {"role": "lane", "name": "lane-a", "incarnation": 0, "epoch": 0}
    fields |= {"protocol_min": 1, "protocol_max": 1, "map_version": 1, "challenge": b"c" * 16}
    return Hello(**(fields | changes))


@pytest.mark.parametrize(
    "raw", [b"", b"garbage", b"\xc1" * 40, encoder.encode({"a": 1}), b"\x91\x93\xcc\xff\x01\x02"]
)
def test_garbage_ends_the_link_before_anybody_hears_of_it(loop, raw):
    """What is no list of messages is no link."""
    tap, box = speak(loop, raw=raw)

    assert tap.closed
    assert ([], [], []) == (box.up, box.got, box.lost)


def test_nothing_is_taken_before_the_handshake(loop):
    """A message of business from a stranger ends the link."""
    tap, box = speak(loop, Ping(1))

    assert tap.closed
    assert [] == box.got


@pytest.mark.parametrize(("lowest", "highest"), [(2, 9), (0, 0)])
def test_a_peer_that_shares_no_protocol_is_refused(loop, lowest, highest):
    """Ranges must meet: an upgrade may be one release apart, not two."""
    tap, _ = speak(loop, hello(protocol_min=lowest, protocol_max=highest))
    assert tap.closed

    tap, _ = speak(loop, hello(protocol_min=0, protocol_max=9))
    assert not tap.closed


def test_a_proof_for_one_side_is_no_proof_for_the_other(loop):
    """Our own proof, sent back to us, does not open the door."""
    tap, box = Tap(), Box()

    async def make():
        link = Link(tap, box, Identity("shard", "shard-0", SECRET), dialing=False)
        link.on_frame(encoder.encode([hello()]))
        (mine,) = tap.messages()
        link.on_frame(encoder.encode([hello(role="shard", name="shard-0", proof=mine.proof)]))

    loop.run_until_complete(make())
    assert tap.closed
    assert [] == box.up


def test_who_does_not_prove_itself_in_time_holds_no_wire(loop):
    """A silent stranger is cut off; a proven peer stays."""
    tap, _ = speak(loop)
    dialer, _, _, _ = connected(loop)
    loop.run_until_complete(asyncio.sleep(HANDSHAKE_TIMEOUT_S + 1))

    assert tap.closed
    assert dialer.link is not None


def test_what_is_said_in_one_tick_is_one_frame_in_order(loop):
    """Batching is what makes a link cheap."""
    tap = Tap()
    link, _ = up(loop, tap)

    async def say():
        for ref in range(100):
            assert link.send(Ping(ref))
        await asyncio.sleep(0)

    loop.run_until_complete(say())
    assert 1 == len(tap.frames)
    assert list(range(100)) == [message.ref for message in tap.messages()]


def test_what_is_flushed_has_left_before_the_tick_is_over(loop):
    """Once: the tick's own end has nothing left to send. A slow peer's messages stay."""
    tap = Tap()
    link, _ = up(loop, tap)

    async def say():
        link.send(Ping(1))
        link.flush()
        link.flush()
        assert [1] == [message.ref for message in tap.messages()]
        tap.writable = False
        link.send(Ping(2))
        link.flush()
        assert 1 == link.queued
        tap.writable = True
        await asyncio.sleep(0)

    loop.run_until_complete(say())
    assert [1, 2] == [message.ref for message in tap.messages()]
    assert 2 == len(tap.frames)


def test_a_batch_over_a_frame_is_split_and_keeps_its_order(loop):
    """No frame is over 1 MiB; the receiver would cut the wire."""
    tap = Tap()
    link, _ = up(loop, tap)

    async def say():
        for ref in range(40):
            link.send(Answer(ref, 200, bytes(100_000)))
        await asyncio.sleep(0)

    loop.run_until_complete(say())
    assert len(tap.frames) >= 4
    assert max(map(len, tap.frames)) <= FRAME_MAX
    assert list(range(40)) == [message.ref for message in tap.messages()]


def test_a_message_over_a_frame_does_not_take_others_with_it(loop, caplog):
    """It is a bug of whoever made it: logged, and the rest of the tick arrives."""
    tap = Tap()
    link, _ = up(loop, tap)

    async def say():
        link.send(Ping(1))
        link.send(Answer(2, 200, bytes(FRAME_MAX)))
        link.send(Ping(3))
        await asyncio.sleep(0)

    with caplog.at_level(logging.ERROR):
        loop.run_until_complete(say())
    assert [1, 3] == [message.ref for message in tap.messages()]
    assert "Answer" in caplog.text


def test_a_slow_peer_is_not_written_to_and_gets_everything_later(loop):
    """pause_writing is honored: what waits, waits in the link, in order."""
    tap = Tap()
    link, _ = up(loop, tap)

    async def say():
        tap.writable = False
        link.send(Ping(1))
        await asyncio.sleep(0)
        link.send(Ping(2))
        await asyncio.sleep(0)
        assert [] == tap.frames
        assert 2 == link.queued
        tap.writable = True
        link.on_writable()

    loop.run_until_complete(say())
    assert [1, 2] == [message.ref for message in tap.messages()]


def test_the_outbox_is_bounded(loop):
    """A peer that never reads costs a bounded amount of memory, and the sender hears of it."""
    tap = Tap()
    tap.writable = False
    link, _ = up(loop, tap)

    async def say():
        return [link.send(Ping(ref)) for ref in range(OUTBOX_MAX + 10)]

    said = loop.run_until_complete(say())
    assert [True] * OUTBOX_MAX + [False] * 10 == said


def test_a_link_that_is_down_takes_nothing(loop):
    """False means: certainly not sent."""
    tap = Tap()
    link, box = up(loop, tap)

    async def lose():
        link.on_lost("cut")
        return link.send(Ping(1))

    assert loop.run_until_complete(lose()) is False
    assert [link] == box.lost


def test_a_lost_link_is_dialed_again(loop):
    """The dialer keeps one link to an address, with growing pauses, until it is closed."""
    dialer, task, near, far = connected(loop)

    async def lose():
        far.up[0].close()
        await asyncio.sleep(link_module.REDIAL_MAX_S)

    loop.run_until_complete(lose())
    assert 2 == len(near.up)
    assert 1 == len(near.lost)
    assert dialer.link is near.up[1]
    dialer.close()
    loop.run_until_complete(task)
    assert dialer.link is None
