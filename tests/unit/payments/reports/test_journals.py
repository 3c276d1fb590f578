"""Entries as text for hledger and Beancount; acceptance tests have the programs read it."""

import pytest

from payments.money import EXPONENTS, Currency
from payments.reports.amounts import amount_text, decimal_text, exponent_of
from payments.reports.journals import beancount, hledger
from payments.testing import an_id

MERCHANT = "mch_" + "0" * 24
DAWN_MS = 1_794_931_200_000 + 250
"""2026-11-17T16:00:00.250Z: already the 18th in China."""

HLEDGER = """\
; The journal of a Tillway ledger. Debits are positive.
commodity 1000.00 CNY
account Assets:Channel:Simulated--2D1:Receivable:17
account Liabilities:Merchant:Mch-000000000000000000000000:Pending
account Income:Fees:Income:17

2026-11-18 * ({entry}) {source}
    ; entry:{entry}, source:{source}, at:2026-11-17T16:00:00.250Z, partition:17, seq:1, hash:{hash}
    Assets:Channel:Simulated--2D1:Receivable:17  38.00 CNY
    Liabilities:Merchant:Mch-000000000000000000000000:Pending  -37.86 CNY
    Income:Fees:Income:17  -0.14 CNY
"""
BEANCOUNT = """\
; The journal of a Tillway ledger. Debits are positive.
option "title" "Tillway"
option "operating_currency" "CNY"
1970-01-01 commodity CNY
1970-01-01 open Assets:Channel:Simulated--2D1:Receivable:17
1970-01-01 open Liabilities:Merchant:Mch-000000000000000000000000:Pending
1970-01-01 open Income:Fees:Income:17

2026-11-18 * "{source}"
  entry: "{entry}"
  source: "{source}"
  at: "2026-11-17T16:00:00.250Z"
  partition: 17
  seq: 1
  hash: "{hash}"
  Assets:Channel:Simulated--2D1:Receivable:17  38.00 CNY
  Liabilities:Merchant:Mch-000000000000000000000000:Pending  -37.86 CNY
  Income:Fees:Income:17  -0.14 CNY
"""


@pytest.mark.parametrize(
    ("journal", "text"), [(hledger, HLEDGER), (beancount, BEANCOUNT)], ids=["hledger", "beancount"]
)
def test_an_entry_is_written_with_all_that_leads_back_to_it(books, journal, text):
    """Business date, amounts with the currency's digits, id, place and hash."""
    source = an_id("pay")
    entry = books.sale(MERCHANT, source=source, at_ms=DAWN_MS)
    facts = {"entry": entry, "source": source, "hash": books.rows[0][8].hex()}
    assert text.format(**facts) == "".join(journal(books.rows))


@pytest.mark.parametrize("journal", [hledger, beancount])
def test_accounts_and_currencies_are_declared_once_and_before_use(books, journal):
    """However many entries use them, in whatever case the currency was stored."""
    for _ in range(3):
        books.sale(MERCHANT)
    books.book(an_id(), (("fees:income#17", -5), ("fees:channel#17", 5)), currency="CNY")
    lines = "".join(journal(books.rows)).splitlines()
    declared = [line for line in lines if line.startswith(("account", "commodity", "1970"))]
    assert len(declared) == len(set(declared)) == 5
    used = next(at for at, line in enumerate(lines) if line.startswith("2026"))
    assert lines.index(declared[0]) < used


@pytest.mark.parametrize(
    ("minor", "exponent", "text"),
    [(-947, 2, "-9.47"), (5, 2, "0.05"), (-5, 3, "-0.005"), (0, 2, "0.00"), (1200, 0, "1200"),
     (-7, 0, "-7"), (10**20 + 1, 2, "1000000000000000000.01")],
)  # fmt: skip
def test_amounts_keep_every_digit(minor, exponent, text):
    """No float anywhere: the last unit of a sum of any size is there."""
    assert text == decimal_text(minor, exponent)


def test_each_currency_has_its_digits():
    """In any case; a currency that we do not keep is refused rather than guessed."""
    assert [EXPONENTS[each] for each in Currency] == [
        exponent_of(each.upper()) for each in Currency
    ]
    assert ("3800", "38.00") == (
        amount_text(3800, "CNY", "minor"),
        amount_text(3800, "cny", "decimal"),
    )
    with pytest.raises(ValueError):
        exponent_of("xyz")
