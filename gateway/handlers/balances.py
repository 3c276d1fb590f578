"""Balances of merchants and receivers: asked of the shards, summed, told by currency."""

import asyncio
from typing import Final

from msgspec.json import Decoder, encode

from actors.messages import ReadBalances
from actors.sharing import BALANCES
from gateway.auth import require, require_merchant
from gateway.edge import Reply
from gateway.lists import BALANCE_FILTERS, list_page, list_query
from gateway.routes import Call
from payments import chart
from payments.directory_access import owns_merchant
from payments.errors import InvalidField, NotFound
from payments.ids import partition_of
from payments.money import Currency
from payments.reference import KeyOwner, Receiver

PATIENCE_S: Final = 5.0
_sums: Final = Decoder(dict[str, dict[str, int]]).decode


async def list_balances(call: Call) -> Reply:
    """GET /v1/balances: of the caller's merchant, or of one of its receivers."""
    require(call.caller, "ledger:read")
    query = list_query(call.query, BALANCE_FILTERS)
    if query.starting_after or query.ending_before:
        name = "starting_after" if query.starting_after else "ending_before"
        raise InvalidField("Balances are one page.", param=name)
    merchant, receiver = query.filters.get("merchant"), query.filters.get("receiver")
    if merchant is not None and receiver is not None:
        raise InvalidField("Say either merchant or receiver.", param="receiver")
    door = call.door
    if receiver is not None:
        allow_receiver(call, receiver)
        # Its stripes are where the payments are: a platform's receiver may be in every shard.
        shards, owner = door.shards, chart.receiver_prefix(receiver)
    else:
        merchant = allow_merchant(call, merchant)
        shards, owner = [door.shard(partition_of(merchant))], chart.merchant_prefix(merchant)
    asked = [door.ask(shard, ReadBalances(0, owner), PATIENCE_S) for shard in shards]
    answers = await asyncio.gather(*asked)
    totals = _total([_sums(answer.body) for answer in answers])
    rows = [
        encode(
            {
                "object": "balance",
                "merchant": merchant,
                "receiver": receiver,
                "currency": currency,
                **amounts,
                "livemode": door.livemode,
            }
        )
        for currency, amounts in sorted(totals.items())
    ]
    return door.reply(call, 200, list_page(call.path, rows[: query.limit], False))


def _total(found: list[dict[str, dict[str, int]]]) -> dict[str, dict[str, int]]:
    """Sums over shards, by currency; an owner who never had anything has nothing in ours."""
    totals: dict[str, dict[str, int]] = {}
    nothing: dict[str, dict[str, int]] = {Currency.CNY.value: {}}
    for sums in (*found, nothing):
        for currency, amounts in sums.items():
            total = totals.setdefault(currency, dict.fromkeys(BALANCES, 0))
            for name, minor in amounts.items():
                total[name] += minor
    return totals


def allow_merchant(call: Call, wanted: str | None) -> str:
    """The merchant whose balances are asked for. NotFound for another's."""
    caller = call.caller
    if wanted is None or wanted == caller.merchant:
        return require_merchant(caller)
    record = call.door.reference.merchant(wanted)
    if caller.merchant or record is None or not owns_merchant(caller.key, record):
        raise NotFound("There is no such merchant.", param="merchant")
    return wanted


def allow_receiver(call: Call, wanted: str) -> None:
    """NotFound for somebody else's receiver."""
    receiver = call.door.reference.receiver(wanted)
    if receiver is None or not _is_reachable(call, receiver):
        raise NotFound("There is no such receiver.", param="receiver")


def _is_reachable(call: Call, receiver: Receiver) -> bool:
    caller = call.caller
    key = caller.key
    if receiver.merchant is None:
        is_platform = key.owner is KeyOwner.PLATFORM and key.platform == receiver.platform
        return is_platform or key.owner is KeyOwner.OPERATOR
    if caller.merchant:
        return receiver.merchant == caller.merchant
    merchant = call.door.reference.merchant(receiver.merchant)
    return merchant is not None and owns_merchant(key, merchant)
