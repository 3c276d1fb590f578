"""Webhook endpoints and events over HTTP: checked here, decided by the courier."""

import re
from collections.abc import Awaitable, Callable
from typing import Any, Final

from msgspec import Struct
from msgspec.json import decode as decode_json
from msgspec.json import encode

from actors.event_messages import CourierAsk
from actors.messages import Answer
from gateway.auth import nonce_digest, require, require_merchant
from gateway.decode import decode
from gateway.edge import Reply
from gateway.handlers import payments
from gateway.handlers.payments import answered
from gateway.headers import check_content_type, optional_idempotency_key
from gateway.lists import CREATED, LIMIT_MAX, Filters, no_parameters, parameters
from gateway.routes import Call
from payments.errors import InvalidField, Unavailable
from payments.reference import KeyOwner
from payments.webhooks import is_pattern

READ: Final = "webhooks:read"
WRITE: Final = "webhooks:write"
PATIENCE_S: Final = 5.0
TIMELINE_PATIENCE_S: Final = -9.0
"""Added to the margin that every question has: a time line waits a second for the courier."""

Handler = Callable[[Call], Awaitable[Reply]]

ENDPOINT: Final = re.compile(r"whk_[0-9A-Z]{24}")
EVENT: Final = re.compile(r"evt_[0-9A-Z]{25}")
DELIVERY: Final = re.compile(r"evt_[0-9A-Z]{25}(?:\.whk_[0-9A-Z]{24})?")
_PAYMENT: Final = re.compile(r"pay_[0-9A-Z]{24}")
_LIMIT: Final = re.compile(r"[0-9]{1,3}")


def _payment(text: str) -> str:
    if not _PAYMENT.fullmatch(text):
        raise ValueError("not an id of a payment")
    return text


def _type(text: str) -> str:
    if not is_pattern(text):
        raise ValueError("no event is called so")
    return text


EVENT_FILTERS: Final[Filters] = {"type": _type, "payment": _payment, **CREATED}


def creating(op: str, kind: type[Struct]) -> Handler:
    """A handler that changes something: the body is checked here, decided there."""

    async def create(call: Call) -> Reply:
        require(call.caller, WRITE)
        no_parameters(call.query)
        check_content_type(call.headers, call.body)
        decode(kind, call.body)
        return answered(call, await _ask(call, op, call.body or b"{}"))

    return create


def removing(op: str) -> Handler:
    async def remove(call: Call) -> Reply:
        require(call.caller, WRITE)
        no_parameters(call.query)
        return answered(call, await _ask(call, op, b""))

    return remove


def reading(op: str) -> Handler:
    async def read(call: Call) -> Reply:
        require(call.caller, READ)
        no_parameters(call.query)
        return answered(call, await _ask(call, op, b""))

    return read


def listing(op: str, cursor: re.Pattern[str], filters: Filters, *, back: bool = True) -> Handler:
    """`cursor`: what ids of the list look like; `back`: it can be paged backward."""

    async def listed(call: Call) -> Reply:
        require(call.caller, READ)
        query = _list_query(call.query, cursor, filters, back=back)
        return answered(call, await _ask(call, op, b"", query))

    return listed


def _list_query(
    query: str, cursor: re.Pattern[str], filters: Filters, *, back: bool
) -> dict[str, str]:
    """The parameters of a list, checked. Raise Malformed, or InvalidField naming the parameter."""
    found = parameters(query)
    cursors = ("starting_after", "ending_before") if back else ("starting_after",)
    checked: dict[str, str] = {}
    for name, value in found.items():
        check = filters.get(name)
        if name == "limit":
            if not _LIMIT.fullmatch(value) or not 1 <= int(value) <= LIMIT_MAX:
                raise InvalidField(f"A whole number from 1 to {LIMIT_MAX}.", param="limit")
            checked[name] = value
        elif name in cursors:
            if not cursor.fullmatch(value):
                raise InvalidField("Not allowed here: not an id of this list.", param=name)
            checked[name] = value
        elif check is None:
            raise InvalidField("This parameter is not known here.", param=name[:64])
        else:
            try:
                checked[name] = check(value[:64])
            except ValueError as error:
                raise InvalidField(f"Not allowed here: {error}.", param=name) from None
    if len(checked.keys() & set(cursors)) > 1:
        raise InvalidField("Say either starting_after or ending_before.", param="ending_before")
    return checked


async def _ask(
    call: Call,
    op: str,
    body: bytes,
    query: dict[str, str] | None = None,
    patience_s: float = PATIENCE_S,
) -> Answer:
    """Ask the courier for a merchant, or for a platform over all its merchants."""
    door, caller = call.door, call.caller
    platform = caller.key.platform if caller.key.owner is KeyOwner.PLATFORM else None
    if not caller.merchant and platform is None:
        require_merchant(caller)
    key = optional_idempotency_key(call.headers) if call.method == "POST" else None
    scope = caller.merchant or caller.key.id
    command = CourierAsk(
        0,
        op,
        caller.key.id,
        caller.merchant or None,
        None if caller.merchant else platform,
        call.params[0] if call.params else None,
        body,
        query or {},
        None if key is None else door.digests.key(scope, key),
        door.digests.fingerprint(call.method, call.target, call.body),
        # What only reads may be sent twice, as everywhere.
        0 if call.method in ("GET", "HEAD") else nonce_digest(caller),
        caller.nonce_created,
    )
    return await door.ask(door.courier, command, patience_s)


# --- a payment's time line --------------------------------------------------------------------


async def timeline(call: Call) -> Reply:
    """GET /v1/payments/{id}/timeline, with the tries of its webhooks."""
    require(call.caller, "payments:read")
    reply = await payments.timeline(call)
    if reply.status != 200 or call.method == "HEAD":
        return reply
    try:
        told = await _ask(call, "payments.webhooks", b"", None, TIMELINE_PATIENCE_S)
    except Unavailable:
        # The courier is starting: the payment's own story is whole without it.
        return reply
    lines = decode_json(told.body)
    if not lines:
        return reply
    head, _, body = reply.data.partition(b"\r\n\r\n")
    assert head
    view = decode_json(body)
    view["data"] = _merged(view["data"], lines)
    return call.door.reply(call, 200, encode(view))


def _merged(lines: list[dict[str, Any]], webhooks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Both, by time. Webhooks keep real time, which the test clock may have left behind: none
    stands before the event that it tells of."""
    events = {line["id"]: line["at"] for line in lines if line["kind"] == "event"}
    placed = [(line["at"], 0, at, line) for at, line in enumerate(lines)]
    for at, line in enumerate(webhooks):
        placed.append((max(line["at"], events.get(line["event"], "")), 1, at, line))
    placed.sort(key=lambda each: each[:3])
    return [line for _, _, _, line in placed]
