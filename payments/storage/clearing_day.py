"""Writing a made-up day of `payments.clearing.rehearsal` into a fresh store file, whole.

Payments, refunds, their entries in unbroken chains, their events and the balances folded from them
are there as if each had come in by itself, so that every audit holds before and after clearing.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Final

import apsw
from msgspec.msgpack import Encoder

from payments.bookings import payment_entry_id, refund_entry_id
from payments.clearing.rehearsal import Sale, Shop
from payments.idempotency import index_of
from payments.ledger import GENESIS, Postings, chain_hash, pack_postings
from payments.storage import connect, migrate
from payments.storage.base import EntryRow, EventRow, PaymentRow, RefundRow, StoreRefused
from payments.storage.limits import pack_marks, pack_nonces
from payments.storage.seek import Seek
from payments.storage.sql import WRITE
from payments.view import Presentation, event_id, event_json, payment_json, refund_json

SHARD: Final = "shard-0.db"
FACTS: Final = "clearing.json"
SEED: Final = "seed.json"
"""Its shops, as a gateway's seed file, in the order of their numbers."""

CHUNK: Final = 10_000
"""Payments per database transaction."""

_SHOWN: Final = Presentation()
_START: Final = (0, GENESIS, 0)
_encode: Final = Encoder().encode


def write(
    folder: Path,
    day: Iterable[tuple[Shop, Sale]],
    facts: Mapping[str, int],
    progress: Callable[[int], None] | None = None,
) -> None:
    """Make a folder with the shard's file and the facts of the day.

    `progress` is told how many payments are written. Raise StoreRefused when it is there already.
    """
    connect.guard_version()
    try:
        folder.mkdir(parents=True, mode=0o700)
    except FileExistsError:
        raise StoreRefused(f"{folder} exists; a rehearsal wants a folder of its own") from None
    connection = connect.scratch(folder / SHARD)
    try:
        migrate.prepare(connection, migrate.Stamp(0, False, 0, 1))
        rows = _Rows(connection)
        sold = iter(day)
        while some := list(islice(sold, CHUNK)):
            for shop, sale in some:
                rows.add(shop, sale)
            rows.flush()
            if progress is not None:
                progress(rows.payment_no)
        rows.fold()
    finally:
        connection.close()
    (folder / FACTS).write_text(json.dumps(dict(facts)) + "\n", encoding="utf-8")


class _Rows:
    """Rows on their way into the file; chain ends and balances that follow from them."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._seek = Seek(pending_max=0)
        self._payments: list[PaymentRow] = []
        self._refunds: list[RefundRow] = []
        self._entries: list[EntryRow] = []
        self._events: list[EventRow] = []
        self._heads: dict[int, tuple[int, bytes, int]] = {}
        self._balances: dict[str, tuple[int, int]] = {}
        self._last_ms = 0
        self.payment_no = self._refund_no = self._entry_no = self._event_no = 0

    def add(self, shop: Shop, sale: Sale) -> None:
        payment, refund, merchant = sale.payment, sale.refund, shop.merchant
        self.payment_no = no = self.payment_no + 1
        # Nobody looks these up by order or code: such hashes only have to be spread as others are.
        self._payments.append(
            (no, payment.id, merchant.number, merchant.partition, index_of(payment.key_digest),
             index_of(payment.fingerprint), None, None, _encode(payment))
        )  # fmt: skip
        at = payment.succeeded_at
        assert at is not None
        self._book(payment_entry_id(payment.id), payment.id, merchant.partition, at, sale.paid)
        shown = payment_json(payment, _SHOWN)
        self._tell(shop, payment.id, "payment.succeeded", at, shown)
        if refund is None:
            return
        self._refund_no += 1
        self._refunds.append(
            (self._refund_no, refund.id, no, merchant.number, merchant.partition,
             index_of(refund.key_digest), None, _encode(refund))
        )  # fmt: skip
        at = refund.created
        self._book(refund_entry_id(refund.id), refund.id, merchant.partition, at, sale.returned)
        self._tell(shop, refund.id, "refund.succeeded", at, refund_json(refund, _SHOWN))

    def _book(
        self, identifier: str, source: str, partition: int, at_ms: int, postings: Postings
    ) -> None:
        self._entry_no = no = self._entry_no + 1
        seq, chain, _ = self._heads.get(partition, _START)
        seq += 1
        packed = pack_postings(postings)
        chain = chain_hash(chain, identifier, seq, "cny", at_ms, packed)
        self._heads[partition] = (seq, chain, no)
        self._entries.append((no, partition, seq, identifier, source, at_ms, "cny", packed, chain))
        for account, minor in postings:
            self._balances[account] = (self._balances.get(account, (0, 0))[0] + minor, no)
        self._last_ms = at_ms

    def _tell(self, shop: Shop, source: str, kind: str, at_ms: int, body: bytes) -> None:
        self._event_no += 1
        merchant = shop.merchant
        event = event_json(kind, at_ms, body)
        identifier = event_id(source, kind)
        self._events.append(
            (self._event_no, merchant.partition, merchant.number, identifier, kind, at_ms, event)
        )

    def flush(self) -> None:
        """Write what waits."""
        with self._connection:
            self._connection.executemany(WRITE["add_payments"], self._payments)
            self._connection.executemany(WRITE["add_refunds"], self._refunds)
            self._connection.executemany(WRITE["add_entries"], self._entries)
            self._connection.executemany(WRITE["add_events"], self._events)
            self._seek.committed(self._payments, self._refunds)
            self._seek.move_all(self._connection)
        self._payments, self._refunds, self._entries, self._events = [], [], [], []

    def fold(self) -> None:
        """Write balances, chain ends and the commit that all of it was."""
        balances = [
            (account, "cny", minor, no) for account, (minor, no) in sorted(self._balances.items())
        ]
        heads = [(partition, *head) for partition, head in sorted(self._heads.items())]
        marks = pack_marks({"balance_floor": self._entry_no})
        with self._connection:
            self._connection.executemany(WRITE["set_balances"], balances)
            self._connection.executemany(WRITE["set_heads"], heads)
            self._connection.execute(
                WRITE["add_commit"], (1, 0, self._last_ms, marks, pack_nonces([]))
            )
