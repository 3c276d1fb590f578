"""Requests leave when they are due; what cannot leave is counted; stalls are not hidden."""

import itertools
import subprocess
import sys
from array import array

import pytest

from load_tests import open_loop, presign
from load_tests.figures.base import free_port
from load_tests.process import Server

AUTHORITY = "127.0.0.1:80"

SLOW = """
import asyncio, json, sys, time
async def answer(reader, writer):
    try:
        while True:
            head = await reader.readuntil(b"\\r\\n\\r\\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\\r\\n")[0])
            await reader.readexactly(length)
            await asyncio.sleep(float(sys.argv[1]))
            if len(sys.argv) > 2:
                time.sleep(float(sys.argv.pop()))
            head = b"HTTP/1.1 201 x\\r\\nContent-Length: 14\\r\\n\\r\\n"
            writer.write(head + b'{"id":"pay_1"}')
    except asyncio.IncompleteReadError:
        writer.close()
async def serve():
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    print(json.dumps({"ready": True, "api": f"http://127.0.0.1:{port}"}), flush=True)
    await asyncio.Event().wait()
asyncio.run(serve())
"""


def requests_of(keys, count):
    plan = presign.Plan(keys, AUTHORITY, tag=1, count=count)
    return [presign.raw_request(line, AUTHORITY) for line in presign.request_lines(plan, 1)]


def test_uniform_arrivals_are_evenly_spaced():
    """A hundred a second for a fifth of a second."""
    due = open_loop.arrivals("uniform", 100, 0.2, seed=1)

    assert 20 == len(due)
    assert 0.19 == pytest.approx(due[19])


def test_poisson_arrivals_have_the_asked_rate_and_repeat_with_their_seed():
    """Gaps vary as much as they are long; the same seed gives the same run."""
    due = open_loop.arrivals("poisson", 1000, 10, seed=5)
    gaps = [late - early for early, late in itertools.pairwise(due)]
    mean = sum(gaps) / len(gaps)
    deviation = (sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) ** 0.5

    assert 10_000 == pytest.approx(len(due), rel=0.05)
    assert mean == pytest.approx(deviation, rel=0.1)
    assert due == open_loop.arrivals("poisson", 1000, 10, seed=5)
    assert due != open_loop.arrivals("poisson", 1000, 10, seed=6)


@pytest.mark.parametrize(("kind", "rate"), [("uniform", 0), ("poisson", -1), ("bursty", 10)])
def test_impossible_arrivals_are_refused(kind, rate):
    """A rate above zero, of a kind that is known."""
    with pytest.raises(ValueError, match=r"rate|poisson"):
        open_loop.arrivals(kind, rate, 1, seed=1)


def test_the_echo_answers_everything_that_is_offered(keys, tmp_path):
    """A rate far below its peak: nothing skipped, nothing refused, latencies in order."""
    due = open_loop.arrivals("poisson", 200, 1.0, seed=3)
    argv = [sys.executable, "-m", "load_tests.echo", str(free_port())]

    with Server(argv, tmp_path / "log") as echo:
        result = open_loop.run(
            echo.url, requests_of(keys, len(due)), due, 1.0, target_rate=1, in_flight_max=50
        )

    assert len(due) == result.sent == result.acknowledged
    assert (0, 0, 0) == (result.skipped, result.refused, result.unanswered)
    corrected, uncorrected = result.corrected_ms, result.uncorrected_ms
    assert 0 < corrected["p50"] <= corrected["p99"] <= corrected["p100"]
    assert uncorrected["p100"] <= corrected["p100"]
    assert len(due) == result.corrected.get_total_count()


def test_beyond_the_limit_requests_are_skipped_and_counted(keys, tmp_path):
    """Four under way for a quarter of a second each: a burst of ten sends four."""
    due = array("d", [0.0] * 10 + [0.6])

    with Server([sys.executable, "-c", SLOW, "0.25"], tmp_path / "log") as slow:
        result = open_loop.run(
            slow.url, requests_of(keys, 11), due, 1.0, target_rate=1, in_flight_max=4
        )

    assert (11, 5, 6) == (result.due, result.sent, result.skipped)
    assert 5 == result.acknowledged
    assert 250 <= result.uncorrected_ms["p50"]
    assert {"pay_1"} == {payment for _, payment in result.payments}


def test_a_stalled_server_shows_in_every_request_that_was_due_meanwhile(keys, tmp_path):
    """One stall of 400 ms: requests went on leaving, so many of them saw it."""
    due = open_loop.arrivals("uniform", 100, 0.8, seed=1)

    with Server([sys.executable, "-c", SLOW, "0", "0.4"], tmp_path / "log") as slow:
        result = open_loop.run(
            slow.url, requests_of(keys, len(due)), due, 0.8, target_rate=1, in_flight_max=80
        )

    assert 0 == result.skipped
    assert 380 <= result.corrected_ms["p100"]
    # A closed loop on one connection would have seen one slow answer of 80: its p90 hides it.
    assert 100 <= result.corrected_ms["p90"]


def test_a_server_that_dies_leaves_unanswered_requests(keys, tmp_path):
    """They are neither acknowledged nor refused: nobody knows."""
    dying = SLOW.replace("await asyncio.sleep(float(sys.argv[1]))", "sys.exit(1)")
    due = array("d", [0.0, 0.0])

    with Server([sys.executable, "-c", dying, "0"], tmp_path / "log") as server:
        result = open_loop.run(
            server.url, requests_of(keys, 2), due, 0.5, target_rate=1, in_flight_max=2
        )

    assert (0, 0, 2) == (result.acknowledged, result.refused, result.unanswered)


def test_words_that_nobody_asked_for_are_nobodys_answer(keys, tmp_path):
    """A server that hangs up on an idle connection may say why: a 408 answers no request."""
    chatty = SLOW.replace(
        "async def answer(reader, writer):",
        "async def answer(reader, writer):\n    writer.write("
        'b"HTTP/1.1 408 x\\r\\nContent-Length: 0\\r\\n\\r\\n")'
        "\n    await asyncio.sleep(0)",
    )
    due = array("d", [0.1, 0.2])

    with Server([sys.executable, "-c", chatty, "0"], tmp_path / "log") as server:
        result = open_loop.run(
            server.url, requests_of(keys, 2), due, 0.5, target_rate=1, in_flight_max=2
        )

    assert (0, 0, 2) == (result.acknowledged, result.refused, result.skipped)


def test_a_generator_takes_the_files_that_it_needs_or_says_what_to_do():
    """A soft limit is raised as far as needed and no further; a hard one is told."""
    code = """
import resource
from load_tests.open_loop import TooFewFiles, allow_files

resource.setrlimit(resource.RLIMIT_NOFILE, (64, 128))
for wanted in (32, 100, 200):
    try:
        allow_files(wanted)
    except TooFewFiles as error:
        print(error)
    print(resource.getrlimit(resource.RLIMIT_NOFILE))
"""

    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    enough, raised, refused, unchanged = said.stdout.splitlines()
    assert ("(64, 128)", "(100, 128)", "(100, 128)") == (enough, raised, unchanged)
    assert "200 open files are needed and 128 are allowed: lower --max-in-flight" in refused
