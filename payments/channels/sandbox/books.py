"""A sandbox's books: every order and refund, and every callback that it owes.

They stand for an outside party's, so they are a file of their own. Events are JSON lines of an
append-only log that memory is folded from; nothing is synced (the real channel has its own discs),
and a last line that was cut by a crash is dropped. Nothing is ever forgotten: for tests and demos.
"""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct, field

from payments.channels.base import Book
from payments.channels.simulated.books import BooksDamaged, BooksInUse

UNPAID: Final = "unpaid"
PAID: Final = "paid"
CLOSED: Final = "closed"
REVERSED: Final = "reversed"

VERSION: Final = "tillway sandbox books 1"

LOG: Final = "books.jsonl"
"""Name of the log in the sandbox's folder."""


class Refund(Struct):
    """One refund under the merchant's number. Amounts in minor units, instants in business ms.

    `payer_amount`: what the payer gets of it, the coupons' share left out. `made_ms`: 0 while
    processing or only asked for. `lost`: it was answered with "system error" and not begun.
    """

    number: str
    order: int
    serial: int
    amount: int
    trade_no: str
    created_ms: int
    fingerprint: str = ""
    notify_url: str | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    lost: bool = False
    due_ms: int = 0
    made_ms: int = 0
    payer_amount: int = 0


class Order(Struct):
    """One order. Amounts in minor units, instants in business milliseconds (0: not yet).

    `serial` identifies it, `trade_no` is the channel's number for it. `ending` names a row of
    `ENDINGS`, `failure` a code of the API (empty: not declined). `payer_amount` and `settle_amount`
    are the order's amount less coupons. `extra` is the channel's own, echoed untouched.
    """

    merchant: str
    number: str
    serial: int
    trade_no: str
    amount: int
    currency: str
    way: str
    wallet: str | None
    ending: str
    fingerprint: str
    created_ms: int
    expires_ms: int = 0
    notify_url: str | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    state: str = UNPAID
    failure: str = ""
    charges: int = 0
    paid_ms: int = 0
    ended_ms: int = 0
    refunded: int = 0
    committed: int = 0
    """Refunded, or being refunded."""
    due_ms: int = 0
    late: bool = False
    refunds: dict[str, Refund] = field(default_factory=dict)

    def book(self) -> Book:
        return Book(self.number, self.amount, self.refunded, self.state, self.charges)


class Began(Struct, array_like=True, tag="begin"):
    version: str
    serial: int


class Opened(Struct, array_like=True, tag="open"):
    order: Order


class Paid(Struct, array_like=True, tag="pay"):
    order: int
    at_ms: int


class Closed(Struct, array_like=True, tag="close"):
    order: int
    at_ms: int
    failure: str = ""


class Undone(Struct, array_like=True, tag="reverse"):
    order: int
    at_ms: int


class Due(Struct, array_like=True, tag="due"):
    order: int
    at_ms: int


class Late(Struct, array_like=True, tag="late"):
    order: int


class RefundAsked(Struct, array_like=True, tag="refund"):
    refund: Refund


class RefundMade(Struct, array_like=True, tag="refunded"):
    order: int
    number: str
    at_ms: int
    payer_amount: int


class Told(Struct, array_like=True, tag="tell", frozen=True):
    """A callback that is owed. `id` stays the same over retries and restarts.

    `kind`: paid | refunded | declined | closed | reversed. `times`: how often it is to arrive.
    """

    id: int
    kind: str
    order: int
    refund: str
    times: int
    at_ms: int


class Settled(Struct, array_like=True, tag="heard"):
    """The callback `id` was acknowledged, or given up: it is owed no more."""

    id: int


class Moved(Struct, array_like=True, tag="clock"):
    offset_ms: int


class Noted(Struct, array_like=True, tag="note"):
    """Something of the channel's own, by name: kept in an order's `extra`, or (order 0) in the
    sandbox's notes. JSON-able; it replaces what was there.
    """

    order: int
    name: str
    value: Any


Event = (
    Opened
    | Paid
    | Closed
    | Undone
    | Due
    | Late
    | RefundAsked
    | RefundMade
    | Told
    | Settled
    | Moved
    | Noted
    | Began
)


class Books:
    """Orders in memory and their log. `folder` None: memory only.

    `record` folds an event and appends its line; `flush` must return before an answer that rests
    on it leaves the process. `first_serial` is where a new folder's numbers begin.
    """

    def __init__(self, folder: Path | None = None, first_serial: int = 1) -> None:
        self.owed: dict[int, Told] = {}
        self.offset_ms = 0
        self.notes: dict[str, Any] = {}
        self._orders: dict[tuple[str, str], Order] = {}
        self._by_number: dict[str, list[Order]] = {}
        self._by_serial: dict[int, Order] = {}
        self._by_trade_no: dict[str, Order] = {}
        self._refund_by_trade_no: dict[str, Refund] = {}
        self._refund_by_key: dict[tuple[str, str], Refund] = {}
        self._serial = first_serial - 1
        self._file = -1
        self._lines: list[bytes] = []
        self._unwritten = b""
        self._encoder = msgspec.json.Encoder()
        if folder is not None:
            self._open(folder / LOG, first_serial)

    # --- reading ---------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._orders)

    def __iter__(self) -> Iterator[Order]:
        return iter(self._orders.values())

    def get(self, number: str, merchant: str = "") -> Order | None:
        return self._orders.get((merchant, number))

    def all_with(self, number: str) -> list[Order]:
        """The orders of all merchants under this number."""
        return self._by_number.get(number, [])

    def by_serial(self, serial: int) -> Order:
        return self._by_serial[serial]

    def by_trade_no(self, trade_no: str) -> Order | None:
        return self._by_trade_no.get(trade_no)

    def refund_by_number(self, number: str, merchant: str = "") -> Refund | None:
        return self._refund_by_key.get((merchant, number))

    def refund_by_trade_no(self, trade_no: str) -> Refund | None:
        return self._refund_by_trade_no.get(trade_no)

    def next_serial(self) -> int:
        """A number that no order, refund or callback of these books has."""
        return self._serial + 1

    # --- changing --------------------------------------------------------------------------

    def record(self, event: Event) -> None:
        self._fold(event)
        if self._file >= 0:
            self._lines.append(self._encoder.encode(event))

    def _fold(self, event: Event) -> None:
        """Fold one event: the same for a live change and for a replayed line."""
        match event:
            case Opened(order):
                self._fold_opened(order)
            case Paid(serial, at_ms):
                order = self._by_serial[serial]
                assert order.charges == 0, "one charge per order"
                order.state, order.charges, order.paid_ms = PAID, 1, at_ms
                order.due_ms, order.failure, order.ended_ms = 0, "", 0
            case Closed(serial, at_ms, failure):
                order = self._by_serial[serial]
                assert order.state == UNPAID, "only an unpaid order closes"
                order.state, order.ended_ms, order.due_ms = CLOSED, at_ms, 0
                order.failure = failure
            case Undone(serial, at_ms):
                order = self._by_serial[serial]
                assert order.state == PAID, "only a payment is undone"
                assert order.committed == 0, "what was refunded is not undone"
                order.state, order.ended_ms = REVERSED, at_ms
                order.refunded = order.committed = order.amount
            case Due(serial, at_ms):
                self._by_serial[serial].due_ms = at_ms
            case Late(serial):
                self._by_serial[serial].late = True
            case RefundAsked(refund):
                self._fold_refund(refund)
            case RefundMade(serial, number, at_ms, payer_amount):
                order = self._by_serial[serial]
                made = order.refunds[number]
                assert not made.made_ms, "a refund is made once"
                assert not made.lost, "a lost refund is begun again first"
                made.made_ms, made.due_ms, made.payer_amount = at_ms, 0, payer_amount
                order.refunded += made.amount
                assert order.refunded <= order.committed, "never more than was paid"
            case Told():
                self.owed[event.id] = event
                self._serial = max(self._serial, event.id)
            case Settled(news):
                self.owed.pop(news, None)
            case Moved(offset_ms):
                self.offset_ms = offset_ms
            case Noted(serial, name, value):
                (self._by_serial[serial].extra if serial else self.notes)[name] = value
            case Began(version, first_serial):
                if version != VERSION:
                    raise ValueError(f"books of another kind: {version[:40]!r}")
                self._serial = first_serial - 1

    def _fold_opened(self, order: Order) -> None:
        key = (order.merchant, order.number)
        assert key not in self._orders, "the number is new"
        self._orders[key] = order
        self._by_number.setdefault(order.number, []).append(order)
        self._by_serial[order.serial] = order
        self._by_trade_no[order.trade_no] = order
        self._serial = max(self._serial, order.serial)

    def _fold_refund(self, refund: Refund) -> None:
        """A new refund, or a lost one that is begun after all."""
        order = self._by_serial[refund.order]
        before = order.refunds.get(refund.number)
        assert before is None or before.lost, "a refund is begun once"
        order.refunds[refund.number] = refund
        self._refund_by_key[order.merchant, refund.number] = refund
        self._refund_by_trade_no[refund.trade_no] = refund
        self._serial = max(self._serial, refund.serial)
        if not refund.lost:
            assert order.state == PAID, "only money that was paid goes back"
            order.committed += refund.amount
            assert order.committed <= order.amount, "never more than was paid"

    # --- the log ---------------------------------------------------------------------------

    def flush(self) -> None:
        """Write what changed since the last call. Raise OSError when the disc refuses: the lines
        are kept for the next call, and nothing that rests on them may be answered.
        """
        if self._lines:
            self._unwritten += b"\n".join(self._lines) + b"\n"
            self._lines.clear()
        while self._unwritten:
            written = os.write(self._file, self._unwritten)
            self._unwritten = self._unwritten[written:]

    def close(self) -> None:
        """Write the rest and let go of the file."""
        if self._file >= 0:
            try:
                self.flush()
            finally:
                os.close(self._file)
                self._file = -1

    def _open(self, path: Path, first_serial: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            kept = self._replay(path)
        except BlockingIOError:
            self._let_go()
            raise BooksInUse(f"{path} is held by another process") from None
        except BooksDamaged:
            self._let_go()
            raise
        if kept < os.fstat(self._file).st_size:
            os.ftruncate(self._file, kept)
        if kept == 0:
            self.record(Began(VERSION, first_serial))
            self.flush()

    def _let_go(self) -> None:
        os.close(self._file)
        self._file = -1

    def _replay(self, path: Path) -> int:
        """Fold the log. Return how many bytes of it are whole lines."""
        decoder = msgspec.json.Decoder(Event)
        kept = 0
        with path.open("rb") as file:
            for count, line in enumerate(file):
                if not line.endswith(b"\n"):
                    return kept
                try:
                    event = decoder.decode(line)
                    if (count == 0) != isinstance(event, Began):
                        raise ValueError("the log does not begin where it should")
                    self._fold(event)
                except (ValueError, KeyError, AssertionError) as error:
                    raise BooksDamaged(f"{path}, line {count + 1}: {error}") from error
                kept += len(line)
        return kept
