"""A shard's ledger in memory: whatever the floor, recovery is the fold of the entries."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.books import BALANCE_FLOOR, FOLDS_PER_COMMIT_MAX, FOLDS_WAIT, Books
from actors.core import Core, ShardOptions
from actors.shard import MerchantShard
from actors.snapshot import Reference
from payments import bookings
from payments.ledger import fold, verify_chain
from payments.storage.base import Batch
from payments.storage.memory import Disk, MemoryStore
from payments.testing import DIGESTS, NOW_MS, ManualClock, a_policy, an_id

PARTITIONS = (3, 4, 5)


class Ledger:
    """Books over a disk, with crashes at any point between two commits."""

    def __init__(self):
        self.disk = Disk()
        self.open()

    def open(self):
        self.disk.crash()
        self.store = MemoryStore(disk=self.disk)
        opened = self.store.open()
        self.books = Books(self.store)
        self.books.recover(opened.entry_no, opened.marks.get(BALANCE_FLOOR, 0))
        self.batch = Batch.empty()

    def book(self, merchant, amount, partition=3):
        source = an_id("pay", partition)
        postings = bookings.payment_booked("sim", f"mch_{merchant}", partition, amount, 1)
        entry = bookings.payment_entry_id(source)
        self.books.book(self.batch, partition, entry, source, NOW_MS, "cny", postings)

    def commit(self, most, wait=0):
        self.books.flush(self.batch, most, wait)
        asyncio.run(self.store.commit(self.batch))
        self.batch = Batch.empty()

    def entries(self):
        return list(self.disk.entries.values())


steps = st.lists(
    st.one_of(
        st.tuples(
            st.just("book"), st.integers(0, 6), st.integers(2, 900), st.sampled_from(PARTITIONS)
        ),
        st.tuples(st.just("commit"), st.integers(1, 4), st.integers(0, 6)),
        st.tuples(st.just("crash")),
    ),
    max_size=40,
)


@settings(max_examples=120)
@given(steps)
def test_after_any_crash_the_balances_are_the_fold_of_the_entries(plan):
    """However few folds each commit wrote, however long they waited, wherever the owner died."""
    ledger = Ledger()
    for what, *arguments in plan:
        if what == "book":
            ledger.book(*arguments)
        elif what == "commit":
            ledger.commit(*arguments)
        else:
            ledger.open()
    ledger.open()

    truth = fold({}, ledger.entries())
    assert truth == {key: ledger.books.balance(*key) for key in truth}
    assert {"cny"} >= set(ledger.books.totals())
    for debits, credits in ledger.books.totals().values():
        assert debits == credits


@settings(max_examples=60)
@given(steps)
def test_what_an_owner_has_is_found_by_name_wherever_it_is(plan):
    """In the store, in a batch that is being written, or only in memory: the fold of all."""
    ledger = Ledger()
    for what, *arguments in plan:
        if what == "book":
            ledger.book(*arguments)
        elif what == "commit":
            ledger.commit(*arguments)
        else:
            ledger.open()
        folded = fold({}, [*ledger.entries(), *ledger.batch.entries])
        for merchant in range(7):
            name = f"merchant:mch_{merchant}:"
            mine = {key: minor for key, minor in folded.items() if key[0].startswith(name)}
            assert mine == ledger.books.under(name)


def test_a_balance_on_its_way_to_the_store_is_found():
    """Flushed into a batch, and not yet durable."""
    ledger = Ledger()
    ledger.book(1, 100)
    ledger.books.flush(ledger.batch, wait=0)

    assert {("merchant:mch_1:pending", "cny"): -99} == ledger.books.under("merchant:mch_1:")


@settings(max_examples=60)
@given(steps)
def test_chains_go_on_where_the_last_owner_stopped(plan):
    """No gap, no fork, whatever was in memory when it died."""
    ledger = Ledger()
    for what, *arguments in plan:
        if what == "book":
            ledger.book(*arguments)
        elif what == "commit":
            ledger.commit(*arguments)
        else:
            ledger.open()
    ledger.open()
    for partition in PARTITIONS:
        ledger.book(1, 100, partition)
    ledger.commit(24)

    ends = verify_chain(ledger.entries())
    assert set(PARTITIONS) == set(ends)
    assert len(ledger.entries()) == sum(end.seq for end in ends.values())


def test_a_commit_writes_a_bounded_number_of_folds_the_longest_waiting_first():
    """And the floor says up to where all of them are complete."""
    ledger = Ledger()
    for merchant in range(FOLDS_PER_COMMIT_MAX * 2):
        ledger.book(merchant, 100)
    ledger.books.flush(ledger.batch, wait=0)

    assert FOLDS_PER_COMMIT_MAX == len(ledger.batch.balances)
    first = {"channel:sim:receivable#3", "fees:income#3", "merchant:mch_0:pending"}
    assert first <= {row[0] for row in ledger.batch.balances}
    # Two accounts of the first entry are shared, so 22 merchants more were written.
    assert 22 == ledger.batch.marks[BALANCE_FLOOR]
    assert ledger.books.unwritten == FOLDS_PER_COMMIT_MAX * 2 + 2 - FOLDS_PER_COMMIT_MAX


def test_a_fold_waits_until_enough_entries_followed_the_first_it_lacks():
    """So a busy account is written once for many of its entries; the floor stays below them."""
    ledger = Ledger()
    for merchant in range(FOLDS_WAIT):
        ledger.book(merchant, 100)
        ledger.commit(24, FOLDS_WAIT)
    assert [] == list(ledger.store.balances())
    assert 0 == ledger.disk.marks[BALANCE_FLOOR]

    ledger.book(FOLDS_WAIT, 100)
    ledger.commit(24, FOLDS_WAIT)
    stored = {account: (minor, at) for account, _, minor, at in ledger.store.balances()}
    no = FOLDS_WAIT + 1
    assert {
        "channel:sim:receivable#3": (100 * no, no),
        "fees:income#3": (-no, no),
        "merchant:mch_0:pending": (-99, no),
    } == stored


def test_what_is_unbalanced_never_reaches_a_batch():
    """The pair of the check in Entry."""
    ledger = Ledger()

    with pytest.raises(AssertionError):
        ledger.books.book(ledger.batch, 3, "ent_x", "pay_x", NOW_MS, "cny", (("fees:income#3", 1),))
    assert [] == ledger.batch.entries
    assert 0 == ledger.books.entry_no


def test_balances_that_are_clean_leave_memory_and_are_read_again(monkeypatch):
    """Memory is bounded; nothing is lost by it."""
    monkeypatch.setattr("actors.books.BALANCES_KEPT_MAX", 4)
    ledger = Ledger()
    for merchant in range(20):
        ledger.book(merchant, 100 + merchant)
        ledger.commit(24)
    ledger.commit(24)

    assert len(ledger.books._balances) <= 4 + 3
    truth = fold({}, ledger.entries())
    assert truth == {key: ledger.books.balance(*key) for key in truth}


def test_a_shard_that_ends_writes_all_its_folds(monkeypatch):
    """However few a commit takes, and though none has waited for long."""
    monkeypatch.setattr("actors.shard.DRAIN_FOLDS", 4)
    ledger = Ledger()
    options = ShardOptions("shard-0", 0, (), a_policy())
    clock = ManualClock()
    core = Core(options, ledger.store, clock, DIGESTS, Reference(clock), lambda why: None)
    ledger.books, ledger.batch = core.books, core.batch
    for merchant in range(20):
        ledger.book(merchant, 100)

    async def end():
        async with asyncio.timeout(10):
            await MerchantShard(core).finish()

    asyncio.run(end())
    truth = fold({}, ledger.entries())
    assert len(truth) == 22
    assert truth == {(row[0], row[1]): row[2] for row in ledger.disk.balances.values()}
    assert 20 == ledger.disk.marks[BALANCE_FLOOR]
