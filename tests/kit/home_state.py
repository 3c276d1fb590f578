"""The way home of the money as stored state: commits of events and entries, and their fold.

What a store would keep is a list of commits. `State` is their fold; a crash is a new `State` folded
from the same list.
"""

from msgspec import Struct

from payments import chart
from payments.calendar import business_date
from payments.clearing import batch as batches
from payments.ids import partition_of
from payments.ledger import Entry, book, pack_postings
from payments.settlement import accounts, cover, holds, instruction, withdrawal
from payments.settlement.coverage import Coverage
from payments.settlement.entries import entry_id
from payments.settlement.purse import Purse

CURRENCY = "cny"
CUSTODY = chart.custody("icbc", "01")

FOLDS = {
    "batch": batches.apply,
    "instruction": instruction.apply,
    "withdrawal": withdrawal.apply,
    "cover": cover.apply,
    "freeze": holds.apply,
    "advance": holds.apply_advance,
    "account": accounts.apply,
    "credit": lambda known, event: event,
    "party": lambda known, event: event,
    "sale": lambda known, event: event,
}


class Sale(Struct, frozen=True):
    """A payment as the world knows it, with what was refunded of it."""

    id: str
    merchant: str
    amount: int
    fee: int
    date: int
    shares: tuple[tuple[str, int], ...] = ()
    refunded: bool = False


class Block(Struct, frozen=True):
    """When a payout of a party last came back."""

    at: int


class Booked(Struct, frozen=True):
    """An entry about `source`. `asked`, `date`: of a payment or refund. `owner`: whose it is."""

    source: str
    step: str
    postings: tuple[tuple[str, int], ...]
    asked: int = 0
    date: int = 0
    owner: str | None = None


class Commit(Struct, frozen=True):
    """What is stored together: (kind, key, event) and entries, at an instant."""

    at: int
    events: tuple[tuple[str, str, object], ...] = ()
    entries: tuple[Booked, ...] = ()


class State:
    """Everything that is folded from commits."""

    def __init__(self):
        self.objects = {kind: {} for kind in FOLDS}
        self.balances = {}
        self.coverage = Coverage()
        self.booked = {}
        self.lines = []
        self.seqs = {}

    @classmethod
    def fold(cls, journal):
        state = cls()
        for commit in journal:
            state.apply(commit)
        return state

    def apply(self, commit):
        for kind, key, event in commit.events:
            known = self.objects[kind]
            if kind == "cover":
                known[key] = cover.apply(known.get(key) or cover.Cover(key), event)
            elif kind == "account" and isinstance(event, accounts.BankAccount):
                known[key] = event
            else:
                known[key] = FOLDS[kind](known.get(key), event)
        for each in commit.entries:
            self.book(each, commit.at)

    def book(self, each, at):
        """Book an entry as a store does: once by its id, empty ones not at all."""
        identifier = entry_id(each.source, each.step)
        if not each.postings or identifier in self.booked:
            return
        partition = partition_of(each.source)
        entry = Entry(identifier, each.source, partition, CURRENCY, at, each.postings)
        self.booked[identifier] = entry
        book(self.balances, CURRENCY, each.postings)
        self.coverage.add(entry, each.owner)
        seq = self.seqs.get(partition, 0) + 1
        self.seqs[partition] = seq
        if each.asked:
            packed = pack_postings(each.postings)
            line = (seq, each.date, each.owner, each.asked, identifier, packed, business_date(at))
            self.lines.append((partition, line))

    # --- Reading --------------------------------------------------------------------------

    def get(self, kind, key):
        return self.objects[kind].get(key)

    def all(self, kind):
        return list(self.objects[kind].values())

    def natural(self, account):
        return chart.natural(account, self.balances.get((account, CURRENCY), 0))

    def signed(self):
        return {account: minor for (account, _), minor in self.balances.items()}

    def batches_of(self, merchant):
        return [each for each in self.all("batch") if each.merchant == merchant]

    def newest_batch(self, merchant):
        return max(
            self.batches_of(merchant), key=lambda b: (b.business_date, b.sequence), default=None
        )

    def cover_of(self, merchant):
        return self.get("cover", merchant) or cover.Cover(merchant)

    def accounts_of(self, party):
        return [each for each in self.all("account") if each.party == party]

    def purse(self, party, date):
        mine = [each for each in self.all("withdrawal") if each.party == party]
        return Purse(party, self.signed(), withdrawal.use_of(mine, date))

    def backing(self, party):
        return self.coverage.backing(party)

    def summary(self):
        """All that can be compared."""
        return self.objects, self.balances, sorted(self.booked), self.lines
