"""Withdrawals: never more than there is, whoever asks how often, and costs only when paid."""

import pytest
from msgspec import json
from msgspec.structs import replace

from actors.messages import Answer, Changes
from home_custody import AWAY, HOME, MERCHANT, OPTIONS, RECORDS, Shop
from payments.fees import FeePlan
from payments.ids import partition_of
from payments.reference import MerchantStatus, Receiver
from payments.settlement.instruction import Policy
from payments.settlement.withdrawal import Limits
from payments.webhooks import platform_number

KEY = b"k" * 16


@pytest.fixture
def shop():
    """A withdrawal costs 10 fen; above 5 000 a person looks first; policy sends all the others."""
    options = replace(
        OPTIONS,
        withdrawal_fee=FeePlan("withdrawal", 0, minimum=10),
        withdrawals=Limits(review_above=5_000, day_count_max=100_000),
        payouts=Policy(alone_max=10_000),
    )
    made = Shop(options=options)
    yield made
    made.close()


def ask(shop, amount, party=MERCHANT.id, **fields):
    """One request, as a front door makes it."""
    shard = shop.shard
    identifier = shard.mint.new("wdr", shard.clock.now_ms(), partition_of(party))
    body = {"amount": amount, "currency": "cny"}
    known = {"id": identifier, "merchant": MERCHANT.id, "roles": ()} | fields
    return shard.make("withdrawal.create", body, party, **known)


def withdraw(shop, amount, party=MERCHANT.id, **fields):
    answer = shop.shard.ask_all([ask(shop, amount, party, **fields)])[0]
    shop.custody.pump()
    return json.decode(answer.body) if isinstance(answer, Answer) else answer


def test_a_thousand_at_once_never_take_more_than_there_is(shop):
    """1 000 requests in one frame, each for a fiftieth: forty-nine fees and amounts fit."""
    shop.earn(100_000)
    answers = shop.shard.ask_all([ask(shop, 2_000) for _ in range(1_000)])
    shop.custody.pump()

    made = [each for each in answers if isinstance(each, Answer)]

    assert 100_000 // 2_010 == len(made)
    assert {"conflict"} == {each.code for each in answers if not isinstance(each, Answer)}
    assert 100_000 - 49 * 2_010 == shop.balance()
    assert 49 == len(shop.custody.instructed) == len(shop.custody.orders)
    for order in list(shop.custody.orders.values()):
        shop.custody.say(order[0].id, "paid")
    assert (0, 49 * 2_000) == (shop.balance(part="in_transit"), shop.custody.paid_out)
    shop.assert_sound()
    shop.assert_bank_agrees()


def test_what_a_withdrawal_took_is_paid_by_no_batch(shop):
    shop.earn(3_000)
    withdraw(shop, 1_990)
    shop.tick()
    payout = shop.instructions()[0]

    assert (1_000, False) == (payout.amount, payout.is_held)
    assert () == shop.parties.get(MERCHANT.id).unpaid


def test_a_receiver_takes_its_share_out(shop):
    shop.earn(3_000, shares=((HOME.id, 1_000), (AWAY.id, 500)))

    assert "paid" == _paid(shop, withdraw(shop, 990, HOME.id))["status"]
    assert "paid" == _paid(shop, withdraw(shop, 490, AWAY.id))["status"]
    assert "conflict" == withdraw(shop, 1, AWAY.id).code
    assert (0, 0, 1_500) == (shop.balance(HOME.id), shop.balance(AWAY.id), shop.balance())
    shop.assert_sound()
    shop.assert_bank_agrees()


def test_a_platforms_receiver_is_told_to_the_platform(shop):
    """By the number that stands for it in events: withdrawal and instruction alike."""
    saas = Receiver(AWAY.id, None, "saas", "the platform's own")
    shop.shard.records = (*(each for each in RECORDS if each is not AWAY), saas)
    shop.shard.core.reference.take(Changes(2, shop.shard.records, True))
    shop.earn(3_000, shares=((AWAY.id, 500),))
    _paid(shop, withdraw(shop, 490, AWAY.id))

    told = [row for row in shop.shard.store.events_after(0, 1_000) if row[2] < 0]

    assert {platform_number("saas")} == {row[2] for row in told}
    kinds = [row[4] for row in told]
    assert ["withdrawal.in_transit", "withdrawal.paid"] == [k for k in kinds if k[0] == "w"]
    assert {"settlement.sent", "settlement.paid"} == {k for k in kinds if k[0] == "s"}


def _paid(shop, made):
    (number,) = [n for n, order in shop.custody.orders.items() if order[1] is None]
    shop.custody.say(shop.custody.orders[number][0].id, "paid")
    party = made["receiver"] or made["merchant"]
    return shop.shard.made("withdrawal.get", {}, party, target=made["id"])


@pytest.mark.parametrize(
    ("words", "status", "available", "fees"),
    [
        (("accepted",), "in_transit", 890, 0),
        (("paid",), "paid", 890, 10),
        (("rejected",), "rejected", 3_000, 0),
        (("paid", "returned"), "returned", 3_000, 0),
        (("unknown",), "unknown", 890, 0),
    ],
)
def test_it_follows_its_instruction_and_costs_only_what_arrives(
    shop, words, status, available, fees
):
    shop.earn(3_000)
    made = withdraw(shop, 2_100)
    (order,) = shop.custody.orders.values()
    for word in words:
        shop.custody.say(order[0].id, word)

    seen = shop.shard.made("withdrawal.get", {}, MERCHANT.id, target=made["id"])

    assert (status, available) == (seen["status"], shop.balance())
    assert fees == -shop.books.balance(f"fees:income#{MERCHANT.partition}", "cny")
    shop.assert_sound()
    shop.assert_bank_agrees()


def test_a_large_one_is_looked_at_by_another_person(shop):
    shop.earn(20_000)
    made = withdraw(shop, 6_000)
    assert ("in_review", 13_990) == (made["status"], shop.balance())

    def act(op, body=None, **who):
        known = {"target": made["id"], "merchant": "", "caller": "op_2", "roles": ("checker",)}
        return shop.shard.ask(f"withdrawal.{op}", body or {}, "", **known | who)

    assert "insufficient_scope" == act("approve", roles=("maker",)).code
    assert "conflict" == act("approve", caller="key_one").code
    assert "in_transit" == json.decode(act("approve").body)["status"]
    assert "conflict" == act("reject", {"reason": "late"}).code
    shop.custody.pump()
    assert 1 == len(shop.custody.instructed)


def test_a_refused_one_gives_everything_back(shop):
    shop.earn(20_000)
    made = withdraw(shop, 6_000)
    refused = shop.shard.made(
        "withdrawal.reject", {"reason": "not plausible"}, MERCHANT.id,
        target=made["id"], caller="op_2",
    )  # fmt: skip

    assert ("rejected", "not plausible", 20_000) == (
        refused["status"], refused["reason"], shop.balance()
    )  # fmt: skip
    assert [] == shop.custody.instructed
    shop.assert_sound()


def test_a_repeated_key_takes_once(shop):
    shop.earn(3_000)
    first = withdraw(shop, 1_000, key_digest=KEY, fingerprint=b"f")
    again = withdraw(shop, 1_000, key_digest=KEY, fingerprint=b"f")
    other = withdraw(shop, 1_001, key_digest=KEY, fingerprint=b"g")

    assert first["id"] == again["id"]
    assert "idempotency_mismatch" == other.code
    assert 1_990 == shop.balance()


@pytest.mark.parametrize(
    ("amount", "fields", "code", "param"),
    [
        (0, {}, "invalid_field", "amount"),
        (-5, {}, "invalid_field", "amount"),
        ("7", {}, "invalid_field", "amount"),
        (2_991, {}, "conflict", None),
        (600_000_000, {}, "invalid_field", "amount"),
        (5, {"merchant": "", "party": ""}, "invalid_field", "merchant"),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(shop, amount, fields, code, param):
    shop.earn(3_000)
    refused = shop.shard.ask_all([_with(ask(shop, amount), fields)])[0]

    assert (code, param, 3_000) == (refused.code, refused.param, shop.balance())
    assert shop.shard.core.records.of("withdrawal", MERCHANT.id) == []


def _with(command, fields):
    for name, value in fields.items():
        setattr(command, name, value)
    return command


def test_another_merchants_withdrawal_does_not_exist(shop):
    shop.earn(3_000, shares=((HOME.id, 1_000),))
    made = withdraw(shop, 100, HOME.id)

    def get(merchant):
        return shop.shard.ask(
            "withdrawal.get", {}, merchant, merchant=merchant, target=made["id"], roles=()
        )

    assert "not_found" == get("mch_other").code
    assert isinstance(get(MERCHANT.id), Answer), "a merchant sees its receivers'"


def test_a_suspended_merchant_takes_nothing_out(shop):
    shop.earn(3_000)
    gone = replace(MERCHANT, status=MerchantStatus.SUSPENDED)
    shop.shard.records = (gone, *RECORDS[1:])
    shop.confirm()

    assert "merchant_suspended" == withdraw(shop, 100).code


def test_refunds_under_way_are_left_alone(shop):
    shop.earn(3_000)
    shop.shard.core.refund_holds[MERCHANT.id] = 2_500

    assert "conflict" == withdraw(shop, 600).code
    assert "in_transit" == withdraw(shop, 490)["status"]


def test_lists_are_a_partys_or_an_operators(shop):
    shop.earn(3_000, shares=((HOME.id, 1_000),))
    one, two = withdraw(shop, 100), withdraw(shop, 200, HOME.id)

    def listed(party, **query):
        page = shop.shard.made("withdrawal.list", {}, party, query=query)
        return [each["id"] for each in page["data"]]

    assert [one["id"]] == listed(MERCHANT.id)
    assert [two["id"]] == listed(HOME.id)
    assert {one["id"], two["id"]} == set(listed(""))
    assert [] == listed(MERCHANT.id, status="paid")
