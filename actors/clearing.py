"""Clearing in a shard: one pass over what was booked since the last one, and a batch a merchant.

    by the clock, or asked for ──> a run: its cut-off is durable
    ──> slices of the pass, between which payments go on ──> merchants' batches, some a commit
    ──> the run's end is durable: what the next pass begins with

A merchant's batch is filed in the commit of its entries and its claims on the channels; what is
asked for meanwhile waits. Whatever a crash interrupts is taken up by the next process over the same
entries, and batches that are filed already are passed over.
"""

from collections.abc import Callable
from typing import Final

from actors.carrying import Carrying
from actors.home import HomeDesk
from actors.parties import CURRENCY, Parties
from actors.record_kinds import BATCH, CLEARING
from actors.records import Kept
from payments import chart
from payments.clearing import batch as batches
from payments.clearing import runs as rules
from payments.clearing import stripes
from payments.clearing.batch import Batch, BatchState
from payments.clearing.lines import lines_of
from payments.clearing.netting import Netted, Netting, Window
from payments.clearing.runs import Asked, Run, Runs
from payments.clearing.stripes import Cleared
from payments.clearing.view import batch_json
from payments.errors import Conflict
from payments.ids import partition_of
from payments.settlement import cover, entries
from payments.settlement.carried import Carried
from payments.settlement.entries import ARRIVED, CLEARED, accounts_of, home_of

SLICE_ENTRIES: Final = 64
"""Entries read between two turns of the loop: one to two milliseconds."""

BUSY_ENTRIES: Final = 16
"""The same while payments are under way. A merchant that was not met before costs ten times what
another entry costs, and at the beginning every entry may be such a merchant's."""

FILED_MAX: Final = 4
"""Batches filed in one commit while nobody pays, with their entries and claims. While payments are
under way it is one: about a millisecond, and their commits are its commits."""

LOOK_AGAIN_MS: Final = 3_600_000
"""How often a filed batch is looked at whose shares are on their way, should no word come."""

RUNS_ID: Final = "clearing"


class _Pass:
    """One pass over a run's entries. `at`: the last entry read. `floor`: what the next pass must
    begin with, once something was met that is for later. `dates`: of those that are cleared.
    `ready`: who is to be filed, once everything was read."""

    __slots__ = ("at", "dates", "floor", "netting", "ready")

    def __init__(self, at: int, window_of: Callable[[str], Window]) -> None:
        self.at = at
        self.floor: int | None = None
        self.dates: dict[str, int] = {}
        self.netting = Netting(window_of)
        self.ready: list[str] | None = None


class Clearing:
    """The clearing of one shard."""

    def __init__(self, desk: HomeDesk, parties: Parties, carrying: Carrying) -> None:
        self.core = desk.core
        self._desk = desk
        self._parties = parties
        self._carrying = carrying
        self._pass: _Pass | None = None
        self._held = False
        """A commit is under way that the next step stands on."""
        self._arriving: dict[str, str] = {}
        """The second step's source -> the batch that waits for it."""
        desk.slices.add(self.step)
        if desk.core.options.home.is_clearing:
            desk.keeps_time(self.tick, self.next_due)
        desk.does(BATCH, self._look)
        carrying.arrivals.append(self._arrived)

    @property
    def runs(self) -> Runs:
        return self.core.records.get(RUNS_ID, Runs) or Runs()

    def _keep(self, runs: Runs) -> None:
        """Store it, and do nothing before that is durable."""
        self.core.records.put(CLEARING, RUNS_ID, "", 0, runs, None)
        self._hold()

    def _hold(self) -> None:
        core = self.core
        self._held = True
        core.releases.asks.append(self._let_go)
        core.wake.set()

    def _let_go(self) -> None:
        self._held = False
        self.tick(self.core.clock.now_ms())

    # --- when ----------------------------------------------------------------------------------

    def ask(self, asked: Asked) -> None:
        """Have a run, after those that wait already."""
        runs = self.runs
        if asked not in runs.waiting:
            waiting = (*runs.waiting, asked)
            self._keep(Runs(runs.floor_no, runs.ran_at, runs.run, waiting))

    def next_due(self) -> int | None:
        """Business ms at which there is something to do; None while nothing was sold."""
        runs = self.runs
        if runs.run is not None or runs.waiting:
            return 0
        return self._next_run(runs)

    def _next_run(self, runs: Runs) -> int | None:
        core = self.core
        if core.books.entry_no <= runs.floor_no:
            return None
        first = core.store.entries_after(runs.floor_no, 1)
        oldest = first[0][5] if first else core.clock.now_ms()
        return rules.next_run_ms(rules.begins_ms(runs, oldest), core.reference.late_closings())

    def tick(self, now: int) -> None:
        """Begin what is due, or go on with what is under way."""
        if self._held or self.core.draining:
            return
        runs = self.runs
        if runs.run is not None:
            self._desk.slices.wake()
        elif runs.waiting:
            self._begin(runs, now, runs.waiting[0])
        else:
            at = self._next_run(runs)
            if at is not None and at <= now:
                self._begin(runs, at, None)

    def _begin(self, runs: Runs, at: int, asked: Asked | None) -> None:
        """Fix the cut-off: everything decided by now, which the same commit makes durable."""
        books = self.core.books
        run = Run(at, books.entry_no, books.ends(), asked)
        self._keep(Runs(runs.floor_no, runs.ran_at, run, runs.waiting))

    # --- a run, slice by slice -----------------------------------------------------------------

    def step(self) -> bool:
        """A slice. False when there is nothing to do before a commit or the next tick."""
        if self._held or self.core.draining:
            return False
        runs = self.runs
        run = runs.run
        if run is None:
            return False
        now = self._pass
        if now is None:
            now = self._pass = _Pass(runs.floor_no, lambda merchant: self._window(run, merchant))
        if now.at < run.cut_no:
            self._read(run, now)
            return True
        if now.ready is None:
            now.ready = sorted(now.dates)
        if now.ready:
            self._file_some(runs, run, now)
            return not self._held
        self._end(runs, run, now)
        return False

    def _read(self, run: Run, now: _Pass) -> None:
        most = BUSY_ENTRIES if self._desk.slices.is_busy() else SLICE_ENTRIES
        upto = min(now.at + most, run.cut_no)
        rows = self.core.store.clearing_rows(now.at, upto)
        if now.netting.feed(lines_of(rows)) and now.floor is None:
            now.floor = now.at
        now.at = upto

    def _window(self, run: Run, merchant: str) -> Window:
        newest = self.newest(merchant)
        late = self.core.reference.late_closings(merchant)
        date = rules.date_in(run, merchant, newest, late)
        if date is not None:
            assert self._pass is not None
            self._pass.dates[merchant] = date
        return rules.window_in(run, merchant, newest, date)

    def newest(self, merchant: str) -> Batch | None:
        """The merchant's newest batch that is durable."""
        found = self.core.records.of(BATCH, merchant, limit=1)
        return found[0].value if found else None

    def _file_some(self, runs: Runs, run: Run, now: _Pass) -> None:
        """The next merchants' batches, in one commit. Who sold nothing has none."""
        assert now.ready is not None
        most = 1 if self._desk.slices.is_busy() else FILED_MAX
        some, now.ready = now.ready[:most], now.ready[most:]
        is_filed = False
        for merchant in some:
            netted = now.netting.netted_of(merchant)
            if not netted.totals.items:
                continue
            try:
                self._file(run, merchant, now.dates[merchant], netted)
            except Conflict:
                # Too many of its claims wait for credits. Its entries stay for a later run.
                self.core.count("clearing_refused")
                now.floor = runs.floor_no
            else:
                is_filed = True
        if is_filed:
            self._hold()

    def _file(self, run: Run, merchant: str, date: int, netted: Netted) -> None:
        core, parties = self.core, self._parties
        at = core.clock.now_ms()
        batch = batches.open_next(self.newest(merchant), merchant, date, CURRENCY, at).batch
        partition = partition_of(merchant)
        cut = batches.cut_off(batch, run.seqs.get(partition, 0), run.at)
        assert cut is not None, batch
        batch = batches.apply(batch, cut)
        was_netted = batches.record(batch, netted, at)
        assert was_netted is not None, batch
        batch = batches.apply(batch, was_netted)
        cleared = tuple(self._clear(batch, due) for due in batch.dues)
        filed = batches.file(batch, cleared, at)
        assert filed is not None, batch
        known = parties.cover(merchant)
        moved = [(each.party, each.moved) for each in cleared]
        after = batches.apply(batch, filed)
        queued = cover.queue(known, batch.id, after.claims, moved)
        # Nothing is refused from here on.
        batch = after
        parties.put_cover(cover.apply(known, queued))
        parties.filed(merchant)
        self._emit(batch)
        assert batch.netted is not None
        outside = entries.settled_outside(merchant, batch.netted.outside)
        parties.book(batch.id, entries.OUTSIDE, at, outside)
        away = self._leave(batch, at)
        if away:
            due = at + LOOK_AGAIN_MS
            core.records.put(BATCH, batch.id, merchant, partition, batch, due)
        else:
            self._close(batch, at)

    def _clear(self, batch: Batch, due: stripes.Due) -> Cleared:
        names = accounts_of(due.party, partition_of(batch.id))
        books = self.core.books
        there = [-books.balance(names.pending, CURRENCY), books.balance(names.debt, CURRENCY)]
        if due.party == batch.merchant:
            there.append(books.balance(chart.merchant_fees_due(due.party), CURRENCY))
        return stripes.clear(batch.id, due, *there)

    def _leave(self, batch: Batch, at: int) -> bool:
        """Book what leaves, and what arrives here. Whether something goes to another shard."""
        away = False
        for each in batch.cleared:
            self._parties.book(each.departure, CLEARED, at, each.postings)
            if not each.moved:
                continue
            if home_of(each.party) in self.core.options.partitions:
                self._parties.book(each.arrival, ARRIVED, at, each.arrival_postings)
                continue
            away = True
            self._arriving[each.arrival] = batch.id
            self._carrying.send(each.arrival, ARRIVED, each.partition, each.party, each.moved)
        return away

    def _end(self, runs: Runs, run: Run, now: _Pass) -> None:
        floor = run.cut_no if now.floor is None else now.floor
        self._pass = None
        if run.asked is None:
            self._keep(Runs(floor, run.at, None, runs.waiting))
        else:
            self._keep(Runs(floor, runs.ran_at, None, runs.waiting[1:]))

    # --- until every share has arrived ----------------------------------------------------------

    def _arrived(self, carried: Carried) -> None:
        """A second step is durable in another shard."""
        identifier = self._arriving.pop(carried.source, None)
        if identifier is not None:
            batch = self.core.records.get(identifier, Batch)
            assert batch is not None, identifier
            self._close_if_there(batch)

    def _look(self, kept: Kept, now: int) -> None:
        """No word came for a while, or it came to the process before this one."""
        batch = kept.value
        if not self._close_if_there(batch):
            due = now + LOOK_AGAIN_MS
            self.core.records.put(BATCH, kept.id, kept.owner, kept.partition, batch, due)

    def _close_if_there(self, batch: Batch) -> bool:
        for each in batch.cleared:
            is_here = home_of(each.party) in self.core.options.partitions
            if each.moved and not is_here and not self._carrying.is_landed(each.arrival):
                self._arriving[each.arrival] = batch.id
                return False
        if batch.state is BatchState.FILED:
            self._close(batch, self.core.clock.now_ms())
        return True

    def _close(self, batch: Batch, at: int) -> None:
        arrived = frozenset(each.arrival for each in batch.cleared)
        closed = batches.close(batch, arrived, at)
        assert closed is not None, batch
        batch = batches.apply(batch, closed)
        self.core.records.put(BATCH, batch.id, batch.merchant, partition_of(batch.id), batch, None)
        self._emit(batch)

    def _emit(self, batch: Batch) -> None:
        """`clearing_batch.filed` or `.closed`, for the merchant's webhooks."""
        merchant = self.core.reference.merchant(batch.merchant)
        assert merchant is not None, batch.merchant
        filed = batch.state is BatchState.FILED
        at = batch.filed_at if filed else batch.closed_at
        body = batch_json(batch, self.core.options.livemode)
        kind = f"clearing_batch.{batch.state.value}"
        self._desk.emit(merchant.number, batch.id, kind, at, body)
