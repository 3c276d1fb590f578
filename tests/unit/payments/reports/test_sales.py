"""The list of payments, and the sheet of a store's day."""

import pytest

from payments.payment import AttemptState, Discount
from payments.refund import RefundStatus
from payments.reports.sales import payments_table, store_day_table
from payments.reports.settlement import Scope
from payments.reports.tables import GROUPS_MAX, Tally, TooManyGroups
from payments.testing import MERCHANT_ID, a_payment, a_refund

DAY = 20261118


def paid(amount, operator, **facts):
    facts = {"business_date": DAY, "store": "sto_1", "terminal": "trm_1"} | facts
    return a_payment(AttemptState.SUCCEEDED, amount=amount, operator=operator, **facts)


def sheet(payments, refunds=(), *, store=None, merchant=None):
    known = {payment.id: payment for payment in payments}
    scope = Scope(merchant, DAY)
    return store_day_table(payments, refunds, known.get, scope, store)


def lines(table, *columns):
    rows = [dict(zip(table.names, row, strict=True)) for row in table.rows]
    return [tuple(row[name] for name in columns) for row in rows]


def test_a_day_is_told_by_operator_terminal_and_wallet():
    """Count, gross, discounts, tips; what did not succeed was not taken."""
    table = sheet(
        [
            paid(3800, "ann", tip_amount=200, discounts=(Discount("channel", 300),)),
            paid(1000, "ann"),
            paid(500, "bob", wallet="alipay"),
            paid(700, "bob", business_date=DAY - 1),
            a_payment(AttemptState.FAILED, operator="ann", business_date=DAY, store="sto_1"),
        ]
    )
    assert [
        ("ann", "trm_1", "wechat", 2, 4800, 300, 200),
        ("bob", "trm_1", "alipay", 1, 500, 0, 0),
    ] == lines(table, "operator", "terminal_id", "wallet", "payments", "gross", "discounts", "tips")


def test_refunds_count_on_their_own_day_with_their_payments_operator():
    """A payment of yesterday that is given back today takes from today's sheet."""
    before = paid(3800, "ann", business_date=DAY - 1)
    today = paid(1000, "bob")
    facts = {"status": RefundStatus.SUCCEEDED, "business_date": DAY}
    refunds = [
        a_refund(before, amount=600, **facts),
        a_refund(before, amount=100, **facts | {"business_date": DAY - 1}),
        a_refund(today, amount=200, **facts | {"status": RefundStatus.PROCESSING}),
        a_refund(today, amount=1000, automatic=True, **facts),
        a_refund(today, amount=1000, stray=1000, **facts),
    ]
    table = sheet([before, today], refunds)
    assert [("ann", 0, 0, 1, 600), ("bob", 1, 1000, 0, 0)] == lines(
        table, "operator", "payments", "gross", "refund_count", "refunds"
    )


def test_a_sheet_is_of_one_store_or_of_one_merchant():
    """Others' takings are nobody's business."""
    payments = [paid(100, "ann"), paid(200, "bob", store="sto_2"), paid(300, "eve", store=None)]
    refunds = [a_refund(payments[1], amount=50, status=RefundStatus.SUCCEEDED, business_date=DAY)]
    assert [("ann", 0)] == lines(sheet(payments, refunds, store="sto_1"), "operator", "refunds")
    assert [("bob", 50)] == lines(sheet(payments, refunds, store="sto_2"), "operator", "refunds")
    assert 3 == len(list(sheet(payments, merchant=MERCHANT_ID).rows))
    assert [] == list(sheet(payments, refunds, merchant="mch_" + "0" * 24).rows)


def test_every_way_to_add_a_day_up_says_the_same():
    """By store, operator, terminal and wallet: the sheet's sums four times."""
    payments = [
        paid(100 + n, f"op{n % 3}", terminal=f"trm_{n % 2}", wallet="alipay" if n % 5 else "wechat")
        for n in range(30)
    ]
    table = sheet(payments)
    tally = Tally(table)
    for _ in tally.passing():
        pass
    for name in table.groupings:
        groups = [sums.values for sums in tally.groups[name].values()]
        assert list(tally.sums()["cny"].values()) == [
            sum(each) for each in zip(*groups, strict=True)
        ]
    assert sum(payment.amount for payment in payments) == tally.sums()["cny"]["gross"]


def test_a_sheet_has_an_end():
    """More operators than anybody employs: refused, not kept in memory."""
    payments = (paid(1, f"op{n}") for n in range(GROUPS_MAX + 1))
    with pytest.raises(TooManyGroups, match="one store"):
        list(store_day_table(payments, (), {}.get, Scope(None, DAY)).rows)


def test_payments_are_listed_whatever_became_of_them():
    """With what was asked, paid, settled and given back."""
    coupons = (Discount("channel", 300), Discount("merchant", 200))
    amounts = {"payer_amount": 3300, "settle_amount": 3600, "amount_refunded": 100}
    done = paid(3800, "ann", metadata={"table": "5"}, discounts=coupons, **amounts)
    failed = a_payment(AttemptState.FAILED, business_date=DAY)
    table = payments_table([done, failed], Scope(None, DAY), ("table",))
    assert [
        (done.id, "succeeded", 3800, 3300, 3600, 500, 14, 100, "5"),
        (failed.id, "failed", 3800, None, None, 0, 0, 0, None),
    ] == lines(table, "payment_id", "status", "amount", "payer_amount", "settle_amount", "discount",
               "fee", "amount_refunded", "metadata.table")  # fmt: skip
    assert [] == list(payments_table([done], Scope(None, DAY + 1)).rows)
