"""The books of a simulated channel: what it really took and gave back, order by order.

They stand for an outside party's, so they are its own file beside ours and never part of our
store. Events are lines of an append-only log, gathered and written with one write() a loop tick:
that survives `kill -9` of the process; a power cut may cost lines, for nothing is synced (the
real channel has its own discs). A log whose last line was cut is read up to the cut.

An order paid at once, with nothing special to remember, is one integer: a million of them take
about 200 MB. The others are `Order`s. Nothing is ever forgotten: this channel is for tests,
demos and benchmarks.
"""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from payments.channels.base import Book

HEADER: Final = "tillway simulated books 1\n"
NONE: Final = "-"

UNPAID: Final = "unpaid"
PAID: Final = "paid"
CLOSED: Final = "closed"
REVERSED: Final = "reversed"

_PRINT_BITS: Final = 32
_PRINT_MASK: Final = (1 << _PRINT_BITS) - 1


class BooksInUse(Exception):
    """Another live process writes these books."""


class BooksDamaged(Exception):
    """A line before the last one is not ours: the file was changed by somebody else."""


class Order:
    """One order. Amounts in minor units, instants in business milliseconds (0: none).

    `print`: 32-bit checksum of what was asked, to know a repeated request from a changed one.
    `refunds`: out_refund_no -> amount given back, or minus the amount when only asked for.
    """

    __slots__ = (
        "amount",
        "charges",
        "created",
        "due",
        "ending",
        "expires",
        "failure",
        "late",
        "number",
        "print",
        "refunded",
        "refunds",
        "state",
    )

    def __init__(
        self, number: str, amount: int, print_: int, ending: str, created: int, expires: int
    ) -> None:
        self.number = number
        self.amount = amount
        self.print = print_
        self.ending = ending
        self.created = created
        self.expires = expires
        self.state = UNPAID
        self.failure = ""
        self.charges = 0
        self.refunded = 0
        self.refunds: dict[str, int] = {}
        self.due = 0
        self.late = False

    def book(self) -> Book:
        return Book(self.number, self.amount, self.refunded, self.state, self.charges)


class Books:
    """Orders in memory and their log. `path` None: memory only.

    Changes are methods; each appends its line and folds it. `flush` must return before an answer
    that rests on a change leaves the process. `taken` holds the plain paid orders as integers,
    `orders` the others: public for the connector's hot path, and for reading only.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.taken: dict[str, int] = {}
        self.orders: dict[str, Order] = {}
        self._lines: list[str] = []
        self._unwritten = b""
        self._file = -1
        if path is not None:
            self._open(path)

    # --- reading ---------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.taken) + len(self.orders)

    def __contains__(self, number: str) -> bool:
        return number in self.taken or number in self.orders

    def get(self, number: str) -> Order | None:
        """The order under this number, for reading: change it through these books only."""
        order = self.orders.get(number)
        if order is None and (packed := self.taken.get(number)) is not None:
            return _unpacked(number, packed)
        return order

    def due_of(self, number: str) -> int:
        """When something happens to this order by itself; 0: nothing will."""
        order = self.orders.get(number)
        return 0 if order is None else order.due

    def list(self) -> Iterator[Book]:
        """Every order, the oldest plain ones first."""
        for number, packed in self.taken.items():
            yield Book(number, packed >> _PRINT_BITS, 0, PAID, 1)
        for order in self.orders.values():
            yield order.book()

    def waiting(self) -> Iterator[Order]:
        """Orders with something due: what a restart has to schedule again."""
        return (order for order in self.orders.values() if order.due)

    # --- changing --------------------------------------------------------------------------

    def take(self, number: str, amount: int, print_: int) -> None:
        """A new order paid at once: the hot path. The number must be new."""
        self.taken[number] = amount << _PRINT_BITS | print_
        self._lines.append(f"T {number} {amount} {print_}\n")

    def open(
        self, number: str, amount: int, print_: int, ending: str, created: int, expires: int
    ) -> Order:
        """A new unpaid order."""
        assert number not in self, number
        self._log(f"N {number} {amount} {print_} {ending or NONE} {created} {expires}")
        return self.orders[number]

    def pay(self, number: str) -> None:
        self._log(f"P {number}")

    def close_order(self, number: str, failure: str = "") -> None:
        self._log(f"C {number} {failure or NONE}")

    def reverse(self, number: str) -> None:
        self._log(f"R {number}")

    def set_due(self, number: str, due: int) -> None:
        self._log(f"D {number} {due}")

    def set_late(self, number: str) -> None:
        self._log(f"L {number}")

    def ask_refund(self, number: str, refund: str, amount: int) -> None:
        """A refund was asked for and not made."""
        self._log(f"A {number} {refund} {amount}")

    def refund(self, number: str, refund: str, amount: int) -> None:
        self._log(f"F {number} {refund} {amount}")

    def _log(self, line: str) -> None:
        self._fold(line)
        self._lines.append(line + "\n")

    def _fold(self, line: str) -> None:
        """Fold one event into memory: the same for a live change and for a replayed line."""
        kind, number, *rest = line.split(" ")
        if kind == "T":
            amount, print_ = rest
            self.taken[number] = int(amount) << _PRINT_BITS | int(print_)
            return
        if kind == "N":
            amount, print_, ending, created, expires = rest
            self.orders[number] = Order(
                number,
                int(amount),
                int(print_),
                "" if ending == NONE else ending,
                int(created),
                int(expires),
            )
            return
        order = self._own(number)
        if kind == "P":
            assert order.state in (UNPAID, CLOSED), line
            assert order.charges == 0, line
            order.state, order.charges, order.due, order.failure = PAID, 1, 0, ""
        elif kind == "C":
            assert order.state == UNPAID, line
            order.state, order.due = CLOSED, 0
            order.failure = "" if rest[0] == NONE else rest[0]
        elif kind == "R":
            assert order.state == PAID, line
            order.state, order.refunded = REVERSED, order.amount
        elif kind == "D":
            order.due = int(rest[0])
        elif kind == "L":
            order.late = True
        elif kind == "A":
            order.refunds[rest[0]] = -int(rest[1])
        elif kind == "F":
            assert order.state == PAID, line
            assert order.refunds.get(rest[0], 0) <= 0, line
            order.refunds[rest[0]] = int(rest[1])
            order.refunded += int(rest[1])
            assert order.refunded <= order.amount, line
        else:
            raise ValueError(f"no such event: {kind}")

    def _own(self, number: str) -> Order:
        """The order as an object that may change: a packed one is unpacked for good."""
        order = self.orders.get(number)
        if order is None:
            order = self.orders[number] = _unpacked(number, self.taken.pop(number))
        return order

    # --- the log ---------------------------------------------------------------------------

    def flush(self) -> None:
        """Write what changed since the last call, in one write(). Raise OSError when the disc
        refuses: the lines are kept for the next call and nothing may be answered.
        """
        if not self._lines:
            if not self._unwritten:
                return
        elif self._file < 0:
            self._lines.clear()
            return
        else:
            self._unwritten += "".join(self._lines).encode()
            self._lines.clear()
        while self._unwritten:
            written = os.write(self._file, self._unwritten)
            self._unwritten = self._unwritten[written:]

    def close(self) -> None:
        """Write the rest and let go of the file."""
        if self._file >= 0:
            self.flush()
            os.close(self._file)
            self._file = -1

    def abandon(self) -> None:
        """Let go of the file as a process that is killed would: what was not written is lost."""
        self._lines.clear()
        self._unwritten = b""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _open(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._file)
            self._file = -1
            raise BooksInUse(f"{path} is held by another process") from None
        kept = self._replay(path)
        if kept < os.fstat(self._file).st_size:
            os.ftruncate(self._file, kept)
        if kept == 0:
            self._lines.insert(0, HEADER)
            self.flush()

    def _replay(self, path: Path) -> int:
        """Fold the log. Return how many bytes of it are whole lines."""
        kept = 0
        with path.open("rb") as file:
            for count, line in enumerate(file):
                if not line.endswith(b"\n"):
                    return kept
                try:
                    if count:
                        self._fold(line[:-1].decode())
                    elif line != HEADER.encode():
                        raise ValueError("no header of simulated books")
                except (ValueError, KeyError, IndexError, AssertionError) as error:
                    raise BooksDamaged(f"{path}, line {count + 1}: {error}") from error
                kept += len(line)
        return kept


def _unpacked(number: str, packed: int) -> Order:
    order = Order(number, packed >> _PRINT_BITS, packed & _PRINT_MASK, "", 0, 0)
    order.state = PAID
    order.charges = 1
    return order
