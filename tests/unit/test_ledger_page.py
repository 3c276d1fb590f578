"""The worked examples of docs/LEDGER.md are what the code books."""

import re
from pathlib import Path

import pytest

from payments import bookings
from payments.fees import DEFAULT_PLAN, fee, give_back

PAGE = Path(__file__).parents[2] / "docs" / "LEDGER.md"
HEADER = re.compile(r"^\| posting \|")
ROW = re.compile(r"^\| `([^`]+)` \|(.+)\|$")


def tables():
    """Each table of postings on the page, as its columns: [((account, minor), …), …]."""
    found, columns = [], None
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if HEADER.match(line):
            columns = [[] for _ in range(line.count("|") - 2)]
            found.append(columns)
        elif columns is not None and (row := ROW.match(line)):
            amounts = [int(cell.strip().replace("−", "-")) for cell in row[2].split("|")]
            for column, minor in zip(columns, amounts, strict=True):
                column.append((row[1], minor))
        elif not line.startswith("|"):
            columns = None
    return found


def shown(postings):
    """Postings as the page writes them: names of accounts with their variable parts."""
    names = {"wx": "<account>", "mch_1": "<id>", "#7": "#<p>"}
    return [
        (re.sub(r"wx|mch_1|#7", lambda found: names[found[0]], account), minor)
        for account, minor in postings
    ]


def booked(settle_amount):
    charged = fee(DEFAULT_PLAN, settle_amount)
    return shown(bookings.payment_booked("wx", "mch_1", 7, settle_amount, charged))


def refunds(amount, settle_amount, *asked):
    """The postings of refunds that are asked one after the other."""
    charged = fee(DEFAULT_PLAN, settle_amount)
    refunded = settled = returned = 0
    for minor in asked:
        settle_back, fee_back = give_back(
            amount, settle_amount, charged, DEFAULT_PLAN, refunded, minor, settled, returned
        )
        refunded, settled, returned = refunded + minor, settled + settle_back, returned + fee_back
        yield sorted(shown(bookings.refund_booked("wx", "mch_1", 7, settle_back, fee_back)))


EXAMPLES = ["plain", "coupons", "refunds", "late success"]


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_page_shows_what_is_booked(example):
    """A reader who follows the page by hand comes to the postings that the code makes."""
    expected = {
        "plain": [booked(3800)],
        "coupons": [booked(3600)],
        "refunds": list(refunds(3800, 3600, 1000, 2800)),
        "late success": [
            shown(bookings.late_success_booked("wx", 7, 3800)),
            shown(bookings.late_refund_booked("wx", 7, 3800)),
        ],
    }[example]

    page = dict(zip(EXAMPLES, tables(), strict=True))[example]

    assert [sorted(postings) for postings in expected] == [sorted(column) for column in page]
