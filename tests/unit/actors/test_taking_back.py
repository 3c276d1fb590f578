"""Refunds of money that the channel divides: receivers' parts first, once, whatever dies.

The channel's side is a double (tests/kit/held_money.py); the sandbox's return endpoint is asked in
tests/unit/payments/channels/wechat/test_taken_back.py.
"""

from collections import Counter

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
    shown,
    until_ended,
)
from payments import chart
from payments.channels.base import Declined, Unknown
from payments.splitting.taking_back import WAIT_MAX_MS
from world import ACCOUNTS

STUCK = ["share", "inquire_share"] * 10_000


@pytest.fixture
def world():
    made = Divides().start()
    yield made
    assert [] == complaints(made)
    assert [] == made.loop.failures
    made.close()


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
