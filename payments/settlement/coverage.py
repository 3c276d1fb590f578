"""Coverage: what must be true of the books of the way home, checked entry by entry.

Pure: entries in, complaints out, in words. Memory is one account sum an account and two a party.

Every party's *matched* money (available, frozen, in transit) has its *backing*: custody money that
came for this party and no other. An entry about one party gives or takes its custody leg to that
party. In an entry of a merchant and its receivers, each receiver's backing follows its own matched
money, and the merchant has the rest; so a refund that a receiver gives back out of available hands
that money to the merchant, who owes it to the channel.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from payments import chart
from payments.ledger import Entry

MATCHED: Final = frozenset({"available", "frozen", "in_transit"})


class Coverage:
    """Sums over entries, added one by one; complaints can be asked for at any time."""

    __slots__ = ("_accounts", "_backing", "_balances", "_faults", "_matched")

    def __init__(self) -> None:
        self._accounts: dict[str, chart.Account] = {}
        self._balances: dict[tuple[str, str], int] = {}
        self._matched: dict[str, int] = {}
        self._backing: dict[str, int] = {}
        self._faults: list[str] = []

    def backing(self, party: str) -> int:
        """Custody money that is this party's, minor units."""
        return self._backing.get(party, 0)

    def matched(self, party: str) -> int:
        """What the party has available, frozen and in transit, minor units."""
        return self._matched.get(party, 0)

    def add(self, entry: Entry, owner: str | None = None) -> None:
        """Count one entry. `owner`: whose payment, refund, covered claim or advance it is about,
        where it is one: these may have no leg that says so."""
        custody = suspended = 0
        moved: dict[str, int] = {}
        heads = set() if owner is None else {owner}
        for name, minor in entry.postings:
            key = (name, entry.currency)
            self._balances[key] = self._balances.get(key, 0) + minor
            account = self._account(name)
            if account.family == "custody":
                custody += minor
            elif account.family == "suspense":
                suspended -= minor
            elif account.family in ("merchant", "receiver"):
                owed = -minor if account.part in MATCHED else 0
                moved[account.owner] = moved.get(account.owner, 0) + owed
                if account.family == "merchant":
                    heads.add(account.owner)
        if len(heads) > 1:
            self._faults.append(f"{entry.id} moves money between {' and '.join(sorted(heads))}")
        if custody == suspended and not heads and not moved:
            return  # Money of nobody: suspense has as much of it as the bank.
        self._attribute(entry, custody, moved, heads or set(moved))

    def _attribute(
        self, entry: Entry, custody: int, moved: dict[str, int], heads: set[str]
    ) -> None:
        """Give the entry's custody leg to the parties it is about: what is left, to its head."""
        for party, owed in moved.items():
            self._matched[party] = self._matched.get(party, 0) + owed
        if len(heads) != 1:
            if custody:
                self._faults.append(f"{entry.id} moves {custody} of custody and is nobody's")
            return
        (head,) = heads
        for party, owed in moved.items():
            if party != head:
                self._backing[party] = self._backing.get(party, 0) + owed
                custody -= owed
        self._backing[head] = self._backing.get(head, 0) + custody

    def _account(self, name: str) -> chart.Account:
        account = self._accounts.get(name)
        if account is None:
            account = self._accounts[name] = chart.parse(name)
        return account

    def complaints(self) -> Iterator[str]:
        """What is wrong now, in words. Nothing, if nobody's money pays another."""
        yield from self._faults
        sums: dict[str, int] = {}
        for (name, currency), minor in sorted(self._balances.items()):
            sums[currency] = sums.get(currency, 0) + minor
            account = self._account(name)
            if account.limited and chart.natural(name, minor) < 0:
                yield f"{name} stands at {chart.natural(name, minor)} {currency}, below its floor"
        for currency, residual in sums.items():
            if residual:
                yield f"the books are off by {residual} {currency}"
        for party, owed in sorted(self._matched.items()):
            if owed > self._backing.get(party, 0):
                yield f"{party} is owed {owed} and has {self._backing.get(party, 0)} at the bank"

    def open_transits(self) -> Iterator[tuple[str, int]]:
        """(account, minor units) of every pair whose second step is due."""
        for (name, _), minor in sorted(self._balances.items()):
            if minor and self._account(name).family == "transit":
                yield name, minor


def complaints(entries: Iterable[tuple[Entry, str | None]]) -> list[str]:
    """What is wrong with these entries, each with its owner, taken as the whole books."""
    coverage = Coverage()
    for entry, owner in entries:
        coverage.add(entry, owner)
    return list(coverage.complaints())
