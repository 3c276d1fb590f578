"""A sandbox that is started again on its folder knows what it took, gave back, and still owes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from payments.channels.sandbox.books import (
    LOG,
    Books,
    Closed,
    Opened,
    Order,
    Paid,
    Refund,
    RefundAsked,
)
from payments.channels.sandbox.turns import Kind, RefundKind
from payments.channels.simulated.books import BooksDamaged, BooksInUse


@pytest.fixture
def desk(desks: Callable[..., Any]) -> Any:
    return desks(kept=True, refund_ms=5000)


def test_orders_survive_a_restart_in_every_state(desk: Any) -> None:
    for number, ending in (("A", "0000"), ("B", "9002"), ("C", "9003"), ("D", "9012"), ("E", "")):
        desk.pay(ending, number, extra={"attach": "桌 7"}, merchant="m1", wallet="wechat")
    desk.engine.reverse("A", "m1")
    before = list(desk.books)
    desk.restart()
    assert before == list(desk.books)
    assert desk.engine.inquire("D", "m1").payer_amount == 3300
    assert desk.engine.by_trade_no(before[0].trade_no).number == "A"


def test_what_is_due_is_still_due(desk: Any) -> None:
    """The PIN, the late payment, the code's expiry and the refund under way."""
    desk.pay("0000", "R")
    desk.refund("R1", 100, out_trade_no="R")
    desk.pay("9001", "P")
    desk.pay("9008", "L")
    desk.engine.close("L")
    desk.pay("", "X", expires_ms=desk.clock.now_ms() + 60_000)
    desk.restart()
    desk.clock.advance(60)
    assert desk.engine.inquire("P").kind == Kind.PAID
    assert desk.engine.inquire("L").kind == Kind.PAID
    assert desk.engine.inquire("X").kind == Kind.CLOSED
    assert desk.engine.inquire_refund("R1").kind == RefundKind.MADE


def test_a_repeated_number_is_known_after_a_restart(desk: Any) -> None:
    desk.pay(fingerprint="f1")
    desk.refund("R1", 178)
    desk.restart()
    assert desk.pay(fingerprint="f1").kind == Kind.PAID
    assert desk.pay(fingerprint="f2").kind == Kind.USED
    assert desk.refund("R1", 178).kind == RefundKind.PROCESSING
    assert desk.refund("R1", 179).kind == RefundKind.USED
    assert desk.book() == (3800, 0, "paid", 1)


def test_callbacks_are_owed_until_they_are_settled(desk: Any) -> None:
    """With the same ids, in their order; orders that named no address are owed nothing."""
    desk.pay("9009", "A")
    desk.pay("0000", "B")
    desk.pay("0000", "C", notify_url=None)
    first, second = desk.engine.owed()
    desk.engine.settle(first.id)
    desk.restart()
    (left,) = desk.engine.owed()
    assert (left.id, left.kind, left.order.number) == (second.id, "paid", "B")


def test_no_number_is_given_twice(desk: Any) -> None:
    desk.pay("0000", "A")
    (owed,) = desk.engine.owed()
    desk.restart()
    serials = {desk.pay("0000", number).known.serial for number in "BCD"}
    assert len(serials) == 3
    assert min(serials) > owed.id


def test_the_clock_keeps_its_distance(desk: Any) -> None:
    desk.engine.move_clock(90_000)
    desk.restart()
    assert desk.clock.offset_ms == 90_000


def test_the_auth_code_is_not_written(desk: Any) -> None:
    desk.pay("9012", auth_code="134567890123459012")
    desk.books.flush()
    assert b"13456789" not in (desk.folder / LOG).read_bytes()


def test_a_line_cut_by_a_crash_is_dropped(desk: Any) -> None:
    desk.pay("0000", "A")
    desk.books.close()
    log = desk.folder / LOG
    whole = log.read_bytes()
    log.write_bytes(whole + b'["open",{"mercha')
    desk.restart()
    desk.pay("0000", "B")
    desk.restart()
    assert [order.number for order in desk.books] == ["A", "B"]
    assert log.read_bytes().startswith(whole)


def test_books_cut_anywhere_open_and_add_up(desk: Any, tmp_path: Path) -> None:
    """Whatever a crash left: a prefix of what happened, and never more refunded than paid."""
    desk.pay("9012", "A")
    desk.refund("R1", 100, out_trade_no="A")
    desk.clock.advance(5)
    desk.engine.wake()
    desk.pay("9001", "B")
    desk.books.close()
    whole = (desk.folder / LOG).read_bytes()
    for size in range(0, len(whole), 7):
        cut = tmp_path / f"cut{size}"
        cut.mkdir()
        (cut / LOG).write_bytes(whole[:size])
        books = Books(cut)
        assert all(order.refunded <= order.amount * order.charges for order in books)
        books.close()


@pytest.mark.parametrize(
    "line",
    [
        b"nonsense\n",
        b'["pay",999999,1]\n',
        b'["begin","tillway sandbox books 1",1]\n',
        b'["teleport",1]\n',
    ],
)
def test_a_damaged_line_is_named(line: bytes, desk: Any) -> None:
    desk.pay()
    desk.books.close()
    with (desk.folder / LOG).open("ab") as log:
        log.write(line)
    with pytest.raises(BooksDamaged, match=r"line \d+"):
        Books(desk.folder)


def test_books_of_another_kind_are_refused(tmp_path: Path) -> None:
    (tmp_path / LOG).write_bytes(b'["begin","somebody else\'s",1]\n')
    with pytest.raises(BooksDamaged, match="another kind"):
        Books(tmp_path)


def test_what_was_answered_is_written(desk: Any, tmp_path: Path) -> None:
    """Nobody closed these books: the process was killed after its answer."""
    desk.pay()
    desk.refund("R1", 800)
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / LOG).write_bytes((desk.folder / LOG).read_bytes())
    (order,) = Books(copy)
    assert (order.state, order.committed) == ("paid", 800)


def test_one_process_at_a_time(tmp_path: Path) -> None:
    books = Books(tmp_path)
    with pytest.raises(BooksInUse):
        Books(tmp_path)
    books.close()
    Books(tmp_path).close()


def test_the_folder_is_private(desk: Any) -> None:
    assert (desk.folder / LOG).stat().st_mode & 0o777 == 0o600


def test_the_books_refuse_what_cannot_be() -> None:
    """The last line of defense: a second charge, or a refund of what was not paid."""
    books = Books()
    books.record(Opened(Order("", "N1", 1, "1", 100, "cny", "qr", None, "code", "", created_ms=0)))
    with pytest.raises(AssertionError, match="only money that was paid"):
        books.record(RefundAsked(Refund("R1", 1, 2, 10, "2", 0)))
    books.record(Paid(1, 5))
    with pytest.raises(AssertionError, match="one charge"):
        books.record(Paid(1, 6))
    with pytest.raises(AssertionError, match="only an unpaid order"):
        books.record(Closed(1, 6))
    with pytest.raises(AssertionError, match="never more"):
        books.record(RefundAsked(Refund("R2", 1, 3, 101, "3", 0)))


def test_a_full_disc_keeps_the_lines_for_later(desk: Any, monkeypatch: Any) -> None:
    """Nothing is answered while the books cannot be written, and nothing is forgotten."""

    def full(*_: object) -> int:
        raise OSError(28, "no space left")

    with monkeypatch.context() as patch:
        patch.setattr("os.write", full)
        with pytest.raises(OSError, match="no space"):
            desk.pay("0000", "A")
        assert desk.news == []
    assert desk.pay("0000", "A").kind == Kind.PAID
    assert desk.news == [("paid", "A", 1)]
    desk.restart()
    assert desk.book("A") == (3800, 0, "paid", 1)
