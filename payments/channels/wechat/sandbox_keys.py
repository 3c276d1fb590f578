"""The sandbox's keys: the merchant's, WeChat Pay's public keys by id, platform certificates.

Made at the start, or kept in a folder so that a restarted sandbox has the same ones. Private keys
are files of mode 0600. Several keys of each kind are valid at one time: the newest signs what
nobody asked for with a certain one, the older ones sign what was asked for with them.
"""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Final

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import NameOID
from msgspec import Struct

from payments.channels.wechat.crypto import load_private_key, serial_of
from payments.channels.wechat.wire import API_V3_KEY_BYTES, PUBLIC_KEY_PREFIX

KEY_BITS: Final = 2048
EXPONENT: Final = 65_537
CERTIFICATE_DAYS: Final = 1_825
KEYS_FILE: Final = "wechat_keys.json"
KEYS_MAX: Final = 32
"""Keys of one kind that a sandbox keeps; a rotation beyond is refused."""

PUBLIC_KEY: Final = "public_key"
CERTIFICATE: Final = "certificate"
_SERIAL_BITS: Final = 160
_LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


class Account(Struct, frozen=True):
    """Who may call. One merchant key signs for the direct merchant and for the partner."""

    mchid: str = "1900000001"
    appid: str = "wx8888888888888888"
    sp_mchid: str = "1900000100"
    sp_appid: str = "wx7777777777777777"
    sub_mchids: tuple[str, ...] = ("1900000109",)


class Key(Struct):
    """One key pair. `name`: a public key's id or a certificate's serial number."""

    kind: str
    name: str
    private_pem: str
    public_pem: str
    since_ms: int = 0


class Stored(Struct):
    api_v3_key: str
    merchant: Key
    keys: list[Key]
    callbacks: str = ""
    """The kind that signs all callbacks. Empty: each order's as its request asked for answers."""
    answers: str = CERTIFICATE
    """The kind that signs answers to requests that name no key."""


class Keyring:
    """`now_ms` dates new certificates; `random` makes the API v3 key, ids and serial numbers."""

    def __init__(self, folder: Path | None, random: Random, now_ms: int) -> None:
        self._path = None if folder is None else folder / KEYS_FILE
        self._random = random
        self._loaded: dict[str, RSAPrivateKey] = {}
        if self._path is not None and self._path.exists():
            self._stored = msgspec.json.decode(self._path.read_bytes(), type=Stored)
        else:
            self._stored = Stored(
                "".join(random.choice(_LETTERS) for _ in range(API_V3_KEY_BYTES)),
                self._certified(CERTIFICATE, "Sandbox Merchant", now_ms),
                [self._public_key(now_ms), self._certified(CERTIFICATE, "Sandbox CA", now_ms)],
            )
            self._keep()

    @property
    def api_v3_key(self) -> bytes:
        return self._stored.api_v3_key.encode()

    @property
    def merchant(self) -> Key:
        return self._stored.merchant

    @property
    def all(self) -> list[Key]:
        """WeChat Pay's keys of both kinds, the oldest first."""
        return list(self._stored.keys)

    @property
    def certificates(self) -> list[Key]:
        """The platform certificates, the newest last."""
        return [key for key in self._stored.keys if key.kind == CERTIFICATE]

    def named(self, name: str) -> Key | None:
        """The key of WeChat Pay's with this id or serial number."""
        return next((key for key in self._stored.keys if key.name == name), None)

    def newest(self, kind: str) -> Key:
        return [key for key in self._stored.keys if key.kind == kind][-1]

    def for_callbacks(self, asked: str = PUBLIC_KEY) -> Key:
        """`asked`: the kind that the order's request wanted its answer signed with."""
        return self.newest(self._stored.callbacks or asked)

    def for_answers(self) -> Key:
        """For a request that names no key."""
        return self.newest(self._stored.answers)

    def sign_answers_with(self, kind: str) -> None:
        """A new merchant has the public key alone: it need not be named to be used."""
        self._stored.answers = kind
        self._keep()

    def sign_callbacks_with(self, kind: str) -> None:
        """From now on with this kind, whatever the requests asked for."""
        self._stored.callbacks = kind
        self._keep()

    def rotate(self, kind: str, now_ms: int) -> Key | None:
        """A new key that signs from now on; the older ones stay valid. None: too many already."""
        if len(self._stored.keys) >= KEYS_MAX:
            return None
        if kind == PUBLIC_KEY:
            key = self._public_key(now_ms)
        else:
            key = self._certified(kind, "Sandbox CA", now_ms)
        self._stored.keys.append(key)
        self._keep()
        return key

    def private(self, key: Key) -> RSAPrivateKey:
        if key.name not in self._loaded:
            self._loaded[key.name] = load_private_key(key.private_pem.encode())
        return self._loaded[key.name]

    def credentials(self, account: Account) -> dict[str, str]:
        """What a client needs, in the words of `tillway sandbox wechat`."""
        public, certificate = self.newest(PUBLIC_KEY), self.newest(CERTIFICATE)
        return {
            "mchid": account.mchid,
            "appid": account.appid,
            "api_v3_key": self._stored.api_v3_key,
            "merchant_serial": self.merchant.name,
            "merchant_private_key_pem": self.merchant.private_pem,
            "public_key_id": public.name,
            "public_key_pem": public.public_pem,
            "platform_serial": certificate.name,
            "platform_certificate_pem": certificate.public_pem,
            "sp_mchid": account.sp_mchid,
            "sp_appid": account.sp_appid,
            "sub_mchid": account.sub_mchids[0],
        }

    def _public_key(self, now_ms: int) -> Key:
        key = generate_private_key(EXPONENT, KEY_BITS)
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        number = "".join(self._random.choice("0123456789") for _ in range(34))
        name = f"{PUBLIC_KEY_PREFIX}01{number}"
        return Key(PUBLIC_KEY, name, _pem(key), public.decode(), now_ms)

    def _certified(self, kind: str, subject: str, now_ms: int) -> Key:
        """A key with a self-signed certificate, whose serial number has 40 hexadecimal digits."""
        key = generate_private_key(EXPONENT, KEY_BITS)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
        begin = datetime.fromtimestamp(now_ms // 1000, UTC) - timedelta(days=1)
        # The two highest bits are 01: 40 digits, and a positive number in its encoding.
        serial = self._random.getrandbits(_SERIAL_BITS - 2) | 1 << (_SERIAL_BITS - 2)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(serial)
            .not_valid_before(begin)
            .not_valid_after(begin + timedelta(days=CERTIFICATE_DAYS))
            .sign(key, SHA256())
        )
        pem = certificate.public_bytes(Encoding.PEM)
        return Key(kind, serial_of(pem), _pem(key), pem.decode(), now_ms)

    def _keep(self) -> None:
        """Write the keys as one file that is whole or absent, readable by its owner alone."""
        if self._path is None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        new = self._path.with_suffix(".new")
        new.unlink(missing_ok=True)
        file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.write(file, msgspec.json.encode(self._stored))
            os.fsync(file)
        finally:
            os.close(file)
        new.replace(self._path)


def _pem(key: RSAPrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
