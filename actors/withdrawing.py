"""Withdrawals in the shard: a merchant or receiver takes available money out.

Amount and fee leave `available` in the commit of the request, so requests in parallel cannot take
more than there is. The instruction that pays it is drafted in the same commit, or when a person
has looked at it; from then on the withdrawal follows its instruction.
"""

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct
from msgspec.structs import replace

from actors.home import HomeDesk, Said, body_of, page
from actors.home_access import allow, owner_of, require_role
from actors.home_messages import HomeAsk
from actors.parties import Parties
from actors.payouts import Nothing, Payouts, TurnDown
from actors.record_kinds import WITHDRAWAL
from payments.calendar import business_date
from payments.directory import Metadata
from payments.directory_access import ROLE_THAT_CHECKS
from payments.errors import Conflict, InvalidField, MerchantSuspended, NotFound
from payments.fees import FeePlan
from payments.money import AMOUNT_MAX
from payments.reference import Hold, MerchantStatus
from payments.settlement import instruction, withdrawal
from payments.settlement import party as standing
from payments.settlement.entries import RECEIVER_PREFIX, home_of
from payments.settlement.instruction import Instruction
from payments.settlement.purse import Purse
from payments.settlement.view import withdrawal_json
from payments.settlement.withdrawal import FREE, Limits, Status, Withdrawal, WithdrawalEvent

URL: Final = "/v1/withdrawals"

EVENTS: Final = {
    Status.IN_REVIEW: "withdrawal.in_review",
    Status.IN_TRANSIT: "withdrawal.in_transit",
    Status.PAID: "withdrawal.paid",
    Status.RETURNED: "withdrawal.returned",
    Status.REJECTED: "withdrawal.rejected",
    Status.UNKNOWN: "withdrawal.unknown",
}


NO_LIMITS: Final = Limits(
    single_min=1,
    single_max=AMOUNT_MAX,
    day_max=1 << 62,
    day_count_max=1 << 31,
    review_above=AMOUNT_MAX,
)
"""Of what nobody asked for: a payout by the terms that were agreed."""


class NewWithdrawal(Struct, frozen=True, forbid_unknown_fields=True):
    """POST /v1/withdrawals. `amount`: minor units to arrive. `receiver`: whose, else one's own."""

    amount: Annotated[int, Meta(ge=1, le=AMOUNT_MAX)]
    currency: Literal["cny"]
    receiver: str | None = None
    metadata: Metadata = {}


class Withdrawing:
    """The flow of withdrawals."""

    def __init__(self, desk: HomeDesk, parties: Parties, payouts: Payouts) -> None:
        self._desk = desk
        self._core = desk.core
        self._parties = parties
        self._payouts = payouts
        desk.takes("withdrawal.create", self._create, is_new=True)
        desk.takes("withdrawal.list", self._list)
        desk.takes("withdrawal.get", self._get)
        desk.takes("withdrawal.approve", self._approve)
        desk.takes("withdrawal.reject", self._reject)
        desk.shows("wdr", self._shown)
        payouts.followers.append(self._followed)

    # --- asked for -----------------------------------------------------------------------------

    def _create(self, ask: HomeAsk) -> Said:
        wish = body_of(ask, NewWithdrawal)
        party, now = owner_of(ask), self._core.clock.now_ms()
        if wish.receiver is not None and wish.receiver != party:
            raise NotFound(f"no receiver {wish.receiver[:40]!r}")
        if not party:
            raise InvalidField("name a merchant", param="merchant")
        known = self._get_one(ask.id)
        if known is not None:
            return self._made(known)
        needs_review = self.refuse_or_review(party)
        options, date = self._core.options.home, business_date(now)
        wanted = Withdrawal(
            *(ask.id, party, wish.currency, wish.amount, 0, date, now, ask.caller),
            metadata=wish.metadata,
        )
        purse = self._parties.purse(party)
        one = self.take(
            wanted, purse, options.withdrawals, options.withdrawal_fee, needs_review=needs_review
        )
        self._parties.change(replace(self._parties.get(party), use=purse.use))
        return self._made(self._go_on(one, now))

    def take(
        self,
        wanted: Withdrawal,
        purse: Purse,
        limits: Limits,
        plan: FeePlan,
        *,
        needs_review: bool,
    ) -> Withdrawal:
        """Take a new one's money out of available, in this commit. Refuse as `request` does."""
        party, now = wanted.party, wanted.requested_at
        is_blocked = self._parties.usable(party, now)[1]
        event = withdrawal.request(wanted, None, purse, limits, plan, is_blocked, needs_review)
        assert event is not None, wanted.id
        one = event.withdrawal
        self._move(one, -one.total)
        return self._changed(one, event, now)

    def pay_out(self, wanted: Withdrawal, *, needs_review: bool) -> None:
        """Take what a receiver may spend: it costs nothing, and limits of requests do not hold."""
        purse = self._parties.purse(wanted.party)
        one = self.take(wanted, purse, NO_LIMITS, FREE, needs_review=needs_review)
        self._parties.change(replace(self._parties.get(wanted.party), use=purse.use))
        self._go_on(one, wanted.requested_at)

    def refuse_or_review(self, party: str) -> bool:
        """Whether a person must look first. Refuse who may not have money out at all."""
        if not self._core.options.home.custody:
            raise Conflict("no custody bank is configured: nothing can be paid out")
        reference = self._core.reference
        merchant = reference.merchant(party)
        if party.startswith(RECEIVER_PREFIX):
            receiver = reference.receiver(party)
            if receiver is None:
                raise NotFound(f"no receiver {party[:40]!r}")
            merchant = None if receiver.merchant is None else reference.merchant(receiver.merchant)
        elif merchant is None:
            raise NotFound(f"no merchant {party[:40]!r}")
        if merchant is None:
            return False
        if merchant.status is MerchantStatus.SUSPENDED:
            raise MerchantSuspended(f"the merchant is {merchant.status}")
        return merchant.payout.hold is Hold.REVIEW

    def _go_on(self, one: Withdrawal, now: int) -> Withdrawal:
        """Draft the instruction of one that waits for nothing else."""
        if one.status is not Status.REQUESTED:
            return one
        account, _ = self._parties.usable(one.party, one.requested_at)
        drafted = instruction.draft(
            one.id,
            1,
            one.party,
            one.amount,
            one.currency,
            account,
            self._core.options.home.custody,
            one.requested_by,
            now,
            one.fee,
            is_held=True,
        )
        self._payouts.begin(drafted.instruction, now)
        after = self._get_one(one.id)
        assert after is not None, one.id
        return after

    def _changed(self, known: Withdrawal, event: WithdrawalEvent | None, now: int) -> Withdrawal:
        """Store an event with its entry; what did not leave is the party's again."""
        if event is None:
            return known
        is_new = isinstance(event, withdrawal.Requested)
        after = withdrawal.apply(None if is_new else known, event)
        home = home_of(after.party)
        self._core.records.put(WITHDRAWAL, after.id, after.party, home, after, None)
        step = withdrawal.booked(after, event)
        if step is not None:
            self._parties.book(after.id, step[0], now, step[1])
        if after.status in (Status.REJECTED, Status.RETURNED):
            self._move(after, after.total)
            self._parties.tell_funded(after.party, now)
        number = self._parties.merchant_no(after.party)
        kind = EVENTS.get(after.status)
        if number is not None and kind is not None:
            self._desk.emit(number, after.id, kind, now, self._json(after))
        self._core.wake.set()
        return after

    def _move(self, one: Withdrawal, minor: int) -> None:
        """What a merchant took out by itself is paid out by no batch any more, or again."""
        if not one.party.startswith(RECEIVER_PREFIX):
            party = self._parties.get(one.party)
            self._parties.change(standing.move(party, one.id, one.date, minor))

    def _followed(self, paying: Instruction, now: int) -> None:
        """Its instruction went on, and this in the same commit."""
        if paying.is_held:
            known = self._get_one(paying.source)
            assert known is not None, paying
            self._changed(known, withdrawal.follow(known, paying, now), now)

    # --- people --------------------------------------------------------------------------------

    def _approve(self, ask: HomeAsk) -> Said:
        require_role(ask, ROLE_THAT_CHECKS)
        body_of(ask, Nothing)
        now, known = self._core.clock.now_ms(), self._find(ask)
        event = withdrawal.approve(known, ask.caller, now)
        if event is not None:
            known = self._go_on(self._changed(known, event, now), now)
        return Said(200, self._json(known), known.id)

    def _reject(self, ask: HomeAsk) -> Said:
        require_role(ask, ROLE_THAT_CHECKS)
        reason = body_of(ask, TurnDown).reason
        now, known = self._core.clock.now_ms(), self._find(ask)
        paying = self._payouts.get(instruction.instruction_id(known.id, 1))
        event = withdrawal.refuse(known, ask.caller, reason, now, paying)
        return Said(200, self._json(self._changed(known, event, now)), known.id)

    def _get(self, ask: HomeAsk) -> Said:
        return Said(200, self._json(self._find(ask)))

    def _list(self, ask: HomeAsk) -> Said:
        """A party's, or an operator's over all; `status`: only those."""
        status = ask.query.get("status")

        def keep(one: Withdrawal) -> bool:
            return status in (None, one.status)

        return page(self._desk, ask, URL, WITHDRAWAL, owner_of(ask), self._json, keep)

    def _find(self, ask: HomeAsk) -> Withdrawal:
        one = self._get_one(ask.target or "")
        if one is None:
            raise NotFound(f"no withdrawal {(ask.target or '')[:40]!r}")
        allow(self._core, ask, one.party)
        return one

    def _get_one(self, identifier: str) -> Withdrawal | None:
        if not identifier.startswith("wdr_"):
            return None
        return self._core.records.get(identifier, Withdrawal)

    def _made(self, one: Withdrawal) -> Said:
        return Said(201, self._json(one), one.id)

    def _json(self, one: Withdrawal) -> bytes:
        return withdrawal_json(one, self._core.options.livemode)

    def _shown(self, identifier: str) -> bytes:
        one = self._get_one(identifier)
        assert one is not None, identifier
        return self._json(one)
