"""The way out of webhooks over real sockets: judged addresses, bounds, and no surprises."""

import asyncio
import ssl
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gateway import webhook_sender
from gateway.webhook_sender import WebhookSender
from payments.addresses import Reach
from payments.webhooks import ADDRESS_REFUSED

TEST, LIVE = Reach(False), Reach(True)
HEADERS = {"webhook-id": "evt_1", "webhook-timestamp": "1", "webhook-signature": "v1,x"}
BODY = b'{"type":"payment.succeeded"}'


class Receiver:
    """A web server; `handle` answers. Counts connections."""

    def __init__(self):
        self.requests = []
        self.handle = None
        self.port = 0
        self.connections = set()

    async def take(self, request):
        self.connections.add(id(request.transport))
        self.requests.append(
            (request.method, request.path_qs, request.headers, await request.read())
        )
        if self.handle is not None:
            return await self.handle(request)
        return web.Response(text="thank you")


@asynccontextmanager
async def receiving(tls=None, keepalive_s=75.0):
    receiver = Receiver()
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", receiver.take)
    runner = web.AppRunner(app, keepalive_timeout=keepalive_s, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    receiver.port = runner.addresses[0][1]
    try:
        yield receiver
    finally:
        await runner.cleanup()


@pytest.fixture
async def receiver():
    async with receiving() as receiver:
        yield receiver


@pytest.fixture
async def make_sender():
    senders = []

    def make(reach=TEST, **options):
        sender = WebhookSender(reach, **options)
        senders.append(sender)
        return sender

    yield make
    for sender in senders:
        await sender.close()


def names(table):
    """A look-up that knows these names, and notes what it was asked."""
    asked = []

    async def look_up(host, port):
        asked.append(host)
        found = table[host]
        addresses = found.pop(0) if found and isinstance(found[0], list) else found
        return [
            {
                "hostname": host,
                "host": address,
                "port": port,
                "family": 2 if "." in address else 10,
                "proto": 0,
                "flags": 0,
            }
            for address in addresses
        ]

    look_up.asked = asked
    return look_up


async def test_a_webhook_is_a_post_with_the_headers_of_the_standard(make_sender, receiver):
    """And the body as it was signed, byte for byte."""
    url = f"http://127.0.0.1:{receiver.port}/hook/%E9%9D%A2?a=b%2Fc"
    answer = await make_sender().send(url, HEADERS, BODY)

    ((method, path, headers, body),) = receiver.requests
    assert (200, "thank you", "") == (answer.status, answer.excerpt, answer.trouble)
    assert ("POST", "/hook/%E9%9D%A2?a=b%2Fc", BODY) == (method, path, body)
    assert {name: headers[name] for name in HEADERS} == HEADERS
    assert "application/json" == headers["Content-Type"]
    assert "Accept-Encoding" not in headers
    assert "Cookie" not in headers


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_redirect_is_followed(make_sender, receiver, status):
    """Nobody judged where it leads."""

    async def away(_):
        return web.Response(status=status, headers={"Location": "/elsewhere"})

    receiver.handle = away
    answer = await make_sender().send(f"http://127.0.0.1:{receiver.port}/", HEADERS, BODY)

    assert status == answer.status
    assert 1 == len(receiver.requests)


async def test_retry_after_is_handed_on(make_sender, receiver):
    """As it came."""

    async def later(_):
        return web.Response(status=503, headers={"Retry-After": "17"})

    receiver.handle = later
    answer = await make_sender().send(f"http://127.0.0.1:{receiver.port}/", HEADERS, BODY)

    assert (503, "17") == (answer.status, answer.retry_after)


async def test_no_proxy_is_asked_and_no_cookie_kept(make_sender, receiver, monkeypatch):
    """Whatever the environment says."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")

    async def bake(_):
        return web.Response(headers={"Set-Cookie": "a=b"})

    receiver.handle = bake
    sender = make_sender()
    for _ in range(2):
        assert (
            200 == (await sender.send(f"http://127.0.0.1:{receiver.port}/", HEADERS, BODY)).status
        )
    assert not any("Cookie" in headers for _, _, headers, _ in receiver.requests)


# --- addresses --------------------------------------------------------------------------------

INSIDE = ("10.0.0.1", "169.254.169.254", "192.168.0.1", "::ffff:10.0.0.1", "fe80::1", "0.0.0.0")  # noqa: S104


@pytest.mark.parametrize("address", INSIDE)
@pytest.mark.parametrize("beside", [[], ["93.184.215.14"]])
async def test_a_name_with_one_address_inside_is_refused(make_sender, address, beside):
    """Every address is judged, not the first alone; nothing is connected to."""
    sender = make_sender(lookup=names({"shop.example": [*beside, address]}))
    answer = await sender.send("http://shop.example:9/", HEADERS, BODY)

    assert (0, ADDRESS_REFUSED) == (answer.status, answer.trouble)
    assert await sender.refusal("http://shop.example:9/") is not None


async def test_live_mode_goes_not_even_to_this_machine(make_sender, receiver):
    """Nor to other ports, nor without TLS, whatever was allowed when the endpoint was made."""
    sender = make_sender(LIVE, lookup=names({"shop.example": ["127.0.0.1"]}))
    urls = [
        f"http://127.0.0.1:{receiver.port}/",
        f"http://shop.example:{receiver.port}/",
        f"https://shop.example:{receiver.port}/",
        "https://shop.example/",
        "https://127.0.0.1/",
    ]
    for url in urls:
        assert ADDRESS_REFUSED == (await sender.send(url, HEADERS, BODY)).trouble, url
    assert [] == receiver.requests


async def test_a_name_that_moves_inside_is_not_followed(make_sender, receiver, monkeypatch):
    """DNS rebinding: good when it was registered, ours at the next delivery."""
    monkeypatch.setattr(webhook_sender, "NAMES_S", 0)
    monkeypatch.setattr(webhook_sender, "KEEPALIVE_S", 0)
    lookup = names({"shop.example": [["127.0.0.1"], ["127.0.0.1"], ["10.0.0.1"], ["127.0.0.1"]]})
    sender = make_sender(lookup=lookup)
    url = f"http://shop.example:{receiver.port}/"
    assert await sender.refusal(url) is None
    first = await sender.send(url, HEADERS, BODY)
    await asyncio.sleep(0.01)
    second = await sender.send(url, HEADERS, BODY)

    assert (200, ADDRESS_REFUSED) == (first.status, second.trouble)
    assert 1 == len(receiver.requests)


async def test_the_name_is_resolved_once_and_its_answer_connected_to(make_sender, receiver):
    """No second look-up between judging and connecting; the host is still the name."""
    lookup = names({"shop.example": [["127.0.0.1"], ["10.0.0.1"]]})
    answer = await make_sender(lookup=lookup).send(
        f"http://shop.example:{receiver.port}/", HEADERS, BODY
    )

    assert 200 == answer.status
    assert ["shop.example"] == lookup.asked
    assert f"shop.example:{receiver.port}" == receiver.requests[0][2]["Host"]


async def test_a_name_that_cannot_be_resolved_is_tried_again_later(make_sender):
    """It may be registered: every delivery looks again."""

    async def nobody(host, port):
        raise OSError("no such name")

    sender = make_sender(lookup=nobody)
    assert await sender.refusal("http://shop.example/") is None
    answer = await sender.send("http://shop.example/", HEADERS, BODY)
    assert (0, True) == (answer.status, "DNS" in answer.trouble), answer


async def test_a_name_that_hangs_is_looked_up_once_and_hinders_no_other(
    make_sender, receiver, monkeypatch
):
    """However many deliveries wait for it."""
    monkeypatch.setattr(webhook_sender, "RESOLVE_S", 0.05)
    hang, asked = asyncio.Event(), []

    async def look_up(host, port):
        asked.append(host)
        if host == "slow.example":
            await hang.wait()
        return await names({host: ["127.0.0.1"]})(host, port)

    sender = make_sender(lookup=look_up)
    slow = [
        asyncio.create_task(sender.send("http://slow.example/", HEADERS, BODY)) for _ in range(5)
    ]
    quick = await sender.send(f"http://shop.example:{receiver.port}/", HEADERS, BODY)
    assert 200 == quick.status
    assert all([(await task).trouble for task in slow])
    assert 1 == asked.count("slow.example")
    hang.set()


# --- bounds -----------------------------------------------------------------------------------


async def test_who_does_not_answer_in_time_has_not_answered(make_sender, receiver):
    """From the first step to the last byte."""

    async def never(_):
        await asyncio.sleep(30)

    async def drip(request):
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x")
            await asyncio.sleep(0.02)

    for handle in (never, drip):
        receiver.handle = handle
        answer = await make_sender(timeout_s=0.3).send(
            f"http://127.0.0.1:{receiver.port}/", HEADERS, BODY
        )
        assert (0, "timeout") == (answer.status, answer.trouble)


async def test_an_answer_without_end_is_cut(make_sender, receiver):
    """Its status counts; the rest is not read."""

    async def flood(request):
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"y" * 65_536)

    receiver.handle = flood
    answer = await make_sender(timeout_s=5).send(
        f"http://127.0.0.1:{receiver.port}/", HEADERS, BODY
    )

    assert 200 == answer.status
    assert len(answer.excerpt) <= 200


async def test_a_packed_answer_is_not_unpacked(make_sender, receiver):
    """It could grow beyond any bound."""

    async def packed(_):
        return web.Response(body=b"\x1f\x8b not really", headers={"Content-Encoding": "gzip"})

    receiver.handle = packed
    answer = await make_sender().send(f"http://127.0.0.1:{receiver.port}/", HEADERS, BODY)
    assert 200 == answer.status


async def test_connections_are_used_again(make_sender, receiver):
    """A handshake for each webhook would cost more than the webhook."""
    sender = make_sender()
    for _ in range(5):
        await sender.send(f"http://127.0.0.1:{receiver.port}/", HEADERS, BODY)

    assert 1 == len(receiver.connections)


async def test_a_kept_connection_that_was_closed_meanwhile_costs_no_try():
    """The receiver closed it after its own patience: the webhook leaves on a new one."""
    requests = []

    async def serve_one(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(len(BODY))
        requests.append(head)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        # Reads the next request and hangs up instead of answering it.
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(serve_one, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    sender = WebhookSender(TEST)
    first = await sender.send(f"http://127.0.0.1:{port}/", HEADERS, BODY)
    second = await sender.send(f"http://127.0.0.1:{port}/", HEADERS, BODY)
    await sender.close()
    server.close()

    assert [200, 200] == [first.status, second.status]
    assert 2 == len(requests)


async def test_nobody_there_is_no_answer(make_sender):
    """With the kind of trouble, and nothing of the address."""
    answer = await make_sender().send("http://127.0.0.1:1/secret-path", HEADERS, BODY)

    assert (0, "ClientConnectorError") == (answer.status, answer.trouble)


# --- TLS --------------------------------------------------------------------------------------


def certificate(name, folder):
    """A self-signed certificate of a name: files of it and of its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    names = [x509.DNSName(name), x509.IPAddress(ip_address("127.0.0.2"))]
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), False)
        .add_extension(x509.BasicConstraints(True, None), True)
        .sign(key, hashes.SHA256())
    )
    pem, secret = folder / f"{name}.pem", folder / f"{name}.key"
    pem.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return pem, secret


async def test_tls_is_for_the_name_while_the_connection_is_to_the_judged_address(
    tmp_path, make_sender
):
    """SNI and the certificate's name are the URL's; another name's certificate is refused."""
    pem, key = certificate("shop.example", tmp_path)
    server_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_tls.load_cert_chain(pem, key)
    asked = []
    server_tls.sni_callback = lambda _, name, __: asked.append(name)
    client_tls = ssl.create_default_context(cafile=str(pem))
    lookup = names({"shop.example": ["127.0.0.1"], "other.example": ["127.0.0.1"]})
    sender = make_sender(lookup=lookup, tls=client_tls)
    async with receiving(server_tls) as receiver:
        good = await sender.send(f"https://shop.example:{receiver.port}/", HEADERS, BODY)
        bad = await sender.send(f"https://other.example:{receiver.port}/", HEADERS, BODY)
        untrusted = await make_sender(lookup=lookup).send(
            f"https://shop.example:{receiver.port}/", HEADERS, BODY
        )

    assert 200 == good.status
    assert ["shop.example", "other.example", "shop.example"] == asked
    assert (0, 0) == (bad.status, untrusted.status)
    assert "ClientConnectorCertificateError" == bad.trouble == untrusted.trouble
