"""Payments that another gateway took, and their refunds: told to us, booked, never asked about."""

from datetime import datetime
from typing import Final

from actors.reported_messages import ReportPayment, ReportRefund
from gateway.auth import nonce_digest, require, require_merchant
from gateway.decode import decode
from gateway.edge import Reply
from gateway.handlers.payments import answered, list_of, partition_in, terms
from gateway.headers import check_content_type, idempotency_key
from gateway.lists import no_parameters
from gateway.routes import Call
from gateway.schemas import CreateReportedPayment, CreateReportedRefund
from payments.directory_access import owns_merchant
from payments.errors import InsufficientScope, NotFound, Overloaded
from payments.payment import REPORTED
from payments.reference import KeyOwner

PATIENCE_S: Final = 5.0


async def create(call: Call) -> Reply:
    """POST /v1/reported_payments"""
    door, caller = call.door, call.caller
    _require_office(call, "payments:write")
    check_content_type(call.headers, call.body)
    key = idempotency_key(call.headers)
    no_parameters(call.query)
    asked = decode(CreateReportedPayment, call.body)
    merchant = _merchant(call, asked.merchant)
    record = door.reference.merchant(merchant)
    if record is None:
        raise Overloaded("the merchant is not known here yet; try again", retry_after_s=1)
    digests = door.digests
    command = ReportPayment(
        0,
        door.mint.new("pay", door.clock.now_ms(), record.partition),
        merchant,
        digests.key(merchant, key),
        digests.fingerprint("POST", call.target, call.body),
        nonce_digest(caller),
        caller.nonce_created,
        asked.order_no,
        digests.order(merchant, asked.order_no),
        asked.channel_account,
        asked.channel_trade_no,
        # Auth codes are digits alone, so none can be taken for it.
        digests.auth(merchant, f"{asked.channel_account} {asked.channel_trade_no}"),
        asked.amount,
        asked.currency,
        asked.settle_amount,
        asked.fee,
        _ms(asked.paid_at),
        asked.way,
        asked.wallet,
        asked.store,
        asked.terminal,
        asked.operator,
        asked.subject,
        asked.order_ref,
        asked.metadata,
        terms(call, asked),
    )
    return answered(call, await door.ask(door.shard(record.partition), command, PATIENCE_S))


async def list_reported(call: Call) -> Reply:
    """GET /v1/reported_payments"""
    return await list_of(call, "reported_payment", {"entry": REPORTED})


async def refund(call: Call) -> Reply:
    """POST /v1/reported_payments/{id}/refunds"""
    door, caller = call.door, call.caller
    _require_office(call, "refunds:write")
    merchant = require_merchant(caller)
    check_content_type(call.headers, call.body)
    key = idempotency_key(call.headers)
    no_parameters(call.query)
    asked = decode(CreateReportedRefund, call.body)
    partition = partition_in(call.params[0], "pay")
    command = ReportRefund(
        0,
        door.mint.new("rfd", door.clock.now_ms(), partition),
        merchant,
        call.params[0],
        door.digests.key(merchant, key),
        door.digests.fingerprint("POST", call.target, call.body),
        nonce_digest(caller),
        caller.nonce_created,
        asked.amount,
        _ms(asked.refunded_at),
        asked.channel_refund_no,
        asked.reason,
        asked.metadata,
    )
    return answered(call, await door.ask(door.shard(partition), command, PATIENCE_S))


def _require_office(call: Call, scope: str) -> None:
    """The scope, and no till: what it does not take itself it cannot vouch for."""
    require(call.caller, scope)
    if call.caller.key.owner is KeyOwner.TERMINAL:
        raise InsufficientScope("A terminal's key reports no payments of others.")


def _merchant(call: Call, named: str | None) -> str:
    """The merchant that was paid: the one acted for, or the one that the body names.

    NotFound for another's.
    """
    caller = call.caller
    if named is None or named == caller.merchant:
        return require_merchant(caller)
    record = call.door.reference.merchant(named)
    if caller.merchant or record is None or not owns_merchant(caller.key, record):
        raise NotFound("There is no such merchant.", param="/merchant")
    return named


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)
