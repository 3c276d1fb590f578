"""Entries, their hash chain, and the proof that the books balance.

An *entry* is a balanced set of postings in one currency: immutable, booked once by its id, chained
to the one before it in its partition. A posting is (account, minor): debit positive, credit
negative. Balances are a fold of the entries and can be computed anew at any time.
"""

from collections.abc import Iterable, Mapping, MutableMapping
from hashlib import sha256
from struct import Struct as Layout
from typing import Final

from msgspec import Struct
from msgspec.msgpack import Decoder, Encoder

from payments.ids import BODY_LENGTH, is_body, partition_of

Posting = tuple[str, int]
Postings = tuple[Posting, ...]
Row = tuple[int, int, int, str, str, int, str, bytes, bytes]
"""no, partition, seq, id, source, at_ms, currency, postings, chain: as the store keeps an entry."""

GENESIS: Final = sha256(b"tillway ledger, version 1").digest()
"""What the first entry of every partition is chained to."""

PREFIX_LENGTH: Final = len("ent_")
LEG_LENGTH: Final = 1
"""An entry's id: `ent_`, the body of its source's id, one character for what was booked."""

_HEAD: Final = Layout(">32sqqHH").pack
_encode: Final = Encoder().encode
_decode: Final = Decoder(Postings).decode


class UnbalancedEntry(ValueError):
    """Postings that do not sum to zero, or that say nothing."""


class BrokenChain(ValueError):
    """A stored entry is not the one that was booked. `no` is its number in the store."""

    def __init__(self, no: int, detail: str) -> None:
        super().__init__(f"entry number {no}: {detail}")
        self.no = no


class Entry(Struct, frozen=True, array_like=True, gc=False):
    """Postings that are booked together or not at all. An unbalanced one cannot be built.

    `source`: the id of the payment or refund it books. `at_ms`: business time.
    """

    id: str
    source: str
    partition: int
    currency: str
    at_ms: int
    postings: Postings

    def __post_init__(self) -> None:
        residual = 0
        for account, minor in self.postings:
            if minor == 0:
                raise UnbalancedEntry(f"entry {self.id} posts nothing to {account}")
            residual += minor
        if residual != 0:
            raise UnbalancedEntry(f"entry {self.id} is off by {residual} {self.currency}")
        if not self.postings:
            raise UnbalancedEntry(f"entry {self.id} is empty")


def pack_postings(postings: Postings) -> bytes:
    """A msgpack array of [account, minor], as it is stored and hashed."""
    return _encode(postings)


def unpack_postings(packed: bytes) -> Postings:
    return _decode(packed)


def chain_hash(
    previous: bytes, entry_id: str, seq: int, currency: str, at_ms: int, postings_packed: bytes
) -> bytes:
    """The 32-byte hash after an entry: SHA-256 over the one before it and all that is fixed.

    Each part has a fixed or a stated length, so no two entries encode alike.
    """
    name = entry_id.encode()
    unit = currency.encode()
    head = _HEAD(previous, seq, at_ms, len(name), len(unit))
    return sha256(head + name + unit + postings_packed).digest()


def row_of(entry: Entry, no: int, seq: int, previous: bytes) -> Row:
    """The row that stores an entry as number `seq` of its partition, after the hash `previous`."""
    packed = _encode(entry.postings)
    chain = chain_hash(previous, entry.id, seq, entry.currency, entry.at_ms, packed)
    return (
        no,
        entry.partition,
        seq,
        entry.id,
        entry.source,
        entry.at_ms,
        entry.currency,
        packed,
        chain,
    )


def entry_of(row: Row) -> Entry:
    """The entry in a row. Raise UnbalancedEntry for a damaged one."""
    _, partition, _, identifier, source, at_ms, currency, packed, _ = row
    return Entry(identifier, source, partition, currency, at_ms, _decode(packed))


class Head(Struct, frozen=True, gc=False):
    """Where a partition's chain ends: the last sequence number and the hash after it."""

    seq: int = 0
    chain: bytes = GENESIS
    entry_no: int = 0


START: Final = Head()


def verify_chain(rows: Iterable[Row], heads: Mapping[int, Head] | None = None) -> dict[int, Head]:
    """Walk rows in order of their numbers; return where each partition's chain ends.

    `heads`: where to start from (the beginning, if a partition is not named). Raise BrokenChain at
    the first row that is changed, missing, repeated or unbalanced.
    """
    ends = dict(heads or {})
    for row in rows:
        no, partition, seq, identifier, source, at_ms, currency, packed, chain = row
        head = ends.get(partition, START)
        if no <= head.entry_no:
            raise BrokenChain(no, f"comes after number {head.entry_no} of partition {partition}")
        if seq != head.seq + 1:
            raise BrokenChain(no, f"sequence {seq} after {head.seq} in partition {partition}")
        if chain != chain_hash(head.chain, identifier, seq, currency, at_ms, packed):
            raise BrokenChain(no, f"{identifier} does not match its hash")
        # Not hashed, because the hashed id says them: what an entry is about, and its partition.
        if not _derives(identifier, source, partition):
            raise BrokenChain(no, f"{identifier} is not about {source} of partition {partition}")
        try:
            entry_of(row)
        except ValueError as error:
            raise BrokenChain(no, str(error)) from error
        ends[partition] = Head(seq, chain, no)
    return ends


def _derives(identifier: str, source: str, partition: int) -> bool:
    """Whether an entry's id was made from the id of its source, by `payments.bookings`.

    What happens to one source several times has its number between body and letter.
    """
    body = source[-BODY_LENGTH:]
    told = identifier[PREFIX_LENGTH:-LEG_LENGTH]
    number = told[BODY_LENGTH:]
    same = told[:BODY_LENGTH] == body and (not number or (number.isascii() and number.isdigit()))
    return same and is_body(body) and partition_of(body) == partition


Balances = MutableMapping[tuple[str, str], int]
"""(account, currency) -> minor units, debit positive."""


def book(balances: Balances, currency: str, postings: Postings) -> None:
    """Add one entry's postings to the balances that they touch."""
    for account, minor in postings:
        key = (account, currency)
        balances[key] = balances.get(key, 0) + minor


def fold(balances: Balances, rows: Iterable[Row]) -> Balances:
    """Add the entries of `rows` to `balances`, in place; return them."""
    for row in rows:
        book(balances, row[6], _decode(row[7]))
    return balances


class TrialBalance(Struct, frozen=True, gc=False):
    """All balances of one currency added up. Books that balance have a `residual` of zero."""

    currency: str
    debits: int
    credits: int
    residual: int


def trial_balance(balances: Mapping[tuple[str, str], int]) -> tuple[TrialBalance, ...]:
    """One trial balance a currency, in order of the currency's name."""
    debits: dict[str, int] = {}
    credits: dict[str, int] = {}
    for (_, currency), minor in balances.items():
        side = debits if minor > 0 else credits
        side[currency] = side.get(currency, 0) + abs(minor)
    return tuple(
        TrialBalance(
            currency,
            debits.get(currency, 0),
            credits.get(currency, 0),
            debits.get(currency, 0) - credits.get(currency, 0),
        )
        for currency in sorted(debits.keys() | credits.keys())
    )
