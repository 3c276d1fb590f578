"""What the directory answers, and what it keeps."""

import base64
import hashlib
import json

import pytest

from actors.messages import Answer, Refusal
from payments.ids import partition_of
from payments.reference import KeyOwner, KeyType
from payments.storage.base import StoreRefused
from payments.storage.directory import DirectoryStore


async def a_merchant(world, **fields):
    return await world.made("merchants.create", {"name": "Wang", **fields})


async def a_key(world, merchant, scopes=("*",), **fields):
    return await world.made(
        "keys.create", {"type": "bearer", "scopes": list(scopes), **fields}, merchant=merchant
    )


async def test_a_merchant_has_a_number_and_a_partition_that_its_id_carries(world):
    """Numbers are dense, shared partitions go round by number, and the parts share it."""
    one, two = await a_merchant(world), await a_merchant(world)
    store = await world.made("stores.create", {"name": "Main St"}, merchant=two["id"])
    till = await world.made(
        "terminals.create", {"store": store["id"], "name": "Till 1"}, merchant=two["id"]
    )

    assert [0, 1] == [partition_of(one["id"]), partition_of(two["id"])]
    assert [1, 1] == [partition_of(store["id"]), partition_of(till["id"])]
    assert ("merchant", "active", False, {}) == (
        one["object"],
        one["status"],
        one["livemode"],
        one["metadata"],
    )


async def test_a_dedicated_merchant_gets_the_next_partition_of_its_own(world):
    """256 and on belong to one merchant each."""
    first = await a_merchant(world, dedicated=True)
    second = await a_merchant(world, dedicated=True)

    assert [256, 257] == [partition_of(first["id"]), partition_of(second["id"])]


async def test_a_secret_is_shown_once_and_kept_as_little_as_possible(world):
    """Bearer: its SHA-256. HMAC: the decoded key. A later look shows neither."""
    merchant = (await a_merchant(world))["id"]
    bearer = await a_key(world, merchant)
    signing = await world.made("keys.create", {"type": "hmac-sha256"}, merchant=merchant)

    assert bearer["secret"].startswith("sk_test_")
    digest = hashlib.sha256(bearer["secret"].encode()).digest()
    assert digest == world.directory.key(bearer["id"]).secret
    prefix, _, encoded = signing["secret"].rpartition("_")
    assert prefix == "hs_test"
    assert base64.b64decode(encoded) == world.directory.key(signing["id"]).secret
    again = await world.ask("keys.get", target=bearer["id"])
    assert "secret" not in json.loads(again.body)


async def test_a_public_key_comes_as_pem_or_as_raw_base64(world):
    """Both name the same 32 bytes, and there is no secret to show."""
    merchant = (await a_merchant(world))["id"]
    raw = bytes(range(32))
    der = bytes.fromhex("302a300506032b6570032100") + raw
    pem = f"-----BEGIN PUBLIC KEY-----\n{base64.b64encode(der).decode()}\n-----END PUBLIC KEY-----"
    for text in (pem, base64.b64encode(raw).decode()):
        key = await world.made(
            "keys.create", {"type": "ed25519", "public_key": text}, merchant=merchant
        )
        assert key["secret"] is None
        assert raw == world.directory.key(key["id"]).secret


async def test_a_rotated_key_works_until_the_overlap_ends(world):
    """The old key gets its end, the new one the old one's rights."""
    merchant = (await a_merchant(world))["id"]
    old = await a_key(world, merchant, ["payments:read"])
    new = await world.made("keys.rotate", {"overlap_seconds": 60}, target=old["id"])

    assert world.directory.key(old["id"]).not_after == world.clock.real_ms() + 60_000
    assert new["scopes"] == ["payments:read"]
    assert new["secret"] != old["secret"]
    assert new["replaces"]["status"] == "ending"
    assert [old["id"]] * 3 == [old["person"], new["person"], new["replaces"]["person"]]


async def test_a_revoked_key_can_ask_no_more(world):
    """Not even for what it was allowed before."""
    merchant = (await a_merchant(world))["id"]
    key = await a_key(world, merchant)
    assert isinstance(await world.ask("stores.list", caller=key["id"]), Answer)

    revoked = await world.ask("keys.revoke", target=key["id"])

    assert json.loads(revoked.body)["status"] == "revoked"
    refused = await world.ask("stores.list", caller=key["id"])
    assert refused.code == "unauthorized"


ACCESS = """
    # caller     op                whose    -> outcome
      merchant   stores.list       own         200
      merchant   stores.list       other       not_found
      merchant   keys.get          other       not_found
      merchant   merchants.get     other       not_found
      merchant   merchants.create  -           insufficient_scope
      reader     stores.list       own         200
      reader     stores.create     own         insufficient_scope
      terminal   stores.list       own         insufficient_scope
      platform   merchants.create  -           201
      platform   merchants.get     own         200
      platform   merchants.get     other       not_found
      platform   stores.list       other       not_found
      platform   stores.list       own         200
      viewer     merchants.get     other       200
      viewer     merchants.create  -           insufficient_scope
      operator   merchants.get     other       200
"""


def rows(table):
    return [line.split() for line in table.splitlines() if line and "#" not in line]


async def cast_of(world):
    """Two merchants, one of a platform, and a key of each kind."""
    saas = await world.made(
        "keys.create", {"type": "bearer", "scopes": ["*"], "platform": "plt_saas"}
    )
    own = await world.made("merchants.create", {"name": "Own"}, caller=saas["id"])
    other = await a_merchant(world)
    store = await world.made("stores.create", {"name": "S"}, merchant=own["id"])
    till = await world.made(
        "terminals.create", {"name": "T", "store": store["id"]}, merchant=own["id"]
    )
    keys = {
        "platform": saas["id"],
        "operator": world.operator,
        "merchant": (await a_key(world, own["id"]))["id"],
        "reader": (await a_key(world, own["id"], ["merchants:read"]))["id"],
        "terminal": (await a_key(world, own["id"], terminal=till["id"]))["id"],
        "viewer": (await world.made("keys.create", {"type": "bearer", "roles": ["viewer"]}))["id"],
    }
    key_of_other = (await a_key(world, other["id"]))["id"]
    return keys, {"own": own["id"], "other": other["id"], "-": None}, key_of_other


async def test_everybody_sees_and_changes_what_is_theirs(world):
    """What belongs to somebody else is as absent as what does not exist."""
    keys, merchants, key_of_other = await cast_of(world)
    for caller, op, whose, expected in rows(ACCESS):
        merchant = merchants[whose]
        target = key_of_other if op == "keys.get" else merchant
        needs_target = op in ("keys.get", "merchants.get")
        answer = await world.ask(
            op,
            {"name": "N"} if op.endswith("create") else None,
            caller=keys[caller],
            merchant=None if needs_target else merchant,
            target=target if needs_target else None,
        )
        seen = answer.code if isinstance(answer, Refusal) else str(answer.status)
        assert expected == seen, (caller, op, whose)


async def test_nobody_grants_a_scope_that_they_lack(world):
    """Otherwise keys:write would be every scope."""
    merchant = (await a_merchant(world))["id"]
    clerk = await a_key(world, merchant, ["keys:write", "payments:read"])
    chief = await a_key(world, merchant)

    for op, body, target in (
        ("keys.create", {"type": "bearer", "scopes": ["refunds:write"]}, None),
        ("keys.rotate", {}, chief["id"]),
    ):
        refused = await world.ask(op, body, caller=clerk["id"], target=target)
        assert refused.code == "insufficient_scope", op


BAD = """
    # op                body                                     -> code            param
      merchants.create  {"name":"A","colour":1}                     invalid_field   colour
      merchants.create  {"name":7}                                  invalid_field   name
      merchants.create  {}                                          invalid_field   name
      merchants.create  {"name":"A","name":"B"}                     malformed       -
      merchants.create  {"name":                                    malformed       -
      merchants.create  {"name":"A","metadata":{"k":1.5}}           invalid_field   -
      keys.create       {"type":"rsa"}                              invalid_field   type
      keys.create       {"type":"bearer","scopes":["all"]}          invalid_field   scopes
      keys.create       {"type":"bearer","public_key":"x"}          invalid_field   public_key
      keys.create       {"type":"ed25519","public_key":"AAAA"}      invalid_field   public_key
      stores.create     {"name":"A","closing_minute":1440}          invalid_field   closing_minute
      nothing.create    {}                                          not_found       -
"""


@pytest.mark.parametrize(("op", "body", "code", "param"), rows(BAD))
async def test_a_wrong_request_is_named_and_changes_nothing(world, op, body, code, param):
    """The field, where there is one."""
    merchant = (await a_merchant(world))["id"] if op[0] in "ks" else None
    before = world.directory.number
    refused = await world.ask(op, body.encode(), merchant=merchant)

    assert (code, param) == (refused.code, refused.param or "-")
    assert before == world.directory.number


@pytest.mark.parametrize("roles", [["maker", "checker"], ["operator", "checker", "maker"]])
async def test_no_key_is_maker_and_checker(world, roles):
    """One person with both could check their own work."""
    refused = await world.ask("keys.create", {"type": "bearer", "roles": roles})

    assert ("invalid_field", "roles") == (refused.code, refused.param)


async def test_a_status_moves_along_its_way_only(world):
    """Closed is the end; nobody goes back to application."""
    merchant = (await a_merchant(world))["id"]
    for status, expected in (
        ("application", "conflict"),
        ("suspended", 200),
        ("active", 200),
        ("closed", 200),
        ("active", "conflict"),
    ):
        answer = await world.ask("merchants.update", {"status": status}, target=merchant)
        seen = answer.code if isinstance(answer, Refusal) else answer.status
        assert expected == seen, status


async def test_in_live_mode_a_merchant_begins_as_an_application(live_world):
    """And only an operator lets it in."""
    saas = await live_world.made(
        "keys.create", {"type": "hmac-sha256", "scopes": ["*"], "platform": "plt_saas"}
    )
    merchant = await live_world.made("merchants.create", {"name": "A"}, caller=saas["id"])
    assert (merchant["status"], merchant["livemode"]) == ("application", True)
    assert saas["secret"].startswith("hs_live_")

    for caller, status, expected in (
        (saas["id"], "in_review", 200),
        (saas["id"], "active", "insufficient_scope"),
        (live_world.operator, "active", 200),
    ):
        answer = await live_world.ask(
            "merchants.update", {"status": status}, target=merchant["id"], caller=caller
        )
        seen = answer.code if isinstance(answer, Refusal) else answer.status
        assert expected == seen, status


async def test_the_same_key_makes_one_object_even_in_one_frame(world):
    """A repeat is answered with the object as it stands, another request is refused."""
    same = {"key_digest": b"k" * 32, "fingerprint": b"f"}
    other = {"key_digest": b"k" * 32, "fingerprint": b"g"}
    first, again = await world.ask_all(
        [("merchants.create", {"name": "A"}, same), ("merchants.create", {"name": "A"}, same)]
    )
    await world.stop()
    await world.start()
    later = await world.ask("merchants.create", {"name": "A"}, **same)
    mismatch = await world.ask("merchants.create", {"name": "B"}, **other)

    ids = {json.loads(answer.body)["id"] for answer in (first, again, later)}
    assert len(ids) == 1
    assert [False, True, True] == [first.replayed, again.replayed, later.replayed]
    assert mismatch.code == "idempotency_mismatch"


async def test_a_refusal_does_not_use_up_the_key(world):
    """After the mistake is mended, the same key works."""
    same = {"key_digest": b"k" * 32, "fingerprint": b"f"}
    refused = await world.ask("merchants.create", {"name": ""}, **same)
    made = await world.ask("merchants.create", {"name": "A"}, **same)

    assert (refused.code, made.status, made.replayed) == ("invalid_field", 201, False)


async def test_a_nonce_counts_once_restarts_included(world):
    """It is in the commit of the request that it protects."""
    now_s = world.clock.real_ms() // 1_000
    signed = {"nonce": 77, "nonce_at": now_s}
    first, twin = await world.ask_all(
        [("merchants.create", {"name": "A"}, signed), ("merchants.create", {"name": "A"}, signed)]
    )
    await world.stop()
    await world.start()
    later = await world.ask("merchants.create", {"name": "A"}, **signed)

    assert (first.status, twin.code, later.code) == (201, "unauthorized", "unauthorized")


async def test_many_asks_share_one_commit(world):
    """A frame of a hundred costs one wait for the disk."""
    answers = await world.ask_all([("merchants.create", {"name": str(n)}, {}) for n in range(100)])

    assert {201} == {answer.status for answer in answers}
    assert world.directory.stats()["commits"] == 1


async def test_a_full_queue_answers_at_once(world):
    """Overloaded, and nothing is written."""
    world.directory._limits = type(world.limits)(queue_max=1)
    answers = await world.ask_all([("merchants.create", {"name": str(n)}, {}) for n in range(3)])

    assert [None, "overloaded", "overloaded"] == [getattr(a, "code", None) for a in answers]


async def test_a_list_pages_newest_first(world):
    """Both directions, and an unknown filter is refused rather than ignored."""
    made = [(await a_merchant(world))["id"] for _ in range(5)]

    async def page(**query):
        answer = await world.ask("merchants.list", query=query)
        return json.loads(answer.body) if isinstance(answer, Answer) else answer

    first = await page(limit="2")
    assert (made[:2:-1], True) == ([m["id"] for m in first["data"]], first["has_more"])
    rest = await page(limit="10", starting_after=made[3])
    assert (made[2::-1], False) == ([m["id"] for m in rest["data"]], rest["has_more"])
    back = await page(limit="2", ending_before=made[0])
    assert ([made[2], made[1]], True) == ([m["id"] for m in back["data"]], back["has_more"])
    assert (await page(colour="red")).param == "colour"
    assert (await page(limit="0")).param == "limit"


async def test_a_bug_in_one_decision_leaves_the_others_alone(world, monkeypatch):
    """500 for that one; the next in the same frame is served."""
    decide = world.directory._desk.decide

    def broken(question, now_ms, real_ms):
        if question.op == "stores.list":
            raise ZeroDivisionError
        return decide(question, now_ms, real_ms)

    monkeypatch.setattr(world.directory._desk, "decide", broken)
    bad, good = await world.ask_all([("stores.list", None, {}), ("merchants.list", None, {})])

    assert (bad.code, good.status) == ("internal_error", 200)


async def test_the_store_has_one_owner_one_mode_and_a_private_file(world):
    """HMAC keys lie in it as they are."""
    assert world.path.stat().st_mode & 0o077 == 0
    with pytest.raises(StoreRefused, match="owned by process"):
        DirectoryStore(world.path).open()
    await world.stop()
    with pytest.raises(StoreRefused, match="test mode"):
        DirectoryStore(world.path, livemode=True).open()
    await world.start()
    assert world.directory.key(world.operator).owner is KeyOwner.OPERATOR
    assert world.directory.key(world.operator).type is KeyType.BEARER
