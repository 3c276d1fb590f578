"""A circuit opens when a channel fails, pauses, probes with few calls, and closes again."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from payments.circuit import CLOSED, HALF_OPEN, OPEN, Circuit, CircuitLimits

LIMITS = CircuitLimits(
    window_max=10,
    samples_min=4,
    failed_percent=50,
    pause_ms=1_000,
    pause_max_ms=4_000,
    probes=2,
    probe_timeout_ms=500,
)


def call(circuit, ok, now_ms=0):
    """One call with its outcome; whether it was let through."""
    ticket = circuit.admit(now_ms)
    if ticket:
        circuit.report(ticket, ok=ok, now_ms=now_ms)
    return bool(ticket)


def opened():
    circuit = Circuit(LIMITS)
    for _ in range(LIMITS.samples_min):
        call(circuit, ok=False)
    return circuit


OUTCOMES = [
    ("ffff", OPEN),
    ("fff", CLOSED),  # too few to mean anything
    ("ssff", OPEN),
    ("sssf", CLOSED),
    ("ffss", CLOSED),  # a success opens nothing
    ("ffssf", OPEN),
    ("ssssssssss" + "ffff", CLOSED),
    ("ssssssssss" + "fffff", OPEN),  # half of the last ten
    ("ffs" + "ssssssssss" + "ffff", CLOSED),  # what is long ago is forgotten
]


@pytest.mark.parametrize(("outcomes", "expected"), OUTCOMES)
def test_a_share_of_failures_in_the_window_opens_it(outcomes, expected):
    """Enough outcomes, and half of those remembered failed."""
    circuit = Circuit(LIMITS)

    for outcome in outcomes:
        call(circuit, ok=outcome == "s")

    assert expected == circuit.state(0)


def test_open_means_leave_it_alone_until_the_pause_is_over():
    """No call, no room; then exactly the probes."""
    circuit = opened()

    assert circuit.admit(999) == 0
    assert circuit.room(999) == 0
    assert circuit.state(1_000) == HALF_OPEN
    assert circuit.room(1_000) == 2
    assert [bool(circuit.admit(1_000)) for _ in range(5)] == [True, True, False, False, False]
    assert circuit.room(1_000) == 0


def test_probes_that_go_well_close_it():
    """And then there is no limit, and the past is forgotten."""
    circuit = opened()

    assert call(circuit, ok=True, now_ms=1_000)
    assert circuit.state(1_000) == HALF_OPEN
    assert call(circuit, ok=True, now_ms=1_000)
    assert circuit.state(1_000) == CLOSED
    assert circuit.room(1_000) is None
    assert call(circuit, ok=False, now_ms=1_000)
    assert circuit.state(1_000) == CLOSED


def test_a_probe_that_fails_opens_it_for_longer_up_to_a_limit():
    """1 s, 2 s, 4 s and not more; after it has closed, 1 s again."""
    circuit, now_ms = opened(), 0

    for pause_ms in (1_000, 2_000, 4_000, 4_000):
        assert circuit.state(now_ms + pause_ms - 1) == OPEN
        now_ms += pause_ms
        assert call(circuit, ok=False, now_ms=now_ms)
        assert circuit.state(now_ms) == OPEN
    now_ms += 4_000
    for ok in (True, True, False, False, False, False):
        assert call(circuit, ok=ok, now_ms=now_ms)
    assert circuit.state(now_ms + 999) == OPEN
    assert circuit.state(now_ms + 1_000) == HALF_OPEN


def test_a_probe_that_says_nothing_counts_as_failed():
    """Else a lost probe would keep its place for ever."""
    circuit = opened()
    assert circuit.admit(1_000)

    assert circuit.state(1_499) == HALF_OPEN
    assert circuit.state(1_500) == OPEN
    assert circuit.state(3_499) == OPEN
    assert circuit.state(3_500) == HALF_OPEN


def test_an_answer_from_before_says_nothing_about_now():
    """A call that began before the circuit opened does not close or open it later."""
    circuit = Circuit(LIMITS)
    early = circuit.admit(0)
    for _ in range(LIMITS.samples_min):
        call(circuit, ok=False)
    assert circuit.state(1_000) == HALF_OPEN

    circuit.report(early, ok=False, now_ms=1_000)
    assert circuit.state(1_000) == HALF_OPEN
    circuit.report(early, ok=True, now_ms=1_000)
    circuit.report(early, ok=True, now_ms=1_000)
    assert circuit.state(1_000) == HALF_OPEN


@pytest.mark.parametrize(
    "wrong",
    [
        {"window_max": 5, "samples_min": 6},
        {"samples_min": 0},
        {"failed_percent": 0},
        {"failed_percent": 101},
        {"probes": 0},
        {"pause_ms": 0},
        {"pause_ms": 10, "pause_max_ms": 9},
    ],
)
def test_limits_that_contradict_each_other_are_refused(wrong):
    """A circuit that could never open, or never close, is not built."""
    with pytest.raises(ValueError, match="circuit limits"):
        CircuitLimits(**wrong)


@given(st.lists(st.booleans(), max_size=200))
def test_while_it_is_closed_the_window_is_counted_right(outcomes):
    """It opens at the first failure that makes half of the last ten outcomes failures."""
    circuit, seen = Circuit(LIMITS), []

    for ok in outcomes:
        call(circuit, ok=ok)
        seen.append(ok)
        window = seen[-LIMITS.window_max :]
        opens = not ok and len(seen) >= LIMITS.samples_min
        if opens and window.count(False) * 2 >= len(window):
            assert circuit.state(0) == OPEN
            return
        assert circuit.state(0) == CLOSED


class Calling(RuleBasedStateMachine):
    """Calls in any order, answered in any order or never, while time passes."""

    @initialize()
    def begin(self):
        self.circuit, self.now_ms = Circuit(LIMITS), 0
        self.tickets, self.state = [], CLOSED

    @rule()
    def ask(self):
        room = self.circuit.room(self.now_ms)
        ticket = self.circuit.admit(self.now_ms)
        assert bool(ticket) == (room != 0)
        if ticket:
            self.tickets.append(ticket)

    @rule(data=st.data(), ok=st.booleans())
    def answer(self, data, ok):
        if self.tickets:
            at = data.draw(st.integers(0, len(self.tickets) - 1))
            self.circuit.report(self.tickets.pop(at), ok=ok, now_ms=self.now_ms)

    @rule(milliseconds=st.sampled_from([1, 400, 1_000, 5_000]))
    def wait(self, milliseconds):
        self.now_ms += milliseconds

    @rule()
    def recover(self):
        """Liveness: whatever happened, a channel that is well again gets its calls back."""
        for _ in range(40):
            self.now_ms += LIMITS.pause_max_ms
            for _ in range(LIMITS.probes):
                call(self.circuit, ok=True, now_ms=self.now_ms)
        assert self.circuit.state(self.now_ms) == CLOSED
        self.state = CLOSED

    @invariant()
    def closed_opens_before_it_probes(self):
        before, self.state = self.state, self.circuit.state(self.now_ms)
        assert (before, self.state) != (CLOSED, HALF_OPEN)

    @invariant()
    def the_state_says_how_many_calls_there_is_room_for(self):
        room = self.circuit.room(self.now_ms)
        if self.state == HALF_OPEN:
            assert 0 <= room <= LIMITS.probes
        else:
            assert room == {CLOSED: None, OPEN: 0}[self.state]


TestCalling = Calling.TestCase
TestCalling.settings = settings(max_examples=40, stateful_step_count=30)
