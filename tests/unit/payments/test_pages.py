"""A payer's page: one attempt at a time, and one charge at most, whatever is answered."""

import pytest
from msgspec.msgpack import Decoder, Encoder
from msgspec.structs import replace

from page_shop import ALIPAY, EXPIRES_AT, SHEET, WECHAT, S, Shop
from payments.channels.base import Approved, Declined, Unknown, Unpaid
from payments.choosing import choose
from payments.folding import apply
from payments.lifecycle import (
    DEFAULT_SCHEDULE,
    answered_look,
    number_of,
)
from payments.pages import CHOICES_MAX, cannot_begin, is_ready
from payments.payment import Failure, Page, Payment, Status, Way
from payments.payment_events import AttemptEnded, ChoiceDropped, StrayPaid
from payments.testing import NOW_MS


@pytest.fixture
def shop():
    return Shop()


@pytest.fixture
def shown(shop):
    """WeChat was chosen, and its payment sheet can be started."""
    shop.choose(WECHAT)
    shop.pay_answered(SHEET)
    return shop


def test_a_page_that_nobody_opened_waits_for_its_expiry(shop):
    """No channel is asked; it closes by itself."""
    shop.pass_ms(299_999)
    assert (Status.REQUIRES_PAYER, None) == shop.state

    shop.pass_ms(1)

    assert (Status.CLOSED, None) == shop.state
    assert shop.asks == []
    assert shop.payment.next_action_at is None


def test_a_choice_begins_an_attempt(shop):
    """In that wallet's browser, with that payer, under the first number."""
    shop.choose(WECHAT)

    attempt = shop.payment.attempt
    assert (Status.REQUIRES_PAYER, S.SENDING) == shop.state
    assert (0, "wechat-1", "wechat", Way.JSAPI, "openid-1") == (
        attempt.number,
        attempt.account,
        attempt.wallet,
        attempt.way,
        attempt.payer,
    )
    assert shop.payment.wallet == "wechat"
    assert shop.payment.page == Page(None, 1)
    assert [("pay", number_of(shop.payment))] == shop.asks


def test_the_sheets_parameters_are_kept(shown):
    """A page that is loaded again shows the same."""
    assert (Status.REQUIRES_PAYER, S.SHOWN) == shown.state
    assert shown.payment.attempt.client_params == {"package": "prepay_id=1"}


def test_the_payer_pays(shown):
    """The payment has succeeded, in the wallet that was chosen."""
    shown.inquiry_answered(shown.paid())

    assert (Status.SUCCEEDED, S.SUCCEEDED) == shown.state
    assert shown.payment.wallet == "wechat"


def test_the_same_choice_changes_nothing(shown):
    """A second tap, a reloaded page."""
    asked = list(shown.asks)

    assert shown.choose(WECHAT).events == ()
    assert asked == shown.asks


def test_the_same_payer_in_another_browser_goes_on(shown):
    """The wallet says that it is them: nothing is closed, and this browser gets the sheet."""
    asked = list(shown.asks)

    shown.choose(replace(WECHAT, consent=b"browser-9"))

    assert (Status.REQUIRES_PAYER, S.SHOWN) == shown.state
    assert (b"browser-9", asked) == (shown.payment.attempt.consent, shown.asks)


@pytest.mark.parametrize("other", [ALIPAY, replace(WECHAT, payer="openid-2")])
def test_another_wallet_or_payer_closes_the_first_attempt(shown, other):
    """Nothing begins before the channel says that it is closed; then the next number does."""
    first = number_of(shown.payment)
    shown.choose(other)

    assert (Status.REQUIRES_PAYER, S.CLOSING) == shown.state
    assert ("close", first) == shown.asks[-1]
    assert shown.payment.page.wanted == other

    shown.undo_answered(Unpaid("closed"))

    second = shown.payment.attempt
    assert (Status.REQUIRES_PAYER, S.SENDING) == shown.state
    assert (1, other.wallet, other.payer) == (second.number, second.wallet, second.payer)
    assert ("pay", number_of(shown.payment)) == shown.asks[-1]
    assert [S.CLOSED] == [attempt.state for attempt in shown.payment.earlier]
    assert shown.payment.page.wanted is None


def test_a_close_that_finds_it_paid_is_a_success(shown):
    """The choice is void: the order has its one charge."""
    shown.choose(ALIPAY)
    shown.undo_answered(Declined("channel_error", "the order is paid", "ORDERPAID"))
    assert "inquire" == shown.asks[-1][0]

    shown.inquiry_answered(shown.paid())

    assert (Status.SUCCEEDED, S.SUCCEEDED) == shown.state
    assert [ask for ask, _ in shown.asks].count("pay") == 1


@pytest.mark.parametrize(
    "answer", [Unknown("no answer"), Unpaid("open"), Declined("channel_error", "busy")]
)
def test_an_unclear_close_begins_nothing(shown, answer):
    """It is asked again, for as long as it takes."""
    shown.choose(ALIPAY)

    shown.undo_answered(answer)
    for _ in range(20):
        shown.pass_ms(5_000)

    assert [ask for ask, _ in shown.asks].count("pay") == 1
    assert shown.asks.count(shown.asks[1]) > 3
    assert (Status.REQUIRES_PAYER, S.CLOSING) == shown.state


def test_the_last_choice_counts(shown):
    """While the first is closed the payer may change their mind, back to the first too."""
    shown.choose(ALIPAY)
    shown.choose(WECHAT)
    shown.undo_answered(Unpaid("closed"))

    assert (1, "wechat") == (shown.payment.attempt.number, shown.payment.attempt.wallet)


def test_a_choice_while_the_first_is_sent_waits_for_its_answer(shop):
    """Then it is closed, for it could be paid."""
    shop.choose(WECHAT)
    shop.choose(ALIPAY)
    assert (Status.REQUIRES_PAYER, S.SENDING) == shop.state

    shop.pay_answered(SHEET)

    assert (Status.REQUIRES_PAYER, S.CLOSING) == shop.state
    assert shop.payment.attempt.client_params is None
    assert "close" == shop.asks[-1][0]


def test_a_refused_order_ends_the_attempt_alone(shop):
    """The payer hears why, and may choose again."""
    shop.choose(WECHAT)
    shop.pay_answered(Declined("channel_error", "appid and mchid differ", "APPID_MCHID_NOT_MATCH"))

    assert (Status.REQUIRES_PAYER, None) == shop.state
    assert shop.payment.wallet is None
    assert shop.payment.page.failure.channel_code == "APPID_MCHID_NOT_MATCH"
    assert shop.payment.next_action_at == EXPIRES_AT

    shop.choose(ALIPAY)

    assert (1, "alipay") == (shop.payment.attempt.number, shop.payment.attempt.wallet)
    assert shop.payment.page.failure is None


def test_a_refused_order_begins_the_wallet_chosen_meanwhile(shop):
    """There is nothing to close."""
    shop.choose(WECHAT)
    shop.choose(ALIPAY)
    shop.pay_answered(Declined("channel_error", "no"))

    assert "alipay" == shop.payment.attempt.wallet


def test_the_payer_who_declines_has_declined(shown):
    """The channel says that the order is over: so is the payment."""
    shown.inquiry_answered(Declined("declined", "the payer said no"))

    assert (Status.FAILED, S.FAILED) == shown.state


def test_an_unclear_order_is_closed_and_made_anew(shop):
    """Nobody has its parameters; the same choice is tried under the next number."""
    shop.choose(WECHAT)
    shop.pay_answered(Unknown("no answer"))
    assert (Status.REQUIRES_PAYER, S.CLOSING) == shop.state
    assert "close" == shop.asks[-1][0]

    shop.undo_answered(Approved(number_of(shop.payment), 3800))

    again = shop.payment.attempt
    assert (1, "wechat", "openid-1", b"browser-1") == (
        again.number,
        again.wallet,
        again.payer,
        again.consent,
    )


def test_an_order_that_never_was_is_over_after_a_while(shop):
    """The channel knows of none, and what was sent can no longer arrive."""
    shop.choose(WECHAT)
    shop.pay_answered(Unknown("no answer"))
    shop.inquiry_answered(Unpaid("absent"))
    assert (Status.REQUIRES_PAYER, S.CLOSING) == shop.state

    shop.now += DEFAULT_SCHEDULE.absent_grace_ms
    shop.inquiry_answered(Unpaid("absent"))

    assert 1 == shop.payment.attempt.number


def test_an_order_whose_answer_is_lost_is_made_anew(shop):
    """It is there, unpaid, and after so long no answer can bring its parameters."""
    shop.choose(WECHAT)
    shop.now += DEFAULT_SCHEDULE.absent_grace_ms - 1
    shop.inquiry_answered(Unpaid("open"))
    assert (Status.REQUIRES_PAYER, S.SENDING) == shop.state

    shop.now += 1
    shop.inquiry_answered(Unpaid("open"))
    assert (Status.REQUIRES_PAYER, S.CLOSING) == shop.state

    shop.undo_answered(Unpaid("closed"))
    assert (1, "wechat") == (shop.payment.attempt.number, shop.payment.attempt.wallet)


def test_an_order_that_never_came_is_made_anew(shop):
    """Neither the answer nor the order: the same choice begins again without a close."""
    shop.choose(WECHAT)
    shop.now += 2_000
    shop.inquiry_answered(Unpaid("absent"))
    shop.now += DEFAULT_SCHEDULE.absent_grace_ms
    shop.inquiry_answered(Unpaid("absent"))

    assert (1, "openid-1") == (shop.payment.attempt.number, shop.payment.attempt.payer)
    assert "close" not in [ask for ask, _ in shop.asks]


def test_a_late_time_out_is_an_unclear_answer_too(shop):
    """It comes after the first look already asked: the same as if it had come before."""
    shop.choose(WECHAT)
    shop.now += 2_000
    shop.inquiry_answered(Unpaid("absent"))
    shop.pay_answered(Unknown("no answer"))

    assert (Status.REQUIRES_PAYER, S.CLOSING) == shop.state
    assert "wechat" == shop.payment.page.wanted.wallet


def test_an_order_that_could_be_paid_is_not_over_for_being_absent(shown):
    """Its parameters are out: only a close ends it."""
    shown.choose(ALIPAY)
    shown.now += 60_000
    shown.inquiry_answered(Unpaid("absent"))

    assert (Status.REQUIRES_PAYER, S.CLOSING) == shown.state


def test_trying_again_has_an_end(shop):
    """After so many choices an unclear order is only closed."""
    shop.choose(WECHAT)
    for _ in range(CHOICES_MAX - 1):
        shop.pay_answered(Unknown("no answer"))
        shop.undo_answered(Unpaid("closed"))
    assert CHOICES_MAX == shop.payment.page.choices

    shop.pay_answered(Unknown("no answer"))
    shop.undo_answered(Unpaid("closed"))

    assert (Status.REQUIRES_PAYER, None) == shop.state


def test_a_channel_may_close_an_order_by_itself(shown):
    """The page stays open."""
    shown.inquiry_answered(Unpaid("closed"))

    assert (Status.REQUIRES_PAYER, None) == shown.state


def test_expiry_closes_for_good(shown):
    """Processing until the channel confirms, then closed; what was wanted is forgotten."""
    shown.choose(ALIPAY)
    shown.pass_ms(300_000)
    assert (Status.PROCESSING, S.CLOSING) == shown.state

    shown.undo_answered(Unpaid("closed"))

    assert (Status.CLOSED, S.CLOSED) == shown.state
    assert [ask for ask, _ in shown.asks].count("pay") == 1


def test_an_expired_page_without_an_attempt_closes(shown):
    """After a wallet change that led nowhere."""
    shown.inquiry_answered(Unpaid("closed"))
    shown.pass_ms(300_000)

    assert (Status.CLOSED, None) == shown.state


def test_a_cancel_closes_for_good(shown):
    """Also while a change of wallets is under way."""
    shown.choose(ALIPAY)
    shown.cancel()
    shown.undo_answered(Unpaid("closed"))

    assert (Status.CLOSED, S.CLOSED) == shown.state


def test_a_cancel_of_a_page_without_an_attempt_is_done_at_once(shop):
    """No channel need be asked."""
    shop.cancel()

    assert (Status.CLOSED, None) == shop.state
    assert shop.asks == []


def test_a_success_while_closing_for_a_cancel_stands(shown):
    """As with any code: a close gives nothing back."""
    shown.cancel()
    shown.inquiry_answered(shown.paid())

    assert Status.SUCCEEDED is shown.payment.status


def test_another_amount_is_no_success_and_the_page_is_over(shown):
    """It is to be undone, and nothing else may begin."""
    shown.inquiry_answered(Approved(number_of(shown.payment), 1, "ch-1"))

    assert (Status.PROCESSING, S.UNKNOWN) == shown.state
    assert not shown.payment.is_page_open


def test_money_on_a_closed_page_is_late(shown):
    """The last attempt's money goes back as ever."""
    shown.pass_ms(300_000)
    shown.undo_answered(Unpaid("closed"))
    number = shown.paid()

    shown.did(answered_look(shown.payment, number, shown.now, DEFAULT_SCHEDULE))

    assert shown.payment.late_success
    assert Status.CLOSED is shown.payment.status


def test_a_wallet_without_a_channel_is_dropped(shop):
    """The payer is told; the page waits for its expiry."""
    shop.payment = apply(
        shop.payment, choose(shop.payment, WECHAT, NOW_MS, DEFAULT_SCHEDULE).events[0]
    )
    failure = Failure("channel_error", "no channel takes it now")

    shop.payment = apply(shop.payment, cannot_begin(shop.payment, failure, NOW_MS))

    assert isinstance(cannot_begin(shop.payment, failure, NOW_MS), ChoiceDropped)
    assert (None, failure) == (shop.payment.page.wanted, shop.payment.page.failure)
    assert not is_ready(shop.payment, NOW_MS)
    assert EXPIRES_AT == shop.payment.next_action_at


def test_money_on_an_attempt_that_had_ended_is_written_down(shown):
    """On that attempt, and nowhere else."""
    shown.choose(ALIPAY)
    shown.undo_answered(Unpaid("closed"))
    before = shown.payment

    after = apply(before, StrayPaid(shown.now, 0, "ch-7"))

    assert ((True, "ch-7"), True) == (
        (after.earlier[0].is_stray, after.earlier[0].channel_trade_no),
        after.has_stray,
    )
    assert (before.status, before.attempt, before.amount_refunded) == (
        after.status,
        after.attempt,
        after.amount_refunded,
    )


def test_a_page_survives_its_row(shown):
    """What is stored is what comes back, the choice included."""
    shown.choose(ALIPAY)

    assert shown.payment == Decoder(Payment).decode(Encoder().encode(shown.payment))


def test_an_ended_attempt_keeps_its_number():
    """Numbers are never used twice, so neither is an order number."""
    shop = Shop()
    seen = []
    for choice in (WECHAT, ALIPAY) * 4:
        shop.choose(choice)
        seen.append(number_of(shop.payment))
        shop.pay_answered(SHEET)
        shop.did(choose(shop.payment, replace(choice, payer="x"), shop.now, DEFAULT_SCHEDULE))
        event = AttemptEnded(shop.now, S.CLOSED, EXPIRES_AT)
        shop.payment = replace(apply(shop.payment, event), page=Page())

    assert len(set(seen)) == len(seen) == 8
