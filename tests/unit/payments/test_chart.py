"""Every account name is made in one place, can be taken apart, and has a kind."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments import chart
from payments.chart import Account, Kind, UnknownAccount
from payments.ids import PARTITIONS

names = st.text("abcdefghijklmnopqrstuvwxyz0123456789._-", min_size=1, max_size=20)
partitions = st.integers(0, PARTITIONS - 1)

SHAPES = [
    (chart.receivable("wx", 0), "channel:wx:receivable#0", Kind.ASSET, False),
    (chart.custody("icbc", "01"), "custody:icbc:01", Kind.ASSET, True),
    (chart.merchant_pending("mch_1"), "merchant:mch_1:pending", Kind.LIABILITY, True),
    (chart.merchant_available("mch_1"), "merchant:mch_1:available", Kind.LIABILITY, True),
    (chart.merchant_frozen("mch_1"), "merchant:mch_1:frozen", Kind.LIABILITY, True),
    (chart.merchant_in_transit("mch_1"), "merchant:mch_1:in_transit", Kind.LIABILITY, True),
    (chart.merchant_debt("mch_1"), "merchant:mch_1:debt", Kind.ASSET, True),
    (chart.receiver_pending("rcv_1", 17), "receiver:rcv_1:pending#17", Kind.LIABILITY, True),
    (chart.receiver_available("rcv_1", 0), "receiver:rcv_1:available#0", Kind.LIABILITY, True),
    (chart.receiver_frozen("rcv_1", 3), "receiver:rcv_1:frozen#3", Kind.LIABILITY, True),
    (chart.receiver_in_transit("rcv_1", 4), "receiver:rcv_1:in_transit#4", Kind.LIABILITY, True),
    (chart.receiver_debt("rcv_1", 4095), "receiver:rcv_1:debt#4095", Kind.ASSET, True),
    (chart.fees_income(4095), "fees:income#4095", Kind.INCOME, False),
    (chart.fees_channel(17), "fees:channel#17", Kind.EXPENSE, False),
    (chart.suspense("wx", 17), "suspense:wx#17", Kind.LIABILITY, True),
    (chart.transit(1, 2), "transit:1:2", Kind.LIABILITY, False),
    (chart.advance("bank"), "advance:bank", Kind.LIABILITY, True),
]


@pytest.mark.parametrize(("made", "name", "kind", "limited"), SHAPES)
def test_each_account_has_its_name_kind_and_floor(made, name, kind, limited):
    """Names are stored for ever, so they are written down here once more."""
    assert name == made
    assert (kind, limited) == (chart.kind_of(made), chart.is_limited(made))


@given(names, partitions)
def test_names_are_taken_apart_as_they_were_made(owner, partition):
    """Owner and stripe come back from a name."""
    receivable = chart.parse(chart.receivable(owner, partition))
    suspense = chart.parse(chart.suspense(owner, partition))

    assert Account("channel", owner, "receivable", partition, Kind.ASSET, False) == receivable
    assert Account("suspense", owner, "", partition, Kind.LIABILITY, True) == suspense
    assert owner == chart.parse(chart.merchant_pending(owner)).owner


@given(names, partitions, names, partitions)
def test_different_accounts_have_different_names(owner, partition, other, further):
    """No two stripes or owners share an account."""
    same = (owner, partition) == (other, further)

    assert same == (chart.receivable(owner, partition) == chart.receivable(other, further))
    assert (partition == further) == (chart.fees_income(partition) == chart.fees_income(further))


@pytest.mark.parametrize(
    "name",
    [
        "",
        "merchant",
        "merchant:mch_1",
        "merchant::pending",
        "merchant:mch_1:wealth",
        "merchant:mch_1:pending#1",
        "merchant:mch_1:pending:more",
        "receiver:rcv_1:pending",
        "receiver:rcv_1:wealth#1",
        "channel:wx:receivable",
        "channel:wx:receivable#",
        "channel:wx:receivable#4096",
        "channel:wx:receivable#01",
        "channel:wx:receivable#-1",
        "fees:tips#1",
        "fees:income",
        "pocket:mine",
    ],
)
def test_a_text_outside_the_chart_is_no_account(name):
    """Nothing is booked to an account that the chart does not know."""
    with pytest.raises(UnknownAccount):
        chart.parse(name)


@given(st.integers())
def test_people_read_a_liability_the_other_way_round(minor):
    """What we owe is stored as a credit and shown as a positive number."""
    assert -minor == chart.natural(chart.merchant_pending("mch_1"), minor)
    assert minor == chart.natural(chart.receivable("wx", 1), minor)
