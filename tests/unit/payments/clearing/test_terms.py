"""On which day how much of which batch is due: cycles, minimums, holds and young merchants."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from home_world import WORKDAYS, settings
from payments.clearing import terms
from payments.clearing.terms import (
    Keeping,
    PayoutMode,
    Position,
    Rules,
    Standing,
    Terms,
    cycle_of,
    due_on,
    is_overdue,
    is_young,
    payout_on,
    rules_on,
)
from payments.clearing.workdays import DateUnknown, plus_days

RULES = rules_on(msgspec.convert(settings("settlement")["rules"], list[Rules]), 20260301)
OLD = Standing(20240101, 20240101)
FREE = Keeping()
T1 = Terms(cycle_of("T+1"))
MONDAY = 20260302


def payout(day, positions, agreed=T1, available=1 << 40, keeping=FREE, standing=OLD):
    return payout_on(day, positions, available, agreed, standing, RULES, WORKDAYS, keeping).parts


@pytest.mark.parametrize("text", ["T+0", "T+1", "T+30", "D+0", "D+1"])
def test_cycles_are_written_as_people_write_them(text):
    assert text == str(cycle_of(text))


@pytest.mark.parametrize(
    "text", ["", "T", "T+", "+1", "X+1", "T+-1", "T+1.5", "T+١", "T+1000", "t+1"]
)
def test_other_texts_are_no_cycles(text):
    with pytest.raises(ValueError):
        cycle_of(text)


YOUNG = [
    # on board since, trading since -> no settlement on the day itself
    (20251202, 20251202, False),  # 90 days on 2 March
    (20251203, 20251202, True),
    (20240101, 20260131, False),  # 30 days
    (20240101, 20260201, True),
    (20240101, None, True),
]


@pytest.mark.parametrize(("onboarded", "trading", "young"), YOUNG)
def test_young_merchants_are_not_settled_on_the_day(onboarded, trading, young):
    """Less than 90 days on board, or less than 30 of continuous trading: either is enough."""
    standing = Standing(onboarded, trading)

    assert young is is_young(standing, MONDAY, RULES)
    for text in ("T+0", "D+0"):
        due = due_on(MONDAY, Terms(cycle_of(text)), standing, RULES, WORKDAYS)
        assert (20260303 if young else MONDAY) == due


def test_rules_are_dated_and_have_a_source():
    """No rules for a day is never "everything goes"."""
    stricter = replace(RULES, effective_from=20270101, young_days=180)

    assert 90 == rules_on([stricter, RULES], 20261231).young_days
    assert 180 == rules_on([stricter, RULES], 20270101).young_days
    with pytest.raises(LookupError, match=r"settlement\.rules"):
        rules_on([RULES], 20160101)
    with pytest.raises(ValueError, match="source"):
        replace(RULES, source="")
    with pytest.raises(ValueError, match="below zero"):
        replace(RULES, young_days=-1)


def test_what_is_due_is_paid_oldest_first():
    """Friday to Sunday come on Monday, Monday's not yet."""
    positions = [
        Position(f"b{date}", date, 10) for date in (20260302, 20260228, 20260301, 20260227)
    ]

    assert (("b20260227", 10), ("b20260228", 10), ("b20260301", 10)) == payout(MONDAY, positions)


def test_a_batch_below_zero_is_taken_out_of_the_oldest():
    """Refunds that exceeded sales are paid back before anything goes out."""
    positions = [
        Position("a", 20260225, 100),
        Position("b", 20260226, -130),
        Position("c", 20260227, 50),
    ]

    assert (("c", 20),) == payout(MONDAY, positions)


def test_never_more_than_is_available():
    positions = [Position("a", 20260225, 100), Position("b", 20260226, 50)]

    assert (("a", 100), ("b", 20)) == payout(MONDAY, positions, available=120)
    assert () == payout(MONDAY, positions, available=0)


KEEPING = [
    # terms, keeping -> paid before the 30 days are over, and on the last of them
    (T1, FREE, True, True),
    (replace(T1, minimum=101), FREE, False, True),
    (replace(T1, payout_mode=PayoutMode.MANUAL), FREE, False, True),
    (T1, Keeping(is_held=True), False, True),
    (T1, Keeping(in_review=True), False, False),
    (T1, Keeping(is_blocked=True), False, False),
]


@pytest.mark.parametrize(("agreed", "keeping", "before", "last"), KEEPING)
def test_nothing_but_risk_review_holds_money_for_longer_than_30_days(agreed, keeping, before, last):
    """Sold on 2 March: 1 April is the thirtieth day. A blocked account cannot be paid at all."""
    sold = [Position("a", MONDAY, 100)]

    assert before is bool(payout(20260331, sold, agreed, keeping=keeping))
    assert last is bool(payout(20260401, sold, agreed, keeping=keeping))
    assert last is bool(payout(20260501, sold, agreed, keeping=keeping))


def test_the_last_day_is_a_working_day_within_the_limit():
    """Thirty days after 24 January end in Spring Festival: the Saturday before it is the last."""
    assert not is_overdue(20260124, 20260213, terms.Unit.WORKING, RULES, WORKDAYS)
    assert is_overdue(20260124, 20260214, terms.Unit.WORKING, RULES, WORKDAYS)
    assert not is_overdue(20260124, 20260222, terms.Unit.CALENDAR, RULES, WORKDAYS)
    assert is_overdue(20260124, 20260223, terms.Unit.CALENDAR, RULES, WORKDAYS)


def test_a_long_cycle_gives_way_to_the_limit_of_days():
    """T+30 would be six weeks."""
    agreed = Terms(cycle_of("T+30"))

    assert () == payout(20260331, [Position("a", MONDAY, 100)], agreed)
    assert (("a", 100),) == payout(20260401, [Position("a", MONDAY, 100)], agreed)


def test_december_is_paid_before_the_next_years_table_is_there():
    """Only a question that needs the unknown year is refused."""
    assert (("a", 5),) == payout(20261230, [Position("a", 20261229, 5)])
    with pytest.raises(DateUnknown):
        payout(20261230, [Position("a", 20261231, 5)])


@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(-500, 500)), max_size=30),
    st.integers(0, 60),
    st.integers(0, 5_000),
)
def test_laws_of_payouts(batches, day, available):
    """Whole parts of what is due, never more than is owed in all or available."""
    positions = [
        Position(f"b{number}", plus_days(MONDAY, days), minor)
        for number, (days, minor) in enumerate(batches)
    ]
    parts = payout(plus_days(MONDAY, day), positions, available=available)
    owed = {each.batch: each.amount for each in positions}
    total = sum(minor for _, minor in parts)

    assert all(0 < minor <= owed[batch] for batch, minor in parts)
    assert total <= available
    assert total <= max(0, sum(minor for minor in owed.values() if minor > 0))
    due = sum(e.amount for e in positions if e.amount > 0 and due_on_or_before(e, day))
    negative = sum(minor for minor in owed.values() if minor < 0)
    assert total == min(available, max(0, due + negative))


def due_on_or_before(position, day):
    return due_on(position.business_date, T1, OLD, RULES, WORKDAYS) <= plus_days(MONDAY, day)
