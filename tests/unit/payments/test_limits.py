"""Counters equal what the payments say, and a limit with room for k lets exactly k through."""

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from msgspec.structs import replace

from payments.limits import DATES_MAX, MINUTE_MS, MINUTES_MAX, Counters, DayCounter, MinuteCounter
from payments.payment import UNPAID, Assessment, AttemptState, Status
from payments.testing import NOW_MS, a_payment

TODAY = 20261121


@given(st.integers(1, 500), st.integers(0, 300), st.integers(0, 499))
def test_a_day_with_room_for_k_lets_exactly_k_through(amount, room, rest):
    """A thousand ask at once; the room's worth of them pass, and the limit is never crossed."""
    maximum = room * amount + rest % amount
    day = DayCounter()

    passed = sum(day.reserve(TODAY, amount, maximum) for _ in range(1_000))

    assert room == passed
    assert room * amount == day.on(TODAY) <= maximum


@given(st.integers(0, 1_000))
def test_a_minute_with_room_for_k_lets_exactly_k_through(room):
    """Each terminal has its own minute."""
    minute = MinuteCounter()

    passed = sum(minute.reserve("trm_1", NOW_MS, room) for _ in range(1_000))

    assert room == passed == minute.of("trm_1", NOW_MS)
    assert minute.of("trm_2", NOW_MS) == 0
    assert minute.of("trm_1", NOW_MS + MINUTE_MS) == 0
    assert minute.reserve("trm_1", NOW_MS + MINUTE_MS, 1)


def test_what_is_released_can_be_reserved_again():
    """A payment that failed does not use up the day."""
    day = DayCounter()
    assert day.reserve(TODAY, 600, 1_000)
    assert not day.reserve(TODAY, 600, 1_000)

    day.release(TODAY, 600)

    assert day.on(TODAY) == 0
    assert day.reserve(TODAY, 1_000, 1_000)


def test_a_day_that_is_no_longer_kept_has_nothing_to_release():
    """A payment of last week may end today."""
    day = DayCounter()

    day.release(TODAY, 600)

    assert day.on(TODAY) == 0


@given(st.lists(st.integers(TODAY, TODAY + 20), max_size=60))
def test_only_the_newest_days_and_minutes_are_kept(dates):
    """Counters stay small, however long a merchant sells."""
    day, minute = DayCounter(), MinuteCounter()

    for date in dates:
        day.reserve(date, 100)
        minute.reserve("trm_1", date * MINUTE_MS)

    kept = sorted(set(dates))[-DATES_MAX:]
    assert {date: 100 * dates.count(date) for date in kept} == day.amounts
    newest = sorted(set(dates))[-MINUTES_MAX:]
    assert {date: dates.count(date) for date in newest} == {
        number: counts["trm_1"] for number, counts in minute.minutes.items()
    }


payments = st.builds(
    lambda state, amount, day, minute, terminal, rejected: a_payment(
        AttemptState.FAILED if rejected else state,
        amount=amount,
        business_date=TODAY + day,
        created=NOW_MS + minute * MINUTE_MS,
        terminal=terminal,
        risk=Assessment("reject" if rejected else "pass"),
    ),
    st.sampled_from(AttemptState),
    st.integers(1, 10_000),
    st.integers(0, 6),
    st.integers(0, 4),
    st.sampled_from([None, "trm_1", "trm_2"]),
    st.booleans(),
)


@given(st.lists(payments, max_size=30))
def test_counters_are_what_the_payments_say(many):
    """The day: what is not finally unpaid. The minute: what risk let through."""
    counters = Counters.from_payments(many)

    for date in sorted({p.business_date for p in many if p.risk.decision == "pass"})[-DATES_MAX:]:
        held = [p for p in many if p.business_date == date and p.status not in UNPAID]
        assert sum(p.amount for p in held) == counters.day.on(date)
    tried = [p for p in many if p.terminal == "trm_1" and p.risk.decision == "pass"]
    for at in {p.created for p in tried if p.created // MINUTE_MS in counters.minute.minutes}:
        assert sum(p.created == at for p in tried) == counters.minute.of("trm_1", at)


@given(st.lists(payments, max_size=20), st.integers(0, 20), st.randoms(use_true_random=False))
def test_counting_may_stop_go_on_and_take_another_order(many, at, random):
    """From packed counters and the later payments; from the payments in any order."""
    whole = Counters.from_payments(many)
    packed = Counters.from_payments(many[:at]).pack()

    assert whole == Counters.from_payments(many[at:], packed)
    assert whole == Counters.unpack(whole.pack())
    mixed = random.sample(many, len(many))
    assert whole == Counters.from_payments(mixed)


def test_counters_that_differ_are_not_equal():
    """An amount, a minute, another thing altogether."""
    one, other = Counters(), Counters()
    one.day.reserve(TODAY, 5)
    other.minute.reserve("trm_1", NOW_MS)

    assert one != other
    assert one != Counters()
    assert one != "counters"
    assert "20261121" in repr(one)


class Selling(RuleBasedStateMachine):
    """A merchant sells over days; at every step the counters equal the payments."""

    LIMIT = 3_000

    def __init__(self):
        super().__init__()
        self.counters = Counters()
        self.payments = []
        self.date, self.at_ms = TODAY, NOW_MS

    @rule(amount=st.integers(1, 2_000), terminal=st.sampled_from([None, "trm_1"]))
    def sell(self, amount, terminal):
        before = self.counters.day.on(self.date)
        refused = not DayCounter({self.date: before}).reserve(self.date, amount, self.LIMIT)
        state = AttemptState.FAILED if refused else AttemptState.SENDING
        payment = a_payment(
            state,
            amount=amount,
            business_date=self.date,
            created=self.at_ms,
            terminal=terminal,
            risk=Assessment("reject" if refused else "pass"),
        )
        self.counters.count(payment)
        self.payments.append(payment)

    @precondition(lambda self: self.payments)
    @rule(data=st.data(), state=st.sampled_from(AttemptState))
    def end(self, data, state):
        at = data.draw(st.integers(0, len(self.payments) - 1))
        before = self.payments[at]
        if not before.is_final:
            after = replace(before, status=a_payment(state).status)
            self.counters.changed(before, after)
            self.payments[at] = after

    @rule(days=st.integers(0, 2), minutes=st.integers(0, 3))
    def wait(self, days, minutes):
        self.date += days
        self.at_ms += minutes * MINUTE_MS

    @rule()
    def passivate(self):
        self.counters = Counters.unpack(self.counters.pack())

    @invariant()
    def counters_equal_payments(self):
        assert Counters.from_payments(self.payments) == self.counters

    @invariant()
    def the_limit_holds(self):
        assert all(amount <= self.LIMIT for amount in self.counters.day.amounts.values())


TestSelling = Selling.TestCase
TestSelling.settings = settings(max_examples=40, stateful_step_count=30)


def test_a_payment_that_succeeds_keeps_its_amount():
    """Only an end without money lets go, and it does so once."""
    sold = a_payment(business_date=TODAY, amount=500)
    counters = Counters.from_payments([sold])

    counters.changed(sold, replace(sold, status=Status.SUCCEEDED))
    assert counters.day.on(TODAY) == 500
    reversed_ = replace(sold, status=Status.REVERSED)
    counters.changed(sold, reversed_)
    assert counters.day.on(TODAY) == 0
    counters.day.reserve(TODAY, 700)
    counters.changed(reversed_, replace(reversed_, late_success=True))
    assert counters.day.on(TODAY) == 700
