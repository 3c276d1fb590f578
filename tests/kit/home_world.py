"""Merchants, receivers, a channel and a bank on the way home of the money, any command at any time.

A command is planned first (`plan` chooses among what is possible and says it in words), and then
executed; so a command that a crash has interrupted is executed again as it was, as a caller would.
"""

import tomllib
from pathlib import Path

import msgspec

from home_bank import STORIES, Bank
from home_payouts import Payouts, made
from home_state import CUSTODY, Booked, Commit, Sale, State
from payments import chart, fees
from payments.clearing import batch as batches
from payments.clearing import netting, stripes, terms
from payments.clearing.workdays import Year, plus_days, workdays_of
from payments.errors import PaymentError
from payments.ids import partition_of
from payments.settlement import cover, entries, holds
from payments.settlement.entries import ARRIVED, MONEY_ARRIVED, entry_id
from payments.splitting.returning import drawn

DAY = 20260302
CHANNEL = "wx"
HOUR_MS = 3_600_000
FUNDER = holds.Funder("bank", 10_000)
DEBT_MAX = 3_000
TERMS = terms.Terms(terms.cycle_of("T+1"), minimum=100)
STANDING = terms.Standing(20250101, 20250101)
RULES = terms.Rules(20161201, "made for tests", 90, 30, 30)
CHANNEL_FEE_PPM = 2_000


ROOT = Path(__file__).parents[2]


def settings(name):
    return tomllib.loads((ROOT / "config" / f"{name}.toml").read_text(encoding="utf-8"))[name]


WORKDAYS = workdays_of(msgspec.convert(settings("workdays"), dict[str, Year]))
MERCHANTS = [made("mch", 1, 700, "one"), made("mch", 1, 700, "two")]
RECEIVERS = [made("rcv", 1, 700, "at home"), made("rcv", 1, 900, "away")]


class Crashed(Exception):
    """The process ended in the middle of a command."""


class World(Payouts):
    """`journal`: what is stored. `crash`: (commit number, whether it was stored), or None."""

    def __init__(self):
        self.journal = []
        self.state = State()
        self.bank = Bank()
        self.now = 0
        self.day = DAY
        self.crash = None
        self.started = 0
        self.terms, self.standing, self.rules = TERMS, STANDING, RULES
        self.workdays = WORKDAYS
        for merchant in MERCHANTS:
            self._register(merchant, 0)

    def commit(self, *events, entries=()):
        """Store, then apply; or crash before or after it was stored."""
        commit = Commit(self.now, tuple(events), tuple(entries))
        self.started += 1
        crash = self.crash if self.crash and self.crash[0] == self.started else None
        if crash and not crash[1]:
            raise Crashed
        self.journal.append(commit)
        if crash:
            raise Crashed
        self.state.apply(commit)

    def recover(self):
        """A new process: what is not in the journal has not happened."""
        self.crash = None
        self.state = State.fold(self.journal)

    def survive(self, name, *args):
        """Carry out a command; if the process ends in it, start again and repeat it."""
        try:
            return self.execute(name, *args)
        except Crashed:
            self.recover()
            return self.execute(name, *args)

    def execute(self, name, *args):
        """Carry out a planned command. A refusal is an answer too."""
        try:
            getattr(self, name)(*args)
        except PaymentError as refusal:
            return refusal
        return None

    # --- Taking payments ------------------------------------------------------------------

    def pay(self, at, merchant, amount, shares, date):
        self.now = at
        identifier = made("pay", at, partition_of(merchant), "pay")
        if self.state.get("sale", identifier):
            return
        fee = fees.fee(fees.DEFAULT_PLAN, amount)
        sale = Sale(identifier, merchant, amount, fee, date, shares)
        partition = partition_of(merchant)
        rest = amount - fee - sum(minor for _, minor in shares)
        postings = (
            (chart.receivable(CHANNEL, partition), amount),
            (chart.merchant_pending(merchant), -rest),
            *((chart.receiver_pending(who, partition), -minor) for who, minor in shares),
            (chart.fees_income(partition), -fee),
        )
        entry = Booked(identifier, "P", nonzero(postings), amount, date, merchant)
        self.commit(("sale", identifier, sale), entries=[entry])

    def refund(self, at, payment, date):
        """All of it: the fee too. What a party no longer has becomes its debt."""
        self.now = at
        sale = self.state.get("sale", payment)
        identifier = made("rfd", at, partition_of(payment), "refund", payment)
        if sale.refunded:
            return
        partition = partition_of(payment)
        postings = [
            (chart.receivable(CHANNEL, partition), -sale.amount),
            (chart.fees_income(partition), sale.fee),
        ]
        rest = sale.amount - sale.fee - sum(minor for _, minor in sale.shares)
        for party, minor in ((sale.merchant, rest), *sale.shares):
            names = entries.accounts_of(party, partition)
            there = self.state.natural(names.pending), self.state.natural(names.available)
            legs = drawn(minor, *there)
            if self.state.natural(names.debt) + legs[2] > DEBT_MAX:
                return
            postings += zip((names.pending, names.available, names.debt), legs, strict=True)
        gone = Sale(
            sale.id, sale.merchant, sale.amount, sale.fee, sale.date, sale.shares, refunded=True
        )
        entry = Booked(identifier, "R", nonzero(postings), sale.amount, date, sale.merchant)
        self.commit(("sale", payment, gone), entries=[entry])

    # --- Clearing -------------------------------------------------------------------------

    def clear(self, at, merchant, date):
        """Open, cut off, net and file the merchant's next batch, one commit after the other."""
        self.now = at
        batch = self.state.newest_batch(merchant)
        if batch is None or batch.state in (batches.BatchState.FILED, batches.BatchState.CLOSED):
            if batch is not None and batch.opened_at == at:
                return  # This very command has filed it already.
            opened = batches.open_next(batch, merchant, date, "cny", at)
            batch = opened.batch
            self.commit(("batch", batch.id, opened))
        event = batches.cut_off(batch, self.state.seqs.get(partition_of(merchant), 0), at)
        batch = self._batch(batch.id, event)
        netted = self.net(batch)
        batch = self._batch(batch.id, batches.record(batch, netted, at))
        self.file(batch)

    def _batch(self, identifier, event):
        if event is not None:
            self.commit(("batch", identifier, event))
        return self.state.get("batch", identifier)

    def net(self, batch):
        """One pass from where the batch before said, over this partition's lines."""
        partition = partition_of(batch.id)
        lines = [
            line
            for where, line in self.state.lines
            if where == partition and line[0] >= batch.scan_seq
        ]
        return netting.net(lines, {batch.merchant: batch.window})[batch.merchant]

    def file(self, batch):
        partition = partition_of(batch.id)
        cleared = []
        for due in batch.dues:
            names = entries.accounts_of(due.party, partition)
            there = self.state.natural(names.pending), self.state.natural(names.debt)
            cleared.append(stripes.clear(batch.id, due, *there))
        filed = batches.file(batch, tuple(cleared), self.now)
        moved = [(each.party, each.moved) for each in cleared]
        known = self.state.cover_of(batch.merchant)
        queued = cover.queue(known, batch.id, batch.netted.claims, moved)
        booked = [Booked(each.departure, entries.CLEARED, each.postings) for each in cleared]
        self.commit(("batch", batch.id, filed), ("cover", batch.merchant, queued), entries=booked)

    def arrive(self, at, batch_id):
        """The second steps of a filed batch, each a commit of its own; then it is closed."""
        self.now = at
        batch = self.state.get("batch", batch_id)
        for each in batch.cleared:
            if each.moved:
                entry = Booked(each.arrival, ARRIVED, each.arrival_postings)
                if entry_id(each.arrival, ARRIVED) not in self.state.booked:
                    self.commit(entries=[entry])
        arrived = frozenset(entry.source for entry in self.state.booked.values())
        self._batch(batch_id, batches.close(batch, arrived, at))

    # --- Cover ----------------------------------------------------------------------------

    def credit(self, at, reference, claims, amount, fee_max_ppm):
        """The bank tells of a credit for these claims; it may tell again."""
        self.now = at
        self.bank.credits.setdefault(reference, amount)
        if self.state.get("credit", reference) is None:
            waiting = [each for each in self.waiting() if each.id in claims]
            arrived = cover.Credit(CUSTODY, CHANNEL, reference, amount, at)
            divided = cover.divide(arrived, waiting, fee_max_ppm)
            if isinstance(divided, cover.Difference):
                return
            self.commit(("credit", reference, divided))
        self.match(at, reference)

    def waiting(self):
        """Claims that no credit was divided among."""
        taken = {claim for each in self.state.all("credit") for claim, _ in each.fees}
        covers = self.state.all("cover")
        return [w for each in covers for w in each.waiting if w.id not in taken]

    def match(self, at, reference):
        self.now = at
        divided = self.state.get("credit", reference)
        waiting = [each for known in self.state.all("cover") for each in known.waiting]
        for each, fee in cover.in_order(divided, waiting):
            known = self.state.cover_of(each.merchant)
            partition = partition_of(each.merchant)
            pending = {
                party: self.state.natural(entries.accounts_of(party, partition).pending)
                for party in (each.merchant, *RECEIVERS)
            }
            event = cover.match(
                known,
                divided.credit,
                each.id,
                fee,
                pending,
                self.state.coverage.matched(each.merchant),
                self.state.backing(each.merchant),
                at,
            )
            booked = Booked(
                each.id, entries.COVERED, cover.booked(known, event), owner=each.merchant
            )
            self.commit(("cover", each.merchant, event), entries=[booked])

    @property
    def arrivals(self):
        """Covered claims whose receivers' money is on its way home, from the journal."""
        return {
            event.claim_id: event
            for commit in self.journal
            for _, _, event in commit.events
            if isinstance(event, cover.Covered)
        }

    def carry(self, at, claim):
        self.now = at
        event = self.arrivals[claim]
        for each in event.receivers:
            if each.arrival and entry_id(each.arrival, MONEY_ARRIVED) not in self.state.booked:
                pending = self.state.purse(each.receiver, self.day).pending
                postings = cover.land(event, each, pending)
                self.commit(entries=[Booked(each.arrival, MONEY_ARRIVED, postings)])

    def advance(self, at, party, amount, released):
        self.now = at
        wanted = holds.Advance(
            made("adv", at, partition_of(party), "advance"),
            FUNDER.name,
            party,
            "cny",
            CUSTODY,
            amount,
            released,
            at,
        )
        known = self.state.get("advance", wanted.id)
        outstanding = self.state.natural(chart.advance(FUNDER.name))
        pending = self.state.purse(party, self.day).pending
        event = holds.advance(wanted, FUNDER, outstanding, pending, False, known)
        if event is not None:
            step, postings = holds.advance_booked(wanted, event)
            booked = Booked(wanted.id, step, postings, owner=party)
            early = cover.ReleasedEarly(at, party, released)
            self.commit(
                ("advance", wanted.id, event),
                ("cover", party, early),
                entries=[booked],
            )

    def repay(self, at, identifier):
        self.now = at
        known = self.state.get("advance", identifier)
        coverage = self.state.coverage
        spare = coverage.backing(known.party) - coverage.matched(known.party)
        event = holds.repay(known, spare, at)
        if event is not None:
            step, postings = holds.advance_booked(known, event)
            booked = Booked(identifier, step, postings, owner=known.party)
            self.commit(("advance", identifier, event), entries=[booked])

    # --- Freezes --------------------------------------------------------------------------

    def freeze(self, at, party, amount):
        self.now = at
        identifier = made("frz", at, partition_of(party), "freeze")
        wanted = holds.Freeze(identifier, party, "cny", amount, "court order", "op_1", at)
        known = self.state.get("freeze", identifier)
        event = holds.freeze(wanted, self.state.purse(party, self.day), known)
        if event is not None:
            step, postings = holds.booked(wanted, event)
            self.commit(("freeze", identifier, event), entries=[Booked(identifier, step, postings)])

    def thaw(self, at, identifier):
        self.now = at
        known = self.state.get("freeze", identifier)
        event = holds.thaw(known, "op_2", "order lifted", at)
        if event is not None:
            step, postings = holds.booked(known, event)
            self.commit(("freeze", identifier, event), entries=[Booked(identifier, step, postings)])

    def at_bank(self, at, number):
        """An order goes on in its story, or a message that was thought lost arrives."""
        if number in self.bank.in_flight:
            self.bank.land(number)
        elif number in self.bank.orders:
            self.bank.go_on(number)

    def tomorrow(self, at):
        self.now = at
        self.day = plus_days(DAY, at // (24 * HOUR_MS))


def nonzero(postings):
    return tuple(posting for posting in postings if posting[1])


STORY_NAMES = sorted(STORIES)
