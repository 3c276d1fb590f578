"""The crash windows of docs/RELIABILITY.md over the real wires of each channel.

The wire between us and the channel is cut at a named place, or the shard, the lane or both die at a
named point, or all of it at once. Afterwards everything comes to its end: the ledger, what
merchants were told and the sandboxes' own books are compared to the fen (`proven`).
"""

from itertools import product

import pytest

from cutting_proxy import (
    CLOSE,
    HALF_OPEN,
    HOLD_REQUEST,
    LOSE_ANSWER,
    LOSE_ANSWER_RST,
    RESET,
    SWALLOW_ANSWER,
    cut_answer,
    cut_request,
    delay,
)
from oracle import rows_of
from stored import left, of, refunds_of, stored

UNHEARD = {
    "half-open": HALF_OPEN,
    "reset": RESET,
    "closed": CLOSE,
    "request cut after 1 byte": cut_request(1),
    "request cut after 300 bytes": cut_request(300),
}
"""The channel never sees the request whole."""

LOST = {
    "answer lost": LOSE_ANSWER,
    "answer lost by a reset": LOSE_ANSWER_RST,
    "answer swallowed": SWALLOW_ANSWER,
    "answer cut after 1 byte": cut_answer(1),
    "answer cut after 250 bytes": cut_answer(250),
    "answer too late": delay(30),
}
"""The channel did it, and nobody hears."""

SHARD = ("shard-0",)
LANES = ("lane-sim-a", "lane-sim-b")
DEATHS = {"nobody": (), "shard": SHARD, "lane": LANES, "everything": SHARD + LANES}

UNDOING = {
    "answer lost": LOSE_ANSWER,
    "answer lost by a reset": LOSE_ANSWER_RST,
    "answer cut after 250 bytes": cut_answer(250),
    "half-open": HALF_OPEN,
    "reset": RESET,
    "request cut": cut_request(40),
}
"""Of a reverse or a refund, which is repeated until it is known."""


def pairs(names, *tables):
    """Every combination; those off the diagonal are for `make prove`."""
    rows = []
    sizes = [len(table) for table in tables]
    for places in product(*(range(size) for size in sizes)):
        chosen = [list(table.items())[at] for table, at in zip(tables, places, strict=True)]
        longest = max(places[number] for number in range(len(tables)))
        on = all(at == longest % size for at, size in zip(places, sizes, strict=True))
        marks = () if on else (pytest.mark.slow,)
        name = ", ".join(label for label, _ in chosen)
        rows.append(pytest.param(*(value for _, value in chosen), id=name, marks=marks))
    return pytest.mark.parametrize(names, rows)


ALL_OR_NOBODY = {name: DEATHS[name] for name in ("nobody", "everything")}
SHARD_OR_ALL = {name: DEATHS[name] for name in ("shard", "everything")}
shard_or_all = pairs("victims", SHARD_OR_ALL)


def books(world):
    return [book for books in world.taken().values() for book in books.values()]


def charges(world):
    return sum(book.charges for book in books(world))


def kept(world):
    return sum(book.charges * book.amount_minor - book.refunded_minor for book in books(world))


def numbers_paid_for(world):
    """How often each order number was in a payment request: the channel may see it only once."""
    ids = [of_payment["id"][-24:] for of_payment in paid_ids(world)]
    requests = world.asked("pay")
    return [sum(one.encode() in request for request in requests) for one in ids]


def paid_ids(world):
    return [{"id": row[1]} for row in rows_of(world).payments]


def rise(world, victims):
    if victims:
        world.rise()


@shard_or_all
def test_w0_nothing_leaves_before_the_intent_is_durable(wires, victims):
    """W0: received and not durable. Not one byte to the channel; the repetition is a first."""
    wires.crash_at("before_intent_commit", victims=victims)
    lost = wires.pay()
    wires.rise()

    assert "lost" == lost.code
    assert [] == left(wires)
    assert [] == wires.asked("pay")
    assert "succeeded" == wires.wait(wires.again(lost)).body["status"]
    wires.proven()
    assert (1, 3800) == (charges(wires), kept(wires))


@pairs("point, victims", {p: p for p in ("after_intent_commit", "after_pay_sent")}, SHARD_OR_ALL)
def test_w1_w2_a_durable_intent_is_asked_about_and_never_sent_again(wires, point, victims):
    """W1, W2: durable, perhaps handed on. A query decides; the number is never used twice."""
    wires.crash_at(point, victims=victims)
    lost = wires.pay()
    wires.rise()

    assert "lost" == lost.code
    assert [("processing", "sending")] == left(wires)
    assert wires.wait(wires.again(lost)).reply.replayed
    wires.proven()
    assert max(numbers_paid_for(wires)) <= 1
    assert charges(wires) <= 1
    assert 1 == len(stored(wires))


@pairs("cut, victims", UNHEARD, DEATHS)
def test_w3_a_request_that_never_arrived_whole_takes_nothing(wires, cut, victims):
    """W3: bytes sent, nothing accepted. "No such order" is waited for, then undone: no money."""
    wires.cut_and_die(cut, "pay", victims)
    lost = wires.post()
    wires.advance(10)
    rise(wires, victims)
    again = wires.wait(wires.again(lost))

    assert not again.code
    wires.proven()
    assert [("reversed", "reversed")] == stored(wires)
    assert 0 == charges(wires)
    assert [1] == numbers_paid_for(wires)


@pairs("late_s, victims", {f"{s} s late": s for s in (0.5, 12, 47, 70)}, ALL_OR_NOBODY)
def test_w3_a_request_that_arrives_late_is_paid_once_or_undone(wires, late_s, victims):
    """W3: it is in flight while we ask, give up, and undo. What it takes then goes back."""
    rule = wires.cut_and_die(HOLD_REQUEST, "pay", ())
    lost = wires.post()
    wires.advance(0.3)
    if victims:
        wires.crashed = True
        wires.kill(*victims)
        wires.rise()
    wires.advance(late_s)
    assert rule.arrived.is_set()
    rule.release()
    wires.advance(5)

    wires.proven()
    ((status, _),) = stored(wires)
    assert status in ("succeeded", "reversed")
    assert (3800 if status == "succeeded" else 0) == kept(wires)
    assert status == wires.wait(wires.again(lost)).body["status"]


def test_w3_what_was_refused_is_not_sent_and_another_channel_is_asked(wires):
    """Nobody listens at the first account: certainly nothing was taken there."""
    wires.loop.run_until_complete(wires.first.proxy.refuse())
    told = wires.pay()

    assert "succeeded" == told.body["status"]
    first, second = wires.taken().values()
    assert ({}, 1) == (first, len(second))
    wires.loop.run_until_complete(wires.first.proxy.accept())
    wires.proven()


@pairs("cut, victims", LOST, DEATHS)
def test_w4_the_channel_took_it_and_its_answer_is_lost(wires, cut, victims):
    """W4: the money moved and nobody heard. The query is the truth."""
    wires.cut_and_die(cut, "pay", victims)
    lost = wires.post()
    wires.advance(10)
    rise(wires, victims)

    told = wires.wait(wires.again(lost))
    assert "succeeded" == told.body["status"]
    wires.proven()
    assert (1, 3800, [1]) == (charges(wires), kept(wires), numbers_paid_for(wires))


DECIDED = {"9003": "failed", "9012": "succeeded", "9004": "failed"}


@pairs("ending, victims", {ending: ending for ending in DECIDED}, ALL_OR_NOBODY)
def test_w4_whatever_was_decided_is_found_out(wires, ending, victims):
    """A decline whose answer is lost ends unpaid, a payment with coupons with its coupons."""
    end = DECIDED[ending]
    wires.cut_and_die(LOSE_ANSWER, "pay", victims)
    lost = wires.post(ending=ending)
    wires.advance(10)
    rise(wires, victims)

    told = wires.wait(wires.again(lost), 60)
    assert told.code == ""
    wires.proven()
    ((status, _),) = stored(wires)
    # A channel may forget a payment that it declined: then it ends unpaid, and was undone.
    assert status in {end, "reversed"} - {"reversed" if end == "succeeded" else ""}
    assert (3800 if end == "succeeded" else 0) == kept(wires)


@pairs("ending, victims", {ending: ending for ending in ("0000", "9012", "9005")}, SHARD_OR_ALL)
def test_w5_an_answer_heard_and_not_durable_is_asked_for_again(wires, ending, victims):
    """W5: as W4. Nobody was told, so nothing was promised."""
    wires.crash_at("before_outcome_commit", victims=victims)
    lost = wires.pay(ending=ending)
    wires.rise()

    assert "lost" == lost.code
    assert [("processing", "sending")] == left(wires)
    wires.proven()
    assert ["succeeded"] == [status for status, _ in stored(wires)]
    assert "succeeded" == wires.wait(wires.again(lost)).body["status"]
    assert [1] == numbers_paid_for(wires)


@pairs("ending, victims", {ending: ending for ending in ("0000", "9003")}, SHARD_OR_ALL)
def test_w6_a_durable_outcome_is_told_to_who_asks_again(wires, ending, victims):
    """W6: the idempotency columns are in the same commit as the outcome."""
    end = DECIDED.get(ending, "succeeded")
    wires.crash_at("after_outcome_commit", victims=victims)
    lost = wires.pay(ending=ending)
    wires.rise()

    assert "lost" == lost.code
    assert [end] == [status for status, _ in left(wires)]
    told = wires.wait(wires.again(lost))
    assert (True, 201, end) == (told.reply.replayed, told.reply.status, told.body["status"])
    wires.proven()
    assert int(end == "succeeded") == charges(wires)


def shown(world):
    """A code, shown to its payer; its order number at the channel."""
    ack = world.pay(way="qr", expires_in=120, wait_ms=1_000)
    assert "requires_payer" == ack.body["status"]
    (number,) = [book.out_trade_no for book in books(world)]
    return ack, number


@shard_or_all
def test_w7_a_callback_that_is_not_durable_is_not_acknowledged(wires, victims):
    """W7: verified, and the shard dies before the commit. The channel comes again."""
    _, number = shown(wires)
    wires.crash_at("before_outcome_commit", victims=victims)
    assert "" == wires.pays(number)
    wires.advance(1)
    assert wires.crashed

    assert [] == [s for wire in wires.wires.values() for s in wire.callbacks if s < 300]
    wires.rise()
    assert "succeeded" not in [status for status, _ in left(wires)]
    wires.proven()
    assert [("succeeded", "succeeded")] == stored(wires)
    assert (1, 3800) == (charges(wires), kept(wires))


@shard_or_all
def test_w8_a_callback_that_was_durable_and_not_acknowledged_comes_again(wires, victims):
    """W8: the duplicate is taken, and changes nothing."""
    _, number = shown(wires)
    wires.crash_at("after_outcome_commit", victims=victims)
    assert "" == wires.pays(number)
    wires.advance(1)
    assert wires.crashed

    assert [] == [s for wire in wires.wires.values() for s in wire.callbacks if s < 300]
    wires.rise()
    assert [("succeeded", "succeeded")] == left(wires)
    wires.settle()
    wires.advance(900)
    assert 1 == len([s for wire in wires.wires.values() for s in wire.callbacks if s < 300])
    wires.proven()
    assert (1, 3800) == (charges(wires), kept(wires))


UNDONE = {"9002": "reverse", "9011": "undo", "9008": "reverse"}


@pairs("ending, cut, victims", {ending: ending for ending in UNDONE}, UNDOING, ALL_OR_NOBODY)
def test_w10_a_reverse_that_was_sent_and_not_recorded_is_sent_again(wires, ending, cut, victims):
    """W10: reversing twice undoes once; a late success after it still goes back."""
    rule = wires.cut_and_die(cut, UNDONE[ending], victims)
    wires.post(ending=ending)
    wires.advance(60)
    assert rule.arrived.is_set()
    rise(wires, victims)

    if victims:
        assert [("processing", "reversing")] == left(wires)
    wires.proven()
    assert [("reversed", "reversed")] == stored(wires)
    assert 0 == kept(wires)


@pairs("cut, amount, victims", UNDOING, {"a part": 1_000, "all": None}, ALL_OR_NOBODY)
def test_refunds_have_the_same_windows_and_give_back_once(wires, cut, amount, victims):
    """W3, W4 of a refund: asked again under its own number until it is known."""
    paid = wires.pay(amount=4_000)
    rule = wires.cut_and_die(cut, "refund", victims)
    lost = wires.refund(paid.body["id"], amount)
    wires.advance(15)
    assert rule.arrived.is_set()
    rise(wires, victims)

    if victims:
        assert ["processing"] == refunds_of(wires.found)
    assert amount in (None, wires.wait(wires.again(lost)).body["amount"])
    wires.proven()
    assert ["succeeded"] == refunds_of(rows_of(wires))
    assert 4_000 - (amount or 4_000) == kept(wires)


@pairs("cut, times", {**UNDOING, **UNHEARD, **LOST}, {"3 times": 3, "once": 1})
def test_a_query_that_is_cut_is_asked_again(wires, cut, times):
    """Three in a row, too: each is one more doubt, the next one tells."""
    wires.cut(LOSE_ANSWER, "pay")
    wires.cut(cut, "query", times=times)
    ack = wires.post()
    wires.advance(58)

    assert "succeeded" == wires.wait(wires.again(ack)).body["status"]
    wires.proven()
    assert (1, 3800) == (charges(wires), kept(wires))


def test_a_channel_that_is_gone_for_good_leaves_nothing_wrong_behind(wires):
    """Everything is cut for minutes, in the middle of payments, undoing and refunds."""
    paid = [wires.pay() for _ in range(3)]
    acks = [wires.post(ending=ending) for ending in ("0000", "9001", "9005", "9008", "9011")]
    wires.advance(0.01)
    for wire in wires.wires.values():
        wires.loop.run_until_complete(wire.proxy.refuse())
    acks += [wires.post(ending=ending) for ending in ("0000", "9012")]
    wires.refund(paid[0].body["id"], 1_000)
    wires.advance(300)
    for wire in wires.wires.values():
        wires.loop.run_until_complete(wire.proxy.accept())

    wires.proven()
    assert {"succeeded", "reversed", "failed"} >= {status for status, _ in of(rows_of(wires))}
    assert len(acks) == 7
