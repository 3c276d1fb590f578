"""The settlement statement: what each entry earned its merchant, by its postings."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from by_hand import Books
from payments import bookings, chart
from payments.payment import AttemptState, Way
from payments.refund import RefundStatus
from payments.reports.settlement import Scope, Source, itemized_table, summary_table
from payments.reports.tables import Tally
from payments.testing import MERCHANT_ID, NOW_MS, a_payment, a_refund, an_id

OTHER = "mch_" + "0" * 24
PENDING = chart.merchant_pending(MERCHANT_ID)
RECEIVABLE = chart.receivable("simulated-1", 17)

COLUMNS = """batch_id, payout_id, payout_effective_on, business_date, merchant_id, store_id,
    terminal_id, balance_transaction_id, reporting_category, created, available_on, order_ref,
    payment_id, refund_id, channel, way, channel_trade_no, currency, gross, fee, fee_rate_bp, tax,
    tip, net, description"""


class Shop:
    """Books, and the payments and refunds that they are about."""

    def __init__(self):
        self.books = Books()
        self.payments, self.refunds = {}, {}
        self.source = Source(self.payments.get, self.refunds.get)

    def paid(self, **facts):
        payment = a_payment(AttemptState.SUCCEEDED, merchant=MERCHANT_ID, **facts)
        self.payments[payment.id] = payment
        return payment

    def given_back(self, payment, **facts):
        refund = a_refund(payment, status=RefundStatus.SUCCEEDED, **facts)
        self.refunds[refund.id] = refund
        return refund

    def table(self, metadata=(), **scope):
        rows = [(row, self.source) for row in self.books.rows]
        return itemized_table(rows, Scope(**scope), metadata)

    def lines(self, *columns, **scope):
        """The columns asked for, of each line."""
        table = self.table(**scope)
        rows = [dict(zip(table.names, row, strict=True)) for row in table.rows]
        return [tuple(row[name] for name in columns) for row in rows]


@pytest.fixture
def shop():
    return Shop()


def test_columns_are_those_of_the_type(shop):
    """In the published order; metadata that is asked for comes last."""
    names = tuple(name.strip() for name in COLUMNS.split(","))
    assert names == shop.table().names
    assert (*names, "metadata.table") == shop.table(metadata=("table",)).names


def test_a_payment_and_its_refund_are_two_lines(shop):
    """What each is about comes from its row, every figure from the postings."""
    payment = shop.paid(
        order_no="A-7", subject="noodles", store="sto_1", terminal="trm_1", tip_amount=200,
        metadata={"table": "5"}, business_date=20261118,
    )  # fmt: skip
    refund = shop.given_back(payment, reason="cold", business_date=20261119, channel_refund_no="R7")
    sale = shop.books.sale(MERCHANT_ID, 3600, 14, source=payment.id)
    back = shop.books.refund(MERCHANT_ID, 947, 4, source=refund.id)

    assert [
        (sale, "payment", 3600, 14, 3586, 200, "noodles", "20261118", None),
        (back, "refund", -947, -4, -943, 0, "cold", "20261119", refund.id),
    ] == shop.lines(
        "balance_transaction_id", "reporting_category", "gross", "fee", "net", "tip",
        "description", "business_date", "refund_id",
    )  # fmt: skip
    about = ("store_id", "terminal_id", "order_ref", "payment_id", "way", "channel", "currency")
    same = ("sto_1", "trm_1", "A-7", payment.id, Way.BARCODE.value, "simulated", "cny")
    assert [same, same] == shop.lines(*about)
    trade_no = payment.attempt.channel_trade_no
    assert [(trade_no,), ("R7",)] == shop.lines("channel_trade_no")
    assert ["5", "5"] == [row[-1] for row in shop.table(metadata=("table",)).rows]


def test_what_has_no_source_is_empty(shop):
    """Batches, payouts and rates are not guessed."""
    shop.books.sale(MERCHANT_ID, source=shop.paid().id)
    empty = ("batch_id", "payout_id", "payout_effective_on", "available_on", "fee_rate_bp", "tax")
    assert [(None,) * len(empty)] == shop.lines(*empty)


def test_a_share_of_others_is_a_line_of_its_own(shop):
    """Gross and fee are the payment's; what went to a receiver is taken off below."""
    payment = shop.paid()
    share = ("receiver:rcv_1:pending#17", -500)
    shop.books.book(
        payment.id, ((RECEIVABLE, 3800), (PENDING, -3286), ("fees:income#17", -14), share)
    )
    assert [("payment", 3800, 14, 3786), ("split", -500, 0, -500)] == shop.lines(
        "reporting_category", "gross", "fee", "net"
    )


ELSEWHERE = {
    "pending becomes available": ((PENDING, 100), (chart.merchant_available(MERCHANT_ID), -100)),
    "a late success": bookings.late_success_booked("simulated-1", 17, 3800),
    "money on its way": (
        (chart.merchant_available(MERCHANT_ID), 100),
        (chart.merchant_in_transit(MERCHANT_ID), -100),
    ),
}


@pytest.mark.parametrize("what", ELSEWHERE)
def test_what_earns_a_merchant_nothing_has_no_line(shop, what):
    """Its own accounts among each other, and money that is nobody's sale."""
    shop.books.book(shop.paid().id, ELSEWHERE[what])
    assert [] == shop.lines("net")


@pytest.mark.parametrize(
    ("other", "category"),
    [
        (chart.custody("icbc", "1"), "payout"),
        ("advance:us", "adjustment"),
        ("fees:income#17", "adjustment"),
    ],
)
def test_what_is_about_no_payment_says_what_it_is(shop, other, category):
    """To the bank, or put right by hand; dated by its booking."""
    shop.books.book(an_id("ins"), ((chart.merchant_in_transit(MERCHANT_ID), 100), (other, -100)))
    assert [(category, -100, 0, -100, "20261118")] == shop.lines(
        "reporting_category", "gross", "fee", "net", "business_date"
    )


def test_a_merchant_and_a_day_can_be_asked_for(shop):
    """Business dates are those of payment and refund, not of the booking."""
    early, late = shop.paid(business_date=20261117), shop.paid(business_date=20261118)
    for payment in (early, late):
        shop.books.sale(MERCHANT_ID, source=payment.id, at_ms=NOW_MS)
    shop.books.sale(OTHER, at_ms=NOW_MS)

    assert [(early.id,)] == shop.lines("payment_id", business_date=20261117)
    assert [(MERCHANT_ID,)] * 2 == shop.lines("merchant_id", merchant=MERCHANT_ID)
    assert [(OTHER,)] == shop.lines("merchant_id", merchant=OTHER)
    assert [] == shop.lines("net", merchant="mch_" + "1" * 24)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["sale", "back", "other"]), st.integers(2, 10**10), st.integers(0, 1)
    ),
    max_size=20,
)


@given(STEPS)
def test_net_is_what_the_ledger_owes_more(steps):
    """Whatever was booked: lines net, summary and balance are one number."""
    shop = Shop()
    for what, settle, fee in steps:
        payment = shop.paid()
        if what == "sale":
            shop.books.sale(MERCHANT_ID, settle, fee, source=payment.id)
        elif what == "back":
            refund = shop.given_back(payment)
            shop.books.refund(MERCHANT_ID, settle, fee, source=refund.id)
        else:
            shop.books.sale(OTHER, settle, fee)
    rows = [(row, shop.source) for row in shop.books.rows]
    made = shop.table(merchant=MERCHANT_ID)
    tally = Tally(made)
    for _ in tally.passing():
        pass
    owed = -sum(
        minor
        for row in shop.books.rows
        for account, minor in Books.postings_of(row)
        if account == PENDING
    )
    summed = list(summary_table(rows, Scope(MERCHANT_ID)).rows)
    assert owed == tally.sums().get("cny", {"net": 0})["net"] == sum(row[-1] for row in summed)
    assert tally.rows == sum(row[2] for row in summed)
    assert all(gross - fee == net for *_, gross, fee, net in summed)
