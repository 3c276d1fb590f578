"""Who is asking: a bearer key (test mode) or a signed request becomes a `Caller`.

Unknown key, bad signature, expired window: one answer. Another's merchant looks like none.
"""

import hashlib
from collections.abc import Sequence
from typing import Final, Protocol

from msgspec import Struct
from multidict import istr

from gateway.signatures import (
    SIGNATURE,
    SIGNATURE_INPUT,
    TILLWAY_MERCHANT,
    Headers,
    denied,
    is_current,
    refuse,
    verify,
)
from payments.clock import Clock
from payments.directory_access import may_as_operator
from payments.errors import InsufficientScope, NotFound
from payments.reference import SCOPE_ALL, Key, KeyOwner, KeyType, Merchant

AUTHORIZATION: Final = istr("Authorization")
BEARER_LENGTH_MAX: Final = 256
NONCE_BITS: Final = (1 << 63) - 1

TERMINAL_SCOPES: Final = frozenset({"payments:write", "payments:read", "refunds:write"})
"""A terminal key takes, queries, cancels and refunds; whatever else its record says."""


class KeyRing(Protocol):
    """The directory's snapshot, as the front door holds it. Look-ups only, no waiting."""

    def by_id(self, key_id: str) -> Key | None: ...
    def by_bearer_digest(self, digest: bytes) -> Key | None: ...
    def merchant(self, merchant_id: str) -> Merchant | None: ...


class Caller(Struct, frozen=True, gc=False):
    """Who asks, and for which merchant.

    `merchant`: the merchant acted for; empty for a platform or operator key that named none.
    `nonce`, `nonce_created`: of the signature, the latter in seconds since 1970; None and 0 for a
    bearer key or an unsigned nonce.
    """

    key: Key
    merchant: str
    nonce: str | None = None
    nonce_created: int = 0


class Authenticator:
    """Turns requests into callers. One a front door; holds no state of its own."""

    __slots__ = ("_clock", "_key_of", "_keyring", "_livemode")

    def __init__(self, keyring: KeyRing, clock: Clock, livemode: bool) -> None:
        self._keyring = keyring
        self._key_of = keyring.by_id
        self._clock = clock
        self._livemode = livemode

    def authenticate(
        self, method: str, path: str, query: str, headers: Headers, body: bytes
    ) -> Caller:
        """The caller of a request. `path` and `query` as sent, the query without its `?`.

        Raise Unauthorized, or NotFound for a merchant that the key may not act for.
        """
        authorization = headers.getall(AUTHORIZATION, ())
        nonce, created = None, 0
        if not authorization:
            verified = verify(
                method, path, query, headers, body, self._key_of, self._clock.real_ms()
            )
            key, nonce, created = verified.key, verified.nonce, verified.created
        else:
            if headers.getall(SIGNATURE, ()) or headers.getall(SIGNATURE_INPUT, ()):
                refuse("Send a bearer key or a signature, not both.")
            key = self._bearer(authorization[0] if len(authorization) == 1 else "")
        if key.livemode is not self._livemode:
            denied()
        asked = headers.getall(TILLWAY_MERCHANT, ())
        if not asked and key.owner is KeyOwner.MERCHANT:
            return Caller(key, key.merchant, nonce, created)
        return Caller(key, self._acting(key, asked), nonce, created)

    def _bearer(self, header: str) -> Key:
        """The key of `Authorization: Bearer …`. Raise Unauthorized."""
        if self._livemode:
            refuse("Live mode takes signed requests only.")
        scheme, _, secret = header.partition(" ")
        secret = secret.strip(" ")
        if scheme.lower() != "bearer" or not 0 < len(secret) <= BEARER_LENGTH_MAX:
            refuse("Authorization must be one header: Bearer and a key.")
        digest = hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()
        key = self._keyring.by_bearer_digest(digest)
        if (
            key is None
            or key.type is not KeyType.BEARER
            or not is_current(key, self._clock.real_ms())
        ):
            denied()
        return key

    def _acting(self, key: Key, asked: Sequence[str]) -> str:
        """The merchant that the key acts for. Raise NotFound for one that is not its own."""
        if not asked:
            return key.merchant
        wanted = asked[0]
        if len(asked) == 1 and self._may_act(key, wanted):
            return wanted
        raise NotFound("There is no such merchant.", param="Tillway-Merchant")

    def _may_act(self, key: Key, merchant_id: str) -> bool:
        if key.owner is KeyOwner.MERCHANT or key.owner is KeyOwner.TERMINAL:
            return merchant_id == key.merchant
        merchant = self._keyring.merchant(merchant_id)
        if merchant is None:
            return False
        if key.owner is KeyOwner.OPERATOR and key.platform is None:
            return True
        return key.platform is not None and merchant.platform == key.platform


def scopes_of(key: Key) -> frozenset[str]:
    """What a key may do; a terminal key never more than `TERMINAL_SCOPES`."""
    scopes = frozenset(key.scopes)
    if key.owner is not KeyOwner.TERMINAL:
        return scopes
    return TERMINAL_SCOPES if SCOPE_ALL in scopes else scopes & TERMINAL_SCOPES


def require(caller: Caller, scope: str) -> None:
    """Let the caller on if its key has the scope. Raise InsufficientScope otherwise."""
    key = caller.key
    if key.owner is not KeyOwner.TERMINAL:
        if scope in key.scopes or SCOPE_ALL in key.scopes:
            return
        if key.owner is KeyOwner.OPERATOR and may_as_operator(key.roles, scope):
            return
    elif scope in scopes_of(key):
        return
    raise InsufficientScope(f"This key lacks the scope {scope}.")


def require_role(caller: Caller, role: str) -> None:
    """Let an operator with the role on. Raise InsufficientScope otherwise."""
    key = caller.key
    if key.owner is not KeyOwner.OPERATOR or role not in key.roles:
        raise InsufficientScope(f"This needs an operator key with the role {role}.")


def require_merchant(caller: Caller) -> str:
    """The merchant acted for, where one is needed. Raise InsufficientScope if none was named."""
    if not caller.merchant:
        raise InsufficientScope(
            "This key acts for several merchants: name one with Tillway-Merchant.",
            param="Tillway-Merchant",
        )
    return caller.merchant


def place(caller: Caller, store: str | None, terminal: str | None) -> tuple[str | None, str | None]:
    """Store and terminal of a new payment: a terminal key's own, whatever is left out.

    Raise InsufficientScope if a terminal key names another place.
    """
    key = caller.key
    if key.owner is not KeyOwner.TERMINAL:
        return store, terminal
    if store is not None and store != key.store:
        raise InsufficientScope("This key belongs to another store.", param="/store")
    if terminal is not None and terminal != key.terminal:
        raise InsufficientScope("This key belongs to another terminal.", param="/terminal")
    return key.store, key.terminal


def nonce_digest(caller: Caller) -> int:
    """63 bits that stand for (key, merchant, nonce) in the nonce store; 0 where there is none.

    A merchant's own key stands for its merchant; a platform's or operator's acts for many.
    """
    if caller.nonce is None:
        return 0
    key = caller.key
    is_own = key.owner is KeyOwner.MERCHANT or key.owner is KeyOwner.TERMINAL
    whose = key.id if is_own else f"{key.id}\n{caller.merchant}"
    text = f"{whose}\n{caller.nonce}".encode()
    digest = hashlib.blake2b(text, digest_size=8).digest()
    return int.from_bytes(digest, "big") & NONCE_BITS or 1
