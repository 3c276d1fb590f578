"""What strangers' clients do that ours does not, and WeChat Pay takes."""

import asyncio

import pytest

NATIVE = "/v3/pay/transactions/native"
CODEPAY = "/v3/pay/transactions/codepay"
REFUNDS = "/v3/refund/domestic/refunds"
ABNORMAL = REFUNDS + "/{}/apply-abnormal-refund"
NUMBER = "order-0001"


async def test_a_new_merchant_has_the_public_key_alone(shop):
    """Answers to requests that name no key are signed as the merchant is set up."""
    query = f"/v3/pay/transactions/out-trade-no/{NUMBER}?mchid={shop.given['mchid']}"
    await shop.call("POST", NATIVE, shop.order())
    before = await shop.call("GET", query)
    await shop.control("keys", {"answers": "public_key"})
    after = await shop.call("GET", query)
    by = {"Wechatpay-Serial": shop.given["platform_serial"]}
    named = await shop.call("GET", query, headers=by)

    names = ("platform_serial", "public_key_id", "platform_serial")
    signers = [said.headers["wechatpay-serial"] for said in (before, after, named)]
    assert [shop.given[name] for name in names] == signers
    assert shop.verifies(after, "public_key_pem")


@pytest.mark.parametrize("is_whole", [False, True])
async def test_the_host_of_a_request_line_is_not_signed(shop, is_whole):
    """HTTP lets a client send the whole address; what is signed is the path and the query."""
    target = f"/v3/pay/transactions/out-trade-no/{NUMBER}?mchid={shop.given['mchid']}"
    line = shop.url + target if is_whole else target
    host, _, port = shop.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = (
        f"GET {line} HTTP/1.0\r\nhost: {host}\r\nuser-agent: x\r\naccept: */*\r\n"
        f"authorization: {shop.authorization('GET', target)}\r\n\r\n"
    )
    writer.write(head.encode())
    answer = await reader.read()
    writer.close()

    assert answer.startswith(b"HTTP/1.0 404 ")
    assert b'"ORDER_NOT_EXIST"' in answer


@pytest.mark.parametrize("partner", [False, True])
async def test_no_refund_here_is_abnormal(shop, partner):
    """The call is there, judges its fields, and finds nothing to do."""
    path = CODEPAY.replace("pay/", "pay/partner/") if partner else CODEPAY
    await shop.call("POST", path, shop.codepay(partner=partner), partner=partner)
    sub = {"sub_mchid": shop.given["sub_mchid"]} if partner else {}
    amount = {"refund": 100, "total": 3800, "currency": "CNY"}
    asked = {"out_trade_no": NUMBER, "out_refund_no": "r1", "amount": amount, **sub}
    made = (await shop.call("POST", REFUNDS, asked, partner=partner)).json
    body = {"out_refund_no": "r1", "type": "USER_BANK_CARD", **sub}

    async def apply(refund_id, **changes):
        said = await shop.call(
            "POST", ABNORMAL.format(refund_id), {**body, **changes}, partner=partner
        )
        return said.status, said.code

    assert (400, "INVALID_REQUEST") == await apply(made["refund_id"])
    assert (404, "RESOURCE_NOT_EXISTS") == await apply("5030")
    assert (404, "RESOURCE_NOT_EXISTS") == await apply(made["refund_id"], out_refund_no="r2")
    assert (400, "PARAM_ERROR") == await apply(made["refund_id"], type="CASH")
