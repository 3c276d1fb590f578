"""Alipay's notifications: what the sandbox's courier brings to a shop's own server."""

import asyncio
import json
from urllib.parse import parse_qsl

import pytest
from aiohttp import web

from payments.channels.alipay import wire
from payments.channels.alipay.sandbox import RETRIES_S

CLOSE = "alipay.trade.close"
HEARD_S = 60


class Shop:
    """A shop's own server. `answers`: what it says to the next notifications, then success."""

    def __init__(self):
        self.forms = asyncio.Queue()
        self.answers = []

    async def start(self):
        app = web.Application()
        app.router.add_post("/notify", self._take)
        self.runner = web.AppRunner(app, access_log=None)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self.runner.addresses[0][1]}/notify"

    async def _take(self, request):
        body = await request.text()
        await self.forms.put(dict(parse_qsl(body, keep_blank_values=True)))
        return web.Response(text=self.answers.pop(0) if self.answers else "success")

    async def next(self):
        async with asyncio.timeout(HEARD_S):
            return await self.forms.get()


@pytest.fixture
async def shop():
    shop = Shop()
    await shop.start()
    yield shop
    await shop.runner.cleanup()


async def told(alipay, shop, method, biz):
    await alipay.call(method, biz, notify_url=shop.url)
    return await shop.next()


async def test_a_notification_says_what_a_shop_has_to_compare(alipay, shop):
    """Signed without `sign_type`; nothing in it is empty; lists are JSON in their own spelling."""
    biz = {
        "out_trade_no": "N1", "scene": "bar_code", "auth_code": "281234567890129012",
        "subject": "茶", "total_amount": "38.00", "passback_params": "a=b&c",
    }  # fmt: skip
    form = await told(alipay, shop, "alipay.trade.pay", biz)

    public = alipay.identity.alipay_key.public_key()
    assert wire.verify(public, wire.notice_text(form).encode(), form["sign"])
    assert not wire.verify(public, wire.request_text(form).encode(), form["sign"])
    expected = {
        "notify_type": "trade_status_sync", "trade_status": "TRADE_SUCCESS", "out_trade_no": "N1",
        "total_amount": "38.00", "receipt_amount": "36.00", "buyer_pay_amount": "33.00",
        "app_id": alipay.identity.app_id, "seller_id": alipay.identity.seller_id,
        "subject": "茶", "passback_params": "a=b&c", "sign_type": "RSA2", "charset": "utf-8",
    }  # fmt: skip
    assert expected == {name: form[name] for name in expected}
    assert all(form.values())
    assert {"amount": "33.00", "fundChannel": "ALIPAYACCOUNT"} in json.loads(form["fund_bill_list"])
    vouchers = json.loads(form["voucher_detail_list"])
    assert ["0.00", "2.00"] == [voucher["merchantContribute"] for voucher in vouchers]


async def test_until_it_hears_success_it_comes_again_with_the_same_id(alipay, shop):
    """Exactly these seven characters; anything else is a failure."""
    alipay.sandbox.courier.retry_factor = 0
    shop.answers = ["fail", "SUCCESS", "", "success!"]
    biz = {
        "out_trade_no": "N2", "scene": "bar_code", "auth_code": "281234567890120000",
        "subject": "a", "total_amount": "1.00",
    }  # fmt: skip
    forms = [await told(alipay, shop, "alipay.trade.pay", biz)]
    forms += [await shop.next() for _ in range(4)]

    assert 1 == len({form["notify_id"] for form in forms})
    assert 1 == len({form["trade_status"] for form in forms})


def test_the_retry_plan_is_the_published_one():
    """4, 10, 10 minutes, 1, 2, 6, 15 hours: with the first, eight deliveries in about 25 hours."""
    assert [4, 10, 10, 60, 120, 360, 900] == [s / 60 for s in RETRIES_S]


async def test_refunds_are_told_with_the_sum_and_their_number(alipay, shop):
    biz = {
        "out_trade_no": "N3", "scene": "bar_code", "auth_code": "281234567890120000",
        "subject": "a", "total_amount": "3.00",
    }  # fmt: skip
    await told(alipay, shop, "alipay.trade.pay", biz)
    forms = []
    for number, amount in (("A", "1.00"), ("B", "2.00")):
        await alipay.refund("N3", amount, number)
        forms.append(await shop.next())

    told_of = [(f["out_biz_no"], f["refund_fee"], f["trade_status"]) for f in forms]
    assert [("A", "1.00", "TRADE_SUCCESS"), ("B", "3.00", "TRADE_CLOSED")] == told_of


async def test_a_closed_order_of_the_wallet_is_told(alipay, shop):
    biz = {
        "out_trade_no": "N4", "subject": "a", "total_amount": "1.00",
        "buyer_id": "2088102169481075",
    }  # fmt: skip
    await alipay.call("alipay.trade.create", biz, notify_url=shop.url)
    await alipay.call(CLOSE, {"out_trade_no": "N4"})
    form = await shop.next()

    assert ("N4", "TRADE_CLOSED") == (form["out_trade_no"], form["trade_status"])
    assert form["gmt_close"]


async def test_nobody_on_a_foreign_host_is_told(alipay):
    """The payment is taken, as the real one takes any address."""
    biz = {
        "out_trade_no": "N5", "scene": "bar_code", "auth_code": "281234567890120000",
        "subject": "a", "total_amount": "1.00",
    }  # fmt: skip
    paid = await alipay.call("alipay.trade.pay", biz, notify_url="http://shop.example/notify")

    assert "10000" == paid["code"]
    (order,) = alipay.sandbox.engine.find("N5")
    assert order.notify_url is None
