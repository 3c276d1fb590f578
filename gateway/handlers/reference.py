"""Merchants, stores, terminals, keys and the test clock over HTTP: the directory decides."""

from collections.abc import Awaitable, Callable
from typing import Final

from msgspec import Struct

from actors.messages import Answer, DirectoryAsk
from gateway.auth import nonce_digest
from gateway.decode import decode
from gateway.edge import Reply
from gateway.handlers.payments import answered
from gateway.headers import check_content_type, optional_idempotency_key
from gateway.lists import (
    KEY_FILTERS,
    MERCHANT_FILTERS,
    STORE_FILTERS,
    TERMINAL_FILTERS,
    Filters,
    list_query,
    no_parameters,
)
from gateway.routes import Call

PATIENCE_S: Final = 5.0

Handler = Callable[[Call], Awaitable[Reply]]


def creating(op: str, kind: type[Struct]) -> Handler:
    """A handler of POST: the body is checked here, decided there."""

    async def create(call: Call) -> Reply:
        no_parameters(call.query)
        check_content_type(call.headers, call.body)
        decode(kind, call.body)
        return await _ask(call, op, call.body or b"{}")

    return create


def reading(op: str) -> Handler:
    async def read(call: Call) -> Reply:
        no_parameters(call.query)
        return await _ask(call, op, b"")

    return read


def listing(op: str, filters: Filters) -> Handler:
    async def listed(call: Call) -> Reply:
        return await _ask(call, op, b"", list_words(call, filters))

    return listed


def list_words(call: Call, filters: Filters) -> dict[str, str]:
    """What a list is asked for, checked, in the directory's words."""
    query = list_query(call.query, filters)
    words = dict(query.filters) | {"limit": str(query.limit)}
    if query.starting_after is not None:
        words["starting_after"] = query.starting_after
    if query.ending_before is not None:
        words["ending_before"] = query.ending_before
    return words


def removing(op: str) -> Handler:
    async def remove(call: Call) -> Reply:
        no_parameters(call.query)
        return await _ask(call, op, b"")

    return remove


async def _ask(call: Call, op: str, body: bytes, query: dict[str, str] | None = None) -> Reply:
    return answered(call, await ask(call, op, body, query))


async def ask(call: Call, op: str, body: bytes, query: dict[str, str] | None = None) -> Answer:
    """Send the question; the directory judges key, scope and owner by its own data."""
    door, caller = call.door, call.caller
    key = optional_idempotency_key(call.headers) if call.method == "POST" else None
    scope = caller.merchant or caller.key.id
    command = DirectoryAsk(
        0,
        op,
        caller.key.id,
        caller.merchant or None,
        call.params[0] if call.params else None,
        body,
        query or {},
        None if key is None else door.digests.key(scope, key),
        door.digests.fingerprint(call.method, call.target, call.body),
        nonce_digest(caller),
        caller.nonce_created,
    )
    return await door.ask(door.directory, command, PATIENCE_S)


__all__ = [
    "KEY_FILTERS",
    "MERCHANT_FILTERS",
    "STORE_FILTERS",
    "TERMINAL_FILTERS",
    "creating",
    "listing",
    "reading",
    "removing",
]
