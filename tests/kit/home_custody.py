"""A shop on the way home, and the custody box and bank on the other side of a shard's link.

`Shop` brings money in as clearing does: a payment is booked, its batch is filed, its claim waits.
`Custody` is honest: it pays each number once, tells what it knows when asked, and carries.
"""

from msgspec.structs import replace

from actors.home_messages import (
    AskBank,
    BankSaid,
    BankSaidTaken,
    Carry,
    CreditMatched,
    Instruct,
    Land,
    Landed,
    MatchCredit,
)
from actors.home_options import HomeOptions
from actors.record_kinds import BATCH
from home_shard import HomeShard
from home_world import WORKDAYS
from payments import chart
from payments.clearing import stripes, terms
from payments.clearing.batch import Batch, BatchState, batch_id
from payments.clearing.netting import Claim, Netted, Totals
from payments.ids import IdMint, SeededEntropy, partition_of
from payments.ledger import Entry, unpack_postings
from payments.reference import AccountStatus, PayoutTerms, Receiver, SettlementAccount
from payments.settlement import cover, entries, holds, instruction
from payments.settlement.accounts import BankAccount
from payments.settlement.coverage import Coverage
from payments.settlement.entries import accounts_of, entry_id
from payments.testing import a_merchant

CUSTODY = chart.custody("icbc", "01")
DAY_MS = 86_400_000
MONDAY_MS = 1_772_416_800_000
"""2026-03-02T02:00:00Z: ten in the morning in China, when payouts are looked at."""

RULES = terms.Rules(20161201, "made for tests", 90, 30, 30)
OPTIONS = HomeOptions(
    custody=CUSTODY,
    workdays=WORKDAYS,
    rules=(RULES,),
    funders={"bank": holds.Funder("bank", 1_000_000)},
    payouts=instruction.Policy(alone_max=2_000),
)
_mint = IdMint(SeededEntropy(5))
PAYOUT = PayoutTerms(onboarded_on=20250101, trading_since=20250101)
MERCHANT = a_merchant(id=_mint.new("mch", MONDAY_MS, 700), partition=700, number=3, payout=PAYOUT)
HOME = Receiver(_mint.new("rcv", MONDAY_MS, 700), MERCHANT.id, None, "at home")
AWAY = Receiver(_mint.new("rcv", MONDAY_MS, 900), MERCHANT.id, None, "away")


def an_account(party, number=1, confirmed_at=1, first_at=1):
    """A registered bank account that was confirmed."""
    identifier = _mint.new("acc", MONDAY_MS, partition_of(party))
    account = BankAccount(
        identifier, party, "张三小吃", f"622202123456{number:04}", "icbc", 1, "op_1",
        confirmed_at, "op_2", first_at,
    )  # fmt: skip
    return SettlementAccount(identifier, MERCHANT.id, None, account, AccountStatus.CONFIRMED, 1)


ACCOUNTS = tuple(an_account(party) for party in (MERCHANT.id, HOME.id, AWAY.id))
RECORDS = (MERCHANT, HOME, AWAY, *ACCOUNTS)


class Custody:
    """`sees`: whether instructions reach it; `orders`: number -> [Instruct, state]."""

    def __init__(self, shop):
        self.shop = shop
        self.orders = {}
        self.sees = True
        self.instructed = []
        self.asked = []

    def pump(self):
        """Answer everything that the shard has said, until it says no more."""
        while sent := self.shop.shard.custody.take(Instruct, AskBank, Carry, Landed, BankSaidTaken):
            for message in sent:
                self.take(message)

    def take(self, message):
        if isinstance(message, Instruct):
            self.instructed.append(message)
            if self.sees:
                self.orders.setdefault(message.number, [message, None])
        elif isinstance(message, AskBank):
            self.asked.append(message)
            known = self.orders.get(message.number)
            assert known is None or (message.id, message.amount) == (known[0].id, known[0].amount)
            state = "absent" if known is None else known[1] or "unknown"
            self.say(message.id, state)
        elif isinstance(message, Carry):
            self.hear(Land(7, *_fields(message)))
        elif isinstance(message, Landed) and message.ref == 7:
            self.hear(Landed(8, message.source))

    def overhear(self):
        """Orders that were on their way when the shard died are here nevertheless."""
        for message in self.shop.shard.custody.take(Instruct):
            self.instructed.append(message)
            self.orders.setdefault(message.number, [message, None])

    def hear(self, message):
        self.shop.shard.hear(self.shop.shard.custody, message)

    def say(self, identifier, state, reason=None):
        """The bank's word on an instruction."""
        for order in self.orders.values():
            if order[0].id == identifier and state in ("accepted", "paid", "rejected", "returned"):
                order[1] = state
        self.hear(BankSaid(1, identifier, state, "B1", reason))

    @property
    def paid_out(self):
        """What has left the account for good."""
        return sum(order[0].amount for order in self.orders.values() if order[1] == "paid")


def _fields(message):
    return tuple(getattr(message, name) for name in message.__struct_fields__[1:])


class Shop:
    """A shard with one merchant, a receiver at home and one away, and their bank."""

    def __init__(self, path=None, options=OPTIONS, records=RECORDS, now_ms=MONDAY_MS):
        self.shard = HomeShard(records, options, path, now_ms)
        self.custody = Custody(self)
        self.sequence = 0
        self.credited = 0

    @property
    def parties(self):
        return self.shard.core.follow.__self__

    @property
    def books(self):
        return self.shard.core.books

    def close(self):
        self.shard.close()

    def restart(self):
        self.shard.restart()
        self.shard.commit()

    # --- money comes in --------------------------------------------------------------------

    def sell(self, amount, shares=(), fee=0, date=20260227, merchant=MERCHANT):
        """A payment of the day, in a batch that is filed; say the claim's id.

        A refund, if the amount is below zero.
        """
        shard, partition = self.shard, partition_of(merchant.id)
        self.sequence += 1
        now = shard.clock.now_ms()
        rest = amount - fee - sum(minor for _, minor in shares)
        parts = tuple(sorted(((merchant.id, rest), *shares)))
        postings = [
            (chart.receivable("wx", partition), amount),
            *((accounts_of(party, partition).pending, -minor) for party, minor in parts),
            (chart.fees_income(partition), -fee),
        ]
        postings = tuple(each for each in postings if each[1])
        pay = _mint.new("pay" if amount > 0 else "rfd", now, partition)
        step = "P" if amount > 0 else "R"
        core = shard.core
        core.books.book(core.batch, partition, entry_id(pay, step), pay, now, "cny", postings)
        claim = Claim("wx", amount, fee, parts, date)
        return self.file(merchant, date, claim)

    def file(self, merchant, date, claim):
        """As clearing does in its commit."""
        parties, records = self.parties, self.shard.core.records
        identifier = batch_id(merchant.id, date, self.sequence)
        splits = sum(minor for party, minor in claim.parts if party != merchant.id)
        rest = claim.receivable - claim.fee - splits
        gross, back = max(0, claim.receivable), max(0, -claim.receivable)
        totals = Totals(gross, back, 0, claim.fee, splits, rest, 1)
        now = self.shard.clock.now_ms()
        batch = Batch(
            identifier, merchant.id, date, self.sequence, "cny", now,
            state=BatchState.NETTED, netted=Netted(totals, (claim,)),
        )  # fmt: skip
        cleared = []
        for due in batch.dues:
            names = accounts_of(due.party, merchant.partition)
            pending = -core_balance(self, names.pending)
            each = stripes.clear(identifier, due, max(0, pending), core_balance(self, names.debt))
            cleared.append(each)
            parties.book(each.departure, entries.CLEARED, now, each.postings)
            if each.moved:
                carrying = self.carrying
                carrying.send(
                    each.arrival, entries.ARRIVED, merchant.partition, each.party, each.moved
                )
        batch = replace(
            batch, state=BatchState.FILED, cleared=tuple(cleared), filed_at=now,
            cut_off_at=now, cut_off_seq=self.sequence,
        )  # fmt: skip
        records.put(BATCH, identifier, merchant.id, merchant.partition, batch, None)
        known = parties.cover(merchant.id)
        moved = [(each.party, each.moved) for each in cleared]
        queued = cover.queue(known, identifier, [claim], moved)
        parties.put_cover(cover.apply(known, queued))
        self.shard.core.wake.set()
        self.shard.commit()
        self.custody.pump()
        return queued.waiting[0]

    @property
    def carrying(self):
        return self.shard.desk._dues["carry"].__self__

    def credit(self, *waiting, fee=0):
        """The channel's credit for these claims is at the bank; the last bears its fee."""
        amount = sum(each.claim.receivable for each in waiting) - fee
        self.credited += amount
        arrived = cover.Credit(CUSTODY, "wx", f"C{self.credited}", amount, 1)
        shares = [(each.id, 0) for each in waiting[:-1]] + [(waiting[-1].id, fee)]
        return self.match(arrived, shares)

    def match(self, arrived, shares):
        self.custody.hear(MatchCredit(3, arrived, tuple(shares)))
        (answer,) = self.shard.custody.take(CreditMatched)
        self.custody.pump()
        return answer

    def earn(self, amount, **how):
        """Money that is sold, filed and at the bank."""
        claim = self.sell(amount, **how)
        answer = self.credit(claim)
        assert answer.left == (), answer
        return claim

    # --- looking ---------------------------------------------------------------------------

    def balance(self, party=MERCHANT.id, part="available"):
        return getattr(self.parties.purse(party), part)

    def tick(self, seconds=0):
        self.shard.tick(seconds)
        self.custody.pump()

    def instructions(self, party=MERCHANT.id):
        """Newest first."""
        return [kept.value for kept in self.shard.core.records.of("instruction", party)]

    def confirm(self, party=MERCHANT.id):
        """Two people have confirmed the party's bank account anew."""
        now = self.shard.clock.now_ms()
        self.shard.records = tuple(
            replace(each, account=replace(each.account, confirmed_at=now))
            if isinstance(each, SettlementAccount) and each.account.party == party
            else each
            for each in self.shard.records
        )
        from actors.messages import Changes

        self.shard.core.reference.take(Changes(2, self.shard.records, True))

    def coverage(self):
        """The check over all entries that are stored."""
        found = Coverage()
        owners = {
            each.id: each.merchant
            for kept in self.shard.core.records.all_of(BATCH)
            for each in cover.queue(
                cover.Cover(kept.value.merchant), kept.value.id, kept.value.netted.claims, ()
            ).waiting
        }
        for kept in self.shard.core.records.all_of("advance"):
            owners[kept.value.id] = kept.value.party
        for row in self.shard.store.entries_after(0, 100_000):
            _, partition, _, identifier, source, at, currency, packed, _ = row
            postings = unpack_postings(packed)
            owner = MERCHANT.id if source[:3] in ("pay", "rfd") else owners.get(source)
            found.add(Entry(identifier, source, partition, currency, at, postings), owner)
        return found

    def assert_sound(self):
        """Nobody's money pays another; what is remembered is what the entries say."""
        coverage = self.coverage()
        assert [] == list(coverage.complaints())
        assert 0.0 == self.shard.desk.numbers()["coverage_faults_total"]
        for party in (MERCHANT.id, HOME.id, AWAY.id):
            assert coverage.backing(party) == self.parties.get(party).backing, party
            assert coverage.matched(party) == self.parties.purse(party).matched, party
        for debits, credits in self.books.totals().values():
            assert debits == credits

    def assert_bank_agrees(self):
        """What lies at the bank is what our books say lies there."""
        assert self.credited - self.custody.paid_out == core_balance(self, CUSTODY)


def core_balance(shop, account):
    return shop.books.balance(account, "cny")
