"""Orders: each number is paid once at the bank, and its shard hears what became of it."""

from actors.home_messages import AskBank
from custody_town import instruct

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
HASTY_S = 1.5
"""How long the box waits where the bank is silent: real time."""


async def test_an_order_is_paid_and_its_shard_hears_of_it(town):
    """Three of one moment make one message."""
    await town.bank.fund()
    orders = [instruct(n) for n in range(3)]
    shard = town.shards[0]
    for order in orders:
        shard.tell(order)

    await town.settle()

    assert {order.number: [1_000] for order in orders} == await town.bank.payouts()
    assert [["paid"]] * 3 == [shard.states(order) for order in orders]
    messages = {each["message_id"] for each in (await town.bank.books())["payments"]}
    assert 1 == len(messages)


ENDINGS = {
    "0000": ["paid"],
    "8001": ["accepted", "paid"],
    "8002": ["paid", "returned"],
    "8004": ["rejected"],
    "8007": ["accepted", "paid"],
    "8008": ["accepted", "rejected"],
    "8010": ["paid"],
    "8013": ["paid"],
    "8014": ["paid"],
}


async def test_every_ending_of_the_bank_reaches_the_shard(make_town):
    """Whatever the bank does with answers, two days later all is known, and nothing paid twice."""
    town = await make_town(timeout_s=HASTY_S)
    await town.bank.fund()
    shard = town.shards[0]
    orders = {}
    for end in ENDINGS:
        orders[end] = instruct(end, account=f"622200000000{end}")
        shard.tell(orders[end])
        await town.settle()

    await town.live(town.bank.clock.now_ms() + 2 * DAY_MS)

    # Whether the doubt is told depends on who is first, the time-out or the account's own word.
    told = {end: shard.states(order) for end, order in orders.items()}
    assert ENDINGS == {
        end: [state for state in states if state != "unknown"] for end, states in told.items()
    }
    assert all(len(amounts) == 1 for amounts in (await town.bank.payouts()).values())
    assert 0 == town.custody.stats()["custody_orders_unknown"]


async def test_what_the_bank_never_took_is_absent_until_the_shard_repeats_it(make_town):
    """The same bytes are sent again, and only when the shard says so."""
    town = await make_town(timeout_s=HASTY_S)
    await town.bank.fund()
    shard, order = town.shards[0], instruct("lost", account="6222000000008011")
    shard.tell(order)
    await town.settle()
    await town.live(town.bank.clock.now_ms() + HOUR_MS)

    assert ["unknown", "absent"] == shard.states(order)[:2]
    assert {} == await town.bank.payouts()

    shard.tell(instruct("lost", account="6222000000008011", is_repeat=True))
    await town.settle()

    assert {order.number: [1_000]} == await town.bank.payouts()
    assert "paid" == shard.states(order)[-1]


async def test_what_cannot_be_written_is_rejected_and_never_sent(town):
    """A name that no message can hold, money that is not this account's."""
    await town.bank.fund()
    shard = town.shards[0]
    wrong = [instruct("a", holder="x" * 141), instruct("b", custody="custody:boc:02")]
    for order in (*wrong, instruct("right")):
        shard.tell(order)

    await town.settle()

    assert [["rejected"]] * 2 == [shard.states(order) for order in wrong]
    assert [instruct("right").number] == list(await town.bank.payouts())


async def test_a_number_is_never_used_for_another_payment(town):
    """The second is our bug: nothing leaves, and it is counted."""
    await town.bank.fund()
    town.shards[0].tell(instruct("one"))
    await town.settle()
    town.shards[0].tell(instruct("one", amount=2_000))
    await town.settle()

    assert [[1_000]] == list((await town.bank.payouts()).values())
    assert 1 == town.custody.stats()["custody_orders_mismatched_total"]


async def test_news_is_said_until_it_is_taken(town):
    """The shard dies before it has made the news durable, and asks nothing when it is back."""
    await town.bank.fund()
    shard, order = town.shards[0], instruct("one")
    shard.takes = False
    shard.tell(order)
    await town.soon(lambda: shard.states(order) == ["paid"])
    shard.die()
    shard.said.clear()
    shard.takes = True
    await shard.rise()

    await town.soon(lambda: shard.states(order) == ["paid"])
    await town.soon(lambda: town.store.open_items() == [])
    assert 1 == len(shard.said)


async def test_who_asks_is_told_again_what_is_known(town):
    """And a number that never came here is absent, by the bank's own word."""
    await town.bank.fund()
    shard, order, stranger = town.shards[0], instruct("one"), instruct("never sent")
    shard.tell(order)
    await town.settle()
    shard.said.clear()

    shard.tell(AskBank(5, order.id, order.number))
    shard.tell(AskBank(6, stranger.id, stranger.number))
    await town.settle()

    assert ["paid"] == shard.states(order)
    assert ["unknown", "absent"] == shard.states(stranger)
    shard.tell(stranger)
    await town.settle()
    assert "paid" == shard.states(stranger)[-1]


async def test_a_bank_that_is_away_leaves_everything_in_doubt_and_nothing_lost(make_town):
    """Orders of an hour without the bank are known to it once after it is back."""
    town = await make_town(timeout_s=HASTY_S)
    await town.bank.fund()
    await town.bank.faults(hang_ppm=1_000_000, operations=["payments", "status"])
    shard, order = town.shards[0], instruct("one")
    shard.tell(order)
    await town.settle()
    assert ["unknown"] == shard.states(order)
    assert 1 == town.custody.stats()["custody_orders_unknown"]

    await town.bank.faults()
    await town.live(town.bank.clock.now_ms() + HOUR_MS)
    shard.tell(instruct("one", is_repeat=True))
    await town.settle()

    assert [[1_000]] == list((await town.bank.payouts()).values())
    assert "paid" == shard.states(order)[-1]
