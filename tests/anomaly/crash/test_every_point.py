"""Every crash point, at its first, second and third time, under a workload of every ending.

The workload takes payments of each ending of test mode, codes that are paid, closed or left alone,
refunds whose answers or requests get lost, and cancels; all at once, and again after the crash.
"""

import pytest

ENDINGS = [
    "0000", "9001", "9002", "9003", "9004", "9005",
    "9006", "9007", "9008", "9009", "9010", "9011", "9012",
]  # fmt: skip
POINTS = (
    "before_intent_commit",
    "after_intent_commit",
    "after_pay_sent",
    "before_outcome_commit",
    "after_outcome_commit",
    "after_answer",
    "after_inquire_sent",
    "after_reverse_sent",
    "after_close_sent",
    "before_refund_intent_commit",
    "after_refund_intent_commit",
    "after_refund_sent",
    "before_refund_outcome_commit",
    "after_refund_outcome_commit",
    "after_inquire_refund_sent",
    "books_before_pay_answer",
    "books_before_inquire_answer",
    "books_before_reverse_answer",
    "books_before_close_answer",
    "books_before_refund_answer",
    "books_before_inquire_refund_answer",
)
EVERYTHING = ("shard-0", "lane-sim-a", "lane-sim-b")


def offer(world):
    """One of each; returns what was asked with a key, to be repeated."""
    asked = [
        world.post(ending=ending, split=None if at % 2 else world.terms(at // 2))
        for at, ending in enumerate(ENDINGS)
    ]
    codes = [world.post(way="qr", expires_in=40, split=world.terms(at)) for at in range(4)]
    world.advance(0.3)
    world.advance(3)
    shown = [ack.body["id"] for ack in codes if ack.reply is not None and ack.code == ""]
    for identifier, what in zip(shown, ("pay", "cancel", "leave", "pay_late"), strict=False):
        if what == "cancel":
            world.cancel(identifier)
        elif what != "leave":
            world.act(identifier, what)
    heard = [a.body for a in asked if a.reply is not None and a.code == ""]
    done = [body["id"] for body in heard if body["status"] == "succeeded"]
    for amount, identifier in zip((1_000, 1_077, 1_078), done, strict=False):
        asked.append(world.refund(identifier, amount))
    if len(done) > 3:
        world.cancel(done[3], key=f"cancel-{world.unique()}")
    world.advance(25)
    return asked + codes


def repeat(world, asked):
    """The merchant repeats everything it has no final answer to."""
    for ack in asked:
        if ack.reply is None:
            world.again(ack)
    world.advance(1)


@pytest.mark.parametrize("occurrence", [1, 2, 3])
@pytest.mark.parametrize("point", POINTS)
def test_no_crash_loses_or_doubles_anything(crash_world, point, occurrence):
    """Wherever it dies, and how often: all ends well, once, as it was told."""
    victims = EVERYTHING if occurrence == 2 else None
    if victims is None:
        is_lane = point.startswith("books_") and occurrence == 3
        victims = EVERYTHING[1:] if is_lane else EVERYTHING[:1]
    crash_world.crash_at(point, occurrence, victims)
    asked = []
    for _ in range(6):
        asked += offer(crash_world)
        if crash_world.crashed:
            break
        crash_world.advance(30)
    crash_world.rise()
    repeat(crash_world, asked)
    offer(crash_world)

    crash_world.proven()
