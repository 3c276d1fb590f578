"""RSA away from the event loop: a small pool of named threads for each lane.

Signing takes half a millisecond and lets go of the interpreter, so it is worth a thread. Verifying
takes a few microseconds more than the way to a thread and back would, so short texts are verified
where they are, and only long ones (whose digest is the work) go to the pool.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, Final, TypeVar

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
_Job = tuple[Callable[[], Any], "asyncio.Future[Any]"]


class SigningBusy(NotSent):
    """Too many texts wait for a signature: nothing was sent, and nothing will be."""


class SigningPool:
    """The threads of one lane, begun with the first text. `name` is theirs too.

    An executor of the standard library takes twice the processor time for the way to a thread and
    back: here what several threads finished comes back with one call into the loop.
    """

    def __init__(
        self, name: str, *, threads: int = THREADS_MAX, waiting: int = SIGNING_MAX
    ) -> None:
        self._name = name
        self._threads_max = threads
        self._threads: list[threading.Thread] = []
        self._waiting_max = waiting
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._done: deque[tuple[asyncio.Future[Any], Any, BaseException | None]] = deque()
        self._is_told = False
        """Whether the loop will look at what is done."""
        self._loop: asyncio.AbstractEventLoop | None = None
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
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._begin(loop)
        answer: asyncio.Future[_T] = loop.create_future()
        self._jobs.put((work, answer))
        return await answer

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop, self._is_told = loop, False
        for number in range(len(self._threads), self._threads_max):
            name = f"{self._name}-rsa_{number}"
            self._threads.append(threading.Thread(target=self._work, name=name, daemon=True))
            self._threads[-1].start()

    # --- in the threads -------------------------------------------------------------------------

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            work, answer = job
            try:
                self._done.append((answer, work(), None))
            except Exception as error:
                # For whoever awaits it; the thread is there for the next text.
                self._done.append((answer, None, error))
            self._tell()

    def _tell(self) -> None:
        """Have the loop look, unless it will. Set before: told too often is no harm."""
        if self._is_told:
            return
        self._is_told = True
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._deliver)

    # --- in the loop ----------------------------------------------------------------------------

    def _deliver(self) -> None:
        # Taken back first: what is done from now on is told anew.
        self._is_told = False
        done = self._done
        while done:
            answer, result, error = done.popleft()
            if answer.done():
                continue  # Whoever asked has gone.
            if error is None:
                answer.set_result(result)
            else:
                answer.set_exception(error)

    def close(self) -> None:
        """Let the threads end once they have done what they are at; what waits is dropped."""
        while True:
            try:
                job = self._jobs.get_nowait()
            except Empty:
                break
            if job is not None:
                job[1].cancel()
        for _ in self._threads:
            self._jobs.put(None)
        self._threads = []
        self._loop = None


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
