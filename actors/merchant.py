"""The merchant actor: an entity in its shard, with its limit counters and its open payments.

It is activated by its first command and passivated after a while without one. Its counters are a
cache: what the store keeps is the packed counters up to some payment, with the numbers of those
that were still open then; the rest is computed from the payment rows.
"""

from collections.abc import Callable
from typing import Final

from msgspec.msgpack import Decoder, Encoder

from actors.live import LivePayment, decode_payment
from payments.calendar import DAY_MS
from payments.clock import Clock
from payments.limits import Counters
from payments.payment import UNPAID, Payment
from payments.risk import Policy
from payments.storage.base import Batch, Store

IDLE_S: Final = 60.0
"""A merchant without commands for this long leaves memory."""

COUNTED_BETWEEN_WRITES: Final = 512
"""A busy merchant's counters are written after so many payments: bounds its activation."""

RECOUNT_CHUNK: Final = 500
PASSIVATED_PER_TICK_MAX: Final = 1_000
DAYS_COUNTED: Final = 2

_encode: Final = Encoder().encode
_decode: Final = Decoder(tuple[bytes, tuple[int, ...]]).decode


class MerchantEntity:
    """One merchant in memory."""

    __slots__ = ("counted", "counters", "number", "open", "used_at")

    def __init__(self, number: int, counters: Counters) -> None:
        self.number = number
        self.counters = counters
        self.open: set[int] = set()
        self.used_at = 0.0
        self.counted = 0


class Merchants:
    """The merchants that are active in this shard."""

    def __init__(
        self,
        store: Store,
        policy: Policy,
        clock: Clock,
        newest: Callable[[int], Payment | None],
    ) -> None:
        self._store = store
        self._newest = newest
        self._clock = clock
        self._active: dict[int, MerchantEntity] = {}
        self._counted: list[MerchantEntity] = []
        self.policy = policy

    def __len__(self) -> int:
        return len(self._active)

    def get(self, number: int) -> MerchantEntity:
        """The entity, activated if need be (a few row reads)."""
        entity = self._active.get(number)
        if entity is None:
            entity = MerchantEntity(number, Counters())
            self._recount(entity)
            self._active[number] = entity
        entity.used_at = self._clock.monotonic()
        return entity

    def _recount(self, entity: MerchantEntity) -> None:
        row = self._store.counter(entity.number)
        if row is None:
            self._count_back(entity)
            return
        packed, open_nos = _decode(row[1])
        entity.counters = Counters.unpack(packed)
        for no in open_nos:
            payment_row = self._store.payment_by_no(no)
            if payment_row is not None:
                payment = self._newest(no) or decode_payment(payment_row[8])
                if payment.status in UNPAID:
                    entity.counters.day.release(payment.business_date, payment.amount)
                if not payment.is_final:
                    entity.open.add(no)
        at = row[2]
        while rows := self._store.merchant_payments(
            entity.number, before=None, after=at, limit=RECOUNT_CHUNK
        ):
            for found in rows:
                self._count(entity, found[0], decode_payment(found[8]))
            at = max(found[0] for found in rows)

    def _count_back(self, entity: MerchantEntity) -> None:
        """No counters were ever written: count back to before every current business day."""
        since = self._clock.now_ms() - DAYS_COUNTED * DAY_MS
        before: int | None = None
        while rows := self._store.merchant_payments(
            entity.number, before=before, after=None, limit=RECOUNT_CHUNK
        ):
            for found in rows:
                payment = decode_payment(found[8])
                if payment.created < since and payment.is_final:
                    return
                self._count(entity, found[0], payment)
            before = rows[-1][0]

    def _count(self, entity: MerchantEntity, no: int, payment: Payment) -> None:
        payment = self._newest(no) or payment  # A change may be on its way to the store.
        entity.counters.count(payment)
        if not payment.is_final:
            entity.open.add(no)

    def reserved(self, entity: MerchantEntity, live: LivePayment) -> None:
        """A new payment counts: reserved in the same step that decided it."""
        entity.counters.count(live.payment)
        if not live.payment.is_final:
            entity.open.add(live.no)
        entity.counted += 1
        if entity.counted >= COUNTED_BETWEEN_WRITES:
            entity.counted = 0
            self._counted.append(entity)

    def followed(self, live: LivePayment, before: Payment) -> None:
        """A payment changed: what ended unpaid gives its amount back."""
        entity = self._active.get(live.merchant_no)
        if entity is None:
            return  # Not active: its counters will be computed from the rows.
        after = live.payment
        if after.is_final and not before.is_final:
            entity.open.discard(live.no)
        if before.status not in UNPAID and after.status in UNPAID:
            entity.counters.day.release(after.business_date, after.amount)

    def flush(self, batch: Batch, payment_no: int) -> None:
        """Write the counters of busy merchants with the commit that is about to start."""
        waiting, self._counted = self._counted, []
        for entity in waiting:
            batch.counters.append(self._row(entity, payment_no))

    def _row(self, entity: MerchantEntity, payment_no: int) -> tuple[int, bytes, int]:
        body = _encode((entity.counters.pack(), sorted(entity.open)))
        return (entity.number, body, payment_no)

    def passivate(self, batch: Batch, payment_no: int, *, everybody: bool = False) -> int:
        """Let idle merchants go, their counters written. Say how many went."""
        now = self._clock.monotonic()
        idle = [
            entity
            for entity in self._active.values()
            if not entity.open and (everybody or now - entity.used_at > IDLE_S)
        ][: None if everybody else PASSIVATED_PER_TICK_MAX]
        for entity in idle:
            batch.counters.append(self._row(entity, payment_no))
            del self._active[entity.number]
        return len(idle)
