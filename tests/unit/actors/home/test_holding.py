"""Freezes hold money back whole; advances are named, limited, and repaid by the same party."""

import pytest
from msgspec import json
from msgspec.structs import replace

from actors.messages import Answer
from home_custody import HOME, MERCHANT, OPTIONS, RECORDS, Shop
from payments.reference import PayoutTerms


def create(shop, op, body, party=MERCHANT.id):
    prefix = {"freeze": "frz", "advance": "adv", "withdrawal": "wdr"}[op.partition(".")[0]]
    shard = shop.shard
    identifier = shard.mint.new(prefix, shard.clock.now_ms(), 700)
    answer = shard.ask(op, body, party, id=identifier)
    shop.custody.pump()
    return json.decode(answer.body) if isinstance(answer, Answer) else answer


def freeze(shop, amount, party=MERCHANT.id, reason="court order"):
    body = {"amount": amount, "currency": "cny", "reason": reason}
    return create(shop, "freeze.create", body, party)


def advance(shop, amount, **more):
    body = {"funder": "bank", "amount": amount, "currency": "cny"} | more
    return create(shop, "advance.create", body)


def test_frozen_money_is_not_paid_out_until_it_is_released(shop):
    shop.earn(1_500)
    made = freeze(shop, 1_000)
    assert ("frozen", 500, 1_000) == (
        made["status"], shop.balance(), shop.balance(part="frozen")
    )  # fmt: skip
    shop.tick()
    assert [500] == [each.amount for each in shop.instructions()]

    released = shop.shard.made("freeze.release", {"reason": "lifted"}, target=made["id"])
    again = shop.shard.made("freeze.release", {"reason": "lifted"}, target=made["id"])

    assert ("released", released) == (released["status"], again)
    shop.tick()
    assert [1_000, 500] == [each.amount for each in shop.instructions()]
    shop.assert_sound()


@pytest.mark.parametrize(
    ("amount", "reason", "code"), [(1_501, "order", "conflict"), (5, " ", "invalid_field")]
)
def test_a_freeze_needs_money_and_a_reason(shop, amount, reason, code):
    shop.earn(1_500)

    assert code == freeze(shop, amount, reason=reason).code
    assert 1_500 == shop.balance()


def test_a_receivers_money_is_frozen_at_its_home(shop):
    shop.earn(3_000, shares=((HOME.id, 1_000),))
    body = {"amount": 400, "currency": "cny", "reason": "order", "receiver": HOME.id}

    assert HOME.id == create(shop, "freeze.create", body, HOME.id)["receiver"]
    assert (600, 400) == (shop.balance(HOME.id), shop.balance(HOME.id, "frozen"))
    shop.assert_sound()


def test_an_advance_is_available_at_once_and_repaid_by_the_credit(shop):
    claim = shop.sell(1_500)
    made = advance(shop, 1_000)
    assert ("advanced", 1_000, 1_000) == (made["status"], made["released"], shop.balance())
    shop.tick()
    assert [1_000] == [each.amount for each in shop.instructions()]

    shop.credit(claim)

    seen = shop.shard.made("advance.get", {}, target=made["id"])
    assert ("repaid", 500) == (seen["status"], shop.balance())
    assert 0 == shop.parties.outstanding("bank")
    shop.assert_sound()


def test_advances_keep_to_what_was_agreed(shop):
    shop.sell(1_500)

    assert "invalid_field" == advance(shop, 5, funder="uncle").code
    assert "conflict" == advance(shop, 1_000_001).code
    assert "conflict" == advance(shop, 1_600, released=1_600).code
    assert 0 == shop.balance()


def test_a_young_merchants_sales_are_not_advanced():
    young = replace(MERCHANT, payout=PayoutTerms(onboarded_on=20260301))
    shop = Shop(options=OPTIONS, records=(young, *RECORDS[1:]))
    shop.sell(1_500)

    assert "conflict" == advance(shop, 1_000).code
    assert "advanced" == advance(shop, 300, released=0)["status"]
    shop.close()


@pytest.mark.parametrize(
    ("kind", "wish"),
    [
        ("withdrawal", {}),
        ("freeze", {"reason": "court order"}),
        ("advance", {"funder": "bank", "released": 0}),
    ],
)
def test_what_the_caller_stores_with_it_comes_back_also_after_a_restart(shop, kind, wish):
    """Its `metadata`; without any it is empty, and so it is of what nobody asks for."""
    shop.earn(1_500)
    body = {"amount": 500, "currency": "cny", "metadata": {"rent": "May"}} | wish
    made = create(shop, f"{kind}.create", body)
    shop.shard.restart()

    seen = shop.shard.made(f"{kind}.get", {}, target=made["id"])
    assert {"rent": "May"} == made["metadata"] == seen["metadata"]
    listed = shop.shard.made("settlement_instruction.list", {})["data"]
    assert [{}] * len(listed) == [each["metadata"] for each in listed]
    plain = create(shop, f"{kind}.create", {"amount": 5, "currency": "cny"} | wish)
    assert {} == plain["metadata"]


def test_one_sees_ones_own(shop):
    shop.earn(1_500)
    made, other = freeze(shop, 10), freeze(shop, 20)
    page = shop.shard.made("freeze.list", {}, MERCHANT.id)

    assert [other["id"], made["id"]] == [each["id"] for each in page["data"]]
    refused = shop.shard.ask("freeze.get", {}, "mch_other", target=made["id"], roles=())
    assert "not_found" == refused.code
    assert [] == shop.shard.made("advance.list", {}, MERCHANT.id)["data"]
