"""Settlement accounts in the directory: two people for each, and a day for a changed one."""

import json

import pytest

from payments.calendar import business_date
from payments.reference import PayoutTerms, SettlementAccount
from payments.settlement.accounts import COOL_DOWN_MS, BankAccount, account_at

WISH = {"name": "Lao Wang", "number": "6222020200112233445", "bank": "icbc"}


async def a_merchant(world, **fields):
    return (await world.made("merchants.create", {"name": "Wang", **fields}))["id"]


async def an_operator(world, *roles):
    wish = {"type": "bearer", "roles": list(roles)}
    made = await world.made("keys.create", wish)
    assert made["secret"].startswith("op_test_")
    return made["id"]


async def a_platform(world, name="saas"):
    wish = {"type": "bearer", "scopes": ["*"], "platform": name}
    return (await world.made("keys.create", wish))["id"]


async def a_merchants_key(world, merchant, *scopes):
    wish = {"type": "bearer", "scopes": list(scopes)}
    return (await world.made("keys.create", wish, merchant=merchant))["id"]


async def confirmed(world, account, checker):
    answer = await world.ask("settlement_accounts.confirm", caller=checker, target=account["id"])
    return json.loads(answer.body)


def as_known(world, party):
    return world.directory._register.accounts_of(party)


async def test_an_account_is_registered_by_one_and_confirmed_by_another(world):
    """Shown by its end only; no money goes to it before the second person."""
    merchant = await a_merchant(world)
    maker = await a_merchants_key(world, merchant, "payouts:write")
    checker = await an_operator(world, "checker")

    made = await world.made("settlement_accounts.create", WISH, caller=maker)
    assert ("acc_", "registered", "****3445") == (made["id"][:4], made["status"], made["number"])
    assert account_at(as_known(world, merchant), world.clock.now_ms()) is None
    said = await confirmed(world, made, checker)

    assert ("confirmed", maker, checker) == (
        said["status"], said["registered_by"], said["confirmed_by"],
    )  # fmt: skip
    assert said["counts_from"] == said["confirmed_at"]
    counting = account_at(as_known(world, merchant), world.clock.now_ms())
    assert counting.number == WISH["number"]
    assert WISH["number"] not in json.dumps([made, said])


async def test_a_changed_account_cools_down_as_the_rules_say(world):
    """`counts_from` is the instant at which `account_at` turns to it."""
    merchant = await a_merchant(world)
    checker = await an_operator(world, "checker")
    first = await world.made("settlement_accounts.create", WISH, merchant=merchant)
    await confirmed(world, first, checker)
    other = {**WISH, "number": "6222029999999999999"}
    second = await world.made("settlement_accounts.create", other, merchant=merchant)
    before = world.clock.now_ms()
    await confirmed(world, second, checker)

    known = as_known(world, merchant)
    (counts_from,) = {
        each.counts_from for each in world.directory._register.accounts() if each.id == second["id"]
    }
    assert counts_from >= before + COOL_DOWN_MS
    assert [first["id"], second["id"]] == [
        account_at(known, at).id for at in (counts_from - 1, counts_from)
    ]


@pytest.mark.parametrize(
    ("who", "code"),
    [
        ("merchant", "insufficient_scope"),
        ("operator", "insufficient_scope"),
        ("maker", "insufficient_scope"),
        ("itself", "conflict"),
        ("rotated", "conflict"),
        ("rotated twice", "conflict"),
        ("checker", None),
    ],
)
async def test_who_confirms_has_the_role_and_is_another(world, who, code):
    """Maker and checker are two people; another key of the same line is the same person."""
    merchant = await a_merchant(world)
    itself = await an_operator(world, "operator", "checker")
    rotated = await world.made("keys.rotate", {"overlap_seconds": 600}, target=itself)
    twice = await world.made("keys.rotate", {"overlap_seconds": 600}, target=rotated["id"])
    keys = {
        "merchant": await a_merchants_key(world, merchant, "*"),
        "operator": world.operator,
        "maker": await an_operator(world, "maker"),
        "itself": itself,
        "rotated": rotated["id"],
        "rotated twice": twice["id"],
        "checker": await an_operator(world, "checker"),
    }
    made = await world.made(
        "settlement_accounts.create", WISH, caller=keys["itself"], merchant=merchant
    )

    answer = await world.ask("settlement_accounts.confirm", caller=keys[who], target=made["id"])

    assert code == getattr(answer, "code", None)


async def test_nobody_sees_anothers_accounts(world):
    """A stranger's account is the 404 of one that does not exist; a viewer only looks."""
    mine, other = await a_merchant(world), await a_merchant(world)
    made = await world.made("settlement_accounts.create", WISH, merchant=mine)
    stranger = await a_merchants_key(world, other, "*")
    viewer = await an_operator(world, "viewer")

    missing = "acc_" + "0" * 24
    answers = [
        await world.ask(f"settlement_accounts.{op}", caller=stranger, target=target)
        for op in ("get",)
        for target in (made["id"], missing)
    ]
    assert ["not_found"] * 2 == [each.code for each in answers]
    assert answers[0].detail == answers[1].detail
    listed = await world.ask("settlement_accounts.list", caller=stranger)
    assert [] == json.loads(listed.body)["data"]
    shown = await world.ask("settlement_accounts.list", caller=viewer)
    assert [made["id"]] == [each["id"] for each in json.loads(shown.body)["data"]]
    refused = await world.ask("settlement_accounts.create", WISH, caller=viewer, merchant=mine)
    assert "insufficient_scope" == refused.code


async def test_a_receivers_account_is_its_owners(world):
    """A platform's receiver, a merchant's receiver, and neither for a stranger."""
    saas = await a_platform(world)
    merchant = await a_merchant(world)
    rider = await world.made("receivers.create", {"name": "rider"}, merchant=merchant)
    shared = await world.made("receivers.create", {"name": "fee"}, caller=saas)

    own = await world.made(
        "settlement_accounts.create", {**WISH, "receiver": rider["id"]}, merchant=merchant
    )
    platforms = await world.made(
        "settlement_accounts.create", {**WISH, "receiver": shared["id"]}, caller=saas
    )
    foreign = await world.ask(
        "settlement_accounts.create", {**WISH, "receiver": rider["id"]}, caller=saas
    )

    assert (merchant, rider["id"]) == (own["merchant"], own["receiver"])
    assert (None, "saas") == (platforms["merchant"], platforms["platform"])
    assert "not_found" == foreign.code
    mine = await world.ask("settlement_accounts.list", caller=saas)
    assert [platforms["id"]] == [each["id"] for each in json.loads(mine.body)["data"]]
    query = {"receiver": rider["id"], "status": "registered"}
    found = await world.ask("settlement_accounts.list", query=query, merchant=merchant)
    assert [own["id"]] == [each["id"] for each in json.loads(found.body)["data"]]


BAD = (
    ("name", ""), ("name", " x"), ("name", "a\nb"), ("name", "x" * 141),
    ("number", ""), ("number", "62 22"), ("number", "6222\n"), ("number", "6" * 35),
    ("number", 6222), ("bank", ""), ("bank", "工行"), ("bank", "icbc\n"), ("colour", "red"),
    ("receiver", 5),
)  # fmt: skip


@pytest.mark.parametrize(("field", "value"), BAD)
async def test_what_cannot_be_an_account_is_refused(world, field, value):
    """And the field is named."""
    merchant = await a_merchant(world)

    refused = await world.ask(
        "settlement_accounts.create", {**WISH, field: value}, merchant=merchant
    )

    assert ("invalid_field", field) == (refused.code, refused.param)


async def test_there_are_a_hundred_accounts_for_a_party(world, monkeypatch):
    """`account_at` counts on it; others are not counted with them."""
    monkeypatch.setattr("payments.directory_accounts.ACCOUNTS_MAX", 2)
    mine, other = await a_merchant(world), await a_merchant(world)

    answers = [await world.ask("settlement_accounts.create", WISH, merchant=mine) for _ in range(3)]

    assert ["", "", "quota_exceeded"] == [getattr(each, "code", "") for each in answers]
    assert 201 == (await world.ask("settlement_accounts.create", WISH, merchant=other)).status
    assert 201 == (await world.ask("stores.create", {"name": "S"}, merchant=mine)).status


async def test_payout_terms_are_set_by_whoever_is_not_the_merchant(world):
    """What is given is changed, and the rest stays."""
    saas = await a_platform(world)
    merchant = await a_merchant(world, platform="saas")
    own = await a_merchants_key(world, merchant, "*")

    async def ask(caller, **payout):
        body = {"payout": payout}
        return await world.ask("merchants.update", body, caller=caller, target=merchant)

    assert "insufficient_scope" == (await ask(own, minimum=1)).code
    said = json.loads((await ask(saas, cycle="D+0", trading_since=20_260_101)).body)["payout"]
    assert ("D+0", 20_260_101, "auto") == (said["cycle"], said["trading_since"], said["mode"])
    said = json.loads((await ask(world.operator, mode="manual", hold="plain")).body)["payout"]
    assert ("D+0", "manual", "plain", 0) == (
        said["cycle"], said["mode"], said["hold"], said["minimum"],
    )  # fmt: skip
    for wrong, param in (
        ({"cycle": "X+1"}, "/payout/cycle"),
        ({"cycle": "T+999"}, "/payout/cycle"),
        ({"onboarded_on": 20_260_230}, "/payout/onboarded_on"),
        ({"trading_since": 20_261_301}, "/payout/trading_since"),
        ({"minimum": -1}, "payout.minimum"),
        ({"mode": "often"}, "payout.mode"),
    ):
        refused = await ask(world.operator, **wrong)
        assert ("invalid_field", param) == (refused.code, refused.param), wrong


async def test_accounts_and_terms_are_there_after_a_restart(world):
    """And subscribers have them: a shard that pays out asks its snapshot."""
    merchant = await a_merchant(world)
    made = await world.made("settlement_accounts.create", WISH, merchant=merchant)
    await world.ask("merchants.update", {"payout": {"minimum": 500}}, target=merchant)

    await world.stop()
    await world.start()

    register = world.directory._register
    assert isinstance(register.get(made["id"]), SettlementAccount)
    (account,) = register.accounts_of(merchant)
    assert isinstance(account, BankAccount)
    assert "6222" not in repr(account)
    assert PayoutTerms(minimum=500) == register.merchant(merchant).payout
    standing = register.merchant(merchant).standing
    assert (business_date(world.clock.now_ms()), None) == (
        standing.onboarded_on,
        standing.trading_since,
    )
