"""What both stores share: named limits, and how nonces, marks and event ids are packed."""

from collections.abc import Iterable
from typing import Final, TypeAlias

from msgspec import msgpack

from payments.ids import BODY_LENGTH
from payments.storage.base import PaymentRow, RefundRow

NO_MAX: Final = (1 << 63) - 1

NONCE_KEPT_MS: Final = 900_000
"""A nonce may be asked about for twice its window of 300 s; commits stay half as long again."""
PRUNE_EVERY_COMMITS: Final = 16
PRUNED_AT_ONCE_MAX: Final = 64
"""Old commits go with one commit in a few, faster than new ones come."""

Found: TypeAlias = tuple[list[PaymentRow], list[PaymentRow], list[PaymentRow], list[RefundRow]]
"""What `probe` answers: payments by key, by order, by auth code, and refunds by key."""

_encoder: Final = msgpack.Encoder()
_nonces: Final = msgpack.Decoder(list[tuple[int, int]])
_marks: Final = msgpack.Decoder(dict[str, int])


def pack_nonces(nonces: list[tuple[int, int]]) -> bytes:
    return _encoder.encode(nonces)


def nonces_since(packed: Iterable[bytes], since_s: int) -> list[tuple[int, int]]:
    """The nonces of these commits that were created at or after `since_s`."""
    decode = _nonces.decode
    return [nonce for blob in packed for nonce in decode(blob) if nonce[1] >= since_s]


def pack_marks(marks: dict[str, int]) -> bytes:
    return _encoder.encode(marks)


def unpack_marks(packed: bytes) -> dict[str, int]:
    return _marks.decode(packed)


def event_range(source: str) -> tuple[str, str]:
    """First and last bound of the ids of events about a payment or refund: evt_<its body>…"""
    first = f"evt_{source[-BODY_LENGTH:]}"
    return first, first + "\x7f"
