"""Idempotency keys that the way home of the money used: one merchant, one set of keys.

A key that a withdrawal, freeze or release used is not free for a payment, refund or cancel, and the
other way round. Those of payments and refunds are in their own rows; the others are records.
"""

from typing import Final

from actors.records import Records
from payments.errors import IdempotencyMismatch

TAKEN: Final = "this Idempotency-Key belongs to another request; use a new key"


def key_id(digest: bytes) -> str:
    """The record's id. It holds the whole digest, so two keys never meet."""
    return "key_" + digest.hex()


def refuse_used_at_home(records: Records, digest: bytes) -> None:
    """Raise IdempotencyMismatch for a key that something else than a payment or refund used."""
    if records.has(key_id(digest)):
        raise taken()


def taken() -> IdempotencyMismatch:
    return IdempotencyMismatch(TAKEN, param="Idempotency-Key")
