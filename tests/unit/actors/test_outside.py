"""Money that the channel pays to the merchant itself: beside custody's books, never in them."""

import pytest

from actors.adjusting_messages import Adjust, Adjusted
from actors.live import decode_payment
from actors.messages import ReadBalances
from home_payouts import made
from home_shard import KeptLink
from oracle import judge, rows_of
from payments import chart
from payments.channels.base import Declined
from payments.ids import partition_of
from payments.ledger import unpack_postings
from payments.reconciliation.adjustment import Adjustment
from payments.reconciliation.differences import Act
from payments.reports.movements import movement_of
from payments.splitting.escrow import DAY_MS
from payments.splitting.terms import Part, Terms
from payments.testing import NOW_MS, an_account
from world import ACCOUNTS, World

OUTSIDE, CUSTODY = ACCOUNTS
PARTITION = 17


class Direct(World):
    """The first account pays merchants itself; the second, `has_custody`, pays into custody."""

    has_custody = True

    def accounts(self):
        first = an_account(OUTSIDE, settles_to="merchant")
        other = "custody" if self.has_custody else "merchant"
        return first, an_account(CUSTODY, priority=1, settles_to=other)

    def has(self):
        """{account: minor units} of everything that is not zero."""
        return {name: minor for (name, _), minor in self.core.books.under("").items() if minor}

    def account_of(self, payment):
        row = next(row for row in rows_of(self).payments if row[1] == payment["id"])
        return decode_payment(row[8]).attempt.account


class OnlyDirect(Direct):
    has_custody = False


@pytest.fixture
def world():
    made = Direct().start()
    yield made
    assert [] == judge(made)
    assert [] == made.loop.failures
    made.close()


@pytest.fixture
def direct():
    made = OnlyDirect().start()
    yield made
    assert [] == judge(made)
    made.close()


def names(world, merchant=0):
    owner = world.merchants[merchant].id
    partition = partition_of(owner)
    return {
        chart.channel_outside(OUTSIDE, partition): "channel",
        chart.merchant_outside(owner): "merchant",
        chart.merchant_fees_due(owner): "fees due",
        chart.merchant_pending(owner): "pending",
        chart.fees_income(partition): "income",
        chart.suspense(OUTSIDE, partition): "suspense",
    }


def named(world):
    known = names(world)
    return {known.get(name, name): minor for name, minor in world.has().items()}


def test_nothing_of_it_is_a_claim_on_custody(world):
    """¥100 at a fee of 38: the merchant owes the fee, and nobody here owes the merchant."""
    world.pay(amount=10_000)

    assert {"channel": 10_000, "merchant": -10_000, "fees due": 38, "income": -38} == named(world)


def test_refunds_give_back_the_fee_and_leave_nothing(world):
    paid = world.pay(amount=10_000).body
    world.wait(world.refund(paid["id"], 2_500))
    assert {"channel": 7_500, "merchant": -7_500, "fees due": 29, "income": -29} == named(world)

    world.wait(world.refund(paid["id"]))

    assert {} == named(world)


def test_a_refund_needs_no_balance_here(world):
    """The channel takes it from the merchant; what the merchant has in custody is not touched."""
    direct = world.pay(amount=10_000).body
    custody = world.pay(amount=5_000, channel_hint=CUSTODY).body
    pending = -world.core.books.balance(chart.merchant_pending(world.merchants[0].id), "cny")
    assert (4_981, CUSTODY) == (pending, world.account_of(custody))

    refund = world.wait(world.refund(direct["id"])).body

    assert "succeeded" == refund["status"]
    assert -4_981 == world.core.books.balance(chart.merchant_pending(world.merchants[0].id), "cny")


def test_a_late_success_waits_in_suspense_and_not_in_custody(world):
    """Its two entries: what the channel pays the merchant itself is in question, no receivable."""
    world.pay(amount=10_000, ending="9008")

    assert [] == world.settle()

    known, booked = names(world), {}
    for row in rows_of(world).entries:
        booked[row[3][-1]] = {known[name]: minor for name, minor in unpack_postings(row[7])}
    there = {"channel": 10_000, "suspense": -10_000}
    assert {"L": there, "B": {name: -minor for name, minor in there.items()}} == booked


def test_what_is_to_be_held_or_split_goes_where_the_money_comes_by(world):
    """Another account takes it, whatever the priority."""
    parts = Terms((Part(world.receivers[0].id, 500),))
    held = world.pay(amount=10_000, escrow_at=world.clock.now_ms() + DAY_MS).body
    split = world.pay(amount=10_000, split=parts).body
    plain = world.pay(amount=10_000).body

    accounts = [world.account_of(each) for each in (held, split, plain)]
    assert [CUSTODY, CUSTODY, OUTSIDE] == accounts


class Failing(Direct):
    """The first account pays into custody and takes no order; the second pays merchants itself."""

    def accounts(self):
        return an_account(OUTSIDE), an_account(CUSTODY, priority=1, settles_to="merchant")

    def _lane(self, spec, host, account):
        box = super()._lane(spec, host, account)
        if account == OUTSIDE:
            self.channels[account].pay_now = _takes_nothing
        return box


def _takes_nothing(attempt):
    return Declined("channel_error", "Not today.", "closed", not_sent=True)


def test_what_is_to_be_held_or_split_fails_over_to_no_account_that_pays_it_out():
    """Any other payment does; it is booked by where it was taken at last."""
    world = Failing().start()
    parts = Terms((Part(world.receivers[0].id, 500),))
    held = world.pay(amount=10_000, escrow_at=world.clock.now_ms() + DAY_MS).body
    split = world.pay(amount=10_000, split=parts).body
    assert {} == world.has()

    plain = world.pay(amount=10_000).body

    assert ["failed", "failed", "succeeded"] == [e["status"] for e in (held, split, plain)]
    assert [OUTSIDE, OUTSIDE, CUSTODY] == [world.account_of(e) for e in (held, split, plain)]
    assert -10_000 == world.has()[chart.merchant_outside(world.merchants[0].id)]
    assert [] == judge(world)
    world.close()


REFUSED = {"/escrow": "held", "/splits": "split"}


@pytest.mark.parametrize(("param", "word"), REFUSED.items())
def test_where_nothing_else_takes_it_it_is_refused_before_money_moves(direct, param, word):
    parts = Terms((Part(direct.receivers[0].id, 500),))
    asked = {"/escrow": {"escrow_at": direct.clock.now_ms() + DAY_MS}, "/splits": {"split": parts}}

    refused = direct.pay(amount=10_000, **asked[param])

    assert "invalid_field" == refused.code
    assert param == refused.reply.param
    assert word in refused.reply.detail
    assert {} == direct.has()


def test_a_rule_of_the_merchant_is_refused_in_the_same_words(direct):
    """Silently leaving receivers out would be their loss; an empty list says that it is meant."""
    refused = direct.pay(merchant=1, amount=10_000)
    assert ("invalid_field", "/splits") == (refused.code, refused.reply.param)

    meant = direct.pay(merchant=1, amount=10_000, split=Terms(()))

    assert "succeeded" == meant.body["status"]


def test_after_the_settings_change_a_refund_goes_by_what_was_booked(world):
    """An account that pays into custody from today on: yesterday's sale is still the channel's."""
    paid = world.pay(amount=10_000).body
    world.accounts = lambda: tuple(an_account(name) for name in ACCOUNTS)
    world.restart("shard-0")

    world.wait(world.refund(paid["id"]))

    assert {} == named(world)


def test_papers_show_it_and_no_balance_does(world):
    """A movement of the merchant's, less the fee that it owes; to spend there is nothing."""
    world.pay(amount=10_000)
    owner = world.merchants[0].id

    moved = [movement_of(row, owner) for row in rows_of(world).entries]
    ask = world.wait(world.client.send(ReadBalances(0, chart.merchant_prefix(owner))))
    world.client.log.remove(ask)  # It is about no payment: nothing for the oracle.

    assert [("payment", 9_962, 38)] == [(m.type.value, m.amount, m.fee) for m in moved]
    (has,) = ask.body.values()
    assert {"debt": 38} == {part: minor for part, minor in has.items() if minor}


def test_a_difference_with_its_bill_books_nothing_here(world):
    """What the channel took too much it took from the merchant: no account of ours knows of it."""
    charged = chart.fees_channel(PARTITION)
    owed = chart.receivable(OUTSIDE, PARTITION)
    wish = Adjustment(
        made("rci", NOW_MS, PARTITION, 1), OUTSIDE, Act.ADJUST_FEE, "cny",
        ((charged, 5), (owed, -5)), "key_1", "key_2", NOW_MS,
    )  # fmt: skip

    link = KeptLink("reconciler", "reconciler")
    world.shard.on_messages(link, [Adjust(1, wish)])
    world.advance(1)
    (answer,) = link.take(Adjusted)

    assert "pays merchants itself" in answer.why
    assert {} == world.has()
