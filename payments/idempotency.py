"""The same request has one effect: keyed digests, and the rules of keys and order numbers.

Digests are keyed with a secret of the deployment, because what they hide can be guessed: an auth
code has 18 digits. Each kind has its own domain, so that equal texts of two kinds never collide.
Every part but the last is of a known length or ends where its successor cannot begin.
"""

from enum import Enum
from hashlib import blake2b
from struct import Struct as Layout
from typing import Final

from payments.errors import OrderAlreadyPaid, OrderInProgress
from payments.payment import UNPAID, Payment, Status
from payments.refund import Refund

SECRET_BYTES_MIN: Final = 16
SECRET_BYTES_MAX: Final = 64
DIGEST_BYTES: Final = 16
_INDEX_BYTES: Final = 8

_signed: Final = Layout(">q").unpack_from
_unsigned: Final = Layout(">Q").unpack_from

_UTF8: Final = ("utf-8", "surrogatepass")
"""Headers and paths may carry bytes that are no text: those come as surrogates, and count too."""

_KEY: Final = b"tillway key"
_FINGERPRINT: Final = b"tillway request"
_ORDER: Final = b"tillway order"
_AUTH: Final = b"tillway auth"
_NONCE: Final = b"tillway nonce"


class Digests:
    """Keyed digests of one deployment. `secret`: 16 to 64 bytes, the same in all its processes."""

    __slots__ = ("_secret",)

    def __init__(self, secret: bytes) -> None:
        if not SECRET_BYTES_MIN <= len(secret) <= SECRET_BYTES_MAX:
            raise ValueError(f"a secret of {len(secret)} bytes; 16 to 64 are needed")
        self._secret = secret

    def __repr__(self) -> str:
        return "Digests(…)"

    def key(self, merchant: str, key: str) -> bytes:
        """16 bytes that stand for one idempotency key of one merchant."""
        return blake2b(
            f"{merchant}\0{key}".encode(*_UTF8), digest_size=16, key=self._secret, person=_KEY
        ).digest()

    def fingerprint(self, method: str, path: str, body: bytes) -> bytes:
        """16 bytes that stand for what was asked. `path`: the full one, with its query."""
        return blake2b(
            f"{method} {len(path)} {path}".encode(*_UTF8) + body,
            digest_size=16,
            key=self._secret,
            person=_FINGERPRINT,
        ).digest()

    def order(self, merchant: str, order_no: str) -> int:
        """A signed 64-bit number to look an order up by; two orders may share one."""
        digest = blake2b(
            f"{merchant}\0{order_no}".encode(), digest_size=8, key=self._secret, person=_ORDER
        ).digest()
        number: int = _signed(digest)[0]
        return number

    def auth(self, merchant: str, code: str) -> bytes:
        """16 bytes that stand for a payer's code at one merchant."""
        return blake2b(
            f"{merchant}\0{code}".encode(), digest_size=16, key=self._secret, person=_AUTH
        ).digest()

    def nonce(self, key_id: str, merchant: str, nonce: str) -> int:
        """A number of 1 to 2^63 - 1 for a signature's nonce; 0 stands for unsigned."""
        digest = blake2b(
            f"{key_id}\0{merchant}\0{nonce}".encode(*_UTF8),
            digest_size=8,
            key=self._secret,
            person=_NONCE,
        ).digest()
        number: int = _unsigned(digest)[0] >> 1
        return number or 1


def index_of(digest: bytes) -> int:
    """The first 8 bytes of a digest as a signed number: what the store's index holds."""
    number: int = _signed(digest)[0]
    return number


class Judgement(Enum):
    """What a key says about a request."""

    NEW = "new"
    REPLAY = "replay"
    MISMATCH = "mismatch"


def judge_key(existing: Payment | Refund | None, key: bytes, fingerprint: bytes) -> Judgement:
    """Whether a request is new, was made before, or uses the key of another request.

    `existing` came from an index of 8 bytes: another key may share them, and is then no relation.
    """
    if existing is None or existing.key_digest != key:
        return Judgement.NEW
    return Judgement.REPLAY if existing.fingerprint == fingerprint else Judgement.MISMATCH


def holds_order(payment: Payment, merchant: str, order_no: str) -> bool:
    """Whether a payment found by the order's number really has it and keeps it from others."""
    return (
        payment.order_no == order_no
        and payment.merchant == merchant
        and payment.status not in UNPAID
    )


def judge_order(existing: Payment | None) -> None:
    """Allow a payment for an order, or raise OrderInProgress or OrderAlreadyPaid.

    A payment that ended unpaid (failed, reversed, closed) frees its order number.
    """
    if existing is None or existing.status in UNPAID:
        return
    if existing.status is Status.SUCCEEDED:
        raise OrderAlreadyPaid(f"{existing.id} has paid order {existing.order_no}")
    raise OrderInProgress(
        f"{existing.id} is open for order {existing.order_no}: wait for it, or cancel it"
    )
