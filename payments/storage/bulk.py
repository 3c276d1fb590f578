"""Filling a fresh store file with finished payments, fast: for tests and figures at size.

Each payment is whole: its row, its look-ups, its entry in an unbroken chain, its event, and the
balances folded from all of them, as if each had come in by itself. The same seed makes the same
file. Bodies are rendered once per kind of payment and the particulars set in: rendering each anew
would take three times as long.
"""

import gc
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Final

import apsw
from msgspec import msgpack

from payments.bookings import payment_booked, payment_entry_id
from payments.calendar import business_date, rfc3339
from payments.fees import DEFAULT_PLAN, fee
from payments.idempotency import index_of
from payments.ids import IdMint, SeededEntropy
from payments.ledger import GENESIS, chain_hash, pack_postings
from payments.payment import (
    Assessment,
    Attempt,
    AttemptState,
    Moment,
    Payment,
    Route,
    Status,
    Way,
)
from payments.reference import Merchant
from payments.storage import connect, migrate
from payments.storage.base import EntryRow, EventRow, PaymentRow, StoreRefused
from payments.storage.limits import pack_marks, pack_nonces
from payments.storage.owner import OwnerLock
from payments.storage.seek import Seek
from payments.storage.sql import WRITE
from payments.view import Presentation, event_id, event_json, payment_json

LAST_MS: Final = 1_790_000_000_000
"""2026-09-21: the made payments end here, long enough ago to be outside of every limit's day."""
SPAN_MS: Final = 30 * 86_400_000
CHUNK: Final = 16_384
"""Payments per database transaction and per report of progress."""
GROUP: Final = 32
"""Payments that share their instants."""
CHANNEL_MS: Final = 20
VERDICT_MS: Final = 60_000
KINDS: Final = 64
WAITING_MAX: Final = 4_000_000
"""Spots kept in memory (8 bytes each) before all of them move into the table, in order: in rounds,
so that its pages are as full as they would be had they grown slowly."""

_EVENT: Final = "payment.succeeded"
_encode: Final = msgpack.Encoder().encode

# What stands for the particulars while a kind is rendered. Neither I, O nor U occurs in an id.
_BODY, _MERCHANT, _ORDER = "I" * 24, "mch_" + "U" * 24, "O" * 20
_KEY, _PRINT, _AUTH = b"key digest here!", b"fingerprint here", b"auth digest here"
_MARK_MS: Final = 0x0123_4567_89AB_CD00
_CREATED, _DONE, _VERDICT = 1_600_000_000_001, 1_600_000_001_002, 1_600_000_002_003


class Kind:
    """One kind of payment on one date, with gaps where the particulars go."""

    def __init__(self, amount: int, wallet: str, account: str, date: int, livemode: bool) -> None:
        self.amount = amount
        self.fee = fee(DEFAULT_PLAN, amount)
        stored = self._payment(_MARK_MS, _MARK_MS + 1, _MARK_MS + 2, wallet, account, date)
        shown = self._payment(_CREATED, _DONE, _VERDICT, wallet, account, date)
        instants = (_MARK_MS, _MARK_MS + 1, _MARK_MS + 2)
        texts = [rfc3339(ms) for ms in (_CREATED, _DONE, _VERDICT)]
        rendered = event_json(_EVENT, _DONE, payment_json(shown, Presentation(livemode=livemode)))
        names = {_BODY: "body", _MERCHANT: "merchant", _ORDER: "order"}
        common = {text.encode(): name for text, name in names.items()}
        self.body = _with_gaps(
            _encode(stored),
            common
            | {_KEY: "key", _PRINT: "print", _AUTH: "auth"}
            | dict(zip(map(packed_ms, instants), ("created", "done", "verdict"), strict=True)),
        )
        self.event = _with_gaps(
            rendered,
            common
            | dict(
                zip(
                    (text.encode() for text in texts),
                    ("created_text", "done_text", "verdict_text"),
                    strict=True,
                )
            ),
        )

    def _payment(
        self, created: int, done: int, verdict: int, wallet: str, account: str, date: int
    ) -> Payment:
        return Payment(
            id=f"pay_{_BODY}",
            merchant=_MERCHANT,
            order_no=_ORDER,
            amount=self.amount,
            currency="CNY",
            way=Way.BARCODE,
            wallet=wallet,
            status=Status.SUCCEEDED,
            attempt=Attempt(
                number=0,
                channel="simulated",
                account=account,
                state=AttemptState.SUCCEEDED,
                sent_at=created,
                channel_trade_no=f"SIM{_BODY}",
            ),
            created=created,
            business_date=date,
            key_digest=_KEY,
            fingerprint=_PRINT,
            auth_digest=_AUTH,
            verdict_by=verdict,
            payer_amount=self.amount,
            settle_amount=self.amount,
            fee=self.fee,
            succeeded_at=done,
            risk=Assessment("pass"),
            route=Route("priority", (account,)),
            history=(
                Moment(created, "sending", account),
                Moment(done, "succeeded"),
            ),
        )


def packed_ms(ms: int) -> bytes:
    """An instant as msgpack has it (every real one takes all nine bytes)."""
    return _encode(ms)


def _with_gaps(rendered: bytes, marks: Mapping[bytes, str]) -> bytes:
    """A format for `%` with a mapping, which a particular is set into by its name."""
    parts = re.split(b"(" + b"|".join(map(re.escape, marks)) + b")", rendered)
    return b"".join(
        b"%%(%s)b" % marks[part].encode() if part in marks else part.replace(b"%", b"%%")
        for part in parts
    )


class Maker:
    """Makes rows in order, and keeps the chain ends and balances that follow from them."""

    def __init__(
        self, merchants: Sequence[Merchant], account: str, livemode: bool, seed: int
    ) -> None:
        self._random = Random(seed)  # noqa: S311 - repeatable on purpose, no secret
        self._mint = IdMint(SeededEntropy(seed))
        self._merchants = merchants
        self._account = account
        self._livemode = livemode
        amounts = Random(seed + 1)  # noqa: S311
        self._variants = [
            (amounts.randrange(100, 50_000), amounts.choice(("wechat", "alipay")))
            for _ in range(KINDS)
        ]
        self._kinds: list[Kind] = []
        self._date = 0
        self.no = 0
        self.heads: dict[int, tuple[int, bytes, int]] = {}
        self.balances: dict[str, tuple[int, int]] = {}

    def rows(
        self, count: int, at_ms: Callable[[int], int]
    ) -> tuple[list[PaymentRow], list[EntryRow], list[EventRow]]:
        """The next `count` payments. `at_ms`: when the payment of a number was made."""
        payments: list[PaymentRow] = []
        entries: list[EntryRow] = []
        events: list[EventRow] = []
        instants: dict[bytes, bytes] = {}
        created = 0
        for no in range(self.no + 1, self.no + count + 1):
            if not instants or no % GROUP == 0:
                created = at_ms(no)
                instants = self._instants(created)
            merchant = self._merchants[self._random.randrange(len(self._merchants))]
            body = self._mint.body(created, merchant.partition)
            kind = self._kinds[no % KINDS]
            digests = self._random.randbytes(56)
            key, auth = digests[:16], digests[16:32]
            identifier = f"pay_{body}"
            facts = instants | {
                b"body": body.encode(),
                b"merchant": merchant.id.encode(),
                b"order": b"%020d" % no,
                b"key": key,
                b"auth": auth,
                b"print": digests[32:48],
            }
            payments.append(
                (
                    no,
                    identifier,
                    merchant.number,
                    merchant.partition,
                    index_of(key),
                    index_of(digests[48:]),
                    index_of(auth),
                    None,
                    kind.body % facts,
                )
            )
            entries.append(self._booked(no, identifier, merchant, kind, created + CHANNEL_MS))
            events.append(
                (
                    no,
                    merchant.partition,
                    merchant.number,
                    event_id(identifier, _EVENT),
                    _EVENT,
                    created + CHANNEL_MS,
                    kind.event % facts,
                )
            )
        self.no += count
        return payments, entries, events

    def _instants(self, created: int) -> dict[bytes, bytes]:
        date = business_date(created)
        if date != self._date:
            self._date = date
            self._kinds = [
                Kind(amount, wallet, self._account, date, self._livemode)
                for amount, wallet in self._variants
            ]
        done, verdict = created + CHANNEL_MS, created + VERDICT_MS
        return {
            b"created": packed_ms(created),
            b"done": packed_ms(done),
            b"verdict": packed_ms(verdict),
            b"created_text": rfc3339(created).encode(),
            b"done_text": rfc3339(done).encode(),
            b"verdict_text": rfc3339(verdict).encode(),
        }

    def _booked(self, no: int, source: str, merchant: Merchant, kind: Kind, at_ms: int) -> EntryRow:
        partition = merchant.partition
        postings = payment_booked(self._account, merchant.id, partition, kind.amount, kind.fee)
        packed = pack_postings(postings)
        identifier = payment_entry_id(source)
        seq, chain, _ = self.heads.get(partition, (0, GENESIS, 0))
        chain = chain_hash(chain, identifier, seq + 1, "CNY", at_ms, packed)
        self.heads[partition] = (seq + 1, chain, no)
        balances = self.balances
        for account, minor in postings:
            balances[account] = (balances.get(account, (0, 0))[0] + minor, no)
        return (no, partition, seq + 1, identifier, source, at_ms, "CNY", packed, chain)


def make_payments(
    path: Path,
    count: int,
    merchants: Sequence[Merchant],
    *,
    shard: int = 0,
    shards: int = 1,
    livemode: bool = False,
    account: str = "simulated",
    seed: int = 1,
    last_ms: int = LAST_MS,
    progress: Callable[[int], None] | None = None,
) -> None:
    """Make a store file at `path` with `count` succeeded payments of `merchants`.

    All of `merchants` must belong to the shard's partitions. `progress` is told the number done
    so far. The file has another name until it is whole and synced. Raise StoreRefused when it is
    there already.
    """
    connect.guard_version()
    if path.exists():
        raise StoreRefused(f"{path} exists; payments in bulk go into a new file")
    lock = OwnerLock(path)
    lock.take()
    try:
        unfinished = path.with_name(path.name + ".making")
        unfinished.unlink(missing_ok=True)
        connection = connect.scratch(unfinished)
        try:
            migrate.prepare(connection, migrate.Stamp(0, livemode, shard, shards))
            maker = Maker(merchants, account, livemode, seed)
            _fill(connection, maker, count, last_ms, progress)
        finally:
            connection.close()
        _sync(unfinished)
        unfinished.rename(path)
    finally:
        lock.release()


def _fill(
    connection: apsw.Connection,
    maker: Maker,
    count: int,
    last_ms: int,
    progress: Callable[[int], None] | None,
) -> None:
    seek = Seek(pending_max=0)

    def at_ms(no: int) -> int:
        return last_ms - (count - no) * SPAN_MS // count

    gc.disable()  # Nothing here is cyclic, and so many rows make the collector look all the time.
    try:
        _fill_rows(connection, maker, seek, count, at_ms, progress)
    finally:
        gc.enable()
    _fill_folds(connection, maker, count, last_ms)


def _fill_rows(
    connection: apsw.Connection,
    maker: Maker,
    seek: Seek,
    count: int,
    at_ms: Callable[[int], int],
    progress: Callable[[int], None] | None,
) -> None:
    while maker.no < count:
        payments, entries, events = maker.rows(min(CHUNK, count - maker.no), at_ms)
        with connection:
            connection.executemany(WRITE["add_payments"], payments)
            connection.executemany(WRITE["add_entries"], entries)
            connection.executemany(WRITE["add_events"], events)
            seek.committed(payments, [])
            if seek.count >= WAITING_MAX or maker.no == count:
                seek.move_all(connection)
        if progress is not None:
            progress(maker.no)


def _fill_folds(connection: apsw.Connection, maker: Maker, count: int, last_ms: int) -> None:
    with connection:
        connection.executemany(
            WRITE["set_balances"],
            [
                (account, "CNY", minor, no)
                for account, (minor, no) in sorted(maker.balances.items())
            ],
        )
        connection.executemany(
            WRITE["set_heads"],
            [(partition, *head) for partition, head in sorted(maker.heads.items())],
        )
        marks = pack_marks({"balance_floor": count})
        connection.execute(WRITE["add_commit"], (1, 0, last_ms, marks, pack_nonces([])))


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
