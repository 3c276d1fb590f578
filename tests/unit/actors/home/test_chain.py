"""The whole way in one shard: cover, draft, check, send, paid; and when it comes back."""

import pytest
from msgspec.structs import replace

from actors.home_messages import BankSaid, ClaimRows, ReadClaims
from home_custody import AWAY, DAY_MS, HOME, MERCHANT, MONDAY_MS, OPTIONS, RECORDS, Shop
from payments.clearing.terms import PayoutMode
from payments.reference import Hold, MerchantStatus, PayoutTerms
from payments.settlement.instruction import State
from payments.settlement.withdrawal import Status
from payments.storage.audit import audit


def test_money_goes_from_the_till_to_the_bank(filed_shop):
    """Cleared, covered, drafted at its hour, checked by another, sent, and paid."""
    shop = filed_shop
    claim = shop.sell(10_000, shares=((HOME.id, 1_000), (AWAY.id, 500)), fee=40)
    assert (8_460, 0) == (shop.balance(part="pending"), shop.balance())

    answer = shop.credit(claim, fee=20)

    assert ((claim.id,), ()) == (answer.matched, answer.left)
    assert (0, 8_460) == (shop.balance(part="pending"), shop.balance())
    assert (1_000, 500) == (shop.balance(HOME.id), shop.balance(AWAY.id))
    shop.tick()
    (drafted,) = shop.instructions()
    assert (State.DRAFTED, 8_460, "system") == (drafted.state, drafted.amount, drafted.maker)
    assert [] == shop.custody.instructed

    sent = shop.shard.made("settlement_instruction.check", {}, target=drafted.id, caller="key_two")

    assert ("sent", "key_two", 8_460) == (sent["status"], sent["checker"], sent["amount"])
    shop.custody.pump()
    (instruct,) = shop.custody.instructed
    assert (drafted.number, 8_460, False) == (
        instruct.number, instruct.amount, instruct.is_repeat
    )  # fmt: skip
    assert (0, 8_460) == (shop.balance(), shop.balance(part="in_transit"))
    shop.custody.say(drafted.id, "accepted")
    shop.custody.say(drafted.id, "paid")

    assert 0 == shop.balance(part="in_transit")
    assert State.PAID is shop.instructions()[0].state
    shop.assert_sound()
    shop.assert_bank_agrees()
    assert () == shop.parties.get(MERCHANT.id).unpaid
    shop.shard.store.close()
    audited = audit(shop.shard.path)
    # The kit books its payments without their rows: only that may be said against the books.
    assert all("members do not add up" in each for each in audited.complaints)
    assert (0, 0, True, True) == (
        audited.doubled, audited.unbooked, audited.chain_ok, audited.balances_ok
    )  # fmt: skip


def test_small_payouts_need_no_second_person(shop):
    shop.earn(2_000)
    shop.tick()

    assert (State.SENT, "policy") == (shop.instructions()[0].state, shop.instructions()[0].checker)


def test_the_maker_is_no_checker_and_a_role_is_needed(shop):
    shop.earn(9_000)
    shop.tick()
    (drafted,) = shop.instructions()

    def check(**who):
        return shop.shard.ask("settlement_instruction.check", {}, target=drafted.id, **who).code

    assert "insufficient_scope" == check(roles=("maker",))
    assert "not_found" == check(merchant="mch_other", party="mch_other")
    assert "conflict" == check(caller="system")
    assert State.DRAFTED is shop.instructions()[0].state


def test_what_is_turned_down_is_drafted_anew(shop):
    shop.earn(9_000)
    shop.tick()
    (first,) = shop.instructions()
    shop.shard.made("settlement_instruction.turn_down", {"reason": "wrong day"}, target=first.id)
    assert (State.REJECTED, 9_000) == (shop.instructions()[0].state, shop.balance())

    shop.tick(1)

    second = shop.instructions()[0]
    assert (State.DRAFTED, 9_000) == (second.state, second.amount)
    assert second.number != first.number


def test_a_payout_that_came_back_waits_for_its_account_and_goes_under_a_new_number(shop):
    """Returned: the party is blocked; confirmed: paid, once, by another instruction."""
    shop.earn(2_000)
    shop.tick()
    (first,) = shop.instructions()
    shop.custody.say(first.id, "paid")
    shop.custody.say(first.id, "returned", "AC04")

    assert 2_000 == shop.balance()
    assert shop.parties.get(MERCHANT.id).blocked_at is not None
    shop.tick(3 * 86_400)
    assert 1 == len(shop.instructions())
    refused = shop.shard.ask(
        "withdrawal.create", {"amount": 5, "currency": "cny"}, MERCHANT.id,
        id=shop.shard.mint.new("wdr", MONDAY_MS, 700),
    )  # fmt: skip
    assert "conflict" == refused.code

    shop.confirm()
    shop.tick(86_400)

    second = shop.instructions()[0]
    assert (State.SENT, 2_000) == (second.state, second.amount)
    assert second.number != first.number
    shop.custody.say(second.id, "paid")
    assert 0 == shop.balance()
    shop.assert_sound()
    shop.assert_bank_agrees()


def test_answers_that_repeat_or_come_late_change_nothing(shop):
    shop.earn(2_000)
    shop.tick()
    (sent,) = shop.instructions()
    for word in ("paid", "accepted", "unknown", "paid", "nonsense", "absent"):
        shop.custody.say(sent.id, word)
    assert State.PAID is shop.instructions()[0].state
    entries = shop.books.entry_no

    shop.custody.hear(BankSaid(1, sent.id, "rejected"))

    assert (True, entries) == (shop.instructions()[0].disputed, shop.books.entry_no)
    shop.custody.say("ins_" + sent.id[-24:-1] + "Z", "paid")
    assert 2.0 == shop.shard.core.counts["bank_said_unknown"]
    shop.assert_sound()
    shop.assert_bank_agrees()


def test_a_restart_asks_by_the_number_and_sends_no_other(filed_shop):
    """W12: sent is durable, the bytes are gone, nobody knows: ask."""
    shop = filed_shop
    shop.earn(2_000)
    shop.custody.sees = False
    shop.tick()
    (sent,) = shop.instructions()
    shop.restart()
    shop.custody.pump()
    assert [sent.number] == [each.number for each in shop.custody.asked]
    assert State.UNKNOWN is shop.instructions()[0].state, "the bank never saw it, and may still"
    assert 1 == len(shop.custody.instructed)

    shop.custody.sees = True
    for _ in range(17):
        shop.tick(60)

    assert [sent.number] * 2 == [each.number for each in shop.custody.instructed]
    assert [False, True] == [each.is_repeat for each in shop.custody.instructed]
    shop.custody.say(sent.id, "paid")
    shop.assert_sound()
    shop.assert_bank_agrees()


def test_a_bank_that_knows_is_believed(shop):
    shop.earn(2_000)
    shop.tick()
    (sent,) = shop.instructions()
    shop.custody.orders[sent.number][1] = "paid"

    shop.tick(61)

    assert State.PAID is shop.instructions()[0].state
    assert 1 == len(shop.custody.instructed)


def test_a_credit_that_is_told_again_covers_once(shop):
    claim = shop.sell(500)
    shop.credit(claim)
    entries = shop.books.entry_no

    again = shop.credit(claim)

    assert ((claim.id,), entries) == (again.matched, shop.books.entry_no)
    assert 500 == shop.balance()


def test_refunds_beyond_sales_wait_for_a_funder(shop):
    """A share below zero that nobody covers lets nothing through behind it."""
    back, sale = shop.sell(-300), None
    sale = shop.sell(900, date=20260228)

    answer = shop.credit(back, sale)

    assert ((), [back.id, sale.id]) == (answer.matched, [claim for claim, _ in answer.left])
    shop.credited = 0
    shop.shard.create(
        "advance.create", {"funder": "bank", "amount": 300, "currency": "cny", "released": 0},
        MERCHANT.id,
    )  # fmt: skip
    assert () == shop.credit(back, sale).left


def test_claims_are_told_by_account_and_day(shop):
    one, two = shop.sell(500), shop.sell(700, date=20260228)

    def read(account, date):
        shop.custody.hear(ReadClaims(4, account, date))
        (rows,) = shop.shard.custody.take(ClaimRows)
        assert rows.last
        return list(rows.waiting)

    assert [one, two] == read("wx", 0)
    assert [two] == read("wx", 20260228)
    assert [] == read("alipay", 0)
    shop.credit(one)
    assert [two] == read("wx", 0)


DAYS = """
    # sold on    looked at (days after Monday, 10:00)   paid by then
    20260227     0                                      True
    20260228     0                                      True
    20260302     0                                      False
    20260302     1                                      True
"""


@pytest.mark.parametrize(
    ("date", "days", "is_paid"),
    [
        (int(a), int(b), c == "True")
        for a, b, c in (line.split() for line in DAYS.splitlines() if line[4:5].isdigit())
    ],
)
def test_it_is_paid_when_it_is_due(shop, date, days, is_paid):
    """T+1: Friday's and Saturday's money on Monday, Monday's on Tuesday."""
    shop.earn(1_000, date=date)
    shop.tick(days * 86_400)

    assert is_paid == bool(shop.instructions())


def test_what_comes_after_the_hour_of_closing_waits_for_the_next_working_day(shop):
    shop.shard.clock.advance(4 * 86_400 + 8 * 3_600)  # Friday, 18:00.
    shop.earn(1_000)
    shop.tick(2 * 86_400)
    assert [] == shop.instructions()

    shop.tick(16 * 3_600)  # Monday, 10:00.

    assert 1 == len(shop.instructions())


def with_terms(**changes):
    status = changes.pop("status", MERCHANT.status)
    payout = PayoutTerms(onboarded_on=20250101, trading_since=20250101, **changes)
    return (replace(MERCHANT, payout=payout, status=status), *RECORDS[1:])


@pytest.mark.parametrize(
    ("changes", "by_day", "by_month"),
    [
        ({}, True, True),
        ({"minimum": 5_000}, False, True),
        ({"mode": PayoutMode.MANUAL}, False, True),
        ({"hold": Hold.PLAIN}, False, True),
        ({"hold": Hold.REVIEW}, False, False),
        ({"status": MerchantStatus.SUSPENDED}, False, False),
    ],
)
def test_terms_and_holds_give_way_to_the_limit_of_days_but_reviews_do_not(
    changes, by_day, by_month
):
    shop = Shop(records=with_terms(**changes))
    try:
        shop.earn(1_000)
        shop.tick()
        assert by_day == bool(shop.instructions())
        for _ in range(30):
            shop.tick(86_400)
        assert by_month == bool(shop.instructions())
    finally:
        shop.close()


def test_without_rules_or_working_days_nothing_goes_out():
    for options in (
        replace(OPTIONS, rules=()),
        replace(OPTIONS, workdays=type(OPTIONS.workdays)({})),
    ):
        shop = Shop(options=options)
        shop.earn(1_000)
        shop.tick()
        shop.tick(DAY_MS // 1_000)
        assert [] == shop.instructions()
        assert any(name.startswith("payouts_without") for name in shop.shard.core.counts)
        shop.close()


def test_the_webhook_tells_each_state_once(shop):
    shop.earn(2_000)
    shop.tick()
    (sent,) = shop.instructions()
    for word in ("unknown", "accepted", "unknown", "paid", "returned"):
        shop.custody.say(sent.id, word)

    kinds = [row[4] for row in shop.shard.store.events_after(0, 100)]

    told = ["settlement.sent", "settlement.unknown", "settlement.paid", "settlement.returned"]
    assert told == [kind for kind in kinds if kind.startswith("settlement.")]


def test_numbers_name_states_and_no_merchant(shop):
    shop.earn(2_000)
    shop.tick()
    numbers = shop.shard.desk.numbers()

    assert 1.0 == numbers['instructions_open{state="sent"}']
    assert 0.0 == numbers["coverage_faults_total"]
    assert not any(MERCHANT.id in name for name in numbers)
    assert Status.PAID == "paid"
