"""Refunds of money that the channel divides: receivers' parts first, once, whatever dies.

The channel's side is a double (tests/kit/held_money.py); the sandbox's return endpoint is asked in
tests/unit/payments/channels/wechat/test_taken_back.py.
"""

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actors.live import decode_payment, decode_refund
from actors.messages import ReadBalances
from held_money import PLATFORM, RIDER, Divides, complaints
from oracle import rows_of
from payments import chart
from payments.channels.base import Declined, Unknown
from payments.splitting.taking_back import WAIT_MAX_MS, Owed, owed_id
from payments.splitting.terms import Part, Terms
from world import ACCOUNTS

STUCK = ["share", "inquire_share"] * 10_000


@pytest.fixture
def world():
    made = Divides().start()
    yield made
    assert [] == complaints(made)
    assert [] == made.loop.failures
    made.close()


def refunded(world, payment, amount=None):
    """The refund as it stands in the end."""
    ack = world.wait(world.refund(payment, amount))
    until_ended(world)
    return shown(world, ack)


def shown(world, ack):
    return world.read(ack.body["id"], kind="refund").body


def until_ended(world, seconds=120):
    for _ in range(seconds):
        if not world.store.due_refunds(1 << 50, 1) and not world.core.refunds:
            return
        world.advance(1)


def owed(world, receiver):
    """(what the record says, what the books say) that a receiver owes the first merchant."""
    merchant = world.merchants[0]
    record = world.core.records.get(owed_id(merchant.id, receiver, "cny"), Owed)
    booked = world.core.books.balance(chart.receiver_owed(receiver, merchant.partition), "cny")
    return 0 if record is None else record.minor, booked


def given_back(world):
    """What the channel gave back to payers, by its own books."""
    return sum(book.refunded_minor for books in world.taken().values() for book in books.values())


def test_parts_come_back_first_then_the_money_goes(world):
    """A quarter, later all the rest: as of a payment that custody has."""
    paid = world.sell().body
    world.until_over()

    part = refunded(world, paid["id"], 2_500)
    assert ("succeeded", [125, 250]) == (part["status"], backs(part))
    assert {RIDER: 375, PLATFORM: 750} == world.held.paid()
    assert ["settled", "settled"] == world.states(paid["id"])
    rest = refunded(world, paid["id"])

    assert ("succeeded", [375, 750]) == (rest["status"], backs(rest))
    assert {} == world.held.paid()
    assert 10_000 == given_back(world)
    assert ["returned", "returned"] == world.states(paid["id"])
    assert {} == world.has()
    numbers = [f"{each['id'][4:]}B0{at}" for each in (part, rest) for at in (1, 2)]
    assert numbers == list(world.held.returns)
    assert 2 == Counter(world.events())["split.returned"]


def backs(refund):
    return [each["amount"] for each in refund["splits_returned"]]


def test_a_part_that_is_gone_before_the_payment_is_told_once(world):
    """Of one fen, three fifths are one fen."""
    paid = world.sell(rider=1, platform=0).body
    world.until_over()
    parts = [refunded(world, paid["id"], amount) for amount in (6_000, 2_000, 2_000)]

    assert [[1], [], []] == [backs(each) for each in parts]
    assert 1 == world.events().count("split.returned")


def test_before_anything_is_divided_the_channel_divides_what_is_left(world):
    world.held.lose = ["register"] * 100
    paid = world.sell().body

    part = refunded(world, paid["id"], 2_500)
    assert ("succeeded", [125, 250]) == (part["status"], backs(part))
    assert {} == world.held.orders
    world.held.lose = []
    world.until_over()

    assert {RIDER: 375, PLATFORM: 750} == world.held.paid()
    assert ["settled", "settled"] == world.states(paid["id"])
    assert {} == world.held.returns
    assert {} == world.has()


def test_what_is_refunded_whole_before_is_not_divided_at_all(world):
    world.held.lose = ["register"] * 100
    paid = world.sell().body
    refund = world.wait(world.cancel(paid["id"]))
    until_ended(world)
    world.until_over()

    assert 10_000 == refund.body["amount_refunded"]
    assert ["returned", "returned"] == world.states(paid["id"])
    assert ({}, {}) == (world.held.orders, world.held.returns)
    assert ["split.returned"] * 2 == world.events()
    assert {} == world.has()


def test_while_the_refund_is_unclear_nothing_is_divided(world):
    """Nobody knows what is left: the refund has its turn until that is known."""
    world.held.lose = ["register"] * 100
    paid = world.sell().body
    channel = world.channels[ACCOUNTS[0]]
    known = channel.refund, channel.inquire_refund
    channel.refund = channel.inquire_refund = unclear
    ack = world.refund(paid["id"], 2_500)
    world.advance(1)
    world.held.lose = []
    world.advance(120)
    assert {} == world.held.orders
    assert "processing" == shown(world, ack)["status"]

    channel.refund, channel.inquire_refund = known
    until_ended(world, 700)
    world.until_over(120)

    assert "succeeded" == shown(world, ack)["status"]
    assert {RIDER: 375, PLATFORM: 750} == world.held.paid()
    assert {} == world.has()


async def unclear(order):
    return Unknown("no answer")


def test_a_lane_that_dies_in_between_changes_nothing(world):
    paid = world.sell().body
    world.until_over()
    world.kill(f"lane-{ACCOUNTS[0]}")
    ack = world.refund(paid["id"], 2_500)
    world.advance(60)
    assert ({}, 0) == (world.held.returns, given_back(world))

    world.start()
    until_ended(world)

    assert "succeeded" == shown(world, ack)["status"]
    assert {RIDER: 375, PLATFORM: 750} == world.held.paid()
    assert {} == world.has()


def test_while_the_channel_divides_a_refund_waits_for_it(world):
    world.held.lose = list(STUCK)
    paid = world.sell().body
    world.advance(3)
    ack = world.wait(world.refund(paid["id"], 2_500))
    assert "processing" == ack.body["status"]
    world.advance(30)
    assert 0 == given_back(world)

    world.held.lose = []
    until_ended(world, 300)

    assert "succeeded" == shown(world, ack)["status"]
    assert {RIDER: 375, PLATFORM: 750} == world.held.paid()
    assert {} == world.has()


def test_a_refund_waits_for_so_long_and_then_says_why_not(world):
    world.held.lose = list(STUCK)
    paid = world.sell().body
    world.advance(3)
    ack = world.wait(world.refund(paid["id"], 2_500))
    world.clock.offset_ms += WAIT_MAX_MS
    world.advance(120)

    refund = shown(world, ack)
    assert ("failed", "split_in_progress") == (refund["status"], refund["failure"]["code"])
    assert 0 == given_back(world)
    world.held.lose = []
    world.clock.offset_ms += WAIT_MAX_MS
    world.until_over()
    assert "succeeded" == refunded(world, paid["id"])["status"]
    assert {} == world.has()


def test_refunds_at_the_same_time_take_turns(world):
    paid = world.sell().body
    world.until_over()
    asked = [world.refund(paid["id"], amount) for amount in (2_500, 2_500, 5_000)]
    for ack in asked:
        world.wait(ack)
    too_much = world.wait(world.refund(paid["id"], 1))
    until_ended(world)

    assert "exceeds_paid" == too_much.code
    assert ["succeeded"] * 3 == [shown(world, ack)["status"] for ack in asked]
    assert {} == world.held.paid()
    assert 6 == len(world.held.returns)
    assert {} == world.has()


def test_what_a_receiver_cannot_return_it_owes_and_its_next_parts_pay(world):
    paid = world.sell().body
    world.until_over()
    world.held.poor = {RIDER}
    refund = refunded(world, paid["id"])

    one = world.receivers[0].id
    debts = {each["receiver"]: each["debt"] for each in refund["splits_returned"]}
    assert {one: 500, world.receivers[1].id: 0} == debts
    assert (500, 500) == owed(world, one)
    assert ["returned", "returned"] == world.states(paid["id"])
    ask = world.wait(world.client.send(ReadBalances(0, chart.receiver_prefix(one))))
    world.client.log.remove(ask)  # It is about no payment: nothing for the oracle.
    assert 500 == ask.body["cny"]["debt"]

    world.sell(rider=300, platform=0)
    world.until_over()
    assert (200, 200) == owed(world, one)
    world.sell(rider=300, platform=0)
    world.until_over()

    assert (0, 0) == owed(world, one)
    # Of 500 it kept 500, of 300 nothing, of 300 a hundred: 600 is what it earned.
    assert 600 == world.held.paid()[RIDER]
    assert {} == world.has()


def test_a_part_that_paid_a_debt_and_then_failed_leaves_the_debt(world):
    paid = world.sell().body
    world.until_over()
    world.held.poor = {RIDER}
    refunded(world, paid["id"])
    world.held.refuse = [("RULE_LIMIT", True)]
    world.sell(rider=300, platform=0)
    world.until_over()

    assert (500, 500) == owed(world, world.receivers[0].id)


def test_a_part_that_paid_a_debt_can_be_given_back_as_a_debt_again(world):
    paid = world.sell().body
    world.until_over()
    world.held.poor = {RIDER}
    refunded(world, paid["id"])
    second = world.sell(rider=800, platform=0).body
    world.until_over()
    world.held.poor = set()
    assert (0, 0) == owed(world, world.receivers[0].id)
    refund = refunded(world, second["id"])

    assert [500] == [each["debt"] for each in refund["splits_returned"] if each["amount"]]
    assert (500, 500) == owed(world, world.receivers[0].id)
    assert 500 == world.held.paid()[RIDER]


@pytest.mark.parametrize("code", ["NOT_ENOUGH", "INVALID_REQUEST", "NO_AUTH"])
def test_a_refused_return_is_a_debt(world, code):
    paid = world.sell(platform=0).body
    world.until_over()
    world.held.refuse_back = [(code, True)]
    refund = refunded(world, paid["id"])

    assert "succeeded" == refund["status"]
    assert (500, 500) == owed(world, world.receivers[0].id)


def test_a_return_that_may_be_tried_later_is_made_under_the_same_number(world):
    paid = world.sell(platform=0).body
    world.until_over()
    world.held.refuse_back = [("FREQUENCY_LIMITED", False), ("SYSTEM_ERROR", False)]
    world.held.lose = ["take_back", "inquire_return", "inquire_return"]
    refund = refunded(world, paid["id"])

    assert [f"{refund['id'][4:]}B01"] == list(world.held.returns)
    assert (0, 0) == owed(world, world.receivers[0].id)
    assert {} == world.has()


def test_what_came_back_for_a_refund_that_failed_is_there_for_the_next(world):
    paid = world.sell().body
    world.until_over()
    channel = world.channels[ACCOUNTS[0]]
    refund_of, channel.refund = channel.refund, decline
    failed = refunded(world, paid["id"])
    assert "failed" == failed["status"]
    assert ({}, 0) == (world.held.paid(), given_back(world))
    channel.refund = refund_of
    again = refunded(world, paid["id"])

    assert "succeeded" == again["status"]
    assert 2 == len(world.held.returns)
    assert [0, 0] == [each["debt"] for each in again["splits_returned"]]
    assert {} == world.has()


async def decline(order):
    return Declined("insufficient_funds", "The merchant has no money.", "NOT_ENOUGH")


def test_a_part_that_had_failed_is_the_merchants_to_give_back(world):
    world.held.closed = {RIDER}
    paid = world.sell().body
    world.until_over()
    refund = refunded(world, paid["id"])

    assert [0, 0] == [each["debt"] for each in refund["splits_returned"]]
    assert [PLATFORM] == [each.account for each in world.held.returns.values()]
    assert (0, 0) == owed(world, world.receivers[0].id)
    assert {} == world.has()


def test_while_everything_is_let_go_a_refund_needs_not_wait(world):
    world.held.refuse = [("RULE_LIMIT", True), *[("SYSTEM_ERROR", False)] * 50]
    paid = world.sell().body
    world.advance(10)
    assert 2 == world.division(paid["id"]).step
    part = refunded(world, paid["id"], 2_500)
    assert "succeeded" == part["status"]
    world.held.refuse = []
    world.until_over(7_200)
    whole = refunded(world, paid["id"])

    assert "succeeded" == whole["status"]
    assert {} == world.held.returns
    assert {} == world.has()


def test_the_same_key_is_one_refund(world):
    paid = world.sell().body
    world.until_over()
    first = world.wait(world.refund(paid["id"], 2_500, wait_ms=0))
    again = world.wait(world.again(first))
    until_ended(world)

    assert first.body["id"] == again.body["id"]
    assert 2_500 == given_back(world)


def test_custody_holds_nothing_for_it_and_loses_nothing(world):
    """Another merchant's money at the bank covers no refund that the channel takes itself."""
    paid = world.sell().body
    world.until_over()
    ack = world.refund(paid["id"], wait_ms=0)
    world.advance(0.2)
    assert {} == world.core.refund_holds
    world.wait(ack)
    until_ended(world)
    assert {} == world.has()


POINTS = [
    "before_refund_intent_commit", "after_refund_intent_commit", "after_take_back_sent",
    "books_before_take_back_answer", "after_inquire_return_sent",
    "books_before_inquire_return_answer", "before_record_commit", "after_record_commit",
    "before_refund_outcome_commit", "after_refund_outcome_commit", "after_refund_sent",
    "books_before_refund_answer", "after_inquire_refund_sent",
]  # fmt: skip


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("time", [1, 2])
@pytest.mark.parametrize("is_over", [True, False])
def test_a_crash_anywhere_returns_and_refunds_once(point, time, is_over):
    """Killed at a step's first or second time, after and before the channel has divided."""
    world = Divides().start()
    if not is_over:
        world.held.lose = ["register"] * 1_000
    paid = world.sell().body
    if is_over:
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
    again = world.wait(world.again(ack))
    until_ended(world)
    world.held.lose = []
    world.until_over(200)

    assert "succeeded" == shown(world, again)["status"]
    assert 2_500 == given_back(world)
    assert {RIDER: 375, PLATFORM: 750} == world.held.paid()
    assert (2 if is_over else 0) == len(world.held.returns)
    assert {} == world.has()
    assert [] == complaints(world)
    world.close()


LOST = st.sampled_from(["register", "share", "inquire_share", "take_back", "inquire_return"])
REFUSED = st.sampled_from([("RULE_LIMIT", True), ("SYSTEM_ERROR", False)])
ACCOUNT_SETS = st.sets(st.sampled_from([RIDER, PLATFORM]))


class Plan:
    """What happens to one world: sales and refunds in any order, whatever the channel does."""

    def __init__(self, world):
        self.world, self.payments = world, []

    def sell(self, amount, first, second, ending):
        one, two = (each.id for each in self.world.receivers[:2])
        parts = tuple(Part(name, None, ppm) for name, ppm in ((one, first), (two, second)) if ppm)
        said = self.world.pay(amount=amount, ending=ending, split=Terms(parts) if parts else None)
        self.payments.append(said.body["id"])

    def refund(self, which, share):
        if self.payments:
            payment = self.payments[which % len(self.payments)]
            amount = max(1, self.world.read(payment).body["amount"] * share // 10)
            self.world.wait(self.world.refund(payment, amount, wait_ms=0))


SALE = st.tuples(
    st.just("sell"), st.integers(10, 20_000), st.integers(0, 150_000), st.integers(0, 150_000),
    st.sampled_from(["0000", "9012"]),
)  # fmt: skip
BACK = st.tuples(st.just("refund"), st.integers(0, 3), st.integers(1, 10))
WAIT = st.tuples(st.just("wait"), st.integers(1, 15))


@given(
    st.lists(st.one_of(SALE, BACK, BACK, WAIT), min_size=2, max_size=9),
    st.lists(LOST, max_size=6),
    st.lists(REFUSED, max_size=2),
    ACCOUNT_SETS,
    ACCOUNT_SETS,
)
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
def test_what_receivers_keep_is_their_shares_less_what_went_back(steps, lose, refuse, closed, poor):
    """Whatever is lost, refused, closed or owed: the channel's books and ours say the same."""
    world = Divides().start()
    world.held.lose, world.held.refuse = lose, refuse
    world.held.closed, world.held.poor = closed, poor
    plan = Plan(world)
    for kind, *asked in steps:
        if kind == "wait":
            world.advance(*asked)
        else:
            getattr(plan, kind)(*asked)
    world.until_over(300)
    until_ended(world, 1_000)
    world.until_over(300)

    due = {RIDER: 0, PLATFORM: 0}
    names = dict(zip((each.id for each in world.receivers), (RIDER, PLATFORM), strict=False))
    for row in rows_of(world).payments:
        payment = decode_payment(row[8])
        if payment.shares and payment.settle_amount:
            division = world.division(payment.id)
            assert "over" == division.stage
            assert division.turn is None
            for share, piece in zip(payment.shares, division.pieces, strict=True):
                if piece.state == "settled" and piece.receiver not in closed:
                    due[names[share.receiver]] += share.amount - share.returned
    debts = {name: owed(world, receiver) for receiver, name in names.items()}
    assert all(record == booked for record, booked in debts.values()), debts
    expected = {name: minor + debts[name][0] for name, minor in due.items()}
    assert {name: minor for name, minor in expected.items() if minor} == world.held.paid()
    for row in rows_of(world).refunds:
        assert "succeeded" == decode_refund(row[7]).status
    left = {
        name: minor for name, minor in world.has().items() if "direct" in name or "held" in name
    }
    total = sum(record for record, _ in debts.values())
    direct = chart.merchant_direct(world.merchants[0].id)
    assert left == ({direct: -total} if total else {})
    assert [] == complaints(world)
    world.close()
