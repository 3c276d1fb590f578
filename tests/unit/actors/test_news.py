"""Money that turns up at a channel which had refused, and refunds that a channel tells us of."""

import pytest

from oracle import judge, settled
from payments.channels.base import Approved, Declined, Notice, Unknown
from world import World

REFUSED = Declined("channel_error", "no room", "BUSY", not_sent=True)


@pytest.fixture
def world():
    made = World()
    made.start()
    yield made
    made.close()


def lies(channel):
    """The channel says "not sent" and takes the money all the same."""
    pay_now = channel.pay_now

    def deceive(order):
        pay_now(order)
        return REFUSED

    channel.pay_now = deceive


def tell(world, account, number, times=1):
    """The channel's callback: the order is paid."""

    async def call():
        channel = world.channels[account]
        for _ in range(times):
            notice = Notice(number, channel._paid(channel._books.get(number)))
            world.lanes[account]._notices.tell(notice)

    world.loop.run_until_complete(call())
    world.advance(0.2)


def first_number(world, account="sim-a"):
    (number,) = world.taken()[account]
    return number


@pytest.mark.parametrize("times", [1, 3])
def test_a_channel_that_took_what_it_refused_gives_it_back(world, times):
    """The second channel's payment stands, the first one's money goes back, once."""
    lies(world.channels["sim-a"])
    paid = world.pay().body
    number = first_number(world)
    assert (paid["status"], paid["late_success"]) == ("succeeded", False)

    tell(world, "sim-a", number, times)

    after = world.read(paid["id"]).body
    assert (after["status"], after["late_success"], after["amount_refunded"]) == (
        "succeeded",
        True,
        0,
    )
    assert world.taken()["sim-a"][number].refunded_minor == 3800
    events = [row[4] for row in world.store.events_of(paid["id"])]
    assert sorted(events) == ["payment.late_success", "payment.succeeded"]
    assert settled(world) == []


def test_what_is_left_of_the_payment_may_still_be_refunded(world):
    """The stray refund is beside the payment's own amounts."""
    lies(world.channels["sim-a"])
    paid = world.pay().body
    tell(world, "sim-a", first_number(world))

    refund = world.wait(world.refund(paid["id"])).body

    assert (refund["status"], refund["amount"], refund["automatic"]) == ("succeeded", 3800, False)
    assert world.read(paid["id"]).body["amount_refunded"] == 3800
    assert settled(world) == []


def test_stray_money_of_a_payment_that_failed_goes_back_too(world):
    """The second channel declined: the status stays."""
    lies(world.channels["sim-a"])
    failed = world.pay(ending="9003").body
    number = first_number(world)
    assert failed["status"] == "failed"

    async def charge():
        world.channels["sim-a"]._books.orders[number].failure = ""
        world.channels["sim-a"]._books.pay(number)

    world.loop.run_until_complete(charge())
    tell(world, "sim-a", number)

    after = world.read(failed["id"]).body
    assert (after["status"], after["late_success"]) == ("failed", True)
    assert world.taken()["sim-a"][number].refunded_minor == 3800
    assert judge(world) == []


def test_it_survives_a_crash_and_is_made_once(world):
    """The shard dies with the news in hand, and again when the refund is under way."""
    lies(world.channels["sim-a"])
    paid = world.pay().body
    number = first_number(world)
    for point in ("before_refund_intent_commit", "after_refund_intent_commit"):
        died = []

        def reached(where, point=point, died=died):
            if where == point and not died:
                died.append(where)
                world.die_here("shard-0")

        world.reach = reached
        tell(world, "sim-a", number)
        world.reach = None
        world.start()
        tell(world, "sim-a", number)

    assert world.taken()["sim-a"][number].refunded_minor == 3800
    assert world.read(paid["id"]).body["late_success"] is True
    assert settled(world) == []


def test_news_that_say_nothing_change_nothing(world):
    """Of an earlier attempt: refused, unknown, or about an attempt that never was."""
    lies(world.channels["sim-a"])
    paid = world.pay().body
    number = first_number(world)

    async def call():
        for no, outcome in (
            (number, Unknown("?")),
            (number, REFUSED),
            (number[:-2] + "0F", Approved(number[:-2] + "0F", 3800)),
            (number, Approved(number[:-2] + "0F", 3800)),
        ):
            world.lanes["sim-a"]._notices.tell(Notice(no, outcome))

    world.loop.run_until_complete(call())
    world.advance(0.2)

    assert world.read(paid["id"]).body["late_success"] is False
    assert world.taken()["sim-a"][number].refunded_minor == 0


# --- refunds ---------------------------------------------------------------------------------


def under_way(world, amount=377):
    """A refund that was made, and whose first answer was "system error"."""
    paid = world.pay().body
    refund = world.refund(paid["id"], amount, wait_ms=0)
    world.advance(0.2)
    found = world.read(refund.body["id"], kind="refund").body
    assert found["status"] == "processing"
    (number,) = (no for taken in world.taken().values() for no in taken)
    account = next(name for name, taken in world.taken().items() if number in taken)
    return found["id"], number, account


def tell_refund(world, account, number, refund, outcome):
    async def call():
        world.lanes[account]._notices.tell(Notice(number, outcome, refund.partition("_")[2]))

    world.loop.run_until_complete(call())
    world.advance(0.2)


def test_a_callback_about_a_refund_settles_it(world):
    """Long before its next query is due."""
    refund, number, account = under_way(world)

    tell_refund(world, account, number, refund, Approved(number, 377, "R1"))

    after = world.read(refund, kind="refund").body
    assert (after["status"], after["channel_refund_no"]) == ("succeeded", "R1")
    tell_refund(world, account, number, refund, Approved(number, 377, "R1"))
    assert settled(world) == []


@pytest.mark.parametrize(
    "outcome",
    [
        Declined("channel_error", "closed"),
        Unknown("abnormal"),
        Approved("N1", 377),
        Approved("", 1),
    ],
    ids=["refused", "unclear", "another order", "another amount"],
)
def test_any_other_word_about_a_refund_is_a_reason_to_ask_at_once(world, outcome):
    """A callback never fails a refund, and a wrong one never makes it true: the query decides."""
    refund, number, account = under_way(world)
    if outcome == Approved("", 1):
        outcome = Approved(number, 1)

    tell_refund(world, account, number, refund, outcome)

    assert world.read(refund, kind="refund").body["status"] == "succeeded"
    assert settled(world) == []


def test_a_callback_about_a_refund_of_nobody_is_taken(world):
    paid = world.pay().body
    (number,) = (no for taken in world.taken().values() for no in taken)

    tell_refund(world, "sim-a", number, "rfd_" + "0" * 24, Approved(number, 3800))

    assert world.lanes["sim-a"]._notices.counts["taken"] == 1
    assert world.read(paid["id"]).body["amount_refunded"] == 0
