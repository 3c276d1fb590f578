"""Snapshots: whole, followed, resumed, and how old they are."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.messages import Changes, Ping, Pong, ReadStatus, Stats, Subscribe
from actors.snapshot import STALE_AFTER_S, Reference
from payments.clock import ManualClock
from payments.ids import SHARED_PARTITIONS, IdMint, SeededEntropy
from payments.reference import Key, KeyOwner, KeyType, Merchant, MerchantStatus, Store, Terminal
from payments.register import Register

MINT = IdMint(SeededEntropy(3))


def a_merchant(number, partition=None, platform=None, name="M"):
    partition = (number - 1) % 256 if partition is None else partition
    identifier = MINT.new("mch", 1_795_000_000_000, partition)
    return Merchant(
        identifier, number, name, MerchantStatus.ACTIVE, partition, platform, 1_795_000_000_000
    )


async def some_data(world, count=20):
    for number in range(count):
        merchant = await world.made("merchants.create", {"name": f"M{number}"})
        await world.made("stores.create", {"name": "S"}, merchant=merchant["id"])
        key = await world.made("keys.create", {"type": "bearer"}, merchant=merchant["id"])
        if number % 3 == 0:
            await world.ask("keys.revoke", target=key["id"])


def contents(reference):
    """All that a follower can look up, by value."""
    register = reference._register
    return {
        **register._merchants,
        **register._stores,
        **register._terminals,
        **register._keys,
        **register._bearers,
        "numbers": register._numbers,
    }


async def test_a_snapshot_and_the_changes_after_it_are_the_full_state(world, until_true):
    """Whoever subscribed early, late or twice holds the same."""
    early = world.link("shard-0", "shard", since=0)
    await some_data(world)
    late = world.link("front-1", "front", since=0)
    await until_true(lambda: late.reference.ready() and late.reference.number > 20)
    cut = early.reference.number
    world.directory.on_link_lost(early)
    await some_data(world, 5)
    world.directory.on_messages(early, [Subscribe("shard-0", cut)])
    number = world.directory.number
    await until_true(lambda: early.reference.number == late.reference.number == number)

    assert contents(early.reference) == contents(late.reference)
    assert len(late.reference) > 50


async def test_a_snapshot_comes_in_pieces_with_complete_on_the_last(world, until_true):
    """No frame is near a link's limit, and only the last piece makes it complete."""
    await some_data(world)
    world.directory._limits = type(world.limits)(changes_records_max=7, changes_bytes_max=600)
    link = world.link("front-1", "front", since=0)
    await until_true(lambda: link.reference.complete)
    pieces = [message for message in link.all(Changes) if message.records]

    assert len(pieces) > 5
    assert all(len(piece.records) <= 7 for piece in pieces)
    assert link.frames_max < 1_000
    assert [False] * (len(pieces) - 1) == [piece.complete for piece in pieces[:-1]]


async def test_a_slow_follower_catches_up_and_misses_nothing(world, until_true):
    """A link that takes no more is fed again from where it stood."""
    link = world.link("front-1", "front", since=0)
    await until_true(lambda: link.reference.ready())
    link.room = 0
    await some_data(world)
    link.room = 1_000_000
    await until_true(lambda: link.reference.number == world.directory.number)

    fresh = world.link("front-2", "front", since=0)
    await until_true(lambda: fresh.reference.number == world.directory.number)
    assert contents(fresh.reference) == contents(link.reference)


async def test_a_revoked_key_stops_at_every_follower_before_the_caller_hears(world, until_true):
    """The change is sent before the answer, and a clock that is wrong does not help the key."""
    merchant = (await world.made("merchants.create", {"name": "A"}))["id"]
    key = await world.made("keys.create", {"type": "bearer"}, merchant=merchant)
    link = world.link("front-1", "front", since=0)
    await until_true(lambda: link.reference.by_id(key["id"]) is not None)
    digest = link.reference.by_id(key["id"]).secret

    await world.ask("keys.revoke", target=key["id"])

    assert link.reference.by_id(key["id"]) is None
    assert link.reference.by_bearer_digest(digest) is None


async def test_a_heartbeat_keeps_a_follower_ready(world, until_true):
    """Without word for ten seconds it is not ready."""
    link = world.link("front-1", "front", since=0)
    await until_true(lambda: link.reference.ready())
    world.clock.advance(STALE_AFTER_S + 1)
    beats = len(link.all(Changes))
    await until_true(lambda: len(link.all(Changes)) > beats)
    assert link.reference.ready()

    link.room = 0
    world.clock.advance(STALE_AFTER_S + 1)
    await asyncio.sleep(0.05)
    assert not link.reference.ready()
    assert link.reference.age_s() == pytest.approx(STALE_AFTER_S + 1)


async def test_everything_is_there_after_a_restart(world, until_true):
    """What was answered was durable."""
    await some_data(world)
    link = world.link("front-1", "front", since=0)
    await until_true(lambda: link.reference.number == world.directory.number)
    before, number = contents(link.reference), world.directory.number
    await world.stop()
    await world.start()
    again = world.link("front-1", "front", since=0)
    await until_true(lambda: again.reference.complete)

    assert number == world.directory.number == again.reference.number
    assert before == contents(again.reference)


async def test_a_follower_of_another_data_directory_gets_everything(world, until_true):
    """Its number is ahead of ours: that cannot be our history."""
    await some_data(world, 2)
    link = world.link("front-1", "front", since=1_000_000)
    await until_true(lambda: link.reference.complete)
    assert len(link.reference) >= 5


async def test_ping_and_numbers_are_answered_at_once(world):
    """They need no commit."""
    world.directory.on_messages(world.front, [Ping(5), ReadStatus(6)])
    assert [Pong(5)] == world.front.all(Pong)
    (stats,) = world.front.all(Stats)
    assert (6, "directory", 1) == (stats.ref, stats.name, stats.values["records"])


def test_a_reference_that_never_heard_is_not_ready():
    """No age, nothing to look up."""
    reference = Reference(ManualClock())
    assert (None, False, 0) == (reference.age_s(), reference.ready(), len(reference))
    reference.take(Changes(1, (a_merchant(1),), False))
    assert not reference.ready()
    reference.take(Changes(1, (), True))
    assert reference.ready()


def test_look_ups_find_each_kind():
    """By id, by number, by bearer digest, by platform."""
    merchant = a_merchant(3, platform="plt_x")
    store = Store("sto_1", merchant.id, "S")
    till = Terminal("trm_1", merchant.id, "sto_1", "T")
    key = Key("key_1", KeyType.BEARER, KeyOwner.MERCHANT, merchant.id, b"d" * 32, ("*",))
    reference = Reference(ManualClock())
    reference.take(Changes(4, (merchant, store, till, key), True))

    assert merchant == reference.merchant(merchant.id) == reference.merchant_by_number(3)
    assert [merchant] == reference.merchants_of_platform("plt_x")
    assert (store, till) == (reference.store("sto_1"), reference.terminal("trm_1"))
    assert key == reference.by_id("key_1") == reference.by_bearer_digest(b"d" * 32)
    assert [None] * 4 == [reference.merchant_by_number(n) for n in (0, 1, 4, -1)]


@given(st.lists(st.tuples(st.integers(0, 7), st.sampled_from(["p", "q", None])), max_size=60))
def test_a_merchant_is_with_the_platform_that_it_has_now(moves):
    """However often it changed."""
    merchants = [a_merchant(number + 1) for number in range(8)]
    register = Register()
    for merchant in merchants:
        register.apply(merchant)
    now = {}
    for index, platform in moves:
        old = merchants[index]
        register.apply(Merchant(old.id, old.number, "N", old.status, old.partition, platform))
        now[old.id] = platform

    for platform in ("p", "q"):
        expected = {identifier for identifier, one in now.items() if one == platform}
        assert expected == {each.id for each in register.merchants_of_platform(platform)}


@given(st.lists(st.booleans(), max_size=300))
def test_numbers_are_dense_and_dedicated_partitions_are_never_shared(kinds):
    """Whatever the order in which merchants come."""
    from payments.directory import place_merchant

    register = Register()
    placed = []
    for dedicated in kinds:
        number, partition = place_merchant(register, dedicated=dedicated)
        register.apply(a_merchant(number, partition))
        placed.append((number, partition, dedicated))

    assert list(range(1, len(kinds) + 1)) == [number for number, _, _ in placed]
    own = [partition for _, partition, dedicated in placed if dedicated]
    assert sorted(own) == list(range(SHARED_PARTITIONS, SHARED_PARTITIONS + len(own)))
    assert all(
        partition == (number - 1) % SHARED_PARTITIONS
        for number, partition, dedicated in placed
        if not dedicated
    )
