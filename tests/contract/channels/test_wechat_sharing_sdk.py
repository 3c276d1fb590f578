"""An independent client, unchanged, shares money at the WeChat Pay sandbox over real HTTP.

`wechatpayv3` encrypts names, signs, verifies and words every call by itself.
"""

import asyncio
import csv
import gzip
import hashlib
import io
import json
from random import Random

import pytest
from wechatpayv3 import WeChatPay, WeChatPayType
from wechatpayv3.core import Core

from payments.bills.text import china_date, day_ms, next_date
from payments.channels.sandbox.app import serve
from payments.clock import SystemClock
from rig_wechat import WeChatRig

NUMBER, SHARE, BACK = "order-0001", "share-0001", "back-0001"
RIDER, LANDLORD = "1900000201", "1900000202"
MODES = [False, True]


class _Gate:
    """Stands where the client keeps its address: what it writes there is not heard."""

    def __init__(self, url):
        self.url = url

    def __get__(self, client, kind=None):
        return self.url

    def __set__(self, client, value):
        assert value.startswith("https://")


@pytest.fixture
async def sandbox(monkeypatch):
    rig = WeChatRig()
    made = rig.sandbox(SystemClock(), Random(3))
    served = await serve(made)
    monkeypatch.setattr(Core, "_gate_way", _Gate(served.url), raising=False)
    yield made
    await served.stop()
    rig.close()


class Client:
    """The strangers' client, for the direct merchant or for the partner."""

    def __init__(self, sandbox, partner):
        given = sandbox.credentials()
        self.sub = {"sub_mchid": given["sub_mchid"]} if partner else {}
        self._made = WeChatPay(
            wechatpay_type=WeChatPayType.CODEPAY,
            mchid=given["sp_mchid" if partner else "mchid"],
            private_key=given["merchant_private_key_pem"],
            cert_serial_no=given["merchant_serial"],
            appid=given["sp_appid" if partner else "appid"],
            apiv3_key=given["api_v3_key"],
            notify_url="http://127.0.0.1:1/notify",
            partner_mode=partner,
            public_key=given["public_key_pem"],
            public_key_id=given["public_key_id"],
        )

    async def said(self, called, /, **asked):
        call = getattr(self._made, called)
        status, text = await asyncio.to_thread(call, **asked)
        return status, json.loads(text)

    async def ok(self, called, /, **asked):
        status, body = await self.said(called, **asked)
        assert 200 == status, body
        return body

    async def sell(self, total=10_000, number=NUMBER, *, shared=True):
        settle = {"settle_info": {"profit_sharing": True}} if shared else {}
        body = await self.ok(
            "pay", description="lunch", out_trade_no=number, amount={"total": total},
            payer={"auth_code": "130000000000000000"}, scene_info={"store_info": {"id": "1"}},
            **settle, **self.sub,
        )  # fmt: skip
        return body["transaction_id"]

    async def name(self, account):
        await self.ok(
            "profitsharing_add_receiver", account_type="MERCHANT_ID", account=account,
            relation_type="PARTNER", name="河边餐饮有限公司", **self.sub,
        )  # fmt: skip

    def order(self, trade, *, number=SHARE, finish=False, rider=500):
        part = {"type": "MERCHANT_ID", "account": RIDER, "amount": rider, "description": "送餐"}
        return {
            "transaction_id": trade,
            "out_order_no": number,
            "receivers": [part],
            "unfreeze_unsplit": finish,
            **self.sub,
        }


async def client_of(sandbox, partner=False):
    return await asyncio.to_thread(Client, sandbox, partner)


@pytest.mark.parametrize("partner", MODES)
async def test_a_lunch_is_shared_taken_back_and_let_go(sandbox, partner):
    """Named, shared, asked about, taken back, let go: 0 fen off at every step."""
    client = await client_of(sandbox, partner)
    trade = await client.sell()
    await client.name(RIDER)

    made = await client.ok("profitsharing_order", **client.order(trade))
    seen = await client.ok(
        "profitsharing_order_query", transaction_id=trade, out_order_no=SHARE, **client.sub
    )
    held = await client.ok("profitsharing_amount_query", transaction_id=trade)
    back = await client.ok(
        "profitsharing_return", out_return_no=BACK, return_mchid=RIDER, amount=200,
        description="退款", out_order_no=SHARE, **client.sub,
    )  # fmt: skip
    told = await client.ok(
        "profitsharing_return_query", out_order_no=SHARE, out_return_no=BACK, **client.sub
    )
    again = await client.ok("profitsharing_amount_query", transaction_id=trade)
    await client.ok(
        "profitsharing_unfreeze", transaction_id=trade, out_order_no="rest-1",
        description="完结", **client.sub,
    )  # fmt: skip
    nothing = await client.ok("profitsharing_amount_query", transaction_id=trade)

    assert ("PROCESSING", "FINISHED") == (made["state"], seen["state"])
    assert [("SUCCESS", 500)] == [(one["result"], one["amount"]) for one in seen["receivers"]]
    assert ("PROCESSING", "SUCCESS") == (back["result"], told["result"])
    amounts = [each["unsplit_amount"] for each in (held, again, nothing)]
    assert [9_500, 9_700, 0] == amounts


async def test_the_same_number_is_one_order_and_other_parameters_are_refused(sandbox):
    client = await client_of(sandbox)
    trade = await client.sell()
    await client.name(RIDER)

    first = await client.ok("profitsharing_order", **client.order(trade))
    second = await client.ok("profitsharing_order", **client.order(trade))
    status, refused = await client.said("profitsharing_order", **client.order(trade, rider=501))
    held = await client.ok("profitsharing_amount_query", transaction_id=trade)

    assert first["order_id"] == second["order_id"]
    assert (400, "INVALID_REQUEST") == (status, refused["code"])
    assert 9_500 == held["unsplit_amount"]


async def test_limits_and_strangers_are_refused(sandbox):
    """An order that is not to be shared, thirty percent, fifty-one receivers, a stranger's name."""
    client = await client_of(sandbox)
    plain = await client.sell(number="order-0002", shared=False)
    trade = await client.sell()
    await client.name(RIDER)

    _, unshared = await client.said("profitsharing_order", **client.order(plain))
    _, above = await client.said("profitsharing_order", **client.order(trade, rider=3_001))
    many = client.order(trade)
    many["receivers"] = [
        {"type": "MERCHANT_ID", "account": f"19{at:08d}", "amount": 1, "description": "x"}
        for at in range(51)
    ]
    _, crowd = await client.said("profitsharing_order", **many)
    await client.ok("profitsharing_order", **client.order(trade, rider=3_000))
    _, more = await client.said("profitsharing_order", **client.order(trade, number="s2", rider=1))

    assert "INVALID_REQUEST" == unshared["code"]
    assert "RULE_LIMIT" == above["code"]
    assert "PARAM_ERROR" == crowd["code"]
    assert "RULE_LIMIT" == more["code"]


async def test_a_receiver_that_was_never_named_gets_nothing(sandbox):
    """Its part is closed for NO_RELATION, and the money of it is the merchant's own."""
    client = await client_of(sandbox)
    trade = await client.sell()
    await client.name(RIDER)
    await client.ok("profitsharing_delete_receiver", account_type="MERCHANT_ID", account=RIDER)

    await client.ok("profitsharing_order", **client.order(trade))
    seen = await client.ok("profitsharing_order_query", transaction_id=trade, out_order_no=SHARE)
    held = await client.ok("profitsharing_amount_query", transaction_id=trade)

    told = [(one["result"], one["fail_reason"]) for one in seen["receivers"]]
    assert [("CLOSED", "NO_RELATION")] == told
    assert 9_500 == held["unsplit_amount"]


async def test_a_refund_needs_what_receivers_have_back_first(sandbox):
    client = await client_of(sandbox)
    trade = await client.sell()
    await client.name(RIDER)
    await client.ok("profitsharing_order", **client.order(trade, finish=True))
    whole = {
        "out_trade_no": NUMBER,
        "out_refund_no": "refund-1",
        "amount": {"refund": 10_000, "total": 10_000, "currency": "CNY"},
    }

    _, refused = await client.said("refund", **whole)
    await client.ok(
        "profitsharing_return", out_return_no=BACK, return_mchid=RIDER, amount=500,
        description="退款", out_order_no=SHARE,
    )  # fmt: skip
    done = await client.ok("refund", **whole)
    again = await client.ok("refund", **whole)

    assert "NOT_ENOUGH" == refused["code"]
    assert ("SUCCESS", done["refund_id"]) == (done["status"], again["refund_id"])


async def test_the_largest_ratio_is_told_to_partners(sandbox):
    client = await client_of(sandbox, partner=True)

    told = await client.ok("profitsharing_config_query", **client.sub)

    assert 3_000 == told["max_ratio"]


@pytest.mark.parametrize("partner", MODES)
async def test_the_bill_is_fetched_and_a_spreadsheet_adds_it_up(sandbox, partner):
    """The strangers' client asks and downloads; Python's own csv reads what a program would."""
    client = await client_of(sandbox, partner)
    trade = await client.sell()
    await client.name(RIDER)
    await client.ok("profitsharing_order", **client.order(trade, finish=True))
    await client.ok(
        "profitsharing_return", out_return_no=BACK, return_mchid=RIDER, amount=200,
        description="退款", out_order_no=SHARE, **client.sub,
    )  # fmt: skip
    now = sandbox.clock.now_ms()
    day = str(china_date(now))
    sandbox.clock.offset_ms += day_ms(next_date(int(day))) + 10 * 3_600_000 - now

    date = f"{day[:4]}-{day[4:6]}-{day[6:]}"
    told = await client.ok("profitsharing_bill", bill_date=date, tar_type="GZIP", **client.sub)
    status, packed = await asyncio.to_thread(client._made.download_bill, told["download_url"])

    assert 200 == status
    text = gzip.decompress(packed)
    assert told["hash_value"] == hashlib.sha1(text, usedforsecurity=False).hexdigest()
    rows = list(csv.reader(io.StringIO(text.decode("utf-8-sig"))))
    assert all(cell.startswith("`") for row in rows[1:3] for cell in row)
    lines = [dict(zip(rows[0], (cell[1:] for cell in row), strict=True)) for row in rows[1:3]]
    assert [(SHARE, "5.00", "分账"), (BACK, "2.00", "分账回退")] == [
        (each["商户分账/回退单号"], each["分账金额"], each["业务类型"]) for each in lines
    ]
    assert {(RIDER, trade, "100.00")} == {
        (each["分账接收方"], each["微信订单号"], each["订单金额"]) for each in lines
    }
    assert ["`2", "`5.00", "`2.00"] == rows[4]


@pytest.mark.parametrize("partner", MODES)
async def test_a_receivers_callback_verifies_and_opens(sandbox, partner):
    client = await client_of(sandbox, partner)
    trade = await client.sell()
    await client.name(RIDER)
    told = []
    sandbox.sharing.tell = told.append
    sandbox.sharing.set_url(RIDER, "http://127.0.0.1:1/notify")
    await client.ok("profitsharing_order", **client.order(trade))
    async with asyncio.timeout(60):
        while not told:  # noqa: ASYNC110 - the loop brings it with its next turn
            await asyncio.sleep(0)

    post = await sandbox.post(told[0], 1)
    opened = json.loads(client._made.decrypt_callback(post.headers, post.body))
    result = client._made.callback(post.headers, post.body)

    assert "TRANSACTION.SUCCESS" == result["event_type"]
    assert (SHARE, trade, RIDER, 500) == (
        opened["out_order_no"], opened["transaction_id"], opened["receiver"]["account"],
        opened["receiver"]["amount"],
    )  # fmt: skip
    assert client.sub.get("sub_mchid") == opened.get("sub_mchid")
