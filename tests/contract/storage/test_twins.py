"""Memory and SQLite answer alike, whatever is written, moved, closed, crashed and opened again."""

import asyncio
import random
import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from payments.clock import ManualClock
from payments.storage.base import Batch
from payments.storage.memory import Disk, MemoryStore
from payments.storage.sqlite import SqliteStore

# Some hashes are whole neighbors, some share only their first bits, one is another's negative.
_SPREAD = random.Random(3)
HASHES = [_SPREAD.randrange(-(1 << 63), 1 << 63) for _ in range(12)]
HASHES += [HASHES[0] + 1, HASHES[1] ^ 1 << 40, -HASHES[2], 0, -1, (1 << 63) - 1, -(1 << 63)]

hashes = st.sampled_from(HASHES)
dues = st.none() | st.integers(0, 50)
merchants = st.integers(1, 3)
payments = st.tuples(merchants, hashes, hashes, st.none() | hashes, dues)
refunds = st.tuples(merchants, st.integers(1, 5), hashes, dues)
records = st.tuples(st.sampled_from(["bat", "ins"]), st.sampled_from(["mch_a", "rcv_b"]), dues)
changes = st.tuples(dues, st.integers(0, 1 << 16))


class Twins(RuleBasedStateMachine):
    """The same batches go to both; every look-up is then asked of both."""

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.generation = 0
        self.clock = ManualClock()
        self.disk = Disk()
        self.loop = asyncio.new_event_loop()
        self.numbers = dict.fromkeys(("payment", "refund", "entry", "event", "record"), 0)

    @initialize(pending_max=st.sampled_from([0, 3, 40, 1_000_000]))
    def begin(self, pending_max):
        self.pending_max = pending_max
        self.open()

    def open(self):
        path = self.folder / f"{self.generation}.db"
        self.memory = MemoryStore(disk=self.disk, clock=self.clock)
        self.sqlite = SqliteStore(path, clock=self.clock, pending_max=self.pending_max)
        assert self.memory.open() == self.sqlite.open()

    def next(self, kind):
        self.numbers[kind] += 1
        return self.numbers[kind]

    @rule(
        new=st.lists(payments, max_size=6),
        back=st.lists(refunds, max_size=3),
        changed=st.lists(changes, max_size=4),
        kept=st.lists(records, max_size=3),
        mark=st.integers(0, 9),
    )
    def commit(self, new, back, changed, kept, mark):
        """One batch of every kind of row."""
        batch = Batch.empty()
        for merchant, key, order, auth, due in new:
            no = self.next("payment")
            row = (no, f"pay_{no:024}", merchant, 7, key, order, auth, due, b"new")
            batch.payments.append(row)
            entry, event = self.next("entry"), self.next("event")
            source = f"pay_{no:024}"
            name = f"ent_{no:024}P"
            batch.entries.append((entry, 7, entry, name, source, 1, "CNY", b"p", bytes(32)))
            batch.events.append((event, 7, merchant, f"evt_{no:024}S", "x", 1, b"{}"))
            batch.balances.append((f"merchant:{merchant}", "CNY", no, entry))
            batch.heads.append((merchant, entry, bytes(32), entry))
            batch.counters.append((merchant, b"c%d" % no, no))
            batch.nonces.append((no, 100 + no))
        for merchant, payment_no, key, due in back:
            no = self.next("refund")
            batch.refunds.append((no, f"ref_{no:024}", payment_no, merchant, 7, key, due, b"new"))
        for kind, owner, due in kept:
            no = self.next("record")
            batch.records.append((no, f"{kind}_{no:024}", kind, owner, 7, due, b"new"))
        for due, pick in changed:
            body = b"changed %d" % pick
            if self.numbers["record"]:
                batch.record_changes.append((due, body, pick % self.numbers["record"] + 1))
            if self.numbers["payment"]:
                batch.payment_changes.append((due, body, pick % self.numbers["payment"] + 1))
            if self.numbers["refund"]:
                batch.refund_changes.append((due, body, pick % self.numbers["refund"] + 1))
        batch.marks = {"mark": mark}
        for store in (self.memory, self.sqlite):
            self.loop.run_until_complete(store.commit(batch))

    @rule(is_clean=st.booleans())
    def end(self, is_clean):
        """A new owner opens what a clean end left, or the files as they stood before it.

        One rule and not two: what is written between two owners is what they may differ in.
        """
        old = self.folder / f"{self.generation}.db"
        if not is_clean:
            self.generation += 1
            for end in ("", "-wal"):
                if (source := old.with_name(old.name + end)).exists():
                    shutil.copy(source, self.folder / f"{self.generation}.db{end}")
        self.close()
        self.open()

    @precondition(lambda self: hasattr(self, "sqlite"))
    @invariant()
    def answers_are_the_same(self):
        """Every look-up there is, over everything that was ever used."""
        memory, sqlite = self.memory, self.sqlite
        for ask in (
            lambda s: s.probe(HASHES, HASHES, HASHES),
            lambda s: [s.payments_by_key([value]) for value in HASHES],
            lambda s: [s.payments_by_order([value]) for value in HASHES],
            lambda s: [s.payments_by_auth([value]) for value in HASHES],
            lambda s: [s.refunds_by_key([value]) for value in HASHES],
            lambda s: [s.payment(f"pay_{no:024}") for no in range(9)],
            lambda s: [s.payment_by_no(no) for no in range(9)],
            lambda s: [s.refund(f"ref_{no:024}") for no in range(9)],
            lambda s: [s.refunds_of(no) for no in range(6)],
            lambda s: [s.due_payments(30, 5), s.due_refunds(30, 5)],
            lambda s: [s.entries_of(f"pay_{no:024}") for no in range(6)],
            lambda s: [s.events_of(f"pay_{no:024}") for no in range(6)],
            lambda s: [s.entries_after(2, 4), s.events_after(2, 4)],
            lambda s: [list(s.balances()), s.heads(), s.counter(1), s.balance("merchant:2", "CNY")],
            lambda s: s.balances_under("merchant:"),
            lambda s: sorted(s.recent_nonces(103)),
            lambda s: [s.record(f"bat_{no:024}") for no in range(6)],
            lambda s: [s.records_after("ins", no, 3) for no in range(4)],
            lambda s: [s.records_below("bat_", below, 2) for below in ("bat_~", f"bat_{3:024}")],
            lambda s: [s.due_records(30, 5), s.next_due_record()],
            lambda s: [
                s.records("bat", owner, before=before, after=after, limit=3)
                for owner in ("mch_a", "rcv_b", "nobody")
                for before in (None, 1, 4)
                for after in (None, 0, 3)
            ],
            lambda s: [
                [
                    page(merchant, before=before, after=after, limit=3)
                    for page in (s.merchant_payments, s.merchant_refunds)
                    for merchant in (1, 2, 3, 4)
                    for before in (None, 1, 4)
                    for after in (None, 0, 3)
                ]
            ],
        ):
            assert ask(memory) == ask(sqlite)

    def close(self):
        self.memory.close()
        self.sqlite.close()

    def teardown(self):
        if hasattr(self, "sqlite"):
            self.close()
        self.loop.close()
        shutil.rmtree(self.folder)


TestTwins = Twins.TestCase
TestTwins.settings = settings(
    max_examples=12, stateful_step_count=20, deadline=None, derandomize=True
)
