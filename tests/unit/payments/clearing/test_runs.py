"""When a merchant's date is cut off, and what a run takes of it."""

from hypothesis import given
from hypothesis import strategies as st
from msgspec.msgpack import decode, encode

from home_payouts import made
from payments.calendar import business_date
from payments.clearing import batch as batches
from payments.clearing import runs as rules
from payments.clearing.batch import Batch, BatchState
from payments.clearing.netting import Netted, Totals, Window
from payments.clearing.runs import GRACE_MS, Asked, Run, Runs
from payments.clearing.workdays import cut_off_ms, plus_days

MERCHANT = made("mch", 1, 17, "runs")
DAY = 20260302
MIDNIGHT = cut_off_ms(DAY) + GRACE_MS
instants = st.integers(1_600_000_000_000, 1_900_000_000_000)
lates = st.frozensets(st.integers(1, 720), max_size=4)


def filed(date=DAY, cut_off_at=MIDNIGHT, seq=5, sequence=1):
    batch = batches.open_next(None, MERCHANT, date, "cny", 1).batch
    fields = {name: getattr(batch, name) for name in Batch.__struct_fields__}
    return Batch(
        **fields
        | {
            "sequence": sequence, "state": BatchState.FILED, "cut_off_seq": seq,
            "cut_off_at": cut_off_at, "netted": Netted(Totals()),
        }
    )  # fmt: skip


def run_at(at, asked=None, seq=9):
    return Run(at, 100, {17: seq}, asked)


@given(instants, lates)
def test_a_run_comes_when_a_date_is_over_and_never_at_once(after, late):
    """Less than a day and a half away, and at the very instant some closing's date is due."""
    at = rules.next_run_ms(after, late)

    assert after < at <= after + 36 * 3_600_000
    dates = [plus_days(business_date(at), -days) for days in range(3)]
    assert at in {rules.due_ms(date, {minute}) for date in dates for minute in (0, *late)}


@given(instants, lates)
def test_a_date_is_cleared_when_it_is_due_and_not_a_moment_before(at, late):
    """By the clock, a merchant's newest date that is over by its own last store."""
    date = rules.date_in(run_at(at), MERCHANT, None, late)

    assert rules.due_ms(date, late) <= at < rules.due_ms(plus_days(date, 1), late)


@given(instants, lates)
def test_every_date_has_a_run_at_its_own_instant(at, late):
    """Walking from run to run, no merchant's date is passed over."""
    date = rules.date_in(run_at(at), MERCHANT, None, late)
    following = plus_days(date, 1)
    for _ in range(12):
        at = rules.next_run_ms(at, late)
        if rules.date_in(run_at(at), MERCHANT, None, late) != date:
            break
    assert rules.due_ms(following, late) == at
    assert following == rules.date_in(run_at(at), MERCHANT, None, late)


def test_what_was_cleared_at_its_end_is_done_and_a_part_is_not():
    """A part that somebody asked for at noon is followed by the rest at night."""
    night = run_at(MIDNIGHT)
    for newest, date in (
        (filed(), None),
        (filed(cut_off_at=MIDNIGHT - 1), DAY),
        (filed(date=DAY + 1), None),
        (filed(cut_off_at=1, sequence=batches.BATCHES_A_DAY_MAX), None),
        (filed(date=DAY - 1), DAY),
    ):
        assert date == rules.date_in(night, MERCHANT, newest, ()), newest


def test_what_is_asked_for_is_cleared_for_whom_it_is_asked():
    asked = run_at(1, Asked(MERCHANT, DAY))
    assert DAY == rules.date_in(asked, MERCHANT, filed(), ())
    assert None is rules.date_in(asked, "mch_other", None, ())
    assert DAY == rules.date_in(run_at(1, Asked("", DAY)), "mch_other", None, ())


def test_a_window_begins_where_the_batch_before_ended():
    """Who is not cleared has one in which nothing is, and what was done is marked off."""
    run = run_at(MIDNIGHT)
    assert Window(9, DAY, 5, DAY) == rules.window_in(run, MERCHANT, filed(), DAY)
    assert Window(9, DAY) == rules.window_in(run, MERCHANT, None, DAY)
    assert Window(5, DAY, 5, DAY) == rules.window_in(run, MERCHANT, filed(), None)
    empty = rules.window_in(run, MERCHANT, None, None)
    assert not any(empty.has(seq, DAY) for seq in range(20))


def test_a_run_is_read_back_as_it_was_stored():
    runs = Runs(5, 6, run_at(7, Asked(MERCHANT, DAY)), (Asked("", DAY),))
    assert runs == decode(encode(runs), type=Runs)


def test_a_shard_that_slept_for_a_year_has_no_year_to_make_up_for():
    assert 900 == rules.begins_ms(Runs(ran_at=1), 900)
    assert 950 == rules.begins_ms(Runs(ran_at=950), 900)
