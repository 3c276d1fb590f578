"""Below HTTP: bytes that are no request, slow and silent clients, and what a proxy may send."""

import json
import re
import socket
import time
import uuid

import pytest

ON_RAY_TOO = True
RECEIVING_S = 10
"""How long the gateway waits for the rest of a request, `receive_deadline_s`."""


def spoken(gateway, data, timeout_s=60.0, slowly=()):
    """Say bytes to the port, and the rest slowly; hear everything until it hangs up."""
    host, port = gateway.api.removeprefix("http://").split(":")
    heard = b""
    with socket.create_connection((host, int(port)), timeout=timeout_s) as talk:
        talk.sendall(data)
        for piece, pause_s in slowly:
            time.sleep(pause_s)
            talk.sendall(piece)
        talk.settimeout(timeout_s)
        try:
            while piece := talk.recv(65_536):
                heard += piece
        except (TimeoutError, ConnectionError):
            return heard
    return heard


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(
    "data",
    [
        b"nonsense\r\n\r\n",
        b"GET /v1/payments HTTP/9.9\r\n\r\n",
        b"POST /v1/payments HTTP/1.1\r\nHost: a\r\nContent-Length: ten\r\n\r\n",
        b"POST /v1/payments HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"POST /v1/payments HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET /v1/payments HTTP/1.1\r\nHost: a\r\nBad Header: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)
def test_what_is_no_http_is_turned_away(gateway, data):
    """The problem of a malformed request and goodbye; never a 500, never silence."""
    heard = spoken(gateway, data)

    head, _, body = heard.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 "), heard
    assert b"Content-Type: application/problem+json" in head
    assert json.loads(body)["code"] == "malformed"
    assert json.loads(body)["request_id"].encode() in head


def test_what_cannot_be_read_is_not_logged(gateway):
    """A broken request may hold a key; no byte of it, and no traceback, is in the log."""
    before = gateway.errors()
    spoken(
        gateway, b"GET /v1/payments HTTP/1.1\r\nAuthorization: Bearer sk_test_CANARY\x01\r\n\r\n"
    )
    spoken(
        gateway, b"POST /v1/payments HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nCANARY", 0.2
    )
    time.sleep(0.2)

    new = gateway.errors().removeprefix(before)
    assert "CANARY" not in new
    assert "Traceback" not in new


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(
    "extra",
    [b"X-Big: " + b"x" * 20_000 + b"\r\n", b"".join(b"X-%d: 1\r\n" % n for n in range(500))],
    ids=["long", "many"],
)
def test_huge_headers_are_turned_away(gateway, extra):
    """400 or 431; the rest is not read."""
    heard = spoken(gateway, b"GET /v1/payments HTTP/1.1\r\nHost: a\r\n" + extra + b"\r\n")

    assert heard.split()[1] in (b"400", b"431"), heard
    code = json.loads(heard.partition(b"\r\n\r\n")[2])["code"]
    assert code in ("malformed", "headers_too_large")


def test_others_are_served_while_somebody_is_slow(gateway, seller):
    """A hundred half requests hold nobody up."""
    host, port = gateway.api.removeprefix("http://").split(":")
    slow = []
    try:
        for _ in range(100):
            talk = socket.create_connection((host, int(port)), timeout=60)
            talk.sendall(b"POST /v1/payments HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{")
            slow.append(talk)
        began = time.monotonic()
        assert seller.pay(key=uuid.uuid4().hex).status == 201
        assert time.monotonic() - began < RECEIVING_S, "it waited until they were hung up on"
    finally:
        for talk in slow:
            talk.close()


def test_two_requests_in_one_write_get_two_answers(gateway, seller):
    """Pipelining: in order, both."""
    secret = seller.key["secret"]
    one = f"GET /v1/payments HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {secret}\r\n"
    last = one + "Connection: close\r\n\r\n"

    heard = spoken(gateway, (one + "\r\n" + last).encode())

    assert heard.count(b"HTTP/1.1 200 OK") == 2


def test_nobody_is_hung_up_on_while_an_answer_is_held(gateway, seller):
    """A 408 would be taken for the answer of a payment that goes on."""
    order = {**seller.order(way="qr", wallet="alipay")}
    order.pop("auth_code", None)
    made = seller.client.post("/v1/payments", order, key=uuid.uuid4().hex)
    head = f" HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {seller.key['secret']}\r\n"
    held = f"GET /v1/payments/{made['id']}?wait={RECEIVING_S + 3}{head}\r\n"
    last = f"GET /v1/payments/{made['id']}{head}Connection: close\r\n\r\n"
    host, port = gateway.api.removeprefix("http://").split(":")

    with socket.create_connection((host, int(port)), timeout=60) as refused:
        refused.sendall(f"GET /v1/nothing{head}\r\n".encode())
        assert refused.recv(65_536).startswith(b"HTTP/1.1 404 ")
        # Longer than a request may be on its way: both connections wait, and neither receives.
        heard = spoken(gateway, held.encode(), slowly=[(last.encode(), 0.1)])
        refused.sendall(last.encode())
        after = refused.recv(65_536)

    assert [b"200", b"200"] == re.findall(rb"HTTP/1\.1 (\d+) ", heard), heard
    assert after.startswith(b"HTTP/1.1 200 "), after


def test_who_is_refused_before_the_body_is_here_need_not_send_it(gateway):
    """The answer comes at once and says that the connection ends."""
    host, port = gateway.api.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as talk:
        talk.sendall(b"POST /v1/nothing HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{")

        head = talk.recv(65_536).partition(b"\r\n\r\n")[0]

    assert head.startswith(b"HTTP/1.1 404 ")
    assert b"Connection: close" in head


def test_who_waits_for_100_continue_gets_it(gateway, seller):
    """Before the body, and only then; the answer follows."""
    body = json.dumps(seller.order()).encode()
    host, port = gateway.api.removeprefix("http://").split(":")
    head = (
        f"POST /v1/payments HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {seller.key['secret']}\r\n"
        f"Content-Type: application/json\r\nIdempotency-Key: {uuid.uuid4().hex}\r\n"
        f"Content-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n"
    )
    with socket.create_connection((host, int(port)), timeout=60) as talk:
        talk.sendall(head.encode())
        assert talk.recv(65_536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        talk.sendall(body)

        assert talk.recv(65_536).startswith(b"HTTP/1.1 201 ")


def paying(seller):
    """A payment's request as bytes, to be said in one piece."""
    body = json.dumps(seller.order())
    return (
        f"POST /v1/payments HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {seller.key['secret']}\r\n"
        f"Content-Type: application/json\r\nIdempotency-Key: {uuid.uuid4().hex}\r\n"
        f"Content-Length: {len(body)}\r\n"
    ), body


def heard_after_goodbye(gateway, data):
    """Say bytes, close our half, hear everything until the gateway closes its own."""
    host, port = gateway.api.removeprefix("http://").split(":")
    heard = b""
    with socket.create_connection((host, int(port)), timeout=60) as talk:
        talk.sendall(data)
        talk.shutdown(socket.SHUT_WR)
        while piece := talk.recv(65_536):
            heard += piece
    return heard


@pytest.mark.parametrize("more", ["", "X-Other: its own way\r\n", "Connection: close\r\n"])
def test_who_has_said_all_still_gets_the_answer(gateway, seller, more):
    """A client may close its half of the connection right behind the request (RFC 9112, 9.6)."""
    head, body = paying(seller)

    heard = heard_after_goodbye(gateway, f"{head}{more}\r\n{body}".encode())

    assert heard.startswith(b"HTTP/1.1 201 "), heard
    assert json.loads(heard.partition(b"\r\n\r\n")[2])["status"] == "succeeded"


def test_two_requests_and_goodbye_get_two_answers(gateway, seller):
    """The one behind a payment is not forgotten when the client has said all."""
    head, body = paying(seller)
    second = f"GET /v1/payments HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {seller.key['secret']}"

    heard = heard_after_goodbye(gateway, f"{head}\r\n{body}{second}\r\n\r\n".encode())

    assert [b"201", b"200"] == re.findall(rb"HTTP/1\.1 (\d+) ", heard), heard


def test_who_leaves_in_the_middle_of_a_request_is_let_go(gateway, seller):
    """Nobody waits for the rest of a body whose sender has said all."""
    head, body = paying(seller)
    host, port = gateway.api.removeprefix("http://").split(":")

    with socket.create_connection((host, int(port)), timeout=RECEIVING_S / 2) as talk:
        talk.sendall(f"{head}\r\n{body[:-1]}".encode())
        talk.shutdown(socket.SHUT_WR)

        assert talk.recv(65_536) == b""


@pytest.mark.parametrize("target", ["/v1/payments", "/v1/payments?limit=1"])
def test_a_target_in_absolute_form_is_understood(gateway, seller, target):
    """A server takes it from anybody, although only proxies are told to send it."""
    heard = spoken(
        gateway,
        f"GET http://pay.example{target} HTTP/1.1\r\nHost: pay.example\r\nConnection: close\r\n"
        f"Authorization: Bearer {seller.key['secret']}\r\n\r\n".encode(),
    )

    assert heard.startswith(b"HTTP/1.1 200 "), heard
