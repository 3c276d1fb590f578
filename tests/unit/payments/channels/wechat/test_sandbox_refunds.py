"""Refunds of the sandbox: rules, repetition, parts, partners."""

import pytest

DIRECT, PARTNER = "/v3/pay/transactions", "/v3/pay/partner/transactions"
REFUNDS = "/v3/refund/domestic/refunds"
NUMBER = "order-0001"


async def test_a_refund_is_made_once_under_its_number(shop):
    order = await shop.paid(ending="9012")
    first = await shop.call("POST", REFUNDS, shop.refund_of(amount=3800))
    again = await shop.call("POST", REFUNDS, shop.refund_of(amount=3800))
    asked = await shop.call("GET", f"{REFUNDS}/refund-1")
    state = await shop.call("GET", shop.query_of())

    assert first.json == again.json == asked.json
    assert "SUCCESS" == first.json["status"]
    assert order["transaction_id"] == first.json["transaction_id"]
    amounts = first.json["amount"]
    assert (3300, 3600, 500) == (
        amounts["payer_refund"],
        amounts["settlement_refund"],
        amounts["discount_refund"],
    )
    parts = {part["type"]: part["refund_amount"] for part in first.json["promotion_detail"]}
    assert {"COUPON": 300, "DISCOUNT": 200} == parts
    assert "REFUND" == state.json["trade_state"]


async def test_parts_of_a_refund_come_to_the_whole(shop):
    await shop.paid(ending="9012", total=1001)
    parts = (333, 333, 335)
    said = [
        (
            await shop.call(
                "POST", REFUNDS, shop.refund_of(amount=a, refund=f"r{a}{i}", total=1001)
            )
        ).json
        for i, a in enumerate(parts)
    ]

    assert 501 == sum(one["amount"]["payer_refund"] for one in said)
    assert 801 == sum(one["amount"]["settlement_refund"] for one in said)


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"amount": {"refund": 3801, "total": 3800, "currency": "CNY"}}, 400, "INVALID_REQUEST"),
        ({"amount": {"refund": 1, "total": 3799, "currency": "CNY"}}, 400, "INVALID_REQUEST"),
        ({"amount": {"refund": 0, "total": 3800, "currency": "CNY"}}, 400, "PARAM_ERROR"),
        ({"amount": {"refund": 1, "total": 3800}}, 400, "PARAM_ERROR"),
        ({"out_trade_no": "order-9999"}, 404, "RESOURCE_NOT_EXISTS"),
        ({"out_trade_no": None}, 400, "PARAM_ERROR"),
        ({"out_trade_no": None, "transaction_id": "42"}, 404, "RESOURCE_NOT_EXISTS"),
        ({"out_refund_no": "x" * 65}, 400, "PARAM_ERROR"),
        ({"reason": "x" * 81}, 400, "PARAM_ERROR"),
        ({"notify_url": "http://example.com"}, 400, "PARAM_ERROR"),
    ],
)
async def test_a_refund_that_cannot_be(shop, change, status, code):
    await shop.paid()

    said = await shop.call("POST", REFUNDS, shop.refund_of() | change)

    assert (status, code) == (said.status, said.code)


async def test_refunds_never_exceed_the_payment_and_a_number_is_one_refund(shop):
    await shop.paid()
    await shop.call("POST", REFUNDS, shop.refund_of(amount=3000))
    more = await shop.call("POST", REFUNDS, shop.refund_of(amount=801, refund="refund-2"))
    other = await shop.call("POST", REFUNDS, shop.refund_of(amount=2999))
    unpaid = await shop.call("POST", f"{DIRECT}/native", shop.order("order-0002"))
    refused = await shop.call("POST", REFUNDS, shop.refund_of("order-0002", refund="refund-3"))
    absent = await shop.call("GET", f"{REFUNDS}/refund-9")

    assert 200 == unpaid.status
    assert ["INVALID_REQUEST"] * 3 == [said.code for said in (more, other, refused)]
    assert (404, "RESOURCE_NOT_EXISTS") == (absent.status, absent.code)


async def test_an_order_has_fifty_refunds(shop):
    await shop.paid()
    for index in range(50):
        said = await shop.call("POST", REFUNDS, shop.refund_of(amount=1, refund=f"r{index}"))
        assert 200 == said.status

    assert (
        await shop.call("POST", REFUNDS, shop.refund_of(amount=1, refund="r50"))
    ).code == "RULE_LIMIT"


async def test_a_refund_by_the_channels_number(shop):
    order = await shop.paid()
    body = shop.refund_of() | {"out_trade_no": None, "transaction_id": order["transaction_id"]}

    assert 200 == (await shop.call("POST", REFUNDS, body)).status


@pytest.mark.parametrize(("amount", "status"), [(77, 200), (78, 404)])
async def test_a_refund_whose_answer_is_lost(shop, amount, status):
    """77: it was made; 78: it was not, and is when it is asked for again."""
    await shop.paid()
    first = await shop.call("POST", REFUNDS, shop.refund_of(amount=amount))
    asked = await shop.call("GET", f"{REFUNDS}/refund-1")
    again = await shop.call("POST", REFUNDS, shop.refund_of(amount=amount))

    assert (500, "SYSTEM_ERROR", status) == (first.status, first.code, asked.status)
    assert "SUCCESS" == again.json["status"]


async def test_a_partners_refund_names_the_sub_merchant(shop):
    await shop.call("POST", f"{PARTNER}/codepay", shop.codepay(partner=True), partner=True)
    sub = shop.given["sub_mchid"]
    without = await shop.call("POST", REFUNDS, shop.refund_of(), partner=True)
    wrong = await shop.call("POST", REFUNDS, shop.refund_of(sub_mchid="1"), partner=True)
    right = await shop.call("POST", REFUNDS, shop.refund_of(sub_mchid=sub), partner=True)
    asked = await shop.call("GET", f"{REFUNDS}/refund-1?sub_mchid={sub}", partner=True)

    assert "PARAM_ERROR" == without.code
    assert (404, "MCH_NOT_EXISTS") == (wrong.status, wrong.code)
    assert right.json == asked.json
