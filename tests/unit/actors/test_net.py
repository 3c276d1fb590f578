"""Sockets: frames over a stream however it is cut, bounded, and an address that is never empty."""

import asyncio
import contextlib
import fcntl
import os
import resource
import socket
import stat
from types import SimpleNamespace

import pytest

from actors.net import (
    FRAME_MAX,
    ClientListener,
    SocketNetwork,
    SocketWire,
    reserve_tcp,
    shared_socket,
)


class Ear:
    def __init__(self):
        self.heard, self.lost, self.writable = [], [], 0
        self.news = asyncio.Event()

    def on_frame(self, frame):
        self.heard.append(frame)
        self.news.set()

    def on_lost(self, reason):
        self.lost.append(reason)
        self.news.set()

    def on_writable(self):
        self.writable += 1
        self.news.set()

    async def until(self, condition):
        async with asyncio.timeout(60):
            while not condition():
                self.news.clear()
                await self.news.wait()


class Transport:
    """Stands for a connection that is not there."""

    def __init__(self):
        self.written, self.aborted = b"", False

    def write(self, data):
        self.written += data

    def abort(self):
        self.aborted = True

    def close(self):
        self.aborted = True

    def set_write_buffer_limits(self, high):
        self.high = high


def framed(*frames):
    return b"".join(len(frame).to_bytes(4, "big") + frame for frame in frames)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 64, 10_000])
async def test_frames_are_whole_however_the_stream_is_cut(size):
    """TCP has no messages: the wire has."""
    wire, ear = SocketWire(set()), Ear()
    wire.connection_made(Transport())
    wire.bind(ear)
    frames = [b"", b"a", b"b" * 300, b"c" * 4_000]
    stream = framed(*frames)
    for at in range(0, len(stream), size):
        wire.data_received(stream[at : at + size])

    assert frames == ear.heard


@pytest.fixture
async def dialed(tmp_path):
    """A wire, and the other end of it as a plain socket that nobody reads."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        wire = await SocketNetwork().dial(f"unix:{tmp_path / 's'}")
        wire.bind(Ear())
        other, _ = listener.accept()
        with other:
            other.setblocking(False)
            yield wire, other
            wire.close()
            await asyncio.sleep(0)


async def read_until(other, size):
    """So many bytes, while the loop writes them."""
    got = b""
    async with asyncio.timeout(60):
        while len(got) < size:
            got += await asyncio.get_running_loop().sock_recv(other, 1 << 20)
    return got


async def test_what_is_sent_now_is_there_before_the_loop_turns(dialed):
    """An ordinary frame leaves when the loop gets to it; with uvloop that is later."""
    wire, other = dialed
    wire.send_now(b"at once")

    assert framed(b"at once") == other.recv(100)


async def test_nothing_sent_now_overtakes_what_waits(dialed):
    """The other end is slow: what does not fit waits, and all of it arrives in its order."""
    wire, other = dialed
    frames = [letter * (FRAME_MAX - 10) for letter in (b"a", b"b", b"c")]
    for frame in frames:
        wire.send_now(frame)
    got = b""
    with contextlib.suppress(BlockingIOError):  # Everything that was there is read.
        while True:
            got += other.recv(1 << 20)
    assert 100 < len(got) < FRAME_MAX, "there is room now, and the loop has not turned"
    wire.send(b"last")
    wire.send_now(b"very last")
    whole = framed(*frames, b"last", b"very last")

    assert whole == got + await read_until(other, len(whole) - len(got))


async def test_a_lost_wire_writes_into_nobody_elses_file(dialed):
    """The number of its socket may be another file's by now."""
    wire, other = dialed
    wire.send_now(b"x")
    number = wire._file
    wire.close()
    other.close()
    await asyncio.sleep(0.01)
    read, write = os.pipe2(os.O_NONBLOCK)
    try:
        # Whichever of them got the number, or a copy of the end that takes bytes.
        reader = fcntl.fcntl(read, fcntl.F_DUPFD_CLOEXEC, number + 1)
        os.dup2(write, number)
        wire.send_now(b"a secret")
        with pytest.raises(BlockingIOError):
            os.read(reader, 100)
    finally:
        for file in {read, write, number, reader}:
            os.close(file)


async def test_a_wire_whose_peer_is_gone_is_lost_not_raised(dialed):
    """The transport meets the same error, and tells."""
    wire, other = dialed
    ear = wire._events
    other.close()
    wire.send_now(b"x")
    await ear.until(lambda: ear.lost)

    assert 1 == len(ear.lost)


async def test_a_frame_over_the_limit_cuts_the_wire():
    """Before its bytes are read: nobody fills our memory."""
    wire, ear, transport = SocketWire(set()), Ear(), Transport()
    wire.connection_made(transport)
    wire.bind(ear)
    wire.data_received(framed(b"good") + (FRAME_MAX + 1).to_bytes(4, "big") + b"x")

    assert [b"good"] == ear.heard
    assert 1 == len(ear.lost)
    assert transport.aborted


async def test_frames_that_come_before_anybody_listens_wait():
    """The acceptor binds a tick later."""
    wire, ear = SocketWire(set()), Ear()
    wire.connection_made(Transport())
    wire.data_received(framed(b"early"))
    wire.bind(ear)

    assert [b"early"] == ear.heard


@pytest.mark.parametrize("kind", ["unix", "tcp"])
async def test_a_dialed_wire_carries_frames_both_ways_until_it_is_lost(kind, tmp_path):
    """The same over both kinds of address."""
    network, ears, accepted = SocketNetwork(), (Ear(), Ear()), []
    address = f"unix:{tmp_path / 's'}"
    if kind == "tcp":
        with socket.create_server(("127.0.0.1", 0)) as free:
            address = f"tcp:127.0.0.1:{free.getsockname()[1]}"

    def accept(wire):
        wire.bind(ears[1])
        accepted.append(wire)

    listener = await network.listen(address, accept)
    wire = await network.dial(address)
    wire.bind(ears[0])
    wire.send(b"hello")
    await ears[1].until(lambda: ears[1].heard)
    accepted[0].send(b"x" * FRAME_MAX)
    await ears[0].until(lambda: ears[0].heard)
    assert ([b"hello"], FRAME_MAX) == (ears[1].heard, len(ears[0].heard[0]))

    wire.close()
    await ears[1].until(lambda: ears[1].lost)
    await listener.close()
    with pytest.raises(OSError, match=r"."):
        await network.dial(address)


async def test_a_box_that_ended_hears_nothing_more_and_its_peers_lose_it(tmp_path):
    """Its process lives on with others: what it accepted and what it dialed are gone alike."""
    ended, peer = SocketNetwork(), SocketNetwork()
    at_ended, at_peer, theirs, ours = Ear(), Ear(), Ear(), Ear()
    listeners = [
        await ended.listen(f"unix:{tmp_path / 'ended'}", lambda wire: wire.bind(at_ended)),
        await peer.listen(f"unix:{tmp_path / 'peer'}", lambda wire: wire.bind(at_peer)),
    ]
    to_it = await peer.dial(f"unix:{tmp_path / 'ended'}")
    to_it.bind(theirs)
    from_it = await ended.dial(f"unix:{tmp_path / 'peer'}")
    from_it.bind(ours)
    to_it.send(b"first")
    from_it.send(b"first")
    for ear in (at_ended, at_peer):
        await ear.until(lambda ear=ear: ear.heard)

    to_it.send(b"too late")
    ended.cut()

    await theirs.until(lambda: theirs.lost)
    await at_peer.until(lambda: at_peer.lost)
    assert (at_ended.heard, at_ended.lost, ours.lost) == ([b"first"], [], [])
    await asyncio.sleep(0)
    assert not ended._open
    for listener in listeners:
        await listener.close()


async def test_an_address_passes_to_the_next_owner_without_a_gap(tmp_path):
    """Bound under another name and renamed; only we may connect."""
    network, path = SocketNetwork(), tmp_path / "shard-0"
    first = await network.listen(f"unix:{path}", lambda wire: wire.bind(Ear()))
    inode = os.stat(path).st_ino
    accepted, news = [], asyncio.Event()

    def accept(wire):
        accepted.append(wire)
        news.set()

    second = await network.listen(f"unix:{path}", accept)

    assert inode != os.stat(path).st_ino
    assert 0o600 == stat.S_IMODE(os.stat(path).st_mode)
    assert ["shard-0"] == [found.name for found in tmp_path.iterdir()]
    await first.close()
    dialed = await network.dial(f"unix:{path}")  # The first took away its own name alone.
    await news.wait()
    accepted[0].close()
    dialed.close()
    await second.close()
    assert not path.exists()


async def test_a_slow_reader_pauses_the_wire_and_resumes_it(tmp_path):
    """The link above waits meanwhile."""
    network, ears, accepted = SocketNetwork(), (Ear(), Ear()), []
    news = asyncio.Event()

    def accept(wire):
        accepted.append(wire)
        news.set()

    listener = await network.listen(f"unix:{tmp_path / 's'}", accept)
    wire = await network.dial(f"unix:{tmp_path / 's'}")
    wire.bind(ears[0])
    await news.wait()
    accepted[0]._transport.pause_reading()
    for _ in range(8):
        wire.send(b"x" * FRAME_MAX)
    assert not wire.writable

    accepted[0].bind(ears[1])
    accepted[0]._transport.resume_reading()
    await ears[0].until(lambda: wire.writable)
    await ears[1].until(lambda: len(ears[1].heard) == 8)
    assert 1 == ears[0].writable
    wire.close()
    await ears[1].until(lambda: ears[1].lost)
    await listener.close()


def test_two_deployments_never_share_a_port_and_our_front_doors_do():
    """Reserved without SO_REUSEPORT, shared with it."""
    with reserve_tcp("127.0.0.1", 0) as reserved:
        port = reserved.getsockname()[1]
        with pytest.raises(OSError, match="in use"):
            reserve_tcp("127.0.0.1", port)
        doors = [shared_socket("127.0.0.1", port) for _ in range(2)]
        assert {port} == {door.getsockname()[1] for door in doors}
        for door in doors:
            door.close()


@pytest.fixture
def door():
    """Serves nothing in particular; `.taken` are the protocols of the connections taken in."""
    with reserve_tcp("127.0.0.1", 0) as reserved:
        bound = shared_socket("127.0.0.1", reserved.getsockname()[1])
        yield SimpleNamespace(bound=bound, port=bound.getsockname()[1], taken=[])
        bound.close()


class Guest(asyncio.Protocol):
    def __init__(self, taken):
        self.taken = taken

    def connection_made(self, transport):
        self.taken.append(transport)


def knock(port, times):
    return [socket.create_connection(("127.0.0.1", port), timeout=0.5) for _ in range(times)]


async def leave(door, clients):
    for client in clients:
        client.close()
    for transport in door.taken:
        transport.close()
    await asyncio.sleep(0.01)


async def test_as_many_connections_wait_to_be_taken_as_the_backlog_says(door):
    """A hundred, a loop's own number, left the others unheard for a second and more."""
    listener = ClientListener(lambda: Guest(door.taken), door.bound, 400)
    # The loop takes nobody meanwhile: this test holds it.
    clients = knock(door.port, 300)
    listener.close()
    await asyncio.sleep(0.05)
    assert 300 == len(door.taken), "who waits when it closes is taken in"
    await leave(door, clients)


async def test_everybody_who_waits_is_taken_in_one_turn(door):
    """One a turn, and under load whoever came last waited for seconds."""
    listener = ClientListener(lambda: Guest(door.taken), door.bound, 400)
    clients = knock(door.port, 50)
    for _ in range(8):
        await asyncio.sleep(0)
    assert 50 == len(door.taken)
    listener.close()
    await leave(door, clients)


async def test_a_door_that_has_no_file_left_to_open_takes_in_those_who_wait_later(
    door, monkeypatch, caplog
):
    monkeypatch.setattr("actors.net.ACCEPT_AGAIN_S", 0.05)
    listener = ClientListener(lambda: Guest(door.taken), door.bound, 400)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    clients = knock(door.port, 3)
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        await asyncio.sleep(0.02)
        assert [] == door.taken
        assert "no connection can be taken in" in caplog.text
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    await asyncio.sleep(0.1)
    assert 3 == len(door.taken)
    listener.close()
    await leave(door, clients)
