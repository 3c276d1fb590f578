"""Fetching WeChat Pay's bills: ask for the file, download it, check its hash.

Source: WeChat Pay API v3, "bills". The answer that names file and hash is signed, the file is not.
"""

from typing import Final
from urllib.parse import urlencode

from msgspec import Struct

from payments.channels.base import Unknown
from payments.channels.fetching import (
    MOVEMENTS,
    PAYMENTS,
    SHARES,
    AskedBill,
    BillFile,
    Fetched,
    NoBill,
    download,
    has_hash,
    target_of,
)
from payments.channels.transport import HttpClient
from payments.channels.wechat.calls import Calls, Lost, Refused
from payments.channels.wechat.orders import read

TRADE: Final = "/v3/bill/tradebill"
FUNDS: Final = "/v3/bill/fundflowbill"
SHARED: Final = "/v3/profitsharing/bills"
NO_STATEMENT: Final = "NO_STATEMENT_EXIST"
CREATING: Final = "STATEMENT_CREATING"


_CALLS: Final[dict[str, tuple[str, dict[str, str]]]] = {
    PAYMENTS: (TRADE, {"bill_type": "ALL"}),
    MOVEMENTS: (FUNDS, {"account_type": "BASIC"}),
    SHARES: (SHARED, {}),
}


class _Offer(Struct, frozen=True):
    """Where the file is, and its hash in hex."""

    hash_type: str
    hash_value: str
    download_url: str


async def fetch(
    calls: Calls, asked: AskedBill, sub_mchid: str | None, timeout_s: float, files: HttpClient
) -> Fetched:
    """See `FetchesBills`. `sub_mchid`: whose bill alone; None: the account's."""
    day = f"{asked.date:08d}"
    query = {"bill_date": f"{day[:4]}-{day[4:6]}-{day[6:]}"}
    path, more = _CALLS[asked.kind]
    query |= more
    if sub_mchid is not None:
        query["sub_mchid"] = sub_mchid
    said = await calls.get(f"{path}?{urlencode(query | {'tar_type': 'GZIP'})}", timeout_s)
    if isinstance(said, Lost):
        return Unknown(said.reason)
    if isinstance(said, Refused):
        if said.code in (NO_STATEMENT, CREATING):
            return NoBill("the channel has no such bill", later=said.code == CREATING)
        return Unknown(f"HTTP {said.status}")
    offer = read(said.body, _Offer)
    if offer is None or offer.hash_type != "SHA1":
        return Unknown("an answer of another form")
    headers = await calls.headers_for("GET", target_of(offer.download_url), b"")
    if headers is None:
        return Unknown("not signed")
    content = await download(offer.download_url, calls.base_url, headers, files)
    if isinstance(content, str):
        return Unknown(content)
    if not await has_hash(content, "sha1", offer.hash_value):
        return Unknown("a file with another hash than was told")
    return BillFile(content, ".csv.gz")
