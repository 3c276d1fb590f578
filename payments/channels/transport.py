"""What a connector needs of the world: a way to send, keys that sign, callbacks that come in.

All of it is passed in, so that a connector can be tested without a socket. The bytes of an answer
are kept as they came until its signature is checked: nothing is parsed and put together again.
"""

from collections.abc import Mapping
from typing import Final, Protocol

from msgspec import Struct

from payments.channels.base import Notice

ANSWER_MAX_BYTES: Final = 1_048_576
"""No channel answers a payment call with more; what is longer is cut off and not believed."""


class HttpRequest(Struct, frozen=True, gc=False):
    """One request. `url` is whole, query included, exactly as it was signed."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes = b""
    timeout_s: float = 5.0


class HttpAnswer(Struct, frozen=True, gc=False):
    """What came back. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class NotSent(Exception):
    """Certainly not one byte reached the channel (refused, no route, no room): ask another."""


class NoAnswer(Exception):
    """It may have arrived: a time-out, a cut connection, an answer that is too long."""


class HttpClient(Protocol):
    """A pool of connections. Redirects are never followed; time-outs count from the call."""

    async def send(self, request: HttpRequest) -> HttpAnswer:
        """Raise NotSent or NoAnswer, nothing else."""
        ...


class Signer(Protocol):
    """The account's private key, RSASSA-PKCS1-v1_5 with SHA-256, away from the event loop."""

    async def sign(self, text: bytes) -> bytes: ...


class Verifier(Protocol):
    """One public key of the channel's."""

    async def verify(self, text: bytes, signature: bytes) -> bool: ...


class Callback(Struct, frozen=True, gc=False):
    """A request of the channel to us, unverified. Header names are in lower case."""

    method: str
    query: str
    headers: Mapping[str, str]
    body: bytes


class CallbackAnswer(Struct, frozen=True, gc=False):
    """What the channel is told."""

    status: int
    content_type: str
    body: bytes


class Heard(Struct, frozen=True, gc=False):
    """A callback that was checked. `notice` is None when it says nothing about an order of ours.

    `answer` is sent only when the notice is durable; `refusal` when that could not be done in time.
    Where the signature is wrong there is no notice, and `answer` is a refusal already. `hint`: the
    number of a sharing or return order that is worth asking about now; it may be nobody's.
    """

    notice: Notice | None
    answer: CallbackAnswer
    refusal: CallbackAnswer
    hint: str = ""


class TakesCallbacks(Protocol):
    """A channel that tells us unasked."""

    async def hear(self, callback: Callback) -> Heard:
        """Verify and read one callback. Never raise for what stands in it."""
        ...
