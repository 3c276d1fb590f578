"""One booked movement of an account, as camt.054 and camt.053 say it (`Ntry`).

Source: ISO 20022 message definition report, bank-to-customer cash management, version 8 of both
messages. We write one movement an entry and one payment a movement, and read no other: a batch
booking without its items could not be matched to anything.
"""

from enum import StrEnum
from typing import Final

from msgspec import Struct

from payments.iso20022 import fields
from payments.iso20022.fields import ACCOUNT_MAX, NAME_MAX, REMITTANCE_MAX, must
from payments.iso20022.trees import (
    Element,
    branch,
    leaf,
    maybe,
    nested,
    one,
    refuse,
)
from payments.money import Currency

CREDIT: Final = "CRDT"
DEBIT: Final = "DBIT"
BOOKED: Final = "BOOK"


class Kind(StrEnum):
    """What a movement is. `return`: money of an earlier payout that came back."""

    PAYOUT = "payout"
    CREDIT = "credit"
    RETURN = "return"


_FAMILIES: Final = {
    Kind.PAYOUT: ("ICDT", "DMCT"),
    Kind.CREDIT: ("RCDT", "DMCT"),
    Kind.RETURN: ("ICDT", "RRTN"),
}
"""Family and subfamily in the domain of payments: issued, received, returned credit transfers."""
_INTERNAL: Final = {DEBIT: ("MDOP", "OTHR"), CREDIT: ("MCOP", "OTHR")}
"""The same for what moves between the accounts of one customer: miscellaneous operations."""


class Entry(Struct, frozen=True):
    """One movement. `amount_minor` from 1; `booked_ms`: business ms; `value_on`: yyyymmdd.

    `sequence`: 1, 2, 3, … of this account, without gaps. `reference`: the bank's own number.
    `end_to_end_id`: ours for a payout and its return, the sender's for a credit; `message_id`: of
    the order that a payout or return belongs to. `return_reason`: a code, set for a return alone.
    `is_internal`: between accounts of the same customer, such as a freeze; a payout or a credit.
    """

    sequence: int
    kind: Kind
    amount_minor: int
    booked_ms: int
    value_on: int
    reference: str
    end_to_end_id: str
    counterparty_name: str
    message_id: str = ""
    counterparty_account: str = ""
    remittance: str = ""
    return_reason: str = ""
    currency: Currency = Currency.CNY
    is_internal: bool = False

    def __post_init__(self) -> None:
        must(self.sequence > 0, "this sequence number")
        must(self.amount_minor > 0, "this amount")
        must(fields.is_instant(self.booked_ms), "this instant")
        must(fields.is_day(self.value_on), "this day")
        must(fields.is_id(self.reference), "this reference")
        must(fields.is_id(self.end_to_end_id), "this EndToEndId")
        must(not self.message_id or fields.is_id(self.message_id), "this message id")
        must(fields.is_text(self.counterparty_name, NAME_MAX), "the name of the other party")
        other = self.counterparty_account
        must(not other or fields.is_text(other, ACCOUNT_MAX), "the account of the other party")
        text = self.remittance
        must(not text or fields.is_text(text, REMITTANCE_MAX), "this remittance text")
        must((self.kind is Kind.RETURN) == bool(self.return_reason), "this reason of a return")
        must(not (self.is_internal and self.return_reason), "a return within one's own accounts")
        must(not self.return_reason or fields.is_code(self.return_reason), "this reason")

    @property
    def signed_minor(self) -> int:
        """What the movement does to the balance."""
        return -self.amount_minor if self.kind is Kind.PAYOUT else self.amount_minor


def encode(entry: Entry) -> Element:
    """The element `Ntry`."""
    amount = fields.amount("Amt", entry.amount_minor, entry.currency)
    side = DEBIT if entry.kind is Kind.PAYOUT else CREDIT
    indicator = leaf("CdtDbtInd", side)
    family, subfamily = _INTERNAL[side] if entry.is_internal else _FAMILIES[entry.kind]
    code = nested(
        "BkTxCd",
        branch(
            "Domn",
            leaf("Cd", "PMNT"),
            branch("Fmly", leaf("Cd", family), leaf("SubFmlyCd", subfamily)),
        ),
    )
    references = branch(
        "Refs",
        leaf("MsgId", entry.message_id) if entry.message_id else None,
        leaf("AcctSvcrRef", entry.reference),
        leaf("EndToEndId", entry.end_to_end_id),
    )
    text, reason = entry.remittance, entry.return_reason
    details = branch(
        "TxDtls",
        references,
        amount,
        indicator,
        _parties(entry),
        nested("RmtInf", leaf("Ustrd", text)) if text else None,
        nested("RtrInf/Rsn", leaf("Cd", reason)) if reason else None,
    )
    return branch(
        "Ntry",
        leaf("NtryRef", str(entry.sequence)),
        amount,
        indicator,
        nested("Sts", leaf("Cd", BOOKED)),
        nested("BookgDt", fields.instant("DtTm", entry.booked_ms)),
        nested("ValDt", fields.day("Dt", entry.value_on)),
        leaf("AcctSvcrRef", entry.reference),
        code,
        nested("NtryDtls", details),
    )


def _parties(entry: Entry) -> Element:
    """A return names whom the payout was for; a credit, who sent it."""
    role = "Dbtr" if entry.kind is Kind.CREDIT else "Cdtr"
    other = entry.counterparty_account
    return branch(
        "RltdPties",
        nested(f"{role}/Pty", leaf("Nm", entry.counterparty_name)),
        fields.account(f"{role}Acct", other) if other else None,
    )


def decode(element: Element) -> Entry:
    """The movement in an `Ntry`. Raise MessageRefused."""
    if fields.text_at(element, "Sts/Cd", 4) != BOOKED:
        refuse(element, "is not booked")
    if maybe(element, "RvslInd") is not None:
        refuse(element, "is a reversal by the bank, which is not served here")
    details = one(one(element, "NtryDtls"), "TxDtls")
    minor, currency = fields.amount_at(element, "Amt")
    if maybe(details, "Amt") is not None and fields.amount_at(details, "Amt") != (minor, currency):
        refuse(element, "has an amount that is not that of its payment")
    reason = ""
    if maybe(details, "RtrInf") is not None:
        reason = fields.code_at(details, "RtrInf/Rsn/Cd")
    kind = _kind(element, is_return=bool(reason))
    role = "Dbtr" if kind is Kind.CREDIT else "Cdtr"
    parties = one(details, "RltdPties")
    has_account = maybe(parties, f"{role}Acct") is not None
    family = fields.maybe_text(element, "BkTxCd/Domn/Fmly/Cd", 4)
    return Entry(
        sequence=fields.count_at(element, "NtryRef"),
        kind=kind,
        amount_minor=minor,
        booked_ms=fields.instant_at(element, "BookgDt/DtTm"),
        value_on=fields.day_at(element, "ValDt/Dt"),
        reference=fields.id_at(element, "AcctSvcrRef"),
        end_to_end_id=fields.id_at(details, "Refs/EndToEndId"),
        counterparty_name=fields.text_at(parties, f"{role}/Pty/Nm", NAME_MAX),
        message_id=fields.maybe_id(details, "Refs/MsgId"),
        counterparty_account=fields.account_at(parties, f"{role}Acct") if has_account else "",
        remittance=fields.maybe_text(details, "RmtInf/Ustrd", REMITTANCE_MAX),
        return_reason=reason,
        currency=currency,
        is_internal=family in ("MCOP", "MDOP") and not reason,
    )


def _kind(element: Element, *, is_return: bool) -> Kind:
    said = fields.text_at(element, "CdtDbtInd", 4)
    if said == CREDIT:
        return Kind.RETURN if is_return else Kind.CREDIT
    if said != DEBIT or is_return:
        refuse(element, "says neither that money came nor that it left")
    return Kind.PAYOUT


def account_of(parent: Element) -> str:
    """The account that a notification or a statement is about."""
    return fields.account_at(parent, "Acct")


def account(number: str, currency: Currency) -> Element:
    """`Acct` with its currency."""
    made = fields.account("Acct", number)
    made.children.append(leaf("Ccy", currency.upper()))
    return made
