"""What a shard writes at its end, and what must not end it: stops and answers at odd moments."""

import asyncio
import sqlite3
from contextlib import closing
from random import Random

import pytest

from actors import gathering
from actors.core import BATCH_MAX
from actors.gathering import Gathering
from actors.messages import LaneReply
from actors.paying import PAY, REF_BITS
from payments.channels.base import Declined
from payments.channels.simulated.settings import Latency, SimulatedSettings
from payments.payment import Way
from payments.testing import an_account
from world import ACCOUNTS, World

SLOW = Latency("fixed", 300)


@pytest.fixture
def start():
    """Start worlds that are closed at the end, however it comes."""
    worlds = []

    def start(kind, *where, **words):
        worlds.append(kind(*where, **words))
        return worlds[-1].start()

    yield start
    for world in worlds:
        world.close()


def stop_shard(world):
    """An orderly end, as the supervisor asks for it."""
    world.boxes["shard-0"].stop()


def started_again(world):
    world.boxes.pop("shard-0", None)
    world.start()
    assert world.settle() == []
    assert world.loop.failures == []


def torn(path):
    """Payments and refunds with an entry in the file whose row says that they are under way."""
    with closing(sqlite3.connect(path / "shard-0.db")) as file:
        booked = {source for (source,) in file.execute("SELECT source FROM entry")}
        rows = "SELECT id FROM payment WHERE due_ms IS NOT NULL UNION ALL "
        rows += "SELECT id FROM refund WHERE due_ms IS NOT NULL"
        return len(booked), booked & {identifier for (identifier,) in file.execute(rows)}


@pytest.mark.parametrize("is_refund", [False, True])
def test_an_answer_that_comes_with_the_stop_is_written_whole(start, tmp_path, is_refund):
    """Entry, event and row, or none of them: the next owner goes on, and books nothing twice."""
    world = start(World, tmp_path, settings=SimulatedSettings(latency=SLOW, refund_latency=SLOW))
    payment = world.pay().body["id"] if is_refund else None
    take = world.shard.on_messages

    def and_stop(link, messages):
        if any(type(message) is LaneReply for message in messages):
            stop_shard(world)
        take(link, messages)

    world.shard.on_messages = and_stop
    asked = world.refund(payment) if is_refund else world.post()
    world.advance(2)
    assert not asked.done or asked.code
    booked, half = torn(tmp_path)
    assert (booked, half) == (2 if is_refund else 1, set())

    started_again(world)
    found = world.read(asked.command.id, kind="refund" if is_refund else "payment")
    assert found.body["status"] == "succeeded"


@pytest.mark.parametrize("seed", range(5))
def test_a_stop_at_any_moment_writes_whole_refunds(start, tmp_path, monkeypatch, seed):
    """Shards that share a process gather for milliseconds, and answers come meanwhile."""
    monkeypatch.setattr(gathering, "BUSY_ROWS", 1)  # Virtual commits take no time at all.
    slow = SimulatedSettings(refund_latency=Latency("uniform", 200, 260))
    world = start(World, tmp_path, seed=seed, settings=slow)
    world.core.gathering = Gathering(0.016, world.clock.monotonic)
    payments = [world.wait(ack).body["id"] for ack in [world.post() for _ in range(20)]]
    for payment in payments * 3:
        world.refund(payment, 100)
    world.loop.call_later(Random(seed).uniform(0.2, 0.28), stop_shard, world)
    world.advance(1.5)
    assert torn(tmp_path)[1] == set()

    started_again(world)
    for payment in payments:
        assert world.read(payment).body["amount_refunded"] == 300


def test_what_comes_while_a_shard_ends_is_not_decided(start, tmp_path):
    """Its store is about to close, with nothing that is decided then: the next owner inquires."""
    world = start(World, tmp_path, settings=SimulatedSettings(latency=SLOW))
    shard, store, link = world.shard, world.core.store, next(iter(world.core.links))
    asked = world.post()
    world.advance(0.1)
    live = world.core.live_by_id[asked.command.id]
    answer = LaneReply(live.no << REF_BITS | PAY, "", Declined("declined", "no money", "NO"))
    commit, heard = store.commit, []

    async def and_hear(batch):
        await commit(batch)
        shard.on_messages(link, [answer])
        heard.append(live.payment.status)

    store.commit = and_hear
    stop_shard(world)
    world.advance(1)
    assert set(heard) == {"processing"}

    started_again(world)
    assert world.read(asked.command.id).body["status"] == "succeeded"


class Pages(World):
    """Accounts that serve the pages of wallets, and no cashier of their own."""

    def accounts(self):
        ways = (Way.BARCODE, Way.QR, Way.JSAPI)
        return tuple(an_account(name, priority=n, ways=ways) for n, name in enumerate(ACCOUNTS))


def test_a_page_whose_channel_is_busy_lets_the_payer_choose_again(start):
    """The wallet named the payer to one account alone: no other one is asked in its place."""
    world = start(Pages)
    page = world.pay(way="cashier").body["id"]
    for channel in world.channels.values():
        channel._pay = lambda order: Declined(
            "channel_error", "busy", "FREQUENCY_LIMITED", not_sent=True
        )
    world.act(page, "pay")
    world.advance(3)

    payment = world.core.live_by_id[page].payment
    assert payment.status == "requires_payer"
    assert payment.attempt is None
    assert payment.is_page_open
    assert [earlier.number for earlier in payment.earlier] == [0]
    assert world.loop.failures == []


def test_a_late_answer_to_a_pages_earlier_attempt_gives_its_credit_back(start):
    """An inquiry ends an attempt while its call is out; the call still counts until it ends."""
    world = start(Pages)
    before = world.core.lanes.credits()

    async def late(order):
        await asyncio.sleep(60)
        return Declined("declined", "too late", "LATE")

    async def refused(question):
        return Declined("declined", "the payer's account is closed", "CLOSED")

    for channel in world.channels.values():
        channel.pay, channel.inquire = late, refused
        channel._at_once, channel._longest_ms = False, 1e9
    page = world.pay(way="cashier").body["id"]
    world.act(page, "pay")
    world.advance(0.5)
    assert world.core.lanes.credits() != before
    world.advance(90)
    assert not any(len(lane._calls) for lane in world.lanes.values())
    assert [each.number for each in world.core.live_by_id[page].payment.earlier] == [0]
    assert world.core.lanes.credits() == before
    assert world.loop.failures == []


def test_a_queue_longer_than_a_commit_is_emptied(start):
    """Repeats of a payment under way need no commit, so none of theirs wakes the shard."""
    world = start(World, settings=SimulatedSettings(latency=Latency("fixed", 5_000)))
    asked = world.post()
    world.advance(0.1)
    shard, link = world.shard, next(iter(world.core.links))
    shard._take(link, [asked.command] * (2 * BATCH_MAX))
    assert len(shard._queue) == 2 * BATCH_MAX
    world.advance(0.2)
    assert len(shard._queue) == 0
