"""Payments and refunds over HTTP: decode, ask the shard, encode."""

from typing import Final

from msgspec import Struct

from actors.link import Dialer
from actors.messages import Answer, CancelPayment, MakeRefund, Pay, ReadList, ReadOne
from gateway.auth import nonce_digest, place, require, require_merchant
from gateway.decode import decode
from gateway.edge import Reply
from gateway.handlers.platform import list_of_platform
from gateway.headers import (
    check_content_type,
    idempotency_key,
    optional_idempotency_key,
    preferred_wait_s,
)
from gateway.lists import PAYMENT_FILTERS, REFUND_FILTERS, list_query, no_parameters, wait_s
from gateway.modules import how_to_serve, is_served, modules_of
from gateway.routes import Call
from gateway.schemas import CancelRequest, CreatePayment, CreateRefund, CreateReportedPayment
from payments.errors import InvalidField, NotFound, Overloaded
from payments.ids import MalformedId, body_of, partition_of
from payments.reference import KeyOwner
from payments.splitting.escrow import wanted
from payments.splitting.terms import Base, FeeBearer, Part, Terms

PATH: Final = "/v1/payments"
SPLITS: Final = "/v1/payments/{id}/splits"
WAIT_S_DEFAULT: Final = 5
REPLAYED: Final = b"Idempotent-Replayed: true\r\n"
RETRY_ONE: Final = b"Retry-After: 1\r\n"


def answer_lines(answer: Answer) -> bytes:
    """Header lines that a shard's answer asks for."""
    extra = REPLAYED if answer.replayed else b""
    return extra + RETRY_ONE if answer.retry_after else extra


def answered(call: Call, answer: Answer) -> Reply:
    """A shard's answer as it goes out."""
    return call.door.reply(call, answer.status, answer.body, extra=answer_lines(answer))


def prepared(call: Call) -> tuple[Pay, Dialer, int]:
    """The command of a POST /v1/payments, the shard it goes to, and the seconds to wait."""
    door, caller = call.door, call.caller
    require(caller, "payments:write")
    merchant = caller.merchant or require_merchant(caller)
    headers = call.headers
    check_content_type(headers, call.body)
    key = idempotency_key(headers)
    if call.query:
        no_parameters(call.query)
    asked = decode(CreatePayment, call.body)
    record = door.reference.merchant(merchant)
    if record is None:
        raise Overloaded("the merchant is not known here yet; try again", retry_after_s=1)
    store, terminal = asked.store, asked.terminal
    if caller.key.owner is KeyOwner.TERMINAL:
        store, terminal = place(caller, store, terminal)
    wait = preferred_wait_s(headers)
    if wait is None:
        wait = WAIT_S_DEFAULT
    digests = door.digests
    code = asked.auth_code
    command = Pay(
        0,
        door.mint.new("pay", door.clock.now_ms(), record.partition),
        merchant,
        digests.key(merchant, key),
        digests.fingerprint("POST", call.target, call.body),
        nonce_digest(caller) if caller.nonce is not None else 0,
        caller.nonce_created,
        asked.order_no,
        asked.amount,
        asked.currency,
        asked.way,
        wait * 1000,
        asked.wallet,
        code,
        None if code is None else digests.auth(merchant, code),
        store,
        terminal,
        asked.operator,
        asked.subject,
        asked.order_ref,
        asked.table,
        asked.tip_amount,
        asked.metadata or {},
        asked.expires_in,
        None if asked.payer is None else asked.payer.openid,
        asked.channel_hint,
        asked.return_url,
        digests.order(merchant, asked.order_no),
        escrow_at=_escrow_at(call, asked),
        split=terms(call, asked),
        payer_ip=_payer_ip(call, asked),
    )
    return command, door.shard(record.partition), wait


def terms(call: Call, asked: CreatePayment | CreateReportedPayment) -> Terms | None:
    """What a request says of splitting; an empty list says that no rule is to split it.

    InvalidField where receivers have no place.
    """
    if asked.splits is None:
        return None
    if asked.splits and not is_served("GET", SPLITS, call.door.settings.modules):
        raise InvalidField(how_to_serve(modules_of("GET", SPLITS)), param="/splits")
    parts = tuple(Part(each.receiver, each.amount, each.ratio_ppm) for each in asked.splits)
    base = Base(asked.split_base or Base.NET)
    return Terms(parts, base, FeeBearer(asked.split_fee or FeeBearer.MERCHANT))


async def create(call: Call) -> Reply:
    """POST /v1/payments, where it does not take the express."""
    command, shard, wait = prepared(call)
    return answered(call, await call.door.ask(shard, command, wait))


def _payer_ip(call: Call, asked: CreatePayment) -> str | None:
    """Where the payer is, as the request says. InvalidField where a real channel insists on it."""
    found = None if asked.payer is None else asked.payer.ip
    # WeChat compares it with the browser that opens the page. Sandboxes take loopback instead.
    if found is None and call.door.livemode and (asked.way, asked.wallet) == ("h5", "wechat"):
        raise InvalidField("WeChat's h5 needs the payer's address.", param="/payer/ip")
    return found


def _escrow_at(call: Call, asked: CreatePayment) -> int | None:
    """Until when the merchant's own part is held, business ms; None: not at all."""
    if not asked.escrow:
        return None
    at = asked.escrow_release_at
    until = None if at is None else round(at.timestamp() * 1000)
    days = call.door.settings.settlement.escrow_days
    return wanted(call.door.clock.now_ms(), until, days).until


class Place(Struct, frozen=True):
    """Whose object is asked for: the merchants a key may see, and its store if it has only one."""

    merchants: tuple[str, ...]
    store: str | None


def _place(call: Call) -> Place:
    caller = call.caller
    key = caller.key
    store = key.store if key.owner is KeyOwner.TERMINAL else None
    if caller.merchant:
        return Place((caller.merchant,), store)
    if key.owner is KeyOwner.PLATFORM and key.platform is not None:
        merchants = call.door.reference.merchants_of_platform(key.platform)
        return Place(tuple(merchant.id for merchant in merchants), None)
    require_merchant(caller)
    return Place((), None)


def partition_in(identifier: str, prefix: str) -> int:
    try:
        body_of(identifier, prefix)
        return partition_of(identifier)
    except MalformedId:
        raise NotFound(f"no object {identifier[:40]!r}") from None


async def read(call: Call) -> Reply:
    """GET /v1/payments/{id}"""
    require(call.caller, "payments:read")
    return await _read(call, "payment", "pay", wait_s(call.query))


async def timeline(call: Call) -> Reply:
    """GET /v1/payments/{id}/timeline"""
    require(call.caller, "payments:read")
    no_parameters(call.query)
    return await _read(call, "timeline", "pay", 0)


async def splits(call: Call) -> Reply:
    """GET /v1/payments/{id}/splits"""
    require(call.caller, "payments:read")
    no_parameters(call.query)
    return await _read(call, "splits", "pay", 0)


async def read_refund(call: Call) -> Reply:
    """GET /v1/refunds/{id}"""
    require(call.caller, "payments:read")
    no_parameters(call.query)
    return await _read(call, "refund", "rfd", 0)


async def _read(call: Call, kind: str, prefix: str, wait: int) -> Reply:
    identifier = call.params[0]
    partition = partition_in(identifier, prefix)
    place_ = _place(call)
    command = ReadOne(0, place_.merchants, kind, identifier, wait * 1000, place_.store)
    door = call.door
    return answered(call, await door.ask(door.shard(partition), command, wait))


async def list_payments(call: Call) -> Reply:
    """GET /v1/payments"""
    return await list_of(call, "payment", {})


async def list_refunds(call: Call) -> Reply:
    """GET /v1/refunds"""
    return await list_of(call, "refund", {})


async def list_of(call: Call, kind: str, fixed: dict[str, str]) -> Reply:
    """A page of payments or refunds. `fixed`: filters that the list has by itself."""
    caller, door = call.caller, call.door
    require(caller, "payments:read")
    if not caller.merchant and caller.key.owner is KeyOwner.PLATFORM:
        return await list_of_platform(call, kind, fixed)
    merchant = require_merchant(caller)
    query = list_query(call.query, REFUND_FILTERS if kind == "refund" else PAYMENT_FILTERS)
    filters = dict(query.filters) | fixed
    key = caller.key
    if key.owner is KeyOwner.TERMINAL and key.store is not None:
        filters["store"] = key.store
    command = ReadList(
        0, merchant, kind, query.limit, filters, query.starting_after, query.ending_before
    )
    shard = door.shard(partition_of(merchant))
    return answered(call, await door.ask(shard, command, 0))


async def refund(call: Call) -> Reply:
    """POST /v1/payments/{id}/refunds"""
    door, caller = call.door, call.caller
    require(caller, "refunds:write")
    merchant = require_merchant(caller)
    headers = call.headers
    check_content_type(headers, call.body)
    key = idempotency_key(headers)
    no_parameters(call.query)
    asked = decode(CreateRefund, call.body)
    partition = partition_in(call.params[0], "pay")
    wait = preferred_wait_s(headers)
    wait = WAIT_S_DEFAULT if wait is None else wait
    command = MakeRefund(
        0,
        door.mint.new("rfd", door.clock.now_ms(), partition),
        merchant,
        call.params[0],
        door.digests.key(merchant, key),
        door.digests.fingerprint("POST", call.target, call.body),
        nonce_digest(caller),
        caller.nonce_created,
        asked.amount,
        wait * 1000,
        asked.reason,
        asked.metadata or {},
        _place(call).store,
    )
    return answered(call, await door.ask(door.shard(partition), command, wait))


async def cancel(call: Call) -> Reply:
    """POST /v1/payments/{id}/cancel"""
    door, caller = call.door, call.caller
    require(caller, "payments:write")
    merchant = require_merchant(caller)
    headers = call.headers
    check_content_type(headers, call.body)
    key = optional_idempotency_key(headers)
    no_parameters(call.query)
    decode(CancelRequest, call.body)
    partition = partition_in(call.params[0], "pay")
    wait = preferred_wait_s(headers)
    wait = WAIT_S_DEFAULT if wait is None else wait
    command = CancelPayment(
        0,
        merchant,
        call.params[0],
        door.mint.new("rfd", door.clock.now_ms(), partition),
        door.digests.fingerprint("POST", call.target, call.body),
        nonce_digest(caller),
        caller.nonce_created,
        wait * 1000,
        None if key is None else door.digests.key(merchant, key),
        _place(call).store,
    )
    return answered(call, await door.ask(door.shard(partition), command, wait))
