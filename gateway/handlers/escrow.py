"""Escrow over HTTP: how long a payment asks to be held, and letting go of it."""

from actors.home_messages import HomeAsk
from gateway.auth import nonce_digest, require, require_merchant
from gateway.decode import decode
from gateway.edge import Reply
from gateway.handlers.payments import answered, partition_in
from gateway.headers import check_content_type, idempotency_key
from gateway.lists import no_parameters
from gateway.routes import Call
from payments.errors import InsufficientScope
from payments.reference import KeyOwner
from payments.splitting.escrow import NewRelease

WAIT_S = 5


async def release(call: Call) -> Reply:
    """POST /v1/payments/{id}/release"""
    door, caller = call.door, call.caller
    require(caller, "payments:write")
    merchant = require_merchant(caller)
    if caller.key.owner is KeyOwner.TERMINAL:
        raise InsufficientScope("a terminal does not decide when money is let go")
    headers = call.headers
    check_content_type(headers, call.body)
    key = idempotency_key(headers)
    no_parameters(call.query)
    decode(NewRelease, call.body)
    identifier = call.params[0]
    partition = partition_in(identifier, "pay")
    command = HomeAsk(
        0,
        "escrow.release",
        merchant,
        caller.key.id,
        target=identifier,
        id=door.mint.new("rel", door.clock.now_ms(), partition),
        body=call.body or b"{}",
        key_digest=door.digests.key(merchant, key),
        fingerprint=door.digests.fingerprint("POST", call.target, call.body),
        nonce=nonce_digest(caller),
        nonce_at=caller.nonce_created,
        party=merchant,
    )
    return answered(call, await door.ask(door.shard(partition), command, WAIT_S))
