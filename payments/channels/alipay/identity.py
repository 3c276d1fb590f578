"""Who a sandbox is: its keys, its application, its merchant, and whom it may act for.

A folder keeps the two private keys; the numbers are digests of them, so that a restart is the
same Alipay with the same merchant. Nothing in here asks the time or a random generator of ours:
keys come from the cryptography library.
"""

import hashlib
import hmac
import os
import re
from functools import cached_property
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from payments.channels.alipay.certificates import Chain
from payments.channels.alipay.units import china_time
from payments.channels.alipay.wire import load_private_key

KEY_BITS: Final = 2048
EXPONENT: Final = 65_537
AES_KEY_BYTES: Final = 16
APP_KEY: Final = "app_private_key.pem"
ALIPAY_KEY: Final = "alipay_private_key.pem"

TOKEN_YEARS: Final = 1
"""So long another merchant's permission lasts, counted in months from that of its issue."""

_APP_ID: Final = re.compile(r"[0-9]{16}")
_TOKEN: Final = re.compile(r"([0-9]{4})([0-9]{2})BB([0-9]{16})([0-9a-f]{16})")


class Identity:
    """The sandbox's two key pairs and what follows from them.

    `app_key` is the merchant application's (clients sign with it), `alipay_key` the channel's.
    """

    def __init__(self, app_key: RSAPrivateKey, alipay_key: RSAPrivateKey) -> None:
        self.app_key = app_key
        self.alipay_key = alipay_key
        self.app_public = app_key.public_key()
        secret = alipay_key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        self._secret = hashlib.sha256(secret).digest()
        self.app_id = "2021" + self.digits("app", 12)
        self.seller_id = self.seller_of(self.app_id)

    @cached_property
    def chain(self) -> Chain:
        """The certificates, for clients in certificate mode."""
        return Chain(self.app_key, self.alipay_key, self.digest("certificates"))

    @cached_property
    def aes_key(self) -> bytes:
        """The application's key for encrypted content (`encrypt_type=AES`)."""
        return bytes.fromhex(self.digest("content"))[:AES_KEY_BYTES]

    def seller_of(self, app_id: str) -> str:
        """The merchant behind an application: 16 digits that begin with 2088."""
        return "2088" + self.digits("seller " + app_id, 12)

    def digest(self, text: str) -> str:
        """A keyed digest in hex: nobody without the sandbox's key can guess or undo it."""
        return hmac.new(self._secret, text.encode(), hashlib.sha256).hexdigest()

    def digits(self, text: str, length: int) -> str:
        """A keyed digest in decimal digits."""
        return str(int(self.digest(text), 16)).zfill(length)[-length:]

    # --- acting for another merchant ----------------------------------------------------------

    def app_auth_token(self, auth_app_id: str, now_ms: int) -> str:
        """The permission of another merchant's application, as `alipay.open.auth.token.app` gives
        it. Raise ValueError for what is no application's number."""
        if _APP_ID.fullmatch(auth_app_id) is None:
            raise ValueError("an application's number has 16 digits")
        head = china_time(now_ms)[:7].replace("-", "") + "BB" + auth_app_id
        return head + self.digest(head)[:16]

    def auth_app_of(self, token: str) -> str | None:
        """Whose permission this is; None: it was not given here."""
        found = _TOKEN.fullmatch(token)
        if found is None or not hmac.compare_digest(self.digest(token[:-16])[:16], found[4]):
            return None
        return found[3]

    def is_token_over(self, token: str, now_ms: int) -> bool:
        """Whether a permission that was given here has lasted its time."""
        issued = int(token[:4]) * 12 + int(token[4:6])
        now = china_time(now_ms)
        return int(now[:4]) * 12 + int(now[5:7]) > issued + TOKEN_YEARS * 12

    # --- what a client gets to know -----------------------------------------------------------

    def credentials(self, gateway: str) -> dict[str, str]:
        """What a client needs, the application's private key too: it is the tester's own."""
        private = PrivateFormat.TraditionalOpenSSL
        public = PublicFormat.SubjectPublicKeyInfo
        alipay_public = self.alipay_key.public_key()
        return {
            "app_id": self.app_id,
            "seller_id": self.seller_id,
            "app_private_key_pem": self.app_key.private_bytes(
                Encoding.PEM, private, NoEncryption()
            ).decode(),
            "app_public_key_pem": self.app_public.public_bytes(Encoding.PEM, public).decode(),
            "alipay_public_key_pem": alipay_public.public_bytes(Encoding.PEM, public).decode(),
            "gateway": gateway,
        }


def fresh() -> Identity:
    """Keys that nobody had before."""
    return Identity(
        generate_private_key(EXPONENT, KEY_BITS), generate_private_key(EXPONENT, KEY_BITS)
    )


def _new_key() -> RSAPrivateKey:
    return generate_private_key(public_exponent=EXPONENT, key_size=KEY_BITS)


def kept(folder: Path) -> Identity:
    """The folder's keys; made and written (0600) the first time. Raise OSError, Unreadable."""
    return Identity(_kept_key(folder / APP_KEY), _kept_key(folder / ALIPAY_KEY))


def _kept_key(path: Path) -> RSAPrivateKey:
    if path.exists():
        return load_private_key(path.read_text("ascii"))
    path.parent.mkdir(parents=True, exist_ok=True)
    key = _new_key()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    # Whole or not at all: a crash in between must not leave half a key behind.
    new = path.with_suffix(".new")
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    return key
