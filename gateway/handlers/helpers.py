"""Test helpers: the payer acts on a code, and the books of a simulated channel are open."""

from collections.abc import Awaitable, Callable
from typing import Final

from actors.messages import Act, ReadBooks
from gateway.auth import require, require_merchant
from gateway.decode import decode
from gateway.edge import Reply
from gateway.errors import RouteNotFound
from gateway.handlers.payments import answered, partition_in
from gateway.headers import check_content_type
from gateway.lists import no_parameters
from gateway.routes import Call
from gateway.schemas import CancelRequest

PATIENCE_S: Final = 5.0


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
        command = Act(0, merchant, call.params[0], verb)
        return answered(call, await door.ask(door.shard(partition), command, PATIENCE_S))

    return act


async def books(call: Call) -> Reply:
    """GET /v1/test_helpers/channels/{name}/books"""
    _only_in_test(call)
    require(call.caller, "test_helpers")
    no_parameters(call.query)
    door = call.door
    command = ReadBooks(0, call.params[0])
    return answered(call, await door.ask(door.shards[0], command, PATIENCE_S))


def _only_in_test(call: Call) -> None:
    if call.door.livemode:
        raise RouteNotFound("test helpers are not there in live mode")
