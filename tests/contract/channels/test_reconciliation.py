"""A day at a sandbox, the bill that it writes of its own books, and our rows: nothing is different.

The rows say what the connector was answered; the bill says what the sandbox took. Only what is
planted between the two may be found.
"""

import io

import pytest
from msgspec.msgpack import encode

from all_rigs import RIGS
from payments.bills.text import china_date, day_ms, next_date
from payments.channels.alipay import bill as alipay
from payments.channels.base import Approved
from payments.channels.fetching import FILES, AskedBill, BillFile
from payments.channels.http import PooledClient
from payments.channels.unionpay import bill as unionpay
from payments.channels.wechat import bill as wechat
from payments.clock import ManualClock
from payments.fees import DEFAULT_PLAN, FeePlan, give_back
from payments.ids import out_trade_no
from payments.payment import AttemptState
from payments.reconciliation.importing import reconcile
from payments.reconciliation.runs import Run, RunStatus, run_id
from payments.refund import RefundStatus
from payments.storage import connect, migrate
from payments.storage.expected import ShardBooks
from payments.storage.reconciliation import ReconciliationStore
from payments.storage.sorting import SortedBill
from payments.storage.sql import WRITE
from payments.testing import a_payment, a_refund, an_attempt, an_id

READERS = {"wechat": wechat.read, "alipay": alipay.read, "unionpay": unionpay.read}
BILLED = pytest.mark.parametrize("stand", [name for name in RIGS if name in READERS], indirect=True)
ACCOUNT = "shop-1"
HOUR_S = 3_600


def go_to(stand, date, seconds):
    """Business time goes on to so long after a day's midnight in China."""
    stand.advance((day_ms(date) - stand.clock.now_ms()) / 1000 + seconds)


class Shop:
    """Sells through a connector, and writes the rows that a shard would write."""

    def __init__(self, stand, path):
        self.stand = stand
        self.path = path
        self._shard = connect.writer(path)
        migrate.prepare(self._shard, migrate.Stamp(0, False, 0, 1))
        self._rows = 0

    async def sell(self, ending, amount, **changes):
        """One sale; returns the payment and its order."""
        at = self.stand.clock.now_ms()
        identifier = an_id("pay", at_ms=at)
        order = self.stand.barcode(ending, amount, out_trade_no(identifier, 0))
        paid = await self.stand.channel.pay(order)
        assert isinstance(paid, Approved), paid
        settled = paid.amount if paid.settle_amount is None else paid.settle_amount
        facts = {
            "settle_amount": settled,
            "discounts": paid.discounts,
            "succeeded_at": self.stand.clock.now_ms(),
        }
        payment = a_payment(
            AttemptState.SUCCEEDED,
            id=identifier,
            created=at,
            amount=amount,
            attempt=an_attempt(AttemptState.SUCCEEDED, account=ACCOUNT, sent_at=at),
            **{**facts, **changes},
        )
        self._rows += 1
        row = (self._rows, identifier, 1, 0, self._rows, 0, None, None, encode(payment))
        self._shard.execute(WRITE["add_payments"], row)
        return payment, order

    async def refund(self, sold, amount, before=0, returned=0):
        """Give some of a sale back; returns what was settled back."""
        payment, order = sold
        self.stand.advance(61)
        at = self.stand.clock.now_ms()
        identifier = an_id("rfd", at_ms=at)
        back = self.stand.back(order, amount, identifier[-24:])
        assert isinstance(await self.stand.channel.refund(back), Approved)
        settle_back, _ = give_back(
            payment.amount, payment.settle_amount, 0, DEFAULT_PLAN, before, amount, returned, 0
        )
        refund = a_refund(
            payment,
            RefundStatus.SUCCEEDED,
            id=identifier,
            created=at,
            amount=amount,
            settle_back=settle_back,
            succeeded_at=at,
            account=ACCOUNT,
        )
        self._rows += 1
        row = (self._rows, identifier, 1, 1, 0, self._rows, None, encode(refund))
        self._shard.execute(WRITE["add_refunds"], row)
        return settle_back

    async def compared(self, day, files, folder):
        """Fetch the day's bill and compare it: (the run, its differences by kind and number)."""
        self._shard.close()
        bill = await self.stand.channel.fetch_bill(AskedBill(day), files)
        assert isinstance(bill, BillFile), bill
        lines = READERS[self.stand.rig.name](io.BytesIO(bill.content), day)
        books = ShardBooks([self.path], ACCOUNT, FeePlan("sandbox", 6_000))
        store = ReconciliationStore(None)
        store.open()
        asked = Run(run_id(ACCOUNT, day, "x"), ACCOUNT, "", "", day, "x", "x", RunStatus.RUNNING, 1)
        with SortedBill(folder / "sorting") as sorter:
            run = reconcile(asked, lines, books, sorter, store, ManualClock())
        found = {(each.kind.value, each.number): each.amount for _, each in store.items(run.id)}
        store.close()
        books.close()
        return run, found


@pytest.fixture
async def files():
    pool = PooledClient(FILES)
    yield pool
    await pool.close()


@BILLED
async def test_what_the_connector_was_told_is_what_the_bill_says(stand, files, tmp_path):
    """Sales, coupons and partial refunds: every amount and fee agrees to the fen."""
    shop = Shop(stand, tmp_path / "shard-0.db")
    day = next_date(china_date(stand.clock.now_ms()))
    go_to(stand, day, 12 * HOUR_S)
    for amount in (1, 84, 3800, 99_999):
        await shop.sell("0000", amount)
    plain = await shop.sell("0000", 2000)
    await shop.refund(plain, 700)
    coupons = await shop.sell("9012", 3800)
    await shop.refund(coupons, 3800)
    go_to(stand, day, 34 * HOUR_S)
    run, found = await shop.compared(day, files, tmp_path)

    assert ({}, 8, 8, 8) == (
        found,
        run.counts.matched,
        run.counts.ours_lines,
        run.counts.theirs_lines,
    )


@BILLED
async def test_a_coupons_partial_refunds_agree_to_the_fen(stand, files, tmp_path):
    """Both give back in proportion to all that was asked so far, half up: each part is the same."""
    shop = Shop(stand, tmp_path / "shard-0.db")
    day = next_date(china_date(stand.clock.now_ms()))
    go_to(stand, day, 12 * HOUR_S)
    sold = await shop.sell("9012", 3800)
    returned = before = 0
    for amount in (1000, 333, 500):
        mine = await shop.refund(sold, amount, before, returned)
        returned, before = returned + mine, before + amount
    go_to(stand, day, 34 * HOUR_S)
    run, found = await shop.compared(day, files, tmp_path)

    assert {} == found
    assert 4 == run.counts.matched


@BILLED
async def test_what_is_planted_is_found(stand, files, tmp_path):
    """A row that is wrong by one fen, one that the channel never took, one that we never wrote."""
    shop = Shop(stand, tmp_path / "shard-0.db")
    day = next_date(china_date(stand.clock.now_ms()))
    go_to(stand, day, 12 * HOUR_S)
    await shop.sell("0000", 3800)
    wrong, _ = await shop.sell("0000", 2600, settle_amount=2599)
    strange = out_trade_no(an_id("pay"), 0)
    await stand.channel.pay(stand.barcode("0000", 1200, strange))
    failed, _ = await shop.sell("0000", 500, status="failed")
    go_to(stand, day, 34 * HOUR_S)
    _, found = await shop.compared(day, files, tmp_path)

    assert {
        ("discount", out_trade_no(wrong.id, 0)): 1,
        ("unknown_order", strange): 1200,
        ("status", out_trade_no(failed.id, 0)): 500,
    } == found
