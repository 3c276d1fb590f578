"""Lists: newest first, by cursor, within one merchant."""

from datetime import timedelta
from urllib.parse import quote

import pytest

from business_time import instant

ON_RAY_TOO = True
COUNT = 25


@pytest.fixture(scope="module")
def chain(gateway):
    """A merchant with 25 payments and a refund of each of the first three: (shop, ids)."""
    shop = gateway.new_shop()
    ids = [
        shop.pay(
            order_no=f"N{number}",
            amount=1000 + number,
            ending="9003" if number % 5 == 4 else "0001",
            **({"terminal": shop.terminal} if number < 2 else {}),
        )["id"]
        for number in range(COUNT)
    ]
    for identifier in ids[:3]:
        shop.refund(identifier, 10)
    return shop, ids


def listed(shop, query=""):
    page = shop.client.get(f"/v1/payments{query}")
    assert page.status == 200, page
    return page


def ids_of(page):
    return [each["id"] for each in page["data"]]


def test_a_page_has_ten_of_the_newest(chain):
    """Without a limit: ten, and the word that there are more."""
    shop, ids = chain
    page = listed(shop)

    assert (page["object"], page["url"], page["has_more"]) == ("list", "/v1/payments", True)
    assert ids_of(page) == ids[:-11:-1]


def test_what_is_listed_is_what_is_read(chain):
    """The same objects."""
    shop, ids = chain

    assert [shop.read(identifier).body for identifier in ids[:2]] == list(
        reversed(listed(shop, "?limit=100")["data"])
    )[:2]


@pytest.mark.parametrize("limit", [1, 7, 25, 100])
def test_walking_forward_meets_each_payment_once(chain, limit):
    """starting_after the last of each page, until has_more is false."""
    shop, ids = chain
    seen, query = [], f"?limit={limit}"
    while True:
        page = listed(shop, query)
        seen += ids_of(page)
        if not page["has_more"]:
            break
        query = f"?limit={limit}&starting_after={seen[-1]}"

    assert seen == ids[::-1]


def test_walking_backward_meets_each_payment_once(chain):
    """ending_before the first of each page; each page still newest first."""
    shop, ids = chain
    seen, query = [], f"?limit=10&ending_before={ids[0]}"
    while True:
        page = listed(shop, query)
        seen = ids_of(page) + seen
        if not page["has_more"]:
            break
        query = f"?limit=10&ending_before={seen[0]}"

    assert seen == ids[:0:-1]


def test_filters(chain, kit):
    """Each narrows the list; together they all hold."""
    shop, ids = chain
    first = shop.read(ids[0]).body
    date, store, terminal = first["business_date"], first["store"], first["terminal"]

    def only(query):
        return set(ids_of(listed(shop, f"?limit=100&{query}")))

    everything = set(ids)
    failed = {identifier for number, identifier in enumerate(ids) if number % 5 == 4}
    assert only("order_no=N7") == {ids[7]}
    assert only("status=failed") == failed
    assert only("status=succeeded") == everything - failed
    assert only(f"store={store}") == only(f"terminal={terminal}") == set(ids[:2])
    assert only(f"business_date={date}") | only(f"business_date={date + 1}") == everything
    assert only("way=barcode") == only("channel=simulated") == everything
    assert only("way=qr") == set()
    assert only("order_no=N7&status=failed") == set()


def test_created_bounds(chain, kit):
    """gte and lt, RFC 3339."""
    shop, ids = chain
    middle = shop.read(ids[12])["created"]
    after = quote((instant(middle) + timedelta(hours=1)).isoformat())

    gte = set(ids_of(listed(shop, f"?limit=100&created[gte]={middle}")))
    lt = set(ids_of(listed(shop, f"?limit=100&created[lt]={middle}")))

    assert ids[12] in gte
    assert set(ids[13:]) <= gte
    assert gte | lt == set(ids)
    assert not gte & lt
    assert ids_of(listed(shop, f"?created[gte]={after}")) == []


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=ten", "limit"),
        ("offset=10", "offset"),
        ("status=paid", "status"),
        ("business_date=20261301", "business_date"),
        ("created[gte]=yesterday", "created[gte]"),
        ("starting_after=pay_nothing", "starting_after"),
        ("status=failed&status=failed", "status"),
        ("way=cash", "way"),
        ("store=1", "store"),
    ],
)
def test_wrong_parameters_are_named(chain, expect_problem, query, param):
    """422, and which."""
    shop, _ = chain

    expect_problem(shop.client.get(f"/v1/payments?{query}"), 422, "invalid_field", param)


def test_a_cursor_that_is_no_payment_of_ours_is_refused(gateway, chain, expect_problem):
    """Another merchant's id is as unknown as one that does not exist."""
    shop, ids = chain
    other = gateway.new_shop()
    foreign = other.paid()["id"]

    for name in ("starting_after", "ending_before"):
        answers = [shop.client.get(f"/v1/payments?{name}={each}") for each in (foreign,)]
        for answer in answers:
            expect_problem(answer, 422, "invalid_field", name)
    both = f"?starting_after={ids[3]}&ending_before={ids[5]}"
    expect_problem(shop.client.get(f"/v1/payments{both}"), 422, "invalid_field", "ending_before")


def test_refunds_are_listed_too(chain):
    """Of one payment, or all of the merchant."""
    shop, ids = chain
    all_ = shop.client.get("/v1/refunds")["data"]

    assert [refund["payment"] for refund in all_] == ids[2::-1]
    assert [refund["payment"] for refund in shop.refunds_of(ids[1])] == [ids[1]]
    assert shop.refunds_of(ids[9]) == []
    after = shop.client.get(f"/v1/refunds?limit=1&starting_after={all_[0]['id']}")
    assert (ids_of(after), after["has_more"]) == ([all_[1]["id"]], True)


def test_a_time_line_tells_everything_in_order(chain):
    """State changes, risk, route, entry and event, with milliseconds; no code of a payer."""
    shop, ids = chain
    line = shop.client.get(f"/v1/payments/{ids[0]}/timeline")

    assert line.status == 200
    rows = line["data"]
    assert [row["at"] for row in rows] == sorted(row["at"] for row in rows)
    assert {"created", "risk", "route", "entry", "event"} <= {row["kind"] for row in rows}
    types = [row["type"] for row in rows if row["kind"] == "event"]
    assert types == ["payment.succeeded", "refund.succeeded"]
    kinds = [row["kind"] for row in rows]
    assert [kinds.count(kind) for kind in ("refund_started", "refund_succeeded")] == [1, 1]
    entries = [row for row in rows if row["kind"] == "entry"]
    assert all(sum(p["amount"] for p in entry["postings"]) == 0 for entry in entries)
    assert len(entries) == 2
    assert b"28000000" not in line.content
