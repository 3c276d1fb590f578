"""How a cancel is decided: an undo of what is under way, a refund of what was paid today."""

from typing import Final

from actors.core import Core
from actors.key_uses import key_id, taken
from actors.link import Link
from actors.live import LivePayment, LiveRefund
from actors.messages import CancelPayment, MakeRefund
from actors.paying import CANCEL, Paying
from actors.record_kinds import KEY
from actors.refunding import Refunding
from payments.errors import NotCancelable, PaymentError
from payments.lifecycle import cancel
from payments.payment import Status, Way
from payments.reported import refuse_cancel
from payments.settlement.key_use import KeyUse

REASON: Final = "cancel"
"""Of the refund that a cancel of a paid payment becomes."""


class Canceling:
    """The flow of cancels."""

    def __init__(self, core: Core, paying: Paying, refunding: Refunding) -> None:
        self._core = core
        self._paying = paying
        self._refunding = refunding

    def cancel(self, link: Link, command: CancelPayment) -> None:
        try:
            self._cancel(link, command)
        except PaymentError as error:
            self._core.refuse(link, command.ref, error)
        except Exception as error:
            self._core.bug(link, command.ref, error)
        self._refunding.let_go(command.payment)

    def _cancel(self, link: Link, command: CancelPayment) -> None:
        core, refunding = self._core, self._refunding
        core.take_nonce(command.nonce, command.nonce_at)
        live = refunding.find_payment(command.merchant, command.payment, command.store)
        payment = live.payment
        digest = command.key_digest
        known = False
        if digest is not None:
            if self._replayed(link, command, digest, live):
                return
            known = self._is_known(command, digest, live)
        if payment.status is Status.SUCCEEDED:
            self._cancel_paid(link, command, live, known)
            return
        self._keep_key(command, live)
        if payment.is_final:
            core.say(link, command.ref, 200, core.render(live), replayed=known)
            return
        now = core.clock.now_ms()
        if not payment.cancel_requested:
            attempt = payment.attempt
            schedule = core.options.schedule("" if attempt is None else attempt.account)
            self._paying.fold(live, cancel(payment, now, schedule, digest), now)
        self._paying.wait(live, link, command.ref, command.wait_ms, CANCEL, known)

    def _is_known(self, command: CancelPayment, digest: bytes, live: LivePayment) -> bool:
        """Whether this cancel was asked before. IdempotencyMismatch if its key is another's.

        Files from before such keys were kept know them by the payment alone.
        """
        use = self._core.records.get(key_id(digest), KeyUse)
        if use is not None:
            if use.fingerprint != command.fingerprint or use.object != live.payment.id:
                raise taken()
            return True
        if digest == live.payment.cancel_digest:
            return True
        if self._refunding.is_key_of_another(digest):
            raise taken()
        return False

    def _keep_key(self, command: CancelPayment, live: LivePayment) -> None:
        """The key of a cancel that made no refund: from now on it is nothing else's."""
        digest, records = command.key_digest, self._core.records
        if digest is None or records.has(key_id(digest)):
            return
        payment = live.payment
        use = KeyUse(command.fingerprint, command.refund_id, 200, payment.id)
        records.put(KEY, key_id(digest), payment.merchant, live.partition, use, None)
        self._core.wake.set()

    def _replayed(
        self, link: Link, command: CancelPayment, digest: bytes, live: LivePayment
    ) -> bool:
        """Whether this cancel was asked before and became a refund: then that one is told."""
        refunding = self._refunding
        entry = self._core.refund_by_key.get(digest)
        refund = entry.refund if entry is not None else refunding.stored_by_key(digest)
        if refund is None:
            return False
        if refund.fingerprint != command.fingerprint or refund.payment != live.payment.id:
            raise taken()
        if entry is not None:
            refunding.wait(entry, link, command.ref, command.wait_ms, CANCEL, replayed=True)
        else:
            self._core.say(link, command.ref, 200, self._core.render(live), replayed=True)
        return True

    def _cancel_paid(
        self, link: Link, command: CancelPayment, live: LivePayment, known: bool
    ) -> None:
        """A paid barcode payment of the same day is given back whole; others are refunded."""
        core = self._core
        payment = live.payment
        refuse_cancel(payment)
        now = core.clock.now_ms()
        if payment.cancel_requested or payment.amount_refunded == payment.amount:
            self._keep_key(command, live)
            core.say(link, command.ref, 200, core.render(live), replayed=known)
            return
        running = self._running(live) if payment.refunding else None
        if running is not None:
            self._keep_key(command, live)
            self._refunding.wait(
                running, link, command.ref, command.wait_ms, CANCEL, replayed=known
            )
            return
        refund_id = command.refund_id
        if known or refund_id in core.refund_by_id or core.store.refund(refund_id) is not None:
            # Asked before, or sent again by its front door, and the refund it became has failed.
            core.say(link, command.ref, 200, core.render(live), replayed=known)
            return
        if payment.amount_refunded or payment.refunding:
            raise NotCancelable("it is partly refunded; refund the rest")
        if payment.way is not Way.BARCODE or payment.business_date != self._refunding.date(
            payment, now
        ):
            raise NotCancelable(
                "only a paid barcode payment of the same business day can be canceled; refund it"
            )
        make = MakeRefund(
            command.ref,
            command.refund_id,
            command.merchant,
            payment.id,
            command.key_digest or core.digests.key(payment.merchant, command.refund_id),
            command.fingerprint,
            0,
            0,
            None,
            command.wait_ms,
            reason=REASON,
        )
        entry = self._refunding.begin(live, make, payment.amount)
        self._refunding.wait(entry, link, command.ref, command.wait_ms, CANCEL, replayed=False)

    def _running(self, live: LivePayment) -> LiveRefund | None:
        """The refund that an earlier cancel of this payment is waiting for."""
        for entry in self._core.refunds.values():
            refund = entry.refund
            if entry.of is live and refund.reason == REASON and refund.status == "processing":
                return entry
        return None
