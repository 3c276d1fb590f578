"""How a new payment is decided: key, order, merchant, risk, route, intent, without awaiting.

One look into the store serves all commands of a frame; then each is decided over everything decided
before it, durable or not. Nothing is sent before its intent is durable.
"""

from typing import Final

from actors.core import Core
from actors.key_uses import refuse_used_at_home, taken
from actors.link import Link
from actors.live import LivePayment, decode_payment, decode_refund
from actors.merchant import MerchantEntity
from actors.messages import Pay
from actors.outside import route_of
from actors.paying import Paying
from actors.stats import SAMPLE_MASK
from payments.calendar import business_date
from payments.errors import (
    InvalidField,
    MerchantSuspended,
    Overloaded,
    PaymentError,
)
from payments.fees import fee
from payments.idempotency import Judgement, index_of, judge_key, judge_order
from payments.lifecycle import first_look, verdict_by
from payments.pages import as_page
from payments.payment import Assessment, Attempt, AttemptState, Moment, Payment, Route, Status, Way
from payments.reference import Merchant, MerchantStatus, SplitRule
from payments.refund import Refund
from payments.risk import REJECT, Facts, assess, failure_of
from payments.routing import ChannelAccount
from payments.splitting.dividing import refuse_indivisible
from payments.splitting.escrow import Escrow
from payments.splitting.rules import TAG, choose, terms_of
from payments.splitting.sharing import is_cut
from payments.splitting.terms import Terms
from payments.splitting.wishes import refuse_parts
from payments.storage.base import PaymentRow, RefundRow

CODE_EXPIRES_S: Final = 300
STATIC: Final = "static"
"""`entry` of a payment that a plate's page made."""


class Found:
    """Stored rows that a frame's commands may collide with, by digest."""

    __slots__ = ("auths", "keys", "orders", "refunds")

    def __init__(
        self,
        keys: list[PaymentRow],
        orders: list[PaymentRow],
        auths: list[PaymentRow],
        refunds: list[RefundRow],
    ) -> None:
        self.keys: dict[bytes, tuple[PaymentRow, Payment]] = {}
        for row in keys:
            payment = decode_payment(row[8])
            self.keys[payment.key_digest] = (row, payment)
        self.refunds: dict[bytes, Refund] = {}
        for refund_row in refunds:
            refund = decode_refund(refund_row[7])
            self.refunds[refund.key_digest] = refund
        self.orders: dict[tuple[str, str], list[Payment]] = {}
        for row in orders:
            payment = decode_payment(row[8])
            self.orders.setdefault((payment.merchant, payment.order_no), []).append(payment)
        self.auths = {decode_payment(row[8]).auth_digest for row in auths}


NOTHING_FOUND: Final = Found([], [], [], [])


class Opening:
    """The flow of new payments."""

    def __init__(self, core: Core, paying: Paying) -> None:
        self._core = core
        self._paying = paying

    def take(self, link: Link, commands: list[Pay]) -> None:
        """Decide every new payment of a frame, after one look into the store for all of them."""
        core = self._core
        keys = [index_of(command.key_digest) for command in commands]
        orders = [command.order_hash for command in commands]
        auths = [index_of(c.auth_digest) for c in commands if c.auth_digest is not None]
        rows = core.store.probe(keys, orders, auths)
        found = Found(*rows) if any(rows) else NOTHING_FOUND
        for command in commands:
            try:
                if not self.is_known(link, command, found):
                    self._open(link, command, self.admitted(command, found), found)
            except PaymentError as error:
                core.refuse(link, command.ref, error)
            except Exception as error:
                # A bug in one decision is that command's answer; the others go on.
                core.bug(link, command.ref, error)

    def is_known(self, link: Link, command: Pay, found: Found) -> bool:
        """Whether the command was taken before: then it is answered. Spends the nonce of a new one.

        IdempotencyMismatch where its key belongs to another request.
        """
        core = self._core
        live = core.live_by_id.get(command.id)
        if live is not None:
            self._attach(link, command, live, replayed=False)  # Re-sent by its front door.
            return True
        stored = found.keys.get(command.key_digest)
        if stored is not None and stored[1].id == command.id:
            self._attach(link, command, self._known(stored[0]), replayed=False)
            return True
        if command.nonce:
            core.nonces.spend(command.nonce, command.nonce_at)
            core.batch.nonces.append((command.nonce, command.nonce_at))
        return self._replayed(link, command, stored, found)

    def admitted(self, command: Pay, found: Found) -> Merchant:
        """The merchant of a new payment, if it may be made now: order, merchant, room."""
        core = self._core
        self._judge_order(command, found)
        merchant = core.reference.merchant(command.merchant)
        if merchant is None:
            raise Overloaded("the merchant is not known here yet; try again", retry_after_s=1)
        if merchant.status is not MerchantStatus.ACTIVE:
            raise MerchantSuspended(f"the merchant is {merchant.status}")
        if core.draining or len(core.live) >= core.live_max:
            raise Overloaded("the shard takes no new payments just now", retry_after_s=1)
        return merchant

    def _replayed(
        self, link: Link, command: Pay, stored: tuple[PaymentRow, Payment] | None, found: Found
    ) -> bool:
        """The key was used before: the same request hears how it stands, another is refused."""
        core = self._core
        live = core.live_by_key.get(command.key_digest)
        refund_live = core.refund_by_key.get(command.key_digest)
        if live is not None:
            existing: Payment | Refund | None = live.payment
        elif stored is not None:
            existing = stored[1]
        elif refund_live is not None:
            existing = refund_live.refund
        else:
            existing = found.refunds.get(command.key_digest)
        judgement = judge_key(existing, command.key_digest, command.fingerprint)
        if judgement is Judgement.NEW:
            refuse_used_at_home(core.records, command.key_digest)
            return False
        if judgement is Judgement.MISMATCH or not isinstance(existing, Payment):
            raise taken()
        if live is None and existing.status is Status.PROCESSING:
            assert stored is not None
            live = self._known(stored[0])  # Under way since before a restart.
        if live is not None:
            self._attach(link, command, live, replayed=True)
        else:
            core.say(link, command.ref, 201, core.render_payment(existing), replayed=True)
        return True

    def _known(self, row: PaymentRow) -> LivePayment:
        """A stored payment, in memory while somebody waits for it."""
        return self._core.adopt(LivePayment.of_row(row))

    def _judge_order(self, command: Pay, found: Found) -> None:
        core = self._core
        order = (command.merchant, command.order_no)
        live = core.live_by_order.get(order)
        if live is not None:
            judge_order(live.payment)
        for payment in found.orders.get(order, ()):
            newer = core.live_by_id.get(payment.id)
            judge_order(newer.payment if newer is not None else payment)

    def _attach(self, link: Link, command: Pay, live: LivePayment, *, replayed: bool) -> None:
        status = live.payment.status
        if status is Status.PROCESSING:
            self._paying.wait(live, link, command.ref, command.wait_ms, None, replayed)
            return
        core = self._core
        core.say(link, command.ref, 201, core.render(live), replayed=replayed)
        core.forget(live)

    def _open(self, link: Link, command: Pay, merchant: Merchant, found: Found) -> None:
        """Risk, route, intent. What is decided here is durable before a lane hears of it."""
        core = self._core
        now = core.clock.now_ms()
        way = Way(command.way)
        wallet = command.wallet
        if way is Way.BARCODE:
            wallet = core.barcodes.wallet_of(command.auth_code or "")
            if wallet is None:
                raise InvalidField("no wallet shows such a code; scan it again", param="auth_code")
        closing = self.place(command)
        rules = core.split_rules(merchant.id)
        if rules or command.split is not None:
            command.split = self.terms(command, merchant, rules, business_date(now, closing))
        partition = merchant.partition
        is_timed = not core.payment_no & SAMPLE_MASK
        began = core.clock.monotonic() if is_timed else 0.0
        facts = core.lanes.facts(partition)
        router = core.lanes.router
        # Where no channel shows one code for all wallets, our own page does (docs/CASHIER.md).
        is_page = way is Way.CASHIER and not router.can(way, wallet) and router.can(Way.JSAPI)
        if is_page:
            wallet = None
        asked = Way.JSAPI if is_page else way
        route, account = route_of(core.lanes, command, asked, wallet, facts)
        self._refuse_unable(command, account, is_page=is_page)
        if is_timed:
            began = core.numbers.stage("route", began)
        date = business_date(now, closing)
        entity = core.merchants.get(merchant.number)
        assessment = assess(self._facts(command, way, entity, date, now, found), core.policy)
        if is_timed:
            core.numbers.stage("risk", began)
        if assessment.rules:
            core.numbers.found(assessment)
        core.payment_no += 1
        payment = self._intent(command, way, wallet, date, now, assessment, route, account)
        if is_page and payment.status is not Status.FAILED:
            payment = as_page(payment)
        live = LivePayment(
            payment,
            core.payment_no,
            merchant.number,
            partition,
            index_of(command.key_digest),
            command.order_hash,
            None if command.auth_digest is None else index_of(command.auth_digest),
        )
        core.add(live)
        core.merchants.reserved(entity, live)
        if payment.status is Status.FAILED:
            core.numbers.outcome(payment, "failed")
            body = core.render(live)
            core.emit(live, "payment.failed", payment.id, now, body)
            core.say(link, command.ref, 201, body)
            return
        if is_page:
            self._paying.schedule(live)
            core.say(link, command.ref, 201, core.render(live))
            return
        facts[account.name].credits -= 1
        live.auth_code = command.auth_code
        live.payer_ip = command.payer_ip
        live.lane_ref = True
        core.releases.sends.append(live)
        self._paying.wait(live, link, command.ref, command.wait_ms, None, False)

    def _refuse_unable(self, command: Pay, account: ChannelAccount, *, is_page: bool) -> None:
        """InvalidField for a split that the channel that holds the money could not carry out."""
        split, core = command.split, self._core
        if split is None or not split.parts:
            return
        # A page's payer chooses the account later: any that divides may be the one.
        for each in core.options.accounts if is_page else (account,):
            if each.name in core.lanes.dividing:
                charged = fee(core.options.fee_plan, command.amount)
                refuse_indivisible(split, command.amount, charged, each, core.reference.receiver)

    def _intent(
        self,
        command: Pay,
        way: Way,
        wallet: str | None,
        date: int,
        now: int,
        assessment: Assessment,
        route: Route,
        account: ChannelAccount,
    ) -> Payment:
        """The payment as its first commit has it: about to be sent, or rejected by risk."""
        rejected = assessment.decision == REJECT
        expires_at = None
        if way is not Way.BARCODE:
            expires_at = now + (command.expires_in or CODE_EXPIRES_S) * 1000
        schedule = self._core.options.schedule(account.name)
        return Payment(
            command.id,
            command.merchant,
            command.order_no,
            command.amount,
            command.currency,
            way,
            wallet,
            Status.FAILED if rejected else Status.PROCESSING,
            None
            if rejected
            else Attempt(
                0,
                account.channel,
                account.name,
                AttemptState.SENDING,
                now,
                is_outside=account.pays_merchant,
            ),
            now,
            date,
            command.key_digest,
            command.fingerprint,
            command.auth_digest,
            command.store,
            command.terminal,
            command.operator,
            command.subject,
            command.order_ref,
            command.table,
            command.tip_amount,
            command.metadata,
            command.entry,
            expires_at,
            None if rejected else verdict_by(way, now, expires_at),
            None if rejected else first_look(now, schedule),
            failure=failure_of(assessment) if rejected else None,
            risk=assessment,
            route=None if rejected else route,
            history=(Moment(now, "rejected" if rejected else "sending", account.name),),
            payer=command.payer,
            return_url=command.return_url,
            split=command.split,
            escrow=None if command.escrow_at is None else Escrow(command.escrow_at),
        )

    def terms(
        self,
        command: Pay,
        merchant: Merchant,
        rules: tuple[SplitRule, ...],
        date: int,
        figures: tuple[int, int] | None = None,
    ) -> Terms | None:
        """How the payment will be split: as it says itself, else by the rule that fits it.

        `figures`: what is settled of it and its fee, where they are known. InvalidField for a
        receiver that cannot get a share, or parts that exceed the amount.
        """
        core = self._core
        asked = command.split
        if asked is None:
            tag = command.metadata.get(TAG)
            rule = choose(rules, store=command.store, tag=tag, way=command.way, business_date=date)
            return None if rule is None else terms_of(rule, merchant, core.reference.receiver)
        if not asked.parts:
            return None
        refuse_parts("splits", asked.parts, merchant, core.reference.receiver)
        settles, charged = figures or (
            command.amount,
            fee(core.options.fee_plan, command.amount),
        )
        if is_cut(asked, settles, charged):
            raise InvalidField(
                "the splits exceed what the merchant gets of it, its fee taken off",
                param="/splits",
            )
        return asked

    def place(self, command: Pay) -> int:
        """Check store and terminal; the closing time (minutes after midnight) of the store."""
        core = self._core
        store_id = command.store
        if command.terminal is not None:
            terminal = core.reference.terminal(command.terminal)
            if terminal is None or terminal.merchant != command.merchant:
                raise InvalidField("no such terminal of this merchant", param="terminal")
            if store_id is None:
                store_id = command.store = terminal.store
            elif store_id != terminal.store:
                raise InvalidField("the terminal stands in another store", param="store")
        if store_id is None:
            return 0
        store = core.reference.store(store_id)
        if store is None or store.merchant != command.merchant:
            raise InvalidField("no such store of this merchant", param="store")
        return store.closing_minute

    def _facts(
        self, command: Pay, way: Way, entity: MerchantEntity, date: int, now: int, found: Found
    ) -> Facts:
        counters = entity.counters
        digest = command.auth_digest
        return Facts(
            command.amount,
            way,
            counters.day.on(date),
            counters.minute.of(command.terminal, now) if command.terminal is not None else 0,
            digest is not None and (digest in self._core.live_auths or digest in found.auths),
            command.payer,
            command.entry == STATIC,
        )
