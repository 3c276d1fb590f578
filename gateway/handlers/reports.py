"""Reports over HTTP: a store's day. Larger ones are written by `tillway report`."""

from collections.abc import Iterable
from typing import Any, Final

from msgspec import Struct
from msgspec.json import Decoder, encode

from actors.home_messages import HomeAsk
from gateway.auth import require, require_merchant
from gateway.edge import Reply
from gateway.handlers.balances import allow_merchant
from gateway.lists import list_query
from gateway.paper_filters import STORE_DAY_FILTERS
from gateway.routes import Call
from payments.errors import InsufficientScope, InvalidField
from payments.ids import partition_of
from payments.reference import KeyOwner
from payments.reports.amounts import MINOR
from payments.reports.csv_text import csv_text
from payments.reports.sales import DAY_COLUMNS, STORE_DAY
from payments.reports.tables import Row, Table, Tally

PATIENCE_S: Final = 5.0
SLICES_MAX: Final = 300
"""Slices of one request: 150 000 payments and refunds back from now."""
LINES_MAX: Final = 5_000
"""Lines of a day over HTTP: operators, terminals and wallets of its stores."""
KEYS: Final = 6
"""The first columns say of whom a line is; the others are added up."""


class _Slice(Struct):
    rows: list[Row]
    next: str


_slice: Final = Decoder(_Slice).decode


async def store_day(call: Call) -> Reply:
    """GET /v1/reports/store_day: what a merchant's stores, or one of them, took on a day."""
    require(call.caller, "ledger:read")
    query = list_query(call.query, STORE_DAY_FILTERS)
    if query.starting_after or query.ending_before:
        raise InvalidField("A day is whole.", param="starting_after")
    date, store = query.filters.get("business_date"), query.filters.get("store")
    if date is None:
        raise InvalidField("Which day?", param="business_date")
    key = call.caller.key
    if key.owner is KeyOwner.TERMINAL and key.store is not None:
        if store not in (None, key.store):
            raise InsufficientScope("This key belongs to another store.", param="store")
        store = key.store
    wanted = query.filters.get("merchant")
    merchant = require_merchant(call.caller) if wanted is None else allow_merchant(call, wanted)
    rows = await _rows(call, merchant, date, store)
    table = Table(type=STORE_DAY, columns=DAY_COLUMNS, rows=rows, key=DAY_COLUMNS[0].name,
                  groupings={}, totals=True)  # fmt: skip
    tally = Tally(table)
    if query.filters.get("format") == "csv":
        text = "".join(csv_text(table, tally, MINOR, bom=False)).encode()
        return call.door.reply(call, 200, text, "text/csv; charset=utf-8")
    data = [dict(zip(table.names, row, strict=True)) for row in tally.passing()]
    body = {
        "object": "report",
        "type": table.type,
        "merchant": merchant,
        "store": store,
        "business_date": date,
        "rows": tally.rows,
        "sums": tally.sums(),
        "data": data,
        "livemode": call.door.livemode,
    }
    return call.door.reply(call, 200, encode(body))


async def _rows(call: Call, merchant: str, date: str, store: str | None) -> list[Row]:
    """The day's lines, slices added up, in their order."""
    shard = call.door.shard(partition_of(merchant))
    query = {"business_date": date} | ({} if store is None else {"store": store})
    groups: dict[Row, list[Any]] = {}
    for _ in range(SLICES_MAX):
        ask = HomeAsk(0, "store_day.get", merchant, call.caller.key.id, party=merchant, query=query)
        found = _slice((await call.door.ask(shard, ask, PATIENCE_S)).body)
        add_up(groups, found.rows)
        if len(groups) > LINES_MAX:
            break
        if not found.next:
            return [(*key, *groups[key]) for key in sorted(groups, key=repr)]
        query = {**query, "from": found.next}
    raise InvalidField("This day is too long or too long ago for HTTP; write it with tillway "
                       "report store-day.", param="business_date")  # fmt: skip


def add_up(groups: dict[Row, list[Any]], rows: Iterable[Row]) -> None:
    """Add lines to those of the same operator, terminal and wallet."""
    for row in rows:
        key, figures = row[:KEYS], row[KEYS:]
        sums = groups.setdefault(key, [0] * len(figures))
        for at, figure in enumerate(figures):
            sums[at] += figure
