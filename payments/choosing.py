"""What a payer's choice on a page leads to: nothing begins before what is open has been closed."""

from payments.lifecycle import NOTHING, UNDOING, Decision, Schedule, undo
from payments.payment import AttemptState, Choice, Payment
from payments.payment_events import Chosen, PayerReturned


def choose(payment: Payment, choice: Choice, now: int, schedule: Schedule) -> Decision:
    """The payer chose a wallet on a page that is open. What is open is closed before it begins.

    With no attempt afterwards, the caller begins the one that is wanted.
    """
    attempt, page = payment.attempt, payment.page
    assert payment.is_page_open, payment.id
    assert page is not None
    chosen = Chosen(now, choice)
    if attempt is None:
        return Decision((chosen,))
    is_same = (attempt.wallet, attempt.payer) == (choice.wallet, choice.payer)
    if is_same and page.wanted is None and attempt.state not in UNDOING:
        is_known = attempt.consent == choice.consent
        return NOTHING if is_known else Decision((PayerReturned(now, choice.consent),))
    if attempt.state is AttemptState.SENDING or attempt.state in UNDOING:
        return Decision((chosen,))  # Its answer, or the close under way, leads to the next.
    undoing = undo(payment, now, schedule)
    return Decision((chosen, *undoing.events), undoing.ask)
