"""What callers ask of the courier about their endpoints."""

from actors.messages import Refusal
from payments.calendar import rfc3339
from payments.webhook_wishes import ENDPOINTS_MAX
from post import FAST_PPM, answers

A, B = "http://a", "http://b"


def code(refusal):
    assert isinstance(refusal, Refusal), refusal
    return refusal.code


# --- endpoints --------------------------------------------------------------------------------


async def test_the_secret_is_shown_when_it_is_made_and_never_again(town):
    """Not in reads, lists or changes; a roll makes and shows a new one."""
    made = await town.endpoint(A)
    assert made["secret"].startswith("whsec_")
    read = await town.ask("endpoints.get", target=made["id"])
    listed = (await town.ask("endpoints.list"))["data"]
    changed = await town.ask("endpoints.update", {"description": "x"}, target=made["id"])
    rolled = await town.ask("endpoints.roll", {}, target=made["id"])

    assert not any("secret" in shown for shown in (read, *listed, changed))
    assert rolled["secret"] not in ("", made["secret"])
    assert rfc3339(town.clock.real_ms() + 86_400_000) == rolled["old_secret_expires_at"]


async def test_a_rolled_secret_signs_beside_the_old_one_until_that_ends(town):
    """Two signatures, then one; a restart changes nothing about it."""
    made = await town.endpoint(A)
    await town.ask("endpoints.roll", {"overlap_seconds": 60}, target=made["id"])
    await town.crash()
    await town.rise()
    await town.happen()
    await town.came(1)
    await town.later(60)
    await town.happen()
    await town.came(2)

    counts = [len(parcel.headers["webhook-signature"].split()) for parcel in town.street.got]
    assert [2, 1] == counts


async def test_each_sees_its_own_and_a_platform_those_of_its_merchants_too(town):
    """Somebody else's endpoint looks like none, to read, change, roll and delete."""
    own = await town.endpoint(A)
    tea = await town.endpoint(B, merchant=town.tea)
    saas = await town.endpoint("http://c", platform="saas")

    async def seen(**who):
        return {each["id"] for each in (await town.ask("endpoints.list", **who))["data"]}

    assert {own["id"]} == await seen()
    assert {tea["id"]} == await seen(merchant=town.tea)
    assert {tea["id"], saas["id"]} == await seen(platform="saas")
    assert set() == await seen(platform="other")
    for op in ("get", "update", "roll", "enable", "delete", "deliveries"):
        refused = await town.ask(f"endpoints.{op}", {}, target=tea["id"])
        assert "not_found" == code(refused), op
        assert "not_found" == code(
            await town.ask(f"endpoints.{op}", {}, target=saas["id"], merchant=town.tea)
        )


async def test_an_endpoint_goes_where_it_may_and_wants_what_there_is(town):
    """Judged when it is made and when it is changed, by its text and by its addresses."""
    made = await town.endpoint(A)
    town.street.refused["http://inside"] = "Webhooks go to public addresses only."
    bad = [
        ({"url": "http://10.0.0.1/"}, "url"),
        ({"url": "http://inside"}, "url"),
        ({"url": "ftp://a"}, "url"),
        ({"url": ""}, "url"),
        ({"events": []}, "events"),
        ({"events": ["payment.*", "paymnt.*"]}, "events.1"),
    ]
    for wish, param in bad:
        whole = {"url": "http://ok", "events": ["*"], **wish}
        created = await town.ask("endpoints.create", whole)
        changed = await town.ask("endpoints.update", wish, target=made["id"])
        assert ("invalid_field", param) == (created.code, created.param), wish
        assert ("invalid_field", param) == (changed.code, changed.param), wish
    assert made["url"] == (await town.ask("endpoints.get", target=made["id"]))["url"]


async def test_what_is_changed_is_changed_and_the_rest_stays(town):
    """Filters count from then on."""
    made = await town.endpoint(A, "payment.failed")
    changed = await town.ask(
        "endpoints.update",
        {"events": ["payment.succeeded", "payment.succeeded"], "metadata": {"a": "b"}},
        target=made["id"],
    )
    assert (["payment.succeeded"], {"a": "b"}, A) == (
        changed["events"],
        changed["metadata"],
        changed["url"],
    )
    (paid,) = await town.happen()
    await town.quiet()
    assert [paid] == town.street.at(A)


async def test_disabled_by_hand_it_hears_nothing_until_enabled(town):
    """What waits is canceled; what happens meanwhile is not kept for it."""
    town.street.receivers[A] = answers(500)
    made = await town.endpoint(A)
    (waiting,) = await town.happen()
    await town.came(1)
    await town.quiet()
    off = await town.ask("endpoints.update", {"status": "disabled"}, target=made["id"])
    await town.happen()
    await town.quiet()
    on = await town.ask("endpoints.update", {"status": "enabled"}, target=made["id"])
    (later,) = await town.happen()
    await town.quiet()

    assert ("disabled", "asked") == (off["status"], off["disabled_reason"])
    assert ("enabled", None) == (on["status"], on["disabled_reason"])
    assert [waiting, later] == town.street.at(A)
    assert ["canceled"] == town.deliveries(waiting)


async def test_deleted_is_gone(town):
    """Also after a restart."""
    made = await town.endpoint(A)
    assert (await town.ask("endpoints.delete", target=made["id"]))["deleted"] is True
    await town.happen()
    await town.quiet()
    await town.crash()
    await town.rise()

    assert "not_found" == code(await town.ask("endpoints.get", target=made["id"]))
    assert [] == town.street.got


async def test_there_may_be_so_many(town):
    """Of each owner, by the named limit."""
    for number in range(ENDPOINTS_MAX):
        await town.endpoint(f"http://a{number}")
    refused = await town.ask("endpoints.create", {"url": A, "events": ["*"]})

    assert "conflict" == code(refused)
    assert await town.endpoint(A, merchant=town.tea)
    assert await town.endpoint(A, platform="saas")


async def test_a_list_is_paged_both_ways(town):
    """Newest first, as lists are."""
    ids = []
    for number in range(5):
        town.clock.advance(1)
        ids.insert(0, (await town.endpoint(f"http://a{number}"))["id"])

    async def page(**query):
        answer = await town.ask("endpoints.list", query=query)
        return [each["id"] for each in answer["data"]], answer["has_more"]

    assert (ids[:2], True) == await page(limit="2")
    assert (ids[2:4], True) == await page(limit="2", starting_after=ids[1])
    assert (ids[4:], False) == await page(limit="2", starting_after=ids[3])
    assert (ids[1:3], True) == await page(limit="2", ending_before=ids[3])
    assert "invalid_field" == code(await town.ask("endpoints.list", query={"starting_after": "x"}))


async def test_a_key_used_again_is_answered_with_the_same_endpoint(town):
    """Without its secret, which is shown once; another request under the key is refused."""
    body = {"url": A, "events": ["*"]}
    known = {"key_digest": b"k", "fingerprint": b"f"}
    made = await town.ask("endpoints.create", body, **known)
    await town.crash()
    await town.rise()
    again = await town.ask("endpoints.create", body, **known)
    other = await town.ask("endpoints.create", body, key_digest=b"k", fingerprint=b"g")

    assert again == {name: value for name, value in made.items() if name != "secret"}
    assert "idempotency_mismatch" == code(other)
    assert 1 == len((await town.ask("endpoints.list"))["data"])


async def test_a_signature_counts_once_also_after_a_restart(town):
    """Whether the request was good or not."""
    signed = {"nonce": 7, "nonce_at": town.clock.real_ms() // 1_000}
    assert "not_found" == code(await town.ask("endpoints.get", target="whk_x", **signed))
    assert "unauthorized" == code(await town.ask("endpoints.list", **signed))
    await town.crash()
    await town.rise()
    assert "unauthorized" == code(await town.ask("endpoints.list", **signed))


async def test_too_many_questions_at_once_are_refused(town, monkeypatch):
    """By the named limit; deliveries go on."""
    monkeypatch.setattr("actors.courier.ASKS_MAX", 0)
    assert "overloaded" == code(await town.ask("endpoints.list"))


async def test_a_bug_in_an_answer_is_ours_and_stops_nothing(town, monkeypatch):
    """Counted, answered as our fault; deliveries go on."""
    await town.endpoint(A)
    monkeypatch.setattr(town.courier._desk, "_view", None)
    assert "internal_error" == code(await town.ask("endpoints.list"))
    await town.happen()
    await town.came(1)
    assert 1 == town.courier.stats()["bugs_total"]
    assert FAST_PPM == town.limits.scale_ppm
