"""A small key ring and requests signed by an independent implementation."""

import hashlib
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from http_message_signatures import (
    HTTPMessageSigner,
    HTTPSignatureKeyResolver,
    algorithms,
)
from multidict import CIMultiDict

from gateway.auth import Authenticator, Caller
from gateway.fields import serialize_bare
from payments.clock import ManualClock
from payments.reference import Key, KeyOwner, KeyType, Merchant, MerchantStatus

NOW_S = 1_795_000_000
SECRET = bytes(range(32))
ED25519 = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
BEARER = "sk_test_0123456789abcdef"

MERCHANT = "mch_01KCANARY000000000000000A"
SIBLING = "mch_01KCANARY000000000000000B"
STRANGER = "mch_01KCANARY000000000000000C"

COVERED = ("@method", "@authority", "@path", "@query", "content-digest")


def a_key(identifier: str, **changes: Any) -> Key:
    """An HMAC key of MERCHANT with every scope, or what `changes` make of it."""
    facts: dict[str, Any] = {
        "id": identifier,
        "type": KeyType.HMAC_SHA256,
        "owner": KeyOwner.MERCHANT,
        "merchant": MERCHANT,
        "secret": SECRET,
        "scopes": ("*",),
    }
    return Key(**{**facts, **changes})


class Ring:
    """A key ring that also counts what it was asked."""

    def __init__(self, *keys: Key) -> None:
        self.keys = {key.id: key for key in keys}
        self.merchants = {
            name: Merchant(name, number, "Shop", MerchantStatus.ACTIVE, 0, platform)
            for number, (name, platform) in enumerate(
                [(MERCHANT, "plat_a"), (SIBLING, "plat_a"), (STRANGER, "plat_b")]
            )
        }

    def by_id(self, key_id: str) -> Key | None:
        return self.keys.get(key_id)

    def by_bearer_digest(self, digest: bytes) -> Key | None:
        return next((key for key in self.keys.values() if key.secret == digest), None)

    def merchant(self, merchant_id: str) -> Merchant | None:
        return self.merchants.get(merchant_id)


def bearer_key(identifier: str = "key_bearer", **changes: Any) -> Key:
    digest = hashlib.sha256(BEARER.encode()).digest()
    return a_key(identifier, **{"type": KeyType.BEARER, "secret": digest, **changes})


def ed25519_key(identifier: str = "key_ed", **changes: Any) -> Key:
    public = ED25519.public_key().public_bytes_raw()
    return a_key(identifier, **{"type": KeyType.ED25519, "secret": public, **changes})


@dataclass(frozen=True)
class Request:
    """A request as it was sent; `url` and `headers` are what the independent signer reads."""

    method: str = "POST"
    path: str = "/v1/payments"
    query: str = ""
    body: bytes = b'{"amount":3800}'
    headers: CIMultiDict[str] = field(default_factory=lambda: CIMultiDict(Host="api.example.com"))

    @property
    def url(self) -> str:
        return f"https://api.example.com{self.path}" + (f"?{self.query}" if self.query else "")

    def but(self, **changes: Any) -> "Request":
        return replace(self, **changes)

    def with_headers(self, **changes: str | None) -> "Request":
        """The same request with headers changed or, for None, taken away."""
        headers = self.headers.copy()
        for name, value in changes.items():
            headers.popall(name.replace("_", "-"), None)
            if value is not None:
                headers[name.replace("_", "-")] = value
        return self.but(headers=headers)


class Resolver(HTTPSignatureKeyResolver):
    def resolve_private_key(self, key_id: str) -> Any:
        return ED25519 if key_id.startswith("key_ed") else SECRET


def content_digest(body: bytes, name: str = "sha256") -> str:
    label = {"sha256": "sha-256", "sha512": "sha-512"}[name]
    return f"{label}={serialize_bare(hashlib.new(name, body).digest())}"


def signed(
    request: Request,
    *,
    key_id: str = "key_hmac",
    covered: tuple[str, ...] | None = None,
    created_s: int = NOW_S,
    nonce: str | None = "n-1",
    **options: Any,
) -> Request:
    """The request signed by the package http-message-signatures, which shares no code with us."""
    request = request.with_headers(
        Content_Digest=request.headers.get("Content-Digest") or content_digest(request.body)
    )
    if covered is None:
        sent = [n for n in ("idempotency-key", "tillway-merchant") if n in request.headers]
        covered = (*COVERED, *sent)
    kind = algorithms.ED25519 if key_id.startswith("key_ed") else algorithms.HMAC_SHA256
    signer = HTTPMessageSigner(signature_algorithm=kind, key_resolver=Resolver())
    expires = options.pop("expires_s", None)
    signer.sign(
        request,
        key_id=key_id,
        created=datetime.fromtimestamp(created_s, UTC),
        expires=None if expires is None else datetime.fromtimestamp(expires, UTC),
        nonce=nonce,
        covered_component_ids=covered,
        **{"label": "sig1", "include_alg": False, "use_existing_digest": True, **options},
    )
    return request


def ask(request: Request, *keys: Key, livemode: bool = False, later_ms: int = 0) -> Caller:
    """Authenticate a request against the keys given, at NOW_S plus `later_ms`."""
    clock = ManualClock(NOW_S * 1000 + later_ms)
    ring = Ring(*(keys or (a_key("key_hmac"), ed25519_key())))
    return Authenticator(ring, clock, livemode).authenticate(
        request.method, request.path, request.query, request.headers, request.body
    )


@pytest.fixture(scope="session")
def kit() -> SimpleNamespace:
    """All of the above: tests are not a package and share through fixtures."""
    return SimpleNamespace(**globals())
