"""Parts that came back for a refund that failed: who gave them has them again, once, exactly."""

import pytest

from actors.messages import ReadBalances
from held_money import (
    PLATFORM,
    RIDER,
    Divides,
    backs,
    complaints,
    given_back,
    owed,
    refunded,
    repay,
    shown,
    until_ended,
)
from payments import chart
from payments.splitting.terms import Part, Terms
from payments.storage.audit import audit


@pytest.fixture
def world():
    made = Divides().start()
    yield made
    assert [] == complaints(made)
    assert [] == made.loop.failures
    made.close()


def failed(world, payment, amount=None):
    """A refund for which the parts came back and which the channel then refused."""
    world.is_declining = True
    refund = refunded(world, payment, amount)
    world.is_declining = False
    assert "failed" == refund["status"]


def owing(world):
    """What the first merchant owes the rider, the platform (records) and both of them (books)."""
    one, two = (each.id for each in world.receivers[:2])
    return repay(world, one), repay(world, two), world.of_merchant("repay")


def test_the_merchant_owes_what_came_back_for_nothing(world):
    paid = world.sell().body
    world.until_over()
    failed(world, paid["id"], 2_500)

    assert {RIDER: 375, PLATFORM: 750} == world.held.paid()
    assert (125, 250, 375) == owing(world)
    assert None is world.division(paid["id"]).turn
    assert ["settled", "settled"] == world.states(paid["id"])
    prefix = chart.merchant_prefix(world.merchants[0].id)
    ask = world.wait(world.client.send(ReadBalances(0, prefix)))
    world.client.log.remove(ask)  # It is about no payment: nothing for the oracle.
    assert 375 == ask.body["cny"]["debt"]


def test_the_next_parts_are_more_by_it(world):
    paid = world.sell().body
    world.until_over()
    failed(world, paid["id"])
    assert {} == world.held.paid()
    world.sell()
    world.until_over()

    # 500 and 1000 of each, as if nobody had asked for a refund.
    assert {RIDER: 1_000, PLATFORM: 2_000} == world.held.paid()
    assert (0, 0, 0) == owing(world)
    assert {} == world.has()


def test_a_later_refund_takes_it_and_asks_nobody_again(world):
    """Whatever its amount, and of whatever payment: nobody gives a thing back twice."""
    first, second = world.sell().body, world.sell().body
    world.until_over()
    failed(world, first["id"])
    other = refunded(world, second["id"], 5_000)
    assert ("succeeded", [250, 500]) == (other["status"], backs(other))
    assert (250, 500) == owing(world)[:2]
    again = refunded(world, first["id"])

    assert ("succeeded", [500, 1_000]) == (again["status"], backs(again))
    # All of the first payment came back for the refund that failed: of it nobody owes more.
    assert [(250, 250), (500, 500)] == [owed(world, each.id) for each in world.receivers[:2]]
    assert (2, 15_000) == (len(world.held.returns), given_back(world))
    assert (0, 0, 0) == owing(world)


def test_no_order_is_above_the_ratio_for_what_it_repays(world):
    """30 % of 4000 are 1200: the parts have 1100 of it."""
    paid = world.sell().body
    world.until_over()
    failed(world, paid["id"])
    world.sell(amount=4_000, rider=300, platform=800)
    world.until_over()
    assert {RIDER: 400, PLATFORM: 800} == world.held.paid()
    assert (400, 1_000, 1_400) == owing(world)
    world.sell(amount=40_000, rider=1, platform=0)
    world.until_over()

    assert {RIDER: 801, PLATFORM: 800} == world.held.paid()
    assert (0, 1_000) == owing(world)[:2]


def test_an_order_refused_with_it_goes_without_it_under_another_number(world):
    """A partner may have agreed on less than 30 %: then the parts are not lost with it."""
    paid = world.sell().body
    world.until_over()
    failed(world, paid["id"])
    world.held.refuse = [("RULE_LIMIT", True)]
    world.sell()
    world.until_over()

    assert {RIDER: 500, PLATFORM: 1_000} == world.held.paid()
    assert ["S1", "S1P"] == [number[24:] for number in world.held.orders]
    assert (500, 1_000, 1_500) == owing(world)


def test_one_refused_without_it_too_leaves_it_owed(world):
    paid = world.sell().body
    world.until_over()
    failed(world, paid["id"])
    world.held.refuse = [("RULE_LIMIT", True)] * 2
    later = world.sell().body
    world.until_over()

    assert ["failed", "failed"] == world.states(later["id"])
    assert ({}, 1_500) == (world.held.paid(), owing(world)[2])


def test_a_part_that_fails_repays_nothing(world):
    paid = world.sell().body
    world.until_over()
    failed(world, paid["id"])
    world.held.closed = {RIDER}
    world.sell()
    world.until_over()

    assert (500, 0, 500) == owing(world)
    last = list(world.held.orders.values())[-1]
    assert [(RIDER, 1_000), (PLATFORM, 2_000)] == [(p.account, p.amount) for p in last.portions]


def test_each_owes_the_other_and_the_next_part_settles_both(world):
    first, second = world.sell().body, world.sell().body
    world.until_over()
    failed(world, first["id"], 2_500)
    world.held.poor = {RIDER}
    refunded(world, second["id"], 5_000)
    rider = world.receivers[0].id
    # Of 250 it gave 125 for nothing before; the rest it has no more.
    assert ((125, 125), 0) == (owed(world, rider), owing(world)[0])
    world.held.poor = set()
    failed(world, second["id"], 2_500)
    assert ((125, 125), 125) == (owed(world, rider), owing(world)[0])
    world.sell()
    world.until_over()

    assert ((0, 0), 0, 0) == (owed(world, rider), *owing(world)[::2])
    # 500 of the first, 250 of the second, 500 of the third.
    assert 1_250 == world.held.paid()[RIDER]
    assert {} == world.has()


def test_a_receiver_that_the_channel_refuses_to_know_pays_no_debt(world):
    """Nothing is kept of a part that is the merchant's."""
    paid = world.sell().body
    world.until_over()
    world.held.poor = {RIDER}
    refunded(world, paid["id"])
    rider = world.receivers[0]
    world.held.poor, world.held.known = set(), set()
    world.held.closed, world.held.is_strange = {"1900000209"}, True
    moved = rider.__class__(
        rider.id, rider.merchant, rider.platform, rider.name, rider.status, rider.created,
        rider.metadata,
        (rider.channel_accounts[0].__class__("wechat", "MERCHANT_ID", "1900000209", "PARTNER"),),
    )  # fmt: skip
    world.receivers[0] = moved
    world.kill("shard-0")
    world.start()
    world.sell()
    world.until_over()

    assert (500, 500) == owed(world, rider.id)


POINTS = [
    "before_record_commit", "after_record_commit", "before_refund_intent_commit",
    "after_refund_intent_commit", "after_take_back_sent", "books_before_inquire_return_answer",
    "before_refund_outcome_commit", "after_refund_outcome_commit", "after_refund_sent",
    "books_before_refund_answer", "after_share_sent", "books_before_share_answer",
]  # fmt: skip


TWICE = ["before_record_commit", "after_record_commit", "books_before_inquire_return_answer"]
"""What the refund comes by more than once."""


@pytest.mark.parametrize(("point", "time"), [(p, 1) for p in POINTS] + [(p, 2) for p in TWICE])
def test_a_crash_anywhere_owes_and_repays_once(point, time, tmp_path):
    """Killed at a step's first or second time: in the refund that fails, or in what repays it."""
    world = Divides(path=tmp_path).start()
    paid = world.sell().body
    world.until_over()
    left = [time]

    def reach(name):
        if name == point:
            left[0] -= 1
            if not left[0]:
                world.die_here()

    world.is_declining = True
    world.reach = reach
    ack = world.refund(paid["id"], 2_500)
    world.advance(20)
    world.start()
    again = world.wait(world.again(ack))
    until_ended(world)
    assert "failed" == shown(world, again)["status"]
    world.is_declining = False
    one, two = (each.id for each in world.receivers[:2])
    later = world.post(amount=10_000, split=Terms((Part(one, 500), Part(two, 1_000))))
    world.advance(20)
    world.reach = None
    assert left[0] <= 0
    world.start()
    world.wait(world.again(later))
    world.until_over(200)

    assert {RIDER: 1_000, PLATFORM: 2_000} == world.held.paid()
    assert (0, 0, 0) == owing(world)
    assert 0 == given_back(world)
    assert [] == complaints(world)
    world.close()
    assert [] == audit(tmp_path / "shard-0.db").complaints
