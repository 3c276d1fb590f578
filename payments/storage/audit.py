"""The books of one shard's file, recomputed from its rows: for `tillway ledger verify`.

Reads only, beside a running owner or without one. Nothing that is kept beside the entries is
believed: the chain is walked, balances are folded anew and compared, every payment must be what its
history, refunds, entries and events say, and no number, key or epoch may be out of order.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import apsw
from msgspec import Struct
from msgspec.msgpack import Decoder

from payments.bookings import held_entry_id, payment_entry_id
from payments.invariants import of_escrow, of_outside, of_payment, of_shares
from payments.ledger import (
    BrokenChain,
    Postings,
    Row,
    TrialBalance,
    book,
    trial_balance,
    unpack_postings,
)
from payments.ledger import verify_chain as walk
from payments.payment import Payment, Status
from payments.refund import Refund
from payments.storage import connect, division_audit
from payments.storage.base import StoreRefused
from payments.storage.home_audit import FileAudit, HomeAudit
from payments.storage.limits import event_range
from payments.storage.sql import load

SQL: Final = load("audit")
COMPLAINTS_MAX: Final = 20
STEP_ROWS: Final = 4_096

_payment: Final = Decoder(Payment).decode
_refund: Final = Decoder(Refund).decode


class Audit(Struct, kw_only=True):
    """What a file's rows say. `complaints`: the first that were found, in words.

    `broken`: how often a payment, a number, a key, an epoch or the way home of the money
    contradicts what must be true. `last_no`: the number of the last entry.
    """

    payments: dict[str, int]
    entries: int
    doubled: int
    unbooked: int
    broken: int
    chain_ok: bool
    balances_ok: bool
    currencies: tuple[TrialBalance, ...]
    complaints: list[str]
    last_no: int = 0

    @property
    def residual(self) -> int:
        """What the trial balance is off by, over all currencies; 0 for books that balance."""
        return sum(abs(each.residual) for each in self.currencies)

    @property
    def ok(self) -> bool:
        sound = self.chain_ok and self.balances_ok
        return sound and not (self.doubled or self.unbooked or self.broken or self.residual)


class Pace:
    """How many rows were passed, told now and then: entries and payments, of all files."""

    def __init__(self, step: Callable[[int], None]) -> None:
        self._step = step
        self._passed = 0

    def row(self) -> None:
        """One further."""
        self._passed += 1
        if not self._passed % STEP_ROWS:
            self._step(self._passed)


@contextmanager
def _opened(path: Path) -> Iterator[apsw.Connection]:
    """A file as of one moment: a commit meanwhile is not half seen."""
    connect.guard_version()
    if not path.exists():
        raise StoreRefused(f"{path} does not exist")
    connection = connect.reader(path)
    try:
        connection.execute("BEGIN")
        yield connection
    except apsw.Error as error:
        raise StoreRefused(f"{path}: {error}") from error
    finally:
        connection.close()


def rows_of(paths: Sequence[Path]) -> int:
    """How many rows `audit_all` is going to pass, about: numbers begin at one, without gaps."""
    rows = 0
    for path in paths:
        with _opened(path) as connection:
            rows += sum(number or 0 for (number,) in connection.execute(SQL["last_numbers"]))
    return rows


def audit(path: Path, home: HomeAudit | None = None, pace: Pace | None = None) -> Audit:
    """Recompute one file. Raise StoreRefused when it is not a store.

    `home`: told of what concerns several files, for those who audit all of them (`audit_all`).
    """
    with _opened(path) as connection:
        file = (home or HomeAudit()).file(connection)
        return _audit(connection, file, pace or Pace(lambda passed: None))


def audit_all(paths: Sequence[Path], step: Callable[[int], None]) -> tuple[list[Audit], HomeAudit]:
    """Recompute all files of a gateway. `step` is told how many rows were passed (`rows_of`).

    What is wrong with all of them together is among the complaints of the last. Raise StoreRefused.
    """
    home, found, pace = HomeAudit(), [], Pace(step)
    for path in paths:
        found.append(audit(path, home, pace))
    if found and any(home.complaints()):
        # A share may have been seen to arrive before it was seen to leave: read what came since.
        for path, one in zip(paths, found, strict=True):
            with _opened(path) as connection:
                home.catch_up(connection, one.last_no)
        for complaint in home.complaints():
            _break(found[-1], complaint)
    return found, home


def _audit(connection: apsw.Connection, home: FileAudit, pace: Pace) -> Audit:
    found = Audit(
        payments={},
        entries=0,
        doubled=0,
        unbooked=0,
        broken=0,
        chain_ok=True,
        balances_ok=True,
        currencies=(),
        complaints=[],
    )
    fold = _Fold(connection, found, home, pace)
    try:
        walk(fold.rows())
    except BrokenChain as error:
        found.chain_ok = False
        _complain(found, str(error))
    found.currencies = trial_balance(fold.balances)
    _check_payments(connection, found, pace)
    for complaint in division_audit.complaints(connection, fold.balances):
        _break(found, complaint)
    for merchant_no, order_hash in connection.execute(SQL["orders_twice"]):
        _check_order(connection, found, merchant_no, order_hash)
    _check_numbers(connection, found)
    _check_keys(connection, found)
    if found.chain_ok:
        for complaint in home.complaints():
            _break(found, complaint)
    return found


class _Fold:
    """Balances anew, from all entries, compared with the stored ones on the way.

    A stored balance is the fold up to its own entry number, so each is checked just there.
    """

    def __init__(
        self, connection: apsw.Connection, found: Audit, home: FileAudit, pace: Pace
    ) -> None:
        self.balances: dict[tuple[str, str], int] = {}
        self._home = home
        self._pace = pace
        self._connection = connection
        self._found = found
        self._stored: Any = connection.execute(SQL["balances"])
        self._next = next(self._stored, None)

    def rows(self) -> Iterator[Row]:
        row: Any
        for row in self._connection.execute(SQL["entries"]):
            self._check(row[0])
            self._found.entries += 1
            self._found.last_no = row[0]
            self._pace.row()
            book(self.balances, row[6], unpack_postings(row[7]))
            yield row
            # After the chain was found unbroken so far: a damaged row is its complaint.
            self._home.entry(row)
        self._check(None)

    def _check(self, before: int | None) -> None:
        """Those stored up to an entry number below `before`."""
        while self._next is not None and (before is None or self._next[3] < before):
            account, currency, minor, entry_no = self._next
            mine = self.balances.get((account, currency), 0)
            if mine != minor:
                self._found.balances_ok = False
                where = f"{account} {currency} at entry {entry_no}"
                _complain(self._found, f"{where}: stored {minor}, entries say {mine}")
            self._next = next(self._stored, None)


def _check_payments(connection: apsw.Connection, found: Audit, pace: Pace) -> None:
    for no, identifier, body in connection.execute(SQL["payments"]):
        pace.row()
        payment = _payment(body)
        status = payment.status.value
        found.payments[status] = found.payments.get(status, 0) + 1
        refunds = [_refund(row[0]) for row in connection.execute(SQL["refunds_of"], (no,))]
        sources = [identifier, *(refund.id for refund in refunds)]
        entries = _ids(connection, "entry_ids", [(source,) for source in sources])
        events = _ids(connection, "event_ids", [event_range(source) for source in sources])
        if payment.status is Status.SUCCEEDED and payment.settle_amount:
            booked = payment_entry_id(identifier)
            # Where the channel divides the money it has another, and `division_audit` looks at it.
            is_held = payment.shares and held_entry_id(identifier) in entries
            if booked not in entries and not is_held:
                found.unbooked += 1
                _complain(found, f"{identifier} succeeded and has no entry")
                entries.add(booked)
        for complaint in of_payment(payment, refunds, entries, events):
            _break(found, f"{identifier} {complaint}")
        if payment.split is not None:
            for complaint in of_shares(payment, _postings(connection, sources)):
                _break(found, f"{identifier} {complaint}")
        if payment.escrow is not None:
            for complaint in of_escrow(payment, _postings(connection, sources)):
                _break(found, f"{identifier} {complaint}")
        for complaint in of_outside(payment, _postings(connection, sources)):
            _break(found, f"{identifier} {complaint}")


def _postings(connection: apsw.Connection, sources: list[str]) -> Iterator[Postings]:
    for source in sources:
        for (packed,) in connection.execute(SQL["postings_of"], (source,)):
            yield unpack_postings(packed)


def _ids(connection: apsw.Connection, query: str, asked: list[tuple[str, ...]]) -> set[str]:
    return {str(row[0]) for each in asked for row in connection.execute(SQL[query], each)}


def _check_numbers(connection: apsw.Connection, found: Audit) -> None:
    """Nothing that was numbered is missing, and no older owner wrote after a newer one."""
    for table, missing in connection.execute(SQL["gaps"]):
        if missing:
            _break(found, f"{missing} rows of the table {table} are missing")
    for (count,) in connection.execute(SQL["older_epochs"]):
        if count:
            _break(found, f"{count} commits of an older owner came after those of a newer one")


def _check_keys(connection: apsw.Connection, found: Audit) -> None:
    """One object an idempotency key. Two keys may share a hash: the digests decide."""
    for (key_hash,) in connection.execute(SQL["keys_twice"]):
        digests = [
            (_payment(body) if kind == "payment" else _refund(body)).key_digest
            for kind, body in connection.execute(SQL["bodies_of_key"], (key_hash,))
        ]
        if len(set(digests)) != len(digests):
            _break(found, f"an idempotency key made {len(digests)} objects")


def _check_order(
    connection: apsw.Connection, found: Audit, merchant_no: int, order_hash: int
) -> None:
    """Several payments of one order are fine while at most one of them succeeded."""
    paid: dict[str, int] = {}
    for (body,) in connection.execute(SQL["payments_of_order"], (merchant_no, order_hash)):
        payment = _payment(body)
        if payment.status is Status.SUCCEEDED:
            paid[payment.order_no] = paid.get(payment.order_no, 0) + 1
    for order_no, count in paid.items():
        if count > 1:
            found.doubled += count - 1
            _complain(found, f"order {order_no} of merchant {merchant_no} was paid {count} times")


def _break(found: Audit, complaint: str) -> None:
    found.broken += 1
    _complain(found, complaint)


def _complain(found: Audit, complaint: str) -> None:
    if len(found.complaints) < COMPLAINTS_MAX:
        found.complaints.append(complaint)
