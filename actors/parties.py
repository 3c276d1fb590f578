"""Parties at home in a shard: their purses, their standing, and every entry of the way home.

All entries of the way home are booked here, so that what a party has at the bank (its *backing*)
follows in the same commit, and an entry is booked once whatever is said again.
"""

from collections.abc import Callable, Mapping
from typing import Final

from msgspec.structs import replace

from actors.core import Core
from actors.record_kinds import BATCH, COVER, PARTY
from payments import chart
from payments.clearing.batch import Batch, BatchState
from payments.ids import BODY_LENGTH, partition_of
from payments.ledger import Postings
from payments.settlement import party as parties
from payments.settlement.accounts import BankAccount, account_at, is_blocked
from payments.settlement.cover import Cover
from payments.settlement.entries import RECEIVER_PREFIX, accounts_of, entry_id, home_of
from payments.settlement.party import Party
from payments.settlement.purse import Purse
from payments.webhooks import platform_number

CURRENCY: Final = "cny"
"""Of the custody account, and so of everything that goes home over it."""

REFUNDS: Final = "refunds under way"
"""What a purse has promised for them: a payout leaves it alone."""

BATCHES_CHUNK: Final = 100


class Parties:
    """The parties of one shard."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self._booked: set[str] = set()
        """Entries decided and not yet durable: the store does not know them."""
        self._faults = 0
        """How often a party had more than lies at the bank for it: our bug, a person's case."""
        self.funded: list[Callable[[str, int], None]] = []
        """Told (party, business ms) when a party has more available than before."""
        self.covered: list[Callable[[str, int], None]] = []
        """Told the same, before that, when a channel's money came for the party."""
        core.follow = self.follow
        self.filed: Callable[[str], None] = lambda merchant: None
        """Told of a merchant whose batch was filed: what no channel owes needs no credit."""

    def numbers(self) -> dict[str, float]:
        """Plain numbers for metrics."""
        return {"coverage_faults_total": float(self._faults)}

    # --- records -------------------------------------------------------------------------------

    def get(self, party: str) -> Party:
        return self.core.records.get(_party_id(party), Party) or Party(party)

    def put(self, party: Party, due_ms: int | None) -> None:
        """Keep a party's standing; `due_ms`: when to look at its payouts again."""
        identifier, home = _party_id(party.id), home_of(party.id)
        self.core.records.put(PARTY, identifier, party.id, home, party, due_ms)
        self.core.wake.set()

    def change(self, party: Party) -> None:
        """Keep it, due when it was."""
        self.put(party, self.due_ms(party.id))

    def due_ms(self, party: str) -> int | None:
        kept = self.core.records.kept(_party_id(party))
        return None if kept is None else kept.due_ms

    def cover(self, merchant: str) -> Cover:
        """What a merchant and its receivers wait for."""
        return self.core.records.get(cover_id(merchant), Cover) or Cover(merchant)

    def put_cover(self, cover: Cover) -> None:
        merchant = cover.merchant
        home = home_of(merchant)
        self.core.records.put(COVER, cover_id(merchant), merchant, home, cover, None)
        self.core.wake.set()

    def merchant_no(self, party: str) -> int | None:
        """Whose webhooks hear of it: the merchant's, or that of a receiver that has one.

        A platform's own receiver: the number that stands for the platform.
        """
        reference = self.core.reference
        if party.startswith(RECEIVER_PREFIX):
            receiver = reference.receiver(party)
            if receiver is None:
                return None
            if receiver.merchant is None:
                return None if receiver.platform is None else platform_number(receiver.platform)
            party = receiver.merchant
        merchant = reference.merchant(party)
        return None if merchant is None else merchant.number

    def settled_up(self, merchant: str) -> Party:
        """The merchant's standing with every batch that was filed by now."""
        party = self.get(merchant)
        records = self.core.records
        while found := records.of(BATCH, merchant, after=party.batch_no, limit=BATCHES_CHUNK):
            for kept in found:
                batch = kept.value
                assert isinstance(batch, Batch)
                if batch.state not in (BatchState.FILED, BatchState.CLOSED):
                    return party
                owed = sum(due.amount for due in batch.dues if due.party == merchant)
                own = (each for each in batch.cleared if each.party == merchant)
                owed -= sum(each.to_debt + each.to_fees for each in own)
                party = parties.owe(party, batch.id, batch.business_date, owed, kept.no)
        return party

    # --- accounts ------------------------------------------------------------------------------

    def usable(self, party: str, at: int) -> tuple[BankAccount | None, bool]:
        """The bank account that counted at an instant, and whether payouts wait now."""
        known = self.core.reference.settlement_accounts(party)
        now = account_at(known, self.core.clock.now_ms())
        return account_at(known, at), is_blocked(now, self.get(party).blocked_at)

    def account(self, party: str, identifier: str) -> BankAccount:
        known = self.core.reference.settlement_accounts(party)
        return next(each for each in known if each.id == identifier)

    # --- money ---------------------------------------------------------------------------------

    def balances(self, party: str, partition: int) -> Mapping[str, int]:
        names = accounts_of(party, partition)
        wanted = (names.pending, names.available, names.frozen, names.in_transit, names.debt)
        return {name: self.core.books.balance(name, CURRENCY) for name in wanted}

    def purse(self, party: str) -> Purse:
        """What it may spend, everything decided included, refunds under way left aside."""
        purse = Purse(party, self.balances(party, home_of(party)), self.get(party).use)
        held = self.core.refund_holds.get(party, 0) - purse.pending
        if held > 0:
            purse.promise(REFUNDS, min(held, max(0, purse.free)))
        return purse

    def pending(self, party: str, partition: int) -> int:
        name = accounts_of(party, partition).pending
        return -self.core.books.balance(name, CURRENCY)

    def is_booked(self, source: str, step: str) -> bool:
        identifier = entry_id(source, step)
        if identifier in self._booked:
            return True
        return any(row[3] == identifier for row in self.core.store.entries_of(source))

    def book(
        self, source: str, step: str, at: int, postings: Postings, owner: str | None = None
    ) -> None:
        """Book a step of `source` in its partition: once, and not at all if it says nothing.

        `owner`: whose covered claim or advance it is.
        """
        if not postings or self.is_booked(source, step):
            return
        core = self.core
        identifier = entry_id(source, step)
        core.books.book(
            core.batch, partition_of(source), identifier, source, at, CURRENCY, postings
        )
        self._booked.add(identifier)
        core.releases.asks.append(lambda: self._booked.discard(identifier))
        self.follow(postings, owner)
        core.wake.set()

    def follow(self, postings: Postings, owner: str | None = None) -> None:
        """An entry is booked: the backing of its parties follows in the same commit."""
        for party, minor in parties.attributed(postings, owner):
            known = self.get(party)
            self.change(replace(known, backing=known.backing + minor))
            self._look(party)

    def _look(self, party: str) -> None:
        """Nobody may have more matched money than came for it."""
        purse = Purse(party, self.balances(party, home_of(party)))
        if purse.matched > self.get(party).backing:
            self._faults += 1

    def tell_covered(self, party: str, at: int) -> None:
        for told in self.covered:
            told(party, at)
        self.tell_funded(party, at)

    def tell_funded(self, party: str, at: int) -> None:
        for told in self.funded:
            told(party, at)

    def outstanding(self, funder: str) -> int:
        """What a funder has advanced in this shard and not got back."""
        return -self.core.books.balance(chart.advance(funder), CURRENCY)


def _party_id(party: str) -> str:
    return f"pty_{party[-BODY_LENGTH:]}"


def cover_id(merchant: str) -> str:
    """The record of what a merchant waits for. (`cvr_…` are its claims.)"""
    return f"cov_{merchant[-BODY_LENGTH:]}"
