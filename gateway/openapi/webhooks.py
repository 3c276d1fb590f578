"""Webhooks: every type of event, as it is sent by Standard Webhooks 1.0."""

from collections.abc import Iterator
from typing import Any, Final

from msgspec import Struct
from msgspec.json import decode, encode

from gateway.modules import MODULES, is_told
from gateway.openapi import examples, examples_home, examples_reconciliation
from gateway.openapi.operation import WEBHOOKS
from gateway.openapi.schemas import PREFIX, Schema, name_of, ref
from payments.clearing.view import ClearingBatchView
from payments.reconciliation.notices import ReconciliationNoticeView, ReconciliationSummaryView
from payments.settlement.view import SettlementInstructionView, WithdrawalView
from payments.splitting.escrow import ReleaseView
from payments.view import EVENT_LETTER, PaymentView, RefundView, SplitView, event_json

TEXTS: Final = {
    "payment.succeeded": "The payment is paid.",
    "payment.failed": "The payment was declined or refused; no money moved.",
    "payment.reversed": "It was unclear at the deadline and is undone at the channel.",
    "payment.closed": "Its code ended unpaid.",
    "payment.overdue": "The verdict is late: `verdict_by` has passed. Another event will follow.",
    "payment.late_success": "It turned out paid after it had ended unpaid; a refund is on its way.",
    "refund.succeeded": "The money went back.",
    "refund.failed": "The money did not go back. `failure` says why.",
    "split.sent": "The channel that holds the money was asked to pay this part.",
    "split.settled": "The channel has paid the part to its receiver.",
    "split.failed": "The channel cannot pay the part: it is the merchant's.",
    "split.returned": "Refunds have taken back all of the part, wherever its money was.",
    "split.released": "A part of what was held of a payment was let go: the release.",
    "split.expired": "The time of what was held was over, and it was let go: the release.",
    "clearing_batch.filed": "A batch is added up and booked: its figures will not change.",
    "clearing_batch.closed": "Receivers' shares of a batch have arrived at their homes.",
    "settlement.sent": "An instruction is on its way to the bank.",
    "settlement.paid": "The bank has paid it.",
    "settlement.rejected": "It was turned down, here or by the bank: the money is available again.",
    "settlement.returned": "It was paid and came back: confirm the bank account anew.",
    "settlement.unknown": "The bank was asked and did not answer. It is asked again.",
    "withdrawal.in_review": "A person looks at the withdrawal first.",
    "withdrawal.in_transit": "It is on its way to the bank account.",
    "withdrawal.paid": "The bank has paid it.",
    "withdrawal.rejected": "It was refused, or the bank rejected it: the money is available again.",
    "withdrawal.returned": "It was paid and came back: the money is available again.",
    "withdrawal.unknown": "The bank did not say what became of it. It is asked again.",
    "reconciliation.finished": "A bill was compared, and some of it is about your payments.",
    "reconciliation.opened": "A payment or refund is different in the channel's bill.",
    "reconciliation.resolved": "That difference has ended.",
}

EVENTS: Final = {**examples.EVENTS, **examples_home.EVENTS, **examples_reconciliation.EVENTS}

HEADERS: Final = {
    "webhook-id": (
        "The event's id. The same for every attempt: drop what you know already.",
        {"type": "string", "examples": [f"evt_{examples.PAYMENT[4:]}S"]},
    ),
    "webhook-timestamp": (
        "When it was sent, in seconds since 1970. Refuse what is older than five minutes.",
        {"type": "string", "pattern": "^[0-9]+$", "examples": ["1795234351"]},
    ),
    "webhook-signature": (
        "`v1,` and base64 of HMAC-SHA256 over `id.timestamp.body`, keyed with the decoded part of "
        "the secret after `whsec_`. Several, parted by spaces, while a secret is being rolled.",
        {"type": "string"},
    ),
}


SHAPES: Final[dict[str, type[Struct]]] = {
    "payment": PaymentView,
    "refund": RefundView,
    "split": SplitView,
    "split.released": ReleaseView,
    "split.expired": ReleaseView,
    "clearing_batch": ClearingBatchView,
    "settlement": SettlementInstructionView,
    "withdrawal": WithdrawalView,
    "reconciliation": ReconciliationNoticeView,
    "reconciliation.finished": ReconciliationSummaryView,
}
"""By an event's type, or what it begins with: what its `data` is."""


def shape_of(kind: str) -> type[Struct]:
    """The struct of an event's `data`."""
    return SHAPES.get(kind) or SHAPES[kind.partition(".")[0]]


def shapes(modules: tuple[str, ...]) -> Iterator[type[Struct]]:
    """What events that can happen with these modules carry."""
    return (shape_of(kind) for kind in EVENT_LETTER if is_told(kind, modules))


def schemas() -> dict[str, Schema]:
    """PaymentEvent, RefundEvent and their like."""
    return {
        f"{name_of(shape)}Event": {
            "description": f"Something happened to a {name_of(shape).lower()}.",
            "type": "object",
            "properties": {
                "type": {
                    "type": "string",
                    "enum": [kind for kind in EVENT_LETTER if shape_of(kind) is shape],
                    "description": "What happened.",
                },
                "timestamp": {
                    "type": "string", "format": "date-time", "description": "When it happened.",
                },
                "data": {**ref(shape), "description": "The object, as the API shows it."},
            },
            "required": ["type", "timestamp", "data"],
        }
        for shape in SHAPES.values()
    }  # fmt: skip


def webhooks(modules: tuple[str, ...] = MODULES) -> Schema:
    """One entry for each type of event that can happen with these modules."""
    return {kind: {"post": _operation(kind)} for kind in EVENT_LETTER if is_told(kind, modules)}


def _operation(kind: str) -> Schema:
    shape = shape_of(kind)
    schema = {
        "allOf": [
            {"$ref": f"{PREFIX}{name_of(shape)}Event"},
            {"properties": {"type": {"const": kind}}},
        ]
    }
    return {
        "operationId": "on" + "".join(part.title() for part in kind.replace("_", ".").split(".")),
        "tags": [WEBHOOKS],
        "summary": kind,
        "description": TEXTS[kind],
        "parameters": [
            {
                "name": name,
                "in": "header",
                "required": True,
                "description": text,
                "schema": schema_of_header,
            }
            for name, (text, schema_of_header) in HEADERS.items()
        ],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": schema, "example": _example(kind)}},
        },
        "responses": {
            "2XX": {"description": "Taken. Anything else is tried again."},
            "410": {"description": "Never again: the endpoint is disabled."},
        },
        "security": [],
    }


def _example(kind: str) -> Any:
    return decode(event_json(kind, examples.AT_MS + 412, encode(EVENTS[kind])))
