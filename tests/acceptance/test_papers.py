"""Papers over HTTP: balance transactions, statements and the ledger, as shops and operators ask."""

import csv
import io
import time

import pytest

from payments.iso20022 import camt053
from workbooks import load_workbook

PATIENCE_S = 60


@pytest.fixture
def sold(shop):
    """A shop with three sales, one of them partly given back."""
    paid = [shop.paid(amount=10_000) for _ in range(3)]
    back = shop.refund(paid[0]["id"], 4_000)
    until = time.monotonic() + PATIENCE_S
    while shop.client.get(f"/v1/refunds/{back['id']}")["status"] != "succeeded":
        assert time.monotonic() < until
        time.sleep(0.05)
    return shop, paid, back


def test_balance_transactions_add_up_to_the_balance(sold):
    """Each entry once, newest first; pages fit together; filters keep what they say."""
    shop, paid, back = sold
    page = shop.client.get("/v1/balance_transactions")
    assert 200 == page.status, page
    assert ["refund", "payment", "payment", "payment"] == [row["type"] for row in page["data"]]
    (balance,) = shop.client.get("/v1/balances")["data"]
    assert balance["pending"] == sum(row["amount"] for row in page["data"])
    first = shop.client.get("/v1/balance_transactions?limit=1")
    assert (True, page["data"][:1]) == (first["has_more"], first["data"])
    rest = shop.client.get(f"/v1/balance_transactions?starting_after={first['data'][0]['id']}")
    assert (False, page["data"][1:]) == (rest["has_more"], rest["data"])
    (only,) = shop.client.get(f"/v1/balance_transactions?source={back['id']}")["data"]
    assert page["data"][0] == only
    assert 3 == len(shop.client.get("/v1/balance_transactions?type=payment")["data"])
    assert paid[0]["id"] == page["data"][-1]["source"]


def test_a_statement_is_the_same_in_each_format(sold):
    """As objects, as CSV and as a page; its lines add up to its sums."""
    shop, paid, _ = sold
    date = paid[0]["business_date"]
    told = shop.client.get(f"/v1/statements?business_date={date}")
    assert 200 == told.status, told
    assert 4 == told["rows"] == len(told["data"])
    (balance,) = shop.client.get("/v1/balances")["data"]
    assert balance["pending"] == told["sums"]["cny"]["net"]
    text = shop.client.get(f"/v1/statements?business_date={date}&format=csv")
    lines = list(csv.reader(io.StringIO(text.content.decode(), newline="")))
    assert list(told["data"][0]) == lines[0]
    assert [row["balance_transaction_id"] for row in told["data"]] == [
        line[lines[0].index("balance_transaction_id")] for line in lines[1:5]
    ]
    page = shop.client.get(f"/v1/statements?business_date={date}&format=html")
    assert page.headers["Content-Type"].startswith("text/html")
    assert paid[0]["id"] in page.content.decode()


@pytest.mark.parametrize(
    ("path", "param"),
    [
        ("/v1/statements", "business_date"),
        ("/v1/statements?business_date=20261301", "business_date"),
        ("/v1/statements?business_date=20261101&format=sage", "format"),
        ("/v1/statements?business_date=20991231&format=camt053", "business_date"),
        ("/v1/reports/store_day", "business_date"),
        ("/v1/reports/store_day?business_date=20261101&format=xlsx", "format"),
        ("/v1/reports/store_day?business_date=20261101&ending_before=x", "ending_before"),
        ("/v1/balance_transactions?type=gift", "type"),
        ("/v1/balance_transactions?starting_after=ent_0123456789ABCDEFGHJKMNPQ", "starting_after"),
        ("/v1/balance_transactions?ending_before=pay_0123456789ABCDEFGHJKMNPQ", "ending_before"),
    ],
)
def test_what_cannot_be_asked_is_said(shop, path, param):
    refused = shop.client.get(path)
    assert (422, param) == (refused.status, refused["param"])


def test_papers_are_for_whose_they_are(sold, gateway):
    """Another's merchant is one that does not exist; the ledger is for operators."""
    shop, paid, _ = sold
    other = gateway.new_shop()
    date = paid[0]["business_date"]
    mine = shop.client.get("/v1/balances")["data"][0]["merchant"]
    for path in (
        f"/v1/balance_transactions?merchant={mine}",
        f"/v1/statements?business_date={date}&merchant={mine}",
        f"/v1/reports/store_day?business_date={date}&merchant={mine}",
    ):
        assert 404 == other.client.get(path).status, path
    for path in ("/v1/ledger/accounts", f"/v1/ledger/entries?source={paid[0]['id']}"):
        assert 403 == shop.client.get(path).status, path


def test_operators_see_entries_and_accounts(sold, gateway):
    """The entry of a payment by its source and by an account of it; the account's balance."""
    shop, paid, _ = sold
    mine = shop.client.get("/v1/balances")["data"][0]
    account = f"merchant:{mine['merchant']}:pending"
    (entry,) = gateway.operator.get(f"/v1/ledger/entries?source={paid[0]['id']}")["data"]
    assert 0 == sum(each["amount"] for each in entry["postings"])
    of_account = gateway.operator.get(f"/v1/ledger/entries?account={account}")
    assert entry in of_account["data"]
    found = gateway.operator.get(f"/v1/ledger/accounts?account=merchant:{mine['merchant']}:")
    assert {account: -mine["pending"]} == {
        row["account"]: row["balance"] for row in found["data"] if row["balance"]
    }
    assert {"fees:income"} <= {
        row["account"] for row in gateway.operator.get("/v1/ledger/accounts")["data"]
    }
    assert 422 == gateway.operator.get("/v1/ledger/entries").status
    assert 422 == gateway.operator.get("/v1/ledger/accounts?account=merchant:").status


def test_a_statement_as_a_workbook(sold):
    """Excel's own kind of file, with the sums beside formulas."""
    shop, paid, _ = sold
    date = paid[0]["business_date"]
    told = shop.client.get(f"/v1/statements?business_date={date}&format=xlsx")
    assert 200 == told.status, told
    assert told.headers["Content-Type"].endswith("spreadsheetml.sheet")
    book = load_workbook(io.BytesIO(told.content), data_only=True)
    names, *lines = book["Items"].iter_rows(values_only=True)
    at = names.index("payment_id")
    assert {each["id"] for each in paid} == {line[at] for line in lines} - {None, ""}
    assert "DIFFERS" not in {
        cell for line in book["Check"].iter_rows(values_only=True) for cell in line
    }


def test_a_day_as_a_bank_tells_it(shop):
    """camt.053: the account is the merchant, and a day before there was one has nothing."""
    told = shop.client.get("/v1/statements?business_date=20261101&format=camt053")
    assert (200, "application/xml") == (told.status, told.headers["Content-Type"])
    statement = camt053.decode(told.content)
    assert (shop.id, 20261101, 0, 0) == (
        statement.account,
        statement.day,
        statement.closing_minor,
        statement.count,
    )


def test_a_stores_day(sold):
    """As objects and as CSV: what was taken, and what was given back on that day."""
    shop, paid, back = sold
    path = f"/v1/reports/store_day?business_date={paid[0]['business_date']}"
    told = shop.client.get(path)
    assert 200 == told.status, told
    assert (3, 1) == (
        sum(r["payments"] for r in told["data"]),
        sum(r["refund_count"] for r in told["data"]),
    )
    assert (30_000, back["amount"]) == (
        told["sums"]["cny"]["gross"],
        told["sums"]["cny"]["refunds"],
    )
    text = shop.client.get(f"{path}&format=csv").content.decode()
    lines = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [str(row["gross"]) for row in told["data"]] == [
        line["gross"] for line in lines[: told["rows"]]
    ]
    elsewhere = shop.client.get(f"{path}&store=sto_0123456789ABCDEFGHJKMNPQ")
    assert [] == elsewhere["data"]
