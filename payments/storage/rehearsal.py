"""Writing a made-up day: a shard's file with its rows, the channel's bill, and what was planted.

The file has payments and refunds and nothing else, so its books are empty: it is to reconcile with.
"""

import csv
import json
from collections.abc import Callable, Iterable, Iterator
from hashlib import file_digest
from itertools import count
from pathlib import Path
from typing import Any, Final

from msgspec.msgpack import Encoder

from payments.bills.lines import BillLine
from payments.reconciliation.rehearsal import ACCOUNT, RATE, Made
from payments.storage import connect, migrate
from payments.storage.base import StoreRefused
from payments.storage.sql import WRITE

SHARD: Final = "shard-0.db"
BILL: Final = "bill.csv"
PLANTED: Final = "planted.csv"
FACTS: Final = "rehearsal.json"
COLUMNS: Final = ("type", "line", "number")
ROWS_PER_COMMIT: Final = 10_000

_encode: Final = Encoder().encode

WriteBill = Callable[[Iterable[BillLine]], Iterable[bytes]]
"""The file of a channel, in parts."""


def write(folder: Path, day: Iterable[Made], bill_date: int, write_bill: WriteBill) -> None:
    """Make a folder with the four files. Raise StoreRefused when it is there already."""
    connect.guard_version()
    try:
        folder.mkdir(parents=True, mode=0o700)
    except FileExistsError:
        raise StoreRefused(f"{folder} exists; a rehearsal wants a folder of its own") from None
    connection = connect.scratch(folder / SHARD)
    try:
        migrate.prepare(connection, migrate.Stamp(0, False, 0, 1))
        with (
            (folder / PLANTED).open("w", encoding="utf-8", newline="") as planted,
            (folder / BILL).open("wb") as bill,
        ):
            writer = csv.writer(planted, lineterminator="\n")
            writer.writerow(COLUMNS)
            rows = _Rows(connection)
            for part in write_bill(_lines(day, rows, writer)):
                bill.write(part)
            rows.flush()
    finally:
        connection.close()
    with (folder / BILL).open("rb") as bill:
        digest = file_digest(bill, "sha256").hexdigest()
    facts = {
        "account": ACCOUNT,
        "bill_date": bill_date,
        "rate_ppm": RATE.rate_ppm,
        "payments": rows.payments_written,
        "bill_sha256": digest,
    }
    (folder / FACTS).write_text(json.dumps(facts) + "\n", encoding="utf-8")


def _lines(day: Iterable[Made], rows: "_Rows", planted: Any) -> Iterator[BillLine]:
    """The lines of the bill; rows and plants are written on the way."""
    for made in day:
        rows.add(made)
        if made.planted is not None:
            planted.writerow([str(word) for word in made.planted])
        yield from made.lines


class _Rows:
    """Rows on their way into the file, some thousands a commit."""

    def __init__(self, connection: Any) -> None:
        self.payments_written = 0
        self._connection = connection
        self._payment_numbers = count(1)
        self._refund_numbers = count(1)
        self._payments: list[tuple[object, ...]] = []
        self._refunds: list[tuple[object, ...]] = []

    def add(self, made: Made) -> None:
        payment = made.payment
        if payment is None:
            return
        no = next(self._payment_numbers)
        # Nobody looks such payments up by key, order or code: the hashes only have to differ.
        self._payments.append((no, payment.id, 1, 0, no, no, None, None, _encode(payment)))
        for refund in made.refunds:
            number = next(self._refund_numbers)
            self._refunds.append((number, refund.id, no, 1, 0, -number, None, _encode(refund)))
        if len(self._payments) >= ROWS_PER_COMMIT:
            self.flush()

    def flush(self) -> None:
        """Write what waits."""
        with self._connection:
            self._connection.executemany(WRITE["add_payments"], self._payments)
            self._connection.executemany(WRITE["add_refunds"], self._refunds)
        self.payments_written += len(self._payments)
        self._payments, self._refunds = [], []
