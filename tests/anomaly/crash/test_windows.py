"""The crash windows of docs/RELIABILITY.md, each reached on purpose, on real files.

The shard, or everything, dies at a named point; it starts again on the same files; the merchant
repeats its request; and what channels, books and merchant know is compared.
"""

import pytest

from actors.live import decode_payment, decode_refund
from oracle import rows_of

PAID = [("0000", "succeeded"), ("9012", "succeeded"), ("9005", "succeeded")]


def of(rows):
    """Payments by status and attempt state."""
    payments = [decode_payment(row[8]) for row in rows.payments]
    return [(payment.status, payment.attempt.state) for payment in payments]


def left(world):
    """What the crash left in the store."""
    return of(world.found)


def stored(world):
    """What is in the store now."""
    return of(rows_of(world))


def refunds_of(rows):
    return [decode_refund(row[7]).status for row in rows.refunds]


def charges(world):
    books = [book for books in world.taken().values() for book in books.values()]
    return sum(book.charges for book in books)


@pytest.fixture(params=["shard-0", "everything"])
def victims(request):
    """What dies: the shard alone, or the shard with its lanes."""
    return ("shard-0",) if request.param == "shard-0" else ("shard-0", "lane-sim-a", "lane-sim-b")


@pytest.mark.parametrize(("ending", "end"), PAID)
def test_w0_nothing_happened_before_the_intent_is_durable(crash_world, victims, ending, end):
    """W0: received and not durable. No trace, no charge; the repeated request is a first one."""
    crash_world.crash_at("before_intent_commit", victims=victims)
    lost = crash_world.pay(ending=ending)
    crash_world.rise()

    assert lost.code == "lost"
    assert [] == left(crash_world)
    assert 0 == charges(crash_world)
    again = crash_world.wait(crash_world.again(lost))
    assert end == again.body["status"]
    crash_world.proven()
    assert 1 == charges(crash_world)


@pytest.mark.parametrize("point", ["after_intent_commit", "after_pay_sent"])
@pytest.mark.parametrize("ending", ["0000", "9005", "9007"])
def test_w1_w2_w3_a_durable_intent_is_asked_about_and_never_sent_again(
    crash_world, victims, point, ending
):
    """W1, W2, W3: durable, perhaps sent, perhaps taken. A query decides; no number is reused."""
    crash_world.crash_at(point, victims=victims)
    lost = crash_world.pay(ending=ending)
    assert lost.code == "lost"
    crash_world.rise()

    assert [("processing", "sending")] == left(crash_world)
    told = crash_world.wait(crash_world.again(lost))
    assert told.reply.replayed
    crash_world.proven()
    assert charges(crash_world) <= 1
    assert 1 == len(stored(crash_world))


@pytest.mark.parametrize(
    ("ending", "end"), [("0000", "succeeded"), ("9012", "succeeded"), ("9003", "failed")]
)
@pytest.mark.parametrize("dead", ["lane", "shard", "everything"])
def test_w4_the_channel_took_it_and_its_answer_is_lost(crash_world, ending, end, dead):
    """W4: the money moved and nobody heard. The query is the truth."""
    victims = {
        "lane": ("lane-sim-a", "lane-sim-b"),
        "shard": ("shard-0",),
        "everything": ("shard-0", "lane-sim-a", "lane-sim-b"),
    }[dead]
    crash_world.crash_at("books_before_pay_answer", victims=victims)
    lost = crash_world.post(ending=ending)
    crash_world.advance(0.5)
    crash_world.rise()

    assert not lost.done or lost.reply is None
    state = "unknown" if dead == "lane" else "sending"
    assert [("processing", state)] == left(crash_world)
    crash_world.wait(crash_world.again(lost))
    crash_world.proven()
    assert [end] == [status for status, _ in stored(crash_world)]
    assert int(end == "succeeded") == charges(crash_world)


@pytest.mark.parametrize(("ending", "end"), [*PAID, ("9003", "failed")])
def test_w5_an_answer_heard_and_not_durable_is_asked_for_again(crash_world, victims, ending, end):
    """W5: as W4. Nobody was told, so nothing was promised."""
    crash_world.crash_at("before_outcome_commit", victims=victims)
    lost = crash_world.pay(ending=ending)
    crash_world.rise()

    assert lost.code == "lost"
    assert [("processing", "sending")] == left(crash_world)
    crash_world.proven()
    assert [end] == [status for status, _ in stored(crash_world)]
    told = crash_world.wait(crash_world.again(lost))
    assert end == told.body["status"]


@pytest.mark.parametrize(("ending", "end"), [("0000", "succeeded"), ("9003", "failed")])
def test_w6_a_durable_outcome_that_nobody_heard_is_told_to_who_asks_again(
    crash_world, victims, ending, end
):
    """W6: the idempotency columns are in the same commit as the outcome."""
    crash_world.crash_at("after_outcome_commit", victims=victims)
    lost = crash_world.pay(ending=ending)
    crash_world.rise()

    assert lost.code == "lost"
    assert [end] == [status for status, _ in left(crash_world)]
    told = crash_world.wait(crash_world.again(lost))
    assert told.reply.replayed
    assert (201, end) == (told.reply.status, told.body["status"])
    crash_world.proven()
    assert int(end == "succeeded") == charges(crash_world)


@pytest.mark.parametrize(
    "point",
    ["after_reverse_sent", "books_before_reverse_answer"],
)
@pytest.mark.parametrize("ending", ["9002", "9008", "9011"])
def test_w10_a_reverse_that_was_sent_and_not_recorded_is_sent_again(crash_world, point, ending):
    """W10: reversing twice undoes once; a late success after it still goes back."""
    crash_world.crash_at(point)
    crash_world.post(ending=ending)
    crash_world.advance(60)
    crash_world.rise()

    assert [("processing", "reversing")] == left(crash_world)
    crash_world.proven()
    assert [("reversed", "reversed")] == stored(crash_world)


REFUND_WINDOWS = [
    ("before_refund_intent_commit", []),
    ("after_refund_intent_commit", ["processing"]),
    ("after_refund_sent", ["processing"]),
    ("books_before_refund_answer", ["processing"]),
    ("before_refund_outcome_commit", ["processing"]),
    ("after_refund_outcome_commit", ["succeeded"]),
]


@pytest.mark.parametrize(("point", "found"), REFUND_WINDOWS)
@pytest.mark.parametrize("amount", [1_000, 1_077, 1_078, None])
def test_refunds_have_the_same_windows_and_give_back_once(crash_world, point, found, amount):
    """W0 to W6 of a refund, with its answer lost (…77) and its request lost (…78)."""
    paid = crash_world.pay(amount=4_000)
    crash_world.crash_at(point)
    lost = crash_world.wait(crash_world.refund(paid.body["id"], amount))
    crash_world.rise()

    assert lost.code in ("lost", "")
    is_unclear = amount in (1_077, 1_078) and found == ["succeeded"]
    # An unclear answer is recorded, too: that commit is the first of its kind.
    assert (["processing"] if is_unclear else found) == refunds_of(crash_world.found)
    again = crash_world.wait(crash_world.again(lost))
    assert amount in (None, again.body["amount"])
    crash_world.proven()
    assert ["succeeded"] == refunds_of(rows_of(crash_world))
    (book,) = [b for books in crash_world.taken().values() for b in books.values()]
    assert (amount or 4_000) == book.refunded_minor


def test_a_refund_of_a_late_success_survives_each_of_its_windows(crash_world):
    """The refund that we make by ourselves is made once, wherever we die."""
    for point in [point for point, _ in REFUND_WINDOWS]:
        crash_world.crash_at(point)
        crash_world.post(ending="9008")
        crash_world.advance(120)
        crash_world.rise()
        crash_world.proven()


def test_what_holds_a_refund_back_is_known_again_after_a_crash(crash_world):
    """Two refunds that only one balance covers: the second fails, also after a crash between."""
    first = crash_world.pay(amount=4_000)
    second = crash_world.pay(amount=4_000)
    for amount in (2_000, 1_000):
        refund = crash_world.wait(crash_world.refund(first.body["id"], amount))
        assert "succeeded" == refund.body["status"]
    crash_world.crash_at("after_refund_intent_commit")
    crash_world.refund(second.body["id"], 4_000)
    crash_world.advance(1)
    crash_world.rise()

    held = crash_world.core.refund_holds[crash_world.merchants[0].id]
    assert held >= 4_000 - 15  # Our fee would come back with it.
    crash_world.proven()


@pytest.mark.parametrize("where", ["actors.books.Books.book", "actors.core.Core.emit"])
def test_a_bug_in_the_middle_of_a_change_ends_the_shard(crash_world, monkeypatch, where):
    """Half a change is neither written nor told; the next incarnation asks the channel."""

    def fail(*_, **__):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(where, fail)
    lost = crash_world.pay()
    monkeypatch.undo()

    assert lost.code == "lost"
    assert "shard-0" not in crash_world.boxes
    assert 1 == len(crash_world.loop.failures)
    assert "ZeroDivisionError" in crash_world.loop.failures.pop()
    crash_world.start()
    crash_world.proven()
    assert [("succeeded", "succeeded")] == stored(crash_world)
