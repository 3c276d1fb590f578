"""`GET /v1/statements?format=camt053`: one party's available money on a day, as a bank tells it."""

from typing import Final

from msgspec import Struct
from msgspec.json import Decoder

from actors.home_messages import HomeAsk
from gateway.edge import Reply
from gateway.routes import Call
from payments.errors import InvalidField
from payments.ids import partition_of
from payments.iso20022.camt053 import encode
from payments.money import Currency
from payments.reconciliation.lines import day_bounds
from payments.reports.bank_style import Moved, TooManyMovements, day_statement

XML: Final = "application/xml"
PATIENCE_S: Final = 5.0
SLICES_MAX: Final = 300
"""Slices of one request: 300 000 entries of a shard, back from now."""


class _Slice(Struct):
    rows: list[Moved]
    next: int
    minor: int
    folded: int


_slice: Final = Decoder(_Slice).decode


async def bank_style(call: Call, party: str, date: str) -> Reply:
    """The camt.053 of a day in China that is over. Raise InvalidField for other days."""
    begins, ends = day_bounds(int(date))
    now = call.door.clock.now_ms()
    if ends > now:
        raise InvalidField("This day is not over in China.", param="business_date")
    rows, minor, folded = await _moved(call, party, begins)
    try:
        made = day_statement(party, int(date), rows, minor, folded, now, Currency.CNY)
    except TooManyMovements as error:
        raise InvalidField(str(error), param="business_date") from error
    return call.door.reply(call, 200, encode(made), XML)


async def _moved(call: Call, party: str, since_ms: int) -> tuple[list[Moved], int, int]:
    """(movements back to before the day, the balance, the entry up to which it is folded)."""
    shard = call.door.shard(partition_of(party))
    query = {"since": str(since_ms)}
    rows: list[Moved] = []
    first: _Slice | None = None
    for _ in range(SLICES_MAX):
        ask = HomeAsk(0, "party_day.get", party, call.caller.key.id, party=party, query=query)
        found = _slice((await call.door.ask(shard, ask, PATIENCE_S)).body)
        first = first or found
        rows += found.rows
        if not found.next:
            return rows, first.minor, first.folded
        query = {**query, "from": str(found.next), "folded": str(first.folded)}
    raise InvalidField("This day is too long ago for HTTP; write it with tillway report "
                       "settlement.", param="business_date")  # fmt: skip
