"""A million mutated answers and callbacks, and not one is believed that differs from the original.

The originals are what each sandbox really said, signed; the mutants are drawn from a seed and told
to the connector by an HttpClient without a socket. Huge and slow ones come over sockets as well.
"""

import asyncio
import json
import time
from random import Random

import pytest

from mutations import Message, mutated
from payments.channels.base import Unknown
from payments.channels.http import PooledClient
from payments.channels.signing import SigningPool
from planted_wires import PLANTED
from recordings import Player, plain, record
from rigs import OpenKeys, Wanted

CHANNELS = ("wechat", "alipay", "unionpay")
FEW = 10_000 // len(CHANNELS) + 1
MANY = 1_000_000 // len(CHANNELS) + 1
HUGE_FEW, HUGE_MANY = 30, 1_000 // len(CHANNELS) + 1
SLOW_FEW, SLOW_MANY = 20, 1_000 // len(CHANNELS) + 1
AT_ONCE = 50
TIMEOUT_S = 3.0
"""Long enough to sign and to connect on a busy machine, and shorter than any answer drips."""
_libraries = {}


@pytest.fixture(scope="module", params=CHANNELS)
def library(request):
    """Everything that the sandbox said, once for all tests."""
    if request.param not in _libraries:
        _libraries[request.param] = record(request.param)
    return _libraries[request.param]


def search(player, seed, count, *, is_huge=False):
    """Complaints about so many mutants; nothing for a sound connector."""
    random = Random(seed)
    found = []
    for number in range(count):
        complaint = player.one(random, is_huge=is_huge)
        if complaint:
            found.append(f"seed {seed}, mutant {number}: {complaint}")
            if len(found) == 10:
                break
    return found


def test_what_was_said_is_heard_again(library):
    """Without a mutation every recording comes to what it came to; there is one of everything."""
    player = Player(library)
    for recording in library.recordings:
        assert plain(recording.outcome) == plain(player.say(recording, list(recording.answers)))
    kinds = {type(each.outcome).__name__ for each in library.recordings}

    assert {"Approved", "Declined", "Awaiting", "Unpaid", "Unknown", "Heard"} <= kinds
    assert len(library.recordings) > 25


def test_an_answer_that_is_posted_to_us_is_no_callback(library):
    """Signed by the same key, and about the same order: it says no more than it said."""
    player = Player(library)
    callback = next(each for each in library.recordings if each.question == "hear")
    for recording in library.recordings:
        for message in recording.answers:
            for headers in (message.headers, callback.answers[0].headers):
                posted = Message(0, headers, message.body)
                heard = player.say(callback, [posted, *callback.answers[1:]])
                notice = heard.notice
                told = notice is None or isinstance(notice.outcome, Unknown)
                assert told or player.is_true(notice), (recording.name, notice)


def test_an_answer_to_another_question_is_no_answer(library):
    """About the same order, signed, and said to something else: "found" is not "undone"."""
    player = Player(library)
    asked = [each for each in library.recordings if each.question != "hear"]
    for one in asked:
        for other in asked:
            if one is other or one.order.out_trade_no != other.order.out_trade_no:
                continue
            if one.question == other.question or len(one.answers) + len(other.answers) > 2:
                continue
            outcome = player.say(one, list(other.answers))
            known = (plain(one.outcome), plain(other.outcome))
            is_true = plain(outcome) in known and (one.question, other.question) in SAME_FACTS
            assert isinstance(outcome, Unknown) or is_true, (one.name, other.name, outcome)


SAME_FACTS = {
    ("pay", "inquire"), ("inquire", "pay"),
    ("refund", "inquire_refund"), ("inquire_refund", "refund"),
}  # fmt: skip
"""What a payment's answer says of its order, a query's may say as well; likewise a refund's."""


def test_no_mutant_is_believed(library):
    """Ten thousand over the three channels, as in every run of the tests."""
    player = Player(library)

    assert [] == search(player, 1, FEW)
    assert player.counts["not believed"] > FEW // 2
    assert player.counts["same"] > FEW // 100


def test_no_huge_mutant_is_believed(library):
    """Nearly a mebibyte each, of all kinds of filling."""
    assert [] == search(Player(library), 2, HUGE_FEW, is_huge=True)


@pytest.mark.slow
@pytest.mark.timeout(7_200)
def test_no_mutant_of_a_million_is_believed(library, capsys):
    """A third of a million for each channel, and a thousand huge ones over all."""
    player = Player(library)
    began = time.perf_counter()
    found = search(player, 3, MANY)
    seconds = time.perf_counter() - began
    found += search(player, 4, HUGE_MANY, is_huge=True)
    with capsys.disabled():
        line = {
            "channel": library.stand.rig.name,
            "mutants": MANY,
            "huge": HUGE_MANY,
            "per_second": round(MANY / seconds),
            "believed": len(found),
            **player.counts,
        }
        print("\n" + json.dumps(line))

    assert [] == found


DEFECTS = ("signatures_not_checked",)


@pytest.mark.parametrize("defect", DEFECTS)
def test_mutants_find_a_connector_that_does_not_look(library, defect):
    """With the defect, the same search finds a mutant that is believed."""
    player = Player(library)
    PLANTED[defect](player.connector)

    assert [] != search(player, 1, FEW)


# --- over sockets --------------------------------------------------------------------------------


class Drip:
    """Answers each request with bytes that come in drops, or in one flood."""

    def __init__(self, answers, drop_bytes, pause_s):
        self.answers = answers
        self.cut_off = 0
        self._drop_bytes, self._pause_s = drop_bytes, pause_s
        self._tasks = set()

    async def __aenter__(self):
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1_024)
        self.url = f"http://127.0.0.1:{self.server.sockets[0].getsockname()[1]}"
        return self

    async def _serve(self, reader, writer):
        self._tasks.add(asyncio.current_task())
        message = self.answers.pop()
        head = f"HTTP/1.1 {message.status} X\r\nContent-Length: {len(message.body)}\r\n"
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write((head + "Connection: close\r\n\r\n").encode())
            for at in range(0, len(message.body), self._drop_bytes):
                writer.write(message.body[at : at + self._drop_bytes])
                await writer.drain()
                await asyncio.sleep(self._pause_s)
        except ConnectionError:
            self.cut_off += 1
        finally:
            writer.transport.abort()

    async def __aexit__(self, *_):
        self.server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def paid(library):
    return next(each for each in library.recordings if each.name == "pay 0000")


async def ask_over_sockets(library, answers, drop_bytes, pause_s):
    """The outcomes, and how long the slowest took."""
    http, pool = PooledClient(), SigningPool("drip", waiting=10_000)
    loop = asyncio.get_running_loop()
    slowest = 0.0

    async def one(connector):
        nonlocal slowest
        began = loop.time()
        outcome = await connector.pay(paid(library).order)
        slowest = max(slowest, loop.time() - began)
        return outcome

    outcomes = []
    async with Drip(answers, drop_bytes, pause_s) as drip:
        wanted = Wanted("http://127.0.0.1:9/none", TIMEOUT_S)
        connector = library.stand.rig.connector(
            drip.url, http, library.clock, OpenKeys(pool), wanted
        )
        while answers:
            batch = [one(connector) for _ in range(min(AT_ONCE, len(answers)))]
            outcomes += await asyncio.gather(*batch)
        await http.close()
    pool.close()
    return outcomes, slowest


def check_sockets(library, count, seed):
    random, honest = Random(seed), paid(library).answers[0]
    slow = [mutated(random, honest, library.messages)[1] for _ in range(count)]
    slow = [Message(200, {}, each.body + b" " * 600) for each in slow]
    outcomes, slowest = asyncio.run(ask_over_sockets(library, slow, 20, 0.2))
    assert count == len(outcomes)
    assert all(isinstance(each, Unknown) for each in outcomes)
    assert slowest < TIMEOUT_S + 20
    flood = [Message(200, {}, honest.body + b"[" * (3 << 20)) for _ in range(max(1, count // 10))]
    outcomes, _ = asyncio.run(ask_over_sockets(library, flood, 1 << 16, 0))
    assert all(isinstance(each, Unknown) for each in outcomes)


def test_slow_and_endless_mutants_cost_no_more_than_the_time_out(library):
    """They drip, or they flood: no answer, and nobody waits longer than the time-out."""
    assert check_sockets(library, SLOW_FEW, 5) is None


@pytest.mark.slow
@pytest.mark.timeout(1_800)
def test_a_thousand_slow_mutants_cost_no_more_than_the_time_out(library):
    """A third of a thousand for each channel, fifty at once."""
    assert check_sockets(library, SLOW_MANY, 6) is None
