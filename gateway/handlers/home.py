"""The way home of the money over HTTP: batches, instructions, withdrawals, freezes, advances.

Who may ask is decided here, from the key and the reference data; what happens, by the shard where
the party is at home. A shard is asked without a merchant only for operators, or for a look whose
answer is judged here before it is shown: another's object is one that does not exist.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from msgspec import Raw, Struct
from msgspec.json import Decoder

from actors.home_messages import HomeAsk
from actors.link import Dialer
from actors.messages import Answer
from gateway.auth import nonce_digest, require, require_merchant, require_role
from gateway.decode import decode
from gateway.edge import Reply
from gateway.handlers.payments import answered, partition_in
from gateway.handlers.platform import BEFORE, MERCHANTS_MAX, PATIENCE_S
from gateway.headers import check_content_type, idempotency_key, optional_idempotency_key
from gateway.lists import Filters, ListQuery, cursor_over_all, list_page, list_query, no_parameters
from gateway.routes import Call
from gateway.schemas_home import NewAdvance, RunClearing
from payments.directory_access import PAYOUTS_WRITE, ROLE_THAT_CHECKS, owns_merchant
from payments.errors import InsufficientScope, InvalidField, NotFound, Refused
from payments.ids import partition_of
from payments.reference import KeyOwner, Receiver

PAYOUTS_READ: Final = "payouts:read"

Handler = Callable[[Call], Awaitable[Reply]]


class Party(Struct, frozen=True):
    """Whose money a request is about: a merchant, or one of its (or a platform's) receivers."""

    merchant: str
    party: str


class _Owner(Struct):
    """Whose an object is, as the objects say it."""

    merchant: str | None = None
    receiver: str | None = None


class _Page(Struct):
    has_more: bool
    data: list[Raw]


class _Named(Struct):
    id: str


_owner: Final = Decoder(_Owner).decode
_page: Final = Decoder(_Page).decode
_named: Final = Decoder(_Named).decode


# --- handlers ---------------------------------------------------------------------------------


def creating(op: str, prefix: str, kind: type[Struct], *, judges: bool = False) -> Handler:
    """A POST that moves a party's money. `judges`: not for merchants to do with their own."""

    async def create(call: Call) -> Reply:
        require(call.caller, PAYOUTS_WRITE)
        if judges:
            _refuse_merchants(call)
        body = _body(call, kind)
        key = idempotency_key(call.headers)
        party = _party(call, getattr(body, "receiver", None))
        partition = partition_of(party.party)
        ask = _ask(call, op, party, key, prefix, partition)
        return answered(call, await call.door.ask(call.door.shard(partition), ask, PATIENCE_S))

    return create


def acting(op: str, prefix: str, kind: type[Struct], *, role: str = ROLE_THAT_CHECKS) -> Handler:
    """A POST to one object, by an operator with a role; without one, by who is no merchant."""

    async def act(call: Call) -> Reply:
        require(call.caller, PAYOUTS_WRITE)
        if role:
            require_role(call.caller, role)
        else:
            _refuse_merchants(call)
        _body(call, kind)
        key = optional_idempotency_key(call.headers)
        target = call.params[0]
        partition = partition_in(target, prefix)
        party = await _seen(call, op.partition(".")[0] + ".get", target, partition)
        ask = _ask(call, op, party, key, prefix, partition)
        ask.target = target
        return answered(call, await call.door.ask(call.door.shard(partition), ask, PATIENCE_S))

    return act


def reading(op: str, prefix: str) -> Handler:
    """A GET of one object: the caller's, or the 404 of one that does not exist."""

    async def read(call: Call) -> Reply:
        require(call.caller, PAYOUTS_READ)
        no_parameters(call.query)
        target = call.params[0]
        partition = partition_in(target, prefix)
        answer = await _look(call, op, target, partition)
        _judge(call, answer, target)
        return answered(call, answer)

    return read


def listing(op: str, prefix: str, filters: Filters) -> Handler:
    """A GET of many: a party's, or everybody's whom the key can reach. `prefix`: of their ids."""

    async def listed(call: Call) -> Reply:
        require(call.caller, PAYOUTS_READ)
        query = list_query(call.query, filters)
        party = _asked_party(call, query)
        if party is None:
            return await _merged(call, op, prefix, query)
        ask = HomeAsk(0, op, party.merchant, call.caller.key.person, call.caller.key.roles)
        ask.party, ask.query = party.party, _words(query)
        shard = call.door.shard(partition_of(party.party))
        return answered(call, await call.door.ask(shard, ask, PATIENCE_S))

    return listed


async def advance(call: Call) -> Reply:
    """POST /v1/advances: an operator lets a funder's money in."""
    if call.caller.key.owner is not KeyOwner.OPERATOR:
        raise InsufficientScope("Advances are made by an operator.")
    return await _ADVANCE(call)


async def run_clearing(call: Call) -> Reply:
    """POST /v1/clearing_batches/run: of a merchant, of a platform's, or of all."""
    require(call.caller, PAYOUTS_WRITE)
    _body(call, RunClearing)
    key = optional_idempotency_key(call.headers)
    door = call.door
    parties = [_own(call)] if call.caller.merchant else _everybody(call)
    asks = []
    for party in parties:
        for shard, partition in _shards_of(call, party):
            ask = _ask(call, "clearing_batch.run", party, key, "bat", partition)
            asks.append(door.ask(shard, ask, PATIENCE_S))
    if not asks:
        raise NotFound("This key has no merchants.")
    # Each shard clears what it has; the answer that says that work is left speaks for all.
    return answered(call, max(await asyncio.gather(*asks), key=_status))


# --- who asks for whom ------------------------------------------------------------------------


def _refuse_merchants(call: Call) -> None:
    """What is decided about a merchant's money is not for the merchant to decide."""
    if call.caller.key.owner not in (KeyOwner.PLATFORM, KeyOwner.OPERATOR):
        raise InsufficientScope("This is decided by the platform or an operator.")


def _own(call: Call) -> Party:
    merchant = require_merchant(call.caller)
    return Party(merchant, merchant)


def _party(call: Call, receiver: str | None) -> Party:
    """Whose money a new object is about."""
    return _own(call) if receiver is None else _receivers(call, receiver, "/receiver")


def _receivers(call: Call, wanted: str, param: str) -> Party:
    """NotFound for somebody else's receiver."""
    receiver = call.door.reference.receiver(wanted)
    if receiver is None or not _is_reachable(call, receiver):
        raise NotFound("There is no such receiver.", param=param)
    return Party(receiver.merchant or "", receiver.id)


def _is_reachable(call: Call, receiver: Receiver) -> bool:
    key, acting_for = call.caller.key, call.caller.merchant
    if acting_for:
        return receiver.merchant == acting_for
    if receiver.merchant is None:
        is_its = key.owner is KeyOwner.PLATFORM and key.platform == receiver.platform
        return is_its or key.owner is KeyOwner.OPERATOR
    return _is_mine(call, receiver.merchant)


def _is_mine(call: Call, merchant: str) -> bool:
    if call.caller.merchant:
        return merchant == call.caller.merchant
    record = call.door.reference.merchant(merchant)
    return record is not None and owns_merchant(call.caller.key, record)


def _asked_party(call: Call, query: ListQuery) -> Party | None:
    """Whose objects a list is of; None for everybody's that the key can reach."""
    merchant, receiver = query.filters.get("merchant"), query.filters.get("receiver")
    if merchant is not None and receiver is not None:
        raise InvalidField("Say either merchant or receiver.", param="receiver")
    if receiver is not None:
        return _receivers(call, receiver, "receiver")
    if merchant is not None:
        if not _is_mine(call, merchant):
            raise NotFound("There is no such merchant.", param="merchant")
        return Party(merchant, merchant)
    if call.caller.merchant:
        return _own(call)
    if call.caller.key.owner not in (KeyOwner.PLATFORM, KeyOwner.OPERATOR):
        return _own(call)
    return None


async def _seen(call: Call, op: str, target: str, partition: int) -> Party:
    """For whom an object is acted on: the acting merchant, an operator, or whose it is."""
    caller = call.caller
    if caller.merchant or caller.key.owner is KeyOwner.OPERATOR:
        return Party(caller.merchant, caller.merchant)
    owner = _judge(call, await _look(call, op, target, partition), target)
    return Party(owner.merchant or "", owner.merchant or owner.receiver or "")


async def _look(call: Call, op: str, target: str, partition: int) -> Answer:
    caller = call.caller
    ask = HomeAsk(0, op, caller.merchant, caller.key.person, caller.key.roles, target)
    ask.party = caller.merchant
    return await call.door.ask(call.door.shard(partition), ask, PATIENCE_S)


def _judge(call: Call, answer: Answer, target: str) -> _Owner:
    """Whose the object is. NotFound, as if there were none, if the key cannot reach it."""
    owner = _owner(answer.body)
    if call.caller.merchant or call.caller.key.owner is not KeyOwner.OPERATOR:
        reference = call.door.reference
        receiver = reference.receiver(owner.receiver) if owner.receiver else None
        if receiver is not None:
            is_its = _is_reachable(call, receiver)
        else:
            is_its = owner.merchant is not None and _is_mine(call, owner.merchant)
        if not is_its:
            raise NotFound(f"no object {target[:40]!r}")
    return owner


# --- questions --------------------------------------------------------------------------------


def _body(call: Call, kind: type[Struct]) -> Struct:
    no_parameters(call.query)
    check_content_type(call.headers, call.body)
    return decode(kind, call.body)


def _ask(
    call: Call, op: str, party: Party, key: str | None, prefix: str, partition: int
) -> HomeAsk:
    """A command. Its id is minted here, so that what is re-sent is the same command."""
    door, caller = call.door, call.caller
    scope = party.merchant or party.party or caller.key.id
    return HomeAsk(
        0,
        op,
        party.merchant,
        caller.key.person,
        caller.key.roles,
        None,
        door.mint.new(prefix, door.clock.now_ms(), partition),
        call.body or b"{}",
        {},
        None if key is None else door.digests.key(scope, key),
        door.digests.fingerprint("POST", call.target, call.body),
        nonce_digest(caller),
        caller.nonce_created,
        party.party,
    )


def _words(query: ListQuery) -> dict[str, str]:
    """What a list is asked for, in the shard's words: whose it is, is said elsewhere."""
    words = {k: v for k, v in query.filters.items() if k not in ("merchant", "receiver")}
    words["limit"] = str(query.limit)
    if query.starting_after is not None:
        words["starting_after"] = query.starting_after
    if query.ending_before is not None:
        words["ending_before"] = query.ending_before
    return words


def _everybody(call: Call) -> list[Party]:
    """An operator's everybody is one question to each shard; a platform has its merchants."""
    key = call.caller.key
    if key.owner is KeyOwner.OPERATOR:
        return [Party("", "")]
    if key.owner is not KeyOwner.PLATFORM:
        return [_own(call)]
    merchants = call.door.reference.merchants_of_platform(key.platform or "")
    if len(merchants) > MERCHANTS_MAX:
        raise Refused(
            f"This key has more than {MERCHANTS_MAX} merchants; name one.",
            param="Tillway-Merchant",
        )
    return [Party(merchant.id, merchant.id) for merchant in merchants]


def _shards_of(call: Call, party: Party) -> list[tuple[Dialer, int]]:
    """(shard, partition for an id) of a party's home; all of them for everybody."""
    door = call.door
    if not party.party:
        return [(shard, 0) for shard in door.shards]
    partition = partition_of(party.party)
    return [(door.shard(partition), partition)]


async def _merged(call: Call, op: str, prefix: str, query: ListQuery) -> Reply:
    """The lists of everybody whom the key can reach, newest first by id."""
    after = cursor_over_all(query, prefix)
    door = call.door
    words = _words(query)
    words.pop("starting_after", None)
    if after is not None:
        words[BEFORE] = after
    asked = []
    for party in _everybody(call):
        for shard, _ in _shards_of(call, party):
            ask = HomeAsk(0, op, party.merchant, call.caller.key.person, call.caller.key.roles)
            ask.party, ask.query = party.party, words
            asked.append(door.ask(shard, ask, PATIENCE_S))
    pages = [_page(answer.body) for answer in await asyncio.gather(*asked)]
    found = [(_named(row).id, bytes(row)) for page in pages for row in page.data]
    found.sort(reverse=True)
    more = len(found) > query.limit or any(page.has_more for page in pages)
    rows = [body for _, body in found[: query.limit]]
    return door.reply(call, 200, list_page(call.path, rows, more))


def _status(answer: Answer) -> int:
    return answer.status


_ADVANCE: Final = creating("advance.create", "adv", NewAdvance)
