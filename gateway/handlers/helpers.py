"""Test helpers: the payer acts on a code, and the books of a simulated channel are open."""

import re
from collections.abc import Awaitable, Callable
from typing import Final

from actors.messages import Act, ReadBooks
from gateway.auth import nonce_digest, require, require_merchant
from gateway.decode import decode
from gateway.edge import Reply
from gateway.errors import RouteNotFound
from gateway.handlers.payments import answered, partition_in
from gateway.headers import check_content_type
from gateway.lists import no_parameters, parameters
from gateway.routes import Call
from gateway.schemas import CancelRequest
from payments.errors import InvalidField

PATIENCE_S: Final = 5.0
BOOKS_PATIENCE_S: Final = 30.0
"""Each lane reads all its books for a page: a test's many payments take seconds."""

_NUMBER: Final = re.compile(r"[0-9A-Za-z_-]{0,64}")


def acting(verb: str) -> Callable[[Call], Awaitable[Reply]]:
    """POST /v1/test_helpers/payments/{id}/<verb>"""

    async def act(call: Call) -> Reply:
        _only_in_test(call)
        require(call.caller, "test_helpers")
        merchant = require_merchant(call.caller)
        check_content_type(call.headers, call.body)
        decode(CancelRequest, call.body)
        no_parameters(call.query)
        partition = partition_in(call.params[0], "pay")
        door = call.door
        caller = call.caller
        nonce = nonce_digest(caller)
        command = Act(0, merchant, call.params[0], verb, nonce, caller.nonce_created)
        return answered(call, await door.ask(door.shard(partition), command, PATIENCE_S))

    return act


async def books(call: Call) -> Reply:
    """GET /v1/test_helpers/channels/{name}/books, all or in pages (`?after=`)."""
    _only_in_test(call)
    require(call.caller, "test_helpers")
    query = parameters(call.query)
    after = query.pop("after", None)
    for name in query:
        raise InvalidField("This parameter is not known here.", param=name[:64])
    if after is not None and not _NUMBER.fullmatch(after):
        raise InvalidField("This is no channel's order number.", param="after")
    door = call.door
    command = ReadBooks(0, call.params[0], after)
    return answered(call, await door.ask(door.shards[0], command, BOOKS_PATIENCE_S))


def _only_in_test(call: Call) -> None:
    if call.door.livemode:
        raise RouteNotFound("test helpers are not there in live mode")
