"""A bill from its lines to a kept comparison: once, after any crash, and beside its neighbors."""

import pytest
from msgspec.structs import replace

from payments.bills.lines import BillKind, BillLine, BillRefused, BillState
from payments.clock import ManualClock
from payments.reconciliation import importing
from payments.reconciliation.differences import Kind, Standing
from payments.reconciliation.importing import reconcile
from payments.reconciliation.lines import Nature, Ours, day_bounds
from payments.reconciliation.resolving import check, propose
from payments.reconciliation.runs import Run, RunStatus, age_days, run_id
from payments.storage.base import StoreError, StoreRefused
from payments.storage.reconciliation import (
    FILE_NAME,
    ReconciliationReader,
    ReconciliationStore,
)
from payments.storage.sorting import SortedBill

DAY, NEXT, BEFORE = 20261121, 20261122, 20261120
BEGINS, ENDS = day_bounds(DAY)
NOON = BEGINS + 43_200_000


def sale(number, at=NOON, **changes):
    line = Ours(
        number, f"pay_{number}", BillKind.PAYMENT, Nature.SALE, BillState.SUCCEEDED,
        "cny", 100, 100, 0, None, at - 2_000, at,
    )  # fmt: skip
    return replace(line, **changes)


def billed(number, row=2, amount=100, **changes):
    line = BillLine(
        "wechat", "1900", BillKind.PAYMENT, number, "", f"42{number}", "", NOON, DAY,
        BillState.SUCCEEDED, "CNY", amount, amount, amount, 0, 0, 1, "", row,
    )  # fmt: skip
    return replace(line, **changes)


class Rows:
    """Our rows: payments by number, each of the day on which we learned of it."""

    def __init__(self, *lines):
        self.lines = sorted(lines, key=lambda line: line.number)

    def payments(self, bill_date):
        begins, ends = day_bounds(bill_date)
        return [line for line in self.lines if begins <= line.at_ms < ends]

    def refunds(self, bill_date):
        return []

    def charge(self, number):
        return next((line for line in self.lines if line.number == number), None)

    def refund(self, number):
        return None


@pytest.fixture
def store(tmp_path):
    opened = ReconciliationStore(tmp_path / FILE_NAME, clock=ManualClock())
    opened.open()
    yield opened
    opened.close()


@pytest.fixture
def take(tmp_path):
    """Compare the lines of a bill that is named `file`, with a store."""

    def take(store, rows, bill, file="a", day=DAY, account="wechat-1"):
        asked = Run(
            run_id(account, day, file), account, "wechat", "", day, file, file,
            RunStatus.RUNNING, 1,
        )  # fmt: skip
        with SortedBill(tmp_path / "sorting") as sorter:
            return reconcile(asked, bill, rows, sorter, store, ManualClock())

    return take


def seen(store, run):
    return [(each.number, each.kind, each.standing) for _, each in store.items(run.id)]


def everything(store, run):
    """All that a comparison says, but not when."""
    return (
        replace(store.run(run.id), started_at=0, finished_at=0),
        [(name, replace(each, checked_at=0)) for name, each in store.items(run.id)],
    )


OPEN, RESOLVED = Standing.OPEN, Standing.RESOLVED


def test_a_bill_is_compared_and_kept(store, take):
    """In any order of lines; counts, totals and evidence are kept with it."""
    rows = Rows(sale("A"), sale("B"), sale("C"))
    run = take(store, rows, [billed("C", 2), billed("A", 3, 107), billed("D", 4)])

    assert (RunStatus.FINISHED, "1900", 1, {"ours_only": 1, "amount": 1, "unknown_order": 1}) == (
        run.status,
        run.channel_account,
        run.counts.matched,
        run.by_kind,
    )
    assert [
        ("A", Kind.AMOUNT, OPEN),
        ("B", Kind.OURS_ONLY, OPEN),
        ("D", Kind.UNKNOWN_ORDER, OPEN),
    ] == seen(store, run)
    assert [(3,), (), (4,)] == [each.rows for _, each in store.items(run.id)]
    assert {"amount": 1, "ours_only": 1, "unknown_order": 1} == store.open_counts(run.id)


def test_the_same_file_again_changes_nothing(store, take):
    """Not even its lines are read."""
    rows = Rows(sale("A"))
    first = take(store, rows, [billed("A", amount=107)])

    def unread():
        raise AssertionError("the bill was read again")
        yield

    assert first == take(store, rows, unread())
    assert [first] == store.runs(10)


def test_another_file_for_the_day_takes_its_place(store, take):
    """The old comparison stays to be read; its file cannot come back."""
    rows = Rows(sale("A"), sale("B"))
    old = take(store, rows, [billed("A")], "a")
    new = take(store, rows, [billed("A"), billed("B", 3)], "b")

    assert (new, old.id, {}) == (store.current("wechat-1", DAY), new.supersedes, new.by_kind)
    assert RunStatus.SUPERSEDED is store.run(old.id).status
    assert RunStatus.SUPERSEDED is take(store, rows, [billed("A")], "a").status
    assert new == store.current("wechat-1", DAY)


def test_what_people_decided_holds_for_the_same_difference(store, take):
    """A new file with the same wrong amount is not asked about twice; a worse one is."""
    rows = Rows(sale("A"), sale("B"))
    old = take(store, rows, [billed("A", 2, 107), billed("B", 3, 107)], "a")
    for identifier, _ in list(store.items(old.id)):
        store.decided(identifier, propose(store.item(identifier)[0], "li", "ok", 5))
        store.decided(identifier, check(store.item(identifier)[0], "wang", "", 6, agrees=True))
    new = take(store, rows, [billed("A", 9, 107), billed("B", 3, 108)], "b")

    assert [("A", Kind.AMOUNT, RESOLVED), ("B", Kind.AMOUNT, OPEN)] == seen(store, new)
    [kept, _] = [each for _, each in store.items(new.id)]
    assert ("li", "wang", (9,)) == (kept.maker, kept.checker, kept.rows)


def test_the_next_days_bill_resolves_what_waited_for_it(store, take):
    """A sale just before midnight, which the channel counts to the next day."""
    late = sale("A", ENDS - 1_000)
    run = take(store, Rows(late), [])
    assert [("A", Kind.EXPECTED_LATER, OPEN)] == seen(store, run)

    following = take(store, Rows(late), [billed("A", at_ms=ENDS + 500)], day=NEXT)
    assert [("A", Kind.EXPECTED_LATER, RESOLVED)] == seen(store, run)
    assert ({}, 1) == (following.by_kind, following.counts.crossed_lines)
    [(_, told)] = store.items(run.id)
    assert following.id == told.resolved_by


def test_days_may_come_in_any_order(store, take):
    """The next day's bill first: then there is nothing to wait for."""
    late = sale("A", ENDS - 1_000)
    take(store, Rows(late), [billed("A", at_ms=ENDS + 500)], day=NEXT)
    run = take(store, Rows(late), [])

    assert ([], 1) == (seen(store, run), run.counts.elsewhere_lines)


def test_when_the_next_bill_has_it_not_either(store, take):
    """Then it is ours alone; until that bill is replaced by one that has it, and back again."""
    late = sale("A", ENDS - 1_000)
    run = take(store, Rows(late), [])
    line = billed("A", at_ms=ENDS + 500)
    stories = [([], "x"), ([line], "y"), ([], "z")]
    told = []
    for bill, file in stories:
        take(store, Rows(late), bill, file, day=NEXT)
        told += seen(store, run)

    assert [
        ("A", Kind.OURS_ONLY, OPEN),
        ("A", Kind.OURS_ONLY, RESOLVED),
        ("A", Kind.OURS_ONLY, OPEN),
    ] == told


def test_accounts_are_apart(store, take):
    """Another account's bill of the same day and number explains nothing."""
    late = sale("A", ENDS - 1_000)
    run = take(store, Rows(late), [])
    take(store, Rows(late), [billed("A")], day=NEXT, account="wechat-2")

    assert [("A", Kind.EXPECTED_LATER, OPEN)] == seen(store, run)
    assert store.current("wechat-2", DAY) is None


def test_a_bill_of_two_accounts_is_refused(store, take):
    """Nothing of it is kept, and the right file can come after it."""
    with pytest.raises(BillRefused):
        take(store, Rows(), [billed("A"), billed("B", account="1901")], "bad")
    assert ([], None) == (store.runs(10), store.current("wechat-1", DAY))

    assert RunStatus.FINISHED is take(store, Rows(), [billed("A")], "good").status
    assert store.run(run_id("wechat-1", DAY, "bad")) is None


@pytest.mark.parametrize("number", ["A\0", "\x1b[2JA", "A\u202e", "A\x7f"])
@pytest.mark.parametrize("name", ["out_trade_no", "out_refund_no"])
def test_a_number_that_nobody_can_read_is_refused(store, take, number, name):
    """Shown in a terminal, it would look like another. The refusal says the line, not the text."""
    bad = billed("A", row=7, **{name: number}, kind=BillKind.REFUND)

    with pytest.raises(BillRefused, match=r"^line 7: a control character in a number; fetch"):
        take(store, Rows(), [bad])
    assert [] == store.runs(10)


def test_a_bill_that_is_refused_at_its_end_leaves_nothing(store, take):
    """What a reader finds at the end of a file undoes all that it gave before."""

    def cut():
        yield billed("A")
        raise BillRefused("the foot is missing", 3)

    with pytest.raises(BillRefused):
        take(store, Rows(), cut())
    assert [] == store.runs(10)


class Killed(Exception):
    """The process ends here."""


def killed_at(store, number):
    """The store ends its process before its commit of that number."""
    commit, done = store.commit_now, []

    def commit_now(write):
        if len(done) == number:
            raise Killed
        done.append(write)
        commit(write)

    store.commit_now = commit_now
    return done


def test_a_crash_at_any_commit_changes_nothing(tmp_path, take, monkeypatch):
    """Begun and not finished is as never begun: the next try comes to the very same result."""
    monkeypatch.setattr(importing, "FOUND_PER_COMMIT", 2)
    rows = Rows(*(sale(name) for name in "ABCDEFG"), sale("H", ENDS - 1_000))
    bill = [billed(name, row, 107) for row, name in enumerate("ABCXYZ", 2)]

    def opened(name):
        store = ReconciliationStore(tmp_path / name, clock=ManualClock())
        store.open()
        take(store, rows, [billed("A")], "old")
        take(store, rows, [], "before", day=BEFORE)
        return store

    whole = opened("whole.db")
    commits = killed_at(whole, 1_000)
    wanted = everything(whole, take(whole, rows, bill))
    whole.close()
    assert len(commits) > 5

    for number in range(len(commits)):
        store = opened(f"{number}.db")
        old = store.current("wechat-1", DAY)
        killed_at(store, number)
        with pytest.raises(Killed):
            take(store, rows, bill)
        store.abandon()
        again = ReconciliationStore(tmp_path / f"{number}.db", clock=ManualClock())
        again.open()
        assert old == again.current("wechat-1", DAY)
        assert 2 == len(again.runs(10))
        assert wanted == everything(again, take(again, rows, bill))
        again.close()


def test_two_owners_are_refused(store, tmp_path):
    """Two imports at one time would write over each other; reading is for everybody."""
    with pytest.raises(StoreRefused):
        ReconciliationStore(tmp_path / FILE_NAME).open()


def test_a_reader_sees_what_finished(store, take, tmp_path):
    """Beside the owner, and nothing of what is under way."""
    run = take(store, Rows(sale("A")), [])
    reader = ReconciliationReader(tmp_path / FILE_NAME)
    store.begin(replace(run, id="rec_x", bill_date=NEXT, status=RunStatus.RUNNING, counts=None))

    assert ([run], seen(store, run)) == (reader.runs(10), seen(reader, run))
    reader.close()


def test_a_file_that_is_not_there(tmp_path):
    """The complaint says why there is none."""
    with pytest.raises(StoreRefused, match="no bill was compared"):
        ReconciliationReader(tmp_path / "nothing.db")


def test_a_closed_store_takes_no_more(tmp_path, take):
    """As all stores."""
    store = ReconciliationStore(tmp_path / "x.db")
    store.open()
    store.close()
    with pytest.raises(StoreError):
        take(store, Rows(), [])


def test_ids_follow_from_account_day_and_file():
    """The same again is the same, anything else another."""
    ids = {
        run_id("a", DAY, "f"),
        run_id("b", DAY, "f"),
        run_id("a", NEXT, "f"),
        run_id("a", DAY, "g"),
    }
    assert (4, True) == (len(ids), run_id("a", DAY, "f") in ids)
    assert all(name.startswith("rec_") for name in ids)


def test_the_age_of_a_difference():
    """Whole days since its bill's day ended."""
    assert [0, 0, 1, 3] == [
        age_days(DAY, at) for at in (NOON, ENDS, ENDS + 86_400_000, ENDS + 3 * 86_400_000 + 1)
    ]
