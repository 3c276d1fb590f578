"""Our side: what the rows of the shards lead us to expect in a bill of one account and day."""

import pytest
from msgspec.msgpack import encode
from msgspec.structs import replace

from payments.bills.lines import BillState
from payments.fees import FeePlan
from payments.ids import out_trade_no
from payments.payment import AttemptState, Discount, Moment
from payments.reconciliation.lines import Nature, day_bounds
from payments.refund import RefundStatus
from payments.storage import connect, migrate
from payments.storage.base import StoreRefused
from payments.storage.expected import PAYMENTS_BACK_MS, ShardBooks
from payments.storage.sql import WRITE
from payments.testing import a_payment, a_refund, an_attempt, an_id

DAY = 20261121
BEGINS, ENDS = day_bounds(DAY)
ACCOUNT = "simulated-1"
HOUR = 3_600_000


def paid(at, **changes):
    """A payment that succeeded 300 ms after it was made."""
    identifier = an_id("pay", at_ms=at)
    return a_payment(AttemptState.SUCCEEDED, id=identifier, created=at, **changes)


def refunded(payment, at, status=RefundStatus.SUCCEEDED, **changes):
    done = {"succeeded_at": at} if status is RefundStatus.SUCCEEDED else {}
    return a_refund(
        payment, status, id=an_id("rfd", at_ms=at), created=at, settle_back=400, **done, **changes
    )


@pytest.fixture
def books(tmp_path):
    """ShardBooks over rows: payments with their refunds, in as many shards as given."""
    opened = []

    def make(*shards, account=ACCOUNT, plan=None):
        paths = []
        for number, rows in enumerate(shards):
            path = tmp_path / f"{len(opened)}-shard-{number}.db"
            write(path, rows)
            paths.append(path)
        opened.append(ShardBooks(paths, account, plan))
        return opened[-1]

    yield make
    for each in opened:
        each.close()


def write(path, rows):
    connection = connect.writer(path)
    migrate.prepare(connection, migrate.Stamp(0, False, 0, 1))
    refunds = 0
    for no, (payment, *back) in enumerate(rows, 1):
        row = (no, payment.id, 1, 0, no, no, None, None, encode(payment))
        connection.execute(WRITE["add_payments"], row)
        for refund in back:
            refunds += 1
            row = (refunds, refund.id, no, 1, 0, refunds, None, encode(refund))
            connection.execute(WRITE["add_refunds"], row)
    connection.close()


def numbers(lines):
    return [line.object for line in lines]


def test_a_day_is_one_of_china(books):
    """From midnight to midnight in Shanghai, by when we learned of the success."""
    inside = [paid(BEGINS - 300), paid(BEGINS + HOUR), paid(ENDS - 301)]
    outside = [paid(BEGINS - 301), paid(ENDS - 300), paid(ENDS + HOUR)]
    found = list(books([(one,) for one in inside + outside]).payments(DAY))

    assert sorted(one.id for one in inside) == numbers(found)
    assert [out_trade_no(name, 0) for name in numbers(found)] == [line.number for line in found]


def test_the_channels_own_time_says_the_day_where_it_is_known(books):
    """Payment and refund alike. Never before it was asked: such rows would not be looked at."""

    def one(asked, channel_at, learned):
        attempt = an_attempt(AttemptState.SUCCEEDED, sent_at=asked, channel_at=channel_at)
        sale = paid(asked, attempt=attempt, succeeded_at=learned)
        back = refunded(sale, asked)
        return sale, replace(back, succeeded_at=learned, channel_at=channel_at)

    inside = [one(ENDS - 9_000, ENDS - 1, ENDS + 9_000), one(BEGINS - 9_000, BEGINS, BEGINS + 1)]
    outside = [
        one(BEGINS - 9_000, BEGINS - 1, BEGINS + 9_000),
        one(ENDS - 9_000, ENDS, ENDS + 9_000),
        one(ENDS + 5_000, ENDS - 5_000, ENDS + 9_000),
    ]
    found = books(inside + outside)

    assert sorted(sale.id for sale, _ in inside) == numbers(found.payments(DAY))
    assert sorted(back.id for _, back in inside) == numbers(found.refunds(DAY))


def test_shards_are_merged_in_the_order_of_numbers(books):
    """However payments are spread over shards."""
    payments = [paid(BEGINS + n * HOUR) for n in range(8)]
    found = books([(one,) for one in payments[::2]], [(one,) for one in payments[1::2]])

    assert [one.id for one in payments] == numbers(found.payments(DAY))


def test_only_what_succeeded_on_this_account(books):
    """Failed, waiting, and other accounts' payments are in no bill of this account."""
    at = BEGINS + HOUR
    other = paid(at, attempt=an_attempt(AttemptState.SUCCEEDED, account="other"))
    states = (AttemptState.FAILED, AttemptState.UNKNOWN, AttemptState.REVERSED)
    rows = [(a_payment(state, id=an_id("pay", at_ms=at), created=at),) for state in states]

    assert [] == numbers(books([*rows, (other,)]).payments(DAY))
    assert [other.id] == numbers(books([(other,)], account="other").payments(DAY))


def test_amounts_as_the_channel_should_tell_them(books):
    """The price, what it settles, who funded a coupon, and the fee that was agreed."""
    discounts = (Discount("channel", 100), Discount("merchant", 200))
    one = paid(BEGINS + HOUR, amount=3800, settle_amount=3600, discounts=discounts)
    [line] = books([(one,)], plan=FeePlan("agreed", 6_000)).payments(DAY)
    [without] = books([(one,)]).payments(DAY)

    assert (3800, 3600, 100, 22) == (
        line.amount,
        line.settle_amount,
        line.discount_channel,
        line.fee,
    )
    assert None is without.fee


def late(at, **changes):
    """A payment that ended unpaid and was paid after all."""
    payment = a_payment(
        AttemptState.CLOSED, id=an_id("pay", at_ms=at), created=at, late_success=True,
        settle_amount=3800, **changes,
    )  # fmt: skip
    return replace(payment, history=(*payment.history, Moment(at + HOUR, "late_success")))


def test_late_successes_are_expected_too(books):
    """With the refund that gives the money back, if there is one."""
    alone, mended = late(BEGINS + HOUR), late(BEGINS + 2 * HOUR)
    back = refunded(mended, BEGINS + 4 * HOUR, automatic=True)
    first, second = books([(alone,), (mended, back)]).payments(DAY)

    assert (Nature.LATE, "", BEGINS + 2 * HOUR) == (first.nature, first.remedy, first.at_ms)
    assert (Nature.LATE, back.id) == (second.nature, second.remedy)


def test_stray_charges_are_expected_beside_the_sale(books):
    """A first attempt that was charged after it had ended: a line of its own, by its own number."""
    at = BEGINS + HOUR
    stray = an_attempt(AttemptState.FAILED, number=0, is_stray=True)
    running = an_attempt(AttemptState.SUCCEEDED, number=1)
    payment = paid(at, earlier=(stray,), attempt=running)
    told = Moment(at + HOUR, "late_success", "attempt 0")
    payment = replace(payment, history=(*payment.history, told))
    back = refunded(payment, at + 2 * HOUR, automatic=True, stray=3700, attempt_no=0)
    first, second = books([(payment, back)]).payments(DAY)

    assert (Nature.LATE, 3700, back.id, at + HOUR) == (
        first.nature,
        first.settle_amount,
        first.remedy,
        first.at_ms,
    )
    assert (Nature.SALE, "") == (second.nature, second.remedy)
    assert [out_trade_no(payment.id, 0), out_trade_no(payment.id, 1)] == [
        first.number,
        second.number,
    ]


def test_refunds_of_a_day(books):
    """By when they succeeded; what is under way or failed is expected nowhere."""
    payment = paid(BEGINS - 5 * 24 * HOUR)
    done = refunded(payment, BEGINS + HOUR, amount=400)
    yesterday = refunded(payment, BEGINS - 1)
    waits = refunded(payment, BEGINS + HOUR, RefundStatus.PROCESSING)
    failed = refunded(payment, BEGINS + HOUR, RefundStatus.FAILED)
    other = refunded(payment, BEGINS + HOUR, account="other")
    found = books([(payment, done, yesterday, waits, failed, other)])
    [line] = found.refunds(DAY)

    assert (done.id, done.id[-24:], 400, 400) == (
        line.object,
        line.number,
        line.amount,
        line.settle_amount,
    )
    assert BillState.PROCESSING is found.refund(waits.id[-24:]).state
    assert BillState.FAILED is found.refund(failed.id[-24:]).state
    assert None is found.refund(other.id[-24:])


def test_single_numbers(books):
    """What is known of any attempt, whatever its day; strangers' numbers lead nowhere."""
    old = paid(BEGINS - 30 * 24 * HOUR)
    states = {
        AttemptState.FAILED: BillState.FAILED,
        AttemptState.CLOSED: BillState.FAILED,
        AttemptState.REVERSED: BillState.REVERSED,
        AttemptState.UNKNOWN: BillState.PROCESSING,
    }
    others = {state: a_payment(state) for state in states}
    found = books([(old,), *((one,) for one in others.values())])

    assert BillState.SUCCEEDED is found.charge(out_trade_no(old.id, 0)).state
    assert ACCOUNT == found.account_of(out_trade_no(old.id, 0))
    for state, one in others.items():
        assert states[state] is found.charge(out_trade_no(one.id, 0)).state
    strange = ["", "x", "~3", out_trade_no(old.id, 1), out_trade_no(an_id("pay"), 0), "z" * 26]
    assert [None] * 6 == [found.charge(number) for number in strange]
    assert [None] * 6 == [found.account_of(number) for number in strange]
    assert [None] * 3 == [found.refund(number) for number in ("", "~3", an_id("rfd")[-24:])]


def test_what_took_longer_is_found_by_its_number(books):
    """A payment begun days before its success is not walked to, and is not lost."""
    at = BEGINS - PAYMENTS_BACK_MS - HOUR
    slow = paid(at, succeeded_at=BEGINS + HOUR)
    found = books([(slow,)])

    assert [] == numbers(found.payments(DAY))
    assert slow.id == found.charge(out_trade_no(slow.id, 0)).object


def test_pages_leave_nothing_out(books, monkeypatch):
    """Many rows of one millisecond, read two at a time."""
    monkeypatch.setattr("payments.storage.expected.PAGE_ROWS", 2)
    payments = [paid(BEGINS + HOUR) for _ in range(9)]

    assert sorted(one.id for one in payments) == numbers(
        books([(one,) for one in payments]).payments(DAY)
    )


def test_a_file_that_is_no_store(tmp_path):
    """It is refused, by name."""
    path = tmp_path / "shard-0.db"
    path.write_text("not a database, and long enough to be taken for one" * 100)
    with pytest.raises(StoreRefused, match="shard-0"):
        ShardBooks([path], ACCOUNT)
