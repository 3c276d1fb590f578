"""A merchant, payers, an unreliable network of boxes and an oracle, as rules for hypothesis.

Every rule is something that may happen; after each the oracle is asked, and at the end faults stop
and everything must come to its right end.
"""

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec.structs import replace

from actors.messages import MakeRefund, Pay
from client import Ack
from oracle import judge, settled
from payments.channels.base import Notice
from world import World

ENDINGS = (
    "0000", "9001", "9002", "9003", "9004", "9005", "9006",
    "9007", "9008", "9009", "9010", "9011", "9012",
)  # fmt: skip
POINTS = (
    "before_intent_commit",
    "after_intent_commit",
    "after_pay_sent",
    "before_outcome_commit",
    "after_outcome_commit",
    "after_answer",
    "after_reverse_sent",
    "before_refund_intent_commit",
    "after_refund_intent_commit",
    "before_refund_outcome_commit",
    "books_before_pay_answer",
    "books_before_inquire_answer",
    "books_before_reverse_answer",
    "books_before_refund_answer",
)
LANES = ("lane-sim-a", "lane-sim-b")


class Shop(RuleBasedStateMachine):
    """The rules. `self.asked`: every payment and refund that was asked for, oldest first."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.asked: list[Ack] = []
        self.signals = 0

    @initialize(day_max=st.sampled_from([None, 30_000]))
    def open(self, day_max: int | None) -> None:
        self.world.day_max = day_max
        self.world.start()

    # --- what merchants do ------------------------------------------------------------------

    @rule(
        ending=st.sampled_from(ENDINGS),
        amount=st.sampled_from([1, 500, 3_800, 9_999]),
        merchant=st.integers(0, 1),
        waits=st.booleans(),
        split=st.none() | st.integers(0, 2),
    )
    def pay(self, ending: str, amount: int, merchant: int, waits: bool, split: int | None) -> None:
        terms = None if split is None else self.world.terms(split, merchant)
        ack = self.world.post(ending=ending, amount=amount, merchant=merchant, split=terms)
        self.asked.append(ack)
        if waits:
            self.world.wait(ack, 6)

    @rule(verb=st.sampled_from(["pay", "decline", "pay_late", "pay_twice", "leave"]))
    def show_a_code(self, verb: str) -> None:
        ack = self.world.pay(way="qr", expires_in=20, wait_ms=1_000)
        self.asked.append(ack)
        if verb != "leave" and ack.code == "":
            self.world.act(ack.body["id"], verb)

    @rule(pick=st.integers(0, 1_000))
    @precondition(lambda self: self.asked)
    def repeat(self, pick: int) -> None:
        """The same key and body, after an answer or without one."""
        self.asked.append(self.world.again(self.asked[pick % len(self.asked)]))

    @rule(pick=st.integers(0, 1_000))
    @precondition(lambda self: self.asked)
    def repeat_changed(self, pick: int) -> None:
        """The same key with another body: never a second object."""
        was = self.asked[pick % len(self.asked)]
        changed = replace(was.command, fingerprint=bytes(16), nonce=self.world.unique())
        changed.id = self.world.new_id(changed)
        if isinstance(changed, Pay):
            changed.order_no = f"other-{self.world.unique()}"
        ack = self.world.wait(self.world.client.send(changed, was.key), 6)
        assert was.code or ack.code in ("idempotency_mismatch", "lost"), (was, ack)

    @rule(pick=st.integers(0, 1_000), restarts=st.booleans())
    @precondition(lambda self: self.asked)
    def replay_the_signature(self, pick: int, restarts: bool) -> None:
        """Somebody sends what it overheard once more, under another key."""
        was = self.asked[pick % len(self.asked)].command
        heard = replace(was, key_digest=bytes(8) + was.key_digest[:8])
        heard.id = self.world.new_id(heard)
        if isinstance(heard, Pay):
            heard.order_no, heard.auth_digest = f"replayed-{self.world.unique()}", None
        if restarts:
            self.world.restart("shard-0")
        self.world.wait(self.world.client.send(heard, f"heard-{self.world.unique()}"), 6)

    @rule(pick=st.integers(0, 1_000))
    @precondition(lambda self: self.asked)
    def pay_the_order_again(self, pick: int) -> None:
        """The same order under another key: only if it is not open and not paid."""
        was = self.asked[pick % len(self.asked)].command
        if isinstance(was, Pay):
            merchant = [m.id for m in self.world.merchants].index(was.merchant)
            self.asked.append(self.world.post(order=was.order_no, merchant=merchant))

    @rule(
        pick=st.integers(0, 1_000),
        amounts=st.lists(st.sampled_from([None, 1, 100, 377, 478, 1_900]), min_size=1, max_size=3),
    )
    @precondition(lambda self: self.asked)
    def refund(self, pick: int, amounts: list[int | None]) -> None:
        """Several refunds of one payment, at once; of one that was paid, if there is one."""
        paid = [a for a in self.asked if a.code == "" and a.body["status"] == "succeeded"]
        paid = [a for a in paid if isinstance(a.command, Pay)] or self.asked
        was = paid[pick % len(paid)]
        if isinstance(was.command, Pay):
            merchant = [m.id for m in self.world.merchants].index(was.command.merchant)
            for amount in amounts:
                ack = self.world.refund(was.command.id, amount, merchant=merchant)
                self.asked.append(ack)
            self.world.advance(0.1)

    @rule(pick=st.integers(0, 1_000), waits=st.booleans())
    @precondition(lambda self: self.asked)
    def cancel(self, pick: int, waits: bool) -> None:
        """Of one of the newest, which may still be under way."""
        was = self.asked[-1 - pick % min(3, len(self.asked))].command
        if isinstance(was, Pay):
            merchant = [m.id for m in self.world.merchants].index(was.merchant)
            ack = self.world.cancel(was.id, merchant=merchant)
            if waits:
                self.world.wait(ack, 6)

    @rule(ending=st.sampled_from(ENDINGS))
    def change_of_mind(self, ending: str) -> None:
        """Paid and canceled in one breath."""
        ack = self.world.post(ending=ending)
        self.asked.append(ack)
        self.world.advance(0.05)
        self.world.cancel(ack.command.id)

    @rule(pick=st.integers(0, 1_000), verb=st.sampled_from(["read", "refund", "cancel"]))
    @precondition(lambda self: self.asked)
    def pry(self, pick: int, verb: str) -> None:
        """Another merchant asks about, refunds or cancels what is not its own."""
        was = self.asked[pick % len(self.asked)].command
        other = 1 - [m.id for m in self.world.merchants].index(was.merchant)
        identifier = was.payment if isinstance(was, MakeRefund) else was.id
        ack: Ack = getattr(self.world, verb)(identifier, merchant=other)
        self.world.wait(ack, 6)
        assert ack.code in ("not_found", "lost"), ack

    # --- what else happens ------------------------------------------------------------------

    @rule(pick=st.integers(0, 1_000), account=st.sampled_from(["sim-a", "sim-b"]))
    def the_channel_repeats_itself(self, pick: int, account: str) -> None:
        """A callback comes again, late, or out of order: what was true once."""
        world = self.world
        if f"lane-{account}" not in world.boxes:
            return
        orders = [book for book in world.taken()[account].values() if book.charges]
        if orders:
            number = orders[pick % len(orders)].out_trade_no

            async def tell() -> None:
                channel = world.channels[account]
                order = channel._books.get(number)
                assert order is not None
                world.lanes[account]._notices.tell(Notice(number, channel._paid(order)))

            world.loop.run_until_complete(tell())
            world.advance(0.1)

    @rule(seconds=st.sampled_from([0.05, 1.0, 3.0, 15.0, 47.0]))
    def let_time_pass(self, seconds: float) -> None:
        self.world.advance(seconds)

    @rule(names=st.sampled_from([("shard-0",), LANES[:1], LANES, ("shard-0", *LANES)]))
    def die_and_rise(self, names: tuple[str, ...]) -> None:
        self.world.restart(*names)

    @rule(name=st.sampled_from(LANES))
    def lose_a_lane(self, name: str) -> None:
        self.world.kill(name)

    @rule()
    def everything_is_up_again(self) -> None:
        self.world.start()

    @rule(point=st.sampled_from(POINTS), ending=st.sampled_from(ENDINGS))
    def die_at(self, point: str, ending: str) -> None:
        """Something is under way, and everything dies at a point of it."""
        world = self.world

        def reach(reached: str) -> None:
            if reached == point:
                world.reach = None
                world.die_here()

        world.reach = reach
        ack = world.post(ending=ending)
        self.asked.append(ack)
        world.advance(1)
        world.reach = None
        world.start()

    @rule()
    def a_second_owner_appears(self) -> None:
        """The old owner was only paused: it must not write any more."""
        self.world.usurp()

    @invariant()
    def all_is_true(self) -> None:
        complaints = judge(self.world)
        assert not complaints, complaints

    def teardown(self) -> None:
        try:
            complaints = settled(self.world)
            assert not complaints, complaints
        finally:
            self.world.close()
