"""Ids: a prefix and 24 Crockford characters that sort by time and carry the partition.

Body layout, most significant first (5 bits a character):

    10 characters  milliseconds since 1970 (50 bits)
     3 characters  partition (12 of 15 bits)
    11 characters  random (55 bits)

A look-up therefore needs no directory: the partition names the shard. `out_trade_no`, the order
number a channel sees, is the payment's body and two characters of attempt number: fixed at
intent time, never made from a later clock, at most 32 characters as every channel demands.
"""

import os
from typing import Final

RANDOM_AT: Final = 13
"""Where a body's random part begins, after time and partition."""

ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
BODY_LENGTH: Final = 24
PARTITIONS: Final = 4096
SHARED_PARTITIONS: Final = 256
"""Partitions 0-255 are shared by merchants; 256-4095 belong to one merchant each."""

ATTEMPTS_MAX: Final = 1024

_VALUE: Final = {character: value for value, character in enumerate(ALPHABET)}
_PAIRS: Final = tuple(a + b for a in ALPHABET for b in ALPHABET)
_PARTITION_TEXT: Final = tuple(ALPHABET[0] + ALPHABET[0] + c for c in ALPHABET) + tuple(
    ALPHABET[number >> 10] + ALPHABET[number >> 5 & 31] + ALPHABET[number & 31]
    for number in range(32, PARTITIONS)
)
_PARTITION_OF: Final = {text: number for number, text in enumerate(_PARTITION_TEXT)}
_RANDOM_BYTES: Final = 8 * 512


class MalformedId(ValueError):
    """A text that is not one of our ids."""


def _encode_time(ms: int) -> str:
    assert 0 <= ms < 1 << 50, ms
    return (
        _PAIRS[ms >> 40]
        + _PAIRS[ms >> 30 & 1023]
        + _PAIRS[ms >> 20 & 1023]
        + _PAIRS[ms >> 10 & 1023]
        + _PAIRS[ms & 1023]
    )


class IdMint:
    """Makes ids. One a process; `entropy` is passed in by tests that need the same ids twice."""

    __slots__ = ("_entropy", "_last_ms", "_pool", "_pool_at", "_time_text")

    def __init__(self, entropy: "Entropy | None" = None) -> None:
        self._entropy = entropy or Entropy()
        self._pool = b""
        self._pool_at = 0
        self._last_ms = -1
        self._time_text = ""

    def body(self, now_ms: int, partition: int) -> str:
        """A new 24-character body for an object of `partition` made at `now_ms`."""
        if now_ms != self._last_ms:
            self._last_ms = now_ms
            self._time_text = _encode_time(now_ms)
        at = self._pool_at
        if at >= len(self._pool):
            self._pool = self._entropy.bytes(_RANDOM_BYTES)
            at = 0
        self._pool_at = at + 8
        bits = int.from_bytes(self._pool[at : at + 8], "little")
        pairs = _PAIRS
        return (
            f"{self._time_text}{_PARTITION_TEXT[partition]}{pairs[bits & 1023]}"
            f"{pairs[bits >> 10 & 1023]}{pairs[bits >> 20 & 1023]}{pairs[bits >> 30 & 1023]}"
            f"{pairs[bits >> 40 & 1023]}{ALPHABET[bits >> 50 & 31]}"
        )

    def new(self, prefix: str, now_ms: int, partition: int) -> str:
        """A new id, such as `pay_…` for the prefix `pay`."""
        return f"{prefix}_{self.body(now_ms, partition)}"


class Entropy:
    """The operating system's randomness; the only place that asks for it."""

    __slots__ = ()

    def bytes(self, count: int) -> bytes:
        return os.urandom(count)


class SeededEntropy(Entropy):
    """Repeatable randomness for simulation and demo seeds. Never for secrets."""

    __slots__ = ("_random",)

    def __init__(self, seed: int) -> None:
        import random

        self._random = random.Random(seed)  # noqa: S311 - repeatable on purpose, no secret

    def bytes(self, count: int) -> bytes:
        return self._random.randbytes(count)


def body_of(identifier: str, prefix: str) -> str:
    """The body of an id of the kind `prefix`. Raise MalformedId for anything else."""
    head, _, body = identifier.partition("_")
    if head != prefix or not is_body(body):
        raise MalformedId(f"{identifier[:40]!r} is not a {prefix}_ id")
    return body


def is_body(text: str) -> bool:
    """Whether `text` could be the body of one of our ids."""
    return (
        len(text) == BODY_LENGTH
        and text[10:13] in _PARTITION_OF
        and all(character in _VALUE for character in text)
    )


def partition_of(identifier: str) -> int:
    """The partition in an id, in a body or in an `out_trade_no`."""
    body = identifier.rpartition("_")[2]
    try:
        return _PARTITION_OF[body[10:13]]
    except KeyError:
        raise MalformedId(f"{identifier[:40]!r} carries no partition") from None


def time_ms_of(identifier: str) -> int:
    """The milliseconds since 1970 at which an id was minted."""
    body = identifier.rpartition("_")[2]
    value = 0
    try:
        for character in body[:10]:
            value = value << 5 | _VALUE[character]
    except KeyError:
        raise MalformedId(f"{identifier[:40]!r} carries no time") from None
    return value


def derived_body(identifier: str, digest: bytes) -> str:
    """A body of its own for what follows from an object: its time and partition, and a digest."""
    return identifier[-BODY_LENGTH:][:RANDOM_AT] + _tail(digest)


def body_at(ms: int, partition: int, digest: bytes) -> str:
    """A body that follows from an instant, a partition and a digest: the same from the same."""
    return _encode_time(ms) + _PARTITION_TEXT[partition] + _tail(digest)


def _tail(digest: bytes) -> str:
    """55 bits of a digest in the place of randomness."""
    bits = int.from_bytes(digest[:8], "big")
    return "".join(ALPHABET[bits >> 5 * at & 31] for at in range(BODY_LENGTH - RANDOM_AT))


def out_trade_no(payment_id: str, attempt_no: int) -> str:
    """The order number that a channel sees: a pure function of payment and attempt."""
    assert 0 <= attempt_no < ATTEMPTS_MAX, attempt_no
    return payment_id[-BODY_LENGTH:] + _PAIRS[attempt_no]


def payment_of_out_trade_no(number: str) -> tuple[str, int]:
    """The payment id and the attempt number in an `out_trade_no` of ours."""
    body, tail = number[:BODY_LENGTH], number[BODY_LENGTH:]
    if not is_body(body) or len(tail) != 2 or any(c not in _VALUE for c in tail):
        raise MalformedId(f"{number[:40]!r} is not an out_trade_no of ours")
    return f"pay_{body}", _VALUE[tail[0]] << 5 | _VALUE[tail[1]]
