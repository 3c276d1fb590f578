"""The cutting proxy itself: a proof by it is worth what its cuts are worth."""

import asyncio

import pytest

from cutting_proxy import (
    CLOSE,
    HALF_OPEN,
    HOLD_REQUEST,
    LOSE_ANSWER,
    LOSE_ANSWER_RST,
    RESET,
    SWALLOW_ANSWER,
    CuttingProxy,
    cut_answer,
    cut_request,
    delay,
    read_message,
)

SOON_S = 60
BLINK_S = 0.05


class Channel:
    """Answers every whole request with its number and body; `pieces`: what was no whole one."""

    def __init__(self):
        self.heard = []
        self.pieces = []
        self.broken = asyncio.Event()
        self.chunked = False
        self.port = 0

    async def serve(self, reader, writer):
        try:
            while (request := await read_message(reader)) is not None:
                self.heard.append(request)
                said = b"%d:" % len(self.heard) + request.partition(b"\r\n\r\n")[2]
                writer.write(self.answer(said))
        except asyncio.IncompleteReadError as error:
            self.pieces.append(error.partial)
            self.broken.set()
        finally:
            writer.close()

    def answer(self, said):
        if self.chunked:
            body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(said), said)
            return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(said), said)


@pytest.fixture
async def channel():
    channel = Channel()
    server = await asyncio.start_server(channel.serve, "127.0.0.1", 0)
    channel.port = server.sockets[0].getsockname()[1]
    yield channel
    server.close()


@pytest.fixture
async def proxy(channel):
    async with CuttingProxy("127.0.0.1", channel.port) as proxy:
        yield proxy


async def dial(proxy):
    return await asyncio.open_connection("127.0.0.1", int(proxy.url.rsplit(":", 1)[1]))


def post(body, path="/pay"):
    return f"POST {path} HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


async def ask(proxy, body="a", path="/pay"):
    """One exchange on a connection of its own; all bytes until the other side ends it."""
    reader, writer = await dial(proxy)
    writer.write(post(body, path))
    try:
        return await asyncio.wait_for(read_message(reader, is_answer=True), SOON_S)
    finally:
        writer.close()


async def test_without_a_rule_every_byte_passes(proxy, channel):
    """Several exchanges on one connection, of any framing, byte for byte."""
    reader, writer = await dial(proxy)
    for number, body in enumerate(("one", "", "three" * 10_000), 1):
        channel.chunked = number == 2
        writer.write(post(body))
        answer = await asyncio.wait_for(read_message(reader, is_answer=True), SOON_S)
        assert channel.answer(f"{number}:{body}".encode()) == answer
        assert post(body) == channel.heard[-1]
    writer.close()

    assert 1 == proxy.connections
    assert [post("one"), post("")] == [e.request for e in proxy.exchanges[:2]]
    assert b"2:" in proxy.exchanges[1].answer


async def test_the_answer_is_lost_after_the_channel_gave_it(proxy, channel):
    """The killer case: the channel has the money, and the client sees a closed connection."""
    rule = proxy.cut(LOSE_ANSWER)

    assert await ask(proxy) is None
    assert rule.taken.is_set()
    assert 1 == len(channel.heard)
    assert proxy.exchanges[0].answer.endswith(b"1:a")


@pytest.mark.parametrize("cut", [RESET, LOSE_ANSWER_RST])
async def test_a_reset_is_a_reset(proxy, channel, cut):
    """Not a polite end: the client's read fails. What the channel heard depends on the cut."""
    proxy.cut(cut)

    with pytest.raises(ConnectionResetError):
        await ask(proxy)
    assert (1 if cut is LOSE_ANSWER_RST else 0) == len(channel.heard)


@pytest.mark.parametrize("cut", [HALF_OPEN, SWALLOW_ANSWER])
async def test_silence_lasts_until_the_client_gives_up(proxy, channel, cut):
    """Accepted and never answered, whether or not the channel was asked."""
    rule = proxy.cut(cut)
    reader, writer = await dial(proxy)
    writer.write(post("a"))
    await asyncio.wait_for(rule.done.wait(), SOON_S)
    reading = asyncio.create_task(reader.read())
    done, _ = await asyncio.wait([reading], timeout=BLINK_S)
    writer.close()
    await asyncio.wait_for(reading, SOON_S)

    assert not done
    assert (1 if cut is SWALLOW_ANSWER else 0) == len(channel.heard)


@pytest.mark.parametrize("count", [1, 7, len(post("hello")) - 1])
async def test_the_channel_sees_only_the_beginning_of_a_request(proxy, channel, count):
    """And closes; the client is told nothing either."""
    proxy.cut(cut_request(count))

    assert await ask(proxy, "hello") is None
    await asyncio.wait_for(channel.broken.wait(), SOON_S)
    assert [] == channel.heard
    (piece,) = channel.pieces
    assert post("hello")[:count].endswith(piece)


@pytest.mark.parametrize("count", [1, 16, 40])
async def test_the_client_sees_only_the_beginning_of_an_answer(proxy, channel, count):
    """The first bytes arrive, the rest never does."""
    proxy.cut(cut_answer(count))
    reader, writer = await dial(proxy)
    writer.write(post("hello"))
    seen = await asyncio.wait_for(reader.read(), SOON_S)
    writer.close()

    assert channel.answer(b"1:hello")[:count] == seen
    assert 1 == len(channel.heard)


async def test_an_answer_can_be_late(proxy):
    """Not before its delay, and whole."""
    proxy.cut(delay(BLINK_S))
    loop = asyncio.get_running_loop()
    began = loop.time()

    answer = await ask(proxy)

    assert loop.time() - began >= BLINK_S * 0.9
    assert answer.endswith(b"1:a")


async def test_a_held_request_arrives_when_it_is_let_go(proxy, channel):
    """Even when the client has gone in the meantime: a request in flight is not unsent."""
    rule = proxy.cut(HOLD_REQUEST)
    _, writer = await dial(proxy)
    writer.write(post("late"))
    await asyncio.wait_for(rule.arrived.wait(), SOON_S)
    writer.close()
    assert [] == channel.heard

    rule.release()
    await asyncio.wait_for(rule.taken.wait(), SOON_S)

    assert [post("late")] == channel.heard


async def test_refused_is_refused_and_comes_back_at_the_same_place(proxy, channel):
    """Open connections are reset; after `accept` the same address works again."""
    reader, _ = await dial(proxy)
    await proxy.refuse()
    with pytest.raises(ConnectionRefusedError):
        await dial(proxy)
    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(reader.read(), SOON_S)
    assert [] == channel.heard

    await proxy.accept()
    assert (await ask(proxy)).endswith(b"1:a")


async def test_a_rule_is_for_what_it_matches_and_for_so_many_times(proxy):
    """Other requests pass; a used-up rule lets pass; `heal` ends the others."""
    rule = proxy.cut(CLOSE, matching=b"/refund", times=2)
    proxy.cut(CLOSE, matching=b"secret-body", times=100)

    assert await ask(proxy) is not None
    assert await ask(proxy, path="/refund") is None
    assert await ask(proxy, path="/refund") is None
    assert await ask(proxy, path="/refund") is not None
    assert 2 == len(rule.hits)
    assert await ask(proxy, "a secret-body") is None
    proxy.heal()
    assert await ask(proxy, "a secret-body") is not None


async def test_something_can_happen_at_the_very_moment_of_the_cut(proxy, channel):
    """`then` runs before the client learns of anything, when the channel has answered."""
    seen = []
    proxy.cut(LOSE_ANSWER, then=lambda: seen.append(len(channel.heard)))

    await ask(proxy)

    assert [1] == seen


async def test_nothing_stays_open(channel):
    """When it is closed, its connections are."""
    async with CuttingProxy("127.0.0.1", channel.port) as proxy:
        rule = proxy.cut(HALF_OPEN)
        reader, writer = await dial(proxy)
        writer.write(post("a"))
        await asyncio.wait_for(rule.done.wait(), SOON_S)
    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(reader.read(), SOON_S)
    assert not proxy._tasks
