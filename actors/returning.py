"""What goes back of a payment's shares: who has a say in its refunds, and what is told of it."""

from typing import Protocol

from actors.core import Core
from actors.live import LivePayment, LiveRefund
from payments.bookings import Drawn
from payments.ledger import Postings
from payments.splitting.terms import Share
from payments.view import split_id, split_json


class Turns(Protocol):
    """Refunds of payments whose money the channel divides (`actors/taking_back.py`)."""

    def look(self, entry: LiveRefund, now: int) -> None:
        """A refund that the channel was not asked for yet: may it be now?"""

    def give(
        self, entry: LiveRefund, settle_back: int, fee_back: int, now: int
    ) -> tuple[tuple[Drawn, ...], Postings]:
        """The money went back: (what receivers gave of it, the refund's entry); minor units."""

    def end(self, entry: LiveRefund, now: int) -> None:
        """A refund has ended, of whatever payment."""


def tell_returned(core: Core, live: LivePayment, before: tuple[Share, ...], now: int) -> None:
    """One event for each share of which nothing is left, in the refund's commit. Each of them
    comes to that once. `before`: the shares before the refund.
    """
    payment = live.payment
    for old, share in zip(before, payment.shares, strict=True):
        if share.returned == share.amount != old.returned:
            source = split_id(payment.id, share.receiver)
            body = split_json(payment, share, core.presentation)
            core.emit(live, "split.returned", source, now, body)
