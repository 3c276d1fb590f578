"""Fair queueing: whoever floods waits behind itself, and every cap holds."""

from collections import Counter

import hypothesis.strategies as st
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from actors.fair import FairQueue

KEYS = st.sampled_from("abcde")


def drained(queue):
    return list(iter(queue.get, None))


def test_keys_take_turns():
    """A flood of one key does not keep the others waiting."""
    queue = FairQueue(total_max=100, key_max=100)
    for number in range(5):
        assert queue.put("flood", number)
    assert queue.put("small", 0)
    assert queue.put("other", 0)

    order = [key for key, _ in drained(queue)]

    assert order == ["flood", "small", "other", "flood", "flood", "flood", "flood"]


def test_items_of_one_key_keep_their_order():
    queue = FairQueue(total_max=100, key_max=100)
    for number in range(10):
        queue.put("ab"[number % 2], number)

    taken = drained(queue)

    for key in "ab":
        mine = [item for owner, item in taken if owner == key]
        assert mine == sorted(mine)


def test_costs_share_the_turns():
    """Two small items of one key weigh as much as a large one of another."""
    queue = FairQueue(total_max=100, key_max=100, quantum=4)
    for _ in range(4):
        queue.put("small", "s", cost=2)
        queue.put("large", "l", cost=4)

    first = [key for key, _ in drained(queue)][:6]

    assert Counter(first) == {"small": 4, "large": 2}


@pytest.mark.parametrize(("total", "key", "fits"), [(3, 10, 3), (10, 2, 2)])
def test_caps_refuse_and_change_nothing(total, key, fits):
    """The total and the key's own; a refused item was never there."""
    queue = FairQueue(total_max=total, key_max=key)

    assert [queue.put("a", i) for i in range(5)] == [i < fits for i in range(5)]
    assert drained(queue) == [("a", i) for i in range(fits)]


def test_a_key_runs_no_more_than_it_may():
    """The rest of its line waits until something is done; others go on."""
    queue = FairQueue(total_max=100, key_max=100, running_max=2)
    for number in range(4):
        queue.put("a", number)
    queue.put("b", 9)

    assert drained(queue) == [("a", 0), ("b", 9), ("a", 1)]
    queue.done("a")
    assert drained(queue) == [("a", 2)]
    assert queue.get() is None
    assert queue.running("a") == 2
    assert queue.waiting("a") == 1


@given(st.lists(st.tuples(KEYS, st.integers(1, 3)), max_size=200))
def test_nobody_starves(items):
    """Between two takings of a key that waits, any other takes at most two turns' worth."""
    quantum = 3
    queue = FairQueue(total_max=1000, key_max=1000, quantum=quantum)
    left = Counter()
    for key, cost in items:
        queue.put(key, cost, cost=cost)
        left[key] += 1
    since = {key: Counter() for key in left}

    for key, cost in drained(queue):
        left[key] -= 1
        since[key].clear()
        for other in since:
            if other != key and left[other]:
                since[other][key] += cost
                assert since[other][key] <= 2 * quantum

    assert not +left, "everything that was put is taken"


class FairQueueMachine(RuleBasedStateMachine):
    """Any sequence of steps against the simplest model: one list per key."""

    def __init__(self):
        super().__init__()
        self.queue = FairQueue(total_max=12, key_max=4, running_max=2, quantum=2)
        self.lines = {}
        self.running = Counter()
        self.next = 0

    @rule(key=KEYS, cost=st.integers(1, 2))
    def put(self, key, cost):
        line = self.lines.setdefault(key, [])
        room = len(line) < 4 and sum(map(len, self.lines.values())) < 12
        assert self.queue.put(key, self.next, cost=cost) == room
        if room:
            line.append(self.next)
        self.next += 1

    @rule()
    def get(self):
        may = {key for key, line in self.lines.items() if line and self.running[key] < 2}
        found = self.queue.get()
        assert (found is not None) == bool(may)
        if found:
            key, item = found
            assert key in may
            assert self.lines[key].pop(0) == item
            self.running[key] += 1

    @rule(key=KEYS)
    def done(self, key):
        if self.running[key]:
            self.queue.done(key)
            self.running[key] -= 1

    @rule()
    def clear(self):
        left = {key: line for key, line in self.lines.items() if line}
        found = {}
        for key, item in self.queue.clear():
            found.setdefault(key, []).append(item)
        assert found == left
        self.lines.clear()

    @invariant()
    def counts_agree(self):
        assert len(self.queue) == sum(map(len, self.lines.values()))
        busy = {key for key in "abcde" if self.lines.get(key) or self.running[key]}
        assert self.queue.keys == len(busy), "what is over is forgotten"
        for key in "abcde":
            assert self.queue.waiting(key) == len(self.lines.get(key, []))
            assert self.queue.running(key) == self.running[key] <= 2


def test_no_sequence_of_steps_breaks_the_queue():
    """Caps hold, nothing is lost, nothing that may be taken is held back."""
    verdict = run_state_machine_as_test(
        FairQueueMachine,
        settings=hypothesis_settings(
            max_examples=100, stateful_step_count=60, deadline=None, derandomize=True, database=None
        ),
    )

    assert verdict is None, "the machine raises when a law is broken"
