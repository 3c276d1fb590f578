"""The sandbox's two parties: the bank's key, and the customer's that the bank knows.

Made once and kept in the sandbox's folder, so that a restart is the same bank.
"""

import os
from pathlib import Path
from typing import Final

import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from msgspec import Struct

from payments.channels.bank import wire

FILE: Final = "identity.json"
KEY_BITS: Final = 2048
PUBLIC_EXPONENT: Final = 65_537
OWNER_ONLY: Final = 0o600


class Damaged(Exception):
    """The identity's file cannot be read; remove it to get a new identity."""


class Stored(Struct, frozen=True, forbid_unknown_fields=True):
    """The file. Private keys in PEM."""

    customer_private_key: str
    bank_private_key: str


class Identity:
    """The keys, loaded."""

    def __init__(self, stored: Stored) -> None:
        self._stored = stored
        self._bank = _loaded(stored.bank_private_key)
        self._customer = _loaded(stored.customer_private_key).public_key()

    @classmethod
    def open(cls, folder: Path | None) -> "Identity":
        """The folder's identity; a new one where it has none, or without a folder.

        Raise Damaged, OSError.
        """
        path = None if folder is None else folder / FILE
        if path is not None and path.exists():
            try:
                return cls(msgspec.json.decode(path.read_bytes(), type=Stored))
            except (msgspec.DecodeError, ValueError) as error:
                raise Damaged(f"{path.name} cannot be read; remove it to get a new one") from error
        stored = Stored(_made(), _made())
        if path is not None:
            _write(path, msgspec.json.encode(stored))
        return cls(stored)

    def sign(self, text: bytes) -> bytes:
        """The bank's signature."""
        return wire.sign(self._bank, text)

    def is_customers(self, text: bytes, signature: bytes) -> bool:
        """Whether the customer signed this."""
        return wire.is_signed(self._customer, text, signature)

    @property
    def customer_private_pem(self) -> str:
        return self._stored.customer_private_key

    @property
    def bank_public_pem(self) -> str:
        public = self._bank.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return public.decode("ascii")


def _made() -> str:
    key = generate_private_key(PUBLIC_EXPONENT, KEY_BITS)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode("ascii")


def _loaded(pem: str) -> RSAPrivateKey:
    key = serialization.load_pem_private_key(pem.encode(), password=None)
    if not isinstance(key, RSAPrivateKey):
        raise ValueError("not an RSA key")
    return key


def _write(path: Path, content: bytes) -> None:
    """A file that is whole or absent, readable by its owner alone."""
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, OWNER_ONLY)
    try:
        os.write(file, content)
        os.fsync(file)
    finally:
        os.close(file)
    new.replace(path)
