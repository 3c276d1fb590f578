"""An independent client, unchanged, against the WeChat Pay sandbox over real HTTP.

`wechatpayv3` was written by strangers for the real channel: it signs with its own code, checks the
signature of every answer with its own code, and raises when one is wrong.
"""

import asyncio
import json
from random import Random

import aiohttp
import pytest
from aiohttp import web
from wechatpayv3 import WeChatPay, WeChatPayType
from wechatpayv3.core import Core

from payments.channels.sandbox.app import SandboxSettings, serve
from payments.channels.wechat.sandbox import WeChatSandbox
from payments.clock import SystemClock

WAIT_S = 60
NUMBER, REFUND = "order-0001", "refund-0001"
CODE = {"payer": {"auth_code": "130000000000000000"}, "scene_info": {"store_info": {"id": "1"}}}
MODES = [False, True]


class Shop:
    """A sandbox, an address for its callbacks, and clients of the strangers' making."""

    def __init__(self, sandbox: WeChatSandbox) -> None:
        self.given = sandbox.credentials()
        self.sandbox = sandbox
        self.heard: asyncio.Queue = asyncio.Queue()

    async def client(self, *, partner=False, certificates=False) -> WeChatPay:
        """By public key, or by platform certificates, which it then downloads by itself."""
        given = self.given
        keys = {"public_key": given["public_key_pem"], "public_key_id": given["public_key_id"]}
        return await asyncio.to_thread(
            WeChatPay,
            wechatpay_type=WeChatPayType.NATIVE,
            mchid=given["sp_mchid" if partner else "mchid"],
            private_key=given["merchant_private_key_pem"],
            cert_serial_no=given["merchant_serial"],
            appid=given["sp_appid" if partner else "appid"],
            apiv3_key=given["api_v3_key"],
            notify_url=self.notify_url,
            partner_mode=partner,
            timeout=(WAIT_S, WAIT_S),
            **({} if certificates else keys),
        )

    def sub(self, partner):
        return {"sub_mchid": self.given["sub_mchid"]} if partner else {}

    async def payer(self, verb, number=NUMBER):
        async with aiohttp.ClientSession() as session:
            sent = session.post(f"{self.url}/_sandbox/{verb}", json={"out_trade_no": number})
            async with sent as answer:
                assert 200 == answer.status, await answer.text()

    async def callback(self):
        async with asyncio.timeout(WAIT_S):
            return await self.heard.get()

    async def _hear(self, request):
        self.heard.put_nowait((dict(request.headers), await request.text()))
        return web.json_response({"code": "SUCCESS"})


@pytest.fixture
async def shop(monkeypatch):
    made = Shop(WeChatSandbox(SandboxSettings(), SystemClock(), Random(3)))
    served = await serve(made.sandbox)
    app = web.Application()
    app.router.add_post("/notify", made._hear)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = served.url
    made.notify_url = f"http://127.0.0.1:{runner.addresses[0][1]}/notify"
    # Its address is an attribute that its constructor sets, and may already use.
    monkeypatch.setattr(Core, "_gate_way", _Gate(served.url), raising=False)
    yield made
    await served.stop()
    await runner.cleanup()


class _Gate:
    """Stands where the client keeps its address: what it writes there is not heard."""

    def __init__(self, url):
        self.url = url

    def __get__(self, client, kind=None):
        return self.url

    def __set__(self, client, value):
        assert value.startswith("https://")


async def said(call, *args, **more):
    """Call the synchronous client in a thread. Returns status and JSON."""
    status, text = await asyncio.to_thread(call, *args, **more)
    return status, json.loads(text) if text else None


async def ok(call, *args, **more):
    status, body = await said(call, *args, **more)
    assert 200 == status, body
    return body


@pytest.mark.parametrize("partner", MODES)
async def test_a_native_order_from_code_to_refund(shop, partner):
    client, sub = await shop.client(partner=partner), shop.sub(partner)

    shown = await ok(client.pay, "午餐", NUMBER, {"total": 3800, "currency": "CNY"}, **sub)
    before = await ok(client.query, out_trade_no=NUMBER, **sub)
    await shop.payer("pay")
    paid = await ok(client.query, out_trade_no=NUMBER, **sub)
    by_id = await ok(client.query, transaction_id=paid["transaction_id"], **sub)
    amount = {"refund": 1000, "total": 3800, "currency": "CNY"}
    refund = await ok(client.refund, REFUND, amount, out_trade_no=NUMBER, **sub)
    asked = await ok(client.query_refund, REFUND, **sub)
    after = await ok(client.query, out_trade_no=NUMBER, **sub)
    close, problem = await said(client.close, NUMBER, **sub)

    assert shown["code_url"].startswith("weixin://")
    assert ["NOTPAY", "SUCCESS", "REFUND"] == [o["trade_state"] for o in (before, paid, after)]
    assert paid == by_id
    assert refund == asked
    assert (1000, "SUCCESS") == (refund["amount"]["refund"], refund["status"])
    assert (400, "ORDERPAID") == (close, problem["code"])


@pytest.mark.parametrize("partner", MODES)
async def test_callbacks_verify_and_open(shop, partner):
    client, sub = await shop.client(partner=partner), shop.sub(partner)
    await ok(client.pay, "午餐", NUMBER, {"total": 3800}, **sub)
    await shop.payer("pay")
    paid = await asyncio.to_thread(client.callback, *await shop.callback())
    amount = {"refund": 3800, "total": 3800, "currency": "CNY"}
    await ok(client.refund, REFUND, amount, out_trade_no=NUMBER, **sub)
    refunded = await asyncio.to_thread(client.callback, *await shop.callback())

    assert "TRANSACTION.SUCCESS" == paid["event_type"]
    assert (NUMBER, "SUCCESS") == (
        paid["resource"]["out_trade_no"],
        paid["resource"]["trade_state"],
    )
    assert "REFUND.SUCCESS" == refunded["event_type"]
    assert "SUCCESS" == refunded["resource"]["refund_status"]


async def test_a_probe_does_not_pass_for_a_callback(shop):
    client = await shop.client()
    await ok(client.pay, "午餐", NUMBER, {"total": 3800})
    await shop.payer("pay")
    headers, body = await shop.callback()
    headers["Wechatpay-Signature"] = "WECHATPAY/SIGNTEST/" + headers["Wechatpay-Signature"]

    assert None is await asyncio.to_thread(client.callback, headers, body)


@pytest.mark.parametrize("partner", MODES)
async def test_a_closed_order(shop, partner):
    client, sub = await shop.client(partner=partner), shop.sub(partner)
    await ok(client.pay, "午餐", NUMBER, {"total": 3800}, **sub)

    closed = [await said(client.close, NUMBER, **sub) for _ in range(2)]

    assert [(204, None)] * 2 == closed
    assert "CLOSED" == (await ok(client.query, out_trade_no=NUMBER, **sub))["trade_state"]


@pytest.mark.parametrize("partner", MODES)
@pytest.mark.parametrize(
    ("kind", "more", "link"),
    [
        (WeChatPayType.APP, {}, "prepay_id"),
        (
            WeChatPayType.H5,
            {"scene_info": {"payer_client_ip": "1.2.3.4", "h5_info": {"type": "Wap"}}},
            "h5_url",
        ),
    ],
)
async def test_other_orders(shop, partner, kind, more, link):
    client, sub = await shop.client(partner=partner), shop.sub(partner)

    shown = await ok(client.pay, "午餐", NUMBER, {"total": 1}, pay_type=kind, **more, **sub)

    assert shown[link]


@pytest.mark.parametrize("partner", MODES)
async def test_a_pages_order(shop, partner):
    client, sub = await shop.client(partner=partner), shop.sub(partner)
    payer = {"sp_openid" if partner else "openid": "oAnna"}
    more = {"payer": payer, "pay_type": WeChatPayType.JSAPI, **sub}

    shown = await ok(client.pay, "午餐", NUMBER, {"total": 1}, **more)
    await shop.payer("pay")
    paid = await ok(client.query, out_trade_no=NUMBER, **sub)

    assert shown["prepay_id"]
    assert payer == paid["payer"]


@pytest.mark.parametrize("partner", MODES)
async def test_a_payment_code_and_its_reverse(shop, partner):
    client, sub = await shop.client(partner=partner), shop.sub(partner)
    more = {"pay_type": WeChatPayType.CODEPAY, **CODE, **sub}

    paid = await ok(client.pay, "午餐", NUMBER, {"total": 3800}, **more)
    undone = await ok(client.codepay_reverse, NUMBER, **sub)
    after = await ok(client.query, out_trade_no=NUMBER, **sub)

    assert ("SUCCESS", "MICROPAY") == (paid["trade_state"], paid["trade_type"])
    assert NUMBER == undone["out_trade_no"]
    assert "REVOKED" == after["trade_state"]


async def test_platform_certificates_are_downloaded_by_the_client(shop):
    """Who has no public key of the channel's is called back by certificate, too."""
    client = await shop.client(certificates=True)

    await ok(client.pay, "午餐", NUMBER, {"total": 3800})
    await shop.payer("pay")
    told = await asyncio.to_thread(client.callback, *await shop.callback())

    assert NUMBER == told["resource"]["out_trade_no"]


async def test_a_wrong_signature_is_noticed_by_the_client(shop):
    """That it says nothing above is worth something only because it would."""
    client = await shop.client()
    code = {**CODE, "payer": {"auth_code": "130000000000009010"}}

    with pytest.raises(Exception, match="failed to verify"):
        await said(client.pay, "午餐", NUMBER, {"total": 1}, pay_type=WeChatPayType.CODEPAY, **code)


async def test_a_clients_mistakes_are_told(shop):
    client = await shop.client()
    long = await said(client.pay, "x" * 128, NUMBER, {"total": 1})
    absent = await said(client.query, out_trade_no="order-9999")
    client._mchid = "1"
    foreign = await said(client.pay, "x", NUMBER, {"total": 1})

    assert (400, "/description") == (long[0], long[1]["detail"]["field"])
    assert (404, "ORDER_NOT_EXIST") == (absent[0], absent[1]["code"])
    assert (400, "MCH_NOT_EXISTS") == (foreign[0], foreign[1]["code"])
