"""Refunds of money that the channel divides, at every crash and in every order: once, exactly."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actors.live import decode_payment, decode_refund
from held_money import (
    PLATFORM,
    RIDER,
    Divides,
    complaints,
    given_back,
    owed,
    repay,
    shown,
    until_ended,
)
from oracle import rows_of
from payments import chart
from payments.splitting.terms import Part, Terms

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

    def money(self, is_there):
        """Whether the merchant has enough at the channel for the refunds from now on."""
        self.world.is_declining = not is_there

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
MONEY = st.tuples(st.just("money"), st.booleans())


@given(
    st.lists(st.one_of(SALE, BACK, BACK, WAIT, MONEY), min_size=2, max_size=9),
    st.lists(LOST, max_size=6),
    st.lists(REFUSED, max_size=2),
    ACCOUNT_SETS,
    ACCOUNT_SETS,
)
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
def test_what_receivers_keep_is_their_shares_less_what_went_back(steps, lose, refuse, closed, poor):
    """Whatever is lost, refused, closed, owed or came back for a refund that failed: the channel's
    books and ours say the same.
    """
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
    repays = {name: repay(world, receiver) for receiver, name in names.items()}
    expected = {name: minor + debts[name][0] - repays[name] for name, minor in due.items()}
    assert {name: minor for name, minor in expected.items() if minor} == world.held.paid()
    ends = {str(decode_refund(row[7]).status) for row in rows_of(world).refunds}
    assert ends <= ({"succeeded", "failed"} if ("money", False) in steps else {"succeeded"})
    left = {
        name: minor for name, minor in world.has().items() if "direct" in name or "held" in name
    }
    total = sum(record for record, _ in debts.values())
    direct = chart.merchant_direct(world.merchants[0].id)
    held = {direct: -total} | {
        chart.receiver_direct(receiver, world.merchants[0].partition): -repays[name]
        for receiver, name in names.items()
    }
    assert left == {name: minor for name, minor in held.items() if minor}
    assert sum(repays.values()) == world.of_merchant("repay")
    assert [] == complaints(world)
    world.close()
