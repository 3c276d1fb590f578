"""What a channel's answers must look like before they are believed, for each thing we ask.

An answer that is cut, garbled, unsigned, signed by somebody else, or about something else is no
answer: Unknown, never a verdict, never an exception. Approved is what only the signed original can
bring about.
"""

import asyncio

import pytest
from msgspec.structs import replace

from all_rigs import names, over
from payments.channels.base import Approved, Declined, Unknown
from payments.channels.transport import HttpAnswer
from rigs import NUMBER, no_answer, not_sent, put

OPERATIONS = ("pay", "inquire", "reverse", "close", "refund", "inquire_refund")
NEEDS = {
    "pay": "barcode", "inquire": "barcode", "reverse": "reverse",
    "close": "close", "refund": "refund", "inquire_refund": "refund",
}  # fmt: skip
PAIRS = [(name, operation) for operation in OPERATIONS for name in names("wire", NEEDS[operation])]
each_operation = pytest.mark.parametrize(("stand", "operation"), PAIRS, indirect=["stand"])

GARBAGE = [
    b"", b"{}", b"[]", b"null", b"0", b'"success"', b"\x00" * 64, b"\xff\xfe{}", b"<xml/>",
    b"<html><body>502 Bad Gateway</body></html>", b"{" * 100_000, b"[" * 100_000 + b"]" * 100_000,
    b'{"a":' * 50_000 + b"1" + b"}" * 50_000, b'{"sign":"\\ud800"}', b"NaN", b"1e999999",
    b"success", b"a=b&sign=c", b"%zz=%zz&sign=%00", b"\xef\xbb\xbf{}",
    '{"状态":"成功"}'.encode("gbk"), '{"a":"é"}'.encode("utf-16"),
]  # fmt: skip
STATUSES = [201, 202, 204, 206, 301, 302, 304, 400, 401, 403, 404, 409, 418, 429, 500, 502, 503]


class Asking:
    """One thing to ask, where the honest answer is a success."""

    def __init__(self, stand, operation):
        self.stand, self.operation = stand, operation
        self.order = stand.barcode("9002" if operation == "close" else "0000")

    async def begin(self):
        """Everything that has to be true before the question."""
        if self.operation != "pay":
            await self.stand.channel.pay(self.order)
        if self.operation == "inquire_refund":
            await self.stand.channel.refund(self.stand.back(self.order, 1000))
        return self

    async def ask(self):
        channel, about = self.stand.channel, self.stand.about(self.order)
        if self.operation == "pay":
            return await channel.pay(self.order)
        if "refund" in self.operation:
            return await getattr(channel, self.operation)(self.stand.back(self.order, 1000))
        return await getattr(channel, self.operation)(about)

    async def ask_with(self, edit):
        """Ask, with every answer edited on its way."""
        self.stand.tap.edit = edit
        try:
            return await self.ask()
        finally:
            self.stand.tap.edit = None


@each_operation
async def test_the_honest_answer_is_a_success(stand, operation):
    """Without it the tests below would prove nothing."""
    asking = await Asking(stand, operation).begin()

    assert isinstance(await asking.ask(), Approved)


@each_operation
async def test_an_answer_signed_by_somebody_else_is_no_answer(stand, operation):
    """The same facts, a sound signature, and not the channel's key."""
    asking = await Asking(stand, operation).begin()

    def forge(request, answer):
        return stand.rig.forged(request, answer, lambda facts: None, key="stranger")

    assert isinstance(await asking.ask_with(forge), Unknown)


@each_operation
async def test_signing_it_again_with_the_right_key_is_believed(stand, operation):
    """The forger's tool works: it is the key that makes the difference."""
    asking = await Asking(stand, operation).begin()

    def forge(request, answer):
        return stand.rig.forged(request, answer, lambda facts: None)

    assert isinstance(await asking.ask_with(forge), Approved)


@each_operation
async def test_an_answer_without_its_signature_is_no_answer(stand, operation):
    asking = await Asking(stand, operation).begin()

    assert isinstance(await asking.ask_with(stand.rig.unsigned), Unknown)


@each_operation
@pytest.mark.parametrize("what", ["order", "merchant", "app"])
async def test_an_answer_about_something_else_is_no_answer(stand, operation, what):
    """Signed by the channel, and not about our order, our merchant or our app."""
    asking = await Asking(stand, operation).begin()
    path = stand.rig.fields.get(what)
    met = 0

    def change(facts):
        nonlocal met
        try:
            put(facts, path, "2088000000000000")
            met += 1
        except KeyError:
            assert operation not in ("pay", "inquire"), "a verdict must name what it is about"

    def forge(request, answer):
        return stand.rig.forged(request, answer, change)

    outcome = await asking.ask_with(forge) if path is not None else Unknown("says nothing of it")
    assert isinstance(outcome, Unknown if met or path is None else Approved)


@over("wire", "barcode")
async def test_another_amount_is_told_and_not_corrected(stand):
    """Signed: then it is what the channel says, and the shard that asked compares it."""
    for operation in ("pay", "inquire"):
        asking = await Asking(stand, operation).begin()

        def forge(request, answer):
            change = lambda facts: put(facts, stand.rig.fields["amount"], stand.rig.amount(3801))  # noqa: E731
            return stand.rig.forged(request, answer, change)

        outcome = await asking.ask_with(forge)
        assert isinstance(outcome, Approved | Unknown)
        assert getattr(outcome, "amount", 3801) == 3801


@each_operation
async def test_every_cut_and_every_flipped_bit_is_no_success(stand, operation):
    """Of the body, wherever it is cut; of the body, whichever byte is another."""
    asking = await Asking(stand, operation).begin()
    honest = await asking.ask()
    body = stand.tap.passed[-1][1].body
    step = max(1, len(body) // 25)
    damaged = [body[:cut] for cut in range(0, len(body), step)]
    for place in range(0, len(body), step):
        damaged.append(body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :])
        damaged.append(body[:place] + body[place + 1 :])

    for each in damaged:
        outcome = await asking.ask_with(lambda _, answer, b=each: replace(answer, body=b))
        assert isinstance(outcome, Unknown) or outcome == honest, (each, outcome)


@each_operation
async def test_garbage_is_no_answer(stand, operation):
    """Whatever it is, with the headers of a sound answer and without any."""
    asking = await Asking(stand, operation).begin()
    for body in GARBAGE:
        for bare in (True, False):

            def spoil(_, answer, body=body, bare=bare):
                return HttpAnswer(200, {} if bare else answer.headers, body)

            if bare or body or stand.tap.passed[-1][1].body:
                outcome = await asking.ask_with(spoil)
                assert isinstance(outcome, Unknown), (body[:40], bare, outcome)


@each_operation
async def test_an_empty_answer_is_no_verdict_whatever_its_status(stand, operation):
    """A gateway between us and the channel answers, or the channel is in trouble."""
    asking = await Asking(stand, operation).begin()
    for status in STATUSES:
        outcome = await asking.ask_with(lambda *_, status=status: HttpAnswer(status, {}, b""))
        assert isinstance(outcome, Unknown), status


@each_operation
async def test_no_answer_is_unknown(stand, operation):
    """It may have arrived."""
    asking = await Asking(stand, operation).begin()
    stand.tap.before = no_answer

    assert isinstance(await asking.ask(), Unknown)


@each_operation
async def test_what_was_certainly_not_sent_may_go_to_another_channel(stand, operation):
    """A payment only: everything else stays a question for this channel."""
    asking = await Asking(stand, operation).begin()
    stand.tap.before = not_sent
    outcome = await asking.ask()

    if operation == "pay":
        assert isinstance(outcome, Declined)
        assert outcome.not_sent
    else:
        assert isinstance(outcome, Unknown)


@each_operation
async def test_the_same_question_twice_is_one_order(stand, operation):
    """Nothing in a repeated request is made anew that the channel compares."""
    asking = await Asking(stand, operation).begin()
    first, again = await asking.ask(), await asking.ask()

    may_ask_back = operation == "pay" and "repeats" not in stand.rig.can
    assert isinstance(first, Approved)
    assert isinstance(again, Approved) or (may_ask_back and isinstance(again, Unknown))
    assert (stand.books()[NUMBER].charges, stand.books()[NUMBER].refunded_minor) in (
        (1, 0), (1, 1000), (1, 3800), (0, 0),
    )  # fmt: skip


class Wild:
    """A server that answers anything at all, or nothing."""

    def __init__(self, answer):
        self.answer = answer
        self.url = ""
        self.given_up = 0
        self._tasks = set()

    async def __aenter__(self):
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self.server.sockets[0].getsockname()[1]}"
        return self

    async def _serve(self, reader, writer):
        self._tasks.add(asyncio.current_task())
        try:
            await reader.read(65_536)
            async for part in self.answer():
                writer.write(part)
                await writer.drain()
        except ConnectionError:
            self.given_up += 1
        finally:
            writer.transport.abort()

    async def __aexit__(self, *_):
        self.server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def huge():
    yield b"HTTP/1.1 200 OK\r\nContent-Length: 50000000\r\n\r\n"
    for _ in range(800):
        yield b'{"a":1}' * 9_000


async def endless():
    yield b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    while True:
        yield b"10000\r\n" + b" " * 65_536 + b"\r\n"


async def slow():
    yield b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"
    while True:
        await asyncio.sleep(0.05)
        yield b" "


async def headers_without_end():
    yield b"HTTP/1.1 200 OK\r\n"
    while True:
        yield b"X-More: " + b"a" * 8_000 + b"\r\n"


async def not_http():
    yield b"SSH-2.0-OpenSSH_9.2\r\n"


async def silence():
    yield b""
    await asyncio.sleep(60)


@pytest.mark.parametrize(
    "answer",
    [huge, endless, slow, headers_without_end, not_http, silence],
    ids=lambda f: f.__name__,
)
@over("wire", "barcode")
async def test_a_channel_gone_wild_costs_a_bounded_time_and_memory(stand, answer):
    """Huge, endless, dripping, mute or no HTTP: no answer, within the time-out."""
    async with Wild(answer) as wild:
        stand.connect(wild.url, timeout_s=0.5)
        async with asyncio.timeout(60):
            outcome = await stand.channel.pay(stand.barcode())

    assert isinstance(outcome, Unknown)


@over("wire", "barcode")
async def test_a_refused_connection_is_not_sent(stand):
    """Nobody listens: not one byte has left, another channel may be asked."""
    stand.connect("http://127.0.0.1:9", timeout_s=5)
    outcome = await stand.channel.pay(stand.barcode())

    assert isinstance(outcome, Declined)
    assert outcome.not_sent
