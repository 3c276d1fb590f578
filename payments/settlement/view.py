"""Instructions, withdrawals, freezes and advances as the API shows them.

Amounts in minor units. Of `merchant` and `receiver`, one says whose money it is.
"""

from typing import Final

from msgspec import Struct
from msgspec.json import Encoder

from payments.calendar import rfc3339
from payments.settlement.accounts import BankAccount
from payments.settlement.entries import RECEIVER_PREFIX
from payments.settlement.holds import Advance, Freeze
from payments.settlement.instruction import Instruction
from payments.settlement.withdrawal import Withdrawal

MASK: Final = "****"
NUMBER_SHOWN: Final = 4
"""Last characters of an account number that are shown."""

WITHDRAWAL_PREFIX: Final = "wdr_"

_encode: Final = Encoder().encode


class BeneficiaryView(Struct, gc=False):
    """Where the money goes: a registered account, its number by its last four characters."""

    account: str
    name: str
    number: str
    bank: str


class PartOfBatchView(Struct, gc=False):
    """How much of a batch an instruction pays."""

    batch: str
    amount: int


class SettlementInstructionView(Struct, gc=False):
    """An instruction to the bank. `number`: its EndToEndId, by which the bank is asked."""

    id: str
    object: str
    created: str
    livemode: bool
    merchant: str | None
    receiver: str | None
    withdrawal: str | None
    parts: tuple[PartOfBatchView, ...]
    beneficiary: BeneficiaryView | None
    amount: int
    currency: str
    fee: int
    status: str
    number: str
    bank_reference: str | None
    reason: str | None
    disputed: bool
    maker: str
    checker: str | None
    sent_at: str | None
    metadata: dict[str, str]


class WithdrawalView(Struct, gc=False):
    """Money on its way out. `amount` arrives; `fee` is taken beside it, if the bank pays."""

    id: str
    object: str
    created: str
    livemode: bool
    merchant: str | None
    receiver: str | None
    amount: int
    currency: str
    fee: int
    status: str
    business_date: int
    requested_by: str
    reviewer: str | None
    reason: str | None
    metadata: dict[str, str]


class FreezeView(Struct, gc=False):
    """Money that is held for a reason."""

    id: str
    object: str
    created: str
    livemode: bool
    merchant: str | None
    receiver: str | None
    amount: int
    currency: str
    status: str
    reason: str
    frozen_by: str
    released_at: str | None
    released_by: str | None
    release_reason: str | None
    metadata: dict[str, str]


class AdvanceView(Struct, gc=False):
    """A funder's money for one party, until its credit is there. `released`: became available."""

    id: str
    object: str
    created: str
    livemode: bool
    merchant: str | None
    receiver: str | None
    funder: str
    amount: int
    released: int
    currency: str
    status: str
    repaid_at: str | None
    metadata: dict[str, str]


def instruction_json(paying: Instruction, account: BankAccount | None, livemode: bool) -> bytes:
    """The settlement instruction object. `account`: the registered one that it names."""
    merchant, receiver = _whose(paying.party)
    beneficiary = None
    if account is not None:
        number = MASK + account.number[-NUMBER_SHOWN:]
        beneficiary = BeneficiaryView(account.id, account.name, number, account.bank)
    return _encode(
        SettlementInstructionView(
            paying.id,
            "settlement_instruction",
            rfc3339(paying.drafted_at),
            livemode,
            merchant,
            receiver,
            paying.source if paying.source.startswith(WITHDRAWAL_PREFIX) else None,
            tuple(PartOfBatchView(batch, amount) for batch, amount in paying.parts),
            beneficiary,
            paying.amount,
            paying.currency,
            paying.fee,
            paying.state.value,
            paying.number,
            paying.bank_reference,
            paying.reason,
            paying.disputed,
            paying.maker,
            paying.checker,
            rfc3339(paying.sent_at) if paying.sent_at else None,
            {},
        )
    )


def withdrawal_json(withdrawal: Withdrawal, livemode: bool) -> bytes:
    """The withdrawal object."""
    merchant, receiver = _whose(withdrawal.party)
    return _encode(
        WithdrawalView(
            withdrawal.id,
            "withdrawal",
            rfc3339(withdrawal.requested_at),
            livemode,
            merchant,
            receiver,
            withdrawal.amount,
            withdrawal.currency,
            withdrawal.fee,
            withdrawal.status.value,
            withdrawal.date,
            withdrawal.requested_by,
            withdrawal.reviewer,
            withdrawal.reason,
            withdrawal.metadata,
        )
    )


def freeze_json(freeze: Freeze, livemode: bool) -> bytes:
    """The freeze object."""
    merchant, receiver = _whose(freeze.party)
    return _encode(
        FreezeView(
            freeze.id,
            "freeze",
            rfc3339(freeze.at),
            livemode,
            merchant,
            receiver,
            freeze.amount,
            freeze.currency,
            "frozen" if freeze.thawed_at is None else "released",
            freeze.reason,
            freeze.by,
            _instant(freeze.thawed_at),
            freeze.thawed_by,
            freeze.thaw_reason,
            freeze.metadata,
        )
    )


def advance_json(advance: Advance, livemode: bool) -> bytes:
    """The advance object."""
    merchant, receiver = _whose(advance.party)
    return _encode(
        AdvanceView(
            advance.id,
            "advance",
            rfc3339(advance.at),
            livemode,
            merchant,
            receiver,
            advance.funder,
            advance.amount,
            advance.released,
            advance.currency,
            "advanced" if advance.repaid_at is None else "repaid",
            _instant(advance.repaid_at),
            advance.metadata,
        )
    )


def _whose(party: str) -> tuple[str | None, str | None]:
    """(merchant, receiver): one of them is the party."""
    return (None, party) if party.startswith(RECEIVER_PREFIX) else (party, None)


def _instant(ms: int | None) -> str | None:
    return None if ms is None else rfc3339(ms)
