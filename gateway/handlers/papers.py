"""Papers over HTTP: balance transactions, the ledger's entries and accounts, statements.

Shards answer a slice at a time, so that payments go on between two; here the slices are put
together, as many as one request may have.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final
from urllib.parse import urlencode

from msgspec import Struct
from msgspec.json import Decoder, encode

from actors.home_messages import HomeAsk
from actors.link import Dialer
from gateway.auth import Caller, require, require_merchant
from gateway.edge import Reply
from gateway.handlers.balances import allow_merchant, allow_receiver
from gateway.handlers.party_days import bank_style
from gateway.lists import Filters, ListQuery, list_page, list_query, parameters
from gateway.paper_filters import (
    ENTRY_FILTERS,
    LEDGER_ACCOUNT_FILTERS,
    STATEMENT_FILTERS,
    TRANSACTION_FILTERS,
)
from gateway.routes import Call
from payments import chart
from payments.errors import InsufficientScope, InvalidField
from payments.ids import MalformedId, partition_of
from payments.reference import KeyOwner
from payments.reports.amounts import MINOR
from payments.reports.books import kind_of, unstriped
from payments.reports.csv_text import csv_text
from payments.reports.html_page import html_page
from payments.reports.settlement import COLUMNS, ITEMIZED, NET
from payments.reports.tables import Row, Table, Tally
from payments.storage.comparing import aside

PATIENCE_S: Final = 5.0
SLICES_MAX: Final = 300
"""Slices of one request: 300 000 entries of a shard."""

STATEMENT_ROWS_MAX: Final = 20_000
"""Lines of a statement over HTTP; `tillway report` writes larger ones."""

LINES_A_TURN: Final = 500
"""Lines that are written at one go; other requests go on between them."""

XLSX: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

_ENTRY: Final = re.compile(r"ent_[0-9A-Z]{25}")


class _Slice(Struct):
    rows: list[tuple[int, dict[str, Any]]]
    next: int


class _Cells(Struct):
    rows: list[Row]
    next: int
    batches: list[dict[str, Any]]


class _Sums(Struct):
    rows: list[tuple[str, str, int]]


_slice: Final = Decoder(_Slice).decode
_cells: Final = Decoder(_Cells).decode
_sums: Final = Decoder(_Sums).decode


# --- balance transactions ---------------------------------------------------------------------


async def list_movements(call: Call) -> Reply:
    """GET /v1/balance_transactions: of the caller's merchant, or of one of its receivers."""
    require(call.caller, "ledger:read")
    query, filters = _paged(call.query, TRANSACTION_FILTERS)
    merchant, receiver = filters.pop("merchant", None), filters.pop("receiver", None)
    if merchant is not None and receiver is not None:
        raise InvalidField("Say either merchant or receiver.", param="receiver")
    if receiver is not None:
        allow_receiver(call, receiver)
        party = receiver
    else:
        party = allow_merchant(call, merchant)
    shard = call.door.shard(partition_of(party))
    rows, more = await _walked(call, "balance_transaction.list", [shard], query, filters, party)
    return call.door.reply(call, 200, list_page(call.path, map(encode, rows), more))


def _paged(text: str, filters: Filters) -> tuple[ListQuery, dict[str, str]]:
    """A query whose cursor is an entry: its id is one letter longer than others."""
    asked = parameters(text)
    after = asked.pop("starting_after", None)
    if "ending_before" in asked:
        raise InvalidField("This list is paged by starting_after.", param="ending_before")
    query = list_query(urlencode(asked), filters)
    chosen = dict(query.filters)
    if after is not None:
        if not _ENTRY.fullmatch(after):
            raise InvalidField("Not the id of an entry.", param="starting_after")
        chosen["starting_after"] = after
    return query, chosen


async def _walked(
    call: Call,
    op: str,
    shards: list[Dialer],
    query: ListQuery,
    filters: dict[str, str],
    party: str = "",
) -> tuple[list[dict[str, Any]], bool]:
    """Newest first, from one shard by slices, or the newest of several; and whether more follow."""
    if "starting_after" in filters and len(shards) > 1:
        raise InvalidField("This account is in several shards: its newest alone are listed.",
                           param="starting_after")  # fmt: skip
    found = await asyncio.gather(
        *(_of_shard(call, op, shard, dict(filters), query.limit, party) for shard in shards)
    )
    rows = [row for each, _ in found for row in each]
    if len(shards) > 1:
        rows.sort(key=lambda row: row["created"], reverse=True)
    return rows[: query.limit], len(rows) > query.limit or any(more for _, more in found)


async def _of_shard(
    call: Call, op: str, shard: Dialer, filters: dict[str, str], limit: int, party: str
) -> tuple[list[dict[str, Any]], bool]:
    """One more than the limit, if there are as many; and whether there may be more."""
    rows: list[dict[str, Any]] = []
    for _ in range(SLICES_MAX):
        ask = HomeAsk(0, op, party, call.caller.key.id, party=party, query=filters)
        answer = await call.door.ask(shard, ask, PATIENCE_S)
        found = _slice(answer.body)
        rows += [body for _, body in found.rows]
        if len(rows) > limit or not found.next:
            return rows[: limit + 1], len(rows) > limit
        filters = {**filters, "from": str(found.next)}
    if not rows:
        raise InvalidField("Nothing of it is among the newest; look it up by its source.",
                           param="source")  # fmt: skip
    return rows, True


# --- the ledger -------------------------------------------------------------------------------


async def list_entries(call: Call) -> Reply:
    """GET /v1/ledger/entries: about a source, or of one account. For operators."""
    _require_operator(call.caller)
    query, filters = _paged(call.query, ENTRY_FILTERS)
    source, account = filters.get("source"), filters.get("account")
    if (source is None) is (account is None):
        raise InvalidField("Say either source or account.", param="account")
    if source is not None:
        try:
            shards = [call.door.shard(partition_of(source))]
        except MalformedId:
            raise InvalidField("Not an id.", param="source") from None
    else:
        assert account is not None
        shards = _shards_of(call, account)
    rows, more = await _walked(call, "ledger_entry.list", shards, query, filters)
    return call.door.reply(call, 200, list_page(call.path, map(encode, rows), more))


def _shards_of(call: Call, name: str) -> list[Dialer]:
    """Where an account's entries are: one shard, or all for what every partition posts to."""
    try:
        account = chart.parse(name)
        if account.partition is not None:
            return [call.door.shard(account.partition)]
        if account.family == "merchant":
            return [call.door.shard(partition_of(account.owner))]
    except (chart.UnknownAccount, MalformedId):
        raise InvalidField("Not an account of the chart.", param="account") from None
    return list(call.door.shards)


async def list_accounts(call: Call) -> Reply:
    """GET /v1/ledger/accounts: those of one owner, stripes added up. For operators."""
    _require_operator(call.caller)
    query = list_query(call.query, LEDGER_ACCOUNT_FILTERS)
    if query.starting_after or query.ending_before:
        name = "starting_after" if query.starting_after else "ending_before"
        raise InvalidField("Accounts are one page.", param=name)
    begin = query.filters.get("account", "fees:")
    family, _, owner = begin.partition(":")
    if family not in chart.FAMILIES or not (owner or family == "fees"):
        raise InvalidField("A family and whose: such as merchant:mch_… or custody:icbc.",
                           param="account")  # fmt: skip
    ask = [
        call.door.ask(shard, HomeAsk(0, "ledger_account.list", "", call.caller.key.id,
                                     query={"account": begin}), PATIENCE_S)
        for shard in call.door.shards
    ]  # fmt: skip
    totals: dict[tuple[str, str], int] = {}
    for answer in await asyncio.gather(*ask):
        for name, currency, minor in _sums(answer.body).rows:
            key = unstriped(name), currency
            totals[key] = totals.get(key, 0) + minor
    rows = [
        {
            "object": "ledger_account",
            "account": name,
            "kind": kind_of(name).value,
            "currency": currency,
            "balance": minor,
            "livemode": call.door.livemode,
        }
        for (name, currency), minor in sorted(totals.items())
    ]
    more = len(rows) > query.limit
    return call.door.reply(call, 200, list_page(call.path, map(encode, rows[: query.limit]), more))


def _require_operator(caller: Caller) -> None:
    """The whole ledger is every merchant's: nobody's key but an operator's may see it."""
    require(caller, "ledger:read")
    if caller.key.owner is not KeyOwner.OPERATOR:
        raise InsufficientScope("The ledger of everybody is for operators.")


# --- statements -------------------------------------------------------------------------------


async def statement(call: Call) -> Reply:
    """GET /v1/statements: a merchant's settlement statement of one business date."""
    require(call.caller, "ledger:read")
    query = list_query(call.query, STATEMENT_FILTERS)
    if query.starting_after or query.ending_before:
        raise InvalidField("A statement is whole.", param="starting_after")
    date, format_ = query.filters.get("business_date"), query.filters.get("format", "json")
    if date is None:
        raise InvalidField("Which day?", param="business_date")
    wanted = query.filters.get("merchant")
    merchant = require_merchant(call.caller) if wanted is None else allow_merchant(call, wanted)
    if format_ == "camt053":
        return await bank_style(call, merchant, date)
    rows, batches = await _statement_rows(call, merchant, date)
    table = Table(
        type=ITEMIZED,
        columns=COLUMNS,
        rows=rows,
        key="balance_transaction_id",
        groupings={"Summary": ("reporting_category", "currency")},
        nets=NET,
        totals=True,
    )
    tally = Tally(table)
    about = {"merchant": merchant, "business_date": date}
    if format_ == "csv":
        text = await _joined(csv_text(table, tally, MINOR, bom=False))
        return call.door.reply(call, 200, text, "text/csv; charset=utf-8")
    if format_ == "html":
        page = html_page(table, tally, MINOR, title="Settlement statement", about=about)
        return call.door.reply(call, 200, await _joined(page), "text/html; charset=utf-8")
    if format_ == "xlsx":
        book = await aside(_workbook, table, tally)
        return call.door.reply(call, 200, book, XLSX)
    names = table.names
    data = [dict(zip(names, row, strict=True)) for row in tally.passing()]
    body = {
        "object": "statement",
        "type": table.type,
        **about,
        "rows": tally.rows,
        "sums": tally.sums(),
        "batches": batches,
        "data": data,
        "livemode": call.door.livemode,
    }
    return call.door.reply(call, 200, encode(body))


async def _statement_rows(
    call: Call, merchant: str, date: str
) -> tuple[list[Row], list[dict[str, Any]]]:
    shard = call.door.shard(partition_of(merchant))
    rows: list[Row] = []
    query = {"business_date": date}
    for _ in range(SLICES_MAX):
        ask = HomeAsk(0, "statement.get", merchant, call.caller.key.id, party=merchant, query=query)
        found = _cells((await call.door.ask(shard, ask, PATIENCE_S)).body)
        rows += found.rows
        if len(rows) > STATEMENT_ROWS_MAX:
            break
        if not found.next:
            return rows, found.batches
        query = {**query, "from": str(found.next)}
    raise InvalidField("This day is too long for HTTP; write it with tillway report settlement.",
                       param="business_date")  # fmt: skip


def _workbook(table: Table, tally: Tally) -> bytes:
    """In a thread: the rows go through files on their way. Raise OSError."""
    # Imported here: the front door starts without it, and few ask for a workbook.
    from payments.reports.workbook import write_workbook

    with TemporaryDirectory(prefix="tillway-") as folder:
        path = Path(folder) / "statement.xlsx"
        write_workbook(path, table, tally, MINOR)
        return path.read_bytes()


async def _joined(pieces: Iterable[str]) -> bytes:
    return b"".join([piece async for piece in _in_turns(pieces)])


async def _in_turns(pieces: Iterable[str]) -> AsyncIterator[bytes]:
    for count, piece in enumerate(pieces, 1):
        yield piece.encode()
        if count % LINES_A_TURN == 0:
            await asyncio.sleep(0)
