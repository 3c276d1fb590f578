"""Callbacks about divided money: the sandbox tells receivers, our connector hears whose order."""

import asyncio

import msgspec
import pytest

from payments.channels.sharing import Holder, Portion, SharingOrder, SharingReturn
from payments.channels.transport import Callback
from payments.channels.wechat import crypto

RIDER, OTHER, CLOSED, POOR = "1900000201", "1900000202", "1900009401", "1900009502"
SHOWN = {
    "mchid": "1900000001",
    "transaction_id": "4200000001",
    "order_id": "3008",
    "out_order_no": "01K5AZ00000000000000000000S1",
    "receiver": {"type": "MERCHANT_ID", "account": RIDER, "amount": 500, "description": "分账"},
    "success_time": "2026-11-22T12:00:00+08:00",
}
WAIT_S = 60


async def divided(shop, *accounts, partner=False):
    """A payment that is divided among these, 100 each."""
    sharing = shop.channel(mode="partner" if partner else "direct").sharing
    key = crypto.load_public_key(shop.given["public_key_pem"].encode())
    sharing._encrypt = lambda text: crypto.encrypt_field(key, text)
    path = "/v3/pay/partner/transactions" if partner else "/v3/pay/transactions"
    body = shop.codepay(total=10_000, partner=partner, settle_info={"profit_sharing": True})
    # As our connector does: answers and callbacks are then signed with this key.
    serial = {"Wechatpay-Serial": shop.given["public_key_id"]}
    paid = await shop.call("POST", f"{path}/codepay", body, partner=partner, headers=serial)
    for account in accounts:
        await sharing.register(Holder("MERCHANT_ID", account, "PARTNER", "店"), "mch_1")
    portions = tuple(Portion("MERCHANT_ID", account, 100) for account in accounts)
    trade = paid.json["transaction_id"]
    await sharing.share(SharingOrder(trade, "share-1", "mch_1", portions, True, "分账"))
    return sharing


async def wants_to_know(shop, account):
    await shop.control("sharing", {"merchant": account, "notify_url": shop.notify_url})


@pytest.mark.parametrize("partner", [False, True])
async def test_a_receiver_is_told_and_our_connector_hears_the_number(shop, partner):
    await wants_to_know(shop, RIDER)
    sharing = await divided(shop, RIDER, OTHER, partner=partner)

    told = await shop.callback()

    plain = shop.opened(told)
    assert ("share-1", RIDER, 100) == (
        plain["out_order_no"], plain["receiver"]["account"], plain["receiver"]["amount"],
    )  # fmt: skip
    assert ({"sp_mchid", "sub_mchid"} if partner else {"mchid"}) == plain.keys() & {
        "mchid", "sp_mchid", "sub_mchid",
    }  # fmt: skip
    channel = shop.channel(mode="partner" if partner else "direct")
    first, second = await channel.hear(told), await channel.hear(told)
    assert (None, "share-1", 204) == (first.notice, first.hint, first.answer.status)
    assert first == second
    back = SharingReturn("share-1", "back-1", "mch_1", RIDER, 40, "退款")
    await sharing.take_back(back)
    assert "back-1" == (await channel.hear(await shop.callback())).hint


async def test_who_wants_to_know_nothing_and_what_did_not_happen_is_not_told(shop):
    for account in (CLOSED, POOR):
        await wants_to_know(shop, account)
    sharing = await divided(shop, CLOSED, POOR, OTHER)
    await sharing.take_back(SharingReturn("share-1", "b", "mch_1", POOR, 40, "退款"))
    await shop.control("sharing", {"merchant": POOR, "notify_url": ""})

    told = await shop.callback()
    async with asyncio.timeout(WAIT_S):
        await shop.sandbox.courier.idle()

    assert POOR == shop.opened(told)["receiver"]["account"], "its part was paid"
    assert shop.heard.empty()


async def test_what_was_not_acknowledged_is_told_again_under_the_same_id(shop):
    shop.statuses = [500, 503]
    await wants_to_know(shop, RIDER)
    await divided(shop, RIDER)

    bodies = [msgspec.json.decode((await shop.callback()).body) for _ in range(3)]

    assert 1 == len({body["id"] for body in bodies})


@pytest.fixture
def callback(shop, sign):
    """A signed callback with this plaintext."""

    def made(plain, original="profitsharing", event="TRANSACTION.SUCCESS", **changes):
        key, nonce = changes.pop("key", shop.given["api_v3_key"].encode()), "twelve bytes"
        box = {
            "algorithm": "AEAD_AES_256_GCM",
            "nonce": nonce,
            "associated_data": original,
            "ciphertext": crypto.seal(key, nonce, original, msgspec.json.encode(plain)),
        }
        box |= {} if original is None else {"original_type": original}
        body = msgspec.json.encode({"id": "1", "event_type": event, "resource": box})
        return Callback("POST", "", sign(body, **changes), body)

    return made


@pytest.mark.parametrize(
    ("original", "event"),
    [
        ("profitsharing", "TRANSACTION.SUCCESS"),
        ("profitsharing", "PROFITSHARING.RETURN"),
        ("transaction", "TRANSACTION.SUCCESS"),
        ("", "PROFITSHARING.SUCCESS"),
    ],
)
async def test_it_is_known_by_its_content_whatever_it_is_called(shop, callback, original, event):
    heard = await shop.channel().hear(callback(SHOWN, original, event))

    assert (None, SHOWN["out_order_no"], 204) == (heard.notice, heard.hint, heard.answer.status)


async def test_another_form_is_acknowledged_and_hints_at_nothing(shop, callback):
    """Signed, and of a form that nobody has shown: telling it again would not help."""
    heard = await shop.channel().hear(callback({"receivers": []}))

    assert (None, "", 204) == (heard.notice, heard.hint, heard.answer.status)


async def test_what_is_not_signed_or_sealed_with_our_key_is_refused(shop, callback):
    channel = shop.channel()
    strange = await channel.hear(callback(SHOWN, key=b"x" * 32))
    told = callback(SHOWN)
    forged = await channel.hear(
        Callback("POST", "", told.headers, told.body.replace(b'"id":"1"', b'"id":"2"'))
    )
    probe = {**told.headers, "wechatpay-signature": "WECHATPAY/SIGNTEST/x"}
    probed = await channel.hear(Callback("POST", "", probe, told.body))

    for heard, status in ((strange, 400), (forged, 401), (probed, 401)):
        assert (None, "", status) == (heard.notice, heard.hint, heard.answer.status)


async def test_a_payment_is_still_a_payment_and_nonsense_is_refused(shop, callback, shown):
    channel = shop.channel()
    paid = msgspec.json.decode(shown())

    assert (await channel.hear(callback(paid, "transaction"))).notice is not None
    assert 400 == (await channel.hear(callback({"a": 1}, "transaction"))).answer.status
