"""Payments and refunds of somebody else's gateway: decided and booked at once, nobody is asked.

Keys, order numbers, stores and splits are judged as for our own. What differs is that the money
has moved before we hear of it: a payment begins as succeeded, and a refund is booked whatever the
merchant has left.
"""

from collections.abc import Callable

from actors.core import BATCH_MAX, Core
from actors.home import HomeDesk
from actors.link import Link
from actors.live import LivePayment, decode_refund
from actors.messages import MakeRefund, Pay
from actors.opening import NOTHING_FOUND, Found, Opening
from actors.outside import refuse_uncarried
from actors.paying import Paying
from actors.refunding import Refunding
from actors.reported_messages import ReportPayment, ReportRefund
from payments import reported
from payments.calendar import business_date
from payments.channels.base import Approved
from payments.errors import Conflict, Overloaded, PaymentError
from payments.idempotency import index_of
from payments.ids import out_trade_no
from payments.lifecycle import Decision
from payments.payment import REPORTED, Attempt, AttemptState, Payment, Status, Way
from payments.payment_events import RefundHeld, Succeeded
from payments.refund import Refund, RefundStatus
from payments.splitting.sharing import shares_of


class Reporting:
    """The flow of what others took and gave back."""

    def __init__(self, core: Core, opening: Opening, paying: Paying, refunding: Refunding) -> None:
        self._core = core
        self._opening = opening
        self._paying = paying
        self._refunding = refunding

    def register(self, desk: HomeDesk) -> None:
        desk.hears(ReportPayment, self.report)
        desk.hears(ReportRefund, self.report_refund)

    def report(self, link: Link, command: ReportPayment) -> None:
        """Book a payment, or say why not."""
        self._guarded(link, command.ref, lambda: self._report(link, command))

    def report_refund(self, link: Link, command: ReportRefund) -> None:
        """Book a refund of a reported payment, or say why not."""
        self._guarded(link, command.ref, lambda: self._refund(link, command))
        self._refunding.let_go(command.payment)

    def _guarded(self, link: Link, ref: int, decide: Callable[[], None]) -> None:
        try:
            decide()
        except PaymentError as error:
            self._core.refuse(link, ref, error)
        except Exception as error:
            self._core.bug(link, ref, error)

    # --- payments --------------------------------------------------------------------------------

    def _report(self, link: Link, command: ReportPayment) -> None:
        core, opening = self._core, self._opening
        asked = _as_pay(command)
        index = index_of(command.trade_digest)
        rows = core.store.probe([index_of(asked.key_digest)], [asked.order_hash], [index])
        found = Found(*rows) if any(rows) else NOTHING_FOUND
        if opening.is_known(link, asked, found):
            return
        merchant = opening.admitted(asked, found)
        if len(core.fresh) >= BATCH_MAX:
            raise Overloaded("the next commit is full; try again", retry_after_s=1)
        account = reported.account_of(core.options.accounts, command.account)
        now = core.clock.now_ms()
        paid_at = reported.paid_at(command.paid_at, now)
        settles = reported.settled(command.amount, command.settle_amount, command.fee)
        digest = command.trade_digest
        if digest in core.live_auths or digest in found.auths:
            raise Conflict(
                f"{command.channel_trade_no[:64]} of {account.name} was reported before, "
                "for another order",
                param="channel_trade_no",
            )
        date = business_date(paid_at, opening.place(asked))
        rules = core.split_rules(merchant.id)
        if rules or asked.split is not None:
            asked.split = opening.terms(asked, merchant, rules, date, (settles, command.fee))
        is_split = asked.split is not None and bool(asked.split.parts)
        refuse_uncarried(account, is_held=False, is_split=is_split)
        core.payment_no += 1
        live = LivePayment(
            self._payment(asked, now, date, Attempt(
                0, account.channel, account.name, AttemptState.SENDING, paid_at,
                is_outside=account.pays_merchant,
            )),
            core.payment_no,
            merchant.number,
            merchant.partition,
            index_of(asked.key_digest),
            asked.order_hash,
            index,
        )  # fmt: skip
        core.add(live)
        shares = () if asked.split is None else shares_of(asked.split, settles, command.fee)
        happened = Succeeded(
            paid_at,
            command.channel_trade_no,
            command.amount,
            settles,
            (),
            command.fee,
            shares,
        )
        self._paying.fold(live, Decision((happened,)), now)
        core.say(link, command.ref, 201, core.render(live))

    def _payment(self, asked: Pay, now: int, date: int, attempt: Attempt) -> Payment:
        """The payment a moment before it is folded to its success."""
        return Payment(
            asked.id,
            asked.merchant,
            asked.order_no,
            asked.amount,
            asked.currency,
            Way(asked.way),
            asked.wallet,
            Status.PROCESSING,
            attempt,
            now,
            date,
            asked.key_digest,
            asked.fingerprint,
            asked.auth_digest,
            asked.store,
            asked.terminal,
            asked.operator,
            asked.subject,
            asked.order_ref,
            metadata=asked.metadata,
            entry=REPORTED,
            split=asked.split,
        )

    # --- refunds ---------------------------------------------------------------------------------

    def _refund(self, link: Link, command: ReportRefund) -> None:
        core, refunding = self._core, self._refunding
        asked = _as_refund(command)
        if refunding.is_known(link, asked):
            return
        live = refunding.find_payment(command.merchant, command.payment, None)
        payment, now = live.payment, core.clock.now_ms()
        self._refuse_known(live, command.channel_refund_no)
        amount = reported.refund_amount(payment, command.amount)
        at = reported.refunded_at(command.refunded_at, now, payment)
        if core.draining or len(core.fresh_refunds) >= BATCH_MAX:
            raise Overloaded("the shard takes no new refunds just now", retry_after_s=1)
        attempt = payment.attempt
        assert attempt is not None, payment.id
        refund = Refund(
            command.id,
            payment.id,
            payment.merchant,
            amount,
            payment.currency,
            RefundStatus.PROCESSING,
            now,
            refunding.date(payment, at),
            command.key_digest,
            command.fingerprint,
            REPORTED,
            reason=command.reason,
            metadata=command.metadata,
            attempt_no=attempt.number,
            account=attempt.account,
            channel=attempt.channel,
        )
        entry = core.add_refund(live, refund)
        held = RefundHeld(now, amount, refund.id)
        self._paying.fold(live, Decision((held,)), now)
        number = out_trade_no(payment.id, attempt.number)
        done = Approved(number, amount, command.channel_refund_no)
        refunding.succeeded(entry, done, now, at)
        refunding.wait(entry, link, command.ref, 0, None, replayed=False)

    def _refuse_known(self, live: LivePayment, number: str) -> None:
        """Conflict for a number under which a refund of the payment was reported before.

        Such money went back once, whatever key it is told with the second time.
        """
        core = self._core
        known = [decode_refund(row[7]) for row in core.store.refunds_of(live.no)]
        if live.refunds:
            known += [each.refund for each in core.refunds.values() if each.of is live]
        for refund in known:
            if refund.channel_refund_no == number:
                raise Conflict(
                    f"{number[:64]} was reported before, as {refund.id}", param="channel_refund_no"
                )


def _as_pay(command: ReportPayment) -> Pay:
    """The command in the words of our own payments: what is judged alike is judged by one code."""
    return Pay(
        command.ref,
        command.id,
        command.merchant,
        command.key_digest,
        command.fingerprint,
        command.nonce,
        command.nonce_at,
        command.order_no,
        command.amount,
        command.currency,
        command.way,
        0,
        command.wallet,
        auth_digest=command.trade_digest,
        store=command.store,
        terminal=command.terminal,
        operator=command.operator,
        subject=command.subject,
        order_ref=command.order_ref,
        metadata=command.metadata,
        order_hash=command.order_hash,
        entry=REPORTED,
        split=command.split,
    )


def _as_refund(command: ReportRefund) -> MakeRefund:
    return MakeRefund(
        command.ref,
        command.id,
        command.merchant,
        command.payment,
        command.key_digest,
        command.fingerprint,
        command.nonce,
        command.nonce_at,
        command.amount,
        0,
        command.reason,
        command.metadata,
    )
