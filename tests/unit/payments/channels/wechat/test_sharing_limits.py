"""A partner's sub-merchants say how much may be shared: asked before anything is shared."""

import msgspec
import pytest

from payments.channels.sharing import Absent, Divided, Holder, NotDone, Portion, SharingOrder
from payments.channels.transport import HttpAnswer
from payments.channels.wechat import crypto
from payments.channels.wechat.calls import Verified
from payments.channels.wechat.sharing_limits import RATIO_AGE_S

RIDER = "1900000201"
HOLDER = Holder("MERCHANT_ID", RIDER, "PARTNER", "河边餐饮有限公司")
OVER = NotDone("over_max_ratio")
NOT_KNOWN = NotDone("max_ratio_unknown", is_final=False)


class Watch:
    """An HTTP client that counts what is asked for, and may change what comes back."""

    def __init__(self, http, change=None):
        self._http, self.change = http, change
        self.paths = []

    async def send(self, request):
        self.paths.append(request.url.partition("/v3/profitsharing/")[2].partition("?")[0])
        answer = await self._http.send(request)
        if self.change is None or "merchant-configs" not in request.url:
            return answer
        facts = msgspec.json.decode(answer.body)
        self.change(facts)
        return HttpAnswer(answer.status, answer.headers, msgspec.json.encode(facts))

    def asked(self, word):
        return sum(word in path for path in self.paths)


class Partner:
    def __init__(self, shop, change=None):
        self.shop = shop
        self.watch = Watch(shop.http, change)
        channel = shop.channel(self.watch, mode="partner")
        key = crypto.load_public_key(shop.given["public_key_pem"].encode())
        channel.sharing._encrypt = lambda text: crypto.encrypt_field(key, text)
        self.sharing = channel.sharing

    async def sold(self, total=10_000, number="order-0001"):
        mark = {"profit_sharing": True}
        body = self.shop.codepay(number, total=total, partner=True, settle_info=mark)
        path = "/v3/pay/partner/transactions/codepay"
        said = await self.shop.call("POST", path, body, partner=True)
        assert said.status == 200, said.body
        await self.sharing.register(HOLDER, "mch_1")
        return said.json["transaction_id"]

    async def limit(self, ratio):
        sub = self.shop.given["sub_mchid"]
        await self.shop.control("sharing", {"merchant": sub, "max_ratio": ratio})


def order_of(trade, amount, number="share-1", settled=10_000):
    parts = (Portion("MERCHANT_ID", RIDER, amount),) if amount else ()
    return SharingOrder(trade, number, "mch_1", parts, True, "分账", settled)


@pytest.mark.parametrize(("ratio", "most"), [(3_000, 3_000), (1_999, 1_999), (10_000, 10_000)])
async def test_as_much_as_the_merchant_lets_be_shared_is_shared(shop, ratio, most):
    partner = Partner(shop)
    trade = await partner.sold()
    await partner.limit(ratio)

    if most < 10_000:
        assert OVER == await partner.sharing.share(order_of(trade, most + 1))
        assert "orders" not in partner.watch.paths, "it was not sent"
    said = await partner.sharing.share(order_of(trade, most))

    assert isinstance(said, Divided)


async def test_the_limit_is_remembered_for_a_while_and_then_asked_again(shop):
    partner = Partner(shop)
    first, second, third = [await partner.sold(number=f"order-000{no}") for no in (1, 2, 3)]

    await partner.sharing.share(order_of(first, 100, "a"))
    await partner.sharing.share(order_of(second, 100, "b"))
    assert 1 == partner.watch.asked("merchant-configs")
    shop.clock.advance(RATIO_AGE_S)
    await partner.sharing.share(order_of(third, 100, "c"))
    assert 2 == partner.watch.asked("merchant-configs")


async def test_a_limit_that_was_raised_meanwhile_refuses_nothing(shop):
    partner = Partner(shop)
    first, second = [await partner.sold(number=f"order-000{no}") for no in (1, 2)]
    await partner.sharing.share(order_of(first, 100, "a"))
    await partner.limit(5_000)

    assert isinstance(await partner.sharing.share(order_of(second, 5_000, "b")), Divided)


async def test_a_limit_that_was_lowered_meanwhile_is_the_channels_refusal(shop):
    partner = Partner(shop)
    first, second = [await partner.sold(number=f"order-000{no}") for no in (1, 2)]
    await partner.sharing.share(order_of(first, 100, "a"))
    await partner.limit(50)

    assert NotDone("RULE_LIMIT") == await partner.sharing.share(order_of(second, 100, "b"))


@pytest.mark.parametrize("code", ["SYSTEM_ERROR", "FREQUENCY_LIMITED", "NO_AUTH"])
async def test_a_limit_that_nobody_tells_shares_nothing_yet(shop, code):
    """Asked again later, the same order goes through."""
    partner = Partner(shop)
    trade = await partner.sold()
    await shop.control("errors", {"code": code, "operation": "ratio"})

    assert NOT_KNOWN == await partner.sharing.share(order_of(trade, 100))
    assert Absent() == await partner.sharing.inquire_share(order_of(trade, 100))
    assert isinstance(await partner.sharing.share(order_of(trade, 100)), Divided)


async def test_a_limit_that_was_tampered_with_is_not_believed(shop):
    partner = Partner(shop, lambda facts: facts.update(max_ratio=10_000))
    trade = await partner.sold()

    assert NOT_KNOWN == await partner.sharing.share(order_of(trade, 100))


@pytest.mark.parametrize(
    "changes", [{"max_ratio": 10_001}, {"max_ratio": -1}, {"sub_mchid": "1900000999"}]
)
async def test_a_signed_limit_that_cannot_be_is_not_believed(shop, changes):
    partner = Partner(shop)
    trade = await partner.sold()
    told = {"sub_mchid": shop.given["sub_mchid"], "max_ratio": 3_000} | changes

    class Lying:
        async def get(self, target, timeout_s):
            return Verified(msgspec.json.encode(told))

    partner.sharing._ratios._calls = Lying()

    assert NOT_KNOWN == await partner.sharing.share(order_of(trade, 100))


async def test_what_was_shared_under_the_number_stands_above_the_limit(shop):
    """An answer was lost, the limit lowered: the order exists, and nothing is refused."""
    partner = Partner(shop)
    trade = await partner.sold()
    await partner.sharing.share(order_of(trade, 2_000))
    shop.clock.advance(RATIO_AGE_S)
    await partner.limit(10)

    assert isinstance(await partner.sharing.share(order_of(trade, 2_000)), Divided)


async def test_the_limit_is_of_what_was_settled_before_refunds(shop):
    partner = Partner(shop)
    trade = await partner.sold(total=1_000)

    assert OVER == await partner.sharing.share(order_of(trade, 301, settled=1_000))
    assert isinstance(await partner.sharing.share(order_of(trade, 300, settled=1_000)), Divided)


async def test_an_order_of_an_older_release_is_left_to_the_channel(shop):
    partner = Partner(shop)
    trade = await partner.sold()

    assert NotDone("RULE_LIMIT") == await partner.sharing.share(order_of(trade, 3_001, settled=0))
    assert 0 == partner.watch.asked("merchant-configs")


async def test_where_nothing_is_held_back_everything_is_let_go(shop):
    """Somebody let go of it by hand: our own wish is refused, and what is left is asked for."""
    partner = Partner(shop)
    trade = await partner.sold()
    await partner.sharing.share(order_of(trade, 0, "by-hand"))

    said = await partner.sharing.share(order_of(trade, 0, "ours"))

    assert Divided("ours", (), is_over=True) == said
    assert 1 == partner.watch.asked("/amounts")


async def test_a_refusal_while_money_is_held_back_is_one(shop):
    partner = Partner(shop)
    trade = await partner.sold()
    await shop.control("errors", {"code": "NO_AUTH", "operation": "unfreeze"})

    assert NotDone("NO_AUTH") == await partner.sharing.share(order_of(trade, 0))


async def test_a_limit_is_set_for_a_known_merchant_and_kept(shop, open_shop):
    partner = Partner(shop)
    await partner.limit(1_234)
    for body, status in (
        ({"merchant": "1", "max_ratio": 1}, 400),
        ({"merchant": RIDER, "notify_url": "http://example.com/"}, 400),
        ({"merchant": shop.given["sub_mchid"], "max_ratio": 10_001}, 400),
        ({"merchant": shop.given["sub_mchid"]}, 400),
    ):
        said = await shop.plain("POST", "/_sandbox/sharing", msgspec.json.encode(body))
        assert status == said.status
    shop.sandbox.books.close()

    async with open_shop() as again:
        sub = again.given["sub_mchid"]
        target = f"/v3/profitsharing/merchant-configs/{sub}"
        said = await again.call("GET", target, partner=True)

    assert {"sub_mchid": sub, "max_ratio": 1_234} == said.json
