"""What a shard tells of its ledger: a party's entries, each once, and whole statements."""

import pytest
from msgspec.json import decode

import busy_month
from actors import papers
from home_month import Month, stamp_of
from home_shard import HomeShard
from payments.calendar import business_date
from payments.errors import InvalidField
from payments.storage.journal import Journal
from payments.storage.sqlite import SqliteStore
from payments.testing import NOW_MS

TODAY = business_date(NOW_MS)
LATER = NOW_MS + 1_000_000


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A month that came home, and a shard that has it."""
    folder = tmp_path_factory.mktemp("papers") / "data"
    busy_month.make(folder)
    month = Month(folder).walk(LATER).write()
    path = folder / "shard-1.db"
    shard = HomeShard(number=1)
    shard.store.abandon()
    stamp = stamp_of(path)
    shard.core.store = store = SqliteStore(path, **stamp)
    shard.core.books._store = shard.core.records._store = store
    shard.core.opened(store.open())
    yield month, shard, path
    store.close()
    shard.loop.close()


def told(shard, op, party="", **query):
    """All that an op says, slice after slice; the last answer."""
    rows, slices = [], 0
    while True:
        ask = shard.make(op, party=party)
        ask.query = dict(query)
        said = decode(shard.desk._ops[op][0](ask).body)
        rows += said["rows"]
        slices += 1
        assert slices < 100
        if not said["next"]:
            return rows, said
        query["from"] = str(said["next"])


def test_every_entry_of_a_merchant_is_told_once(home, monkeypatch):
    """Newest first, whatever the slice; together they are all that it is owed."""
    month, shard, path = home
    merchant = month.merchants[-1]
    with Journal(path) as journal:
        entries = [row[3] for row in journal.entries(holding=merchant)]
    for size in (7, 100_000):
        monkeypatch.setattr(papers, "SLICE_ROWS", size if size > 100 else 97)
        rows, _ = told(shard, "balance_transaction.list", merchant)
        assert entries[::-1] == [body["id"] for _, body in rows]
    changes = {}
    for _, body in rows:
        for name, minor in body["changes"].items():
            changes[name] = changes.get(name, 0) + minor
        grown = sum(m if n != "debt" else -m for n, m in body["changes"].items())
        assert body["amount"] == grown
    for name in ("pending", "available", "frozen", "in_transit"):
        assert month.state.natural(f"merchant:{merchant}:{name}") == changes.get(name, 0), name


def test_types_sources_and_times_are_chosen(home):
    """Each filter keeps what it says, and a cursor goes on behind its object."""
    month, shard, _ = home
    merchant = month.merchants[2]
    everything = [body for _, body in told(shard, "balance_transaction.list", merchant)[0]]
    assert {"payment", "clearing", "withdrawal"} <= {body["type"] for body in everything}
    for kind in ("payment", "withdrawal"):
        rows, _ = told(shard, "balance_transaction.list", merchant, type=kind)
        assert [b for b in everything if b["type"] == kind] == [body for _, body in rows]
    source = everything[-1]["source"]
    (only,), _ = told(shard, "balance_transaction.list", merchant, source=source)
    assert everything[-1] == only[1]
    after, _ = told(shard, "balance_transaction.list", merchant, starting_after=everything[4]["id"])
    assert everything[5:] == [body for _, body in after]
    edge = str(NOW_MS)
    late, _ = told(shard, "balance_transaction.list", merchant, **{"created[gte]": edge})
    early, _ = told(shard, "balance_transaction.list", merchant, **{"created[lt]": edge})
    assert everything == [body for _, body in (*late, *early)]
    assert late
    assert early
    with pytest.raises(InvalidField):
        told(shard, "balance_transaction.list", merchant, starting_after="ent_" + "0" * 25)


def test_entries_of_an_account_and_of_a_source(home):
    """As they were booked: their legs sum to zero."""
    month, shard, _ = home
    account = f"merchant:{month.merchants[2]}:available"
    rows, _ = told(shard, "ledger_entry.list", account=account)
    moved = 0
    for _, entry in rows:
        assert 0 == sum(each["amount"] for each in entry["postings"])
        moved += sum(p["amount"] for p in entry["postings"] if p["account"] == account)
    assert month.state.natural(account) == -moved
    about, _ = told(shard, "ledger_entry.list", source=rows[0][1]["source"])
    assert rows[0][1] in [entry for _, entry in about]


def test_accounts_have_the_balances_of_the_books(home):
    month, shard, _ = home
    rows, _ = told(shard, "ledger_account.list", account=f"merchant:{month.merchants[2]}:")
    assert {name: minor for name, _, minor in rows} == {
        name: minor
        for (name, _), minor in month.state.balances.items()
        if name.startswith(f"merchant:{month.merchants[2]}:")
    }


def test_a_statement_in_slices_is_the_whole_statement(home, monkeypatch):
    """Every member of the date's batches, whatever the slice; figures come with the last."""
    month, shard, _ = home
    for merchant in month.merchants[2:]:
        for batch in month.state.batches_of(merchant):
            for size in (61, 5_000):
                monkeypatch.setattr(papers, "SLICE_ROWS", size)
                rows, last = told(
                    shard, "statement.get", merchant, business_date=str(batch.business_date)
                )
                members = [row for row in rows if row[0] == batch.id]
                totals = batch.netted.totals
                assert totals.items == len(members)
                assert totals.net == sum(row[23] for row in members)
                (figures,) = last["batches"]
                assert (batch.id, totals.net) == (figures["id"], figures["net"])


def test_a_day_without_anything_is_empty(home):
    month, shard, _ = home
    rows, last = told(shard, "statement.get", month.merchants[2], business_date="20260101")
    assert ([], []) == (rows, last["batches"])
