"""What happens to a platform's own receivers: the platform's endpoints hear of it, nobody else."""

import msgspec
import pytest

from actors.messages import Refusal
from payments.view import event_id, event_json
from payments.webhooks import platform_number

OWN, OTHERS, SHOP = "http://saas", "http://others", "http://shop"


async def pay_out(town, platform, *kinds):
    """A withdrawal of a receiver of that platform passes through these states, by events."""
    shard = town.shards[0]
    source = town.mint.new("wdr", town.clock.now_ms(), 0)
    rows = []
    for kind in kinds or ("withdrawal.paid",):
        shard.core.event_no += 1
        now = town.clock.now_ms()
        data = {"id": source, "object": "withdrawal", "merchant": None, "payment": None}
        body = event_json(kind, now, msgspec.json.encode(data))
        no, number = shard.core.event_no, platform_number(platform)
        rows.append((no, 0, number, event_id(source, kind), kind, now, body))
    await shard.commit(rows)
    return [row[3] for row in rows]


async def listed(town, query=None, **who):
    page = await town.ask("events.list", query=query, **who)
    return [each["id"] for each in page["data"]]


@pytest.fixture
async def streets(town):
    """An endpoint of the platform, one of another platform, and one of a shop of the first."""
    await town.endpoint(OWN, "withdrawal.*", platform="saas")
    await town.endpoint(OTHERS, "*", platform="other")
    await town.endpoint(SHOP, "*", merchant=town.tea)
    return town


async def test_the_platforms_endpoints_hear_and_nobody_elses(streets):
    """In order, and only what an endpoint wants."""
    unwanted = await pay_out(streets, "saas", "settlement.paid")
    ids = await pay_out(streets, "saas", "withdrawal.in_transit", "withdrawal.paid")
    foreign = await pay_out(streets, "other")
    await streets.quiet()

    assert ids == streets.street.at(OWN)
    assert foreign == streets.street.at(OTHERS)
    assert [] == streets.street.at(SHOP)
    assert [] == streets.deliveries(unwanted[0])


async def test_they_hear_once_although_the_courier_died(streets):
    """The number in the event is all that is needed: nothing is kept in memory for it."""
    before = await pay_out(streets, "saas")
    await streets.quiet()
    await streets.crash()
    meanwhile = await pay_out(streets, "saas")
    await streets.rise()
    await streets.quiet()

    assert before + meanwhile == streets.street.at(OWN)


async def test_the_platform_lists_and_reads_them_and_nobody_else(streets):
    """Between those of its merchants, by their instants; they are no merchant's."""
    first = await pay_out(streets, "saas")
    streets.clock.advance(1)
    second = await streets.happen(merchant=streets.buns)
    streets.clock.advance(1)
    third = await pay_out(streets, "saas")
    await pay_out(streets, "other")
    await streets.quiet()

    assert third + second + first == await listed(streets, platform="saas")
    assert second + first == await listed(
        streets, {"limit": "2", "starting_after": third[0]}, platform="saas"
    )
    assert third + first == await listed(streets, {"type": "withdrawal.*"}, platform="saas")
    shown = await streets.ask("events.get", target=first[0], platform="saas")
    assert (None, "withdrawal.paid") == (shown["merchant"], shown["type"])
    for stranger in ({"platform": "other"}, {"merchant": streets.tea}):
        refused = await streets.ask("events.get", target=first[0], **stranger)
        assert isinstance(refused, Refusal)
        assert refused.code == "not_found"
        assert first[0] not in await listed(streets, **stranger)


async def test_they_are_sent_again(streets):
    """One by its id, and a range, to the platform's endpoints alone."""
    (sent,) = await pay_out(streets, "saas")
    await streets.quiet()

    await streets.ask("events.resend", target=sent, platform="saas")
    await streets.quiet()
    again = {"from": "2000-01-01T00:00:00Z", "to": "2100-01-01T00:00:00Z"}
    said = await streets.ask("events.resend_range", again, platform="saas")
    await streets.quiet()

    assert (1, 1) == (said["events"], said["deliveries"])
    assert [sent] * 3 == streets.street.at(OWN)
    assert [] == streets.street.at(SHOP)


def test_the_number_of_a_platform_is_no_merchants():
    """Negative, the same in every process, and its own."""
    numbers = {platform_number(f"platform {n}") for n in range(1_000)}

    assert len(numbers) == 1_000
    assert max(numbers) < 0
    assert min(numbers) > -(2**62)
    assert platform_number("saas") == -1 - 0x98650C35CD5EA2  # Stored in events: never another.
