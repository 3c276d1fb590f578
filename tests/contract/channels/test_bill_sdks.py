"""Independent clients, unchanged, fetch the sandboxes' bills over real HTTP.

`wechatpayv3` signs the download's address with its own code and gives back what came;
`python-alipay-sdk` verifies the answer that names the file. What they fetched is read here.
"""

import asyncio
import csv
import gzip
import hashlib
import io
import json
import zipfile
from random import Random
from urllib.request import urlopen

import pytest
from alipay import AliPay
from wechatpayv3 import WeChatPay, WeChatPayType
from wechatpayv3.core import Core

from payments.bills.text import china_date, day_ms, next_date
from payments.channels.alipay import bill as alipay_bill
from payments.channels.alipay.identity import Identity
from payments.channels.alipay.sandbox import AlipaySandbox
from payments.channels.sandbox.app import SandboxSettings, serve
from payments.channels.wechat import bill as wechat_bill
from payments.clock import SystemClock
from rig_wechat import WeChatRig
from rigs import rsa_key

CODE = "130000000000000000"
HOUR_MS = 3_600_000


class Yesterday:
    """A sandbox on whose yesterday a client can pay, refund and undo; then it is today."""

    def __init__(self, sandbox):
        self.sandbox = sandbox
        clock = sandbox.clock
        self.date = next_date(china_date(clock.now_ms()))
        self.text = f"{self.date // 10_000}-{self.date // 100 % 100:02d}-{self.date % 100:02d}"
        self.go_to(12)

    def go_to(self, hour):
        """So many hours after the day's midnight in China."""
        clock = self.sandbox.clock
        to_ms = day_ms(self.date) + hour * HOUR_MS
        self.sandbox.engine.move_clock(clock.offset_ms + to_ms - clock.now_ms())


def downloaded(url):
    with urlopen(url) as answer:  # noqa: S310 - our own address on loopback
        return answer.read()


class _Gate:
    """Stands where the client keeps its address: what it writes there is not heard."""

    def __init__(self, url):
        self.url = url

    def __get__(self, client, kind=None):
        return self.url

    def __set__(self, client, value):
        assert value.startswith("https://")


@pytest.fixture
async def wechat(monkeypatch):
    rig = WeChatRig()
    sandbox = rig.sandbox(SystemClock(), Random(3))
    served = await serve(sandbox)
    monkeypatch.setattr(Core, "_gate_way", _Gate(served.url), raising=False)
    yield Yesterday(sandbox)
    await served.stop()
    rig.close()


async def wechat_client(sandbox, *, partner=False):
    given = sandbox.credentials()
    return await asyncio.to_thread(
        WeChatPay,
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


async def said(call, *args, **more):
    status, text = await asyncio.to_thread(call, *args, **more)
    return status, json.loads(text)


async def sell(client, sandbox, number, total, *, partner=False):
    sub = {"sub_mchid": sandbox.account.sub_mchids[0]} if partner else {}
    status, body = await said(
        client.pay,
        description="noodles",
        out_trade_no=number,
        amount={"total": total},
        payer={"auth_code": CODE},
        scene_info={"store_info": {"id": "1"}},
        **sub,
    )
    assert 200 == status, body
    status, body = await said(
        client.refund, out_trade_no=number, out_refund_no=f"R-{number}",
        amount={"refund": 100, "total": total, "currency": "CNY"}, **sub,
    )  # fmt: skip
    assert 200 == status, body


@pytest.mark.parametrize("packing", ["GZIP", None])
@pytest.mark.parametrize("partner", [False, True])
async def test_wechats_bill_of_payments(wechat, packing, partner):
    """Asked for, downloaded by the signed address, hashed, and read; direct and as a partner."""
    sandbox = wechat.sandbox
    client = await wechat_client(sandbox, partner=partner)
    await sell(client, sandbox, "order-0001", 3800, partner=partner)
    wechat.go_to(34)
    tar = {"tar_type": packing} if packing else {"tar_type": ""}

    status, offer = await said(client.trade_bill, wechat.text, bill_type="ALL", **tar)
    assert (200, "SHA1") == (status, offer["hash_type"])
    status, content = await asyncio.to_thread(client.download_bill, offer["download_url"])

    assert 200 == status
    text = gzip.decompress(content) if packing else content
    assert offer["hash_value"] == hashlib.sha1(text).hexdigest()  # noqa: S324 - the channel's hash
    lines = list(wechat_bill.read(io.BytesIO(content), wechat.date))
    account = sandbox.account
    whose = (account.sp_mchid, account.sub_mchids[0]) if partner else (account.mchid, "")
    assert [
        (*whose, "order-0001", "", 3800, 23),
        (*whose, "order-0001", "R-order-0001", 100, 1),
    ] == [(i.account, i.merchant, i.out_trade_no, i.out_refund_no, i.amount, i.fee) for i in lines]
    # Read by the standard library alone: a head, cells behind backticks, a foot of two lines.
    rows = list(csv.reader(io.StringIO(text.decode("utf-8-sig"))))
    assert [27, 27, 27, 7, 7] == [len(row) for row in rows]
    assert ["`2", "`38.00", "`1.00", "`0.00", "`0.22000", "`38.00", "`1.00"] == rows[-1]


@pytest.mark.parametrize(("kind", "columns"), [("SUCCESS", 20), ("REFUND", 29)])
async def test_wechats_bills_of_one_kind(wechat, kind, columns):
    """Payments alone, without the refunds' columns; refunds alone, with two more."""
    client = await wechat_client(wechat.sandbox)
    await sell(client, wechat.sandbox, "order-0001", 3800)
    wechat.go_to(34)

    _, offer = await said(client.trade_bill, wechat.text, bill_type=kind, tar_type="")
    _, content = await asyncio.to_thread(client.download_bill, offer["download_url"])

    assert columns == len(content.decode("utf-8-sig").splitlines()[0].split(","))
    (line,) = wechat_bill.read(io.BytesIO(content), wechat.date)
    assert {"SUCCESS": "payment", "REFUND": "refund"}[kind] == line.kind


async def test_wechats_bill_of_movements(wechat):
    """The balance after a payment, its fee, a refund and the fee that came back."""
    client = await wechat_client(wechat.sandbox)
    await sell(client, wechat.sandbox, "order-0001", 3800)
    wechat.go_to(34)

    _, offer = await said(client.fundflow_bill, wechat.text, tar_type="GZIP")
    _, content = await asyncio.to_thread(client.download_bill, offer["download_url"])

    rows = list(csv.reader(io.StringIO(gzip.decompress(content).decode("utf-8-sig"))))
    assert ["`38.00", "`37.77", "`36.77", "`36.78"] == [row[7] for row in rows[1:-2]]
    assert ["`4", "`2", "`38.01", "`2", "`1.23"] == rows[-1]


REFUSALS = """
    # hours  date        type  -> code
      20     same        ALL      INVALID_REQUEST
      33     same        ALL      STATEMENT_CREATING
      34     same        REFUND   NO_STATEMENT_EXIST
      34     2026-02-30  ALL      PARAM_ERROR
      34     20261121    ALL      PARAM_ERROR
      34     same        NONE     PARAM_ERROR
      34     2026-01-01  ALL      INVALID_REQUEST
      2400   same        ALL      INVALID_REQUEST
"""
ROWS = [row.split() for row in REFUSALS.strip().splitlines()[1:]]


@pytest.mark.parametrize(("hours", "date", "kind", "code"), ROWS)
async def test_wechats_refusals_of_a_bill(wechat, hours, date, kind, code):
    """Too early, too late, nothing there, or no such thing: each in the channel's own words."""
    client = await wechat_client(wechat.sandbox)
    status, body = await said(
        client.pay, description="tea", out_trade_no="order-0001", amount={"total": 100},
        payer={"auth_code": CODE}, scene_info={"store_info": {"id": "1"}},
    )  # fmt: skip
    assert 200 == status, body
    wechat.go_to(int(hours))

    asked = wechat.text if date == "same" else date
    status, body = await said(client.trade_bill, asked, bill_type=kind)
    assert (400, code) == (status, body["code"])


async def test_wechats_other_accounts_have_no_movements(wechat):
    """All that moves here moves on the basic account of the direct merchant."""
    client = await wechat_client(wechat.sandbox)
    await sell(client, wechat.sandbox, "order-0001", 3800)
    wechat.go_to(34)

    status, body = await said(client.fundflow_bill, wechat.text, account_type="FEES")
    assert (400, "NO_STATEMENT_EXIST") == (status, body["code"])
    partner = await wechat_client(wechat.sandbox, partner=True)
    status, body = await said(partner.fundflow_bill, wechat.text)
    assert (400, "NO_STATEMENT_EXIST") == (status, body["code"])


async def test_wechats_file_is_given_to_nobody_else(wechat):
    """The download is refused without a signature."""
    client = await wechat_client(wechat.sandbox)
    await sell(client, wechat.sandbox, "order-0001", 3800)
    wechat.go_to(34)
    _, offer = await said(client.trade_bill, wechat.text)

    with pytest.raises(OSError, match="HTTP Error 400"):
        await asyncio.to_thread(downloaded, offer["download_url"])


async def test_alipays_bill():
    """The client verifies where the file is; the file is a zip of two GBK texts."""
    identity = Identity(rsa_key("shop"), rsa_key("channel"))
    sandbox = AlipaySandbox(SandboxSettings(), SystemClock(), Random(1), identity=identity)
    served = await serve(sandbox)
    try:
        given = sandbox.credentials(served.url)
        client = AliPay(
            appid=given["app_id"],
            app_notify_url=None,
            app_private_key_string=given["app_private_key_pem"],
            alipay_public_key_string=given["alipay_public_key_pem"],
        )
        client._gateway = given["gateway"]
        await check_alipay(Yesterday(sandbox), client, given["seller_id"])
    finally:
        await served.stop()


async def check_alipay(yesterday, client, seller):
    pay, back = client.api_alipay_trade_pay, client.api_alipay_trade_refund
    code = "28763443825664394"
    await asyncio.to_thread(pay, "S1", "bar_code", code, "两碗面, hot", total_amount="38.00")
    await asyncio.to_thread(back, "1.00", out_trade_no="S1", out_request_no="R1")
    method = "alipay.data.dataservice.bill.downloadurl.query"
    asked = {"bill_type": "trade", "bill_date": yesterday.text}
    early = await asyncio.to_thread(client.server_api, method, asked)
    yesterday.go_to(24)
    offer = await asyncio.to_thread(client.server_api, method, asked)
    wrong = await asyncio.to_thread(client.server_api, method, asked | {"bill_date": "2026-13-01"})

    assert ("40004", "isp.bill_not_exist") == (early["code"], early["sub_code"])
    assert ("40004", "isv.invalid-arguments") == (wrong["code"], wrong["sub_code"])
    assert "10000" == offer["code"]
    content = await asyncio.to_thread(downloaded, offer["bill_download_url"])
    check_alipay_file(content, f"{seller}0156_{yesterday.date}")
    lines = list(alipay_bill.read(io.BytesIO(content), yesterday.date))
    assert [(seller, "S1", "", 3800, 23), (seller, "S1", "R1", 100, 1)] == [
        (i.account, i.out_trade_no, i.out_refund_no, i.amount, i.fee) for i in lines
    ]


def check_alipay_file(content, stem):
    """By the standard library alone."""
    with zipfile.ZipFile(io.BytesIO(content), metadata_encoding="gbk") as archive:
        names = archive.namelist()
        texts = [archive.read(name).decode("gbk").splitlines() for name in names]
    assert [f"{stem}_业务明细.csv", f"{stem}_业务明细(汇总).csv"] == names
    rows = [text.split(",") for text in texts[0] if not text.startswith("#")]
    assert [25, 25, 25] == [len(row) for row in rows]
    assert ["38.00", "-1.00"] == [row[rows[0].index("商家实收（元）")] for row in rows[1:]]
    assert ["-0.23", "0.01"] == [row[rows[0].index("服务费（元）")] for row in rows[1:]]
    assert ["S1\t", "交易\t", "两碗面  hot\t"] == rows[1][1:4]
    total = texts[1][-3].split(",")
    assert ["1", "1", "37.00", "37.00"] == total[2:6]
    assert "36.78" == total[-1]
