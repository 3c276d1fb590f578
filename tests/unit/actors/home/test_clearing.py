"""Clearing in a shard: by the clock and when asked, in slices, whatever crashes in between."""

from itertools import pairwise

import pytest
from msgspec.json import decode
from msgspec.structs import replace

from actors.home_messages import Carry, Land, Landed
from actors.messages import Refusal
from home_clearing import Till, batches, clear, work
from home_payouts import made
from home_shard import Died, HomeShard
from payments.calendar import business_date
from payments.clearing.batch import BatchState
from payments.clearing.runs import GRACE_MS
from payments.clearing.workdays import cut_off_ms, plus_days
from payments.reference import Store
from payments.settlement.cover import Cover
from payments.settlement.entries import ARRIVED
from payments.testing import NOW_MS, a_merchant

MERCHANT = a_merchant(id=made("mch", 1, 17, "noodles"))
BAR = a_merchant(id=made("mch", 1, 17, "bar"), number=2)
IDLE = a_merchant(id=made("mch", 1, 40, "idle"), number=3)
LATE_STORE = Store(
    id=made("str", 1, 17, "bar store"), merchant=BAR.id, name="Bar", created=1, closing_minute=120
)
HOME = made("rcv", 1, 17, "home")
AWAY = made("rcv", 1, 900, "away")
NOON = cut_off_ms(business_date(NOW_MS)) - 12 * 3_600_000
TODAY = business_date(NOON)
TOMORROW = plus_days(TODAY, 1)
HOUR_S = 3_600


@pytest.fixture
def shard():
    world = HomeShard([MERCHANT, BAR, IDLE, LATE_STORE], now_ms=NOON)
    yield world
    world.close()


@pytest.fixture
def till(shard):
    return Till(shard)


def set_clock(shard, ms):
    shard.clock.advance((ms - shard.clock.now_ms()) / 1000)
    assert ms == shard.clock.now_ms()


def sums(shard, merchant=MERCHANT):
    """Of each batch: date, sequence, items, net, state."""
    return [
        (b.business_date, b.sequence, b.netted.totals.items, b.netted.totals.net, str(b.state))
        for b in batches(shard, merchant)
    ]


def events(shard):
    return [
        (row[4], decode(row[6])["data"]["id"])
        for row in shard.store.events_after(0, 1_000)
        if row[4].startswith("clearing_batch.")
    ]


def test_a_day_is_cleared_by_the_clock_when_it_is_over(shard, till):
    """At midnight and the grace after it, not before; then the shard is quiet."""
    till.sell(MERCHANT)
    till.sell(MERCHANT, shares=((HOME, 500), (AWAY, 700)))
    shard.commit()
    over = cut_off_ms(TODAY) + GRACE_MS

    assert over == shard.shard.timers.next_due()
    set_clock(shard, over - 1)
    shard.tick()
    work(shard)
    assert [] == batches(shard, MERCHANT)
    set_clock(shard, over)
    shard.tick()
    work(shard)

    assert [(TODAY, 1, 2, 2 * 3786 - 1200, "closed")] == sums(shard)
    (batch,) = batches(shard, MERCHANT)
    assert over == batch.cut_off_at
    assert [("clearing_batch.filed", batch.id), ("clearing_batch.closed", batch.id)] == events(
        shard
    )
    assert [] == batches(shard, IDLE)
    # One more run looks at the entries that this one booked; then nothing is due.
    set_clock(shard, shard.shard.timers.next_due())
    shard.tick()
    work(shard)
    assert None is shard.shard.timers.next_due()
    assert 1 == len(batches(shard, MERCHANT))


def test_shares_go_home_and_claims_wait(shard, till):
    """What receivers have is pending at home; the channel owes what was settled, by its day."""
    till.sell(MERCHANT, shares=((HOME, 500), (AWAY, 700)))
    set_clock(shard, cut_off_ms(TODAY) + 1)
    till.sell(MERCHANT, amount=1000, date=TODAY)
    clear(shard)

    books = shard.core.books
    assert -500 == books.balance(f"receiver:{HOME}:pending#17", "cny")
    assert 0 == books.balance(f"receiver:{AWAY}:pending#17", "cny")
    assert -700 == books.balance(f"receiver:{AWAY}:pending#900", "cny")
    assert 0 == books.balance("transit:17:900", "cny")
    cover = shard.core.records.get(f"cov_{MERCHANT.id[-24:]}", Cover)
    assert [(TODAY, 3800), (TOMORROW, 1000)] == [
        (each.claim.bill_date, each.claim.receivable) for each in cover.waiting
    ]
    assert {AWAY: 700} == cover.moved


def test_what_the_channel_took_before_midnight_is_of_the_day_before(shard, till):
    """Booked after it, and cleared with the new day: its credit is the old day's, to the fen."""
    midnight = cut_off_ms(TODAY)
    till.sell(MERCHANT)
    set_clock(shard, midnight - 1_000)
    late = till.sell(MERCHANT, amount=700)
    set_clock(shard, midnight + 5_000)
    till.sell(MERCHANT, amount=1000, date=TODAY, channel_at=midnight - 1)
    till.sell(MERCHANT, amount=200, date=TODAY, channel_at=midnight)
    till.give_back(late, channel_at=midnight - 1)
    clear(shard)

    cover = shard.core.records.get(f"cov_{MERCHANT.id[-24:]}", Cover)
    owed = {TODAY: 3800 + 700 + 1000 - 700, TOMORROW: 200}
    sums = dict.fromkeys(owed, 0)
    for each in cover.waiting:
        sums[each.claim.bill_date] += each.claim.receivable
    assert owed == sums


def test_a_bar_that_closes_at_two_is_cut_off_at_two(shard, till):
    """Each merchant waits for its own last store; others do not wait for it."""
    set_clock(shard, cut_off_ms(TODAY) - 1)
    till.sell(MERCHANT)
    till.sell(BAR, date=TODAY)
    shard.commit()
    set_clock(shard, cut_off_ms(TODAY) + GRACE_MS)
    till.sell(BAR, amount=5000, date=TODAY)
    shard.tick()
    work(shard)
    assert [1, 0] == [len(batches(shard, each)) for each in (MERCHANT, BAR)]

    two = cut_off_ms(TODAY, 120) + GRACE_MS
    assert two == shard.shard.timers.next_due()
    set_clock(shard, two)
    till.sell(BAR, amount=7000, date=TOMORROW)
    shard.tick()
    work(shard)

    assert [(TODAY, 1, 2, 3786 + 4986, "closed")] == sums(shard, BAR)
    set_clock(shard, cut_off_ms(TOMORROW, 120) + GRACE_MS)
    for _ in range(3):
        shard.tick()
        work(shard)
    assert (TOMORROW, 1, 1, 6986, "closed") == sums(shard, BAR)[-1]


def test_what_becomes_final_later_joins_the_next_batch(shard, till):
    """A sale and a refund of a day that is filed: the day's batch stays as it is.

    The share had left: its receiver owes it, and pays it out of its next share.
    """
    first = till.sell(MERCHANT, shares=((AWAY, 700),))
    clear(shard, MERCHANT, TODAY)
    filed = batches(shard, MERCHANT)[0]
    till.sell(MERCHANT, amount=1000, date=TODAY)
    till.give_back(first)
    clear(shard, MERCHANT, TODAY)

    assert filed == batches(shard, MERCHANT)[0]
    assert [(TODAY, 1, 1, 3086, "closed"), (TODAY, 2, 2, 986 - 3086, "closed")] == sums(shard)
    till.sell(MERCHANT, shares=((AWAY, 900),))
    clear(shard, MERCHANT, TODAY)
    _, away = batches(shard, MERCHANT)[2].cleared
    assert (AWAY, 700, 200) == (away.party, away.to_debt, away.moved)


def test_a_day_that_was_cleared_in_parts_is_cleared_to_its_end(shard, till):
    """Somebody cleared at noon: the afternoon is not lost, and nothing is in two batches."""
    till.sell(MERCHANT)
    clear(shard)
    till.sell(MERCHANT, amount=1000)
    shard.commit()
    set_clock(shard, cut_off_ms(TODAY) + GRACE_MS)
    shard.tick()
    work(shard)
    shard.tick()
    work(shard)

    assert [(TODAY, 1, 1, 3786, "closed"), (TODAY, 2, 1, 986, "closed")] == sums(shard)


def test_running_again_changes_nothing(shard, till):
    """As often as it is asked: no batch, no entry, no event more."""
    till.sell(MERCHANT)
    clear(shard)
    before = shard.core.books.entry_no, shard.core.event_no, sums(shard)
    for date in (TODAY, None, TODAY):
        clear(shard, None, date)
        clear(shard, MERCHANT, date)

    assert before == (shard.core.books.entry_no, shard.core.event_no, sums(shard))


def test_days_that_were_missed_are_made_up_for_one_by_one(shard, till):
    """A shard that was down for days: each day has its own batch."""
    for day in range(3):
        till.sell(MERCHANT, amount=1000 * (day + 1), date=plus_days(TODAY, day))
        shard.clock.advance(24 * HOUR_S)
    shard.commit()
    for _ in range(4):
        shard.tick()
        work(shard)

    assert [(plus_days(TODAY, day), 1, 1) for day in range(3)] == [each[:3] for each in sums(shard)]


def test_one_merchant_is_cleared_and_the_others_wait(shard, till):
    till.sell(MERCHANT)
    till.sell(BAR)
    clear(shard, MERCHANT)
    assert [1, 0] == [len(batches(shard, each)) for each in (MERCHANT, BAR)]
    clear(shard)
    assert [1, 1] == [len(batches(shard, each)) for each in (MERCHANT, BAR)]


@pytest.mark.parametrize("date", [TOMORROW, 20260230, 0, -5])
def test_a_date_to_come_is_refused(shard, date):
    """Clearing it would close every day before it."""
    refusal = shard.ask("clearing_batch.run", {"business_date": date}, MERCHANT.id)
    assert ("invalid_field", "business_date") == (refusal.code, refusal.param)


def test_a_date_that_is_past_is_refused(shard, till):
    till.sell(MERCHANT)
    clear(shard, MERCHANT, TODAY)
    refusal = shard.ask("clearing_batch.run", {"business_date": TODAY - 1}, MERCHANT.id)
    assert isinstance(refusal, Refusal)
    assert "cleared" in refusal.detail


def test_batches_are_shown_and_listed(shard, till):
    """As api.md says, newest first, by date and status; others' are not there."""
    till.sell(MERCHANT, shares=((AWAY, 700),))
    clear(shard)
    till.sell(MERCHANT, amount=1000)
    clear(shard)
    one, two = batches(shard, MERCHANT)
    shown = shard.made("clearing_batch.get", None, MERCHANT.id, target=one.id)

    figures = {"gross": 3800, "refunds": 0, "discounts": 0, "fees": 14, "splits": 700, "net": 3086}
    assert figures | {"items": 1} == {name: shown[name] for name in (*figures, "items")}
    assert ("clearing_batch", TODAY, 1, "closed", False) == tuple(
        shown[name] for name in ("object", "business_date", "sequence", "status", "livemode")
    )
    listed = shard.made("clearing_batch.list", None, MERCHANT.id)
    assert [two.id, one.id] == [each["id"] for each in listed["data"]]
    for query, count in (({"status": "filed"}, 0), ({"business_date": str(TODAY)}, 2)):
        listed = shard.made("clearing_batch.list", None, MERCHANT.id, query=query)
        assert count == len(listed["data"])
    for target, merchant in ((one.id, BAR.id), ("bat_nobody", MERCHANT.id), ("x", MERCHANT.id)):
        refusal = shard.ask("clearing_batch.get", None, merchant, target=target)
        assert "not_found" == refusal.code


# --- Between shards --------------------------------------------------------------------------


def only(shard, partition):
    """The shard has this partition and no other."""
    shard.core.options = replace(shard.core.options, partitions=frozenset({partition}))
    return shard


def test_a_share_of_another_shard_is_carried_until_it_has_landed(shard, till):
    """Filed at once; closed when the second step is durable, also by a later process."""
    only(shard, 17)
    till.sell(MERCHANT, shares=((AWAY, 700),))
    clear(shard)
    (batch,) = batches(shard, MERCHANT)
    (carry,) = shard.custody.take(Carry)
    assert (BatchState.FILED, 700) == (batch.state, carry.amount)
    assert (AWAY, 17, ARRIVED) == (carry.receiver, carry.origin, carry.step)

    shard.restart()
    only(shard, 17)
    shard.clock.advance(10)
    shard.tick()
    (again,) = shard.custody.take(Carry)
    assert carry == again
    other = only(HomeShard([MERCHANT], now_ms=NOON), 900)
    fields = {name: getattr(carry, name) for name in Carry.__struct_fields__}
    for _ in range(2):
        other.hear(other.custody, Land(**fields))
    assert 2 == len(other.custody.take(Landed))
    assert -700 == other.core.books.balance(f"receiver:{AWAY}:pending#900", "cny")
    other.close()
    shard.hear(shard.custody, Landed(0, carry.source))
    shard.clock.advance(HOUR_S)
    shard.tick()

    assert "closed" == sums(shard)[0][-1]
    shard.clock.advance(HOUR_S)
    shard.tick()
    assert 2 == len(events(shard))


# --- Crashes ---------------------------------------------------------------------------------


def ordeal(path, crash):
    """Three merchants' day, a crash in some commit of its runs, and what it comes to.

    While the process is down nothing is sold; right after it is back something is, which a run that
    had begun must leave to the next.
    """
    shard = HomeShard([MERCHANT, BAR, IDLE, LATE_STORE], path=path, now_ms=NOON)
    till = Till(shard)
    for merchant in (MERCHANT, BAR, IDLE):
        sold = till.sell(merchant, shares=((HOME, 500), (AWAY, 700)))
    till.give_back(sold)
    shard.commit()
    shard.commits, shard.crash = 0, crash
    set_clock(shard, cut_off_ms(TODAY, 120) + GRACE_MS)
    is_dead = False
    for _ in range(8):
        try:
            shard.tick()
            work(shard)
        except Died:
            is_dead = True
            shard.restart()
            late = Till(shard)
            late.count = 50
            late.sell(MERCHANT, amount=1000, date=TODAY)
            shard.commit()
    found = [sums(shard, each) for each in (BAR, IDLE)]
    mine = sums(shard)
    books = shard.core.books.totals()
    shard.close()
    return is_dead, found, mine, books


@pytest.mark.parametrize("is_written", [False, True])
@pytest.mark.parametrize("commit", range(1, 8))
def test_a_crash_at_any_commit_of_a_run_changes_nothing(tmp_path, commit, is_written, monkeypatch):
    """The run goes on over the same entries; what was sold meanwhile is in the next batch."""
    monkeypatch.setattr("actors.clearing.FILED_MAX", 1)
    _, calm, mine, _ = ordeal(tmp_path / "calm.db", None)
    is_dead, found, again, books = ordeal(tmp_path / "hit.db", (commit, is_written))

    assert is_dead
    assert calm == found
    assert all(debits == credits for debits, credits in books.values())
    if (commit, is_written) == (1, False):
        # Nothing had begun: the sale is in the first batch.
        assert [(TODAY, 1, 2, 2586 + 986, "closed")] == again
    else:
        assert mine == again


@pytest.mark.parametrize(("is_busy", "most"), [(True, 1), (False, 3)])
def test_while_payments_are_under_way_one_batch_is_filed_at_a_time(shard, till, is_busy, most):
    """So that the loop is theirs again after each; without them a commit has several."""
    shard.desk.slices.is_busy = lambda: is_busy
    for merchant in (MERCHANT, BAR, IDLE):
        till.sell(merchant)
    shard.made("clearing_batch.run", {}, "")
    shard.commit()

    counts = [0]
    while shard.desk.slices.is_due:
        shard.desk.slices.step()
        shard.commit()
        counts.append(sum(len(batches(shard, each)) for each in (MERCHANT, BAR, IDLE)))
    assert 3 == counts[-1]
    assert most == max(now - before for before, now in pairwise(counts))


@pytest.mark.parametrize(("is_busy", "slices"), [(True, 3), (False, 1)])
def test_slices_are_shorter_while_payments_are_under_way(shard, till, is_busy, slices):
    """Forty entries are one slice of a quiet shard, and three of a busy one: the same batch."""
    shard.desk.slices.is_busy = lambda: is_busy
    for _ in range(40):
        till.sell(MERCHANT)
    read = []
    rows_of = shard.core.store.clearing_rows
    shard.core.store.clearing_rows = lambda after, upto: read.append(upto) or rows_of(after, upto)

    clear(shard)
    (batch,) = batches(shard, MERCHANT)
    assert (40, slices) == (batch.netted.totals.items, len(read))
