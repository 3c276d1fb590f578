"""The audit of the way home: silent over sound books, loud for each thing that could be wrong."""

import shutil

import apsw
import pytest
from msgspec.msgpack import Decoder, encode
from msgspec.structs import replace

import busy_month
from actors.record_kinds import KINDS
from home_month import Month, bring_home
from home_state import Booked
from payments.settlement import entries, explained
from payments.storage.audit import audit_all
from payments.testing import NOW_MS


@pytest.fixture(scope="module")
def month(tmp_path_factory):
    """The data directory of a busy month whose money came home."""
    folder = tmp_path_factory.mktemp("home") / "data"
    busy_month.make(folder)
    plain = shutil.copytree(folder, folder.with_name("plain"))
    (plain / "shard-1.db").unlink()
    bring_home(folder, NOW_MS + 1_000_000)
    return folder


@pytest.fixture
def books(month, tmp_path):
    """One of its shards, to spoil."""
    folder = shutil.copytree(month, tmp_path / "data")
    (folder / "shard-1.db").unlink()
    return folder


def said(folder):
    found, home = audit_all(sorted(folder.glob("shard-*.db")), lambda count: None)
    complaints = [complaint for one in found for complaint in one.complaints]
    assert all(one.ok for one in found) is (not complaints)
    return complaints, home


def spoil(folder, kind, change, which=lambda each: True):
    """Change the first record of a kind in a file; None takes it away."""
    connection = apsw.Connection(str(folder / "shard-0.db"))
    for no, body in list(connection.execute("SELECT no, body FROM record WHERE kind = ?", (kind,))):
        value = Decoder(KINDS[kind]).decode(body)
        if which(value):
            changed = change(value)
            if changed is None:
                connection.execute("DELETE FROM record WHERE no = ?", (no,))
            else:
                connection.execute("UPDATE record SET body = ? WHERE no = ?", (encode(changed), no))
            break
    else:
        pytest.fail(f"no such {kind}")
    connection.close()


def test_books_whose_money_came_home_are_sound(month):
    """Ten batches, shares that crossed partitions, payouts of every ending: nothing to complain."""
    complaints, home = said(month)
    assert ([], 10, 0) == (complaints, home.batches, home.transits_due)


def figures(batch):
    totals = batch.netted.totals
    wrong = replace(totals, fees=totals.fees + 1, net=totals.net - 1)
    return replace(batch, netted=replace(batch.netted, totals=wrong))


SPOILED = [
    ("batch", figures, lambda b: b.netted.totals.items, "do not add up to its figures"),
    ("batch", lambda b: replace(b, cut_off_seq=b.cut_off_seq - 1), lambda b: b.sequence == 1,
     "where the batch before it ended"),
    ("batch", lambda b: None, lambda b: b.cleared and any(c.moved for c in b.cleared),
     "which no record explains"),
    ("instruction", lambda i: None, lambda i: i.sent, "which no record explains"),
    ("instruction", lambda i: replace(i, amount=i.amount + 1), lambda i: i.sent,
     "is not what its record says"),
    ("instruction", lambda i: replace(i, state="paid", history=()), lambda i: i.sent,
     "which no record explains"),
    ("withdrawal", lambda w: replace(w, amount=w.amount - 1), lambda w: True,
     "is not what its record says"),
    ("withdrawal", lambda w: replace(w, status="rejected"), lambda w: w.status == "in_review",
     "which a record says is booked"),
    ("freeze", lambda f: replace(f, thawed_at=None), lambda f: f.thawed_at,
     "which no record explains"),
    ("freeze", lambda f: replace(f, thawed_at=1), lambda f: not f.thawed_at,
     "which a record says is booked"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "change", "which", "complaint"), SPOILED)
def test_a_record_that_lies_is_found(books, kind, change, which, complaint):
    """What records say and what is booked must be the same."""
    spoil(books, kind, change, which)
    complaints, _ = said(books)
    assert any(complaint in each for each in complaints), complaints


def test_a_claim_that_waits_though_it_was_covered_is_found(books):
    """Its credit would be taken for it a second time."""
    batches = []
    spoil(books, "batch", lambda b: batches.append(b) or b, lambda b: b.netted.totals.items)
    (batch,) = batches
    waiting = explained.claims(batch)[:1]
    spoil(
        books,
        "cover",
        lambda cover: replace(cover, waiting=waiting),
        lambda cover: cover.merchant == batch.merchant,
    )
    complaints, _ = said(books)
    assert any("which no record explains" in each for each in complaints), complaints


class Lossy(Month):
    """Writes entries of all steps but one, as a gateway that lost them."""

    lost = ""

    def commit(self, *events, entries=()):
        super().commit(*events, entries=entries)
        for each in entries:
            if each.step in self.lost:
                self.before.add(f"ent_{each.source[-24:]}{each.step}")


@pytest.mark.parametrize(
    ("step", "complaint"),
    [
        (entries.ARRIVED, "is closed and lacks entry"),
        (entries.COVERED, "which a record says is booked"),
        (entries.CLEARED, "more arrived than left"),
        (entries.HELD, "which a record says is booked"),
    ],
)
def test_an_entry_that_is_missing_is_found(month, tmp_path, step, complaint):
    """A step that a record says was taken, and that is nowhere in the books."""
    folder = shutil.copytree(month.with_name("plain"), tmp_path / "data")
    lossy = Lossy(folder)
    lossy.lost = step
    lossy.walk(NOW_MS + 1_000_000).write()
    complaints, _ = said(folder)
    assert any(complaint in each for each in complaints), complaints


def test_money_of_nobody_that_is_made_available_is_found(month, tmp_path):
    """An advance that names another sum than its entry, and available money that nothing backs."""
    folder = shutil.copytree(month.with_name("plain"), tmp_path / "data")
    greedy = Month(folder).walk(NOW_MS + 1_000_000)
    merchant = greedy.merchants[0]
    names = entries.accounts_of(merchant, entries.home_of(merchant))
    sale = next(source for source, facts in greedy.sources.items() if facts[0] == merchant)
    postings = ((names.pending, 700), (names.available, -700))
    greedy.commit(entries=[Booked(sale, "C", postings, owner=merchant)])
    greedy.write()
    complaints, _ = said(folder)
    assert any("and has" in each and merchant in each for each in complaints), complaints
    assert any("which no record explains" in each for each in complaints), complaints


def test_a_share_on_its_way_is_due_and_no_complaint(month, tmp_path):
    """Before the second step is taken: the pair of transits is open, and everything is sound."""
    folder = shutil.copytree(month.with_name("plain"), tmp_path / "data")
    walking = Month(folder)
    walking.arrive = lambda at, batch: None
    walking.now = NOW_MS + 1
    for merchant in walking.merchants:
        walking.cleared(merchant, NOW_MS + 1, max(walking.dates[merchant]))
    walking.write()
    complaints, home = said(folder)
    assert ([], 1) == (complaints, home.transits_due)
