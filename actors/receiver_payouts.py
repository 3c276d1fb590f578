"""Receivers are paid at clearing, as merchants are: a withdrawal that nobody had to ask for.

When a receiver's money is at the bank, the shard of its home looks at the next hour for payouts,
and takes out all that it may spend. From then on it is a withdrawal like any other: only to the
registered and confirmed account, by policy or with a second person, waiting after one came back.
"""

import logging
from hashlib import sha256

from actors.parties import CURRENCY, Parties
from actors.payouts import BLOCKED_AGAIN_MS, MAKER, Payouts
from actors.withdrawing import Withdrawing
from payments.calendar import business_date
from payments.clearing.terms import PayoutMode
from payments.errors import PaymentError
from payments.ids import body_at
from payments.money import AMOUNT_MAX
from payments.reference import ReceiverStatus
from payments.settlement.entries import RECEIVER_PREFIX, home_of
from payments.settlement.withdrawal import Withdrawal

log = logging.getLogger(__name__)


class ReceiverPayouts:
    """Whom settings, or a receiver's own terms, say to pay without being asked."""

    def __init__(self, parties: Parties, payouts: Payouts, withdrawing: Withdrawing) -> None:
        self._core = parties.core
        self._parties = parties
        self._payouts = payouts
        self._withdrawing = withdrawing
        parties.funded.append(self._funded)
        payouts.receiver_due = self._due

    def _funded(self, party: str, at: int) -> None:
        """Money came for a receiver: look at it at the next hour for payouts."""
        if party.startswith(RECEIVER_PREFIX) and self._mode(party) is PayoutMode.AUTO:
            due, look = self._parties.due_ms(party), self._payouts.next_look(at)
            if due is None or look < due:
                self._parties.put(self._parties.get(party), look)

    def _due(self, party: str, now: int) -> None:
        look = self._payouts.next_look(now)
        if look > now:
            self._look_again(party, look)
            return
        free = min(self._parties.purse(party).free, AMOUNT_MAX)
        receiver = self._core.reference.receiver(party)
        tomorrow = self._payouts.next_look(self._payouts.tomorrow(now))
        self._look_again(party, tomorrow if self._parties.purse(party).available > 0 else None)
        if receiver is None or self._mode(party) is not PayoutMode.AUTO:
            return  # It is asked for, or the terms change before the next look.
        minimum = receiver.payout.minimum
        if minimum is None:
            minimum = self._core.options.home.receivers_minimum
        if free < max(1, minimum):
            return  # What comes later adds to it.
        if receiver.status is not ReceiverStatus.ACTIVE:
            return
        account, is_blocked = self._parties.usable(party, now)
        if is_blocked:
            self._look_again(party, tomorrow if account is None else now + BLOCKED_AGAIN_MS)
            return
        try:
            needs_review = self._withdrawing.refuse_or_review(party)
            self._withdrawing.pay_out(self._wanted(party, free, now), needs_review=needs_review)
        except PaymentError as refusal:
            self._core.count("receiver_payouts_refused")
            log.warning("no payout of %s: %s", party, refusal.detail)

    def _mode(self, party: str) -> PayoutMode:
        """Its own, else the deployment's."""
        receiver = self._core.reference.receiver(party)
        if receiver is not None and receiver.payout.mode is not None:
            return receiver.payout.mode
        return PayoutMode.AUTO if self._core.options.home.pays_receivers else PayoutMode.MANUAL

    def _look_again(self, party: str, at: int | None) -> None:
        self._parties.put(self._parties.get(party), at)

    def _wanted(self, party: str, amount: int, now: int) -> Withdrawal:
        """Under an id that no other has: made of receiver, instant and, if need be, a number."""
        number = 1
        while True:
            digest = sha256(f"tillway receiver payout {party} {now} {number}".encode()).digest()
            identifier = "wdr_" + body_at(now, home_of(party), digest)
            if self._core.records.kept(identifier) is None:
                date = business_date(now)
                return Withdrawal(identifier, party, CURRENCY, amount, 0, date, now, MAKER)
            number += 1
