"""An instruction to the bank: pay this much to that account, once.

    DRAFTED ──checker──> CHECKED ──> SENT ──> ACCEPTED ──> PAID ──> RETURNED*
       │                   │          │  ╲       ╱ ╲
       │                   │          │  UNKNOWN    ╲
       └──turned down──────┴──> REJECTED*  <─────────┴──> RETURNED*

- Drafted by one person and checked by another, or by policy up to an amount.
- Its number (EndToEndId) is made of its own id, which is made of what it pays for. UNKNOWN is
  asked about by that number; only when the bank says that it never saw it, and has had time to,
  the same instruction is sent again under the same number.
- The money leaves `available` with SENT (a withdrawal's has left before, with the request), is in
  transit while nothing is certain, and comes back with REJECTED or RETURNED.
- The bank's answers may repeat, come late or in another order: what is over is over. An answer that
  contradicts an end moves no money; it is kept, and a person must look (`disputed`).
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from hashlib import sha256
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from payments.errors import Conflict, InvalidField
from payments.ids import BODY_LENGTH, derived_body, is_body
from payments.ledger import Postings
from payments.money import AMOUNT_MAX
from payments.payment import Moment, lengthen
from payments.settlement import entries
from payments.settlement.accounts import BankAccount
from payments.settlement.purse import Purse

NUMBER_HEAD: Final = "TW"
NUMBER_MAX: Final = 35
"""Characters of an EndToEndId in ISO 20022."""

ATTEMPTS_MAX: Final = 100
"""Instructions for one source, one after the other came back."""

ABSENT_GRACE_MS: Final = 600_000
"""How long the bank must have had before "never seen" is believed: ours may still be on its way."""

POLICY: Final = "policy"
"""Who checked where no person had to."""


class State(StrEnum):
    DRAFTED = "drafted"
    CHECKED = "checked"
    SENT = "sent"
    ACCEPTED = "accepted"
    UNKNOWN = "unknown"
    PAID = "paid"
    REJECTED = "rejected"
    RETURNED = "returned"


UNDER_WAY: Final = frozenset({State.SENT, State.ACCEPTED, State.UNKNOWN})
BACK: Final = frozenset({State.REJECTED, State.RETURNED})
_NO_CHANGE: Final = {
    State.SENT: frozenset[State](),
    State.UNKNOWN: frozenset({State.UNKNOWN}),
    State.ACCEPTED: frozenset({State.ACCEPTED, State.UNKNOWN}),
    State.PAID: frozenset({State.PAID, State.ACCEPTED, State.UNKNOWN}),
    State.REJECTED: frozenset({State.REJECTED, State.ACCEPTED, State.UNKNOWN}),
    State.RETURNED: frozenset({State.RETURNED, State.PAID, State.ACCEPTED, State.UNKNOWN}),
}
"""Answers that say nothing new in each state: repeated, or overtaken by a later one."""


class Policy(Struct, frozen=True, array_like=True, gc=False):
    """`alone_max`: up to this amount, minor units, no second person has to check; 0 for always."""

    alone_max: int = 0


class Instruction(Struct, frozen=True, array_like=True, gc=False):
    """The whole state. Amounts in minor units, instants in milliseconds since 1970.

    `source`: the withdrawal it pays, or the oldest of the batches; `parts`: (batch, minor units) of
    all of them. `party`: whose money. `fee`: ours, taken beside the
    amount. `is_held`: the money left `available` before, with its withdrawal. `account`: the id of
    the registered account. `number`: the EndToEndId. `sent`: how often the same bytes went out.
    """

    id: str
    source: str
    party: str
    currency: str
    amount: int
    fee: int
    is_held: bool
    account: str
    custody: str
    maker: str
    drafted_at: int
    state: State = State.DRAFTED
    checker: str | None = None
    sent: int = 0
    sent_at: int = 0
    absent_at: int | None = None
    bank_reference: str | None = None
    reason: str | None = None
    disputed: bool = False
    parts: tuple[tuple[str, int], ...] = ()
    history: tuple[Moment, ...] = ()

    @property
    def number(self) -> str:
        """The EndToEndId: letters and digits that any bank takes, at most 35."""
        return NUMBER_HEAD + self.id[-BODY_LENGTH:]

    @property
    def total(self) -> int:
        """What leaves the party's balance."""
        return self.amount + self.fee


class Drafted(Struct, frozen=True, array_like=True, tag="drafted", gc=False):
    instruction: Instruction


class Checked(Struct, frozen=True, array_like=True, tag="checked", gc=False):
    at: int
    by: str


class TurnedDown(Struct, frozen=True, array_like=True, tag="turned_down", gc=False):
    """It will not be sent. Nothing has reached the bank."""

    at: int
    by: str
    reason: str


class Sent(Struct, frozen=True, array_like=True, tag="sent", gc=False):
    """Durable before the first byte leaves; again (`is_repeat`) with the same number only."""

    at: int
    is_repeat: bool = False


class Heard(Struct, frozen=True, array_like=True, tag="heard", gc=False):
    """The bank answered, or did not: `state` is ACCEPTED, UNKNOWN, PAID, REJECTED or RETURNED.

    `was_paid`: whether money had left custody before a return.
    """

    at: int
    state: State
    reference: str | None = None
    reason: str | None = None
    was_paid: bool = False


class Absent(Struct, frozen=True, array_like=True, tag="absent", gc=False):
    """Asked by its number, the bank says that it never saw it. Changes nothing yet."""

    at: int


class Disputed(Struct, frozen=True, array_like=True, tag="disputed", gc=False):
    """The bank contradicts an end that it reported. Moves nothing; a person must look."""

    at: int
    said: State
    reason: str | None = None


InstructionEvent = Drafted | Checked | TurnedDown | Sent | Heard | Absent | Disputed


def instruction_id(source: str, attempt: int) -> str:
    """`ins_…`: made of what is paid and which attempt it is, 1 for the first."""
    digest = sha256(f"tillway instruction {source} {attempt}".encode()).digest()
    return "ins_" + derived_body(source, digest)


def id_of(number: str) -> str | None:
    """The instruction whose EndToEndId this is; None for a number of another shape than ours."""
    body = number.removeprefix(NUMBER_HEAD)
    return "ins_" + body if body != number and is_body(body) else None


# --- Deciding --------------------------------------------------------------------------------


def draft(
    source: str,
    attempt: int,
    party: str,
    amount: int,
    currency: str,
    account: BankAccount | None,
    custody: str,
    maker: str,
    at: int,
    fee: int = 0,
    is_held: bool = False,
    parts: tuple[tuple[str, int], ...] = (),
) -> Drafted:
    """Write an instruction down. `account`: `accounts.account_at` of the batch's or request's time.

    InvalidField for an amount outside 1 to AMOUNT_MAX, Conflict if no account counts.
    """
    if not 0 < amount <= AMOUNT_MAX:
        raise InvalidField(f"an amount of {amount}; 1 to {AMOUNT_MAX}", param="amount")
    if account is None:
        raise Conflict(f"{party} has no confirmed bank account yet")
    assert account.party == party, (account, party)
    assert 1 <= attempt <= ATTEMPTS_MAX, attempt
    assert fee >= 0, fee
    assert not parts or sum(minor for _, minor in parts) == amount, parts
    identifier = instruction_id(source, attempt)
    made = Instruction(
        identifier, source, party, currency, amount, fee, is_held, account.id, custody, maker, at
    )
    assert len(made.number) <= NUMBER_MAX
    return Drafted(replace(made, parts=parts, history=(Moment(at, "drafted", maker),)))


def check(instruction: Instruction, by: str, at: int, policy: Policy) -> Checked | None:
    """A second person agrees; `by` POLICY up to the policy's amount. None if it was checked.

    Conflict for the maker, and for POLICY above its amount.
    """
    if instruction.state is not State.DRAFTED:
        return None
    if not by:
        raise InvalidField("somebody must check", param="by")
    if by == POLICY and instruction.amount > policy.alone_max:
        raise Conflict(f"{instruction.amount} is above {policy.alone_max}: a person must check it")
    if by == instruction.maker:
        raise Conflict(f"{by} made {instruction.id}; another person must check it")
    return Checked(at, by)


def turn_down(instruction: Instruction, by: str, reason: str, at: int) -> TurnedDown | None:
    """Refuse it before it is sent, with a reason. None if it is over; Conflict once it was sent."""
    if instruction.state in BACK:
        return None
    if instruction.state not in (State.DRAFTED, State.CHECKED):
        raise Conflict(f"{instruction.id} is {instruction.state}; only the bank can stop it")
    if not by or not reason.strip():
        raise InvalidField("say who refuses, and why", param="reason")
    return TurnedDown(at, by, reason)


def send(instruction: Instruction, purse: Purse, account: str | None, at: int) -> Sent | None:
    """Let it go to the bank, its money promised. None if it has gone: `repeat` says what then.

    `purse`: the party's. `account`: the id of the account that counts now,
    None while payouts of this party are blocked. Conflict if the money or the account is not there.
    """
    if instruction.state is State.DRAFTED:
        raise Conflict(f"{instruction.id} is not checked")
    if instruction.state is not State.CHECKED:
        return None
    if instruction.disputed:
        raise Conflict(f"the bank knows {instruction.number} already; find out why")
    if account is None:
        raise Conflict(f"payouts of {instruction.party} wait until its bank account is confirmed")
    if account != instruction.account:
        raise Conflict(f"{instruction.id} is for {instruction.account}, which counts no longer")
    if not instruction.is_held:
        purse.promise(instruction.id, instruction.total)
    return Sent(at)


def repeat(instruction: Instruction, at: int, grace_ms: int = ABSENT_GRACE_MS) -> Sent | None:
    """Send the same instruction under the same number again; None while that is not called for.

    Only for UNKNOWN, only after the bank has said that it never saw it, and only when that was
    said `grace_ms` or later after it was sent: an earlier word may only mean "not yet".
    """
    if instruction.state is not State.UNKNOWN or instruction.absent_at is None:
        return None
    if instruction.absent_at < instruction.sent_at + grace_ms:
        return None
    return Sent(at, is_repeat=True)


def absent(instruction: Instruction, at: int) -> Absent | None:
    """The bank never saw the number. None where that is no news or cannot be: it has answered."""
    if instruction.state is not State.UNKNOWN or instruction.absent_at == at:
        return None
    return Absent(at)


def hear(
    instruction: Instruction,
    said: State,
    at: int,
    reference: str | None = None,
    reason: str | None = None,
) -> Heard | Disputed | None:
    """Take an answer of the bank, or that there was none (UNKNOWN). None if it says nothing new."""
    assert said in UNDER_WAY | BACK | {State.PAID}, said
    assert said is not State.SENT
    if instruction.state in (State.DRAFTED, State.CHECKED):
        # Not ours to have an answer: nothing was sent under this number.
        return _dispute(instruction, said, at, reason)
    if said in _NO_CHANGE[instruction.state]:
        return None
    if instruction.state in UNDER_WAY:
        return Heard(at, said, reference, reason)
    if instruction.state is State.PAID and said is State.RETURNED:
        return Heard(at, said, reference, reason, was_paid=True)
    return _dispute(instruction, said, at, reason)


def _dispute(instruction: Instruction, said: State, at: int, reason: str | None) -> Disputed | None:
    known = any(each.kind == "disputed" and each.detail == said for each in instruction.history)
    return None if known else Disputed(at, said, reason)


# --- Applying --------------------------------------------------------------------------------


def apply(instruction: Instruction | None, event: InstructionEvent) -> Instruction:
    """Fold one event into the state. Never refuses: it already happened."""
    if isinstance(event, Drafted):
        return event.instruction
    assert instruction is not None, event
    history = instruction.history
    match event:
        case Checked(at, by):
            state, line = State.CHECKED, Moment(at, "checked", by)
            return replace(instruction, state=state, checker=by, history=lengthen(history, line))
        case TurnedDown(at, by, reason):
            state, line = State.REJECTED, Moment(at, "turned_down", by)
            return replace(instruction, state=state, reason=reason, history=lengthen(history, line))
        case Sent(at, is_repeat):
            return replace(
                instruction,
                state=State.SENT,
                sent=instruction.sent + 1,
                sent_at=at,
                absent_at=None,
                history=lengthen(history, Moment(at, "sent", "again" if is_repeat else "")),
            )
        case Heard(at, state, reference, reason):
            return replace(
                instruction,
                state=state,
                bank_reference=reference or instruction.bank_reference,
                reason=reason or instruction.reason,
                absent_at=None,
                history=lengthen(history, Moment(at, state, reason or "")),
            )
        case Absent(at):
            line = Moment(at, "absent")
            return replace(instruction, absent_at=at, history=lengthen(history, line))
        case Disputed(at, said):
            line = Moment(at, "disputed", said)
            return replace(instruction, disputed=True, history=lengthen(history, line))


def booked(instruction: Instruction, event: InstructionEvent) -> tuple[str, Postings] | None:
    """What an event does to the books: (the step, postings), or None. `instruction`: before it.

    The entry is about the instruction: `entries.entry_id(instruction.id, step)`.
    """
    party, amount, fee = instruction.party, instruction.amount, instruction.fee
    match event:
        case Sent(is_repeat=False) if not instruction.is_held:
            return entries.SENT, entries.held(party, instruction.total)
        case TurnedDown() if instruction.is_held:
            return entries.REJECTED, entries.let_go(party, instruction.total)
        case Heard(state=State.PAID):
            return entries.PAID, entries.paid(instruction.custody, party, amount, fee)
        case Heard(state=State.RETURNED, was_paid=True):
            return entries.RETURNED, entries.returned(instruction.custody, party, amount, fee)
        case Heard(state=State.REJECTED | State.RETURNED):
            return entries.REJECTED, entries.let_go(party, instruction.total)
    return None


def blocks(event: InstructionEvent) -> bool:
    """Whether the party's payouts wait from now on until its bank account is confirmed anew."""
    return isinstance(event, Heard) and event.state in BACK


def unpaid(owed: Mapping[str, int], instructions: Iterable[Instruction]) -> dict[str, int]:
    """What of each batch no instruction pays or has paid. `owed`: batch -> minor units."""
    left = dict(owed)
    for each in instructions:
        if each.state not in BACK:
            for batch, minor in each.parts:
                left[batch] = left.get(batch, 0) - minor
    return left
