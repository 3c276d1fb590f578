"""A party's purse: what it may spend, while decisions are on their way to the store.

Balances are what is booked. A decision *promises* money in the same breath in which it is made, so
that any number of decisions between two commits never spend the same unit twice; booking its entry
keeps the promise. After a crash the purse is made anew from the balances: what was promised and not
committed has not happened.
"""

from collections.abc import Mapping

from msgspec import Struct

from payments.errors import Conflict, QuotaExceeded
from payments.ledger import Postings
from payments.settlement.entries import accounts_of, home_of


class DayUse(Struct, frozen=True, array_like=True, gc=False):
    """Withdrawals asked for on a day (yyyymmdd), whatever became of them: minor units, no fees."""

    date: int = 0
    count: int = 0
    amount: int = 0


class Purse:
    """Balances of one party at home, in minor units as people read them, and open promises.

    `balances`: account name -> signed minor units, as the store has them. `use`: of the newest day
    on which the party asked for a withdrawal.
    """

    __slots__ = ("_accounts", "_balances", "_promised", "party", "use")

    def __init__(self, party: str, balances: Mapping[str, int], use: DayUse | None = None) -> None:
        self.party = party
        self.use = DayUse() if use is None else use
        self._accounts = accounts_of(party, home_of(party))
        self._balances = {
            name: balances.get(name, 0)
            for name in (
                self._accounts.pending,
                self._accounts.available,
                self._accounts.frozen,
                self._accounts.in_transit,
                self._accounts.debt,
            )
        }
        self._promised: dict[str, int] = {}

    @property
    def pending(self) -> int:
        return -self._balances[self._accounts.pending]

    @property
    def available(self) -> int:
        return -self._balances[self._accounts.available]

    @property
    def frozen(self) -> int:
        return -self._balances[self._accounts.frozen]

    @property
    def in_transit(self) -> int:
        return -self._balances[self._accounts.in_transit]

    @property
    def debt(self) -> int:
        return self._balances[self._accounts.debt]

    @property
    def matched(self) -> int:
        """Available, frozen and in transit: what must lie at the bank."""
        return self.available + self.frozen + self.in_transit

    @property
    def free(self) -> int:
        """What is available and not promised."""
        return self.available - sum(self._promised.values())

    def promise(self, source: str, minor: int) -> None:
        """Set money aside for a decision about `source`. Conflict if there is less.

        Promising again for the same source changes nothing.
        """
        if source in self._promised:
            return
        if minor > self.free:
            raise Conflict(f"{minor} is more than the {self.free} available")
        self._promised[source] = minor

    def promise_withdrawal(
        self, source: str, date: int, amount: int, fee: int, day_count_max: int, day_max: int
    ) -> None:
        """Set a withdrawal's money aside and count it in its day, or neither.

        QuotaExceeded beyond the day's limits, Conflict if there is less money.
        """
        count, total = 1, amount
        if self.use.date == date:
            count, total = self.use.count + 1, self.use.amount + amount
        if count > day_count_max or total > day_max:
            raise QuotaExceeded(f"a day's limit: {day_count_max} withdrawals, {day_max} in all")
        self.promise(source, amount + fee)
        self.use = DayUse(date, count, total)

    def book(self, source: str, postings: Postings) -> None:
        """Follow an entry about `source`: its postings count, its promise is kept."""
        self._promised.pop(source, None)
        for account, minor in postings:
            if account in self._balances:
                self._balances[account] += minor
