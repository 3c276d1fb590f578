"""Receivers are paid at clearing where that was agreed: by the rules that hold for merchants."""

import pytest
from msgspec.structs import replace

from actors.messages import Changes
from home_custody import AWAY, DAY_MS, HOME, OPTIONS, RECORDS, Shop
from payments.clearing.terms import PayoutMode
from payments.reference import Receiver, ReceiverPayout, ReceiverStatus, SettlementAccount
from payments.settlement.instruction import State
from payments.settlement.withdrawal import Status

SHARES = ((HOME.id, 1_500), (AWAY.id, 500))


@pytest.fixture
def start():
    """start(**options): receivers are paid by themselves, up to 2 000 without a second person."""
    made = []

    def begin(records=RECORDS, **options):
        options = {"pays_receivers": True} | options
        made.append(Shop(options=replace(OPTIONS, **options), records=records))
        return made[-1]

    yield begin
    for shop in made:
        shop.assert_sound()
        shop.close()


def withdrawals(shop, party):
    """Oldest first."""
    return [kept.value for kept in shop.shard.core.records.of("withdrawal", party)][::-1]


def tell(shop, *records):
    """The directory has changed."""
    shop.shard.core.reference.take(Changes(2, records, True))


def without_account(party):
    return tuple(
        each
        for each in RECORDS
        if not (isinstance(each, SettlementAccount) and each.account.party == party)
    )


def test_what_becomes_a_receivers_is_paid_at_the_hour_for_payouts(start):
    """At home and away from home; once; and what is left in custody is the merchant's."""
    shop = start()
    shop.earn(10_000, shares=SHARES)
    shop.tick()

    for party, amount in SHARES:
        (one,) = withdrawals(shop, party)
        assert (amount, 0, "system") == (one.amount, one.fee, one.requested_by)
        (paying,) = shop.instructions(party)
        assert (State.SENT, "policy") == (paying.state, paying.checker)
        shop.custody.say(paying.id, "paid")
        assert Status.PAID is withdrawals(shop, party)[0].status
        assert (0, 0) == (shop.balance(party), shop.balance(party, "in_transit"))
    assert 2_000 == shop.custody.paid_out
    shop.assert_bank_agrees()
    shop.tick(DAY_MS // 1000)
    assert [1, 1] == [len(withdrawals(shop, party)) for party, _ in SHARES]


def test_above_the_policy_a_second_person_checks(start):
    shop = start()
    shop.earn(10_000, shares=((HOME.id, 2_001),))
    shop.tick()
    (drafted,) = shop.instructions(HOME.id)
    assert State.DRAFTED is drafted.state

    def check(caller):
        return shop.shard.ask(
            "settlement_instruction.check", {}, HOME.id, target=drafted.id, caller=caller
        )

    assert "conflict" == check("system").code
    check("key_two")

    assert State.SENT is shop.instructions(HOME.id)[0].state


def test_less_than_the_minimum_waits_until_it_is_enough(start):
    shop = start(receivers_minimum=2_000)
    shop.earn(10_000, shares=((HOME.id, 1_500),))
    shop.tick()
    assert [] == withdrawals(shop, HOME.id)

    shop.earn(10_000, shares=((HOME.id, 500),))
    shop.tick()

    assert [2_000] == [each.amount for each in withdrawals(shop, HOME.id)]


def test_only_to_an_account_that_two_people_confirmed(start):
    """Without one it waits from day to day, and nobody but the receiver has the money."""
    shop = start(records=without_account(HOME.id))
    shop.earn(10_000, shares=((HOME.id, 1_500),))
    shop.tick()
    assert ([], 1_500) == (withdrawals(shop, HOME.id), shop.balance(HOME.id))

    tell(shop, *RECORDS)
    shop.tick(DAY_MS // 1000)

    assert [1_500] == [each.amount for each in withdrawals(shop, HOME.id)]


def test_after_one_came_back_the_account_is_confirmed_anew(start):
    shop = start()
    shop.earn(10_000, shares=((HOME.id, 1_500),))
    shop.tick()
    (paying,) = shop.instructions(HOME.id)
    shop.custody.say(paying.id, "paid")
    shop.custody.say(paying.id, "returned")
    shop.tick(DAY_MS // 1000)
    assert (1, 1_500) == (len(withdrawals(shop, HOME.id)), shop.balance(HOME.id))

    shop.confirm(HOME.id)
    shop.tick(DAY_MS // 1000)

    assert [1_500, 1_500] == [each.amount for each in withdrawals(shop, HOME.id)]


def test_a_disabled_receiver_is_not_paid(start):
    shop = start()
    shop.earn(10_000, shares=((HOME.id, 1_500),))
    tell(
        shop,
        *(
            replace(each, status=ReceiverStatus.DISABLED)
            if isinstance(each, Receiver) and each.id == HOME.id
            else each
            for each in RECORDS
        ),
    )

    shop.tick()

    assert [] == withdrawals(shop, HOME.id)


def test_a_crash_pays_nobody_twice(start):
    """What was drafted is found again; what was only due is due again."""
    shop = start()
    shop.earn(10_000, shares=SHARES)
    shop.restart()
    shop.tick()
    shop.restart()
    shop.tick()

    assert [[1_500], [500]] == [[w.amount for w in withdrawals(shop, p)] for p, _ in SHARES]


def test_where_nothing_was_agreed_receivers_ask_for_it():
    plain = Shop(options=OPTIONS)
    plain.earn(10_000, shares=SHARES)
    plain.tick()

    assert [[], []] == [withdrawals(plain, party) for party, _ in SHARES]
    plain.close()


def with_terms(*terms):
    """The shop's records, with receivers' own terms: (receiver, mode, minimum)."""
    of = {party: ReceiverPayout(mode, minimum) for party, mode, minimum in terms}
    return tuple(
        replace(each, payout=of[each.id]) if isinstance(each, Receiver) and each.id in of else each
        for each in RECORDS
    )


def test_a_receivers_own_terms_go_before_the_deployments(start):
    """One is paid although others are not; its minimum is its own; another waits to be asked."""
    own = with_terms((HOME.id, PayoutMode.AUTO, 2_000))
    shop = start(own, pays_receivers=False, receivers_minimum=1)
    shop.earn(10_000, shares=SHARES)
    shop.tick()
    assert [[], []] == [withdrawals(shop, party) for party, _ in SHARES]

    shop.earn(10_000, shares=((HOME.id, 500),))
    shop.tick(DAY_MS // 1000)

    assert [2_000] == [each.amount for each in withdrawals(shop, HOME.id)]
    assert [] == withdrawals(shop, AWAY.id)


def test_a_receiver_that_is_paid_when_asked_is_not_paid_by_itself(start):
    """Where all others are; and when that was agreed anew, what it has goes out."""
    shop = start(with_terms((HOME.id, PayoutMode.MANUAL, None)))
    shop.earn(10_000, shares=SHARES)
    shop.tick(2 * DAY_MS // 1000)
    assert [0, 1] == [len(withdrawals(shop, party)) for party, _ in SHARES]

    tell(shop, *with_terms((HOME.id, PayoutMode.AUTO, 0)))
    shop.earn(10_000, shares=((HOME.id, 1),))
    shop.tick(DAY_MS // 1000)
    assert [1_501] == [each.amount for each in withdrawals(shop, HOME.id)]


def test_terms_that_change_before_the_look_count(start):
    """Money came while it was paid by itself; by the hour for payouts that is over."""
    shop = start()
    shop.shard.clock.offset_ms += 10 * 3_600_000  # After the hours for payouts.
    shop.earn(10_000, shares=SHARES)
    tell(shop, *with_terms((HOME.id, PayoutMode.MANUAL, None)))
    shop.tick(14 * 3_600)

    assert [0, 1] == [len(withdrawals(shop, party)) for party, _ in SHARES]
    tell(shop, *RECORDS)
    shop.tick(DAY_MS // 1000)
    assert [1_500] == [each.amount for each in withdrawals(shop, HOME.id)]
