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
