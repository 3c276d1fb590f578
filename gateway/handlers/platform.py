"""Lists of a platform key that names no merchant: all its merchants' lists, merged by id."""

import asyncio
from typing import Final

from msgspec import Raw, Struct
from msgspec.json import Decoder

from actors.messages import ReadList
from gateway.edge import Reply
from gateway.lists import PAYMENT_FILTERS, REFUND_FILTERS, cursor_over_all, list_page, list_query
from gateway.routes import Call
from payments.errors import Refused
from payments.ids import partition_of

MERCHANTS_MAX: Final = 500
"""Merchants whose lists are merged for one page; a platform with more names one of them."""

PATIENCE_S: Final = 5.0
BEFORE: Final = "id[lt]"
"""The filter that carries a cursor to shards that may not know its object."""


class _Page(Struct):
    has_more: bool
    data: list[Raw]


class _Named(Struct):
    id: str


_page: Final = Decoder(_Page).decode
_named: Final = Decoder(_Named).decode


async def list_of_platform(call: Call, kind: str, fixed: dict[str, str] | None = None) -> Reply:
    """GET /v1/payments and /v1/refunds over all merchants of the platform, newest first.

    `fixed`: filters that the list has by itself.
    """
    door = call.door
    query = list_query(call.query, REFUND_FILTERS if kind == "refund" else PAYMENT_FILTERS)
    after = cursor_over_all(query, "rfd" if kind == "refund" else "pay")
    platform = call.caller.key.platform or ""
    merchants = door.reference.merchants_of_platform(platform)
    if len(merchants) > MERCHANTS_MAX:
        raise Refused(
            f"This key has more than {MERCHANTS_MAX} merchants; name one.",
            param="Tillway-Merchant",
        )
    filters = dict(query.filters) | (fixed or {})
    if after is not None:
        filters[BEFORE] = after
    asked = [
        door.ask(
            door.shard(partition_of(merchant.id)),
            ReadList(0, merchant.id, kind, query.limit, filters),
            PATIENCE_S,
        )
        for merchant in merchants
    ]
    pages = [_page(answer.body) for answer in await asyncio.gather(*asked)]
    found = [(_named(item).id, bytes(item)) for page in pages for item in page.data]
    found.sort(reverse=True)
    more = len(found) > query.limit or any(page.has_more for page in pages)
    rows = [body for _, body in found[: query.limit]]
    return door.reply(call, 200, list_page(call.path, rows, more))
