"""Which rule applies, and who of it still takes part."""

import pytest
from msgspec.structs import replace

from payments.reference import Receiver, ReceiverStatus, SplitRule, SplitRuleStatus
from payments.splitting.rules import choose, may_receive, terms_of
from payments.splitting.terms import Base, FeeBearer, Part, Terms
from payments.testing import a_merchant

MERCHANT = a_merchant(platform="meals")
RIDER = Receiver("rcv_1", MERCHANT.id, None, "rider")
PLATFORM = Receiver("rcv_2", None, "meals", "platform")
PARTS = (Part("rcv_1", 500), Part("rcv_2", None, 20_000))


def a_rule(number, **fields):
    return SplitRule(f"spl_{number}", MERCHANT.id, PARTS, **fields)


RULES = [
    a_rule(1),
    a_rule(2),
    a_rule(3, way="qr"),
    a_rule(4, tag="delivery"),
    a_rule(5, store="sto_1"),
    a_rule(6, tag="party", way="qr"),
    a_rule(7, store="sto_2", status=SplitRuleStatus.DISABLED),
    a_rule(8, store="sto_3", effective_from=20_261_201, effective_to=20_261_231),
]

CHOICES = """
    # store  tag       way      date      -> rule
      -      -         barcode  20261118  spl_2
      -      -         qr       20261118  spl_3
      -      delivery  qr       20261118  spl_4
      sto_1  delivery  qr       20261118  spl_5
      sto_1  party     qr       20261118  spl_6
      sto_2  -         barcode  20261118  spl_2
      sto_3  -         barcode  20261130  spl_2
      sto_3  -         barcode  20261201  spl_8
      sto_3  -         barcode  20261231  spl_8
      sto_3  -         barcode  20270101  spl_2
"""
ROWS = [line.split() for line in CHOICES.strip().splitlines() if "#" not in line]


@pytest.mark.parametrize(("store", "tag", "way", "date", "expected"), ROWS)
@pytest.mark.parametrize("order", [1, -1])
def test_the_rule_that_says_most_applies(store, tag, way, date, expected, order):
    """Of equals the store's before the tag's before the way's, then the newest; in any order."""
    place, named = (None if text == "-" else text for text in (store, tag))

    found = choose(RULES[::order], store=place, tag=named, way=way, business_date=int(date))

    assert expected == found.id


def test_where_no_rule_fits_nothing_is_split():
    assert choose(RULES[2:], store=None, tag=None, way="barcode", business_date=20_261_118) is None


RECEIVING = [
    (RIDER, {}, True),
    (PLATFORM, {}, True),
    (None, {}, False),
    (replace(RIDER, status=ReceiverStatus.DISABLED), {}, False),
    (replace(RIDER, merchant="mch_2"), {}, False),
    (PLATFORM, {"platform": "others"}, False),
    (PLATFORM, {"platform": None}, False),
    (replace(PLATFORM, platform=None), {"platform": None}, False),
]


@pytest.mark.parametrize(("receiver", "changes", "expected"), RECEIVING)
def test_a_receiver_is_the_merchants_or_its_platforms(receiver, changes, expected):
    """Nobody's money goes to somebody whom the merchant did not agree to."""
    assert expected is may_receive(receiver, replace(MERCHANT, **changes))


def test_who_takes_part_no_more_is_left_out():
    """The part stays with the merchant; a rule without anybody is none."""
    rule = a_rule(1, base=Base.GROSS, fee=FeeBearer.PRO_RATA)

    assert Terms(PARTS, Base.GROSS, FeeBearer.PRO_RATA, "spl_1") == terms_of(
        rule, MERCHANT, {"rcv_1": RIDER, "rcv_2": PLATFORM}.get
    )
    assert Terms(PARTS[:1], Base.GROSS, FeeBearer.PRO_RATA, "spl_1") == terms_of(
        rule, MERCHANT, {"rcv_1": RIDER}.get
    )
    assert terms_of(rule, MERCHANT, {}.get) is None
