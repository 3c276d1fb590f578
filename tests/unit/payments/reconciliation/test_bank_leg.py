"""The bank's leg: what came into custody against the bills of the days that it names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from payments.calendar import DAY_MS
from payments.clock import ManualClock
from payments.reconciliation.bank import CREDITS_ACCOUNT, LegState
from payments.reconciliation.bank_leg import Received, lacking_after, leg_of
from payments.reconciliation.differences import Act, Kind, Owner, Standing
from payments.reconciliation.exceptions import item_view, run_view
from payments.reconciliation.lines import day_bounds
from payments.reconciliation.match import Counts
from payments.reconciliation.resolving import check, propose
from payments.reconciliation.runs import Run, RunStatus, run_id
from payments.storage.comparing import Comparing
from payments.storage.custody import FILE_NAME, CustodyStore
from payments.storage.reconciliation import ReconciliationStore

ACCOUNT, DAY = "wechat-1", 20261119
_, ENDED = day_bounds(DAY)
PAID_AT = ENDED + 9 * 3_600_000


def a_run(theirs=1_000, fees=6, sha="a", account=ACCOUNT, day=DAY):
    counts = Counts(ours=theirs, theirs=theirs, fees=fees)
    return Run(
        run_id(account, day, sha), account, "wechat", "1900", day, "bill", sha,
        RunStatus.FINISHED, ENDED, ENDED, counts,
    )  # fmt: skip


def received(amount, no=1, account=ACCOUNT, day=DAY):
    return Received(no, f"ref-{no}", amount, PAID_AT, account, day)


LEGS = """
    # due  net    credited     -> state          amount
      1000 gross  1000         -> matched        0
      1000 net    994          -> matched        0
      1000 net    1000         -> over           6
      1000 gross  999          -> short          -1
      1000 gross  600,400      -> matched        0
      1000 gross  1000,1000    -> over           1000
      1000 gross  -            -> not_there_yet  -1000
      0    gross  -            -> nothing_due    0
      -50  gross  -            -> nothing_due    50
      -50  gross  10           -> over           60
"""


@pytest.mark.parametrize(
    ("due", "terms", "credited", "_", "state", "amount"),
    [line.split() for line in LEGS.splitlines() if line.strip() and "#" not in line],
)
def test_a_day_stands_at_the_bank_to_the_fen(due, terms, credited, _, state, amount):
    parts = [] if credited == "-" else [int(each) for each in credited.split(",")]
    credits = [received(each, no) for no, each in enumerate(parts, 1)]
    leg = leg_of(a_run(int(due)), None, credits, is_net=terms == "net")
    assert (state, int(amount)) == (leg.state, leg.amount)
    assert parts == [each.amount for each in leg.credits]


LACKING = """
    # lacking  due   credited  -> state          due    still lacking
      300      1000  700          matched        700    0
      300      1000  1000         matched        1000   0
      300      1000  -            not_there_yet  1000   300
      300      1000  701          short          1000   0
      300      200   -            nothing_due    -100   100
      300      300   -            nothing_due    0      0
      300      -50   -            nothing_due    -350   350
"""


@pytest.mark.parametrize(
    ("lacking", "due", "credited", "state", "left", "still"),
    [line.split() for line in LACKING.splitlines() if line.strip() and "#" not in line],
)
def test_what_days_before_lack_may_be_taken_off_a_day(lacking, due, credited, state, left, still):
    """Or not: the channel decides, and both are what is due."""
    credits = [] if credited == "-" else [received(int(credited))]
    leg = leg_of(a_run(int(due)), None, credits, is_net=False, lacking=int(lacking))

    assert (state, int(left)) == (leg.state, leg.due)
    assert int(still) == lacking_after(leg, int(lacking))


@given(st.integers(1, 9_999), st.lists(st.integers(1, 9_999), max_size=5), st.data())
def test_what_is_booked_stays_booked_whoever_told_of_it(due, amounts, data):
    """Credits may be told in any pieces and twice: the leg is the same."""
    all_ = [received(amount, no) for no, amount in enumerate(amounts, 1)]
    some = [each for each in all_ if data.draw(st.booleans())]
    run = a_run(due)
    once = leg_of(run, None, all_, is_net=False)
    before = leg_of(run, None, some, is_net=False)
    again = leg_of(run, before, reversed(all_), is_net=False)
    assert once == again
    assert leg_of(run, once, [], is_net=False) == once
    assert once.amount == sum(amounts) - due


class Bench:
    """A data directory with comparisons and the custody box's file."""

    def __init__(self, folder):
        self.folder = folder
        self.clock = ManualClock(PAID_AT + 3_600_000)
        self.comparing = Comparing(folder, [], self.clock, livemode=False)
        self.custody = CustodyStore(folder / FILE_NAME, clock=self.clock)
        self.custody.open()

    def compared(self, run, before=None):
        store = ReconciliationStore(self.folder / "reconciliation.db", clock=self.clock)
        store.open()
        store.begin(replace(run, status=RunStatus.RUNNING))
        store.finish(run, before)
        store.close()

    def credit(self, no, amount, account=ACCOUNT, day=DAY):
        state = "waiting" if account else "foreign"
        row = (no, f"ref-{no}", amount, PAID_AT, "text", account, day, state)
        self.custody.commit_now([("add_credit", row)])

    def look(self, *told, custody=""):
        return self.comparing.stand_at_bank({ACCOUNT: False, "alipay-1": True}, told, custody)

    def items(self, **wanted):
        reader = self.comparing.reader()
        try:
            rows = reader.items_page("", "", "", wanted.get("owner", ""), "", 100)
            assert len(rows) == len({row[0] for row in rows})
            return rows
        finally:
            reader.close()

    def run_of(self, day):
        reader = self.comparing.reader()
        try:
            (run,) = [each for each in reader.runs(100) if each.bill_date == day]
            return run
        finally:
            reader.close()

    def only(self):
        ((item, difference, run),) = self.items()
        return item, difference, run

    def decide(self, item, event):
        return self.comparing.decide(item, event)


@pytest.fixture
def bench(tmp_path):
    bench = Bench(tmp_path)
    yield bench
    bench.custody.close()


def test_a_day_waits_for_its_credit_and_is_resolved_by_it(bench):
    """One difference, nobody's, until the money is there; looked at again, nothing changes."""
    bench.compared(a_run())
    assert bench.look()
    assert not bench.look()
    item, waits, run = bench.only()
    assert (Kind.NOT_THERE_YET, Owner.NOBODY, -1_000) == (waits.kind, waits.owner, waits.amount)
    assert Act.WAIT_FOR_CREDIT is waits.proposal.act
    assert [item] == [each[0] for each in bench.items(owner="nobody")]
    assert LegState.NOT_THERE_YET is run.bank.state

    bench.credit(1, 1_000)
    assert bench.look()
    assert not bench.look()
    same, done, run = bench.only()
    assert (item, Standing.RESOLVED) == (same, done.standing)
    view = run_view(run, {})["bank"]
    assert ("matched", 1_000, 1_000, 0) == tuple(
        view[name] for name in ("status", "due", "credited", "amount")
    )
    assert [("ref-1", 1)] == [(each["reference"], each["movement"]) for each in view["credits"]]


def test_too_little_is_claimed_and_too_much_goes_to_suspense(bench):
    """With the credit as evidence, finance as owner, and a balanced entry where one is booked."""
    bench.compared(a_run())
    bench.compared(a_run(account="alipay-1"))
    bench.credit(1, 999)
    bench.credit(2, 1_000, account="alipay-1")
    assert bench.look()
    found = {each.kind: (item, each, run) for item, each, run in bench.items(owner="finance")}
    assert {Kind.BANK_SHORT, Kind.BANK_OVER} == found.keys()
    _, short, _ = found[Kind.BANK_SHORT]
    assert (-1, Act.CLAIM, ()) == (short.amount, short.proposal.act, short.proposal.postings)
    item, over, run = found[Kind.BANK_OVER]
    assert (6, Act.SUSPENSE) == (over.amount, over.proposal.act)
    assert [6, -6] == [minor for _, minor in over.proposal.postings]
    view = item_view(item, over, run, bench.clock.now_ms())
    assert ["ref-2"] == [each["reference"] for each in view["evidence"]["credits"]]
    assert ("credit", "bank_over") == (view["line"], view["type"])


@pytest.mark.parametrize("later_days", [0, 44, 90])
def test_what_a_day_lacks_is_no_difference_of_the_day_that_is_netted_with_it(bench, later_days):
    """Also when the first of the two is too long ago to be looked at again, or both are."""
    bench.compared(a_run(-300, day=DAY - 1))
    bench.compared(a_run(1_000))
    bench.credit(1, 700)
    assert bench.look()
    for _ in range(2):
        run = bench.run_of(DAY)
        assert [] == bench.items()
        assert (LegState.MATCHED, 700, 700) == (run.bank.state, run.bank.due, run.bank.credited)
        bench.clock.current_ms += later_days * DAY_MS
        assert not bench.look()


def test_the_rest_of_a_short_day_resolves_it(bench):
    bench.compared(a_run())
    bench.credit(1, 600)
    bench.look()
    assert Kind.BANK_SHORT is bench.only()[1].kind
    bench.credit(2, 400)
    bench.look()
    assert Standing.RESOLVED is bench.only()[1].standing


def test_credits_of_nobody_are_told_and_a_late_bill_explains_one(bench):
    """A text without a name at once; a day without a bill when its bill should long have come."""
    bench.compared(a_run())
    bench.credit(1, 1_000)
    bench.credit(2, 70, account="", day=0)
    bench.credit(3, 80, day=20261118)
    bench.look()
    _, strange, run = bench.only()
    assert (Kind.UNEXPECTED_CREDIT, 70, "ref-2") == (strange.kind, strange.amount, strange.number)
    assert (CREDITS_ACCOUNT, 20261120) == (run.account, run.bill_date)
    assert (Act.CLAIM, ()) == (strange.proposal.act, strange.proposal.postings)

    bench.clock.advance(2 * DAY_MS / 1_000)
    bench.look()
    assert ["ref-3", "ref-2"] == [each.number for _, each, _ in bench.items()]
    bench.compared(a_run(80, day=20261118))
    bench.look()
    standing = {each.number: each.standing for _, each, _ in bench.items()}
    assert {"ref-2": Standing.OPEN, "ref-3": Standing.RESOLVED} == standing


def test_what_two_people_agreed_to_holds_until_something_else_is_true(bench):
    """Also when another file takes the bill's place and says the same."""
    bench.compared(a_run())
    bench.credit(1, 999)
    bench.look()
    item, short, run = bench.only()
    bench.decide(item, propose(short, "key_1", "asked them", 1))
    bench.decide(item, check(bench.only()[1], "key_2", "fine", 2, agrees=True))
    assert not bench.look()
    replaced = replace(a_run(sha="b"), supersedes=run.id)
    bench.compared(replaced, run)
    bench.look()
    _, kept, now = bench.only()
    assert (Standing.RESOLVED, "key_2", replaced.id) == (kept.standing, kept.checker, now.id)
    bench.credit(2, 5)
    bench.look()
    assert (Kind.BANK_OVER, Standing.OPEN) == (bench.only()[1].kind, bench.only()[1].standing)


def test_a_statement_by_hand_is_not_forgotten_when_the_box_knows_less(bench):
    bench.compared(a_run())
    assert bench.look(received(1_000, 7))
    assert [] == bench.items()
    assert not bench.look()


def test_other_accounts_have_no_leg(bench):
    """Money that the channel pays elsewhere is not looked for here."""
    bench.compared(a_run(account="own"))
    bench.look()
    assert [] == bench.items()


def test_what_names_nobody_is_proposed_for_suspense_with_its_evidence(bench):
    """What names an account and day is not: the custody box may divide it still."""
    custody = "custody:icbc:622200001"
    bench.compared(a_run())
    bench.credit(1, 1_000)
    bench.credit(2, 70, account="", day=0)
    bench.credit(3, 80, day=20261118)
    bench.clock.advance(2 * DAY_MS / 1_000)
    bench.look(custody=custody)
    found = {each.number: (item, each, run) for item, each, run in bench.items()}
    item, nobodys, run = found["ref-2"]
    assert (Act.SUSPENSE, ((custody, 70), ("suspense:_custody#0", -70))) == (
        nobodys.proposal.act,
        nobodys.proposal.postings,
    )
    view = item_view(item, nobodys, run, bench.clock.now_ms())
    assert [("ref-2", 2, 70)] == [
        (each["reference"], each["movement"], each["amount"])
        for each in view["evidence"]["credits"]
    ]
    _, named, _ = found["ref-3"]
    assert (Act.CLAIM, f"{ACCOUNT} 20261118") == (named.proposal.act, named.names)
