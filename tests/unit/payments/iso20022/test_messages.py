"""What is built is valid by the published schemas and for a stranger's library, and comes back."""

from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from msgspec.structs import replace

from iso_messages import movements, notices, orders, reports, statements
from payments.iso20022 import camt053, camt054, pain001, pain002
from payments.iso20022.camt053 import Statement
from payments.iso20022.pain001 import CreditTransfer, PaymentOrder
from payments.iso20022.trees import ITEMS_MAX, MESSAGE_MAX_BYTES, MessageRefused

FEW = settings(
    max_examples=15,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    deadline=None,
)
NOW_MS = 1_795_000_000_000


def an_order(*items, **changes):
    item = CreditTransfer("E1", 123_456, "李四 & <Söhne>", "62220200", "ICBKCNBJ", '"清算"')
    head = ("M1", NOW_MS, "Tillway", "P1", 20261122, "Noodles", "6222000011", "102100099996")
    return replace(PaymentOrder(*head, items or (item,)), **changes)


@FEW
@given(order=orders())
def test_an_order_is_valid_and_comes_back(judges, order):
    """By the published schema, whatever an order can say in anybody's script."""
    message = pain001.encode(order)

    judges.verify("pain.001", message)
    assert order == pain001.decode(message)
    assert message == pain001.encode(order), "the same bytes whenever it is built"


@FEW
@given(report=reports())
def test_a_report_is_valid_and_comes_back(judges, report):
    message = pain002.encode(report)

    judges.verify("pain.002", message)
    assert report == pain002.decode(message)


@FEW
@given(notice=notices())
def test_a_notice_is_read_by_a_stranger_and_comes_back(judges, notice):
    """There is no published schema at hand; a library made from it is strict about each name."""
    message = camt054.encode(notice)

    read = judges.read("camt.054", message).bk_to_cstmr_dbt_cdt_ntfctn
    assert notice == camt054.decode(message)
    assert [str(entry.sequence) for entry in notice.entries] == [
        each.ntry[0].ntry_ref for each in read.ntfctn
    ]
    assert [Decimal(entry.amount_minor) for entry in notice.entries] == [
        100 * each.ntry[0].amt.value for each in read.ntfctn
    ]


@FEW
@given(statement=statements())
def test_a_statement_is_read_by_a_stranger_and_comes_back(judges, statement):
    """And the stranger's sums are the statement's."""
    message = camt053.encode(statement)

    read = judges.read("camt.053", message).bk_to_cstmr_stmt.stmt[0]
    assert statement == camt053.decode(message)
    signs = {"CRDT": 1, "DBIT": -1}
    opening, closing = (signs[each.cdt_dbt_ind.value] * 100 * each.amt.value for each in read.bal)
    moved = sum(signs[each.cdt_dbt_ind.value] * 100 * each.amt.value for each in read.ntry)
    assert (statement.opening_minor, statement.closing_minor) == (opening, closing)
    assert opening + moved == closing


def test_strangers_read_orders_and_answers(judges):
    order = judges.read("pain.001", pain001.encode(an_order())).cstmr_cdt_trf_initn
    item = order.pmt_inf[0].cdt_trf_tx_inf[0]
    report = pain002.StatusReport(
        *("R1", NOW_MS, "M1", pain001.NAME, "ACSC", "P1"),
        items=(pain002.ItemStatus("E1", "ACSC", 5, "AC04", "closed", "B1", True),),
    )
    told = judges.read("pain.002", pain002.encode(report)).cstmr_pmt_sts_rpt

    assert ("E1", Decimal("1234.56")) == (item.pmt_id.end_to_end_id, item.amt.instd_amt.value)
    reasons = [each.rsn for each in told.orgnl_pmt_inf_and_sts[0].tx_inf_and_sts[0].sts_rsn_inf]
    assert [("RETURNED", None), (None, "AC04")] == [(each.prtry, each.cd) for each in reasons]
    assert report == pain002.decode(pain002.encode(report))


def test_the_largest_order_is_within_the_limit():
    """10 000 items with every field, the length of Chinese texts among them, fit a message."""
    items = tuple(
        CreditTransfer(f"E{at:030d}", 10**9, "某" * 60, "6" * 34, "102100099996", "款" * 60)
        for at in range(ITEMS_MAX)
    )
    order = an_order(*items)

    message = pain001.encode(order)

    assert len(message) < MESSAGE_MAX_BYTES
    assert order == pain001.decode(message)
    with pytest.raises(MessageRefused, match="10000 payments"):
        replace(order, items=(*items, CreditTransfer("one too many", 1, "x", "1")))


CANNOT_BE_SAID = [
    {"message_id": ""},
    {"message_id": "M" * 36},
    {"message_id": "号"},
    {"initiator": "a\nb"},
    {"initiator": " a"},
    {"debtor_name": "\ud800"},
    {"debtor_account": "6" * 35},
    {"execution_on": 20261131},
    {"created_ms": -1},
    {"items": ()},
]


@pytest.mark.parametrize("change", CANNOT_BE_SAID, ids=str)
def test_what_no_message_can_say_cannot_be_built(change):
    with pytest.raises(MessageRefused):
        an_order(**change)


@pytest.mark.parametrize("amount", [0, -1, 10**13])
def test_no_payment_of_nothing(amount):
    with pytest.raises(MessageRefused, match="amount"):
        CreditTransfer("E1", amount, "x", "1")


def test_one_number_twice_is_refused():
    item = CreditTransfer("E1", 1, "x", "1")
    with pytest.raises(MessageRefused, match="twice"):
        an_order(item, item)


@FEW
@given(entries=movements(count_max=6))
def test_a_day_on_several_pages_is_joined_only_when_whole(entries):
    """A missing page, an exchanged one, or one of another day: nothing of it is believed."""
    closing = 500 + sum(entry.signed_minor for entry in entries)
    head = ("S1", NOW_MS, "D1", "6222", 20261121, 500, closing, len(entries))
    last = len(entries)
    pages = [Statement(*head, (entry,), at, at == last) for at, entry in enumerate(entries, 1)]
    read = [camt053.decode(camt053.encode(page)) for page in pages]

    assert Statement(*head, entries) == camt053.join(read)
    for wrong in (read[1:], read[:-1], read[::-1] if last > 1 else [], [*read, *read]):
        with pytest.raises(MessageRefused):
            camt053.join(wrong)
    if last > 1:
        with pytest.raises(MessageRefused, match="different days"):
            camt053.join([replace(read[0], opening_minor=499), *read[1:]])


def test_a_day_that_does_not_add_up_is_refused():
    """A movement that is missing, even one that its return makes good in the sum."""
    head = ("S1", NOW_MS, "D1", "6222", 20261121)
    with pytest.raises(MessageRefused, match="add up"):
        Statement(*head, 500, 501, 0)
    with pytest.raises(MessageRefused, match="number of movements"):
        Statement(*head, 500, 500, 2)
