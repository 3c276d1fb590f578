"""RSA away from the event loop: a small pool of named threads for each lane.

Signing takes half a millisecond and lets go of the interpreter, so it is worth a thread. Verifying
takes a few microseconds more than the way to a thread and back would, so short texts are verified
where they are, and only long ones (whose digest is the work) go to the pool.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256

from payments.channels.transport import NotSent

THREADS_MAX: Final = 2
"""Of one lane. More help no one: two of them keep two processors busy."""

SIGNING_MAX: Final = 1_024
"""Texts of one lane that wait for a signature, about half a second's work; more are refused."""

INLINE_BYTES_MAX: Final = 16_384
"""Texts up to this length are verified on the loop."""

_PADDING: Final = PKCS1v15()
_DIGEST: Final = SHA256()
_T = TypeVar("_T")


class SigningBusy(NotSent):
    """Too many texts wait for a signature: nothing was sent, and nothing will be."""


class SigningPool:
    """The threads of one lane. `name` is theirs too."""

    def __init__(
        self, name: str, *, threads: int = THREADS_MAX, waiting: int = SIGNING_MAX
    ) -> None:
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=f"{name}-rsa")
        self._waiting_max = waiting
        self.waiting = 0
        """Texts that were taken and are not signed yet."""
        self.refused = 0

    def signer(self, key: RSAPrivateKey) -> "PooledSigner":
        return PooledSigner(self, key)

    def verifier(self, key: RSAPublicKey) -> "PooledVerifier":
        return PooledVerifier(self, key)

    async def sign(self, work: Callable[[], bytes]) -> bytes:
        """Sign in a thread. Raise SigningBusy when too many wait already."""
        if self.waiting >= self._waiting_max:
            self.refused += 1
            raise SigningBusy("too many requests wait for a signature")
        self.waiting += 1
        try:
            return await self._run(work)
        finally:
            self.waiting -= 1

    async def verify(self, work: Callable[[], bool]) -> bool:
        """Verify in a thread. Never refused: each call and callback in hand brings one text."""
        return await self._run(work)

    async def _run(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    def close(self) -> None:
        """Let the threads end once they have done what they are at; what waits is dropped."""
        self._executor.shutdown(wait=False, cancel_futures=True)


class PooledSigner:
    """`Signer` of one private key."""

    __slots__ = ("_key", "_pool")

    def __init__(self, pool: SigningPool, key: RSAPrivateKey) -> None:
        self._pool = pool
        self._key = key

    async def sign(self, text: bytes) -> bytes:
        """The signature. Raise SigningBusy."""
        key = self._key
        return await self._pool.sign(lambda: key.sign(text, _PADDING, _DIGEST))

    def __repr__(self) -> str:
        return "PooledSigner()"


class PooledVerifier:
    """`Verifier` of one public key."""

    __slots__ = ("_key", "_pool")

    def __init__(self, pool: SigningPool, key: RSAPublicKey) -> None:
        self._pool = pool
        self._key = key

    async def verify(self, text: bytes, signature: bytes) -> bool:
        if len(text) <= INLINE_BYTES_MAX:
            return self._verify(text, signature)
        return await self._pool.verify(lambda: self._verify(text, signature))

    def _verify(self, text: bytes, signature: bytes) -> bool:
        try:
            self._key.verify(signature, text, _PADDING, _DIGEST)
        except InvalidSignature:
            return False
        return True
