"""Payouts in the shard: what is due becomes an instruction; the bank's answers change the books.

`sent` is durable before the custody box hears of it. From then on an instruction is asked about by
its number, and never sent under another one; the same one goes out again only when the bank has
said, late enough, that it never saw it.
"""

import logging
from collections import Counter
from collections.abc import Callable
from typing import Annotated, Final

from msgspec import Meta, Struct
from msgspec.structs import replace

from actors.home import HomeDesk, Said, body_of, page
from actors.home_access import allow, owner_of, require_role
from actors.home_messages import AskBank, BankSaid, BankSaidTaken, HomeAsk, Instruct
from actors.link import Link
from actors.parties import CURRENCY, Parties
from actors.record_kinds import BATCH, INSTRUCTION, PARTY, WITHDRAWAL
from actors.records import Kept
from payments.calendar import DAY_MS, business_date
from payments.clearing import terms
from payments.clearing.workdays import DateUnknown
from payments.directory_access import ROLE_THAT_CHECKS
from payments.errors import Conflict, NotFound
from payments.money import AMOUNT_MAX
from payments.reference import Merchant, MerchantStatus
from payments.settlement import instruction
from payments.settlement import party as standing
from payments.settlement.entries import RECEIVER_PREFIX, home_of
from payments.settlement.holds import REASON_MAX
from payments.settlement.hours import next_look
from payments.settlement.instruction import (
    ATTEMPTS_MAX,
    BACK,
    POLICY,
    UNDER_WAY,
    Instruction,
    InstructionEvent,
    State,
    instruction_id,
)
from payments.settlement.party import Party
from payments.settlement.view import instruction_json

log = logging.getLogger(__name__)

ASK_MS: Final = 60_000
ASK_MAX_MS: Final = 3_600_000
"""How long an instruction is under way before the bank is asked: at first, and at the most."""

BLOCKED_AGAIN_MS: Final = 3_600_000
"""How often a payout that waits for a bank account is looked at."""

MAKER: Final = "system"
"""Who drafts what is due by the terms that were agreed."""

URL: Final = "/v1/settlement_instructions"
OPEN: Final = UNDER_WAY | {State.DRAFTED, State.CHECKED}
"""States of instructions that are not over."""

ANSWERS: Final = frozenset({State.ACCEPTED, State.UNKNOWN, State.PAID}) | BACK
ABSENT: Final = "absent"
"""What the custody box says of a number that the bank never saw."""

EVENTS: Final = {
    State.SENT: "settlement.sent",
    State.UNKNOWN: "settlement.unknown",
    State.PAID: "settlement.paid",
    State.REJECTED: "settlement.rejected",
    State.RETURNED: "settlement.returned",
}


class TurnDown(Struct, frozen=True, forbid_unknown_fields=True):
    """POST /v1/settlement_instructions/{id}/turn_down"""

    reason: Annotated[str, Meta(min_length=1, max_length=REASON_MAX)]


class Nothing(Struct, frozen=True, forbid_unknown_fields=True):
    """A request that says nothing but who makes it."""


class Payouts:
    """The flow of instructions. `followers`: told (before, after, at) of each one's change."""

    def __init__(self, desk: HomeDesk, parties: Parties) -> None:
        self._desk = desk
        self._core = desk.core
        self._parties = parties
        self._open: dict[str, State] = {}
        """Instructions that are not over."""
        self.followers: list[Callable[[Instruction, int], None]] = []
        self.receiver_due: Callable[[str, int], None] = self._leave_alone
        """Told (receiver, business ms) when it is time to look at one's money."""
        desk.takes("settlement_instruction.list", self._list)
        desk.takes("settlement_instruction.get", self._get)
        desk.takes("settlement_instruction.check", self._check)
        desk.takes("settlement_instruction.turn_down", self._turn_down)
        desk.shows("ins", self._shown)
        desk.hears(BankSaid, self._said)
        desk.does(PARTY, self._party_due)
        desk.does(INSTRUCTION, self._instruction_due)
        desk.greets(self._ask_anew)
        desk.recovers(self._recover)
        desk.reports(self._numbers)
        parties.funded.append(self._funded)

    def _recover(self) -> None:
        for kept in self._core.records.all_of(INSTRUCTION):
            self._note(kept.value)

    def _note(self, one: Instruction) -> None:
        if one.state in OPEN:
            self._open[one.id] = one.state
        else:
            self._open.pop(one.id, None)

    def _numbers(self) -> dict[str, float]:
        counted = Counter(self._open.values())
        return {f'instructions_open{{state="{state}"}}': float(counted[state]) for state in OPEN}

    # --- what is due ---------------------------------------------------------------------------

    def _funded(self, party: str, at: int) -> None:
        """Money came for a party: look at its payout at the next hour for it.

        A receiver's money goes out by withdrawal (`actors/receiver_payouts.py`).
        """
        if not party.startswith(RECEIVER_PREFIX):
            due = self._parties.due_ms(party)
            look = self.next_look(at)
            if due is None or look < due:
                self._parties.put(self._parties.get(party), look)

    def _leave_alone(self, receiver: str, now: int) -> None:
        """Without anybody who pays receivers, nothing is due of one."""
        self._parties.put(self._parties.get(receiver), None)

    def next_look(self, at: int) -> int:
        """The next hour for payouts; a day later where nobody knows which days are worked."""
        options = self._core.options.home
        try:
            return next_look(at, options.workdays, options.payout_minute)
        except DateUnknown as unknown:
            self._core.count("payouts_without_workdays")
            log.warning("no payout: %s", unknown)
            return at + DAY_MS

    def _party_due(self, kept: Kept, now: int) -> None:
        if kept.owner.startswith(RECEIVER_PREFIX):
            self.receiver_due(kept.owner, now)
            return
        party = self._parties.settled_up(kept.owner)
        look = self.next_look(now)
        if look > now:
            self._parties.put(party, look)
            return
        merchant = self._core.reference.merchant(party.id)
        has_left = self._parties.purse(party.id).available > 0
        again = self.next_look(self.tomorrow(now)) if has_left else None
        self._parties.put(party, again)
        if merchant is None or not has_left or party.drafts:
            return  # Its money is not taken before it is sent: one at a time.
        account, is_blocked = self._parties.usable(party.id, now)
        if is_blocked:
            self._parties.put(party, now + BLOCKED_AGAIN_MS)
            return
        payout = self._payout(merchant, party, now)
        if payout.parts:
            assert account is not None
            self._pay_out(party, payout, account.id, now)

    def tomorrow(self, now: int) -> int:
        """The next midnight in China, business ms."""
        return now + DAY_MS - (now + 8 * 3_600_000) % DAY_MS

    def _payout(self, merchant: Merchant, party: Party, now: int) -> terms.Payout:
        """What is due today by the terms, the decrees and the working days."""
        options = self._core.options.home
        day = business_date(now)
        keeping = merchant.payout.keeping
        if merchant.status is not MerchantStatus.ACTIVE:
            keeping = replace(keeping, in_review=True)
        try:
            return terms.payout_on(
                day,
                party.unpaid,
                min(self._parties.purse(party.id).free, AMOUNT_MAX),
                merchant.payout.terms,
                merchant.standing,
                terms.rules_on(options.rules, day),
                options.workdays,
                keeping,
            )
        except LookupError as missing:
            self._core.count("payouts_without_rules")
            log.warning("no payout: %s", missing)
            return terms.NOTHING

    def _pay_out(self, party: Party, payout: terms.Payout, account: str, now: int) -> None:
        """Draft one instruction for what is due; by policy, let it go at once."""
        source = payout.parts[0][0]
        attempt = 1
        while self._core.records.kept(instruction_id(source, attempt)) is not None:
            attempt += 1
        if attempt > ATTEMPTS_MAX:
            self._core.count("payouts_given_up")
            return
        event = instruction.draft(
            source,
            attempt,
            party.id,
            payout.amount,
            CURRENCY,
            self._parties.account(party.id, account),
            self._core.options.home.custody,
            MAKER,
            now,
            parts=payout.parts,
        )
        party = standing.pay(self._parties.get(party.id), payout.parts)
        self._parties.change(replace(party, drafts=(*party.drafts, event.instruction.id)))
        self.begin(event.instruction, now)

    # --- an instruction's life -----------------------------------------------------------------

    def begin(self, one: Instruction, now: int) -> None:
        """Keep a drafted instruction; where policy is enough, check and send it at once."""
        self._keep(one, now)
        if one.amount <= self._core.options.home.payouts.alone_max:
            policy = self._core.options.home.payouts
            checked = instruction.check(one, POLICY, now, policy)
            self._send(self._changed(one, checked, now), now)

    def get(self, identifier: str) -> Instruction | None:
        return self._core.records.get(identifier, Instruction)

    def _keep(self, one: Instruction, now: int) -> None:
        due = None
        if one.state is State.CHECKED:
            due = now + BLOCKED_AGAIN_MS
        elif one.state in UNDER_WAY:
            due = now + min(max(ASK_MS, now - one.sent_at), ASK_MAX_MS)
        home = home_of(one.party)
        self._core.records.put(INSTRUCTION, one.id, one.party, home, one, due)
        self._note(one)
        self._core.wake.set()

    def _changed(self, known: Instruction, event: InstructionEvent | None, now: int) -> Instruction:
        """Store an event with its entry, its party's standing and whatever follows it."""
        if event is None:
            return known
        after = instruction.apply(known, event)
        self._keep(after, now)
        step = instruction.booked(known, event)
        if step is not None:
            self._parties.book(known.id, step[0], now, step[1])
        party = self._parties.get(known.party)
        was = party
        if instruction.blocks(event):
            party = replace(party, blocked_at=now)
        if after.state not in (State.DRAFTED, State.CHECKED) and known.id in party.drafts:
            party = replace(party, drafts=tuple(d for d in party.drafts if d != known.id))
        if after.state in BACK and known.state not in BACK and known.parts:
            party = standing.unpay(party, known.parts, self._dates(known))
            self._parties.put(party, self.next_look(now))
        elif party != was:
            self._parties.change(party)
        if after.state is not known.state:
            for follow in self.followers:
                follow(after, now)
            self._emit(after, now)
        return after

    def _dates(self, one: Instruction) -> dict[str, int]:
        """The business dates of what it pays: batches, or withdrawals that came back."""
        dates = {}
        for source, _ in one.parts:
            kept = self._core.records.kept(source)
            assert kept is not None, source
            assert kept.kind in (BATCH, WITHDRAWAL), source
            dates[source] = kept.value.business_date if kept.kind == BATCH else kept.value.date
        return dates

    def _emit(self, one: Instruction, now: int) -> None:
        number = self._parties.merchant_no(one.party)
        kind = EVENTS.get(one.state)
        if number is not None and kind is not None:
            self._desk.emit(number, one.id, kind, now, self._json(one))

    def _send(self, one: Instruction, now: int) -> Instruction:
        """Let a checked one go, if nothing has come between."""
        account, is_blocked = self._parties.usable(one.party, now)
        if is_blocked and one.is_held:
            return one  # Its withdrawal waits until the bank account is confirmed.
        usable = None if is_blocked or account is None else account.id
        try:
            event = instruction.send(one, self._parties.purse(one.party), usable, now)
        except Conflict as conflict:
            # Drafted anew at the next hour, over what is true then.
            return self._changed(one, instruction.turn_down(one, POLICY, conflict.detail, now), now)
        after = self._changed(one, event, now)
        if event is not None:
            self._instruct(after)
        return after

    def _instruct(self, one: Instruction, *, is_repeat: bool = False) -> None:
        account = self._parties.account(one.party, one.account)
        self._desk.tell_custody(
            Instruct(
                0,
                one.id,
                one.number,
                one.amount,
                one.currency,
                account.name,
                account.number,
                account.bank,
                one.custody,
                one.sent_at,
                is_repeat,
            )
        )

    def _instruction_due(self, kept: Kept, now: int) -> None:
        one = kept.value
        assert isinstance(one, Instruction)
        if one.state is State.CHECKED:
            one = self._send(one, now)
            if one.state is State.CHECKED:
                self._keep(one, now)
            return
        if one.state not in UNDER_WAY:
            self._keep(one, now)
            return
        again = instruction.repeat(one, now)
        if again is not None:
            self._instruct(self._changed(one, again, now), is_repeat=True)
            return
        self._keep(one, now)
        self._desk.tell_custody(AskBank(0, one.id, one.number, one.amount))

    def _ask_anew(self) -> None:
        """The custody box is there again: what was sent to the old one may be lost."""
        for identifier, state in self._open.items():
            if state in UNDER_WAY:
                one = self.get(identifier)
                assert one is not None, identifier
                self._desk.tell_custody(AskBank(0, one.id, one.number, one.amount))

    def _said(self, link: Link, message: BankSaid) -> None:
        """What the bank says. Old news change nothing; it is taken when it is durable."""
        core, now = self._core, self._core.clock.now_ms()
        known = self.get(message.id) if message.id.startswith("ins_") else None
        if known is None:
            core.count("bank_said_unknown")
        elif message.state == ABSENT:
            self._absent(known, now)
        elif message.state in ANSWERS:
            state = State(message.state)
            event = instruction.hear(known, state, now, message.reference, message.reason)
            self._changed(known, event, now)
        else:
            core.count("bank_said_unknown")
        core.answer(link, BankSaidTaken(message.ref))

    def _absent(self, known: Instruction, now: int) -> None:
        if known.state is State.SENT:  # Nobody knows how the sending went.
            known = self._changed(known, instruction.hear(known, State.UNKNOWN, now), now)
        known = self._changed(known, instruction.absent(known, now), now)
        again = instruction.repeat(known, now)
        if again is not None:
            self._instruct(self._changed(known, again, now), is_repeat=True)

    # --- asked by people -----------------------------------------------------------------------

    def _json(self, one: Instruction) -> bytes:
        account = self._parties.account(one.party, one.account)
        return instruction_json(one, account, self._core.options.livemode)

    def _shown(self, identifier: str) -> bytes:
        one = self.get(identifier)
        assert one is not None, identifier
        return self._json(one)

    def _find(self, ask: HomeAsk) -> Instruction:
        target = ask.target or ""
        one = self.get(target) if target.startswith("ins_") else None
        if one is None:
            raise NotFound(f"no settlement instruction {target[:40]!r}")
        allow(self._core, ask, one.party)
        return one

    def _get(self, ask: HomeAsk) -> Said:
        return Said(200, self._json(self._find(ask)))

    def _list(self, ask: HomeAsk) -> Said:
        """A party's, or an operator's over all; `status`: only those."""
        status = ask.query.get("status")

        def keep(one: Instruction) -> bool:
            return status in (None, one.state)

        return page(self._desk, ask, URL, INSTRUCTION, owner_of(ask), self._json, keep)

    def _check(self, ask: HomeAsk) -> Said:
        require_role(ask, ROLE_THAT_CHECKS)
        body_of(ask, Nothing)
        now, known = self._core.clock.now_ms(), self._find(ask)
        policy = self._core.options.home.payouts
        event = instruction.check(known, ask.caller, now, policy)
        if event is not None:
            known = self._send(self._changed(known, event, now), now)
        return Said(200, self._json(known), known.id)

    def _turn_down(self, ask: HomeAsk) -> Said:
        require_role(ask, ROLE_THAT_CHECKS)
        reason = body_of(ask, TurnDown).reason
        now, known = self._core.clock.now_ms(), self._find(ask)
        event = instruction.turn_down(known, ask.caller, reason, now)
        return Said(200, self._json(self._changed(known, event, now)), known.id)
