"""Balances, statements of accounts and the table of entries: what the books say by themselves.

Shared accounts exist once a partition (`fees:income#17`); reports add the stripes up, as
`fees:income`. Statements turn the sign of liabilities and income round, so that more is more.
"""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Final

from msgspec import Struct

from payments import chart
from payments.calendar import rfc3339
from payments.ledger import Row as EntryRow
from payments.ledger import book, unpack_postings
from payments.reports.names import NAMES_KEPT
from payments.reports.tables import Column, Kind, Row, Table

Balances = dict[tuple[str, str], int]
"""(account, currency) -> minor units, a debit positive."""

ENTRIES: Final = "ledger_entries.itemized.1"
TRIAL_BALANCE: Final = "trial_balance.1"

ENTRY_COLUMNS: Final = (
    Column("entry_id"),
    Column("source"),
    Column("at"),
    Column("partition"),
    Column("sequence"),
    Column("account"),
    Column("account_kind"),
    Column("currency"),
    Column("debit", Kind.AMOUNT),
    Column("credit", Kind.AMOUNT),
    Column("amount", Kind.AMOUNT),
    Column("hash"),
)
TRIAL_COLUMNS: Final = (
    Column("account"),
    Column("account_kind"),
    Column("currency"),
    Column("debit", Kind.AMOUNT),
    Column("credit", Kind.AMOUNT),
    Column("balance", Kind.AMOUNT),
)


DEBIT_KINDS: Final = (chart.Kind.ASSET, chart.Kind.EXPENSE)
"""Accounts that a debit makes more."""


class NoSuchAccount(ValueError):
    """A text that names no account, nor the stripes of one."""


def unstriped(account: str) -> str:
    """The name that reports show for an account: without its partition."""
    return account.partition("#")[0]


class Wanted(Struct, frozen=True):
    """Which accounts a statement is of.

    `name`: an account, one without its stripe for all stripes, or what the names begin with.
    `sign`: 1 when a debit makes the balance more, -1 when a credit does.
    """

    name: str
    is_whole: bool
    sign: int

    def has(self, account: str) -> bool:
        if self.is_whole:
            return account == self.name or unstriped(account) == self.name
        return account.startswith(self.name)


def of_account(name: str) -> Wanted:
    """The statement of one account, `fees:income` and `fees:income#17` alike."""
    try:
        kind = kind_of(name)
    except chart.UnknownAccount as error:
        raise NoSuchAccount(f"{name[:80]!r} is not in the chart of accounts") from error
    return Wanted(name, True, 1 if kind in DEBIT_KINDS else -1)


def of_merchant(merchant: str) -> Wanted:
    """The statement of all that we owe a merchant, its debt taken off."""
    if not merchant.startswith("mch_") or ":" in merchant:
        raise NoSuchAccount(f"{merchant[:80]!r} is not a merchant's id")
    return Wanted(f"merchant:{merchant}:", False, -1)


class Line(Struct, frozen=True, gc=False):
    """One posting in a statement. `amount`, `balance`: minor units, more is more."""

    at_ms: int
    entry: str
    source: str
    account: str
    currency: str
    amount: int
    balance: int


class Statement:
    """A statement of some accounts over a time: opening balances, lines, closing balances."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self.opening: dict[str, int] = {}
        self.closing: dict[str, int] = {}

    def open(self, before: Iterable[EntryRow]) -> None:
        """Fold what was booked before the statement begins."""
        for row in before:
            currency = row[6].lower()
            for _, minor in self._postings(row):
                self.opening[currency] = self.opening.get(currency, 0) + minor
        self.closing = dict(self.opening)

    def lines(self, rows: Iterable[EntryRow]) -> Iterator[Line]:
        """The postings in the order of `rows`, each with the balance after it."""
        for row in rows:
            identifier, source, at_ms, currency = row[3], row[4], row[5], row[6].lower()
            for account, minor in self._postings(row):
                balance = self.closing.get(currency, 0) + minor
                self.closing[currency] = balance
                yield Line(at_ms, identifier, source, account, currency, minor, balance)

    def _postings(self, row: EntryRow) -> Iterator[tuple[str, int]]:
        for account, minor in unpack_postings(row[7]):
            if self._wanted.has(account):
                yield account, minor * self._wanted.sign


def balances_of(rows: Iterable[EntryRow], *, striped: bool = False) -> Balances:
    """The balances after some entries. `striped`: each partition's by itself."""
    balances: Balances = {}
    for row in rows:
        book(balances, row[6].lower(), unpack_postings(row[7]))
    if striped:
        return balances
    together: Balances = {}
    for (account, currency), minor in balances.items():
        book(together, currency, ((unstriped(account), minor),))
    return together


@lru_cache(maxsize=NAMES_KEPT)
def kind_of(account: str) -> chart.Kind:
    """The kind of an account whose stripe may have been taken off."""
    try:
        return chart.kind_of(account)
    except chart.UnknownAccount:
        return chart.kind_of(f"{account}#0")


def trial_balance_table(balances: Balances) -> Table:
    """Each account with its balance on the side it stands on; both sides add up to the same."""

    def rows() -> Iterator[Row]:
        for account, currency in sorted(balances):
            minor = balances[account, currency]
            debit, credit = max(minor, 0), max(-minor, 0)
            yield account, kind_of(account).value, currency, debit, credit, minor

    return Table(
        type=TRIAL_BALANCE,
        columns=TRIAL_COLUMNS,
        rows=rows(),
        key="account",
        groupings={"Kinds": ("account_kind", "currency")},
        nets=("debit", "credit", "balance"),
        totals=True,
    )


def entries_table(entries: Iterable[EntryRow]) -> Table:
    """One row a posting, with what proves its entry: place and hash in the partition's chain."""

    def rows() -> Iterator[Row]:
        for _, partition, seq, identifier, source, at_ms, currency, packed, chain in entries:
            at, digest = rfc3339(at_ms), chain.hex()
            for account, minor in unpack_postings(packed):
                yield (
                    identifier, source, at, str(partition), str(seq), account,
                    kind_of(account).value, currency.lower(),
                    max(minor, 0), max(-minor, 0), minor, digest,
                )  # fmt: skip

    return Table(
        type=ENTRIES,
        columns=ENTRY_COLUMNS,
        rows=rows(),
        key="entry_id",
        nets=("debit", "credit", "amount"),
    )
