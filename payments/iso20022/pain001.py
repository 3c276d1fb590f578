"""pain.001.001.09, CustomerCreditTransferInitiation: pay these, from this account, on this day.

Source: ISO 20022 message definition report, payments initiation; the published schema. We build one
payment information block in a message, and read messages of one block. An order is carried out
only when all of it is understood: elements that we do not know are refused, and so are counts and
sums that are not those of the items.
"""

from typing import Final

from msgspec import Struct

from payments.iso20022 import fields
from payments.iso20022.fields import ACCOUNT_MAX, NAME_MAX, REMITTANCE_MAX, must
from payments.iso20022.trees import (
    ITEMS_MAX,
    Element,
    MessageRefused,
    branch,
    down,
    leaf,
    many,
    maybe,
    nested,
    one,
    only,
    read,
    refuse,
    write,
)
from payments.money import AMOUNT_MAX, Currency

NAME: Final = "pain.001.001.09"
NAMESPACE: Final = f"urn:iso:std:iso:20022:tech:xsd:{NAME}"

_HEADER: Final = ("MsgId", "CreDtTm", "NbOfTxs", "CtrlSum", "InitgPty")
_BLOCK: Final = (
    *("PmtInfId", "PmtMtd", "BtchBookg", "NbOfTxs", "CtrlSum", "PmtTpInf", "ReqdExctnDt", "Dbtr"),
    *("DbtrAcct", "DbtrAgt", "ChrgBr", "CdtTrfTxInf"),
)
_ITEM: Final = (
    *("PmtId", "PmtTpInf", "Amt", "ChrgBr", "CdtrAgt", "Cdtr", "CdtrAcct", "Purp", "RmtInf"),
)
"""Service levels, purposes and who bears the charges are read over: the bank has one of each."""


class CreditTransfer(Struct, frozen=True):
    """One payment. `amount_minor` from 1; `creditor_agent`: a BIC, twelve digits, or empty."""

    end_to_end_id: str
    amount_minor: int
    creditor_name: str
    creditor_account: str
    creditor_agent: str = ""
    remittance: str = ""

    def __post_init__(self) -> None:
        must(fields.is_id(self.end_to_end_id), "this EndToEndId")
        must(0 < self.amount_minor <= AMOUNT_MAX, "this amount")
        must(fields.is_text(self.creditor_name, NAME_MAX), "the name of a creditor")
        must(fields.is_text(self.creditor_account, ACCOUNT_MAX), "the account of a creditor")
        must(not self.creditor_agent or fields.is_id(self.creditor_agent), "a creditor's bank")
        text = self.remittance
        must(not text or fields.is_text(text, REMITTANCE_MAX), "this remittance text")


class PaymentOrder(Struct, frozen=True):
    """A message: 1 to 10 000 payments of one account on one day.

    `execution_on`: yyyymmdd. `created_ms`: part of the message, so that it is the same bytes
    whenever it is built again. Raise MessageRefused for what no message can say.
    """

    message_id: str
    created_ms: int
    initiator: str
    payment_id: str
    execution_on: int
    debtor_name: str
    debtor_account: str
    debtor_agent: str
    items: tuple[CreditTransfer, ...]
    currency: Currency = Currency.CNY

    def __post_init__(self) -> None:
        must(fields.is_id(self.message_id), "this message id")
        must(fields.is_id(self.payment_id), "this payment id")
        must(fields.is_text(self.initiator, NAME_MAX), "the name of the initiator")
        must(fields.is_text(self.debtor_name, NAME_MAX), "the name of the debtor")
        must(fields.is_text(self.debtor_account, ACCOUNT_MAX), "the account of the debtor")
        must(not self.debtor_agent or fields.is_id(self.debtor_agent), "the bank of the debtor")
        must(fields.is_instant(self.created_ms), "this instant")
        must(fields.is_day(self.execution_on), "this day")
        must(1 <= len(self.items) <= ITEMS_MAX, f"other than 1 to {ITEMS_MAX} payments")
        numbers = {item.end_to_end_id for item in self.items}
        must(len(numbers) == len(self.items), "an EndToEndId twice")

    @property
    def total_minor(self) -> int:
        """The control sum."""
        return sum(item.amount_minor for item in self.items)


def encode(order: PaymentOrder) -> bytes:
    """The message; the same bytes for the same order."""
    count = leaf("NbOfTxs", str(len(order.items)))
    total = leaf("CtrlSum", fields.decimal(order.total_minor, order.currency))
    header = branch(
        "GrpHdr",
        leaf("MsgId", order.message_id),
        fields.instant("CreDtTm", order.created_ms),
        count,
        total,
        nested("InitgPty", leaf("Nm", order.initiator)),
    )
    block = branch(
        "PmtInf",
        leaf("PmtInfId", order.payment_id),
        leaf("PmtMtd", "TRF"),
        count,
        total,
        nested("ReqdExctnDt", fields.day("Dt", order.execution_on)),
        nested("Dbtr", leaf("Nm", order.debtor_name)),
        fields.account("DbtrAcct", order.debtor_account),
        fields.agent("DbtrAgt", order.debtor_agent),
        *(_item(item, order.currency) for item in order.items),
    )
    return write(branch("CstmrCdtTrfInitn", header, block), NAMESPACE)


def _item(item: CreditTransfer, currency: Currency) -> Element:
    agent = fields.agent("CdtrAgt", item.creditor_agent) if item.creditor_agent else None
    text = nested("RmtInf", leaf("Ustrd", item.remittance)) if item.remittance else None
    return branch(
        "CdtTrfTxInf",
        nested("PmtId", leaf("EndToEndId", item.end_to_end_id)),
        nested("Amt", fields.amount("InstdAmt", item.amount_minor, currency)),
        agent,
        nested("Cdtr", leaf("Nm", item.creditor_name)),
        fields.account("CdtrAcct", item.creditor_account),
        text,
    )


def decode(message: bytes) -> PaymentOrder:
    """The order in a message. Raise MessageRefused."""
    root = read(message, NAMESPACE)
    if root.name != "CstmrCdtTrfInitn":
        refuse(root, "is not a credit transfer initiation")
    only(root, "GrpHdr", "PmtInf")
    header, block = one(root, "GrpHdr"), one(root, "PmtInf")
    only(header, *_HEADER)
    only(block, *_BLOCK)
    method = fields.text_at(block, "PmtMtd", 3)
    if method != "TRF":
        refuse(block, "is not paid by transfer")
    read_items = [_read_item(element) for element in many(block, "CdtTrfTxInf")]
    currency = read_items[0][1]
    if any(other is not currency for _, other in read_items):
        refuse(block, "holds several currencies")
    order = PaymentOrder(
        message_id=fields.id_at(header, "MsgId"),
        created_ms=fields.instant_at(header, "CreDtTm"),
        initiator=_initiator(one(header, "InitgPty")),
        payment_id=fields.id_at(block, "PmtInfId"),
        execution_on=fields.day_at(block, "ReqdExctnDt/Dt"),
        debtor_name=fields.text_at(block, "Dbtr/Nm", NAME_MAX),
        debtor_account=fields.account_at(block, "DbtrAcct"),
        debtor_agent=fields.agent_at(block, "DbtrAgt"),
        items=tuple(item for item, _ in read_items),
        currency=currency,
    )
    down(block, "DbtrAgt/FinInstnId")
    for part in (header, block):
        _check_sums(part, order)
    return order


def _initiator(party: Element) -> str:
    """The initiator's name, or its id where it says no name."""
    if maybe(party, "Nm") is not None:
        return fields.text_at(party, "Nm", NAME_MAX)
    return fields.id_at(party, "Id/OrgId/Othr/Id")


def _read_item(element: Element) -> tuple[CreditTransfer, Currency]:
    only(element, *_ITEM)
    only(one(element, "PmtId"), "EndToEndId", "InstrId", "UETR")
    amounts = one(element, "Amt")
    only(amounts, "InstdAmt")
    minor, currency = fields.amount_at(amounts, "InstdAmt")
    text = maybe(element, "RmtInf")
    if text is not None:
        only(text, "Ustrd")
    item = CreditTransfer(
        end_to_end_id=fields.id_at(element, "PmtId/EndToEndId"),
        amount_minor=minor,
        creditor_name=fields.text_at(element, "Cdtr/Nm", NAME_MAX),
        creditor_account=fields.account_at(element, "CdtrAcct"),
        creditor_agent=fields.agent_at(element, "CdtrAgt"),
        remittance=fields.maybe_text(element, "RmtInf/Ustrd", REMITTANCE_MAX),
    )
    return item, currency


def _check_sums(part: Element, order: PaymentOrder) -> None:
    """Counts and sums, where a block says them, are those of the items."""
    is_header = part.name == "GrpHdr"
    if is_header or maybe(part, "NbOfTxs") is not None:
        count = fields.count_at(part, "NbOfTxs")
        if count != len(order.items):
            raise MessageRefused(f"NbOfTxs of {part.name} is not the number of payments")
    if maybe(part, "CtrlSum") is not None:
        total = fields.sum_at(part, "CtrlSum", order.currency)
        if total != order.total_minor:
            raise MessageRefused(f"CtrlSum of {part.name} is not the sum of the payments")


def message_id_of(message: bytes) -> str:
    """The id of a message that may be wrong elsewhere; empty where not even that can be read."""
    try:
        return fields.id_at(read(message, NAMESPACE), "GrpHdr/MsgId")
    except MessageRefused:
        return ""
