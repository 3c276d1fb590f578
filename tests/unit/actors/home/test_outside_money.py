"""Days on which a channel pays the merchant itself: cleared at once, and our fee is not lost.

A whole gateway with two channel accounts: one pays the merchant, one pays into custody. Clearing
runs by its clock; the credits are matched as the custody box says it.
"""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actors.home_messages import MatchCredit
from payments import chart
from payments.calendar import DAY_MS
from payments.clearing.batch import Batch, BatchState
from payments.ids import partition_of
from payments.settlement.cover import Credit
from payments.settlement.party import Party
from payments.storage.audit import HomeAudit, audit, audit_all
from payments.testing import NOW_MS, an_account
from world import ACCOUNTS, World

OUTSIDE, INTO_CUSTODY = ACCOUNTS
FEE = {10_000: 38, 5_000: 19, 2_000: 8, 300: 1}


class Direct(World):
    """A world of one merchant's days."""

    def accounts(self):
        first = an_account(OUTSIDE, settles_to="merchant")
        return first, an_account(INTO_CUSTODY, priority=1)

    @property
    def owner(self):
        return self.merchants[0].id

    def sell(self, amount, account=OUTSIDE):
        return self.pay(amount=amount, channel_hint=account).body["id"]

    def give_back(self, payment, amount=None):
        done = self.wait(self.refund(payment, amount))
        assert "succeeded" == done.body["status"]

    def night(self):
        """The business clock goes on by a day, and what is due is done."""
        self.clock.offset_ms += DAY_MS
        self.advance(2)

    def batches(self):
        found = self.core.records.of("batch", self.owner, limit=100)
        assert all(isinstance(each.value, Batch) for each in found)
        return [each.value for each in found][::-1]

    def waiting(self):
        covers = self.core.records.all_of("cover")
        return [each for kept in covers for each in kept.value.waiting]

    def credit(self):
        """Every claim that waits is at the bank, to the fen."""
        for each in self.waiting():
            claim = each.claim
            if claim.channel_account:
                reference = f"R{each.id}"
                credit = Credit(
                    "custody:bank:1", claim.channel_account, reference, claim.receivable, NOW_MS,
                    claim.bill_date,
                )  # fmt: skip
                self.client.send(MatchCredit(0, credit, ((each.id, 0),)))
                self.advance(1)

    def has(self, name):
        return chart.natural(name, self.core.books.balance(name, "cny"))

    def of(self, part):
        return self.has(f"merchant:{self.owner}:{part}")

    def unpaid(self):
        """What payouts would pay of filed batches, in all."""
        parties = self.core.follow.__self__
        party = parties.settled_up(self.owner)
        assert isinstance(party, Party)
        return sum(each.amount for each in party.unpaid)

    def assert_sound(self):
        """What `tillway ledger verify` says of the file."""
        (found,), home = audit_all([self.path / "shard-0.db"], lambda done: None)
        assert [] == found.complaints
        assert found.ok
        assert 0 == home.transits_due


@pytest.fixture
def world(tmp_path):
    made = Direct(tmp_path).start()
    yield made
    made.assert_sound()
    assert [] == made.loop.failures
    made.close()


def test_a_day_that_the_channel_pays_itself_waits_for_nobody(world):
    """Filed and closed at once: nothing is owed to custody, nothing is paid out, a fee is due."""
    world.sell(10_000)
    world.sell(5_000)
    world.night()

    (batch,) = world.batches()
    totals = batch.netted.totals
    assert BatchState.CLOSED is batch.state
    assert (15_000, 57, 14_943, 2) == (totals.gross, totals.fees, totals.net, totals.items)
    assert ((), ((OUTSIDE, 15_000),)) == (batch.netted.claims, batch.netted.outside)
    assert ([], 0) == (world.waiting(), world.unpaid())
    assert (0, 0, 0, 57) == tuple(map(world.of, ("outside", "pending", "available", "fees_due")))
    assert 0 == world.has(chart.channel_outside(OUTSIDE, partition_of(world.owner)))
    world.night()
    assert 1 == len(world.batches())


def test_our_fee_is_taken_off_the_next_sales_that_custody_gets(world):
    """2 000 at a fee of 8 are 1 992; 57 are due from before. The credit covers what is left."""
    world.sell(10_000)
    world.sell(5_000)
    world.night()
    world.sell(2_000, INTO_CUSTODY)
    world.night()

    (waits,) = world.waiting()
    assert (2_000, 8 + 57, ((world.owner, 1_992 - 57),)) == (
        waits.claim.receivable, waits.claim.fee, waits.claim.parts
    )  # fmt: skip
    assert (0, 1_935) == (world.of("fees_due"), world.of("pending"))
    world.sell(300, INTO_CUSTODY)  # Not covered yet: it must not pay for the fee.
    world.credit()

    assert (1_935, 299) == (world.of("available"), world.of("pending"))
    assert 1_935 == world.unpaid()


def test_a_small_day_pays_what_it_can(world):
    """299 of 57 and 38 in two days: a fee never makes a payout smaller than nothing."""
    for _ in range(10):
        world.sell(10_000)
    world.sell(300, INTO_CUSTODY)
    world.night()

    assert (380 - 299, 0) == (world.of("fees_due"), world.of("pending"))
    world.credit()
    assert (0, 0) == (world.of("available"), world.unpaid())
    world.sell(2_000, INTO_CUSTODY)
    world.night()
    world.credit()
    assert (0, 1_992 - 81) == (world.of("fees_due"), world.of("available"))


def test_a_refund_after_the_day_was_cleared_is_in_the_next_batch(world):
    """The channel takes it from the merchant: here a batch below zero closes as well."""
    paid = world.sell(10_000)
    world.night()
    world.give_back(paid)
    assert (-10_000, 0) == (world.of("outside"), world.of("fees_due"))
    world.night()

    first, second = world.batches()
    assert ((OUTSIDE, 10_000),) == first.netted.outside
    assert ((OUTSIDE, -10_000),) == second.netted.outside
    assert (-9_962, BatchState.CLOSED) == (second.netted.totals.net, second.state)
    assert (0, 0, []) == (world.of("outside"), world.of("pending"), world.waiting())


def test_a_fee_that_was_taken_off_comes_back_as_money(world):
    """38 were taken off a day's money; the refund of that sale brings them back to be paid out."""
    paid = world.sell(10_000)
    world.sell(2_000, INTO_CUSTODY)
    world.night()
    world.credit()
    assert (0, 1_992 - 38) == (world.of("fees_due"), world.of("available"))

    world.give_back(paid)
    assert 38 == world.of("pending")
    world.night()

    assert (0, 1_992) == (world.of("pending"), world.of("available"))
    assert (1_992, []) == (world.unpaid(), world.waiting())


def test_a_crash_between_the_days_changes_nothing(world):
    world.sell(10_000)
    world.sell(2_000, INTO_CUSTODY)
    world.restart("shard-0")
    world.night()
    world.restart("shard-0")
    world.credit()

    assert (0, 1_954, 1_954) == (world.of("fees_due"), world.of("available"), world.unpaid())


def test_an_audit_finds_such_money_in_custodys_books(world, monkeypatch):
    """Such a payment that was booked as a claim on custody is our bug, and is told."""
    monkeypatch.setattr(
        "payments.bookings.outside_payment_booked",
        lambda account, merchant, partition, settles, fee: (
            (chart.receivable(account, partition), settles),
            (chart.merchant_pending(merchant), -settles),
        ),
    )
    paid = world.sell(10_000)
    monkeypatch.undo()

    found = audit(world.path / "shard-0.db", HomeAudit())

    assert [f"{paid} is paid past custody and its entries say otherwise"] == found.complaints
    world.give_back(paid)
    world.assert_sound = lambda: None


STEPS = st.one_of(
    st.tuples(st.sampled_from([OUTSIDE, INTO_CUSTODY]), st.sampled_from(sorted(FEE))),
    st.tuples(st.just("back"), st.integers(0, 20)),
    st.just(("night", 0)),
    st.just(("credit", 0)),
)


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(STEPS, min_size=4, max_size=14))
def test_whatever_the_days_bring_everybody_has_what_is_theirs(tmp_path_factory, steps):
    """At last the merchant has its custody sales less all fees, or owes what no sale could pay."""
    world = Direct(tmp_path_factory.mktemp("days")).start()
    sold = {OUTSIDE: [], INTO_CUSTODY: []}
    earned = fees = 0
    for step, number in steps:
        if step in sold:
            sold[step].append((world.sell(number, step), number))
            fees += FEE[number]
            earned += number if step == INTO_CUSTODY else 0
        elif step == "back" and sold[OUTSIDE]:
            paid, amount = sold[OUTSIDE].pop(number % len(sold[OUTSIDE]))
            world.give_back(paid)
            fees -= FEE[amount]
        elif step == "night":
            world.night()
        elif step == "credit":
            world.credit()
    for _ in range(3):  # A fee that a refund brought back may wait for the credit of its day.
        world.night()
        world.credit()

    owed = world.of("fees_due")
    assert earned - fees == world.of("available") - owed, steps
    assert ([], 0, 0) == (world.waiting(), world.of("pending"), world.of("outside")), steps
    assert world.of("available") == world.unpaid(), steps
    assert fees == world.has(chart.fees_income(partition_of(world.owner))), steps
    world.assert_sound()
    world.close()
