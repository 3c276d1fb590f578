"""Rules of a payer's page (docs/CASHIER.md) that `lifecycle.py` follows: when an attempt of it ends
the attempt alone, and when the payment.
"""

from typing import Final

from msgspec.structs import replace

from payments.channels.base import Declined, Unpaid
from payments.payment import (
    Attempt,
    AttemptState,
    Choice,
    Failure,
    Moment,
    Page,
    Payment,
    Status,
    Way,
)
from payments.payment_events import (
    AttemptEnded,
    ChoiceDropped,
    Chosen,
    Failed,
    PaymentEvent,
    Sent,
    Undone,
)

CHOICES_MAX: Final = 16
"""How often a payer may choose on one page, and an unclear order may be made anew."""


def as_page(payment: Payment) -> Payment:
    """A payment about to be sent, as one whose payer chooses the wallet first."""
    return replace(
        payment,
        status=Status.REQUIRES_PAYER,
        attempt=None,
        page=Page(),
        next_action_at=payment.expires_at,
        history=(Moment(payment.created, "code_shown"),),
    )


def refused(outcome: Declined, now: int) -> Failed:
    """The channel's refusal as the end of a payment."""
    return Failed(now, Failure(outcome.code, outcome.message, outcome.channel_code))


def not_begun(payment: Payment, outcome: Declined, now: int) -> Failed | AttemptEnded:
    """The channel refused the order. Of a page, that ends the attempt only: nobody could pay it."""
    if payment.is_page_open:
        failure = Failure(outcome.code, outcome.message, outcome.channel_code)
        return AttemptEnded(now, AttemptState.FAILED, payment.expires_at, failure)
    return refused(outcome, now)


def has_other_wish(payment: Payment) -> bool:
    """Whether the payer chose another wallet while this attempt was being made."""
    return payment.page is not None and payment.page.wanted is not None


def is_ready(payment: Payment, now: int) -> bool:
    """Whether the wallet that the payer wants may begin now: nothing else is open."""
    return (
        payment.is_page_open
        and payment.attempt is None
        and has_other_wish(payment)
        and not expired(payment, now)
    )


def begin(
    payment: Payment,
    channel: str,
    account: str,
    now: int,
    next_action_at: int,
    *,
    is_outside: bool = False,
) -> Sent:
    """The attempt that the payer wants, under the next number. `is_outside`: as the attempt's."""
    assert is_ready(payment, now), payment.id
    page = payment.page
    assert page is not None
    choice = page.wanted
    assert choice is not None
    attempt = Attempt(
        len(payment.earlier),
        channel,
        account,
        AttemptState.SENDING,
        now,
        wallet=choice.wallet,
        way=Way.JSAPI,
        payer=choice.payer,
        consent=choice.consent,
        is_outside=is_outside,
    )
    return Sent(now, attempt, next_action_at)


def cannot_begin(payment: Payment, failure: Failure, now: int) -> ChoiceDropped:
    """No channel takes the wallet that the payer wants: the page stays open for another."""
    return ChoiceDropped(now, payment.expires_at, failure)


def never_was(payment: Payment, outcome: Unpaid, now: int, grace_ms: int) -> bool:
    """Whether a page's order is not there and never will be, nor could anybody have paid it."""
    attempt = payment.attempt
    return (
        payment.page is not None
        and attempt is not None
        and attempt.client_params is None
        and attempt.pay_url is None
        and outcome.state == "absent"
        and now - attempt.sent_at >= grace_ms
    )


def wished_again(payment: Payment, now: int) -> tuple[PaymentEvent, ...]:
    """The choice of an attempt that came to nothing, once more, unless there is another or no end.

    Before the event that ends the attempt.
    """
    attempt, page = payment.attempt, payment.page
    if not payment.is_page_open or attempt is None or page is None or expired(payment, now):
        return ()
    if page.wanted is not None or page.choices >= CHOICES_MAX:
        return ()
    wallet = attempt.wallet or payment.wallet or ""
    return (Chosen(now, Choice(wallet, attempt.payer, attempt.account, attempt.consent)),)


def is_unanswered(payment: Payment, now: int, grace_ms: int) -> bool:
    """Whether a page's order is there, and its parameters can no longer come: their answer is lost.

    `grace_ms`: for longer, no lane waits for an answer to a payment call.
    """
    attempt = payment.attempt
    return (
        payment.is_page_open
        and attempt is not None
        and attempt.state in (AttemptState.SENDING, AttemptState.UNKNOWN)
        and now - attempt.sent_at >= grace_ms
    )


def expired(payment: Payment, now: int) -> bool:
    return payment.expires_at is not None and now >= payment.expires_at


def close_page(payment: Payment, now: int) -> tuple[PaymentEvent, ...]:
    """A page with no attempt open needs no channel to end."""
    is_over = payment.cancel_requested or expired(payment, now)
    if payment.page is None or payment.is_final or not is_over:
        return ()
    return (Undone(now, AttemptState.CLOSED, None),)
