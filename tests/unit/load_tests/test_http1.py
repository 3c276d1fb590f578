"""The raw client reads whole answers however they arrive, and nothing else."""

import asyncio

import pytest

from load_tests import http1
from load_tests.http1 import Answer

CREATED = b'HTTP/1.1 201 Created\r\nContent-Length: 12\r\nServer: x\r\n\r\n{"id":"a\r\n"}'


def test_an_answer_is_complete_at_its_last_byte_and_not_before():
    """TCP may cut it anywhere."""
    for cut in range(len(CREATED)):
        assert http1.parse(CREATED[:cut]) is None, cut

    assert Answer(201, b'{"id":"a\r\n"}') == http1.parse(CREATED)


@pytest.mark.parametrize("status", [200, 201, 202, 299])
def test_2xx_is_an_acknowledgement(status):
    """The server took responsibility."""
    assert Answer(status, b"").acknowledged


@pytest.mark.parametrize("status", [0, 199, 300, 409, 503])
def test_anything_else_is_not(status):
    """Nor is a connection that was lost, which counts as status 0."""
    assert not Answer(status, b"").acknowledged


def test_a_server_that_will_close_is_believed():
    """Its connection is not used again."""
    answer = http1.parse(b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")

    assert Answer(503, b"", will_close=True) == answer


@pytest.mark.parametrize(
    "received",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
        b"x" * (http1.HEAD_BYTES_MAX + 1),
    ],
)
def test_what_is_not_understood_is_refused(received):
    """No guess at where an answer ends."""
    with pytest.raises(http1.BadAnswer):
        http1.parse(received)


def test_a_url_names_host_and_port():
    """As the ready line prints it."""
    assert ("127.0.0.1", 8080) == http1.host_and_port("http://127.0.0.1:8080")


async def test_answers_come_in_the_order_of_the_questions():
    """Over fewer connections than requests, and over new ones when the server hangs up."""

    async def answer(reader, writer):
        while True:
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError:
                break
            number = head.split()[1]
            close = b"Connection: close\r\n" if number.endswith(b"3") else b""
            length = str(len(number)).encode()
            writer.write(
                b"HTTP/1.1 200 OK\r\nContent-Length: " + length + b"\r\n" + close + b"\r\n" + number
            )
            if close:
                break
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    questions = [f"GET /{number} HTTP/1.1\r\n\r\n".encode() for number in range(20)]

    answers = await http1.ask_all(f"http://127.0.0.1:{port}", questions, connections=3)
    server.close()

    assert [f"/{number}".encode() for number in range(20)] == [one.body for one in answers]
