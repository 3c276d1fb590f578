"""The quick reader and aiohttp's parser: whatever the quick one takes, the other reads the same."""

import asyncio

import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import HttpRequestParser
from aiohttp.streams import EMPTY_PAYLOAD
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.edge import HEADERS_MAX, LINE_BYTES_MAX
from gateway.quick import plain_request

LINE = b"POST /v1/payments HTTP/1.1\r\n"
BODY = b'{"order_no":"1","amount":3800}'
HEADERS = (
    ("Host", "127.0.0.1:8080"),
    ("Content-Type", "application/json"),
    ("Content-Length", str(len(BODY))),
    ("Idempotency-Key", '"8e03978e"'),
    ("signature-input", 'sig1=("@method");created=1;keyid="key_1"'),
    ("SIGNATURE", "sig1=:AAAA:"),
)
ODD = (
    ("Transfer-Encoding", "chunked"),
    ("Content-Length", "5"),
    ("Content-Length", "+30"),
    ("content-length", "030"),
    ("Host", "elsewhere"),
    ("Connection", "close"),
    ("Connection", "upgrade"),
    ("Upgrade", "websocket"),
    ("Expect", "100-continue"),
    ("X-Unknown", "1"),
    ("Prefer", ""),
    ("Prefer", "a\tb"),
    ("Prefer ", "wait=1"),
    (" folded", "x"),
    ("Prefer", "\x01"),
    ("Prefer", "caf\xe9"),
)


def request(headers=HEADERS, body=BODY, line=LINE):
    head = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return line + head.encode("latin-1") + b"\r\n" + body


def by_aiohttp(data):
    """(headers, body) of exactly one whole request, or None."""

    async def read():
        loop = asyncio.get_running_loop()
        parser = HttpRequestParser(
            BaseProtocol(loop), loop, 2**16, max_line_size=LINE_BYTES_MAX,
            max_field_size=LINE_BYTES_MAX, max_headers=HEADERS_MAX,
        )  # fmt: skip
        try:
            messages, upgraded, tail = parser.feed_data(data)
        except HttpProcessingError:
            return None
        if len(messages) != 1 or upgraded or tail:
            return None
        message, payload = messages[0]
        if message.chunked or message.should_close or message.upgrade:
            return None
        body = b"" if payload is EMPTY_PAYLOAD else payload.read_nowait(-1)
        whole = payload is EMPTY_PAYLOAD or payload.is_eof()
        return (message.headers, body) if whole else None

    return asyncio.run(read())


def test_an_ordinary_payment_is_read():
    """Names in any case, values without the blanks around them."""
    headers, body = plain_request(request((*HEADERS, ("Prefer", "  wait=1  "))), LINE)

    assert BODY == body
    assert "application/json" == headers.get("Content-Type") == headers.get("content-type")
    assert ("sig1=:AAAA:",) == headers.getall("Signature", ()) == headers.getall("sIGNATURE", ())
    assert "wait=1" == headers.get("Prefer")
    assert ("none",) == headers.getall("Authorization", ("none",))
    assert headers.get("X-Nothing") is None


@pytest.mark.parametrize("odd", ODD)
def test_what_is_odd_is_left_to_the_parser(odd):
    """Beside the ordinary lines, or in the place of the line of its name."""
    others = tuple(line for line in HEADERS if line[0].lower() != odd[0].strip().lower())
    is_plain = odd == ("Prefer", "")
    beside, instead = plain_request(request((*HEADERS, odd)), LINE), None
    if odd[0] != "Host":
        instead = plain_request(request((*others, odd)), LINE)

    assert is_plain == (beside is not None)
    assert instead is None or is_plain


@pytest.mark.parametrize(
    "data",
    [
        request(line=b"POST /v1/payments?a=1 HTTP/1.1\r\n"),
        request(line=b"GET /v1/payments HTTP/1.1\r\n"),
        request(line=b"POST /v1/payments HTTP/1.0\r\n"),
        request()[:-1],
        request() + b"P",
        request() + request(),
        request(()),
        request(HEADERS[1:]),
        request(HEADERS[:1]),
        request().replace(b"\r\n", b"\n"),
        request(tuple((f"Prefer{n}", "x") for n in range(60)) + HEADERS),
        request((*HEADERS, ("Accept", "x" * 5_000))),
        b"",
        LINE,
    ],
)
def test_what_is_not_one_whole_request_is_left_to_the_parser(data):
    """Another line, a part, more than one, no headers, no length, bare line feeds, too long."""
    assert plain_request(data, LINE) is None


def test_whatever_is_taken_was_really_whole():
    """Cut anywhere, nothing is taken."""
    whole = request()

    assert plain_request(whole, LINE) is not None
    assert {None} == {plain_request(whole[:size], LINE) for size in range(len(whole))}


def differences(data):
    """What the two readers read differently of what the quick one takes."""
    found = plain_request(data, LINE)
    if found is None:
        return []
    headers, body = found
    judged = by_aiohttp(data)
    if judged is None:
        return ["aiohttp does not take it"]
    theirs, their_body = judged
    names = {name.lower() for name in theirs}
    differ = [n for n in names if tuple(theirs.getall(n)) != tuple(headers.getall(n, ()))]
    if len(theirs) != len(headers._lines):
        differ.append("number of lines")
    return differ if their_body == body else [*differ, "body"]


BYTES = st.sampled_from([b"\r\n", b"\n", b"\r", b":", b" ", b"\t", b"\0", b"\xff", b"0", b"x", b""])
POOL = st.lists(st.sampled_from(HEADERS + ODD), min_size=2, max_size=9).map(tuple)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(POOL, st.lists(st.tuples(st.integers(0, 700), st.integers(0, 3), BYTES), max_size=3))
def test_no_mutation_is_read_in_two_ways(headers, changes):
    """Lines at random, bytes replaced at random: smuggling lives where two readers differ."""
    data = request(headers)
    for at, gone, put in changes:
        data = data[:at] + put + data[at + gone :]

    assert [] == differences(data)


@pytest.mark.parametrize("more", [(), (("Accept-Encoding", ""), ("User-Agent", "till/1.0 (x; y)"))])
def test_the_readers_were_compared_at_all(more):
    """The sample above would prove nothing if nothing were ever taken."""
    data = request((*HEADERS, *more))

    assert plain_request(data, LINE) is not None
    assert [] == differences(data)
