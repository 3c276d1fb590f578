"""Divided money against the channel's bill: what is the same matches, what is not is found once."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from payments.bills.lines import BillKind, BillState
from payments.bills.shares import ShareLine
from payments.reconciliation.differences import Act, Difference, Kind, Owner
from payments.reconciliation.lines import day_bounds
from payments.reconciliation.match import Crossed
from payments.reconciliation.resolving import NotExplained, apply, awaited, reconsider
from payments.reconciliation.shared import OurShare, Sharing, is_sharing, key_of, sharing_account

DAY = 20261121
BEGINS, ENDS = day_bounds(DAY)
NOON = BEGINS + 12 * 3_600_000
SHARE, RETURN = BillKind.SHARE, BillKind.SHARE_RETURN


def ours_of(number="n1", holder="r1", amount=500, at_ms=NOON, kind=SHARE, **more):
    fields = {"state": BillState.SUCCEEDED, "began_at": at_ms - 1_000} | more
    return OurShare(
        kind, number, holder, f"pay_{number}", "mch_1", fields["state"], amount,
        fields["began_at"], at_ms,
    )  # fmt: skip


def line_of(ours, row=2, **changes):
    line = ShareLine(
        "wechat", "1900000001", ours.kind, ours.number, "3008", "36", "42", ours.holder,
        ours.at_ms, DAY, max(1, ours.amount), 100_000, row=row,
    )  # fmt: skip
    return replace(line, **changes)


class Rows:
    def __init__(self, ours):
        self._ours = ours

    def share(self, number, holder):
        known = [one for one in self._ours if (one.kind, one.number) == (SHARE, number)]
        for one in known:
            if one.holder == holder:
                return one
        if not known:
            return None
        return replace_ours(known[0], holder=holder, state=BillState.FAILED, amount=0)

    def taken(self, number):
        found = [one for one in self._ours if (one.kind, one.number) == (RETURN, number)]
        return found[0] if found else None

    def day(self, bill_date):
        begins, ends = day_bounds(bill_date)
        return [one for one in self._ours if begins <= one.at_ms < ends]


def replace_ours(one, **changes):
    return replace(one, **changes)


class Others:
    def __init__(self, crossed=(), done=()):
        self._crossed, self._done = set(crossed), set(done)

    def crossed(self, kind, number):
        return (kind, number) in self._crossed

    def is_done(self, bill_date):
        return bill_date in self._done


def compared(ours, theirs, others=None):
    matcher = Sharing(DAY, Rows(ours), others or Others())
    found = list(matcher.walk(theirs))
    assert matcher.counts.is_explained, matcher.counts
    return matcher.counts, found


def one_difference(ours, theirs, others=None):
    counts, found = compared(ours, theirs, others)
    (difference,) = [each for each in found if isinstance(each, Difference)]
    return counts, difference


def test_the_same_on_both_sides_matches():
    ours = [ours_of(), ours_of(holder="r2"), ours_of("b1", kind=RETURN, amount=25)]

    counts, found = compared(ours, [line_of(each, row) for row, each in enumerate(ours, 2)])

    assert (3, 3, 3, []) == (counts.matched, counts.ours_lines, counts.theirs_lines, found)
    assert 975 == counts.ours == counts.theirs


PLANTED = [
    # what differs: (ours, theirs, amount)
    ("amount", [ours_of()], [line_of(ours_of(), amount=501)], 1),
    ("less", [ours_of()], [line_of(ours_of(), amount=1)], -499),
    ("not ours", [], [line_of(ours_of())], 500),
    ("missing", [ours_of()], [], -500),
    ("another receiver", [ours_of()], [line_of(ours_of()), line_of(ours_of(holder="x"), 3)], 500),
    ("twice", [ours_of()], [line_of(ours_of()), line_of(ours_of(), 3)], 500),
    ("failed here", [ours_of(state=BillState.FAILED)], [line_of(ours_of())], 500),
    ("not known here", [ours_of(state=BillState.PROCESSING)], [line_of(ours_of())], 500),
    ("came back less", [ours_of(kind=RETURN)], [line_of(ours_of(kind=RETURN), amount=400)], 100),
    ("came back unasked", [], [line_of(ours_of(kind=RETURN))], -500),
    ("did not come back", [ours_of(kind=RETURN)], [], 500),
]  # fmt: skip


@pytest.mark.parametrize(("ours", "theirs", "amount"), [each[1:] for each in PLANTED])
def test_each_difference_is_a_split_mismatch_with_its_evidence(ours, theirs, amount):
    """`amount`: what receivers have more than we say."""
    _, difference = one_difference(ours, theirs)

    assert (Kind.SPLIT_MISMATCH, amount) == (difference.kind, difference.amount)
    assert (Owner.FINANCE, Act.CLAIM, ()) == (
        difference.owner,
        difference.proposal.act,
        difference.proposal.postings,
    )
    assert bool(theirs) == bool(difference.rows)
    if ours:
        assert (ours[0].object, "mch_1") == (difference.ours.object, difference.ours.merchant)


def test_a_return_by_somebody_else_is_a_mismatch_of_nothing():
    """As much came back, and of another receiver."""
    ours = ours_of(kind=RETURN)

    _, difference = one_difference([ours], [line_of(ours, receiver="r2")])

    assert (Kind.SPLIT_MISMATCH, 0, (2,)) == (difference.kind, difference.amount, difference.rows)


def test_both_receivers_of_one_order_are_told_apart():
    ours = [ours_of(), ours_of(holder="r2")]

    _, found = compared(ours, [])

    assert ["n1 r1", "n1 r2"] == [each.number for each in found]


def test_a_line_of_another_day_of_ours_is_remembered_for_that_day():
    """The channel was past midnight before we learned of it, or the other way round."""
    tomorrow = ours_of(at_ms=ENDS + 1_000, began_at=ENDS - 2_000)

    counts, found = compared([tomorrow], [line_of(tomorrow)])

    assert [Crossed(SHARE, "n1 r1")] == found
    assert (1, 1, 0) == (counts.matched, counts.crossed_lines, counts.ours_lines)


def test_what_another_days_bill_has_is_not_missed():
    ours = ours_of()

    counts, found = compared([ours], [], Others(crossed=[(SHARE, ours.key)]))

    assert ([], 1) == (found, counts.elsewhere_lines)


def test_near_midnight_another_bill_may_have_it_still():
    ours = ours_of(at_ms=ENDS - 1_000)

    _, difference = one_difference([ours], [])

    assert (Kind.EXPECTED_LATER, Owner.NOBODY, Act.WAIT_FOR_BILL) == (
        difference.kind,
        difference.owner,
        difference.proposal.act,
    )
    assert (SHARE, "n1 r1") == awaited(difference)
    assert (DAY, 20261122) == difference.until
    event = reconsider(difference, DAY, None, Others(done=[20261122]), 5)
    assert NotExplained(5, Kind.SPLIT_MISMATCH) == event
    after = apply(difference, event)
    assert (Owner.FINANCE, Act.CLAIM) == (after.owner, after.proposal.act)
    _, at_once = one_difference([ours], [], Others(done=[20261122]))
    assert Kind.SPLIT_MISMATCH is at_once.kind


@settings(max_examples=50)
@given(st.data())
def test_every_planted_difference_is_found_and_nothing_else(data):
    """Random days; each part is right, other, missing, strange or told twice."""
    ours, theirs, expected = [], [], Counter()
    for at in range(data.draw(st.integers(0, 12))):
        kind = data.draw(st.sampled_from([SHARE, RETURN]))
        sign = 1 if kind is SHARE else -1
        one = ours_of(f"n{at}", f"r{at}", data.draw(st.integers(1, 9_999)), kind=kind)
        line = line_of(one, row=len(theirs) + 2)
        what = data.draw(st.sampled_from(["same", "other", "missing", "strange", "twice"]))
        key = key_of(kind, one.number, one.holder)
        if what != "strange":
            ours.append(one)
        if what == "other":
            more = data.draw(st.integers(1, 99))
            line = replace(line, amount=line.amount + more)
            expected[key, sign * more] += 1
        if what == "missing":
            expected[key, -sign * one.amount] += 1
        else:
            theirs.append(line)
        if what in ("strange", "twice"):
            expected[key, sign * one.amount] += 1
        if what == "twice":
            theirs.append(replace(line, row=len(theirs) + 2))

    counts, found = compared(ours, theirs)

    assert expected == Counter((each.number, each.amount) for each in found)
    assert counts.theirs - counts.ours == sum(amount * n for (_, amount), n in expected.items())
    assert len(found) == len({each.key for each in found}), "no two have one id"


def test_an_account_and_its_sharing_are_told_apart():
    assert is_sharing(sharing_account("wechat-1"))
    assert not is_sharing("wechat-1")
