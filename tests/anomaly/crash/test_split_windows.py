"""The windows of a split payment and its refunds: both, or neither, and once."""

import pytest

from actors.live import decode_payment, decode_refund
from oracle import rows_of
from payments import chart

OUTCOMES = [
    ("before_outcome_commit", [], 0),
    ("after_outcome_commit", [(946, 0), (1262, 0)], 1),
    ("after_answer", [(946, 0), (1262, 0)], 1),
]
REFUNDS = [
    ("after_refund_intent_commit", [0, 0]),
    ("before_refund_outcome_commit", [0, 0]),
    ("after_refund_outcome_commit", [249, 332]),
]


def shares_in(rows):
    payments = [decode_payment(row[8]) for row in rows.payments]
    return [(share.amount, share.returned) for payment in payments for share in payment.shares]


def in_books(world, place=chart.receiver_pending):
    """What the first merchant's receivers have there, as people read it."""
    accounts = [place(r.id, world.merchants[0].partition) for r in world.receivers[:2]]
    return [chart.natural(a, world.core.books.balance(a, "cny")) for a in accounts]


@pytest.mark.parametrize(("point", "found", "entries"), OUTCOMES)
def test_shares_and_their_entry_are_one(crash_world, point, found, entries):
    """A quarter and a third of 3786: there with the payment's success, or not at all."""
    crash_world.crash_at(point)
    lost = crash_world.post(split=crash_world.terms(0))
    crash_world.advance(1)
    crash_world.rise()

    assert (found, entries) == (shares_in(crash_world.found), len(crash_world.found.entries))
    again = crash_world.wait(crash_world.again(lost))
    crash_world.proven()
    assert "succeeded" == crash_world.read(again.body["id"]).body["status"]
    assert [(946, 0), (1262, 0)] == shares_in(rows_of(crash_world))
    assert [946, 1262] == in_books(crash_world)


@pytest.mark.parametrize(("point", "returned"), REFUNDS)
def test_a_refund_takes_shares_back_once(crash_world, point, returned):
    """Wherever it dies, a refund of 1000 of 3800 takes 249 and 332 back, and the rest all."""
    paid = crash_world.pay(split=crash_world.terms(0))
    crash_world.crash_at(point)
    lost = crash_world.refund(paid.body["id"], 1_000)
    crash_world.advance(1)
    crash_world.rise()

    assert returned == [back for _, back in shares_in(crash_world.found)]
    again = crash_world.wait(crash_world.again(lost))
    assert "succeeded" == again.body["status"]
    assert [249, 332] == [back["amount"] for back in again.body["splits_returned"]]
    assert [946 - 249, 1262 - 332] == in_books(crash_world)
    crash_world.wait(crash_world.refund(paid.body["id"]))
    crash_world.proven()
    assert [0, 0] == in_books(crash_world)


def test_a_rule_splits_what_is_found_paid_after_a_crash(crash_world):
    """The second merchant's rule: its terms were fixed with the intent."""
    crash_world.crash_at("before_outcome_commit")
    crash_world.post(merchant=1)
    crash_world.advance(1)
    crash_world.rise()

    (payment,) = [decode_payment(row[8]) for row in crash_world.found.payments]
    assert (crash_world.rule.id, ()) == (payment.split.rule, payment.shares)
    crash_world.proven()
    assert [(946, 0), (1262, 0)] == shares_in(rows_of(crash_world))


def move(world, receiver, place, amount):
    """Clearing was here: some of what the receiver had pending lies there now."""
    partition = world.merchants[0].partition
    pending = chart.receiver_pending(receiver.id, partition)
    entry, core = f"ent_{receiver.id[4:]}P", world.core
    postings = ((pending, amount), (place, -amount))
    core.books.book(core.batch, partition, entry, receiver.id, 0, "cny", postings)
    core.wake.set()
    world.advance(0.1)


def test_a_receiver_gives_back_what_is_available_then_owes(crash_world):
    """From pending, from available, and the rest as a debt; a restart knows it still."""
    world = crash_world
    paid = world.pay(split=world.terms(0))
    payment = paid.body["id"]
    one, two = world.receivers[:2]
    partition = world.merchants[0].partition
    move(world, one, chart.receiver_available(one.id, partition), 900)
    move(world, two, chart.transit(17, 18), 1_200)

    first = world.wait(world.refund(payment, 1_000))
    world.restart("shard-0")
    second = world.wait(world.refund(payment))

    assert [(249, 0), (332, 270)] == [
        (back["amount"], back["debt"]) for back in first.body["splits_returned"]
    ]
    assert [(697, 0), (930, 930)] == [
        (back["amount"], back["debt"]) for back in second.body["splits_returned"]
    ]
    assert [0, 0] == in_books(world)
    assert [0, 0] == in_books(world, chart.receiver_available)
    assert [0, 1_200] == in_books(world, chart.receiver_debt)
    (refunded,) = {decode_refund(row[7]).payment for row in rows_of(world).refunds}
    assert payment == refunded
