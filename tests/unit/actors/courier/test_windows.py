"""W9 of docs/RELIABILITY.md: the courier dies between two steps, each reached on purpose.

Whatever the step, every event comes at least once, those of a payment in their order, and one that
comes twice has the id it had.
"""

import asyncio

import pytest

from actors.courier_commits import AFTER_COMMIT, BEFORE_COMMIT
from actors.courier_lanes import AFTER_SEND
from post import answers, until

A = "http://a"
KINDS = ("payment.overdue", "payment.succeeded", "refund.succeeded")


class Died(BaseException):
    """The process is gone: nobody handles this."""


def die_at(town, point, time):
    """End the courier when it comes by `point` for the `time`-th time from now on."""
    left = [time]

    def reach(name):
        if name == point:
            left[0] -= 1
            if left[0] == 0:
                town.store.abandon()
                raise Died(point)

    town.courier.commits.reach = reach


def in_order(came, ids):
    """Whether first comings are in order: what came again came before."""
    return ids == list(dict.fromkeys(came))


@pytest.mark.parametrize("time", [1, 2, 3, 4])
@pytest.mark.parametrize("point", [BEFORE_COMMIT, AFTER_COMMIT, AFTER_SEND])
@pytest.mark.parametrize("first", [200, 500])
async def test_w9_event_committed_and_the_courier_dies_on_the_way(town, point, time, first):
    """Before and after each commit (deliveries, outcomes), and after each request."""
    town.street.receivers[A] = answers(first)
    await town.endpoint(A)
    die_at(town, point, time)
    ids = await town.happen(*KINDS)
    while not town._running.done():
        town.clock.advance(1)
        await asyncio.sleep(0.01)
        if first == 200 and len(set(town.street.at(A))) == len(ids):
            break
    if town._running.done():
        assert isinstance(await town.died(), Died)
    else:
        await town.crash()
    await town.rise()
    while [["delivered"]] * len(ids) != [town.deliveries(each) for each in ids]:
        town.clock.advance(1)
        await asyncio.sleep(0.01)

    came = town.street.at(A)
    assert in_order(came, ids), came
    assert len(came) <= len(ids) + 1 + (first == 500), came
    bodies = {parcel.id: parcel.body for parcel in town.street.got}
    assert all(parcel.body == bodies[parcel.id] for parcel in town.street.got)


@pytest.mark.parametrize("time", range(1, 6))
async def test_w9_event_committed_and_the_shard_dies(town, time):
    """The shard's process goes away while it is read: nothing is passed over, nothing doubled."""
    await town.endpoint(A)
    shard = town.shards[0]
    ids = []
    for number in range(6):
        ids += await town.happen()
        if number == time:
            shard.die()
            ids += await town.happen()
            await shard.rise()
    await town.came(len(ids))
    await town.quiet()

    assert sorted(ids) == sorted(town.street.at(A))


async def test_w9_both_die_again_and_again(make_town):
    """Under load: everything comes, in order per payment."""
    town = await make_town(shards=2)
    await town.endpoint(A)
    await town.endpoint("http://saas", platform="saas")
    stories = []
    for number in range(30):
        merchant = (town.wang, town.tea, town.buns)[number % 3]
        stories.append((merchant, await town.happen(*KINDS, merchant=merchant)))
        if number % 5 == 2:
            await town.crash()
            await town.rise()
        if number % 7 == 3:
            shard = town.shards[number % 2]
            shard.die()
            await shard.rise()
    for merchant, ids in stories:
        url = A if merchant is town.wang else "http://saas"
        await until(lambda: not set(ids) - set(town.street.at(url)))  # noqa: B023 - awaited here
        assert in_order([each for each in town.street.at(url) if each in ids], ids)


async def test_an_endpoint_that_was_answered_for_is_there_after_a_crash(town):
    """And its secret signs what comes."""
    made = await town.endpoint(A)
    await town.crash()
    await town.rise()
    (paid,) = await town.happen()
    await town.came(1)

    shown = await town.ask("endpoints.get", target=made["id"])
    assert {**shown, "secret": made["secret"]} == made
    assert [paid] == town.street.at(A)


async def test_the_cursor_is_where_the_deliveries_are(town):
    """Never behind them for long: what was pruned must not come again; without takers neither."""
    await town.endpoint(A, "payment.failed")
    await town.happen("payment.failed")
    await town.came(1)
    await town.quiet()
    assert {0: 1} == town.store.cursors()

    await town.happen("payment.succeeded")
    await until(lambda: {0: 2} == town.store.cursors())
