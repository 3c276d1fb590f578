"""Events and deliveries as callers see them: lists, filters, tries, and sending again."""

import pytest

from actors.courier_lanes import DeliveryLimits
from actors.messages import Refusal
from payments.calendar import rfc3339
from payments.webhook_wishes import RESEND_MAX
from post import answers

A, B = "http://a", "http://b"


def code(refusal):
    assert isinstance(refusal, Refusal), refusal
    return refusal.code


async def ids_of(town, query=None, **who):
    page = await town.ask("events.list", query=query, **who)
    assert not isinstance(page, Refusal), page
    return [each["id"] for each in page["data"]]


async def test_events_are_listed_without_any_endpoint(town):
    """Newest first, whose they are, with what the webhook would say."""
    first = await town.happen("payment.overdue", "payment.succeeded")
    second = await town.happen(merchant=town.tea)
    await town.quiet()

    assert first[::-1] == await ids_of(town)
    assert second == await ids_of(town, merchant=town.tea)
    shown = await town.ask("events.get", target=first[0])
    assert (first[0], "event", "payment.overdue", town.wang.id) == (
        shown["id"],
        shown["object"],
        shown["type"],
        shown["merchant"],
    )
    assert "payment" == shown["data"]["object"]
    for stranger in ({"merchant": town.tea}, {"platform": "saas"}):
        assert "not_found" == code(await town.ask("events.get", target=first[0], **stranger))


async def test_a_platform_lists_the_events_of_all_its_merchants(make_town):
    """From all shards, by their instants."""
    town = await make_town(shards=2)
    ids = []
    for number in range(8):
        town.clock.advance(1)
        ids += await town.happen(merchant=(town.tea, town.buns)[number % 2])
        await town.happen()
    await town.quiet()

    assert ids[::-1] == await ids_of(town, platform="saas")
    assert ids[::-1][2:5] == await ids_of(
        town, {"limit": "3", "starting_after": ids[6]}, platform="saas"
    )
    assert ids[::-1][2:5] == await ids_of(
        town, {"limit": "3", "ending_before": ids[2]}, platform="saas"
    )


async def test_events_are_filtered(town):
    """By type or group, by instant, by payment with its refunds."""
    payment = town.mint.new("pay", town.clock.now_ms(), 0)
    early = await town.happen("payment.failed")
    town.clock.advance(10)
    middle = rfc3339(town.clock.now_ms())
    late = await town.happen("payment.succeeded", "refund.succeeded")
    await town.quiet()

    assert early == await ids_of(town, {"type": "payment.failed"})
    assert [late[0], *early] == await ids_of(town, {"type": "payment.*"})
    at = str(town.clock.now_ms())
    assert middle
    assert late[::-1] == await ids_of(town, {"created[gte]": at})
    assert early == await ids_of(town, {"created[lt]": at})
    assert [] == await ids_of(town, {"created[gt]": at})
    assert [*late[::-1], *early] == await ids_of(town, {"created[lte]": at})
    assert [] == await ids_of(town, {"payment": payment})


async def test_pages_of_events_neither_miss_nor_repeat(town):
    """Forward and backward."""
    ids = []
    for _ in range(25):
        ids += await town.happen()
    await town.quiet()
    ids.reverse()

    seen = await ids_of(town, {"limit": "10"})
    while len(seen) < 25:
        seen += await ids_of(town, {"limit": "10", "starting_after": seen[-1]})
    assert ids == seen
    assert ids[5:15] == await ids_of(town, {"limit": "10", "ending_before": ids[15]})
    assert "invalid_field" == code(
        await town.ask("events.list", query={"starting_after": "evt_" + "0" * 24 + "S"})
    )


async def test_lists_go_back_so_far_and_one_event_is_always_there(make_town):
    """What lists remember is bounded; by its id an event is read from its shard."""
    town = await make_town()
    ids = []
    for _ in range(30):
        ids += await town.happen()
    await town.crash()
    town.listed_max = 10
    await town.rise()
    for _ in range(15):
        ids += await town.happen()
    await town.quiet()

    listed = await ids_of(town, {"limit": "100"})
    assert ids[::-1][: len(listed)] == listed
    assert 10 <= len(listed) <= 20
    assert ids[0] == (await town.ask("events.get", target=ids[0]))["id"]


@pytest.mark.parametrize("bad", ["", "evt_", "pay_1", "evt_" + "0" * 24, "evt_" + "0" * 24 + "9"])
async def test_what_is_no_event_is_not_found(town, bad):
    """Whatever it looks like."""
    assert "not_found" == code(await town.ask("events.get", target=bad))


# --- deliveries and sending again -------------------------------------------------------------


async def test_deliveries_tell_every_try(town):
    """Status, milliseconds, and the beginning of what the receiver said."""
    town.street.receivers[A] = answers(500, excerpt="oh dear")
    made = await town.endpoint(A)
    await town.endpoint(B, "payment.failed")
    (paid,) = await town.happen()
    await town.came(1)
    await town.later(1)
    await town.came(2)
    await town.quiet()

    (delivery,) = (await town.ask("events.deliveries", target=paid))["data"]
    assert (made["id"], "delivered", 2, None, A) == (
        delivery["endpoint"],
        delivery["status"],
        delivery["tries"],
        delivery["next_attempt_at"],
        delivery["url"],
    )
    second, first = delivery["attempts"]
    assert (1, "refused", 500, "oh dear") == (
        first["number"],
        first["outcome"],
        first["status_code"],
        first["answer"],
    )
    assert (2, "delivered", 200, None) == (
        second["number"],
        second["outcome"],
        second["status_code"],
        second["answer"],
    )
    listed = (await town.ask("endpoints.deliveries", target=made["id"]))["data"]
    assert [delivery] == listed
    assert [] == (await town.ask("events.deliveries", target=paid, merchant=town.wang))["data"][1:]


async def test_an_endpoints_deliveries_are_paged(town):
    """Newest first, on from an event."""
    made = await town.endpoint(A)
    ids = [(await town.happen())[0] for _ in range(5)][::-1]
    await town.quiet()

    async def page(**query):
        answer = await town.ask("endpoints.deliveries", target=made["id"], query=query)
        return [each["event"] for each in answer["data"]], answer["has_more"]

    assert (ids[:2], True) == await page(limit="2")
    assert (ids[2:], False) == await page(limit="3", starting_after=ids[1])


async def test_one_event_is_sent_again_to_all_or_to_one(town):
    """Under its id; also to an endpoint that was not there when it happened."""
    (paid,) = await town.happen()
    await town.quiet()
    assert "conflict" == code(await town.ask("events.resend", target=paid))
    first = await town.endpoint(A)
    await town.endpoint(B)

    again = await town.ask("events.resend", target=paid)
    await town.came(2)
    await town.quiet()
    assert 2 == len(again["data"])
    await town.ask("events.resend", {"endpoint": first["id"]}, target=paid)
    await town.came(3)
    await town.quiet()

    assert ([paid, paid], [paid]) == (town.street.at(A), town.street.at(B))
    stranger = await town.ask("events.resend", {}, target=paid, merchant=town.tea)
    assert "not_found" == code(stranger)
    elsewhere = await town.endpoint("http://tea", merchant=town.tea)
    refused = await town.ask("events.resend", {"endpoint": elsewhere["id"]}, target=paid)
    assert "not_found" == code(refused)


async def test_sending_again_hurries_what_waits_for_its_next_try(make_town):
    """The receiver is back and its owner does not want to wait five minutes."""
    town = await make_town(limits=DeliveryLimits())
    town.street.receivers[A] = answers(500)
    await town.endpoint(A)
    (paid,) = await town.happen()
    await town.came(1)
    await town.quiet()
    await town.ask("events.resend", target=paid)
    await town.came(2)
    await town.quiet()

    assert ["delivered"] == town.deliveries(paid)


async def test_a_range_is_sent_again_in_order(town):
    """Since an event, or between two instants; in pages, the events of a payment in order."""
    await town.endpoint(A)
    before = await town.happen()
    start = rfc3339(town.clock.now_ms())
    town.clock.advance(1)
    ids = []
    for _ in range(5):
        ids += await town.happen("payment.succeeded", "refund.succeeded")
    await town.came(11)
    await town.quiet()
    town.street.got.clear()

    after = await town.ask("events.resend_range", {"after": before[0]})
    await town.came(10)
    await town.quiet()
    assert (10, 10, False, ids[-1]) == (
        after["events"],
        after["deliveries"],
        after["has_more"],
        after["last"],
    )
    assert sorted(ids) == sorted(town.street.at(A))
    for paid, given_back in zip(ids[::2], ids[1::2], strict=True):
        came = town.street.at(A)
        assert came.index(paid) < came.index(given_back)

    end = rfc3339(town.clock.now_ms())
    between = await town.ask("events.resend_range", {"from": start, "to": end})
    assert (1, before[0]) == (between["events"], between["last"])
    empty = await town.ask("events.resend_range", {"after": ids[-1]})
    assert (0, 0, None) == (empty["events"], empty["deliveries"], empty["last"])


async def test_a_long_range_goes_on_after_its_last(town, monkeypatch):
    """By the named limit."""
    monkeypatch.setattr("actors.courier_events.RESEND_MAX", 3)
    await town.endpoint(A)
    ids = [(await town.happen())[0] for _ in range(7)]
    await town.came(7)
    await town.quiet()

    steps, last = [], ids[0]
    while True:
        step = await town.ask("events.resend_range", {"after": last})
        steps.append(step["events"])
        if not step["has_more"]:
            break
        last = step["last"]
    assert [3, 3] == steps
    assert RESEND_MAX == 1_000


@pytest.mark.parametrize(
    ("wish", "param"),
    [
        ({}, "after"),
        ({"after": "evt_x", "from": "2026-01-01T00:00:00Z"}, "after"),
        ({"to": "2026-01-01T00:00:00Z"}, "after"),
        ({"after": "evt_x"}, "after"),
        ({"from": "yesterday"}, "from"),
        ({"from": "2026-01-01T00:00:00Z", "to": "soon"}, "to"),
    ],
)
async def test_a_range_that_is_none_is_refused(town, wish, param):
    """By the field that is wrong."""
    refused = await town.ask("events.resend_range", wish)
    assert ("invalid_field", param) == (refused.code, refused.param)


async def test_the_time_line_has_every_try_of_a_payment(town):
    """Its refunds' too; whose endpoint it is not sees nothing."""
    town.street.receivers[A] = answers(500)
    await town.endpoint(A)
    payment = town.mint.new("pay", town.clock.now_ms(), 0)
    ids = await town.happen("payment.succeeded", "refund.succeeded", payment=payment)
    await town.came(1)
    await town.later(1)
    await town.came(3)
    await town.quiet()

    lines = await town.ask("payments.webhooks", target=payment)
    told = sorted((line["event"], line["attempt"], line["outcome"]) for line in lines)
    assert told == sorted(
        [(ids[0], 1, "refused"), (ids[0], 2, "delivered"), (ids[1], 1, "delivered")]
    )
    assert [] == await town.ask("payments.webhooks", target=payment, platform="saas")
