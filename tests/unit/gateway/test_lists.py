"""Lists: what may be asked, and how a page looks."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.lists import (
    MERCHANT_FILTERS,
    PAYMENT_FILTERS,
    REFUND_FILTERS,
    ListQuery,
    list_page,
    list_query,
    no_parameters,
    wait_s,
)
from payments.errors import InvalidField, Malformed

STORE = "sto_01KCANARY00000000000000A"
PAYMENT = "pay_01KCANARY00000000000000A"

assert 28 == len(STORE)

ASKED = [
    ("", ListQuery()),
    ("limit=1", ListQuery(1)),
    ("limit=100", ListQuery(100)),
    (f"starting_after={PAYMENT}", ListQuery(10, PAYMENT)),
    (f"ending_before={PAYMENT}", ListQuery(10, None, PAYMENT)),
    (f"store={STORE}&limit=2", ListQuery(2, filters={"store": STORE})),
    (
        "order_no=T-1&status=succeeded",
        ListQuery(filters={"order_no": "T-1", "status": "succeeded"}),
    ),
    (
        "way=barcode&channel=simulated",
        ListQuery(filters={"way": "barcode", "channel": "simulated"}),
    ),
    ("business_date=20280229", ListQuery(filters={"business_date": "20280229"})),
    (
        "created%5Bgte%5D=2026-12-01T00:00:00Z&created[lt]=2026-12-01T08:00:00.5+08:00",
        ListQuery(filters={"created[gte]": "1796083200000", "created[lt]": "1796083200500"}),
    ),
    (
        "created[gt]=2026-12-01T08:00:00%2B08:00",
        ListQuery(filters={"created[gt]": "1796083200000"}),
    ),
]


@pytest.mark.parametrize(("query", "expected"), ASKED)
def test_a_list_is_asked_for_in_the_query(query, expected):
    """Limit, cursors, filters; instants arrive as milliseconds."""
    assert expected == list_query(query, PAYMENT_FILTERS)


REFUSED = [
    ("limit=0", "limit"),
    ("limit=101", "limit"),
    ("limit=ten", "limit"),
    ("limit=", "limit"),
    ("limit=1&limit=2", "limit"),
    ("limit=%D9%A1", "limit"),
    ("page=2", "page"),
    ("starting_after=pay_1", "starting_after"),
    (f"starting_after={PAYMENT}&ending_before={PAYMENT}", "ending_before"),
    ("status=paid", "status"),
    ("way=cash", "way"),
    ("store=x", "store"),
    ("order_no=", "order_no"),
    ("order_no=a%20b", "order_no"),
    ("order_no=" + "x" * 129, "order_no"),
    ("business_date=20270229", "business_date"),
    ("business_date=2026-12-01", "business_date"),
    ("created=2026-12-01", "created"),
    ("created[gte]=2026-12-01", "created[gte]"),
    ("created[gte]=2026-13-01T00:00:00Z", "created[gte]"),
    ("created[ge]=2026-12-01T00:00:00Z", "created[ge]"),
    ("created[gte]=1796083200", "created[gte]"),
]


@pytest.mark.parametrize(("query", "name"), REFUSED)
def test_a_wrong_parameter_is_named(query, name):
    """A filter that was ignored would show more than was asked for."""
    with pytest.raises(InvalidField) as refused:
        list_query(query, PAYMENT_FILTERS)

    assert name == refused.value.param


@pytest.mark.parametrize("query", ["a=%ff", "&".join(f"a{n}=1" for n in range(21))])
def test_a_query_that_cannot_be_read_is_malformed(query):
    """Bytes that are no text, or far too many of them."""
    with pytest.raises(Malformed):
        list_query(query, PAYMENT_FILTERS)


@given(st.text(max_size=80), st.sampled_from([PAYMENT_FILTERS, REFUND_FILTERS, MERCHANT_FILTERS]))
def test_no_query_makes_a_list_stumble(query, filters):
    """Malformed, InvalidField, or a page to look up."""
    try:
        asked = list_query(query, filters)
    except (Malformed, InvalidField):
        return
    assert 1 <= asked.limit <= 100
    assert asked.filters.keys() <= filters.keys()


@given(
    st.sampled_from(["created[gte]", "business_date", "limit"]),
    st.text("0123456789-:TZ+. ", max_size=30),
)
def test_no_instant_makes_a_list_stumble(name, value):
    """Dates that do not exist are refused like letters."""
    try:
        asked = list_query(f"{name}={value}", PAYMENT_FILTERS)
    except (Malformed, InvalidField):
        return
    assert asked == list_query(f"{name}={value}", PAYMENT_FILTERS)


@pytest.mark.parametrize(("query", "seconds"), [("", 0), ("wait=1", 1), ("wait=30", 30)])
def test_a_get_may_wait(query, seconds):
    """Up to 30 seconds."""
    assert seconds == wait_s(query)


@pytest.mark.parametrize("query", ["wait=0", "wait=31", "wait=x", "wait=", "x=1", "wait=1&wait=2"])
def test_a_get_waits_for_nothing_else(query):
    """Unlike a preference, a parameter is right or refused."""
    with pytest.raises(InvalidField):
        wait_s(query)


def test_a_post_has_no_parameters():
    """Everything stands in its body."""
    assert no_parameters("") is None
    with pytest.raises(InvalidField) as refused:
        no_parameters("amount=1")
    assert "amount" == refused.value.param


def test_a_page_is_put_together_from_ready_json():
    """Objects are rendered once, by whoever owns them."""
    page = list_page('/v1/payments?q="x"', [b'{"id":"pay_2"}', b'{"id":"pay_1"}'], True)

    assert {
        "object": "list",
        "url": '/v1/payments?q="x"',
        "has_more": True,
        "data": [{"id": "pay_2"}, {"id": "pay_1"}],
    } == json.loads(page)
    assert [] == json.loads(list_page("/v1/refunds", [], False))["data"]
