"""pain.002.001.12, CustomerPaymentStatusReport: what became of an order, item by item.

Source: ISO 20022 message definition report, payments initiation; the published schema; external
code lists for states (ACSC, RJCT, …) and reasons (AC04, AM04, …). The standard has no state for
money that was paid and came back: that is news of the account (camt.054). Our bank says it here
too, as ACSC with two reasons: the proprietary `RETURNED`, and the code of the return.
"""

from typing import Final

from msgspec import Struct

from payments.iso20022 import fields
from payments.iso20022.fields import DETAIL_MAX, must
from payments.iso20022.trees import (
    ITEMS_MAX,
    Element,
    branch,
    leaf,
    many,
    maybe,
    maybe_down,
    nested,
    one,
    read,
    refuse,
    write,
)
from payments.money import Currency

NAME: Final = "pain.002.001.12"
NAMESPACE: Final = f"urn:iso:std:iso:20022:tech:xsd:{NAME}"
RETURNED: Final = "RETURNED"

REASONS_MAX: Final = 8
"""Reasons of one item that are looked at."""


class ItemStatus(Struct, frozen=True):
    """One payment as the bank has it. `status`: ACSC, ACSP, PDNG, RJCT, …

    `reason`: a code, empty for none; `is_returned`: paid, and come back for that reason.
    `bank_reference`: the bank's number for it. `amount_minor`: what the order said.
    """

    end_to_end_id: str
    status: str
    amount_minor: int
    reason: str = ""
    detail: str = ""
    bank_reference: str = ""
    is_returned: bool = False
    currency: Currency = Currency.CNY

    def __post_init__(self) -> None:
        must(fields.is_id(self.end_to_end_id), "this EndToEndId")
        must(fields.is_code(self.status), "this status")
        must(self.amount_minor > 0, "this amount")
        _check_reason(self.reason, self.detail)
        must(not self.bank_reference or fields.is_id(self.bank_reference), "this reference")
        must(not self.is_returned or bool(self.reason), "a return without a reason")


class StatusReport(Struct, frozen=True):
    """A report about one order, or about a message that was refused whole (then no items).

    `original_id`: the order's message id; NOTPROVIDED where it could not be read.
    `payment_id`: the order's block, needed where there are items.
    """

    message_id: str
    created_ms: int
    original_id: str
    original_name: str
    group_status: str
    payment_id: str = ""
    reason: str = ""
    detail: str = ""
    items: tuple[ItemStatus, ...] = ()

    def __post_init__(self) -> None:
        must(fields.is_id(self.message_id), "this message id")
        must(fields.is_instant(self.created_ms), "this instant")
        must(fields.is_id(self.original_id), "this original id")
        must(fields.is_id(self.original_name), "the name of the original message")
        must(fields.is_code(self.group_status), "this status")
        _check_reason(self.reason, self.detail)
        must(bool(self.payment_id) == bool(self.items), "items without a payment id")
        must(not self.payment_id or fields.is_id(self.payment_id), "this payment id")
        must(len(self.items) <= ITEMS_MAX, f"more than {ITEMS_MAX} items")


def _check_reason(reason: str, detail: str) -> None:
    must(not reason or fields.is_code(reason), "this reason")
    must(not detail or (bool(reason) and fields.is_text(detail, DETAIL_MAX)), "this detail")


def encode(report: StatusReport) -> bytes:
    header = branch(
        "GrpHdr",
        leaf("MsgId", report.message_id),
        fields.instant("CreDtTm", report.created_ms),
    )
    group = branch(
        "OrgnlGrpInfAndSts",
        leaf("OrgnlMsgId", report.original_id),
        leaf("OrgnlMsgNmId", report.original_name),
        leaf("GrpSts", report.group_status),
        *_reasons(report.reason, report.detail),
    )
    block = None
    if report.items:
        block = branch(
            "OrgnlPmtInfAndSts",
            leaf("OrgnlPmtInfId", report.payment_id),
            *map(_item, report.items),
        )
    return write(branch("CstmrPmtStsRpt", header, group, block), NAMESPACE)


def _item(item: ItemStatus) -> Element:
    reference = leaf("AcctSvcrRef", item.bank_reference) if item.bank_reference else None
    returned = [nested("StsRsnInf/Rsn", leaf("Prtry", RETURNED))] if item.is_returned else []
    amount = fields.amount("InstdAmt", item.amount_minor, item.currency)
    return branch(
        "TxInfAndSts",
        leaf("OrgnlEndToEndId", item.end_to_end_id),
        leaf("TxSts", item.status),
        *returned,
        *_reasons(item.reason, item.detail),
        reference,
        nested("OrgnlTxRef/Amt", amount),
    )


def _reasons(reason: str, detail: str) -> list[Element]:
    if not reason:
        return []
    said = leaf("AddtlInf", detail) if detail else None
    return [branch("StsRsnInf", nested("Rsn", leaf("Cd", reason)), said)]


def decode(message: bytes) -> StatusReport:
    """The report in a message. Raise MessageRefused."""
    root = read(message, NAMESPACE)
    if root.name != "CstmrPmtStsRpt":
        refuse(root, "is not a status report")
    header, group = one(root, "GrpHdr"), one(root, "OrgnlGrpInfAndSts")
    reason, detail, _ = _read_reasons(group)
    block = maybe(root, "OrgnlPmtInfAndSts")
    items: tuple[ItemStatus, ...] = ()
    if block is not None:
        items = tuple(_read_item(element) for element in many(block, "TxInfAndSts"))
    return StatusReport(
        message_id=fields.id_at(header, "MsgId"),
        created_ms=fields.instant_at(header, "CreDtTm"),
        original_id=fields.id_at(group, "OrgnlMsgId"),
        original_name=fields.id_at(group, "OrgnlMsgNmId"),
        group_status=fields.code_at(group, "GrpSts"),
        payment_id="" if block is None else fields.id_at(block, "OrgnlPmtInfId"),
        reason=reason,
        detail=detail,
        items=items,
    )


def _read_item(element: Element) -> ItemStatus:
    reason, detail, is_returned = _read_reasons(element)
    minor, currency = fields.amount_at(_amounts(element), "InstdAmt")
    return ItemStatus(
        end_to_end_id=fields.id_at(element, "OrgnlEndToEndId"),
        status=fields.code_at(element, "TxSts"),
        amount_minor=minor,
        reason=reason,
        detail=detail,
        bank_reference=fields.maybe_id(element, "AcctSvcrRef"),
        is_returned=is_returned,
        currency=currency,
    )


def _amounts(element: Element) -> Element:
    found = maybe_down(element, "OrgnlTxRef/Amt")
    if found is None:
        refuse(element, "does not say the amount of its order")
    return found


def _read_reasons(parent: Element) -> tuple[str, str, bool]:
    """The first code with its sentence, and whether the money came back."""
    reason, detail, is_returned = "", "", False
    for each in many(parent, "StsRsnInf", REASONS_MAX, count_min=0):
        if fields.maybe_text(each, "Rsn/Prtry", fields.ID_MAX) == RETURNED:
            is_returned = True
        if not reason and maybe_down(each, "Rsn/Cd") is not None:
            reason = fields.code_at(each, "Rsn/Cd")
            said = [child for child in each.children if child.name == "AddtlInf"][:1]
            detail = fields.maybe_text(branch("StsRsnInf", *said), "AddtlInf", DETAIL_MAX)
    return reason, detail, is_returned
