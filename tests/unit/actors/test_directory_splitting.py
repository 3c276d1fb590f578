"""Receivers and split rules in the directory: whose they are, how many, and what stays."""

import json

import pytest

from payments.splitting import wishes


async def a_receiver(world, merchant):
    return await world.made("receivers.create", {"name": "rider"}, merchant=merchant)


async def a_merchant(world, **fields):
    return (await world.made("merchants.create", {"name": "Wang", **fields}))["id"]


async def a_platform(world):
    wish = {"type": "bearer", "scopes": ["*"], "platform": "saas"}
    return (await world.made("keys.create", wish))["id"]


async def listed(world, op, **asked):
    return [each["id"] for each in json.loads((await world.ask(op, **asked)).body)["data"]]


async def test_a_receiver_is_a_merchants_or_a_platforms(world):
    """Named in the body, by the header, or by neither: then it is the platform's own."""
    saas = await a_platform(world)
    own = (await world.made("merchants.create", {"name": "Own"}, caller=saas))["id"]
    other = await a_merchant(world)

    by_body = await world.made("receivers.create", {"name": "rider", "merchant": own})
    by_header = await a_receiver(world, own)
    platforms = await world.made("receivers.create", {"name": "fee"}, caller=saas)

    assert {own} == {by_body["merchant"], by_header["merchant"]}
    assert (None, "saas") == (platforms["merchant"], platforms["platform"])
    assert [by_header["id"], by_body["id"]] == await listed(world, "receivers.list", merchant=own)
    assert [platforms["id"]] == await listed(world, "receivers.list", caller=saas)
    nobodys = await world.ask("receivers.list")
    assert ("invalid_field", "tillway-merchant") == (nobodys.code, nobodys.param)
    refused = await world.ask("receivers.create", {"name": "x", "merchant": other}, merchant=own)
    assert ("invalid_field", "/merchant") == (refused.code, refused.param)
    foreign = await world.ask("receivers.create", {"name": "x", "merchant": other}, caller=saas)
    assert "not_found" == foreign.code


async def test_nobody_has_receivers_for_nobody(world):
    """An operator says for whom."""
    refused = await world.ask("receivers.create", {"name": "x"})

    assert ("invalid_field", "/merchant") == (refused.code, refused.param)


@pytest.mark.parametrize(
    ("limit", "op"), [("OWNER_RECEIVERS_MAX", "receivers"), ("OWNER_RULES_MAX", "split_rules")]
)
async def test_there_is_a_limit_for_each_owner(world, monkeypatch, limit, op):
    """Receivers and rules are counted apart, and not among stores and keys."""
    mine, other = await a_merchant(world), await a_merchant(world)
    receiver = {each: (await a_receiver(world, each))["id"] for each in (mine, other)}

    def wish(owner):
        parts = [{"receiver": receiver[owner], "amount": 1}]
        return {"name": "x"} if op == "receivers" else {"parts": parts}

    monkeypatch.setattr(f"payments.directory_desk.{limit}", 2)
    monkeypatch.setattr("payments.directory.MEMBERS_MAX", 1)
    answers = [await world.ask(f"{op}.create", wish(mine), merchant=mine) for _ in range(3)]

    refused = [getattr(each, "code", "") for each in answers]
    allowed = 1 if op == "receivers" else 2
    assert [""] * allowed + ["quota_exceeded"] * (3 - allowed) == refused
    assert 201 == (await world.ask(f"{op}.create", wish(other), merchant=other)).status
    assert 201 == (await world.ask("stores.create", {"name": "S"}, merchant=mine)).status
    assert wishes.OWNER_RECEIVERS_MAX == 5_000


async def test_a_rule_for_a_closed_merchant_is_refused(world):
    """Nothing new for who is gone."""
    merchant = await a_merchant(world)
    receiver = await a_receiver(world, merchant)
    await world.ask("merchants.update", {"status": "closed"}, target=merchant)

    for op, body in (
        ("receivers.create", {"name": "x"}),
        ("split_rules.create", {"parts": [{"receiver": receiver["id"], "amount": 1}]}),
    ):
        assert "conflict" == (await world.ask(op, body, merchant=merchant)).code


async def test_a_receivers_own_payout_terms_are_set_by_whoever_is_not_the_merchant(world):
    """Mode and minimum; all of them each time; null where the deployment's count."""
    saas = await a_platform(world)
    own = (await world.made("merchants.create", {"name": "Own"}, caller=saas))["id"]
    made = await world.made(
        "receivers.create",
        {"name": "rider", "merchant": own, "payout": {"mode": "auto", "minimum": 5_000}},
        caller=saas,
    )
    assert {"mode": "auto", "minimum": 5_000} == made["payout"]

    async def change(body, caller=saas):
        return await world.ask("receivers.update", body, target=made["id"], caller=caller)

    said = [
        json.loads((await change(body)).body)["payout"]
        for body in ({"name": "x"}, {"payout": {"mode": "manual"}}, {"payout": {}})
    ]
    assert [
        {"mode": "auto", "minimum": 5_000},
        {"mode": "manual", "minimum": None},
        {"mode": None, "minimum": None},
    ] == said

    wish = {"type": "bearer", "scopes": ["merchants:write"]}
    merchants = (await world.made("keys.create", wish, merchant=own))["id"]
    refused = await change({"payout": {"mode": "auto"}}, merchants)
    assert "insufficient_scope" == refused.code
    asked = {"name": "y", "payout": {}}
    assert (
        "insufficient_scope" == (await world.ask("receivers.create", asked, caller=merchants)).code
    )
    assert 200 == (await change({"name": "y"}, merchants)).status


@pytest.mark.parametrize(
    ("payout", "param"),
    [
        ({"mode": "sometimes"}, "payout.mode"),
        ({"minimum": -1}, "payout.minimum"),
        ({"minimum": "5"}, "payout.minimum"),
        ({"cycle": "T+1"}, "payout"),
        ([], "payout"),
    ],
)
async def test_payout_terms_that_cannot_be_are_refused(world, payout, param):
    merchant = await a_merchant(world)
    asked = {"name": "rider", "payout": payout}
    refused = await world.ask("receivers.create", asked, merchant=merchant)

    assert ("invalid_field", param) == (refused.code, refused.param)
