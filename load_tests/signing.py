"""HTTP message signatures (RFC 9421) with hmac-sha256, as a client of the gateway makes them.

Covered components: "@method" "@authority" "@path" "@query" "content-digest", and
"idempotency-key" and "tillway-merchant" where they are sent. Parameters: created, keyid,
and nonce on a POST.
"""

import base64
import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

SIGNATURE_LABEL: Final = "sig1"
EMPTY_DIGEST: Final = "sha-256=:" + base64.b64encode(hashlib.sha256(b"").digest()).decode() + ":"


@dataclass(frozen=True, slots=True)
class MerchantKey:
    """What a client knows about one merchant: how to sign for it and where its tills stand."""

    merchant: str
    key_id: str
    secret: str
    terminals: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.terminals:
            raise ValueError(f"merchant {self.merchant} has no terminal to pay at")

    @property
    def hmac_key(self) -> bytes:
        """The signing key: the base64 part of the secret after its prefix."""
        encoded = self.secret.rpartition("_")[2]
        return base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)


STAND_IN_KEY: Final = MerchantKey("mch_echo", "key_echo", "hs_test_c2VjcmV0", ("trm_echo",))
"""Signs what is replayed to servers that have no merchants."""

Signer = Callable[[bytes, str, str], tuple[str, str, str]]
"""(body, idempotency key, nonce) -> (Content-Digest, Signature-Input, Signature)."""


def post_signer(
    key: MerchantKey,
    authority: str,
    path: str,
    created: int,
    *,
    send_merchant: bool = False,
) -> Signer:
    """Return a function that signs POSTs to `path`; everything that can be is made once here.

    `authority` is host:port as in the Host header, `created` is in seconds since 1970. With
    `send_merchant`, "tillway-merchant" is covered too and the caller must send that header.
    """
    head = f'"@method": POST\n"@authority": {authority}\n"@path": {path}\n"@query": ?\n'
    covered = '"@method" "@authority" "@path" "@query" "content-digest" "idempotency-key"'
    merchant_line = ""
    if send_merchant:
        covered += ' "tillway-merchant"'
        merchant_line = f'"tillway-merchant": {key.merchant}\n'
    parameters = f'({covered});created={created};keyid="{key.key_id}";nonce="'
    secret = key.hmac_key
    sha256, digest, encode = hashlib.sha256, hmac.digest, base64.b64encode

    def sign(body: bytes, idempotency_key: str, nonce: str) -> tuple[str, str, str]:
        content_digest = f"sha-256=:{encode(sha256(body).digest()).decode()}:"
        signed = f'{parameters}{nonce}"'
        base = (
            f'{head}"content-digest": {content_digest}\n"idempotency-key": {idempotency_key}\n'
            f'{merchant_line}"@signature-params": {signed}'
        )
        signature = encode(digest(secret, base.encode(), "sha256")).decode()
        return content_digest, f"{SIGNATURE_LABEL}={signed}", f"{SIGNATURE_LABEL}=:{signature}:"

    return sign


def get_headers(
    key: MerchantKey, authority: str, path: str, query: str, created: int
) -> dict[str, str]:
    """Headers of a signed GET; `query` without its question mark, empty for none."""
    covered = '"@method" "@authority" "@path" "@query" "content-digest"'
    signed = f'({covered});created={created};keyid="{key.key_id}"'
    base = (
        f'"@method": GET\n"@authority": {authority}\n"@path": {path}\n"@query": ?{query}\n'
        f'"content-digest": {EMPTY_DIGEST}\n"@signature-params": {signed}'
    )
    signature = base64.b64encode(hmac.digest(key.hmac_key, base.encode(), "sha256")).decode()
    return {
        "Content-Digest": EMPTY_DIGEST,
        "Signature-Input": f"{SIGNATURE_LABEL}={signed}",
        "Signature": f"{SIGNATURE_LABEL}=:{signature}:",
    }
