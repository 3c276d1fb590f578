"""What merchants hear of a comparison: their own differences, each opening and each end once."""

import json
from collections import Counter

import pytest

from payments.channels.wechat import bill
from payments.clock import ManualClock
from payments.fees import FeePlan
from payments.reconciliation import rehearsal
from payments.reconciliation.differences import Kind, Standing
from payments.reconciliation.lines import day_bounds
from payments.reconciliation.notices import FINISHED, OPENED, RESOLVED
from payments.reconciliation.resolving import Agreed, Explained, NotExplained, Proposed
from payments.storage.comparing import Bill, Comparing
from payments.storage.rehearsal import BILL, SHARD, write
from payments.storage.telling import TOLD_BACK_MS

DAY = 20261121
_, ENDED = day_bounds(DAY)
NOBODYS = {Kind.UNKNOWN_ORDER, Kind.THEIRS_ONLY, Kind.EXPECTED_LATER}
"""Of what is planted: without a payment of ours, or only waiting."""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A rehearsed day with each difference twice."""
    folder = tmp_path_factory.mktemp("told") / "day"
    day = rehearsal.rehearse(200, DAY, bill.CHANNEL, 100, 1)
    details = bill.Details(rate_ppm=rehearsal.RATE.rate_ppm)
    write(
        folder,
        day,
        DAY,
        lambda lines: bill.write(bill.BillType.ALL, ((line, details) for line in lines)),
    )
    return folder


@pytest.fixture
def comparing(made, tmp_path):
    clock = ManualClock(ENDED + 36_000_000)
    comparing = Comparing(tmp_path, [made / SHARD], clock, livemode=False)
    comparing.clock = clock
    asked = Bill(rehearsal.ACCOUNT, "wechat", DAY, BILL, "ab" * 32)
    with (made / BILL).open("rb") as content:
        comparing.run = comparing.compare(asked, content, bill.read, FeePlan("agreed", 6_000))
    return comparing


def tell(comparing):
    """All that is to be told now, kept as told."""
    notices = []
    while untold := comparing.untold():
        notices += untold.notices
        comparing.remember_told(untold.marks)
    return notices


def item_of(comparing, kind):
    reader = comparing.reader()
    try:
        return reader.items_page("", kind.value, "", "", "", 1)[0][0]
    finally:
        reader.close()


def test_everything_about_a_payment_of_ours_is_told_once(comparing):
    """With what it is about, and nothing of the bill; then there is silence."""
    found = tell(comparing)

    kinds = Counter(
        json.loads(each.body)["type"] for each in found if each.kind in (OPENED, RESOLVED)
    )
    planted = {kind.value: 2 for kind in rehearsal.PLANTED if kind not in NOBODYS}
    assert planted == dict(kinds)
    assert len(found) == len({(each.source, each.kind) for each in found})
    assert [] == tell(comparing)
    for each in found:
        body = json.loads(each.body)
        assert each.merchant == body["merchant"]
        assert not {"evidence", "theirs", "totals", "file_sha256"} & body.keys()


def test_a_merchant_hears_what_a_comparison_came_to_for_it(comparing):
    (summary,) = [each for each in tell(comparing) if each.kind == FINISHED]

    body = json.loads(summary.body)
    theirs = {kind.value for kind in rehearsal.PLANTED} - {"unknown_order", "theirs_only"}
    assert (comparing.run.id, dict.fromkeys(sorted(theirs), 2)) == (body["id"], body["counts"])


def test_what_was_not_kept_as_told_is_told_again_the_same(comparing):
    """A crash between the shard's commit and ours: the same events, by the same ids."""
    assert comparing.untold() == comparing.untold()


def test_the_end_of_a_difference_is_told_and_of_what_only_waited_is_not(comparing):
    tell(comparing)
    amount = item_of(comparing, Kind.AMOUNT)
    reader = comparing.reader()
    proposal = reader.item(amount)[0].proposal
    reader.close()
    comparing.decide(amount, Proposed(1, "key_1", "", proposal))
    assert [] == tell(comparing)
    comparing.decide(amount, Agreed(2, "key_2", ""))
    comparing.decide(item_of(comparing, Kind.EXPECTED_LATER), Explained(3, comparing.run.id))

    (ended,) = tell(comparing)

    assert (RESOLVED, amount, "resolved") == (
        ended.kind,
        ended.source,
        json.loads(ended.body)["status"],
    )
    assert 2 == ended.at


def test_what_waited_in_vain_is_told_when_it_is_known(comparing):
    tell(comparing)
    waited = item_of(comparing, Kind.EXPECTED_LATER)
    comparing.decide(waited, NotExplained(5, Kind.OURS_ONLY))

    (opened,) = tell(comparing)

    body = json.loads(opened.body)
    assert (OPENED, waited, "ours_only", Standing.OPEN) == (
        opened.kind, opened.source, body["type"], body["status"],
    )  # fmt: skip


def test_looking_for_news_takes_the_file_from_nobody(comparing):
    """Whoever imports a bill by hand beside the gateway finds it free."""
    tell(comparing)
    owner = comparing._open()
    try:
        assert comparing.untold() is None
    finally:
        owner.close()


def test_what_is_long_past_is_not_told_any_more(comparing):
    """A file from before there were events makes no flood of them."""
    comparing.clock.advance(TOLD_BACK_MS / 1_000)

    assert [] == tell(comparing)
    assert comparing.untold() is None
