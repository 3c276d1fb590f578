"""Callbacks to the connector: the sandbox's own, and what somebody else might send."""

import json

import msgspec
import pytest

from payments.channels.base import (
    Approved,
    Awaiting,
    Declined,
    OrderRef,
    PayOrder,
    RefundOrder,
    Unknown,
)
from payments.channels.transport import Callback
from payments.channels.wechat import crypto, wire
from payments.channels.wechat.keys import PlatformKeys
from payments.channels.wechat.requests import WeChatSettings
from payments.payment import Way

NUMBER = "01K5AZ00000000000000000000"
ORDER = PayOrder(NUMBER, 3800, "cny", Way.QR, "wechat", "mch_1")
REF = OrderRef(NUMBER, 3800, "cny", Way.BARCODE, "wechat", "mch_1", 0)


@pytest.fixture
def callback(shop, sign):
    """A signed callback about this plaintext."""

    def made(plain: bytes, original="transaction", event="TRANSACTION.SUCCESS", **changes):
        key, nonce = shop.given["api_v3_key"].encode(), "twelve bytes"
        box = {
            "algorithm": "AEAD_AES_256_GCM",
            "nonce": nonce,
            "associated_data": original,
            "original_type": original,
            "ciphertext": crypto.seal(changes.pop("key", key), nonce, original, plain),
        }
        told = {"id": "1", "event_type": event, "resource": box | changes.pop("box", {})}
        body = msgspec.json.encode(told)
        return Callback("POST", "", sign(body, **changes), body)

    return made


async def test_a_callback_is_heard_as_often_as_it_comes(shop, callback, shown):
    channel = shop.channel()
    told = callback(shown())

    first, second = await channel.hear(told), await channel.hear(told)

    assert isinstance(first.notice.outcome, Approved)
    assert (NUMBER, None) == (first.notice.out_trade_no, first.notice.out_refund_no)
    assert (204, b"") == (first.answer.status, first.answer.body)
    assert (500, "FAIL") == (first.refusal.status, json.loads(first.refusal.body)["code"])
    assert first.notice == second.notice


async def test_the_sandboxs_own_callback_is_heard(shop):
    channel = shop.channel()
    await channel.pay(ORDER)
    await shop.control("pay", {"out_trade_no": NUMBER})

    heard = await channel.hear(await shop.callback())

    assert heard.notice.outcome == await channel.inquire(REF)


@pytest.mark.parametrize("mode", ["direct", "partner"])
async def test_the_sandboxs_refund_is_heard(shop, mode):
    channel = shop.channel(mode=mode)
    await channel.pay(ORDER)
    await shop.control("pay", {"out_trade_no": NUMBER})
    await shop.callback()
    asked = RefundOrder(NUMBER, "r1", 1000, 3800, "cny", merchant="mch_1")
    made = await channel.refund(asked)

    heard = await channel.hear(await shop.callback())

    assert (NUMBER, "r1") == (heard.notice.out_trade_no, heard.notice.out_refund_no)
    assert made == heard.notice.outcome


@pytest.mark.parametrize(
    ("status", "expected"),
    [("SUCCESS", Approved), ("CLOSED", Declined), ("ABNORMAL", Unknown), ("PROCESSING", Awaiting)],
)
async def test_a_refund_may_end_otherwise(shop, callback, status, expected):
    plain = {
        "mchid": shop.given["mchid"],
        "out_trade_no": NUMBER,
        "out_refund_no": "r1",
        "refund_id": "5030",
        "refund_status": status,
        "amount": {"total": 3800, "refund": 100},
    }
    told = callback(msgspec.json.encode(plain), "refund", f"REFUND.{status}")
    foreign = callback(msgspec.json.encode(plain | {"mchid": "1"}), "refund", "REFUND.SUCCESS")
    channel = shop.channel()

    assert isinstance((await channel.hear(told)).notice.outcome, expected)
    assert (await channel.hear(foreign)).notice is None


async def test_a_probe_is_refused_like_every_wrong_signature(shop, callback, shown):
    told = callback(shown())
    probe = dict(told.headers)
    probe["wechatpay-signature"] = wire.PROBE_PREFIX + probe["wechatpay-signature"]

    heard = await shop.channel().hear(Callback("POST", "", probe, told.body))

    assert (None, 401) == (heard.notice, heard.answer.status)


async def test_a_sandbox_that_probes_never_finds_us_asleep(shop):
    channel = shop.channel()
    await shop.control("faults", {"probe_ppm": 1_000_000})
    shop.statuses = [401, 204]
    await channel.pay(ORDER)
    await shop.control("pay", {"out_trade_no": NUMBER})

    probe, told = await shop.callback(), await shop.callback()

    assert (await channel.hear(probe)).notice is None
    assert (await channel.hear(told)).notice is not None


async def test_wrong_callbacks_say_nothing_and_are_refused(shop, callback, shown, sign):
    good = callback(shown())
    garbage, long = b"{}", b"x" * 300_000
    wrong = {
        "method": Callback("GET", "", good.headers, good.body),
        "unsigned": Callback("POST", "", {}, good.body),
        "changed": Callback("POST", "", good.headers, good.body + b" "),
        "old": callback(shown(), timestamp=shop.clock.real_ms() // 1000 - 301),
        "no callback": Callback("POST", "", sign(garbage), garbage),
        "long": Callback("POST", "", sign(long), long),
        "another key": callback(shown(), key=b"0" * 32),
        "another algorithm": callback(shown(), box={"algorithm": "AEAD_SM4_GCM"}),
        "another nonce": callback(shown(), box={"nonce": ""}),
        "another app": callback(shown(appid="wx0000000000000000")),
        "another merchant": callback(shown(mchid="1900000002")),
        "a partner's": callback(shown(sub_mchid="1900000109")),
        "no order": callback(b"[]"),
        "no refund": callback(b"{}", "refund", "REFUND.SUCCESS"),
    }
    channel = shop.channel()

    heard = {name: await channel.hear(one) for name, one in wrong.items()}

    assert dict.fromkeys(wrong) == {name: one.notice for name, one in heard.items()}
    assert all(400 <= one.answer.status < 500 for one in heard.values())


async def test_news_of_something_else_are_acknowledged(shop, callback):
    heard = await shop.channel().hear(callback(b"{}", "profitsharing", "TRANSACTION"))

    assert (None, 204) == (heard.notice, heard.answer.status)


# --- settings --------------------------------------------------------------------------------

RIGHT = {
    "mchid": "1",
    "appid": "2",
    "merchant_serial": "3",
    "base_url": "https://example.com",
    "notify_url": "https://example.com/n",
}


@pytest.mark.parametrize(
    "wrong",
    [
        {"mode": "other"},
        {"mode": "partner"},
        {"sub_mchid": "5"},
        {"sub_appid": "5"},
        {"ask_timeout_s": 0},
    ],
)
def test_wrong_settings_cannot_be_made(wrong):
    with pytest.raises(ValueError):
        WeChatSettings(**RIGHT, **wrong)


def test_an_api_key_has_32_bytes_and_is_never_shown(clock):
    with pytest.raises(ValueError, match="31 bytes"):
        PlatformKeys({}, b"k" * 31, lambda pem: None, clock)

    assert "kkkk" not in repr(PlatformKeys({}, b"k" * 32, lambda pem: None, clock))
