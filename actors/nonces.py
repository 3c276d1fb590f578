"""Nonces of signed requests: each counts once per key and merchant, restarts included.

A nonce is only worth keeping while a signature with its `created` would still be accepted, so the
memory is a ring of buckets by `created`; the store holds the same, packed in the commits.
"""

from typing import Final

from payments.errors import Overloaded, Unauthorized
from payments.storage.base import Store

WINDOW_S: Final = 300
"""A signature counts within this many seconds of its `created`, either way."""

BUCKET_S: Final = 30
MARGIN_S: Final = 60
"""Kept longer than the window by this, so that clocks of front doors may differ."""

NONCES_MAX: Final = 6_000_000
"""Remembered nonces in one shard; more means more requests than a shard can serve."""


class Nonces:
    """The nonces seen within the window."""

    def __init__(self, most: int = NONCES_MAX) -> None:
        self.most = most
        self._seen: set[int] = set()
        self._buckets: dict[int, list[int]] = {}

    def recover(self, store: Store, real_ms: int) -> None:
        for digest, created in store.recent_nonces(real_ms // 1000 - WINDOW_S - MARGIN_S):
            self.accept(digest, created)

    def accept(self, digest: int, created: int) -> bool:
        """Remember a nonce. False when it was seen before, whenever that signature was made."""
        seen = self._seen
        if digest in seen:
            return False
        seen.add(digest)
        bucket = self._buckets.get(created // BUCKET_S)
        if bucket is None:
            bucket = self._buckets[created // BUCKET_S] = []
        bucket.append(digest)
        return True

    def spend(self, digest: int, created: int) -> None:
        """Accept a nonce. Raise Unauthorized if it was used, Overloaded when memory is full."""
        if len(self._seen) >= self.most:
            raise Overloaded("too many signed requests in five minutes; try later", retry_after_s=5)
        if not self.accept(digest, created):
            raise Unauthorized("this signature was used before; sign the request again")

    def prune(self, real_ms: int) -> None:
        """Forget those whose signatures are no longer accepted."""
        oldest = (real_ms // 1000 - WINDOW_S - MARGIN_S) // BUCKET_S
        for number in [number for number in self._buckets if number < oldest]:
            self._seen.difference_update(self._buckets.pop(number))

    def __len__(self) -> int:
        return len(self._seen)
