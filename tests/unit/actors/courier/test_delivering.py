"""Bringing events: at least once, in order per payment, and nobody waits for another's receiver."""

import asyncio

import pytest

from actors.courier_lanes import DeliveryLimits
from payments.webhooks import PLAN_MS, Answered
from post import FAST_PPM, answers, until

A, B, C = "http://a", "http://b", "http://c"


async def test_an_event_is_brought_to_everybody_who_wants_it(town):
    """Own endpoints and the platform's, by their filters; nobody else hears of it."""
    await town.endpoint(A, "payment.*", merchant=town.tea)
    await town.endpoint(B, "refund.succeeded", merchant=town.tea)
    await town.endpoint(C, "*", platform="saas")
    await town.endpoint("http://wang", "*")

    paid, given_back = await town.happen("payment.succeeded", "refund.succeeded", merchant=town.tea)
    (buns,) = await town.happen(merchant=town.buns)
    await town.quiet()

    assert [paid] == town.street.at(A)
    assert [given_back] == town.street.at(B)
    assert [paid, given_back] == [each for each in town.street.at(C) if each != buns]
    assert buns in town.street.at(C)
    assert [] == town.street.at("http://wang")


async def test_what_happened_before_an_endpoint_was_made_is_not_brought(town):
    """Not even after a restart; what happened after it is."""
    await town.happen()
    await town.endpoint(A)
    await town.crash()
    await town.rise()
    (later,) = await town.happen()
    await town.quiet()

    assert [later] == town.street.at(A)


async def test_what_was_not_taken_is_brought_again_under_the_same_id(town):
    """Each try signed anew, the id and the body as they were."""
    town.street.receivers[A] = answers(500, 302)
    await town.endpoint(A)
    (paid,) = await town.happen()

    await town.came(1)
    await town.later(1)
    await town.came(2)
    await town.later(1)
    first, second, third = await town.came(3)
    await town.quiet()

    assert [paid] * 3 == town.street.at(A)
    assert first.body == second.body == third.body
    stamps = [int(p.headers["webhook-timestamp"]) for p in (first, second, third)]
    assert [0, 1, 2] == [stamp - stamps[0] for stamp in stamps]
    assert ["delivered"] == town.deliveries(paid)


async def test_events_of_a_payment_come_in_their_order(town):
    """The next leaves when the one before it was taken, also when that took some tries."""
    town.street.receivers[A] = answers(500, 500)
    await town.endpoint(A)
    kinds = ("payment.overdue", "payment.succeeded", "refund.succeeded", "refund.failed")
    ids = await town.happen(*kinds)

    for count in (1, 2):
        await town.came(count)
        await town.later(10)
    await town.came(2 + len(ids))

    assert [ids[0], ids[0], *ids] == town.street.at(A)


async def test_events_of_other_payments_do_not_wait(town):
    """A payment whose event is refused holds up its own events alone."""
    refused = town.mint.new("pay", town.clock.now_ms(), 0)

    async def receive(parcel):
        return Answered(500 if parcel.payment == refused else 200)

    town.street.receivers[A] = receive
    await town.endpoint(A)
    await town.happen("payment.overdue", "payment.succeeded", payment=refused)
    others = [(await town.happen())[0] for _ in range(20)]
    await town.quiet()

    assert sorted(others) == sorted(set(town.street.at(A)) - {town.street.got[0].id})
    assert 21 == len(set(town.street.at(A)))


async def test_after_the_last_try_the_next_event_of_the_payment_leaves(make_town):
    """Ten tries, then it failed: what follows is not held up for ever."""
    town = await make_town(limits=DeliveryLimits(scale_ppm=0))
    lost, found = "payment.overdue", "payment.succeeded"

    async def receive(parcel):
        return Answered(503 if parcel.type == lost else 200)

    town.street.receivers[A] = receive
    await town.endpoint(A)
    first, second = await town.happen(lost, found)
    while town.deliveries(first) != ["failed"]:
        await town.later(1)
    await town.quiet()

    assert [first] * len(PLAN_MS) + [second] == town.street.at(A)
    assert ["delivered"] == town.deliveries(second)


async def test_a_receiver_that_hangs_delays_nobody_else(town):
    """All its places are taken and nothing comes back: the other endpoint hears everything."""
    hang = asyncio.Event()

    async def never(_):
        await hang.wait()
        return Answered(200)

    town.street.receivers[A] = never
    await town.endpoint(A)
    await town.endpoint(B)
    ids = [(await town.happen())[0] for _ in range(50)]
    await town.came(50, B)

    assert sorted(ids) == sorted(town.street.at(B))
    assert town.limits.window_max == len(town.street.at(A))
    hang.set()
    await town.came(50, A)


async def test_receivers_that_fail_hold_at_most_half_of_all_places(make_town):
    """However many they are; one that answers is served at once."""
    limits = DeliveryLimits(wire_max=8, window_max=2, scale_ppm=FAST_PPM)
    town = await make_town(limits=limits)
    hang, dead = asyncio.Event(), [f"http://dead{number}" for number in range(12)]

    def receiver():
        tries = []

        async def receive(parcel):
            tries.append(parcel)
            if len(tries) > 1:
                await hang.wait()
            return Answered(500)

        return receive

    for url in dead:
        town.street.receivers[url] = receiver()
        await town.endpoint(url)
    await town.happen()
    await town.came(len(dead))
    for _ in range(3):
        await town.happen()
    await until(lambda: town.street.now == limits.suspects_max)
    await town.endpoint(B)
    ids = [(await town.happen())[0] for _ in range(10)]
    await town.came(10, B)

    assert sorted(ids) == sorted(town.street.at(B))
    assert limits.suspects_max == town.street.now
    hang.set()


async def test_an_endpoint_has_its_window_and_all_have_theirs(make_town):
    """The named limits of requests on the wire."""
    limits = DeliveryLimits(wire_max=5, window_max=3)
    town = await make_town(limits=limits)
    gate, now, most = asyncio.Event(), {A: 0, B: 0}, {A: 0, B: 0}

    async def receive(parcel):
        now[parcel.url] += 1
        most[parcel.url] = max(most[parcel.url], now[parcel.url])
        await gate.wait()
        now[parcel.url] -= 1
        return Answered(200)

    for url in (A, B):
        town.street.receivers[url] = receive
        await town.endpoint(url)
    for _ in range(20):
        await town.happen()
    await until(lambda: town.street.now == 5)
    gate.set()
    await town.came(40)

    assert 5 == town.street.most
    assert 3 == max(most.values())


async def test_one_that_fails_gets_fewer_places_and_wins_them_back(make_town):
    """Half of them a failure, one more an answer."""
    town = await make_town(limits=DeliveryLimits(window_max=8, scale_ppm=FAST_PPM))
    town.street.receivers[A] = answers(*[500] * 12)
    made = await town.endpoint(A)
    lane = town.courier.lanes._lanes[made["id"]]
    for _ in range(12):
        await town.happen()
    await town.came(12)
    await town.quiet()
    assert 1 == lane.window

    await town.later(60)
    await town.came(24)
    await town.quiet()
    assert 8 == lane.window


async def test_410_disables_the_endpoint_and_ends_what_waits(town):
    """The receiver is gone; what it has not taken is canceled, and nothing new is kept for it."""
    town.street.receivers[A] = answers(410)
    made = await town.endpoint(A)
    first, second = await town.happen("payment.overdue", "payment.succeeded")
    await until(lambda: town.deliveries(first) == ["failed"])
    await town.quiet()
    await town.happen()
    await town.quiet()

    shown = await town.ask("endpoints.get", target=made["id"])
    assert ("disabled", "gone") == (shown["status"], shown["disabled_reason"])
    assert (["failed"], ["canceled"]) == (town.deliveries(first), town.deliveries(second))
    assert 1 == len(town.street.got)


async def test_enabled_again_it_hears_what_happens_from_then_on(town):
    """What was missed is sent when somebody asks for it."""
    town.street.receivers[A] = answers(410)
    made = await town.endpoint(A)
    missed = await town.happen("payment.overdue", "payment.succeeded")
    await until(lambda: town.deliveries(missed[1]) == ["canceled"])
    await town.ask("endpoints.enable", target=made["id"])
    (later,) = await town.happen()
    await town.quiet()
    assert [missed[0], later] == town.street.at(A)

    await town.ask("events.resend", target=missed[1])
    await town.quiet()
    assert [missed[0], later, missed[1]] == town.street.at(A)


async def test_retry_after_holds_the_whole_endpoint(town):
    """For as long as it asked, in real time; then all of it comes."""
    town.street.receivers[A] = answers(429, retry_after="30")
    made = await town.endpoint(A)
    (first,) = await town.happen()
    await town.came(1)
    await town.quiet()
    due = town.store.next_due(made["id"], 0)
    assert 30_000 == due - town.clock.real_ms()
    (second,) = await town.happen()
    await town.quiet()
    assert [first] == town.street.at(A)

    await town.later(29)
    await town.quiet()
    assert [first] == town.street.at(A)
    await town.later(1.001)
    await town.came(3)
    assert sorted([first, first, second]) == sorted(town.street.at(A))


async def test_a_restart_keeps_the_times_of_the_next_tries(town):
    """They are in the store, not in a timer: nothing is hurried, nothing is forgotten."""
    town.street.receivers[A] = answers(500)
    made = await town.endpoint(A)
    (paid,) = await town.happen()
    await until(lambda: town.store.next_due(made["id"], 0) is not None and len(town.street.got))
    await town.quiet()
    due = town.store.next_due(made["id"], 0)
    await town.crash()
    await town.rise()

    assert due == town.store.next_due(made["id"], 0)
    await town.quiet()
    assert 1 == len(town.street.got)
    await town.later(1)
    await town.came(2)
    await town.quiet()
    assert ["delivered"] == town.deliveries(paid)


async def test_a_shard_that_is_away_is_waited_for(make_town):
    """What it commits before and after is brought; the other shard's events do not wait."""
    town = await make_town(shards=2)
    await town.endpoint(A)
    await town.endpoint(B, merchant=town.tea)
    town.shards[0].die()
    (other,) = await town.happen(merchant=town.tea)
    (missed,) = await town.happen()
    await town.came(1, B)
    assert [other] == town.street.at(B)
    assert [] == town.street.at(A)

    await town.shards[0].rise()
    (later,) = await town.happen()
    await town.came(2, A)
    assert [missed, later] == town.street.at(A)


async def test_a_shard_that_lost_what_it_had_committed_is_read_from_there(town):
    """Set back from a backup, it numbers anew: the courier must not pass that over."""
    await town.endpoint(A)
    for _ in range(3):
        await town.happen()
    await town.came(3)
    await town.quiet()
    await town.crash()
    shard = town.shards[0]
    town.shards[0] = type(shard)(town.network, 0)
    shard.die()
    await town.shards[0].rise()
    await town.rise()

    (anew,) = await town.happen()
    await town.came(4)
    assert anew == town.street.at(A)[-1]


async def test_a_merchant_that_is_not_known_here_yet_is_waited_for(make_town):
    """The shard heard of it first: its event is nobody's to throw away."""
    town = await make_town()
    await town.endpoint(A, platform="saas")
    await town.crash()
    town.unknown = {3}
    await town.rise()
    (paid,) = await town.happen(merchant=town.buns)
    await asyncio.sleep(0.1)
    assert [] == town.street.got

    town.introduce()
    await town.came(1)
    assert [paid] == town.street.at(A)


async def test_an_endpoint_with_too_much_waiting_is_disabled(make_town):
    """The named limit: its owner fetches the rest when it is back."""
    town = await make_town(limits=DeliveryLimits(open_max=5, scale_ppm=10**6))
    town.street.receivers[A] = answers(then=500)
    made = await town.endpoint(A)
    for _ in range(6):
        await town.happen()
    await town.quiet()

    shown = await town.ask("endpoints.get", target=made["id"])
    assert ("disabled", "backlog") == (shown["status"], shown["disabled_reason"])


async def test_a_drain_finishes_what_is_on_the_wire_and_leaves_the_rest_due(make_town):
    """Nothing is cut that would be sent twice for it."""
    town = await make_town(limits=DeliveryLimits(window_max=1))
    gate = asyncio.Event()

    async def receive(_):
        await gate.wait()
        return Answered(200)

    town.street.receivers[A] = receive
    await town.endpoint(A)
    first, second = [(await town.happen())[0] for _ in range(2)]
    await town.came(1)
    stopping = asyncio.create_task(town.stop())
    await asyncio.sleep(0)
    gate.set()
    await stopping
    assert [first] == town.street.at(A)

    await town.rise()
    await town.came(2)
    await town.quiet()
    assert [first, second] == town.street.at(A)


@pytest.mark.parametrize("count", [1_203])
async def test_many_events_are_read_in_pages(town, count):
    """More than a page, more than a fetch, more than a line holds; each once."""
    await town.endpoint(A)
    shard = town.shards[0]
    shard.die()
    ids = [(await town.happen())[0] for _ in range(count)]
    await shard.rise()
    await town.came(count)
    await town.quiet()

    assert sorted(ids) == sorted(town.street.at(A))
    assert 0 == town.courier.stats()["webhook_backlog"]
    assert count == town.courier.stats()['webhook_deliveries_total{outcome="delivered"}']


async def test_the_shard_says_when_there_is_more(town, monkeypatch):
    """Asking by itself now and then is for words that were lost."""
    await town.endpoint(A)
    monkeypatch.setattr("actors.courier_tail.POLL_S", 3_600.0)
    for count in (1, 2, 3):
        await town.happen()
        await town.came(count)

    assert 3 == len(town.street.at(A))
