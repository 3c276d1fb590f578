"""Money that the channel holds and divides: asked once, whatever dies; the books come to nothing.

The channel's side is a double (tests/kit/held_money.py). The sandbox's own books are asked in
tests/unit/payments/channels/wechat/test_divided.py.
"""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actors.live import decode_payment
from actors.messages import Changes, ReadBalances
from held_money import PLATFORM, RIDER, Divides, account_at, complaints, fields_of
from oracle import rows_of
from payments import chart
from payments.reports.movements import movement_of
from payments.splitting.dividing import DAY_MS
from payments.splitting.terms import Part, Terms
from world import ACCOUNTS


@pytest.fixture
def world():
    made = Divides().start()
    yield made
    assert [] == complaints(made)
    assert [] == made.loop.failures
    made.close()


def test_the_channel_pays_receivers_and_custody_sees_none_of_it(world):
    paid = world.sell().body

    world.until_over()

    assert {RIDER: 500, PLATFORM: 1_000} == world.held.paid()
    assert ["settled", "settled"] == world.states(paid["id"])
    assert sorted(2 * ["split.sent"] + 2 * ["split.settled"]) == sorted(world.events())
    assert {} == world.has()
    (order,) = world.held.orders.values()
    assert order.finish
    assert f"{paid['id'][4:]}S1" == order.number
    assert 0 == world.store.due_records(1 << 50, 9).__len__()


def test_between_success_and_the_channels_word_all_of_it_is_held(world):
    world.held.lose = ["share", "inquire_share"] * 50
    paid = world.sell().body
    world.advance(3)

    one, two = (each.id for each in world.receivers[:2])
    expected = {
        chart.channel_held(ACCOUNTS[0], 16): 10_000,
        chart.merchant_direct(world.merchants[0].id): -8_500,
        chart.receiver_direct(one, 16): -500,
        chart.receiver_direct(two, 16): -1_000,
    }
    partition = world.merchants[0].partition
    expected = {name.replace("#16", f"#{partition}"): minor for name, minor in expected.items()}
    assert expected == world.has()
    assert ["sent", "sent"] == world.states(paid["id"])


def test_papers_tell_what_the_channel_paid_and_nobody_can_spend_it(world):
    """In movements it is a payment and what followed; a balance knows nothing of it."""
    world.held.closed = {PLATFORM}
    world.sell()
    world.until_over()

    owner, rider, platform = (world.merchants[0].id, *(r.id for r in world.receivers[:2]))
    told = {
        who: [
            (moved.type.value, moved.amount)
            for row in rows_of(world).entries
            if (moved := movement_of(row, who)) is not None
        ]
        for who in (owner, rider, platform)
    }
    assert told == {
        owner: [("payment", 8_500), ("split", 1_000), ("clearing", -9_500)],
        rider: [("split", 500), ("clearing", -500)],
        platform: [("split", 1_000), ("split", -1_000)],
    }
    for prefix in (chart.merchant_prefix(owner), chart.receiver_prefix(rider)):
        ask = world.wait(world.client.send(ReadBalances(0, prefix)))
        world.client.log.remove(ask)  # It is about no payment: nothing for the oracle.
        assert not any(sum(has.values()) for has in ask.body.values())


def test_what_is_not_split_is_not_held(world):
    world.pay(amount=10_000)

    world.until_over()

    assert [] == world.held.asked
    assert chart.channel_held(ACCOUNTS[0], 17) not in world.has()


def test_a_receiver_is_named_once(world):
    world.sell()
    world.until_over()
    world.sell()
    world.until_over()

    assert 2 == world.held.asked.count("register")
    assert 2 == world.held.asked.count("share")


def test_a_part_that_the_receiver_cannot_take_is_the_merchants(world):
    world.held.closed = {RIDER}
    paid = world.sell().body

    world.until_over()

    assert ["failed", "settled"] == world.states(paid["id"])
    assert {PLATFORM: 1_000} == world.held.paid()
    assert {} == world.has()


def test_a_receiver_that_the_channel_refuses_to_know_gets_nothing(world):
    world.held.closed, world.held.is_strange = {RIDER}, True
    paid = world.sell().body

    world.until_over()

    assert ["failed", "settled"] == world.states(paid["id"])
    (order,) = world.held.orders.values()
    assert [PLATFORM] == [part.account for part in order.portions]


def test_a_refused_order_lets_go_of_everything_under_a_second_number(world):
    world.held.refuse = [("RULE_LIMIT", True)]
    paid = world.sell().body

    world.until_over()

    ((number, order),) = world.held.orders.items()
    assert (f"{paid['id'][4:]}S2", ()) == (number, order.portions)
    assert ["failed", "failed"] == world.states(paid["id"])
    assert {} == world.has()


def test_a_reason_to_try_later_is_tried_again_under_the_same_number(world):
    world.held.refuse = [("FREQUENCY_LIMITED", False), ("SYSTEM_ERROR", False)]
    paid = world.sell().body

    world.until_over()

    assert [f"{paid['id'][4:]}S1"] == list(world.held.orders)
    assert ["settled", "settled"] == world.states(paid["id"])


def test_what_cannot_be_let_go_after_thirty_days_was_let_go(world):
    world.held.refuse = [("INVALID_REQUEST", True)] * 3
    paid = world.sell().body
    world.advance(5)
    assert 2 == world.division(paid["id"]).step

    for clock in (world.clock,):
        clock.offset_ms += 31 * DAY_MS
    world.until_over()

    assert "over" == world.division(paid["id"]).stage
    assert {} == world.has()


REFUSED = [
    ({"rider": 2_000, "platform": 1_001}, None),
    ({"rider": 1}, "nobody"),
    ({"rider": 1}, "same"),
]


@pytest.mark.parametrize(("asked", "account"), REFUSED)
def test_what_the_channel_could_not_carry_out_is_refused_before_money_moves(world, asked, account):
    if account is not None:
        one = world.receivers[0]
        accounts = () if account == "nobody" else (account_at(PLATFORM),)
        changed = one.__class__(*fields_of(one), accounts)
        world.core.reference.take(Changes(2, (changed,), True))

    said = world.sell(**asked)

    assert "invalid_field" == said.code
    assert [] == rows_of(world).payments


POINTS = [
    "before_intent_commit", "after_intent_commit", "after_pay_sent", "before_outcome_commit",
    "after_outcome_commit", "after_register_sent", "books_before_register_answer",
    "before_record_commit", "after_record_commit", "after_share_sent",
    "books_before_share_answer", "after_inquire_share_sent", "books_before_inquire_share_answer",
]  # fmt: skip


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("time", [1, 2, 3])
def test_a_crash_anywhere_shares_once(point, time):
    """Killed at a step's first, second or third time: one order, everybody paid, books closed."""
    world = Divides().start()
    left = [time]

    def reach(name):
        if name == point:
            left[0] -= 1
            if not left[0]:
                world.die_here()

    world.reach = reach
    ack = world.post(amount=10_000, split=Terms((Part(world.receivers[0].id, 500),)))
    world.advance(20)
    world.reach = None
    world.start()
    world.wait(world.again(ack))
    world.until_over(120)

    (row,) = rows_of(world).payments
    # What the channel never heard of is undone; then there is nothing to share.
    is_paid = decode_payment(row[8]).status == "succeeded"
    assert is_paid is (point not in ("after_intent_commit", "after_pay_sent") or time > 1)
    assert is_paid is bool(world.held.orders)
    assert len(world.held.orders) <= 1
    assert ({RIDER: 500} if is_paid else {}) == world.held.paid()
    assert {} == world.has()
    assert [] == complaints(world)
    world.close()


@given(
    st.lists(
        st.tuples(
            st.integers(10, 20_000),
            st.integers(0, 150_000),
            st.integers(0, 150_000),
            st.sampled_from(["0000", "9012"]),
        ),
        min_size=1,
        max_size=3,
    ),
    st.lists(st.sampled_from(["register", "share", "inquire_share"]), max_size=4),
    st.lists(st.sampled_from([("RULE_LIMIT", True), ("SYSTEM_ERROR", False)]), max_size=2),
    st.sets(st.sampled_from([RIDER, PLATFORM])),
)
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
def test_shared_and_let_go_is_what_was_settled(sales, lose, refuse, closed):
    """Whatever is lost, refused or closed: the channel's books and ours say the same."""
    world = Divides().start()
    world.held.lose, world.held.refuse, world.held.closed = lose, refuse, closed
    one, two = (each.id for each in world.receivers[:2])
    for amount, first, second, ending in sales:
        parts = tuple(Part(name, None, ppm) for name, ppm in ((one, first), (two, second)) if ppm)
        world.pay(amount=amount, ending=ending, split=Terms(parts) if parts else None)
    world.until_over(200)

    ours = {RIDER: 0, PLATFORM: 0}
    for row in rows_of(world).payments:
        payment = decode_payment(row[8])
        if payment.shares and payment.settle_amount:
            division = world.division(payment.id)
            assert "over" == division.stage
            paid = 0
            for piece in division.pieces:
                if piece.state == "settled":
                    ours[piece.holder.account] += piece.amount
                    paid += piece.amount
            assert 0 <= paid <= payment.settle_amount
    assert {name: minor for name, minor in ours.items() if minor} == {
        name: minor for name, minor in world.held.paid().items() if minor
    }
    assert not [name for name in world.has() if ":held" in name or ":direct" in name]
    assert [] == complaints(world)
    world.close()
