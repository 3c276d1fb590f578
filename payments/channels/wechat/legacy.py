"""The signature of WeChat Pay v2, which refunds without an address of their own still come with.

Source: WeChat Pay v2, "signature algorithm": non-empty parameters except `sign`, sorted by name,
`k=v` joined with `&`, the key at the end, upper-case hexadecimal digits.
"""

import hashlib
import hmac
from collections.abc import Mapping

from payments.channels.wechat.crypto import WireError


def text_of(parameters: Mapping[str, str], key: str) -> str:
    """What is hashed."""
    pairs = [f"{k}={v}" for k, v in sorted(parameters.items()) if v and k != "sign"]
    return "&".join([*pairs, f"key={key}"])


def signature(parameters: Mapping[str, str], key: str, algorithm: str = "MD5") -> str:
    """`algorithm`: MD5 or HMAC-SHA256, the values of `sign_type`. Raise WireError for others."""
    text = text_of(parameters, key).encode()
    if algorithm == "MD5":
        # Version 2 fixed it; nothing of ours rests on it.
        return hashlib.md5(text, usedforsecurity=False).hexdigest().upper()
    if algorithm == "HMAC-SHA256":
        return hmac.new(key.encode(), text, hashlib.sha256).hexdigest().upper()
    raise WireError("no such algorithm of version 2")
