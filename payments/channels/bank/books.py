"""The sandbox's bank's books: orders, their payments, and every movement of the custody account.

They stand for an outside party's, so they are a file of their own. Events are JSON lines of an
append-only log that memory is folded from; nothing is synced (the real bank has its own discs), and
a last line that was cut by a crash is dropped. Nothing is ever forgotten: for tests and demos.
"""

import fcntl
import os
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct, field

from payments.calendar import business_date
from payments.channels.bank.endings import OPEN, REJECTED, SETTLED
from payments.channels.simulated.books import BooksDamaged, BooksInUse
from payments.iso20022.entries import Entry, Kind

VERSION: Final = "tillway bank books 1"
LOG: Final = "bank.jsonl"
"""Name of the log in the sandbox's folder."""


class Payment(Struct):
    """One payment as the bank has it. Amounts in minor units, instants in business ms.

    `step`: how many steps of its ending were taken. `due_ms`: of the next one, 0 for none.
    """

    end_to_end_id: str
    message_id: str
    payment_id: str
    serial: int
    amount_minor: int
    name: str
    account: str
    agent: str
    remittance: str
    status: str
    changed_ms: int
    reason: str = ""
    step: int = 0
    due_ms: int = 0
    is_returned: bool = False

    @property
    def reference(self) -> str:
        """The bank's number for it."""
        return f"B{self.serial:012d}"


class Line(Struct):
    """One item of an order. `is_other`: its number is that of another payment, so it is refused."""

    end_to_end_id: str
    amount_minor: int
    is_other: bool = False


class Order(Struct):
    """One message. `digest`: of its bytes."""

    message_id: str
    payment_id: str
    serial: int
    digest: str
    taken_ms: int
    lines: list[Line] = field(default_factory=list)


class Began(Struct, array_like=True, tag="begin"):
    version: str
    at_ms: int


class Taken(Struct, array_like=True, tag="take"):
    """An order with the payments in it that were not known before."""

    order: Order
    payments: list[Payment]


class Ignored(Struct, array_like=True, tag="ignore"):
    """A message that got neither taken nor answered; the next time it will be."""

    message_id: str


class Stepped(Struct, array_like=True, tag="step"):
    end_to_end_id: str
    at_ms: int
    status: str
    reason: str
    is_returned: bool
    due_ms: int


class Credited(Struct, array_like=True, tag="credit"):
    """Money that came from somebody else, under the sender's reference."""

    reference: str
    amount_minor: int
    remittance: str
    sender: str
    at_ms: int


class Moved(Struct, array_like=True, tag="clock"):
    offset_ms: int


Event = Began | Taken | Ignored | Stepped | Credited | Moved


class Books:
    """`folder` None: memory only. Raise BooksInUse, BooksDamaged, OSError.

    `record` folds an event and appends its line; `flush` must return before an answer that rests
    on it leaves the process. `began_ms`: when a new account is opened.
    """

    def __init__(self, folder: Path | None, began_ms: int) -> None:
        self.orders: dict[str, Order] = {}
        self.payments: dict[str, Payment] = {}
        self.ignored: set[str] = set()
        self.credits: dict[str, Credited] = {}
        self.movements: list[Entry] = []
        self.balances: list[int] = [0]
        """After so many movements."""
        self.reserved = 0
        self.began_ms = began_ms
        self.last_ms = began_ms
        self.offset_ms = 0
        self._file = -1
        self._unwritten = b""
        self._encoder = msgspec.json.Encoder()
        if folder is not None:
            self._open(folder / LOG)

    @property
    def balance(self) -> int:
        return self.balances[-1]

    @property
    def available(self) -> int:
        """What can be paid out: the balance without what is reserved."""
        return self.balance - self.reserved

    # --- changing --------------------------------------------------------------------------

    def record(self, event: Event) -> None:
        self._fold(event)
        if self._file >= 0:
            self._unwritten += self._encoder.encode(event) + b"\n"

    def _fold(self, event: Event) -> None:
        """Fold one event: the same for a live change and for a replayed line."""
        match event:
            case Taken(order, payments):
                self._fold_taken(order, payments)
            case Stepped():
                self._fold_step(event)
            case Credited(reference, amount, remittance, sender, at_ms):
                assert reference not in self.credits, "a credit is booked once"
                self.credits[reference] = event
                self._move(Kind.CREDIT, amount, at_ms, reference, sender, remittance=remittance)
            case Ignored(message_id):
                self.ignored.add(message_id)
            case Moved(offset_ms):
                self.offset_ms = offset_ms
            case Began(version, at_ms):
                if version != VERSION:
                    raise ValueError(f"books of another kind: {version[:40]!r}")
                self.began_ms = self.last_ms = at_ms
        assert 0 <= self.reserved <= self.balance, "never more than is there"

    def _fold_taken(self, order: Order, payments: list[Payment]) -> None:
        assert order.message_id not in self.orders, "a message is taken once"
        self.orders[order.message_id] = order
        self.last_ms = max(self.last_ms, order.taken_ms)
        for payment in payments:
            assert payment.end_to_end_id not in self.payments, "a number is one payment"
            self.payments[payment.end_to_end_id] = payment
            if payment.status in OPEN:
                self.reserved += payment.amount_minor
            elif payment.status == SETTLED:
                self._pay(Kind.PAYOUT, payment, order.taken_ms)
            else:
                assert payment.status == REJECTED, payment.status

    def _fold_step(self, step: Stepped) -> None:
        payment = self.payments[step.end_to_end_id]
        assert payment.status != REJECTED, "a refusal is final"
        if payment.status in OPEN and step.status not in OPEN:
            self.reserved -= payment.amount_minor
            if step.status == SETTLED:
                self._pay(Kind.PAYOUT, payment, step.at_ms)
        elif step.is_returned:
            assert payment.status == SETTLED, "only money that left comes back"
            assert not payment.is_returned, "it comes back once"
            self._pay(Kind.RETURN, payment, step.at_ms, step.reason)
        payment.status, payment.reason = step.status, step.reason
        payment.is_returned, payment.changed_ms = step.is_returned, step.at_ms
        payment.due_ms, payment.step = step.due_ms, payment.step + 1
        self.last_ms = max(self.last_ms, step.at_ms)

    def _pay(self, kind: Kind, payment: Payment, at_ms: int, reason: str = "") -> None:
        self._move(
            kind,
            payment.amount_minor,
            at_ms,
            payment.end_to_end_id,
            payment.name,
            message_id=payment.message_id,
            account=payment.account,
            remittance=payment.remittance,
            reason=reason,
        )

    def _move(
        self,
        kind: Kind,
        amount_minor: int,
        at_ms: int,
        number: str,
        name: str,
        *,
        message_id: str = "",
        account: str = "",
        remittance: str = "",
        reason: str = "",
    ) -> None:
        """Book one movement of the account."""
        sequence = len(self.movements) + 1
        assert at_ms >= (self.movements[-1].booked_ms if self.movements else 0), "in order"
        entry = Entry(
            sequence=sequence,
            kind=kind,
            amount_minor=amount_minor,
            booked_ms=at_ms,
            value_on=business_date(at_ms),
            reference=f"V{sequence:012d}",
            end_to_end_id=number,
            counterparty_name=name,
            message_id=message_id,
            counterparty_account=account,
            remittance=remittance,
            return_reason=reason,
        )
        self.movements.append(entry)
        self.balances.append(self.balance + entry.signed_minor)
        self.last_ms = max(self.last_ms, at_ms)

    # --- the log ---------------------------------------------------------------------------

    def flush(self) -> None:
        """Write what changed since the last call. Raise OSError when the disc refuses: the lines
        are kept for the next call, and nothing that rests on them may be answered.
        """
        while self._unwritten:
            written = os.write(self._file, self._unwritten)
            self._unwritten = self._unwritten[written:]

    def close(self) -> None:
        """Write the rest and let go of the file."""
        if self._file >= 0:
            try:
                self.flush()
            finally:
                self._let_go()

    def _open(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            kept = self._replay(path)
            if kept < os.fstat(self._file).st_size:
                os.ftruncate(self._file, kept)
            if kept == 0:
                self.record(Began(VERSION, self.began_ms))
                self.flush()
        except BlockingIOError:
            self._let_go()
            raise BooksInUse(f"{path} is held by another process") from None
        except BaseException:
            self._let_go()
            raise

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
