"""Whatever is asked, in whatever order: nobody is charged twice and nothing goes back twice."""

import itertools

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from payments.channels.base import Approved, Declined
from payments.channels.simulated.connector import VERBS
from payments.channels.simulated.endings import ENDINGS
from payments.payment import Way

NUMBERS = st.sampled_from(["N1", "N2", "N3"])
AMOUNTS = st.sampled_from([1, 77, 78, 100, 500, 1078, 3800])
ALLOWED = {
    None: {None, "unpaid", "paid", "closed"},
    "unpaid": {"unpaid", "paid", "closed"},
    "paid": {"paid", "reversed"},
    "closed": {"closed", "paid"},  # Money that turns up late.
    "reversed": {"reversed"},
}


class SimulatedChannelMachine(RuleBasedStateMachine):
    """The laws, over fresh books each time. `world_of` makes a world; the test sets it."""

    world_of = None

    def __init__(self):
        super().__init__()
        self.world = self.world_of()
        self.states = {}
        self.approved = {}
        self.given_back = {}

    def run(self, call):
        """The answer of a call that must not wait: there is no latency here."""
        try:
            call.send(None)
        except StopIteration as answer:
            return answer.value
        raise AssertionError("a call without latency waited")

    @rule(
        number=NUMBERS,
        amount=AMOUNTS,
        ending=st.sampled_from(["0000", *(e for e in ENDINGS if e.isdigit())]),
        way=st.sampled_from([Way.BARCODE, Way.BARCODE, Way.QR]),
    )
    def pay(self, number, amount, ending, way):
        order = self.world.order(ending, number=number, amount=amount, way=way, expires_in=60)
        outcome = self.world.channel.pay_now(order)
        self.world.channel.flush()
        if isinstance(outcome, Approved):
            assert self.world.book(number).charges == 1

    @rule(number=NUMBERS)
    def reverse(self, number):
        outcome = self.run(self.world.reverse(number))
        book = self.world.book(number)
        if isinstance(outcome, Approved):
            assert book.state in ("closed", "reversed")
            assert book.charges * book.amount_minor == book.refunded_minor

    @rule(number=NUMBERS)
    def close(self, number):
        outcome = self.run(self.world.undo_code(number))
        if isinstance(outcome, Declined):
            assert self.world.book(number).state == "paid"

    @rule(number=NUMBERS, verb=st.sampled_from(VERBS))
    def act(self, number, verb):
        outcome = self.world.channel.act(number, verb)
        if isinstance(outcome, Approved) and verb in ("pay", "pay_twice"):
            assert self.world.book(number).state == "paid"

    @rule(number=NUMBERS, refund=st.sampled_from(["R1", "R2", "R3"]), amount=AMOUNTS)
    def refund(self, number, refund, amount):
        book = self.world.book(number)
        total = book.amount_minor if book else amount
        asked = self.world.refund(refund, amount, number, total)
        before = self.run(self.world.channel.inquire_refund(asked))
        outcome = self.run(self.world.channel.refund(asked))
        after = self.run(self.world.channel.inquire_refund(asked))
        if isinstance(before, Approved):
            assert after == before, "a refund that was made stays as it is"
        elif isinstance(after, Approved):
            self.given_back[number] = self.given_back.get(number, 0) + amount
        assert not isinstance(outcome, Declined) or after == before

    @rule(number=NUMBERS)
    def inquire(self, number):
        outcome = self.run(self.world.inquire(number))
        book = self.world.book(number)
        if isinstance(outcome, Approved):
            assert book.state == "paid"

    @rule(seconds=st.sampled_from([0, 1, 3, 20, 60, 300]))
    def pass_time(self, seconds):
        self.world.pass_seconds(seconds)

    @rule()
    def restart(self):
        self.world.close()
        self.world.restart()

    @invariant()
    def books_add_up(self):
        for book in self.world.channel.books():
            number = book.out_trade_no
            assert book.charges in (0, 1)
            assert 0 <= book.refunded_minor <= book.amount_minor * book.charges
            assert book.charges == (book.state in ("paid", "reversed"))
            if book.state == "reversed":
                assert book.refunded_minor == book.amount_minor
            else:
                assert book.refunded_minor == self.given_back.get(number, 0)

    @invariant()
    def states_only_move_along_the_diagram(self):
        now = {book.out_trade_no: book.state for book in self.world.channel.books()}
        for number, state in now.items():
            # Several steps may lie between two looks; each is allowed from the one before.
            reachable = ALLOWED[self.states.get(number)]
            reachable = reachable | {s for r in reachable for s in ALLOWED[r]}
            assert state in reachable, (number, self.states.get(number), state)
        assert self.states.keys() <= now.keys(), "no order is ever forgotten"
        self.states = now

    def teardown(self):
        self.world.close()


def test_no_sequence_of_calls_breaks_the_books(make_world, tmp_path_factory):
    """Pay, reverse, close, refund, act, time and restarts in any order."""
    counter = itertools.count()
    folder = tmp_path_factory.mktemp("books")

    class Machine(SimulatedChannelMachine):
        def world_of(self):
            return make_world(folder / str(next(counter)))

    verdict = run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=60, stateful_step_count=40, deadline=None, derandomize=True, database=None
        ),
    )

    assert verdict is None, "the machine raises when a law is broken"
