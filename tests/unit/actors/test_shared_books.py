"""A shard divides and takes back, on a real file; the channel's bill of it is compared with that.

The channel's side is a double (tests/kit/held_money.py), its bill is written from what it paid. The
sandbox's own bill is fetched in tests/unit/payments/channels/wechat/test_sharing_bill.py.
"""

import io
from hashlib import sha256

import pytest

from held_money import PLATFORM, RIDER, Divides, complaints, refunded, until_ended
from payments.bills.lines import BillKind, BillRefused, BillState
from payments.bills.shares import ShareLine
from payments.calendar import business_date
from payments.channels.wechat import sharing_bill
from payments.clock import ManualClock
from payments.reconciliation.differences import Kind
from payments.reconciliation.lines import day_bounds
from payments.reconciliation.shared import sharing_account
from payments.storage.comparing import Bill, Comparing
from payments.storage.shared import SharedRows
from world import ACCOUNTS

ACCOUNT = sharing_account(ACCOUNTS[0])


@pytest.fixture
def world(tmp_path):
    made = Divides(path=tmp_path).start()
    yield made
    assert [] == complaints(made)
    assert [] == made.loop.failures
    made.close()


def line_of(world, kind, number, receiver, amount):
    at_ms = world.clock.now_ms()
    return ShareLine(
        "wechat", "1900000001", kind, number, "3008", "36", "42", receiver, at_ms // 1000 * 1000,
        business_date(at_ms), amount, 1_000_000,
    )  # fmt: skip


def bill_of(world):
    """What the channel did, by its own books: closed parts and failed returns are no lines."""
    held = world.held
    paid = [
        line_of(world, BillKind.SHARE, order.number, part.account, part.amount)
        for order in held.orders.values()
        for part in order.portions
        if part.account not in held.closed
    ]
    back = [
        line_of(world, BillKind.SHARE_RETURN, each.return_no, each.account, each.amount)
        for number, each in held.returns.items()
        if number not in held.failed
    ]
    return [*paid, *back]


class Office:
    """Whoever compares. `clock`: past the day."""

    def __init__(self, world, tmp_path):
        self.date = business_date(world.clock.now_ms())
        self.clock = ManualClock(day_bounds(self.date)[1] + 11 * 3_600_000)
        self.paths = [tmp_path / "shard-0.db"]
        self.comparing = Comparing(tmp_path, self.paths, self.clock, livemode=False)

    def compare(self, lines, date=None):
        return self.compare_file(b"".join(sharing_bill.write(lines)), date)

    def compare_file(self, data, date=None):
        digest = sha256(data).hexdigest()
        bill = Bill(ACCOUNT, "wechat", date or self.date, "bill.csv", digest)
        return self.comparing.compare_shares(bill, io.BytesIO(data), sharing_bill.read)

    def items(self, run):
        reader = self.comparing.reader()
        try:
            return [difference for _, difference in reader.items(run.id)]
        finally:
            reader.close()


def busy(world):
    """Parts that were paid, closed, taken back, and not given back."""
    first = world.sell().body
    world.sell(amount=777, rider=3, platform=70)
    world.until_over()
    world.held.closed = {PLATFORM}
    world.sell(amount=5_000)
    world.until_over()
    world.held.closed = set()
    refunded(world, first["id"], 2_500)
    world.held.poor = {RIDER}
    refunded(world, first["id"], 2_500)
    world.held.poor = set()
    refunded(world, first["id"])
    return first


def test_a_days_bill_agrees_with_what_shards_did(world, tmp_path):
    busy(world)
    last = sorted(world.held.orders)[-1]
    lines = [each for each in bill_of(world) if (each.number, each.receiver) != (last, PLATFORM)]
    office = Office(world, tmp_path)

    run = office.compare(lines)

    assert [] == office.items(run)
    assert (len(lines), len(lines)) == (run.counts.matched, run.counts.ours_lines)
    assert run.counts.ours == run.counts.theirs > 0
    assert run == office.compare(lines), "the same file again changes nothing"


def test_differences_are_found_and_told_whose_they_are(world, tmp_path):
    first = busy(world)
    last = sorted(world.held.orders)[-1]
    right = [each for each in bill_of(world) if (each.number, each.receiver) != (last, PLATFORM)]
    closed = next(
        each for each in bill_of(world) if (each.number, each.receiver) == (last, PLATFORM)
    )
    gone, *rest = right
    office = Office(world, tmp_path)

    run = office.compare([*rest, closed])

    found = {each.number: each for each in office.items(run)}
    assert {f"{gone.number} {gone.receiver}", f"{last} {PLATFORM}"} == set(found)
    missing, unpaid = found[f"{gone.number} {gone.receiver}"], found[f"{last} {PLATFORM}"]
    assert (Kind.SPLIT_MISMATCH, -gone.amount) == (missing.kind, missing.amount)
    assert (first["id"], world.merchants[0].id) == (missing.ours.object, missing.ours.merchant)
    assert (closed.amount, BillState.FAILED) == (unpaid.amount, unpaid.ours.state)


def test_a_day_without_a_bill_misses_what_we_did(world, tmp_path):
    office = Office(world, tmp_path)
    assert not office.comparing.has_rows(ACCOUNT, office.date)
    world.sell()
    world.until_over()

    assert office.comparing.has_rows(ACCOUNT, office.date)
    run = office.comparing.compare_nothing(ACCOUNT, "wechat", office.date)

    assert {Kind.SPLIT_MISMATCH: 2} == run.by_kind
    assert -1_500 == run.counts.differences


def test_a_file_that_is_refused_shows_nothing(world, tmp_path):
    world.sell()
    world.until_over()
    office = Office(world, tmp_path)
    data = b"".join(sharing_bill.write(bill_of(world)))

    with pytest.raises(BillRefused):
        office.compare_file(data[:-4])

    reader = office.comparing.reader()
    assert [] == reader.runs(10)
    reader.close()
    assert [] == office.items(office.compare_file(data))


def test_another_file_takes_the_place_of_the_first(world, tmp_path):
    world.sell()
    world.until_over()
    office = Office(world, tmp_path)
    lines = bill_of(world)

    before = office.compare(lines[1:])
    after = office.compare(lines)

    assert (before.id, {}) == (after.supersedes, after.by_kind)


def test_other_accounts_and_strangers_are_not_ours(world, tmp_path):
    world.sell()
    world.until_over()
    rows = SharedRows([tmp_path / "shard-0.db"], "another")
    (order,) = world.held.orders.values()

    assert rows.share(order.number, RIDER) is None
    assert ACCOUNTS[0] == rows.account_of(order.number)
    for number in ("", "x", "01M7Y4WH5A000W7H0V64525CS1", "手" * 30):
        assert rows.share(number, RIDER) is None
        assert rows.taken(number) is None
        assert rows.account_of(number) is None
    assert [] == list(rows.day(business_date(world.clock.now_ms())))
    rows.close()


def test_what_is_not_said_yet_is_no_part_of_ours(world, tmp_path):
    """The channel paid, and its answer is lost: a line in the bill is more than we know."""
    world.held.lose = ["share", "inquire_share"] * 500
    world.sell()
    world.advance(3)
    office = Office(world, tmp_path)

    run = office.compare(bill_of(world))

    assert {Kind.SPLIT_MISMATCH: 2} == run.by_kind
    assert {BillState.PROCESSING} == {each.ours.state for each in office.items(run)}


POINTS = [
    "before_record_commit", "after_record_commit", "after_take_back_sent",
    "books_before_take_back_answer", "after_inquire_return_sent",
    "books_before_inquire_return_answer",
]  # fmt: skip


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("time", [1, 2])
def test_what_came_back_is_remembered_once_wherever_the_shard_dies(world, tmp_path, point, time):
    """The record is in the commit of the answer that it is about."""
    paid = world.sell().body
    world.until_over()
    left = [time]

    def reach(name):
        if name == point:
            left[0] -= 1
            if not left[0]:
                world.die_here()

    world.reach = reach
    ack = world.refund(paid["id"], 2_500)
    world.advance(20)
    world.reach = None
    world.start()
    told = world.wait(world.again(ack))
    until_ended(world)
    office = Office(world, tmp_path)

    run = office.compare(bill_of(world))

    assert left[0] <= 0, "it died where it was to die"
    assert "succeeded" == world.read(told.body["id"], kind="refund").body["status"]
    assert (4, []) == (run.counts.matched, office.items(run))
