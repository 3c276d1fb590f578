"""The way home of the money in a data directory: the rules decide over its real payments.

A month's files have payments, refunds and shares. Here their money is cleared, covered, paid out,
withdrawn, frozen, advanced and sent back, by the pure rules that `home_world` puts together; every
entry and record goes into the file in whose partitions it belongs, as a shard would write it.
"""

import asyncio

from msgspec.msgpack import encode

from home_bank import Bank
from home_payouts import Payouts, made
from home_state import CUSTODY, Booked, State
from home_world import RULES, STANDING, TERMS, WORKDAYS, World
from payments import chart
from payments.calendar import DAY_MS, business_date
from payments.clearing import batch as batches
from payments.ids import partition_of
from payments.ledger import GENESIS, Entry, fold, row_of, unpack_postings
from payments.settlement import cover, entries
from payments.settlement.instruction import State as Told
from payments.storage.base import Batch
from payments.storage.journal import Journal
from payments.storage.sqlite import SqliteStore

RECORDS = ("batch", "cover", "instruction", "withdrawal", "freeze", "advance")
CHANNEL_FEE_PPM = 2_000


class Month(World):
    """`sources`: id of a payment or refund -> (merchant, business date, what was asked)."""

    def __init__(self, folder, shards=None):
        self.folder = folder
        self.paths = sorted(folder.glob("shard-*.db"))
        self.journal, self.state, self.bank = [], State(), Bank()
        self.crash, self.started, self.now, self.day = None, 0, 0, 0
        self.terms, self.standing, self.rules, self.workdays = TERMS, STANDING, RULES, WORKDAYS
        self.sources, self.dates, self.homes, self.before = {}, {}, {}, set()
        for path in self.paths:
            with Journal(path) as journal:
                self._load(path, journal)
        self.parties = sorted({a.owner for a in self._accounts(("merchant", "receiver"))})
        self.merchants = [party for party in self.parties if party.startswith("mch_")]
        self.receivers = [party for party in self.parties if party.startswith("rcv_")]

    def _accounts(self, families):
        parsed = (chart.parse(name) for name, _ in self.state.balances)
        return [account for account in parsed if account.family in families]

    def _load(self, path, journal):
        for payment in journal.payments():
            self.sources[payment.id] = payment.merchant, payment.business_date, payment.amount
        for refund in journal.refunds():
            self.sources[refund.id] = refund.merchant, refund.business_date, refund.amount
        for _, partition, _, identifier, source, at_ms, _, packed, _ in journal.entries():
            owner, date, asked = self.sources[source]
            self.homes[partition] = path
            self.before.add(identifier)
            step = identifier[-1]
            is_member = step in "PR"
            self.state.book(
                Booked(source, step, unpack_postings(packed), asked * is_member, date, owner), at_ms
            )
            self.dates.setdefault(owner, set()).add(date)

    # --- a month at the desks -----------------------------------------------------------------

    def walk(self, now_ms):
        """All of it: two batches a merchant, cover, payouts of every ending, and what else is."""
        self.now = now_ms
        self.day = business_date(now_ms + DAY_MS)
        for merchant in self.merchants:
            Payouts.register(self, now_ms, merchant)
            first = sorted(self.dates[merchant])[len(self.dates[merchant]) // 2]
            self.cleared(merchant, now_ms + 1, first)
            self.cleared(merchant, now_ms + 2, max(self.dates[merchant]))
        for receiver in self.receivers:
            Payouts.register(self, now_ms, receiver)
        self.covered(now_ms + 3)
        stories = ["pays", "pays and takes back", "rejects", "takes back before it paid", "pays"]
        for merchant, story in zip(self.merchants, stories, strict=False):
            self.paid_out(now_ms + 10, merchant, story)
        self.others(now_ms + 20)
        return self

    def cleared(self, merchant, at, date):
        self.clear(at, merchant, date)
        self.arrive(at, self.state.newest_batch(merchant).id)

    def covered(self, at):
        """One credit a channel account, less the channel's fee; receivers' money goes home."""
        self.now = at
        accounts = sorted({each.claim.channel_account for each in self.waiting()} - {""})
        for account in accounts:
            claims = [each for each in self.waiting() if each.claim.channel_account == account]
            owed = sum(each.claim.receivable for each in claims)
            credit = cover.Credit(
                CUSTODY, account, f"BK-{account}", owed - owed * CHANNEL_FEE_PPM // 1_000_000, at
            )
            divided = cover.divide(credit, claims, CHANNEL_FEE_PPM)
            self.commit(("credit", credit.reference, divided))
            for each, fee in cover.in_order(divided, claims):
                self._match(divided.credit, each, fee, at)

    def _match(self, credit, each, fee, at):
        merchant, partition = each.merchant, partition_of(each.merchant)
        pending = {merchant: self.state.natural(chart.merchant_pending(merchant))}
        for party in self.receivers:
            names = entries.accounts_of(party, partition)
            pending[party] = self.state.natural(names.pending)
        known, coverage = self.state.cover_of(merchant), self.state.coverage
        event = cover.match(
            known, credit, each.id, fee, pending, coverage.matched(merchant),
            self.state.backing(merchant), at,
        )  # fmt: skip
        booked = Booked(each.id, entries.COVERED, cover.booked(known, event), owner=merchant)
        self.commit(("cover", merchant, event), entries=[booked])
        self.carry(at, each.id)

    def paid_out(self, at, merchant, story):
        self.pay_out(at, merchant)
        self.through(at, [e for e in self.state.all("instruction") if e.party == merchant], story)

    def through(self, at, instructions, story):
        """Checked, sent, and all that the bank says of it."""
        for each in instructions:
            self.check(at, each.id, "op_2")
            self.send(at, each.id, story, False, False)
            for said in self.bank.orders[each.number].story:
                self.hear(at, each.id, said)

    def others(self, at):
        """Withdrawals of receivers, a freeze that stays, one that goes, an advance repaid."""
        for number, party in enumerate(self.receivers):
            free = self.state.purse(party, self.day).free
            if free < 100:
                continue
            self.withdraw(at + number, party, free // 4)
            one = [each for each in self.state.all("withdrawal") if each.party == party][-1]
            if number % 2:
                self.review(at + number, one.id, True)
                self.instruct(at + number, one.id)
                self.through(at + number, [self.paying(one.id)], "pays")
            self.freeze(at + number, party, free // 8)
            self.freeze(at + 50 + number, party, free // 8)
            frozen = [each for each in self.state.all("freeze") if each.party == party][-1]
            self.thaw(at + 60 + number, frozen.id)
        merchant = self.merchants[-1]
        self.advance(at + 70, merchant, 1_000, 0)
        self.repay(at + 80, made("adv", at + 70, partition_of(merchant), "advance"))

    # --- the files ----------------------------------------------------------------------------

    def write(self):
        """Put what was decided into the files, in the order in which it was decided."""
        for path in self.paths:
            asyncio.run(self._write(path))
        return self

    async def _write(self, path):
        store = SqliteStore(path, **stamp_of(path))
        opened = store.open()
        batch, no = Batch.empty(), opened.entry_no
        # Stored folds may lack the last entries: the entries are the truth.
        rows = store.entries_after(0, opened.entry_no + 1)
        heads = {row[1]: (row[2], row[8]) for row in rows}
        sums = fold({}, rows)
        touched = {}
        for commit in self.journal:
            for each in commit.entries:
                partition = partition_of(each.source)
                identifier = entries.entry_id(each.source, each.step)
                here = self.homes.get(partition, self.paths[0]) == path
                if not here or not each.postings or identifier in self.before:
                    continue
                self.before.add(identifier)
                no += 1
                seq, chain = heads.get(partition, (0, GENESIS))
                entry = Entry(identifier, each.source, partition, "cny", commit.at, each.postings)
                row = row_of(entry, no, seq + 1, chain)
                heads[partition] = row[2], row[8]
                batch.entries.append(row)
                batch.heads.append((partition, row[2], row[8], no))
                for account, minor in each.postings:
                    sums[account, "cny"] = touched[account] = sums.get((account, "cny"), 0) + minor
        batch.balances += [(account, "cny", minor, no) for account, minor in touched.items()]
        batch.heads[:] = {row[0]: row for row in batch.heads}.values()
        batch.marks = {"balance_floor": no}
        self._records(path, batch, opened.record_no)
        await store.commit(batch)
        store.close()

    def _records(self, path, batch, no):
        for kind in RECORDS:
            for each in self.state.all(kind):
                owner = getattr(each, "merchant", None) or each.party
                partition = partition_of(owner)
                if self.homes.get(partition, self.paths[0]) == path:
                    no += 1
                    identifier = owner if kind == "cover" else each.id
                    row = (no, identifier, kind, owner, partition, None, encode(each))
                    batch.records.append(row)


def stamp_of(path):
    """How a file says that it wants to be opened."""
    from payments.storage import connect, migrate

    reader = connect.reader(path)
    try:
        stamp = migrate.read_stamp(reader)
    finally:
        reader.close()
    return {"livemode": stamp.livemode, "shard": stamp.shard, "shards": stamp.shards}


def bring_home(folder, now_ms):
    """Walk all the way home with what the folder's files hold, and write it into them."""
    return Month(folder).walk(now_ms).write()


BACK = (Told.REJECTED, Told.RETURNED)
FILED = (batches.BatchState.FILED, batches.BatchState.CLOSED)
