"""Credentials of a request: a bearer key, or a signature (RFC 9421) by `key_…:hs_…`."""

import base64
import hashlib
import hmac
from binascii import Error as NotBase64
from collections.abc import Mapping
from typing import Final

import typer
from yarl import URL

from payments.clock import SystemClock
from payments.ids import IdMint

SECRET_PREFIXES: Final = ("hs_test_", "hs_live_")
COVERED: Final = ("@method", "@authority", "@path", "@query", "content-digest")
WHERE_SENT: Final = ("idempotency-key", "tillway-merchant")


def credentials(
    key: str, method: str, address: URL, body: bytes, headers: Mapping[str, str]
) -> dict[str, str]:
    """The headers that prove who asks. BadParameter for a key that cannot be read."""
    key_id, colon, secret = key.partition(":")
    if not colon:
        return {"Authorization": f"Bearer {key}"}
    prefix = next((each for each in SECRET_PREFIXES if secret.startswith(each)), None)
    try:
        if prefix is None:
            raise ValueError
        raw = base64.b64decode(secret.removeprefix(prefix), validate=True)
    except (ValueError, NotBase64):
        raise typer.BadParameter("key_…:hs_…, an id and its secret", param_hint="key") from None
    return _signed(key_id, raw, method, address, body, headers)


def _signed(
    key_id: str, secret: bytes, method: str, address: URL, body: bytes, headers: Mapping[str, str]
) -> dict[str, str]:
    clock = SystemClock()
    digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
    port = "" if address.is_default_port() else f":{address.explicit_port}"
    values = {
        "@method": method,
        "@authority": f"{address.host}{port}",
        "@path": address.raw_path,
        "@query": f"?{address.raw_query_string}",
        "content-digest": f"sha-256=:{digest}:",
    }
    lower = {name.lower(): value for name, value in headers.items()}
    values |= {name: lower[name] for name in WHERE_SENT if name in lower}
    names = " ".join(f'"{name}"' for name in values)
    parameters = f'({names});created={clock.real_ms() // 1000};keyid="{key_id}"'
    if method == "POST":
        parameters += f';nonce="{IdMint().body(clock.real_ms(), 0)}"'
    lines = [f'"{name}": {value}' for name, value in values.items()]
    text = "\n".join([*lines, f'"@signature-params": {parameters}'])
    signature = base64.b64encode(hmac.digest(secret, text.encode(), "sha256")).decode()
    return {
        "Content-Digest": values["content-digest"],
        "Signature-Input": f"sig1={parameters}",
        "Signature": f"sig1=:{signature}:",
    }
