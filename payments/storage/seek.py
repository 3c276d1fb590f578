"""Finding rows by hash or by merchant without a random page write for each.

An index of hashes grows everywhere at once: a batch of 128 payments would touch some 500 pages of
it, and each touched page is written whole, twice. So the entries of the newest rows (*spots*) wait
in memory, in *places* by their first bits, and each commit moves one or two *buckets* of neighbor
places into the table `seek`. What waits is found in the rows again after a crash: each bucket
remembers up to which row number it was moved.

A spot is a signed 64-bit number: 31 bits of hash, 2 bits of kind, 31 bits of row number. Whoever
looks up compares the whole hash in the row, because different hashes may share 31 bits. Merchants
are spread over the same space by a multiplication that is one-to-one, so their lists stay apart.

The *sieve* has a bit set for each hash, waiting or moved: nearly all look-ups are for something new
and end there, without a search in memory and without a page. A bucket's part of the sieve is stored
with it, in the same database transaction.
"""

from array import array
from collections import defaultdict
from collections.abc import Iterator, Sequence
from mmap import mmap
from typing import Final

import apsw

from payments.storage.base import PaymentRow, RefundRow, StoreError
from payments.storage.sql import SEEK

HASH_SHIFT: Final = 33
KIND_SHIFT: Final = 31
NUMBER_MASK: Final = (1 << KIND_SHIFT) - 1
HASH_MASK: Final = ~((1 << HASH_SHIFT) - 1)
REFUND: Final = 1 << KIND_SHIFT
MERCHANT: Final = 2 << KIND_SHIFT
MERCHANT_REFUND: Final = MERCHANT | REFUND
SPREAD: Final = 0x5BD1E995
"""Odd, so that multiplying by it modulo 2^31 gives each merchant a base of its own."""

# The first bits of a spot, taken as a signed number, name its place and its bucket. Python's byte
# arrays take a negative index as counted from the end, so no sign needs mending for the sieve.
PLACES: Final = 1 << 14
PLACE_SHIFT: Final = 50
BUCKETS: Final = 1 << 12
"""Never to be changed: bucket numbers are stored."""
BUCKET_SHIFT: Final = 52
PLACES_PER_BUCKET: Final = PLACES // BUCKETS

SIEVE_BYTES: Final = 1 << 25
"""Never to be changed: 2^28 bits; 10 million payments set a ninth of them, 50 million half."""
SIEVE_SHIFT: Final = 39
BIT_SHIFT: Final = 36
BUCKET_SIEVE_BYTES: Final = SIEVE_BYTES // BUCKETS

PENDING_MAX: Final = 2_000_000
"""Spots that may wait in memory (8 bytes each). More of them share a page when they move, and a
crash costs reading more rows again: half a million payments, some five seconds."""
PLACE_MAX: Final = 2_000
"""Spots in one place at which its bucket is moved at once: a merchant with very many payments."""
MOVED_PER_COMMIT_MAX: Final = 16
"""Buckets that one commit may move: far more than come in, and still a few milliseconds."""


def merchant_base(merchant_no: int) -> int:
    """The lowest spot of a merchant's rows."""
    return ((merchant_no * SPREAD & NUMBER_MASK) - (1 << 30)) << HASH_SHIFT


class Seek:
    """The spots in memory and their moves into the table."""

    def __init__(self, pending_max: int = PENDING_MAX) -> None:
        self.pending_max = pending_max
        self.count = 0
        self.payment_no = self.refund_no = 0
        self._places: defaultdict[int, array[int]] = defaultdict(_empty_place)
        self._sieve = mmap(-1, SIEVE_BYTES)  # Zeros; a page takes memory once it is touched.
        self._next = -BUCKETS // 2
        self._hot: set[int] = set()
        self._moving: list[int] = []

    # --- recovery ----------------------------------------------------------------------------

    def load(self, connection: apsw.Connection, payment_no: int, refund_no: int) -> None:
        """Read the sieve, then collect the spots of all rows that were not moved yet.

        The numbers are the last ones used.
        """
        self.payment_no, self.refund_no = payment_no, refund_no
        floors = [(0, 0)] * BUCKETS
        newest = (0, self._next)
        for bucket, *floor, bits in connection.execute(SEEK["sieves"]):
            floors[bucket] = (floor[0], floor[1])
            self._sieve[_sieve_part(bucket)] = bits
            newest = max(newest, (floor[0], bucket + 1))
        self._next = _wrapped(newest[1])
        # Made once: for each row, they would cost more than all the rest of an opening.
        paid, returned = [floor[0] for floor in floors], [floor[1] for floor in floors]
        for payment in connection.execute(SEEK["payments_after"], (min(paid),)):
            self._reload(payment[0], payment_spots(*payment), paid)
        for refund in connection.execute(SEEK["refunds_after"], (min(returned),)):
            self._reload(refund[0], refund_spots(*refund), returned)

    def _reload(self, no: int, spots: list[int], floors: list[int]) -> None:
        for spot in spots:
            if no > floors[spot >> BUCKET_SHIFT]:
                self._add(spot)

    # --- writing -----------------------------------------------------------------------------

    def move(self, connection: apsw.Connection) -> None:
        """Inside a database transaction: put the next buckets into the table if many wait."""
        assert not self._moving
        for bucket in sorted(self._hot)[:MOVED_PER_COMMIT_MAX]:
            self._move_one(connection, bucket)
        left = self.count - self.pending_max
        bucket = self._next
        while left > 0 and len(self._moving) < MOVED_PER_COMMIT_MAX:
            if bucket not in self._moving:
                left -= self._move_one(connection, bucket)
            bucket = _wrapped(bucket + 1)
        self._next = bucket

    def move_all(self, connection: apsw.Connection) -> None:
        """Inside a database transaction: put all that waits into the table and forget it."""
        for bucket in range(-BUCKETS // 2, BUCKETS // 2):
            self._move_one(connection, bucket)
        self._forget_moved()

    def _move_one(self, connection: apsw.Connection, bucket: int) -> int:
        """Write one bucket: its spots in order, and how far it goes. Return how many moved."""
        waiting = array("q")
        for place in _places_of(bucket):
            if spots := self._places.get(place):
                waiting += spots
        if waiting:
            connection.execute(SEEK["add_spots"], (apsw.carray(array("q", sorted(waiting))),))
            bits = self._sieve[_sieve_part(bucket)]
            connection.execute(SEEK["set_sieve"], (bucket, self.payment_no, self.refund_no, bits))
            self._moving.append(bucket)
        return len(waiting)

    def committed(self, payments: Sequence[PaymentRow], refunds: Sequence[RefundRow]) -> None:
        """The database transaction is durable: forget what was moved, add the new rows' spots."""
        if self._moving:
            self._forget_moved()
        places, sieve = self._places, self._sieve
        for no, _, merchant_no, _, key, order, auth, _, _ in payments:
            if no > NUMBER_MASK:
                raise StoreError(f"payment number {no}: this shard is full")
            places[key >> PLACE_SHIFT].append(key & HASH_MASK | no)
            sieve[key >> SIEVE_SHIFT] |= 1 << (key >> BIT_SHIFT & 7)
            places[order >> PLACE_SHIFT].append(order & HASH_MASK | no)
            sieve[order >> SIEVE_SHIFT] |= 1 << (order >> BIT_SHIFT & 7)
            if auth is not None:
                places[auth >> PLACE_SHIFT].append(auth & HASH_MASK | no)
                sieve[auth >> SIEVE_SHIFT] |= 1 << (auth >> BIT_SHIFT & 7)
                self.count += 1
            spot = (
                (((merchant_no * SPREAD & NUMBER_MASK) - (1 << 30)) << HASH_SHIFT) + MERCHANT + no
            )
            place = places[spot >> PLACE_SHIFT]
            place.append(spot)
            if len(place) > PLACE_MAX:
                self._hot.add(spot >> BUCKET_SHIFT)
        if payments:
            self.count += 3 * len(payments)
            self.payment_no = payments[-1][0]
        for no, _, _, merchant_no, _, key, _, _ in refunds:
            for spot in refund_spots(no, merchant_no, key):
                self._add(spot)
            self.refund_no = no

    def _forget_moved(self) -> None:
        for bucket in self._moving:
            for place in _places_of(bucket):
                self.count -= len(self._places.pop(place, ()))
        self._hot.difference_update(self._moving)
        self._moving.clear()

    def _add(self, spot: int) -> None:
        place = self._places[spot >> PLACE_SHIFT]
        place.append(spot)
        self.count += 1
        if len(place) > PLACE_MAX:
            self._hot.add(spot >> BUCKET_SHIFT)
        if not spot & MERCHANT:
            self._sieve[spot >> SIEVE_SHIFT] |= 1 << (spot >> BIT_SHIFT & 7)

    # --- looking up --------------------------------------------------------------------------

    def suspects(self, hashes: Sequence[int]) -> list[int]:
        """Those of the hashes that may be known; the others are certainly new."""
        sieve = self._sieve
        return [
            value for value in hashes if sieve[value >> SIEVE_SHIFT] >> (value >> BIT_SHIFT & 7) & 1
        ]

    def find(self, reader: apsw.Connection, suspects: Sequence[int]) -> list[int]:
        """Spots of payments and refunds that share the first bits of one of the hashes."""
        found: list[int] = []
        lows = array("q")
        for value in suspects:
            low = value & HASH_MASK
            lows.append(low)
            end = low + MERCHANT
            place = self._places.get(low >> PLACE_SHIFT, ())
            found += [spot for spot in place if low <= spot < end]
        if lows:
            found += [spot for (spot,) in reader.execute(SEEK["find"], (apsw.carray(lows),))]
        return found

    def page(
        self,
        reader: apsw.Connection,
        merchant_no: int,
        kind: int,
        *,
        after: int,
        before: int | None,
        limit: int,
        is_newest_first: bool,
    ) -> list[int]:
        """Numbers of a merchant's rows with after < number < before, newest or oldest first."""
        base = merchant_base(merchant_no) | kind
        first = base + min(after, NUMBER_MASK)
        last = base + (NUMBER_MASK if before is None else min(before - 1, NUMBER_MASK))
        name = "newest_spots" if is_newest_first else "oldest_spots"
        spots = {spot for (spot,) in reader.execute(SEEK[name], (first, last, limit))}
        place = self._places.get(base >> PLACE_SHIFT, ())
        spots.update(spot for spot in place if first < spot <= last)
        return [spot & NUMBER_MASK for spot in sorted(spots, reverse=is_newest_first)[:limit]]


def bucket_bounds() -> Iterator[tuple[int, int]]:
    """The lowest and the highest spot of each bucket, in order: all spots that there can be."""
    for bucket in range(-BUCKETS // 2, BUCKETS // 2):
        yield bucket << BUCKET_SHIFT, (bucket + 1 << BUCKET_SHIFT) - 1


def payment_spots(no: int, merchant_no: int, key: int, order: int, auth: int | None) -> list[int]:
    """What a payment is found by."""
    spots = [
        key & HASH_MASK | no,
        order & HASH_MASK | no,
        merchant_base(merchant_no) | MERCHANT | no,
    ]
    if auth is not None:
        spots.append(auth & HASH_MASK | no)
    return spots


def refund_spots(no: int, merchant_no: int, key: int) -> list[int]:
    """What a refund is found by."""
    if no > NUMBER_MASK:
        raise StoreError(f"refund number {no}: this shard is full")
    return [key & HASH_MASK | REFUND | no, merchant_base(merchant_no) | MERCHANT_REFUND | no]


def _wrapped(bucket: int) -> int:
    return bucket if bucket < BUCKETS // 2 else -BUCKETS // 2


def _empty_place() -> "array[int]":
    return array("q")


def _places_of(bucket: int) -> range:
    return range(bucket * PLACES_PER_BUCKET, (bucket + 1) * PLACES_PER_BUCKET)


def _sieve_part(bucket: int) -> slice:
    first = (bucket & BUCKETS - 1) * BUCKET_SIEVE_BYTES
    return slice(first, first + BUCKET_SIEVE_BYTES)
