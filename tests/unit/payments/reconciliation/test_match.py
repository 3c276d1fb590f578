"""The comparison finds what is different, says what it amounts to, and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from payments.bills.lines import BillKind, BillState
from payments.reconciliation.differences import Act, Difference, Kind, Owner, Standing
from payments.reconciliation.lines import Nature, Ours, Theirs, day_bounds
from payments.reconciliation.match import SAME_NUMBER_MAX, Crossed, Matcher, Unsorted

DAY = 20261121
NEXT, BEFORE = 20261122, 20261120
BEGINS, ENDS = day_bounds(DAY)
NOON = BEGINS + 12 * 3_600_000
PAYMENT, REFUND = BillKind.PAYMENT, BillKind.REFUND
SUCCEEDED, PROCESSING = BillState.SUCCEEDED, BillState.PROCESSING
FAILED, REVERSED = BillState.FAILED, BillState.REVERSED


def ours(number="A", **changes):
    """A sale of 38.00 at noon, for which the channel charges 0.23."""
    line = Ours(
        number, f"pay_{number}", PAYMENT, Nature.SALE, SUCCEEDED,
        "cny", 3800, 3800, 0, 23, NOON - 300, NOON,
    )  # fmt: skip
    return replace(line, **changes)


def our_refund(number="R", **changes):
    return ours(
        number, object=f"rfd_{number}", kind=REFUND, nature=Nature.REFUND, fee=None, **changes
    )


def theirs(number="A", **changes):
    """The same in a bill."""
    line = Theirs(number, PAYMENT, SUCCEEDED, 2, "cny", 3800, 3800, 0, 23, NOON, number)
    return replace(line, **changes)


def their_refund(number="R", **changes):
    return theirs(number, **{"kind": REFUND, "trade": "A", "fee": 0, **changes})


def reversal(number="A", **changes):
    return theirs(number, kind=REFUND, state=REVERSED, row=3, fee=0, **changes)


class KnownBooks:
    """Numbers that our rows know from other days."""

    def __init__(self, *lines):
        self.lines = {(line.kind, line.number): line for line in lines}

    def charge(self, number):
        return self.lines.get((PAYMENT, number))

    def refund(self, number):
        return self.lines.get((REFUND, number))


class Days:
    """What other days' bills had."""

    def __init__(self, done=(), crossed=()):
        self.done, self.lines = set(done), set(crossed)

    def is_done(self, date):
        return date in self.done

    def crossed(self, kind, number):
        return (kind, number) in self.lines


def compare(mine=(), bill=(), known=(), days=None, refunds=False):
    """What a comparison yields, and its counts, which must explain every unit."""
    matcher = Matcher("wechat-1", DAY, KnownBooks(*known), days or Days())
    walk = matcher.refunds if refunds else matcher.payments
    found = list(walk(mine, bill))
    assert matcher.counts.is_explained, matcher.counts
    return found, matcher.counts


def kinds(found):
    return [(each.kind, each.amount) for each in found if isinstance(each, Difference)]


def test_what_agrees_is_only_counted():
    """Two equal lines are no difference."""
    found, counts = compare([ours("A"), ours("B")], [theirs("A"), theirs("B")])

    assert ([], 2, 2, 2) == (found, counts.matched, counts.ours_lines, counts.theirs_lines)


PAIRS = [
    # ours, theirs -> kinds and amounts, in their order
    ({}, {"amount": 3807, "settle_amount": 3807}, [(Kind.AMOUNT, 7)]),
    ({}, {"amount": 3700, "settle_amount": 3700}, [(Kind.AMOUNT, -100)]),
    ({}, {"settle_amount": 3790}, [(Kind.DISCOUNT, -10)]),
    ({"settle_amount": 3700}, {}, [(Kind.DISCOUNT, 100)]),
    ({}, {"discount_channel": 5}, [(Kind.DISCOUNT, 0)]),
    ({}, {"fee": 24}, [(Kind.FEE, 1)]),
    ({"fee": None}, {"fee": 24}, []),
    ({"misshared": 1}, {}, [(Kind.SPLIT_MISMATCH, 1)]),
    ({"misshared": 0}, {"fee": 24}, [(Kind.FEE, 1), (Kind.SPLIT_MISMATCH, 0)]),
    ({"misshared": 5}, {"currency": "usd"}, [(Kind.CURRENCY, 0)]),
    ({}, {"amount": 3807, "fee": 22}, [(Kind.AMOUNT, 7), (Kind.DISCOUNT, -7), (Kind.FEE, -1)]),
    ({}, {"currency": "usd"}, [(Kind.CURRENCY, 0)]),
    ({"state": PROCESSING}, {}, [(Kind.STATUS, 3800)]),
    ({"state": FAILED}, {}, [(Kind.LATE_SUCCESS, 3800)]),
    ({"state": REVERSED}, {}, [(Kind.LATE_SUCCESS, 3800)]),
    ({"nature": Nature.LATE}, {}, [(Kind.LATE_SUCCESS, 0)]),
    ({"nature": Nature.LATE}, {"fee": 24}, [(Kind.LATE_SUCCESS, 0), (Kind.FEE, 1)]),
]  # fmt: skip


@pytest.mark.parametrize(("mine", "bill", "expected"), PAIRS)
def test_a_pair_is_looked_at_in_order(mine, bill, expected):
    """Each way to differ is a difference of its own; their amounts explain the whole."""
    found, counts = compare([ours(**mine)], [theirs(**bill)])

    assert (expected, not expected) == (kinds(found), bool(counts.matched))


REFUND_PAIRS = [
    ({}, {}, []),
    ({}, {"state": PROCESSING}, []),
    ({}, {"state": FAILED}, [(Kind.STATUS, 3800)]),
    ({"state": PROCESSING}, {}, [(Kind.STATUS, -3800)]),
    ({"state": FAILED}, {}, [(Kind.STATUS, -3800)]),
    ({"state": FAILED}, {"state": FAILED}, []),
    ({}, {"amount": 3900, "settle_amount": 3900}, [(Kind.AMOUNT, -100)]),
    ({}, {"settle_amount": 3790}, [(Kind.DISCOUNT, 10)]),
    ({}, {"currency": "usd"}, [(Kind.CURRENCY, 0)]),
]


@pytest.mark.parametrize(("mine", "bill", "expected"), REFUND_PAIRS)
def test_a_refund_takes_back(mine, bill, expected):
    """Its amounts count the other way round; what the channel still carries out has left us."""
    found, counts = compare([our_refund(**mine)], [their_refund(**bill)], refunds=True)

    assert (expected, not expected) == (kinds(found), bool(counts.matched))


def test_a_line_of_ours_alone():
    """Nowhere in any bill that could have it: ask the channel."""
    [found], _ = compare([ours()], [])

    assert (Kind.OURS_ONLY, -3800, Act.ASK_CHANNEL) == (
        found.kind,
        found.amount,
        found.proposal.act,
    )
    assert (Owner.OPERATIONS, "pay_A", None) == (found.owner, found.ours.object, found.theirs)


MIDNIGHT = [
    # asked, learned, days compared -> kind, first and last bill
    (BEGINS - 60_000, BEGINS + 5_000, (), Kind.EXPECTED_LATER, (BEFORE, DAY)),
    (BEGINS - 60_000, BEGINS + 5_000, (BEFORE,), Kind.OURS_ONLY, (BEFORE, DAY)),
    (ENDS - 2_000, ENDS - 1_000, (), Kind.EXPECTED_LATER, (DAY, NEXT)),
    (ENDS - 2_000, ENDS - 1_000, (NEXT,), Kind.OURS_ONLY, (DAY, NEXT)),
    (ENDS - 600_000, ENDS - 300_001, (), Kind.OURS_ONLY, (0, 0)),
    (ENDS - 600_000, ENDS - 300_000, (), Kind.EXPECTED_LATER, (DAY, NEXT)),
]


@pytest.mark.parametrize(("asked", "learned", "done", "kind", "until"), MIDNIGHT)
def test_near_midnight_another_bill_may_have_it(asked, learned, done, kind, until):
    """The channel took it between our asking and our learning; clocks may be 5 minutes apart."""
    [found], _ = compare([ours(began_at=asked, at_ms=learned)], [], days=Days(done))

    assert (kind, until) == (found.kind, found.until)


def test_what_another_bill_had_is_not_missed():
    """A line that was found in the day before is no difference here."""
    found, counts = compare([ours()], [], days=Days([BEFORE], [(PAYMENT, "A")]))

    assert ([], 1, 3800) == (found, counts.elsewhere_lines, counts.elsewhere)


def test_a_line_of_another_day_of_ours_is_noted():
    """The bill has a sale that we count to tomorrow: tomorrow must not miss it."""
    tomorrow = ours(at_ms=ENDS + 5_000)
    found, counts = compare([], [theirs()], [tomorrow])

    assert ([Crossed(PAYMENT, "A")], 1, 3800) == (found, counts.crossed_lines, counts.crossed)


def test_a_charge_of_an_ended_attempt_is_a_late_success():
    """We said no yesterday, the bill says paid: its money is to go back."""
    found, _ = compare([], [theirs()], [ours(state=FAILED)])

    assert [(Kind.LATE_SUCCESS, 3800)] == kinds(found)
    assert (Act.REFUND_LATE_SUCCESS, 0) == (
        found[1].proposal.act,
        sum(minor for _, minor in found[1].proposal.postings),
    )


def test_a_late_success_that_goes_back_resolves_itself():
    """Its refund exists, so nobody has to act; without one somebody has to."""
    [mended], _ = compare([ours(nature=Nature.LATE, remedy="rfd_1")], [theirs()])
    [open_one], _ = compare([ours(nature=Nature.LATE)], [theirs()])

    assert (Standing.RESOLVED, "rfd_1", Owner.NOBODY) == (
        mended.standing,
        mended.resolved_by,
        mended.owner,
    )
    assert (Standing.OPEN, Owner.OPERATIONS) == (open_one.standing, open_one.owner)


def test_a_number_nobody_knows():
    """It is kept in suspense until it is known whose it is; a refund of it is claimed back."""
    [paid], _ = compare([], [theirs("zz")])
    [given], _ = compare([], [their_refund("zz", trade="yy")], refunds=True)

    assert (Kind.UNKNOWN_ORDER, 3800, Act.SUSPENSE) == (paid.kind, paid.amount, paid.proposal.act)
    assert {"channel:wechat-1:receivable#0": 3800, "suspense:wechat-1#0": -3800} == dict(
        paid.proposal.postings
    )
    assert (Kind.UNKNOWN_ORDER, -3800, Act.CLAIM) == (given.kind, given.amount, given.proposal.act)


def test_a_refund_that_we_never_asked_for():
    """The payment is ours, the refund is not: made at the channel's own desk."""
    [found], _ = compare([], [their_refund("~7")], [ours("A")], refunds=True)

    assert (Kind.THEIRS_ONLY, -3800) == (found.kind, found.amount)


def test_a_line_twice():
    """The first agrees; the second is money that belongs to nobody. A refund twice is claimed."""
    found, _ = compare([ours()], [theirs(), theirs(row=9)])
    [again], _ = compare([our_refund()], [their_refund(), their_refund(row=9)], refunds=True)

    assert [(Kind.DUPLICATE, 3800)] == kinds(found)
    assert ((9,), Act.REFUND_DUPLICATE) == (found[0].rows, found[0].proposal.act)
    assert (Kind.DUPLICATE, -3800, Act.CLAIM) == (again.kind, again.amount, again.proposal.act)


def test_a_payment_that_was_undone_in_the_same_bill():
    """Charged and reversed: as we say, and no difference. If we say paid, it is one."""
    bill = [theirs(), reversal()]
    same, _ = compare([], bill, [ours(state=REVERSED)])
    other, _ = compare([ours()], bill)
    partly, _ = compare([], [theirs(), reversal(amount=3000, settle_amount=3000)],
                        [ours(state=REVERSED)])  # fmt: skip

    assert [] == kinds(same)
    assert [(Kind.STATUS, -3800)] == kinds(other)
    assert [(Kind.AMOUNT, 800)] == kinds(partly)


def test_a_reversal_past_midnight():
    """The payment stands in this bill, what undoes it in the next, or nowhere."""
    undone = ours(state=REVERSED, at_ms=ENDS + 10_000)
    waits, _ = compare([], [theirs()], [undone])
    came, _ = compare([], [theirs()], [undone], Days([NEXT], [(REFUND, "A")]))
    never, _ = compare([], [theirs()], [undone], Days([NEXT]))

    assert [(Kind.EXPECTED_LATER, 3800)] == kinds(waits)
    assert (REFUND, (NEXT, NEXT)) == (waits[1].line, waits[1].until)
    assert [] == kinds(came)
    assert [(Kind.LATE_SUCCESS, 3800)] == kinds(never)


def test_a_reversal_alone():
    """The payment stood in yesterday's bill. If we still say paid, it is a difference."""
    noted, _ = compare([], [reversal()], [ours(state=REVERSED)])
    wrong, _ = compare([], [reversal()], [ours(at_ms=BEGINS - 60_000)])
    both, _ = compare([ours()], [reversal()])

    assert [Crossed(REFUND, "A")] == noted
    assert [(Kind.STATUS, -3800)] == kinds(wrong)
    assert [(Kind.STATUS, -3800), (Kind.OURS_ONLY, -3800)] == kinds(both)


def test_a_refund_under_way_belongs_to_the_day_it_arrives():
    """The channel took it from us today; our day is the one on which it succeeds."""
    found, counts = compare(
        [], [their_refund(state=PROCESSING)], [our_refund(state=PROCESSING)], refunds=True
    )

    assert ([Crossed(REFUND, "R")], -3800) == (found, counts.crossed)


def test_a_refund_under_way_in_other_money_is_told_once():
    """What it takes is the currency's difference, and not a part of another day as well."""
    known = our_refund(state=PROCESSING)
    bill = [their_refund(state=PROCESSING, currency="usd")]

    found, counts = compare([], bill, [known], refunds=True)

    assert ([(Kind.CURRENCY, -3800)], 0) == (kinds(found), counts.crossed)


def test_streams_must_be_sorted():
    """Out of order, nothing can be said; nor of a number with too many lines."""
    with pytest.raises(Unsorted):
        compare([ours("B"), ours("A")], [])
    with pytest.raises(Unsorted):
        compare([ours("A"), ours("A")], [])
    with pytest.raises(Unsorted):
        compare([], [theirs("B"), theirs("A"), theirs("C")])
    with pytest.raises(Unsorted):
        compare([], [theirs()] * (SAME_NUMBER_MAX + 1))


NUMBERS = st.sampled_from("ABCDEF")
AMOUNTS = st.integers(0, 3)


@st.composite
def their_lines(draw, refunds):
    """Any bill: lines of any state and amount, sorted."""
    lines = []
    for number in draw(st.lists(NUMBERS, max_size=8)):
        amount = draw(AMOUNTS)
        kind = REFUND if refunds else draw(st.sampled_from([PAYMENT, PAYMENT, REFUND]))
        state = SUCCEEDED
        if kind is REFUND:
            state = draw(st.sampled_from([SUCCEEDED, PROCESSING, FAILED])) if refunds else REVERSED
        lines.append(
            theirs(
                number,
                kind=kind,
                state=state,
                amount=amount,
                settle_amount=draw(st.integers(0, amount)),
                fee=draw(AMOUNTS),
                currency=draw(st.sampled_from(["cny", "cny", "usd"])),
            )
        )
    lines.sort(key=lambda line: line.number)
    return [replace(line, row=row) for row, line in enumerate(lines, 2)]


@st.composite
def our_lines(draw, refunds, states=(SUCCEEDED,)):
    lines = []
    for number in sorted(draw(st.sets(NUMBERS))):
        amount = draw(AMOUNTS)
        nature = Nature.REFUND if refunds else draw(st.sampled_from([Nature.SALE, Nature.LATE]))
        state = draw(st.sampled_from(states))
        if state is not SUCCEEDED and not refunds:
            nature = Nature.SALE
        lines.append(
            ours(
                number,
                kind=REFUND if refunds else PAYMENT,
                nature=nature,
                state=state,
                amount=amount,
                settle_amount=draw(st.integers(0, amount)),
                fee=draw(st.none() | AMOUNTS),
                at_ms=draw(st.sampled_from([NOON, ENDS - 1, ENDS + 1])),
            )
        )
    return lines


@given(st.booleans().flatmap(lambda refunds: st.tuples(
    st.just(refunds), our_lines(refunds), their_lines(refunds),
    our_lines(refunds, (SUCCEEDED, PROCESSING, FAILED, REVERSED)),
    st.sets(st.tuples(st.sampled_from([PAYMENT, REFUND]), NUMBERS)),
    st.sets(st.sampled_from([BEFORE, NEXT])),
)))  # fmt: skip
def test_every_unit_is_explained(world):
    """Whatever two sides say: what they are apart is the sum of what was found."""
    refunds, mine, bill, known, crossed, done = world
    known = [line for line in known if line.number not in {one.number for one in mine}]

    found, counts = compare(mine, bill, known, Days(done, crossed), refunds)

    differences = [each for each in found if isinstance(each, Difference)]
    told = sum(each.amount for each in differences if each.kind is not Kind.FEE)
    assert told == counts.differences
    for each in differences:
        assert 0 == sum(minor for _, minor in each.proposal.postings)
    assert len({each.key for each in differences}) == len(differences)


@given(their_lines(refunds=False))
def test_a_bill_agrees_with_itself(bill):
    """Rows that say what the bill says are no difference, whatever it says."""
    paid = {line.number: line for line in bill if line.kind is PAYMENT}
    mine = [
        ours(number, amount=line.amount, settle_amount=line.settle_amount, fee=line.fee,
             currency=line.currency)
        for number, line in sorted(paid.items())
    ]  # fmt: skip
    found, counts = compare(mine, [paid[number] for number in sorted(paid)])

    assert ([], len(paid)) == (found, counts.matched)
