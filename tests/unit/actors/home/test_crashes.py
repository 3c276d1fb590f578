"""The process ends at every single commit, before or after it was written: the books are the same.

What was asked is asked again under the same id, as front doors do; what the shard had told the
custody box is lost with the link, and the bank keeps what it knows.
"""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import crash_points
from actors.messages import Answer
from home_custody import AWAY, HOME, MERCHANT, Shop
from home_shard import Died

SHARES = ((HOME.id, 1_000), (AWAY.id, 500))
PARTIES = (MERCHANT.id, HOME.id, AWAY.id)


class Ordeal:
    """One story of a shop's money, told step by step; each step can be taken again."""

    def __init__(self, path=None, is_heard=False):
        self.is_heard = is_heard
        self.shop = shop = Shop(path)
        self.claims = [shop.sell(10_000, shares=SHARES, fee=40), shop.sell(900, date=20260228)]
        self.ids = iter(range(100))
        self.first = None

    def survive(self, step):
        try:
            step()
        except Died:
            if self.is_heard:
                self.shop.custody.overhear()
            self.shop.restart()
            step()

    def run(self):
        shop = self.shop
        wdr, away, frz = (
            shop.shard.mint.new(prefix, shop.shard.clock.now_ms(), partition)
            for prefix, partition in (("wdr", 700), ("wdr", 900), ("frz", 700))
        )
        money = {"amount": 250, "currency": "cny"}
        self.survive(self.credit)
        self.survive(lambda: self.ask("withdrawal.create", money, MERCHANT.id, wdr))
        self.survive(
            lambda: self.ask("freeze.create", money | {"reason": "order"}, MERCHANT.id, frz)
        )
        self.survive(shop.tick)
        self.survive(lambda: self.check(shop.instructions()))
        self.survive(self.settle)
        self.survive(lambda: self.ask("withdrawal.create", money, AWAY.id, away))
        self.survive(lambda: self.ask("freeze.release", {"reason": "gone"}, MERCHANT.id, None, frz))
        self.survive(self.settle)
        self.survive(self.send_back)
        shop.confirm()
        self.survive(lambda: shop.tick(86_400))
        self.survive(lambda: self.check(shop.instructions()))
        self.survive(self.settle)

    def credit(self):
        self.shop.credited = 0
        self.shop.credit(*self.claims, fee=20)

    def ask(self, op, body, party, identifier, target=None):
        answer = self.shop.shard.ask(op, body, party, id=identifier or "", target=target)
        assert isinstance(answer, Answer), answer
        self.shop.custody.pump()

    def check(self, instructions):
        for each in instructions:
            if each.state == "drafted":
                self.ask("settlement_instruction.check", {}, "", None, each.id)

    def settle(self):
        """Time passes: what was lost is asked about, and the bank does what it was told."""
        shop = self.shop
        for _ in range(6):
            shop.tick(300)
            for order in list(shop.custody.orders.values()):
                if order[1] is None:
                    shop.custody.say(order[0].id, "paid")

    def send_back(self):
        """The bank takes back what it paid for the batches."""
        shop = self.shop
        self.first = self.first or next(
            order[0].id for order in shop.custody.orders.values() if order[0].amount > 1_000
        )
        shop.custody.say(self.first, "returned", "AC04")

    def found(self):
        """Everything that must not depend on crashes."""
        shop = self.shop
        shop.assert_sound()
        shop.assert_bank_agrees()
        assert [] == list(shop.coverage().open_transits())
        books = {
            key: minor
            for prefix in ("merchant:", "receiver:", "custody:", "fees:", "channel:")
            for key, minor in shop.books.under(prefix).items()
        }
        records = shop.shard.core.records
        states = sorted(
            (kind, kept.id, kept.value.state if kind == "instruction" else kept.value.status)
            for kind in ("instruction", "withdrawal")
            for kept in records.all_of(kind)
        )
        # Whether the bank had to be asked, is the one thing that a crash may tell.
        told = [(row[3], row[4]) for row in shop.shard.store.events_after(0, 1_000)]
        events = {event for event, kind in told if not kind.endswith(".unknown")}
        assert len(told) == len(set(told))
        numbers = sorted(shop.custody.orders)
        return books, states, events, numbers, [shop.parties.get(each).unpaid for each in PARTIES]


def told(path=None, crash=None):
    ordeal = Ordeal(path)
    try:
        before = ordeal.shop.shard.commits
        if crash is not None:
            ordeal.shop.shard.crash = (before + crash[0], crash[1])
        ordeal.run()
        is_dead = crash is not None and ordeal.shop.shard.crash is None
        return ordeal.found(), ordeal.shop.shard.commits - before, is_dead
    finally:
        ordeal.shop.close()


CALM, COMMITS, _ = told()


def test_the_story_goes_all_the_way():
    """Paid, came back, paid again under another number; the frozen part and both withdrawals."""
    states = [state for _, _, state in CALM[1]]

    assert ["paid"] * 5 + ["returned"] == sorted(states)
    assert COMMITS > 15


@pytest.mark.parametrize("is_written", [False, True])
@pytest.mark.parametrize("commit", range(1, COMMITS + 1))
def test_a_crash_at_any_commit_leaves_the_same_books(commit, is_written):
    found, _, is_dead = told(crash=(commit, is_written))

    assert is_dead
    assert CALM == found


@pytest.mark.parametrize("is_written", [False, True])
@pytest.mark.parametrize("commit", range(3, COMMITS, 12))
def test_so_it_is_on_a_file(tmp_path, commit, is_written):
    found, _, is_dead = told(tmp_path / "shard-0.db", (commit, is_written))

    assert is_dead
    assert CALM == found


def told_and_ended(point, count, is_heard):
    """The story with an end right after a message had left; whether the box had it or not.

    Returns what was found, and how often each point was passed.
    """
    ordeal, passed = Ordeal(is_heard=is_heard), Counter()
    shard = ordeal.shop.shard
    commits = shard._reached

    def reached(name):
        passed[name] += 1
        if (name, passed[name]) == (point, count):
            raise Died
        commits(name)

    shard._reached = shard.core.reach = reached
    try:
        ordeal.run()
        return ordeal.found(), passed
    finally:
        ordeal.shop.close()


SENT = ("after_Instruct_sent", "after_AskBank_sent", "after_Carry_sent", "after_answer")
PASSED = told_and_ended(None, 0, False)[1]
TELLINGS = [(point, n) for point in SENT for n in range(1, PASSED[point] + 1)]


def test_the_story_passes_every_point_of_the_way_home():
    """Whatever a shard says to custody, it says here; the rest are its commits."""
    assert {f"after_{kind}_sent" for kind in crash_points.told()} == set(SENT[:3])
    assert all(PASSED[point] for point in SENT)
    assert PASSED["before_record_commit"] == PASSED["after_record_commit"] == COMMITS


@pytest.mark.parametrize("is_heard", [False, True])
@pytest.mark.parametrize(("point", "count"), TELLINGS)
def test_a_crash_after_anything_was_said_leaves_the_same_books(point, count, is_heard):
    """W12: `sent` is durable, and the order is lost with the process, or is at the bank."""
    found, passed = told_and_ended(point, count, is_heard)

    assert passed[point] >= count
    assert CALM == found


WORDS = ("accepted", "paid", "rejected", "returned", "unknown", "absent")
STEPS = st.one_of(
    st.tuples(st.just("sell"), st.integers(-400, 3_000)),
    st.tuples(st.just("credit"), st.integers(0, 9)),
    st.tuples(st.just("withdraw"), st.integers(1, 3_000)),
    st.tuples(st.just("tick"), st.sampled_from([60, 3_600, 86_400])),
    st.tuples(st.just("say"), st.integers(0, 99)),
    st.tuples(st.just("freeze"), st.integers(1, 500)),
    st.tuples(st.just("advance"), st.integers(1, 500)),
    st.tuples(st.just("check"), st.just(0)),
    st.tuples(st.just("confirm"), st.just(0)),
    st.tuples(st.just("restart"), st.just(0)),
)


@settings(max_examples=25)
@given(st.lists(STEPS, max_size=40))
def test_whatever_happens_nobodys_money_pays_another(steps):
    """Any plan: after each step the check of coverage is silent, and the books balance."""
    shop, waiting = Shop(), []
    try:
        for word, number in steps:
            _take(shop, waiting, word, number)
            shop.assert_sound()
        assert shop.custody.paid_out <= max(0, shop.credited) + 1_000_000
    finally:
        shop.close()


def _take(shop, waiting, word, number):
    body = {"amount": number, "currency": "cny"}
    made = {
        "withdraw": ("withdrawal.create", "wdr", body),
        "freeze": ("freeze.create", "frz", body | {"reason": "order"}),
        "advance": ("advance.create", "adv", body | {"funder": "bank"}),
    }.get(word)
    if made is not None:
        identifier = shop.shard.mint.new(made[1], shop.shard.clock.now_ms(), 700)
        shop.shard.ask(made[0], made[2], MERCHANT.id, id=identifier)
        shop.custody.pump()
    elif word == "sell" and number:
        pending = shop.balance(part="pending")
        if number > 0 or pending >= -number:
            shares = SHARES if number > 2_000 else ()
            waiting.append(shop.sell(number, shares=shares))
    elif word == "credit" and waiting:
        claim = waiting[number % len(waiting)]
        before = shop.credited
        if claim.id in shop.credit(claim).matched:
            waiting.remove(claim)
        else:
            shop.credited = before
    elif word == "tick":
        shop.tick(number)
    elif word == "say" and shop.custody.orders:
        orders = list(shop.custody.orders.values())
        shop.custody.say(orders[number % len(orders)][0].id, WORDS[number % len(WORDS)])
    elif word == "check":
        for each in shop.instructions():
            shop.shard.ask("settlement_instruction.check", {}, "", target=each.id, caller="op_9")
    elif word == "confirm":
        shop.confirm()
    elif word == "restart":
        shop.restart()
        shop.custody.pump()
