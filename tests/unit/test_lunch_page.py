"""The lunch of docs/LUNCH.md is what the rules decide and book, table by table."""

import re
from pathlib import Path

from home_payouts import made
from home_state import CUSTODY
from payments import bookings
from payments.clearing.netting import Window, net
from payments.clearing.stripes import Due, clear
from payments.fees import DEFAULT_PLAN, fee, give_back
from payments.ledger import pack_postings
from payments.settlement import cover, entries
from payments.settlement.cover import Cover, Credit
from payments.splitting.returning import shares_back
from payments.splitting.sharing import shares_of
from payments.splitting.terms import Part, Terms

PAGE = Path(__file__).parents[2] / "docs" / "LUNCH.md"
HEADER = re.compile(r"^\| posting \|")
ROW = re.compile(r"^\| `([^`]+)` \|(.+)\|$")
DAY = 20261118
SHOP = made("mch", 1, 700, "lunch")
RIDER, PLATFORM = (made("rcv", 1, 700, name) for name in ("rider", "platform"))
LANDLORD = made("rcv", 1, 900, "landlord")
BATCH = made("bat", 1, 700, "lunch")
NAMES = {
    SHOP: "<id>",
    RIDER: "<rider>",
    PLATFORM: "<platform>",
    LANDLORD: "<landlord>",
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


class Lunch:
    """The whole lunch, decided by the rules."""

    def __init__(self):
        terms = Terms(
            (Part(RIDER, 500), Part(PLATFORM, None, 25_000), Part(LANDLORD, None, 100_000))
        )
        charged = fee(DEFAULT_PLAN, 9_800)
        shares = shares_of(terms, 9_800, charged)
        paid = bookings.split_payment_booked("wx", SHOP, 700, 9_800, charged, shares)
        settle_back, fee_back = give_back(10_000, 9_800, charged, DEFAULT_PLAN, 0, 4_000, 0, 0)
        backs = shares_back(shares, 9_800, charged, settle_back, fee_back)
        drawn = [
            bookings.Drawn(share.receiver, back, 0, 0)
            for share, back in zip(shares, backs, strict=True)
        ]
        refund = bookings.split_refund_booked("wx", SHOP, 700, settle_back, fee_back, drawn)
        lines = [
            (1, DAY, SHOP, 10_000, "ent_1P", pack_postings(paid), DAY),
            (2, DAY, SHOP, 4_000, "ent_2R", pack_postings(refund), DAY),
        ]
        self.netted = net(lines, {SHOP: Window(2, DAY)})[SHOP]
        self.tables = [[paid], [refund], *self._home(), [*self._payout(), *self._withdrawal()]]

    def _home(self):
        """The batch is filed, the channel's credit is matched, the landlord's part follows."""
        pending = self.netted.pending
        leaves = clear(BATCH, Due(LANDLORD, pending[LANDLORD]), pending[LANDLORD], 0)
        known = Cover(SHOP)
        queued = cover.queue(known, BATCH, self.netted.claims, [(LANDLORD, leaves.moved)])
        known = cover.apply(known, queued)
        owed = self.netted.totals.settle
        self.kept = owed * 2_100 // 1_000_000
        credit = Credit(CUSTODY, "wx", "ref", owed - self.kept, 1)
        ((_, kept),) = cover.divide(credit, known.waiting, fee_max_ppm=3_000).fees
        assert self.kept == kept
        (waiting,) = known.waiting
        event = cover.match(known, credit, waiting.id, kept, pending, 0, 0, 1)
        (away,) = (each for each in event.receivers if each.arrival)
        landed = cover.land(event, away, leaves.moved)
        self.left = credit.amount
        return [[leaves.postings, leaves.arrival_postings], [cover.booked(known, event), landed]]

    def _payout(self):
        amount = self.netted.totals.net
        self.left -= amount
        return [entries.held(SHOP, amount), entries.paid(CUSTODY, SHOP, amount, 0)]

    def _withdrawal(self):
        self.left -= 290
        return [entries.held(RIDER, 300), entries.paid(CUSTODY, RIDER, 290, 10)]


def test_the_lunch_is_what_is_booked():
    """Every account and every amount of every table, to the fen."""
    assert tables() == [[shown(p) for p in table] for table in Lunch().tables]


def test_the_figures_of_the_batch_and_of_the_bank():
    """What the text says between the tables."""
    lunch, text = Lunch(), PAGE.read_text(encoding="utf-8")
    totals = lunch.netted.totals
    figures = (totals.gross, totals.refunds, totals.discounts, totals.fees, totals.splits)
    assert f"| {' | '.join(map(str, (*figures, totals.net)))} |" in text
    assert f"{' − '.join(map(str, figures))} = **{totals.net}**" in text
    assert f"It owed {totals.settle} and keeps {lunch.kept};" in text
    assert f"= **{lunch.left}**" in text
