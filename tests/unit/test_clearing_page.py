"""The lunch of docs/CLEARING.md is what the code books, step by step."""

import re
from pathlib import Path

from home_payouts import made
from home_state import CUSTODY
from payments import bookings
from payments.clearing.netting import Claim
from payments.clearing.stripes import Due, clear
from payments.settlement import cover, entries
from payments.settlement.cover import Cover, Credit, Waiting
from payments.splitting.terms import Share

PAGE = Path(__file__).parents[2] / "docs" / "CLEARING.md"
HEADER = re.compile(r"^\| posting \|")
ROW = re.compile(r"^\| `([^`]+)` \|(.+)\|$")
MERCHANT = made("mch", 1, 700, "lunch")
COURIER = made("rcv", 1, 900, "lunch")
BATCH = made("bat", 1, 700, "lunch")
NAMES = {
    MERCHANT: "<id>",
    COURIER: "<courier>",
    "#700": "#<p>",
    "#900": "#<h>",
    "transit:700:900": "transit:<p>:<h>",
    "channel:wx:": "channel:<account>:",
    CUSTODY: "custody:<bank>:<account>",
}


def tables():
    """Each table of postings, as its columns without zeros: [[(account, minor), …], …]."""
    found, columns = [], None
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if HEADER.match(line):
            columns = [[] for _ in range(line.count("|") - 2)]
            found.append(columns)
        elif columns is not None and (row := ROW.match(line)):
            amounts = [int(cell.strip().replace("−", "-")) for cell in row[2].split("|")]
            for column, minor in zip(columns, amounts, strict=True):
                column += [(row[1], minor)] if minor else []
        elif not line.startswith("|"):
            columns = None
    return [[sorted(column) for column in table] for table in found]


def shown(postings):
    """Postings as the page writes them."""
    named = []
    for account, minor in postings:
        for name, place in NAMES.items():
            account = account.replace(name, place)
        named.append((account, minor))
    return sorted(named)


def lunch():
    """Every entry of the page, in the order of its tables."""
    payment = bookings.split_payment_booked("wx", MERCHANT, 700, 3800, 14, [Share(COURIER, 500)])
    leaves = clear(BATCH, Due(COURIER, 500), 500, 0)
    claim = Claim("wx", 3800, 14, tuple(sorted([(MERCHANT, 3286), (COURIER, 500)])), 20260302)
    waiting = Waiting(cover.claim_id(BATCH, "wx", 20260302), BATCH, MERCHANT, claim)
    known = Cover(MERCHANT, (waiting,), {}, {COURIER: leaves.moved})
    credit = Credit(CUSTODY, "wx", "ref", 3792, 1)
    ((_, fee),) = cover.divide(credit, [waiting], fee_max_ppm=3_000).fees
    covered = cover.match(known, credit, waiting.id, fee, {MERCHANT: 3286}, 0, 0, 1)
    landed = cover.land(covered, covered.receivers[0], 500)
    return [
        [payment],
        [leaves.postings, leaves.arrival_postings],
        [cover.booked(known, covered), landed],
        [entries.held(MERCHANT, 3286), entries.paid(CUSTODY, MERCHANT, 3286, 0)],
        [
            bookings.outside_payment_booked("wx", MERCHANT, 700, 10_000, 38),
            entries.settled_outside(MERCHANT, (("wx", 10_000),)),
        ],
    ]


def test_the_lunch_is_what_is_booked():
    """Every account, every amount, in every column; and what is left at the bank."""
    booked = lunch()
    assert tables() == [[shown(postings) for postings in table] for table in booked]
    left = sum(m for table in booked for column in table for a, m in column if a == CUSTODY)
    assert 506 == left == 500 + 14 - 8
    assert "**506**" in PAGE.read_text(encoding="utf-8")


def test_the_limits_are_the_codes():
    """Figures of the page that are constants of the code."""
    from payments.clearing.batch import BATCHES_A_DAY_MAX
    from payments.clearing.terms import POSITIONS_MAX
    from payments.settlement.accounts import ACCOUNTS_MAX, COOL_DOWN_MS
    from payments.settlement.instruction import ABSENT_GRACE_MS, ATTEMPTS_MAX, NUMBER_MAX
    from payments.settlement.withdrawal import DEFAULT_LIMITS

    assert (96, 4_000, 4_000) == (BATCHES_A_DAY_MAX, POSITIONS_MAX, cover.OPEN_CLAIMS_MAX)
    assert (100_000, 100, 100, 35) == (cover.CLAIMS_MAX, ACCOUNTS_MAX, ATTEMPTS_MAX, NUMBER_MAX)
    assert (24 * 3_600_000, 10 * 60_000) == (COOL_DOWN_MS, ABSENT_GRACE_MS)
    limits = DEFAULT_LIMITS
    assert (5_000_000_00, 50_000_000_00, 20, 50_000_00) == (
        limits.single_max,
        limits.day_max,
        limits.day_count_max,
        limits.review_above,
    )
