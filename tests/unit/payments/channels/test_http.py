"""The way to a channel: what was not sent, what may have arrived, and nothing sent twice."""

import asyncio
import socket
import ssl
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from cutting_proxy import (
    CLOSE,
    HALF_OPEN,
    LOSE_ANSWER,
    LOSE_ANSWER_RST,
    RESET,
    CuttingProxy,
    cut_answer,
    cut_request,
    read_message,
)
from payments.channels.http import HttpSettings, PooledClient
from payments.channels.transport import HttpRequest, NoAnswer, NotSent

PATIENCE_S = 60.0
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Channel:
    """A server that keeps what came, and answers `reply` to each request."""

    def __init__(self):
        self.reply = OK
        self.got = []
        self.connections = 0
        self.closes = False
        self.afterthought = None
        """Seconds after an answer, and what is said then."""
        self.port = 0

    async def serve(self, tls=None):
        self._server = await asyncio.start_server(self._talk, "127.0.0.1", 0, ssl=tls)
        self.port = self._server.sockets[0].getsockname()[1]

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    async def _talk(self, reader, writer):
        self.connections += 1
        try:
            while (request := await read_message(reader)) is not None:
                self.got.append(request)
                writer.write(self.reply)
                await writer.drain()
                if self.afterthought is not None:
                    await asyncio.sleep(self.afterthought[0])
                    writer.write(self.afterthought[1])
                if self.closes:
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            self.got.append(b"cut off")
        finally:
            writer.close()

    async def close(self):
        self._server.close()


@pytest.fixture
async def channel():
    made = Channel()
    await made.serve()
    yield made
    await made.close()


@pytest.fixture
async def make_client():
    made = []

    def make(tls=None, **settings):
        made.append(PooledClient(HttpSettings(**settings), tls))
        return made[-1]

    yield make
    for client in made:
        await client.close()


@pytest.fixture
def client(make_client):
    return make_client()


def ask(url, method="POST", body=b'{"a":1}', timeout_s=PATIENCE_S, **headers):
    return HttpRequest(method, url, {"User-Agent": "tests", **headers}, body, timeout_s)


async def test_the_request_is_sent_as_it_was_signed_and_the_answer_kept_as_it_came(channel, client):
    """Path and query are not put together anew; nothing is added that could change the answer."""
    channel.reply = (
        b"HTTP/1.1 503 Busy\r\nX-Sign: a\r\nx-sign: b\r\nContent-Encoding: gzip\r\n"
        b"Set-Cookie: a=1\r\nContent-Length: 3\r\n\r\n\xff\x00{"
    )
    url = channel.url + "/v3/%7Bx%7d/a+b?z=%2F&a=%e4%bd%a0&a=1"

    answer = await client.send(ask(url, Authorization="x"))
    await client.send(ask(url, "GET", b""))

    assert (answer.status, answer.body) == (503, b"\xff\x00{")
    assert answer.headers["x-sign"] == "a, b"
    head, _, body = channel.got[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /v3/%7Bx%7d/a+b?z=%2F&a=%e4%bd%a0&a=1 HTTP/1.1\r\n")
    assert body == b'{"a":1}'
    assert b"accept-encoding" not in head.lower()
    assert b"cookie" not in channel.got[1].lower()
    assert channel.connections == 1


async def test_a_redirect_is_an_answer(channel, client):
    channel.reply = b"HTTP/1.1 307 X\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n"

    answer = await client.send(ask(channel.url))

    assert answer.status == 307
    assert len(channel.got) == 1


async def test_without_a_connection_nothing_was_sent(client, make_client):
    """Refused, a name that nobody has, an address that is none, a closed client."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(NotSent):
            await client.send(ask(f"http://127.0.0.1:{port}/"))
    for url in ("http://nobody.invalid/", "http://", "nonsense", "ftp://127.0.0.1/"):
        with pytest.raises(NotSent):
            await client.send(ask(url))
    with pytest.raises(NotSent):
        await client.send(ask("http://127.0.0.1:1/", **{"X-Bad": "a\r\nb"}))
    await client.close()
    with pytest.raises(NotSent):
        await client.send(ask("http://127.0.0.1:1/"))


async def test_a_connection_that_is_not_made_in_time_was_never_written_to(client, make_client):
    """Nobody accepts: the time-out of connecting, or of the whole call, is `NotSent`."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        crowd = [socket.socket() for _ in range(4)]
        for each in crowd:
            each.setblocking(False)
            each.connect_ex(address)
        url = f"http://127.0.0.1:{address[1]}/"
        with pytest.raises(NotSent):
            await make_client(connect_s=0.2).send(ask(url))
        with pytest.raises(NotSent):
            await client.send(ask(url, timeout_s=0.2))
        for each in crowd:
            each.close()


async def test_without_room_in_the_pool_nothing_was_sent(channel, make_client):
    """The call under way holds the only connection."""
    client = make_client(connections_max=1, connect_s=0.2)
    async with CuttingProxy("127.0.0.1", channel.port) as proxy:
        rule = proxy.cut(HALF_OPEN)
        first = asyncio.create_task(client.send(ask(proxy.url, timeout_s=1.5)))
        await rule.arrived.wait()

        with pytest.raises(NotSent):
            await client.send(ask(proxy.url))
        with pytest.raises(NoAnswer):
            await first
    assert len(proxy.exchanges) == 1


@pytest.mark.parametrize("method", ["POST", "GET"])
@pytest.mark.parametrize("is_reused", [False, True])
@pytest.mark.parametrize(
    "cut",
    [LOSE_ANSWER, LOSE_ANSWER_RST, RESET, CLOSE, cut_answer(30), cut_request(10), cut_answer(39)],
    ids=str,
)
async def test_what_may_have_arrived_is_no_answer_and_is_sent_once(
    channel, client, method, is_reused, cut
):
    """On a fresh connection and on a kept one, whatever the method."""
    async with CuttingProxy("127.0.0.1", channel.port) as proxy:
        if is_reused:
            await client.send(ask(proxy.url, method))
        proxy.cut(cut)

        with pytest.raises(NoAnswer):
            await client.send(ask(proxy.url, method))

        assert len(proxy.exchanges) == 1 + is_reused
        assert proxy.connections == 1
        await client.send(ask(proxy.url, method))  # The pool has recovered.


async def test_a_kept_connection_that_the_channel_closed_is_not_used_again(channel, client):
    """Its end was heard of before the next request: that one goes over a new connection."""
    channel.closes = True
    await client.send(ask(channel.url))
    async with asyncio.timeout(PATIENCE_S):
        while client._open:  # noqa: ASYNC110 - no event says so
            await asyncio.sleep(0)

    answer = await client.send(ask(channel.url))

    assert answer.body == b"ok"
    assert (channel.connections, len(channel.got)) == (2, 2)


async def test_no_answer_in_time_is_no_answer(channel, client):
    async with CuttingProxy("127.0.0.1", channel.port) as proxy:
        proxy.cut(HALF_OPEN)

        with pytest.raises(NoAnswer, match=r"within 0\.3 s"):
            await client.send(ask(proxy.url, timeout_s=0.3))

    assert client.counts == {"sent": 1, "not_sent": 0, "no_answer": 1, "connections": 1}


@pytest.mark.parametrize("is_chunked", [False, True])
async def test_an_answer_without_end_is_not_read_to_its_end(channel, make_client, is_chunked):
    """Longer than any answer of a channel: given up, and not believed."""
    client = make_client(answer_bytes_max=1_000)
    body = b"x" * 1_001
    if is_chunked:
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        channel.reply = head + b"3e9\r\n" + body + b"\r\n0\r\n\r\n"
    else:
        channel.reply = b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n" + body

    with pytest.raises(NoAnswer, match="too long"):
        await client.send(ask(channel.url))

    channel.reply = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + body[:1_000]
    assert len((await client.send(ask(channel.url))).body) == 1_000


@pytest.mark.parametrize(
    "reply",
    [
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 20_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
async def test_what_is_no_http_is_no_answer(channel, client, reply):
    channel.reply, channel.closes = reply, True

    with pytest.raises(NoAnswer):
        await client.send(ask(channel.url))


@pytest.mark.parametrize(
    ("reply", "closes", "body", "connections"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\nto the end", True, b"to the end", 2),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", False, b"ok", 2),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", False, b"ok", 2),
        (b"HTTP/1.1 204 None\r\n\r\n", False, b"", 1),
        (b"HTTP/1.1 100 Go on\r\n\r\n" + OK, False, b"ok", 1),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"2\r\nab\r\n1\r\nc\r\n0\r\nT: t\r\n\r\n",
            False,
            b"abc",
            1,
        ),
    ],
    ids=["until closed", "1.0", "said to close", "no body", "continue", "chunks"],
)  # fmt: skip
async def test_an_answer_ends_where_http_says(channel, client, reply, closes, body, connections):
    """And the connection is kept only where that is certain, and wanted."""
    channel.reply, channel.closes = reply, closes

    first = await client.send(ask(channel.url))
    again = await client.send(ask(channel.url))

    assert (first.body, again.body) == (body, body)
    assert channel.connections == connections


@pytest.mark.parametrize(
    "more", [b"x", b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfake"], ids=["a byte", "an answer"]
)
@pytest.mark.parametrize("later_s", [0.0, 0.05])
async def test_what_nobody_asked_for_is_never_the_next_answer(channel, client, more, later_s):
    """Bytes after an answer, with it or later: that connection is not used again."""
    channel.reply += more if not later_s else b""
    channel.afterthought = (later_s, more) if later_s else None
    answers = await asyncio.gather(client.send(ask(channel.url)), return_exceptions=True)
    if later_s:
        async with asyncio.timeout(PATIENCE_S):
            while client._open:  # noqa: ASYNC110 - no event says so
                await asyncio.sleep(0)
    channel.reply = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ntrue"
    channel.afterthought = None

    assert (await client.send(ask(channel.url))).body == b"true"
    assert channel.connections == 2
    assert isinstance(answers[0], NoAnswer) or answers[0].body == b"ok"


async def test_many_calls_share_few_connections(channel, make_client):
    client = make_client(connections_max=3)

    answers = await asyncio.gather(*(client.send(ask(channel.url)) for _ in range(60)))

    assert {answer.body for answer in answers} == {b"ok"}
    assert (len(channel.got), channel.connections) == (60, 3)


async def test_another_address_gets_room(channel, make_client):
    """Idle connections to one address give way to another's."""
    other = Channel()
    await other.serve()
    client = make_client(connections_max=2)
    await asyncio.gather(*(client.send(ask(channel.url)) for _ in range(4)))

    answers = await asyncio.gather(*(client.send(ask(other.url)) for _ in range(4)))

    assert len(answers) == 4
    assert 1 <= other.connections <= 2
    await other.close()


async def test_a_call_that_waited_and_was_given_up_blocks_nobody(channel, make_client):
    """Its turn goes to the next."""
    client = make_client(connections_max=1)
    async with CuttingProxy("127.0.0.1", channel.port) as proxy:
        rule = proxy.cut(HALF_OPEN)
        first = asyncio.create_task(client.send(ask(proxy.url)))
        await rule.arrived.wait()
        gone, last = (asyncio.create_task(client.send(ask(proxy.url))) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        gone.cancel()

        assert (await last).body == b"ok"
        await asyncio.gather(first, gone, return_exceptions=True)


async def test_a_connection_that_ends_as_it_begins_gives_its_place_back(
    channel, make_client, monkeypatch
):
    """Closed by the other side before we come to write: nothing was sent, no room used up."""
    loop = asyncio.get_running_loop()
    real = loop.create_connection

    async def lost_at_once(*args, **words):
        transport, connection = await real(*args, **words)
        transport.abort()
        while connection.is_open or client._open:  # noqa: ASYNC110 - no event says so
            await asyncio.sleep(0)
        return transport, connection

    client = make_client(connections_max=1, connect_s=2.0)
    monkeypatch.setattr(loop, "create_connection", lost_at_once)
    for _ in range(3):
        with pytest.raises(NotSent, match="closed before"):
            await client.send(ask(channel.url))
    monkeypatch.setattr(loop, "create_connection", real)

    assert (await client.send(ask(channel.url))).body == b"ok"


async def test_idle_connections_are_closed(channel, client, monkeypatch):
    monkeypatch.setattr("payments.channels.http.KEEPALIVE_S", 0.05)
    await client.send(ask(channel.url))

    async with asyncio.timeout(PATIENCE_S):
        while client._open:  # noqa: ASYNC110 - no event says so
            await asyncio.sleep(0.01)

    assert (await client.send(ask(channel.url))).body == b"ok"
    assert channel.connections == 2


async def test_closing_cuts_what_is_under_way(channel, client):
    async with CuttingProxy("127.0.0.1", channel.port) as proxy:
        rule = proxy.cut(HALF_OPEN)
        call = asyncio.create_task(client.send(ask(proxy.url)))
        await rule.arrived.wait()

        await client.close()

        with pytest.raises(NoAnswer):
            await call


async def test_a_call_that_is_given_up_leaves_no_half_read_connection(channel, client):
    """The lane cancels a call: its late answer must not become the next one's."""
    async with CuttingProxy("127.0.0.1", channel.port) as proxy:
        rule = proxy.cut(HALF_OPEN)
        call = asyncio.create_task(client.send(ask(proxy.url)))
        await rule.arrived.wait()
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)

        assert (await client.send(ask(proxy.url))).body == b"ok"
        assert proxy.connections == 2


async def test_a_channel_must_prove_who_it_is(make_client, tmp_path):
    """Nothing is sent to a server whose certificate nobody vouches for, or names another."""
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "pay.example.org")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path = tmp_path / "both.pem"
    path.write_bytes(pem + secret)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(path)
    channel = Channel()
    await channel.serve(tls)

    with pytest.raises(NotSent):
        await make_client().send(ask(f"https://localhost:{channel.port}/"))
    trusting = make_client(ssl.create_default_context(cadata=pem.decode()))
    with pytest.raises(NotSent):
        await trusting.send(ask(f"https://127.0.0.1:{channel.port}/"))
    answer = await trusting.send(ask(f"https://localhost:{channel.port}/"))

    assert (answer.body, len(channel.got)) == (b"ok", 1)
    await channel.close()
