"""The sandbox's bill of divided money, over HTTP: what was really paid and taken back."""

import io
from datetime import date, timedelta

import pytest

from payments.bills.lines import BillKind
from payments.bills.text import china_date, day_ms, next_date
from payments.channels.base import Unknown
from payments.channels.fetching import FILES, SHARES, AskedBill, BillFile, NoBill
from payments.channels.http import PooledClient
from payments.channels.sharing import Holder, Portion, SharingOrder, SharingReturn
from payments.channels.transport import HttpAnswer
from payments.channels.wechat import crypto, sharing_bill

HOUR_MS = 3_600_000
RIDER, POOR, CLOSED = "1900000201", "1900009502", "1900009401"
NUMBERS = ("a", "b")


class Side:
    """Our connector at the sandbox, direct or as a partner."""

    def __init__(self, shop, mode):
        self.shop, self.is_partner = shop, mode == "partner"
        self.channel = shop.channel(mode=mode)
        key = crypto.load_public_key(shop.given["public_key_pem"].encode())
        self.channel.sharing._encrypt = lambda text: crypto.encrypt_field(key, text)

    async def shared(self, number, *parts, total=10_000):
        """A payment that is divided at once among (account, amount)."""
        path = "/v3/pay/partner/transactions" if self.is_partner else "/v3/pay/transactions"
        body = self.shop.codepay(
            f"order-{number}00", total=total, partner=self.is_partner,
            settle_info={"profit_sharing": True},
        )  # fmt: skip
        said = await self.shop.call("POST", f"{path}/codepay", body, partner=self.is_partner)
        assert said.status == 200, said.body
        for account, _ in parts:
            holder = Holder("MERCHANT_ID", account, "PARTNER", "店")
            await self.channel.sharing.register(holder, "mch_1")
        portions = tuple(Portion("MERCHANT_ID", account, amount) for account, amount in parts)
        trade = said.json["transaction_id"]
        await self.channel.sharing.share(
            SharingOrder(trade, number, "mch_1", portions, True, "分账", total)
        )
        return trade

    async def back(self, number, account, amount):
        asked = SharingReturn(number, f"{number}-back", "mch_1", account, amount, "退款")
        return await self.channel.sharing.take_back(asked)

    async def bill(self, day, merchant=""):
        files = PooledClient(FILES)
        try:
            return await self.channel.fetch_bill(AskedBill(day, merchant, SHARES), files)
        finally:
            await files.close()

    def tomorrow(self):
        """The day that is over then, at the hour from which on there are bills."""
        now = self.shop.clock.now_ms()
        day = china_date(now)
        self.shop.clock.offset_ms += day_ms(next_date(day)) + 10 * HOUR_MS - now
        return day


def lines_of(fetched, day):
    assert isinstance(fetched, BillFile), fetched
    return list(sharing_bill.read(io.BytesIO(fetched.content), day))


@pytest.mark.parametrize("mode", ["direct", "partner"])
async def test_the_bill_is_what_receivers_got_and_gave_back(shop, mode):
    """One part was closed and one return failed: neither is a line."""
    side = Side(shop, mode)
    trade = await side.shared("a", (RIDER, 500), (POOR, 300), (CLOSED, 200))
    await side.shared("b", (RIDER, 700))
    await side.back("a", RIDER, 125)
    await side.back("b", POOR, 1)
    await side.channel.sharing.take_back(SharingReturn("a", "poor-back", "mch_1", POOR, 10, "退款"))
    day = side.tomorrow()

    found = lines_of(await side.bill(day), day)

    told = [(line.kind, line.number, line.receiver, line.amount) for line in found]
    assert sorted(told) == [
        (BillKind.SHARE, "a", RIDER, 500),
        (BillKind.SHARE, "a", POOR, 300),
        (BillKind.SHARE, "b", RIDER, 700),
        (BillKind.SHARE_RETURN, "a-back", RIDER, 125),
    ]
    mchid = shop.given["sp_mchid" if side.is_partner else "mchid"]
    owner = shop.given["sub_mchid"] if side.is_partner else ""
    assert {(mchid, owner, day)} == {
        (each.account, each.merchant, each.bill_date) for each in found
    }
    assert {trade} == {each.channel_trade_no for each in found if each.number.startswith("a")}


async def test_a_partners_bill_may_be_of_one_sub_merchant(shop):
    side = Side(shop, "partner")
    await side.shared("a", (RIDER, 500))
    day = side.tomorrow()

    assert 1 == len(lines_of(await side.bill(day, "mch_1"), day))


async def test_a_day_without_shares_has_no_bill_and_one_that_is_not_over_has_none_yet(shop):
    side = Side(shop, "direct")
    await shop.paid()
    day = china_date(shop.clock.now_ms())
    assert isinstance(await side.bill(day), Unknown), "today"
    assert day == side.tomorrow()
    assert NoBill("the channel has no such bill", later=False) == await side.bill(day)
    shop.clock.offset_ms -= HOUR_MS
    assert NoBill("the channel has no such bill", later=True) == await side.bill(day)


async def test_a_file_with_another_hash_is_not_believed(shop):
    """Nobody signs the file: its hash was told in a signed answer."""
    side = Side(shop, "direct")
    await side.shared("a", (RIDER, 500))
    day = side.tomorrow()

    class Other(PooledClient):
        async def send(self, request):
            answer = await super().send(request)
            return HttpAnswer(answer.status, answer.headers, answer.body + b" ")

    files = Other(FILES)
    said = await side.channel.fetch_bill(AskedBill(day, kind=SHARES), files)
    await files.close()

    assert Unknown("a file with another hash than was told") == said


async def test_a_bill_is_kept_for_three_months(shop):
    side = Side(shop, "direct")
    await side.shared("a", (RIDER, 500))
    first = side.tomorrow()
    shop.clock.offset_ms += 100 * 24 * HOUR_MS
    old = date(first // 10_000, first // 100 % 100, first % 100) + timedelta(days=8)

    assert isinstance(await side.bill(first), Unknown)
    recent = int(f"{old + timedelta(days=5):%Y%m%d}")
    assert isinstance(await side.bill(recent), NoBill)
