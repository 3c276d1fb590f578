"""camt.054.001.08, BankToCustomerDebitCreditNotification: what moved on an account, as it moves.

Source: ISO 20022 message definition report, bank-to-customer cash management. One notification
(`Ntfctn`) a movement, each with the movement's number in the order of the account
(`ElctrncSeqNb`), so that a reader sees a gap.
"""

from typing import Final

from msgspec import Struct

from payments.iso20022 import entries, fields
from payments.iso20022.entries import Entry
from payments.iso20022.fields import ACCOUNT_MAX, must
from payments.iso20022.trees import (
    ITEMS_MAX,
    Element,
    branch,
    leaf,
    many,
    one,
    read,
    refuse,
    write,
)

NAME: Final = "camt.054.001.08"
NAMESPACE: Final = f"urn:iso:std:iso:20022:tech:xsd:{NAME}"


class Notice(Struct, frozen=True):
    """1 to 10 000 movements of one account, their numbers without a gap."""

    message_id: str
    created_ms: int
    account: str
    entries: tuple[Entry, ...]

    def __post_init__(self) -> None:
        must(fields.is_id(self.message_id), "this message id")
        must(fields.is_instant(self.created_ms), "this instant")
        must(fields.is_text(self.account, ACCOUNT_MAX), "this account")
        must(1 <= len(self.entries) <= ITEMS_MAX, f"other than 1 to {ITEMS_MAX} movements")
        must(is_unbroken(self.entries), "movements with a gap between them")


def is_unbroken(movements: tuple[Entry, ...]) -> bool:
    """Whether each movement's number is one more than that of the one before."""
    if not movements:
        return True
    first = movements[0].sequence
    return all(each.sequence == first + at for at, each in enumerate(movements))


def encode(notice: Notice) -> bytes:
    header = branch(
        "GrpHdr",
        leaf("MsgId", notice.message_id),
        fields.instant("CreDtTm", notice.created_ms),
    )
    told = [_told(notice, entry) for entry in notice.entries]
    return write(branch("BkToCstmrDbtCdtNtfctn", header, *told), NAMESPACE)


def _told(notice: Notice, entry: Entry) -> Element:
    return branch(
        "Ntfctn",
        leaf("Id", entry.reference),
        leaf("ElctrncSeqNb", str(entry.sequence)),
        fields.instant("CreDtTm", notice.created_ms),
        entries.account(notice.account, entry.currency),
        entries.encode(entry),
    )


def decode(message: bytes) -> Notice:
    """The movements in a message. Raise MessageRefused."""
    root = read(message, NAMESPACE)
    if root.name != "BkToCstmrDbtCdtNtfctn":
        refuse(root, "is not a notification")
    header, told = one(root, "GrpHdr"), many(root, "Ntfctn")
    account = entries.account_of(told[0])
    movements = []
    for each in told:
        if entries.account_of(each) != account:
            refuse(each, "is about another account than the first")
        entry = entries.decode(one(each, "Ntry"))
        if fields.count_at(each, "ElctrncSeqNb") != entry.sequence:
            refuse(each, "has another number than its movement")
        movements.append(entry)
    return Notice(
        message_id=fields.id_at(header, "MsgId"),
        created_ms=fields.instant_at(header, "CreDtTm"),
        account=account,
        entries=tuple(movements),
    )
