"""A merchant's counters are a cache: after any restart they are what the payments say."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from actors.live import LivePayment, encode
from actors.merchant import COUNTED_BETWEEN_WRITES, IDLE_S, Merchants
from payments.limits import Counters
from payments.payment import AttemptState, Status
from payments.storage.base import Batch
from payments.storage.memory import MemoryStore
from payments.testing import NOW_MS, ManualClock, a_payment, a_policy

DAY_MS = 86_400_000
NOV_30_MS = 1_796_050_000_000
"""2026-11-30, at noon in China."""


class Shard:
    """Merchants over a store, with payments that come and end."""

    def __init__(self, at_ms=NOW_MS):
        self.clock = ManualClock(at_ms)
        self.store = MemoryStore(clock=self.clock)
        self.store.open()
        self.lives = {}
        self.batch = Batch.empty()
        self.restart()

    def restart(self):
        """What was not committed is gone with memory."""
        self.batch = Batch.empty()
        self.lives = {no: LivePayment.of_row(row) for no, row in self.store.disk.payments.items()}
        self.merchants = Merchants(self.store, a_policy(), self.clock, self.newest)

    def newest(self, no):
        return self.lives[no].payment if no in self.lives else None

    def pay(self, amount, terminal=None):
        entity = self.merchants.get(1)
        no = len(self.lives) + 1
        payment = a_payment(amount=amount, terminal=terminal, created=self.clock.now_ms())
        live = self.lives[no] = LivePayment(payment, no, 1, 17, no, no, None)
        self.batch.payments.append(live.row())
        self.merchants.reserved(entity, live)
        return live

    def end(self, live, status):
        before = live.payment
        if before.is_final:
            return
        live.payment = replace(before, status=status)
        self.merchants.followed(live, before)
        self.batch.payment_changes.append((None, encode(live.payment), live.no))

    def commit(self, counters=False):
        if counters:
            self.batch.counters.append(self.merchants._row(self.merchants.get(1), len(self.lives)))
        asyncio.run(self.store.commit(self.batch))
        self.batch = Batch.empty()

    def truth(self):
        return Counters.from_payments(live.payment for live in self.lives.values())


steps = st.lists(
    st.one_of(
        st.tuples(st.just("pay"), st.integers(1, 900), st.sampled_from([None, "trm_1"])),
        st.tuples(st.just("end"), st.integers(0, 99), st.sampled_from(list(Status)[2:])),
        st.tuples(st.just("commit"), st.booleans()),
        st.tuples(st.just("restart")),
    ),
    max_size=40,
)


@settings(max_examples=150)
@given(steps)
def test_counters_are_what_the_payments_say_after_any_restart(plan):
    """Whenever they were written last, and whatever ended since."""
    shard = Shard()
    for what, *arguments in plan:
        if what == "pay":
            shard.pay(*arguments)
        elif what == "end" and shard.lives:
            pick, status = arguments
            shard.end(shard.lives[1 + pick % len(shard.lives)], status)
        elif what == "commit":
            shard.commit(*arguments)
        elif what == "restart":
            shard.restart()
        entity = shard.merchants.get(1)
        open_now = {no for no, live in shard.lives.items() if not live.payment.is_final}
        assert shard.truth() == entity.counters
        assert open_now == entity.open


def test_a_day_is_counted_across_the_end_of_a_month():
    """The bar that closes at two on the first of December still has the evening's takings."""
    shard = Shard(NOV_30_MS)
    shard.pay(500)
    shard.clock.advance(14 * 3600)
    shard.pay(40)
    shard.commit()
    shard.restart()

    amounts = shard.merchants.get(1).counters.day.amounts
    assert {20261130: 500, 20261201: 40} == amounts


def test_an_idle_merchant_leaves_memory_and_its_counters_are_written():
    """One that has something open stays."""
    shard = Shard()
    live = shard.pay(500)
    shard.commit()
    shard.clock.advance(IDLE_S + 1)
    assert 0 == shard.merchants.passivate(shard.batch, 1)

    shard.end(live, Status.SUCCEEDED)
    assert 1 == shard.merchants.passivate(shard.batch, 1)
    assert 0 == len(shard.merchants)
    shard.commit()
    assert shard.truth() == shard.merchants.get(1).counters


def test_a_busy_merchants_counters_are_written_now_and_then():
    """So that its activation reads a bounded number of rows."""
    shard = Shard()
    for _ in range(COUNTED_BETWEEN_WRITES):
        shard.end(shard.pay(1), Status.SUCCEEDED)
    shard.merchants.flush(shard.batch, len(shard.lives))

    assert 1 == len(shard.batch.counters)
    shard.merchants.flush(shard.batch, len(shard.lives))
    assert 1 == len(shard.batch.counters)
    assert AttemptState.SENDING == shard.lives[1].payment.attempt.state
