"""The box's store is gone (a disk, a wrong folder): what was ordered is found again at the bank."""

import pytest

from actors.custody import AFTER_COMMIT, BEFORE_COMMIT
from actors.custody_credits import Settles
from actors.home_messages import AskBank
from custody_town import DAY, Ended, claim, instruct

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
COMMITS = 4
POINTS = [(point, n) for point in (BEFORE_COMMIT, AFTER_COMMIT) for n in range(1, COMMITS + 1)]
ENDS = {
    "0000": ("paid", [1_000]),
    "8001": ("paid", [1_000]),
    "8002": ("returned", [1_000]),
    "8004": ("rejected", None),
    "8008": ("rejected", None),
}
"""How an account number ends -> what becomes of a payment to it, and what leaves our account."""


@pytest.fixture
async def town(make_town):
    """Its bank answers in the end, however slow this machine is."""
    return await make_town(timeout_s=60.0)


class Dead(Exception):
    """The process ends here."""


def die_at(town, point, count):
    """End the box when it comes by `point` for the `count`-th time."""
    left = [count]

    def reach(name):
        left[0] -= name == point
        if name == point and left[0] == 0:
            raise Dead(name)

    town.custody.commits.reach = reach


async def lose_store(town):
    """The process and its file are gone; another begins with nothing."""
    await town.crash()
    for file in town.folder.glob("custody.db*"):
        file.unlink()
    await town.start()


def question(order, ref=2):
    """As a shard asks about it."""
    return AskBank(ref, order.id, order.number, order.amount)


@pytest.mark.parametrize("ending", sorted(ENDS))
async def test_what_was_ordered_is_found_at_the_bank_by_its_number(town, ending):
    """The order was sent, its answer was never taken, and nothing is known of it any more."""
    await town.bank.fund()
    shard, order = town.shards[0], instruct("one", account=f"622200000000{ending}")
    shard.takes = False
    shard.tell(order)
    await town.soon(lambda: shard.states(order))
    await lose_store(town)
    shard.takes = True
    shard.said.clear()

    shard.tell(question(order))
    await town.settle()
    await town.live(town.bank.clock.now_ms() + 2 * DAY_MS)

    end, left = ENDS[ending]
    assert end == shard.states(order)[-1]
    assert ({order.number: left} if left else {}) == await town.bank.payouts()
    assert [] == town.store.open_items()


@pytest.mark.parametrize(("point", "count"), POINTS)
async def test_a_store_lost_between_order_and_answer_pays_once(town, point, count):
    """Whichever of its commits was the last: asked, and repeated where the bank has nothing."""
    await town.bank.fund()
    shard, order = town.shards[0], instruct("one")
    die_at(town, point, count)
    try:
        shard.tell(order)
        await town.step()
        await town.step()
    except Ended:
        assert town.tasks[-1].done()
    await lose_store(town)

    shard.tell(question(order))
    await town.settle()
    if shard.states(order)[-1] != "paid":
        assert "absent" == shard.states(order)[-1]
        shard.tell(instruct("one", is_repeat=True))
        await town.settle()

    assert {order.number: [1_000]} == await town.bank.payouts()
    assert "paid" == shard.states(order)[-1]


async def test_another_amount_is_never_believed(town, monkeypatch):
    """The bank has the number with another amount: nobody is told that this one was paid."""
    await town.bank.fund()
    shard, order = town.shards[0], instruct("one")
    shard.takes = False
    shard.tell(order)
    await town.soon(lambda: shard.states(order) == ["paid"])
    monkeypatch.setattr(town.bank.client, "movements", nothing)
    await lose_store(town)
    shard.takes = True
    shard.said.clear()

    shard.tell(AskBank(2, order.id, order.number, order.amount + 1))
    await town.settle()
    assert ["unknown"] == shard.states(order)

    shard.tell(instruct("one", amount=order.amount))
    await town.settle()
    shard.tell(question(order))
    await town.settle()
    assert 2 == town.custody.stats()["custody_orders_mismatched_total"]
    assert {order.number: [1_000]} == await town.bank.payouts()


async def nothing(after):
    """The account tells nothing: what is known, is known from questions alone."""
    return ()


async def test_a_question_without_an_amount_gets_it_from_the_next(town):
    """An older shard asked first; with the amount the answer may be believed."""
    await town.bank.fund()
    shard, order = town.shards[0], instruct("one", account="6222000000008004")
    shard.tell(order)
    await town.settle()
    await lose_store(town)
    shard.said.clear()

    shard.tell(AskBank(1, order.id, order.number))
    await town.settle()
    assert ["unknown"] == shard.states(order)
    shard.tell(question(order))
    await town.settle()

    assert ["unknown", "rejected"] == shard.states(order)


async def test_money_that_came_back_is_told_although_nobody_asks(town):
    """Paid and taken: no shard asks about it any more, and then the account says it came back."""
    await town.bank.fund()
    shard, order = town.shards[0], instruct("back", account="6222000000008002")
    shard.tell(order)
    await town.settle()
    assert ["paid"] == shard.states(order)
    await lose_store(town)

    await town.live(town.bank.clock.now_ms() + 2 * DAY_MS)

    assert ["paid", "returned"] == shard.states(order)
    assert {order.number: [1_000]} == await town.bank.payouts()


async def test_a_credit_that_was_matched_is_known_from_the_shards(make_town):
    """Read anew it covers nobody a second time, and nothing is left to a person."""
    town = await make_town(shards=2, timeout_s=60.0)
    one, two = town.shards
    one.claims += [claim("a", 1_000), claim("c", 300)]
    two.claims.append(claim("b", 500, partition=101))
    await town.credit(1_800, f"wechat-1 {DAY}")
    await town.soon_settled(lambda: town.custody.stats()["custody_matched_total"])
    before = [list(shard.matched) for shard in town.shards]
    await lose_store(town)
    one.claims.append(claim("later", 400))

    await town.soon_settled(lambda: town.custody.stats()["custody_matched_total"])

    told = town.custody.stats()
    assert (0, 0) == (told["custody_credits_waiting"], told["custody_credit_short_minor"])
    assert before == [shard.matched for shard in town.shards]
    assert not town.store.is_divided(one.claims[-1].id)


async def test_a_store_lost_in_the_midst_of_a_credit_covers_the_rest(make_town):
    """One shard has covered its claim, the other could not: the rest of the credit is the other's,
    to the fen, whatever else waits there by now.
    """
    terms = {"wechat-1": Settles(0, 10_000)}
    town = await make_town(shards=2, settles=terms, timeout_s=60.0)
    one, two = town.shards
    one.claims.append(claim("a", 10_000))
    two.claims.append(claim("b", 5_000, partition=101))
    two.refuses = {two.claims[0].id}
    await town.credit(14_943, f"wechat-1 {DAY}")
    await town.soon_settled(lambda: one.matched and town.store.open_credits()[0][6] == "divided")
    await lose_store(town)
    assert [38] == [fee for _, _, fee in one.matched]

    two.refuses = set()
    await town.soon_settled(lambda: town.custody.stats()["custody_matched_total"])

    assert [38, 19] == [fee for _, _, fee in one.matched + two.matched]
    assert 0 == town.custody.stats()["custody_credits_waiting"]


async def test_a_credit_that_older_shards_covered_is_left_to_a_person(town, monkeypatch):
    """They have kept no note of it: it covers nobody again, and is told in the numbers."""
    shard = town.shards[0]
    shard.claims.append(claim("a", 1_000))
    await town.credit(1_000, f"wechat-1 {DAY}")
    await town.soon_settled(lambda: shard.matched)
    before = list(shard.matched)
    monkeypatch.setattr(shard, "covered", lambda credit: ())
    await lose_store(town)
    shard.claims.append(claim("b", 400))

    await town.soon_settled(lambda: town.custody.stats()["custody_credit_short_minor"])

    told = town.custody.stats()
    assert (1, 600) == (told["custody_credits_waiting"], told["custody_credit_short_minor"])
    assert before == shard.matched
