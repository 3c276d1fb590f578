"""The box ends as kill -9 ends it, before and after each of its commits; the next one goes on."""

import pytest

from actors.custody import AFTER_COMMIT, BEFORE_COMMIT
from actors.home_messages import AskBank
from custody_town import DAY, Ended, claim, instruct

HOUR_MS = 3_600_000
COMMITS = 9
"""The story has eight or nine of them, by how they fall together."""

POINTS = [(point, n) for point in (BEFORE_COMMIT, AFTER_COMMIT) for n in range(1, COMMITS + 1)]


class Dead(Exception):
    """The process ends here."""


class Killer:
    """Ends the box when it comes by a point for the n-th time."""

    def __init__(self, point, count):
        self.point, self.left, self.is_done = point, count, False

    def __call__(self, name):
        if name == self.point and not self.is_done:
            self.left -= 1
            if self.left == 0:
                self.is_done = True
                raise Dead(name)


@pytest.mark.parametrize(("point", "count"), POINTS)
async def test_a_crash_at_any_commit_pays_once_and_matches_once(make_town, point, count):
    """Whatever was durable goes on; what was not is asked for again by the shard."""
    town = await make_town()
    await town.bank.fund()
    shard, order = town.shards[0], instruct("one")
    shard.claims.append(claim("a", 1_000))
    killer = town.custody.commits.reach = Killer(point, count)
    try:
        await town.credit(1_000, f"wechat-1 {DAY}")
        shard.tell(order)
        await town.step()
        await town.step()
    except Ended:
        assert killer.is_done
    await town.crash()

    await town.start()
    shard.tell(AskBank(2, order.id, order.number))
    await town.settle()
    await town.live(town.bank.clock.now_ms() + HOUR_MS)
    if shard.states(order)[-1:] != ["paid"]:
        assert "absent" == shard.states(order)[-1]
        shard.tell(instruct("one", is_repeat=True))
        await town.settle()

    assert {order.number: [1_000]} == await town.bank.payouts()
    assert "paid" == shard.states(order)[-1]
    assert {shard.claims[0].id} == shard.done
    assert 1 == len({(ref, fee) for ref, _, fee in shard.matched})
    assert [] == town.store.open_items()


async def test_the_bytes_are_durable_before_the_first_of_them_leaves(town, monkeypatch):
    """The bank sees an order only after our store has it."""
    await town.bank.fund()
    sent, kept = [], []
    submit = town.bank.client.submit

    async def watched(body):
        sent.append(body)
        kept.append(town.store.message(1))
        return await submit(body)

    monkeypatch.setattr(town.bank.client, "submit", watched)
    town.shards[0].tell(instruct("one"))
    await town.settle()

    assert sent == kept
    assert 1 == len(sent)


async def test_a_repeat_after_a_restart_is_the_same_bytes(make_town, monkeypatch):
    """Hours later, by another process: byte for byte what was kept."""
    town = await make_town(timeout_s=1.5)  # The first is never answered.
    await town.bank.fund()
    shard, order = town.shards[0], instruct("one", account="6222000000008011")
    shard.tell(order)
    await town.settle()
    first = town.store.message(1)
    await town.crash()
    await town.start()
    await town.live(town.bank.clock.now_ms() + HOUR_MS)
    sent = []
    submit = town.bank.client.submit

    async def watched(body):
        sent.append(body)
        return await submit(body)

    monkeypatch.setattr(town.bank.client, "submit", watched)
    shard.tell(instruct("one", account="6222000000008011", is_repeat=True))
    await town.settle()

    assert [first] == sent
    assert {order.number: [1_000]} == await town.bank.payouts()
