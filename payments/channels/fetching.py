"""Fetching a channel's bill: what is asked, what comes back, and when it may be believed.

A bill is fetched as the bytes that the channel keeps, and kept so (`payments.bills.archive`): what
they say is read later, as often as it takes. Where the channel tells a hash in a signed answer the
bytes must have it; where it tells none, the file carries its own checksums, and is read through.
"""

import asyncio
import gzip
import hashlib
import io
from typing import Final, Protocol, runtime_checkable

from msgspec import Struct

from payments.bills.lines import FILE_MAX_BYTES
from payments.bills.text import (
    BLOCK_BYTES,
    DAMAGE,
    GZIP_MAGIC,
    UNPACK_FREE_BYTES,
    UNPACK_RATIO_MAX,
)
from payments.channels.base import Unknown
from payments.channels.http import HttpSettings
from payments.channels.transport import HttpAnswer, HttpClient, HttpRequest, NoAnswer, NotSent

DOWNLOAD_MAX_BYTES: Final = 268_435_456
"""Largest file as it comes, packed: 256 MiB; it is held in memory while its hash is checked."""

DOWNLOAD_S: Final = 300.0
"""How long a file may take."""

FILES: Final = HttpSettings(connections_max=2, answer_bytes_max=DOWNLOAD_MAX_BYTES)
"""Of the pool that files come through: the one for payments takes no answer of this length."""

PAYMENTS: Final = "payments"
MOVEMENTS: Final = "movements"
SHARES: Final = "shares"


class AskedBill(Struct, frozen=True):
    """`date`: the channel's day, yyyymmdd. `merchant`: one of ours whose own bill it is to be;
    empty: the account's. `kind`: PAYMENTS; MOVEMENTS of the account's balance, or SHARES of divided
    money, where the channel has such a bill.
    """

    date: int
    merchant: str = ""
    kind: str = PAYMENTS


class BillFile(Struct, frozen=True):
    """The file as it came. `extension`: what its name ends with, dot included."""

    content: bytes
    extension: str

    def __repr__(self) -> str:
        return f"BillFile({len(self.content)} bytes, {self.extension!r})"


class NoBill(Struct, frozen=True):
    """The channel has none for this day. `later`: not yet; else nothing happened on it."""

    reason: str
    later: bool


Fetched = BillFile | NoBill | Unknown


@runtime_checkable
class FetchesBills(Protocol):
    """A channel whose bills can be fetched. Every call ends with an answer, never an exception."""

    async def fetch_bill(self, asked: AskedBill, files: HttpClient) -> Fetched:
        """`files`: a pool with the settings `FILES`. Unknown: ask again."""
        ...


async def download(url: str, api: str, headers: dict[str, str], files: HttpClient) -> bytes | str:
    """The file at an address that a signed answer named, or why there is none.

    It must be as well guarded as `api`, where the answer came from: no step down from TLS.
    """
    if url.partition("://")[0] not in {api.partition("://")[0], "https"}:
        return "an address of another kind than the channel's own"
    try:
        answer: HttpAnswer = await files.send(HttpRequest("GET", url, headers, b"", DOWNLOAD_S))
    except NotSent:
        return "not sent"
    except NoAnswer:
        return "no answer"
    return answer.body if answer.status == 200 else f"HTTP {answer.status}"


def target_of(url: str) -> str:
    """Path and query of an address, as they are signed."""
    rest = url.partition("://")[2]
    return "/" + rest.partition("/")[2]


async def has_hash(content: bytes, algorithm: str, expected: str) -> bool:
    """Whether the bytes have this hash (hex), as they came or unpacked: what a channel's hash is of
    is not always said.
    """
    return await asyncio.to_thread(_has_hash, content, algorithm, expected.lower())


def _has_hash(content: bytes, algorithm: str, expected: str) -> bool:
    if hashlib.new(algorithm, content, usedforsecurity=False).hexdigest() == expected:
        return True
    if not content.startswith(GZIP_MAGIC):
        return False
    digest, size = hashlib.new(algorithm, usedforsecurity=False), 0
    size_max = min(FILE_MAX_BYTES, UNPACK_FREE_BYTES + UNPACK_RATIO_MAX * len(content))
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as text:
            while block := text.read(BLOCK_BYTES):
                size += len(block)
                if size > size_max:
                    return False
                digest.update(block)
    except DAMAGE:
        return False
    return digest.hexdigest() == expected
