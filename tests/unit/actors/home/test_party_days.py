"""A party's day told backward is the day that all its entries give forward."""

from functools import cache

import pytest
from msgspec.json import decode
from msgspec.structs import replace

import busy_month
from actors import party_days
from home_month import Month, stamp_of
from home_shard import HomeShard
from payments.calendar import business_date
from payments.iso20022.camt053 import decode as read_message
from payments.iso20022.camt053 import encode
from payments.ledger import unpack_postings
from payments.money import Currency
from payments.reconciliation.lines import day_bounds
from payments.reports.bank_style import Moved, bank_statement, day_statement
from payments.storage.journal import Journal
from payments.storage.sqlite import SqliteStore
from payments.testing import NOW_MS

LATER = NOW_MS + 1_000_000


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A month that came home, and a shard that has it."""
    folder = tmp_path_factory.mktemp("days") / "data"
    busy_month.make(folder)
    month = Month(folder).walk(LATER).write()
    path = folder / "shard-1.db"
    shard = HomeShard(number=1)
    shard.store.abandon()
    shard.core.store = store = SqliteStore(path, **stamp_of(path))
    shard.core.books._store = shard.core.records._store = store
    shard.core.opened(store.open())
    with Journal(path) as journal:
        rows = list(journal.entries())
    yield month, shard, rows
    store.close()
    shard.loop.close()


def told(shard, party, day):
    """All slices of a party's day: (movements, balance, folded, how many slices)."""
    rows, query, first, slices = [], {"since": str(day_bounds(day)[0])}, None, 0
    while True:
        ask = shard.make("party_day.get", party=party)
        ask.query = dict(query)
        said = decode(shard.desk._ops["party_day.get"][0](ask).body)
        first, slices = first or said, slices + 1
        rows += [Moved(*row) for row in said["rows"]]
        if not said["next"]:
            return rows, first["minor"], first["folded"], slices
        query |= {"from": str(said["next"]), "folded": str(first["folded"])}


def folded_at(rows, no):
    """`store.balance` as it is when folds were written up to an entry."""

    @cache
    def balance(account, currency):
        minor = sum(
            each
            for row in rows
            if row[0] <= no and row[6] == currency
            for name, each in unpack_postings(row[7])
            if name == account
        )
        return (account, currency, minor, no)

    return balance


def renumbered(statement):
    """Movements numbered within the day, as the shard does."""
    entries = tuple(replace(each, sequence=at) for at, each in enumerate(statement.entries, 1))
    return replace(statement, entries=entries)


@pytest.mark.parametrize("size", [61, 5_000])
@pytest.mark.parametrize("folded_ppm", [0, 700_000])
def test_a_day_in_slices_is_the_day_of_all_entries(home, monkeypatch, size, folded_ppm):
    """Whatever the slice, and however far the stored balances are behind."""
    month, shard, rows = home
    monkeypatch.setattr(party_days, "SLICE_ROWS", size)
    last = rows[-1][0]
    fold = folded_at(rows, last * folded_ppm // 1_000_000)
    monkeypatch.setattr(type(shard.core.store), "balance", lambda _, *asked: fold(*asked))
    days = sorted({business_date(row[5]) for row in rows})
    moved = 0
    for party in month.merchants[2:]:
        mine = [row for row in rows if party.encode() in row[7]]
        for day in days:
            movements, minor, folded, slices = told(shard, party, day)
            made = day_statement(party, day, movements, minor, folded, LATER, Currency.CNY)
            assert renumbered(bank_statement(party, day, mine, LATER, Currency.CNY)) == made
            assert size > 61 or slices > 1 or last <= size
            moved += made.count
    assert moved


def test_the_message_is_one_that_the_bank_side_reads(home):
    month, shard, rows = home
    party = month.merchants[2]
    day = max(business_date(row[5]) for row in rows if party.encode() in row[7])
    movements, minor, folded, _ = told(shard, party, day)
    made = day_statement(party, day, movements, minor, folded, LATER, Currency.CNY)

    assert made == read_message(encode(made))
