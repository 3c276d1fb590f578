"""The channel's own books: what they hold outlives the process, to the fen."""

import os
import signal
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest

from payments.channels.base import Approved, Book
from payments.channels.simulated.books import HEADER, Books, BooksDamaged, BooksInUse
from payments.payment import Way

ROOT = Path(__file__).resolve().parents[4]

VICTIM = """
import sys
from pathlib import Path
from random import Random
from payments.channels.base import PayOrder
from payments.channels.simulated.books import Books
from payments.channels.simulated.connector import SimulatedChannel
from payments.channels.simulated.settings import SimulatedSettings
from payments.clock import SystemClock
from payments.payment import Way

channel = SimulatedChannel(
    SimulatedSettings(), SystemClock(), Random(1), Books(Path(sys.argv[1]))
)
number = 0
while True:
    for _ in range(8):
        number += 1
        code = "13" + ("9005" if number % 5 == 0 else "0000")
        order = PayOrder(f"N{number}", number, "cny", Way.BARCODE, "wechat", "m", code)
        assert channel.pay_now(order) is not None
    channel.flush()
    sys.stdout.write(f"{number}\\n")
    sys.stdout.flush()
"""


def test_kill_9_loses_nothing_that_was_answered(tmp_path):
    """Whatever was flushed before its answer is in the books of the next process."""
    path = tmp_path / "books"
    victim = subprocess.Popen(
        [sys.executable, "-c", VICTIM, str(path)], stdout=subprocess.PIPE, cwd=ROOT, text=True
    )
    try:
        answered = 0
        while answered < 2_000:
            answered = int(victim.stdout.readline())
        victim.send_signal(signal.SIGKILL)
        lines = victim.stdout.read().split("\n")
        answered = max([answered, *(int(line) for line in lines[:-1])])
    finally:
        victim.kill()
        victim.wait()
        victim.stdout.close()

    books = Books(path)
    held = {book.out_trade_no: book for book in books.list()}
    books.close()

    for number in range(1, answered + 1):
        assert held[f"N{number}"] == Book(f"N{number}", number, 0, "paid", 1)


async def a_life(world):
    """One of everything: a world whose books hold each kind of line."""
    numbers = iter(f"N{i}" for i in range(100))
    for ending in ("0000", "0001", "9001", "9002", "9003", "9005", "9008", "9010", "9011", "9012"):
        await world.pay(world.order(ending, number=next(numbers)))
    await world.reverse("N0")
    await world.reverse("N3")
    await world.reverse("N6")
    for refund, amount in (("R1", 1000), ("R2", 1077), ("R3", 578)):
        await world.channel.refund(world.refund(refund, amount, "N1"))
    await world.reverse("absent")
    for number, verb in (("Q1", "pay"), ("Q2", "decline"), ("Q3", "pay_late"), ("Q4", None)):
        await world.pay(world.order(number=number, way=Way.QR, expires_in=300))
        if verb:
            world.channel.act(number, verb)
    await world.undo_code("Q3")


async def test_a_restart_changes_nothing(make_world, tmp_path):
    """Books, refunds, what is due and what queries say: the same after a replay."""
    world = make_world(tmp_path / "books")
    await a_life(world)
    before, due = world.channel.books(), world.channel.next_due()
    world.close()

    world.restart()

    assert sorted(b.out_trade_no for b in world.channel.books()) == sorted(
        b.out_trade_no for b in before
    )
    assert {b.out_trade_no: b for b in world.channel.books()} == {b.out_trade_no: b for b in before}
    assert world.channel.next_due() == due
    lost = world.refund("R2", 1077, "N1")
    assert await world.channel.inquire_refund(lost) == Approved("N1", 1077, "simrR2")
    world.pass_seconds(1000)
    states = {book.out_trade_no: book.state for book in world.channel.books()}
    world.close()
    assert {n: states[n] for n in ("N2", "N6", "Q3", "Q4")} == {
        "N2": "paid",  # entered the PIN
        "N6": "paid",  # after its reverse
        "Q3": "paid",  # after its close
        "Q4": "closed",  # expired
    }


async def test_a_cut_tail_is_read_up_to_the_cut(make_world, tmp_path):
    """A write that a kill cut in two costs that line, and the log goes on behind the rest."""
    path = tmp_path / "books"
    world = make_world(path)
    await a_life(world)
    world.close()
    whole = path.read_bytes()
    last = whole.rstrip(b"\n").rfind(b"\n") + 1

    for cut in range(last, len(whole)):
        path.write_bytes(whole[:cut])
        books = Books(path)
        books.take("NEW", 5, 1)
        books.close()
        assert path.read_bytes() == whole[:last] + b"T NEW 5 1\n"
        again = Books(path)
        assert again.get("NEW").book() == Book("NEW", 5, 0, "paid", 1)
        again.close()


@pytest.mark.parametrize(
    "line", [b"P nobody\n", b"Z N1\n", b"T N1 x 1\n", b"\n", b"R N0\n", b"P N1\n"]
)
def test_a_damaged_line_is_not_skipped(tmp_path, line):
    """Money would be missing: who changed the file has to explain."""
    path = tmp_path / "books"
    path.write_bytes(HEADER.encode() + b"T N1 100 7\n" + line + b"T N2 100 7\n")

    with pytest.raises(BooksDamaged, match="line 3"):
        Books(path)


def test_another_file_is_not_taken_for_books(tmp_path):
    path = tmp_path / "books"
    path.write_bytes(b"something else\n")

    with pytest.raises(BooksDamaged, match="line 1"):
        Books(path)
    assert path.read_bytes() == b"something else\n"


def test_two_processes_never_write_the_same_books(tmp_path):
    """The second one is told; the first one's end lets go."""
    books = Books(tmp_path / "books")
    with pytest.raises(BooksInUse):
        Books(tmp_path / "books")

    books.close()
    second = Books(tmp_path / "books")

    assert len(second) == 0
    second.close()


def test_one_write_for_all_that_a_tick_brings(tmp_path, monkeypatch):
    """However many orders."""
    books = Books(tmp_path / "books")
    writes = []
    monkeypatch.setattr(os, "write", lambda file, data: writes.append(data) or len(data))
    for number in range(50):
        books.take(f"N{number}", 1, 0)

    books.flush()
    books.flush()

    assert [data.count(b"\n") for data in writes] == [50]
    books.close()


def test_a_full_disc_keeps_the_lines_for_the_next_try(tmp_path, monkeypatch):
    """The error is told, so that nothing is answered; afterwards not a byte is missing."""
    path = tmp_path / "books"
    books = Books(path)
    books.take("N1", 100, 7)
    real_write = os.write

    def half_then_full(file, data):
        if len(data) > 4:
            return real_write(file, data[:4])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(os, "write", half_then_full)
        with pytest.raises(OSError, match="No space left"):
            books.flush()
    books.take("N2", 200, 8)
    books.close()

    assert path.read_text() == HEADER + "T N1 100 7\nT N2 200 8\n"


def test_a_plain_order_takes_few_bytes():
    """A million of them fit in well under 400 MB: at most 300 bytes each."""
    count = 50_000
    tracemalloc.start()
    try:
        books = Books()
        for number in range(count):
            books.take(f"0123456789ABCDEFGH{number:08d}", 5_000_000, 0xFFFFFFFF)
            if number % 100 == 0:
                books.flush()
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert len(books) == count
    assert used / count < 300
