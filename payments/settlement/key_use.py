"""What an Idempotency-Key was used for, where that was neither a payment nor a refund."""

from msgspec import Struct


class KeyUse(Struct, frozen=True, array_like=True, gc=False):
    """`ask`: the id minted for the request, which its front door repeats when it re-sends it.

    `object`: the id of what was made, shown as it stands when asked again; where there is none,
    `body` is what was answered.
    """

    fingerprint: bytes
    ask: str
    status: int
    object: str
    body: bytes = b""
