"""Reconciliation over HTTP: for operators, since a channel's bill shows everybody's payments."""

import re
from collections.abc import Awaitable, Callable
from typing import Final

from msgspec import Struct

from actors.home_messages import HomeAsk
from gateway.auth import nonce_digest, require
from gateway.decode import decode
from gateway.edge import Reply
from gateway.handlers.payments import answered
from gateway.headers import check_content_type
from gateway.lists import Filters, OneOf, day, list_query, name_of, no_parameters
from gateway.routes import Call
from payments.directory_access import ROLE_THAT_CHECKS, ROLE_THAT_MAKES, ROLE_THAT_WRITES
from payments.errors import InsufficientScope, InvalidField
from payments.reconciliation.differences import Kind, Owner, Standing
from payments.reconciliation.runs import RunStatus
from payments.reference import KeyOwner

READ: Final = "reconciliations:read"
PATIENCE_S: Final = 15.0
"""A decision may ask a channel, and a comparison may be in the way."""

Handler = Callable[[Call], Awaitable[Reply]]

_RUN: Final = re.compile(r"rec_[0-9A-Z]{24}")


def _reconciliation(text: str) -> str:
    if not _RUN.fullmatch(text):
        raise ValueError("not an id of a reconciliation")
    return text


RUN_FILTERS: Final[Filters] = {
    "channel": name_of,
    "bill_date": day,
    "status": OneOf((RunStatus.FINISHED, RunStatus.SUPERSEDED)),
}
ITEM_FILTERS: Final[Filters] = {
    "reconciliation": _reconciliation,
    "type": OneOf(Kind),
    "owner": OneOf(Owner),
    "status": OneOf(Standing),
}

RUNS: Final = frozenset({ROLE_THAT_WRITES})
MAKES: Final = frozenset({ROLE_THAT_WRITES, ROLE_THAT_MAKES})
CHECKS: Final = frozenset({ROLE_THAT_WRITES, ROLE_THAT_CHECKS})
"""Roles that may start a comparison, propose, and agree."""


def reading(op: str) -> Handler:
    async def read(call: Call) -> Reply:
        _require_operator(call)
        no_parameters(call.query)
        return await _ask(call, op)

    return read


def listing(op: str, filters: Filters) -> Handler:
    """Lists are paged forward only."""

    async def listed(call: Call) -> Reply:
        _require_operator(call)
        asked = list_query(call.query, filters)
        if asked.ending_before is not None:
            raise InvalidField("This list goes forward only.", param="ending_before")
        query = {"limit": str(asked.limit), **asked.filters}
        if asked.starting_after is not None:
            query["starting_after"] = asked.starting_after
        return await _ask(call, op, query=query)

    return listed


def changing(op: str, kind: type[Struct], roles: frozenset[str]) -> Handler:
    """A handler that changes something: the body is checked here, decided there."""

    async def change(call: Call) -> Reply:
        _require_operator(call)
        if roles.isdisjoint(call.caller.key.roles):
            raise InsufficientScope(f"This needs the role {' or '.join(sorted(roles))}.")
        no_parameters(call.query)
        check_content_type(call.headers, call.body)
        decode(kind, call.body)
        return await _ask(call, op, call.body)

    return change


def _require_operator(call: Call) -> None:
    """Raise InsufficientScope for anybody else than an operator of the whole deployment."""
    key = call.caller.key
    if key.owner is not KeyOwner.OPERATOR or key.platform is not None:
        raise InsufficientScope("A channel's bill shows all merchants: operators only.")
    require(call.caller, READ)


async def _ask(
    call: Call, op: str, body: bytes = b"", query: dict[str, str] | None = None
) -> Reply:
    door, caller = call.door, call.caller
    command = HomeAsk(
        0,
        op,
        "",
        caller.key.person,
        tuple(caller.key.roles),
        call.params[0] if call.params else None,
        "",
        body,
        query or {},
        nonce=0 if call.method in ("GET", "HEAD") else nonce_digest(caller),
        nonce_at=caller.nonce_created,
    )
    return answered(call, await door.ask(door.reconciler, command, PATIENCE_S))
