"""A shard's ledger in memory: the ends of the hash chains and the balances, both recomputable.

Entries are the truth. Balances and chain ends are folds of them; a few of those that have waited
for long are written with each commit (the longest waiting first), and the commit notes the *floor*:
the entry up to which every stored fold is complete. After a crash the entries above the floor are
folded again, so there is no snapshot to stop for and none to lose.
"""

from operator import itemgetter
from typing import Final, TypeVar

from payments.ledger import GENESIS, Postings, chain_hash, pack_postings, unpack_postings
from payments.storage.base import Batch, EntryRow, Store

FOLDS_PER_COMMIT_MAX: Final = 24
"""Balances (and as many chain ends) written with a commit: bounds what a commit costs extra."""

FOLDS_WAIT: Final = 2_000
"""Entries that may follow the first one that a stored fold lacks, before the fold is written again:
a busy account's is written once for so many entries, and recovery folds so many more."""

BALANCES_KEPT_MAX: Final = 200_000
"""Clean balances kept in memory; others are read again when they are needed."""

RECOVERY_CHUNK: Final = 5_000
_K = TypeVar("_K")
_minor: Final = itemgetter(1)

BALANCE_FLOOR: Final = "balance_floor"


class Books:
    """Chains and balances of the partitions that one shard owns."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._balances: dict[tuple[str, str], int] = {}
        self._dirty: dict[tuple[str, str], int] = {}
        self._heads: dict[int, tuple[int, bytes]] = {}
        self._dirty_heads: dict[int, int] = {}
        self._leaving: list[tuple[str, str]] = []
        """Balances in the newest batch, which may not be in the store yet."""
        self._drift = 0
        self.entry_no = 0
        self.folds_wait = FOLDS_WAIT

    def recover(self, entry_no: int, floor: int) -> None:
        """Load chain ends and fold every entry above `floor` that a stored fold lacks."""
        heads_at = {}
        for partition, seq, chain, no in self._store.heads():
            self._heads[partition] = (seq, chain)
            heads_at[partition] = no
        stored_at: dict[tuple[str, str], int] = {}
        at = floor
        while rows := self._store.entries_after(at, RECOVERY_CHUNK):
            for row in rows:
                self._fold(row, stored_at, heads_at)
            at = rows[-1][0]
        self.entry_no = entry_no

    def _fold(
        self, row: EntryRow, stored_at: dict[tuple[str, str], int], heads_at: dict[int, int]
    ) -> None:
        no, partition, seq, _, _, _, currency, postings, chain = row
        for account, minor in unpack_postings(postings):
            key = (account, currency)
            if key not in stored_at:
                found = self._store.balance(account, currency)
                stored_at[key] = found[3] if found else 0
                self._balances[key] = found[2] if found else 0
            if no > stored_at[key]:
                self._balances[key] += minor
                self._dirty.setdefault(key, no)
        if no > heads_at.get(partition, 0):
            self._heads[partition] = (seq, chain)
            self._dirty_heads.setdefault(partition, no)

    def ends(self) -> dict[int, int]:
        """partition -> its last sequence, everything decided included."""
        return {partition: seq for partition, (seq, _) in self._heads.items()}

    def balance(self, account: str, currency: str) -> int:
        """The signed balance, with everything decided so far, in minor units."""
        key = (account, currency)
        found = self._balances.get(key)
        if found is None:
            row = self._store.balance(account, currency)
            found = self._balances[key] = row[2] if row else 0
        return found

    def under(self, prefix: str) -> dict[tuple[str, str], int]:
        """Signed balances of all accounts whose names begin so, everything decided included.

        For questions that people ask: it walks over the folds that wait to be written.
        """
        found = {(row[0], row[1]): row[2] for row in self._store.balances_under(prefix)}
        waiting = (*self._dirty, *self._leaving)
        found |= {key: 0 for key in waiting if key[0].startswith(prefix)}
        return {key: self._balances.get(key, minor) for key, minor in found.items()}

    def book(
        self,
        batch: Batch,
        partition: int,
        entry_id: str,
        source: str,
        at_ms: int,
        currency: str,
        postings: Postings,
    ) -> None:
        """Add one balanced entry to the batch, its chain and its balances.

        The pair of the check in `Entry`: what is unbalanced never reaches a batch.
        """
        assert sum(map(_minor, postings)) == 0, (entry_id, postings)
        seq, previous = self._heads.get(partition, (0, GENESIS))
        seq += 1
        self.entry_no = no = self.entry_no + 1
        packed = pack_postings(postings)
        chain = chain_hash(previous, entry_id, seq, currency, at_ms, packed)
        self._heads[partition] = (seq, chain)
        self._dirty_heads.setdefault(partition, no)
        batch.entries.append((no, partition, seq, entry_id, source, at_ms, currency, packed, chain))
        balances, dirty = self._balances, self._dirty
        for account, minor in postings:
            key = (account, currency)
            self._drift += minor
            if key in balances:
                balances[key] += minor
            else:
                balances[key] = self.balance(account, currency) + minor
            if key not in dirty:
                dirty[key] = no

    def flush(
        self, batch: Batch, most: int = FOLDS_PER_COMMIT_MAX, wait: int | None = None
    ) -> None:
        """Put the longest waiting folds and the floor into a batch that is about to be written.

        At most so many of a kind, and only those that lack an entry `wait` or more before the last
        (`folds_wait` if that is not said).
        """
        if len(self._balances) > BALANCES_KEPT_MAX:
            # Before this batch takes folds: what is clean now is durable and can be read again.
            self._balances = {key: self._balances[key] for key in self._dirty}
        no = self.entry_no
        upto = no - (self.folds_wait if wait is None else wait)
        self._leaving = _first(self._dirty, most, upto)
        for key in self._leaving:
            del self._dirty[key]
            batch.balances.append((key[0], key[1], self._balances[key], no))
        for partition in _first(self._dirty_heads, most, upto):
            del self._dirty_heads[partition]
            seq, chain = self._heads[partition]
            batch.heads.append((partition, seq, chain, no))
        both = (self._dirty, self._dirty_heads)
        first = [next(iter(waiting.values())) for waiting in both if waiting]
        batch.marks[BALANCE_FLOOR] = min(first) - 1 if first else no

    @property
    def unwritten(self) -> int:
        """Folds that wait to be written."""
        return len(self._dirty) + len(self._dirty_heads)

    def imbalance(self) -> int:
        """Sum over everything booked by this incarnation: zero as long as entries balance."""
        return abs(self._drift)

    def totals(self) -> dict[str, tuple[int, int]]:
        """Debits and credits by currency, both positive: equal, or all is wrong."""
        seen: dict[tuple[str, str], int] = {
            (account, currency): minor for account, currency, minor, _ in self._store.balances()
        }
        seen.update(self._balances)
        sums: dict[str, tuple[int, int]] = {}
        for (_, currency), minor in seen.items():
            debits, credits = sums.get(currency, (0, 0))
            if minor >= 0:
                sums[currency] = (debits + minor, credits)
            else:
                sums[currency] = (debits, credits - minor)
        return sums


def _first(waiting: dict[_K, int], most: int, upto: int) -> list[_K]:
    """At most so many of those that wait since entry `upto` or longer; they stand in that order."""
    found: list[_K] = []
    for key, since in waiting.items():
        if since > upto or len(found) == most:
            break
        found.append(key)
    return found
