"""Who the sandbox is and whom it knows: a small issuer, the platform's key, the merchant's.

Made once and kept in the sandbox's folder, so that a restart is the same party. The issuer's own
key is thrown away when it has signed the two certificates. One merchant serves both dialects.
"""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Final

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID
from msgspec import Struct

from payments.channels.unionpay.certificates import cert_id, verified

FILE: Final = "identity.json"
KEY_BITS: Final = 2048
PUBLIC_EXPONENT: Final = 65_537
VALID_DAYS: Final = 3_650
BACKDATED_DAYS: Final = 1
"""Certificates begin a day early: a client's clock may be behind."""

SERIAL_BITS: Final = 64
OWNER_ONLY: Final = 0o600

SERV_PROV_ID: Final = "777290000000001"
MER_ID: Final = "777290058199001"
SUB_APP_ID: Final = "wx7772900581990010"

SIGNER_NAME: Final = "00040000:SIGN"
"""The holder's name in the certificate of UnionPay's public test environment."""

SIGNER_CN: Final = f"041@Z12@{SIGNER_NAME}@00000001"
MERCHANT_CN: Final = f"041@Z2@{MER_ID}@00000001"
ISSUER_CN: Final = "Sandbox Payment Certification Authority"


class Damaged(Exception):
    """The identity's file cannot be read; remove it to get a new identity."""


class Stored(Struct, frozen=True, forbid_unknown_fields=True):
    """The file, and everything that a client is told or must not know. PEM texts."""

    serv_prov_id: str
    mer_id: str
    sub_app_id: str
    merchant_private_key: str
    merchant_certificate: str
    platform_private_key: str
    platform_certificate: str
    issuer_certificate: str


class Identity:
    """The sandbox's keys, loaded."""

    def __init__(self, stored: Stored) -> None:
        self.stored = stored
        self.serv_prov_id = stored.serv_prov_id
        self.mer_id = stored.mer_id
        self._platform_key = _private_key(stored.platform_private_key)
        self._merchant_key = _private_key(stored.merchant_private_key).public_key()
        merchant = x509.load_pem_x509_certificate(stored.merchant_certificate.encode())
        platform = x509.load_pem_x509_certificate(stored.platform_certificate.encode())
        self.merchant_cert_id = cert_id(merchant)
        self.platform_cert_id = cert_id(platform)

    @classmethod
    def open(cls, folder: Path | None, random: Random, now_ms: int) -> "Identity":
        """The folder's identity; a new one where it has none, or without a folder.

        Raise Damaged, OSError.
        """
        path = None if folder is None else folder / FILE
        if path is not None and path.exists():
            try:
                stored = msgspec.json.decode(path.read_bytes(), type=Stored)
                return cls(stored)
            except (msgspec.DecodeError, ValueError) as error:
                raise Damaged(f"{path.name} cannot be read; remove it to get a new one") from error
        stored = _made(random, now_ms)
        if path is not None:
            _write(path, msgspec.json.encode(stored))
        return cls(stored)

    @property
    def platform_pem(self) -> str:
        """What stands as `signPubKeyCert` in every answer."""
        return self.stored.platform_certificate

    def sign(self, text: bytes) -> bytes:
        """The platform's signature."""
        return self._platform_key.sign(text, PKCS1v15(), SHA256())

    def is_merchants(self, text: bytes, signature: bytes) -> bool:
        """Whether the merchant signed this."""
        return verified(self._merchant_key, text, signature)

    def credentials(self) -> dict[str, str]:
        """What a client needs. `platform_certificate_pem`: the signer's, then its issuer's."""
        stored = self.stored
        public = self._platform_key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return {
            "serv_prov_id": stored.serv_prov_id,
            "mer_id": stored.mer_id,
            "merchant_private_key_pem": stored.merchant_private_key,
            "platform_public_key_pem": public.decode("ascii"),
            "cert_id": self.merchant_cert_id,
            "merchant_certificate_pem": stored.merchant_certificate,
            "platform_certificate_pem": stored.platform_certificate + stored.issuer_certificate,
        }


def _private_key(pem: str) -> rsa.RSAPrivateKey:
    key = serialization.load_pem_private_key(pem.encode(), None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ValueError("not an RSA key")
    return key


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all, and only for its owner."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unready = path.with_suffix(".new")
    file = os.open(unready, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, OWNER_ONLY)
    try:
        with os.fdopen(file, "wb") as out:
            out.write(content)
        unready.replace(path)
    except OSError:
        unready.unlink(missing_ok=True)
        raise


def _made(random: Random, now_ms: int) -> Stored:
    issuer_key, platform_key, merchant_key = (
        rsa.generate_private_key(PUBLIC_EXPONENT, KEY_BITS) for _ in range(3)
    )
    name = _name(ISSUER_CN)

    def issue(common_name: str, key: rsa.RSAPrivateKey, *, issues: bool) -> str:
        now = datetime.fromtimestamp(now_ms / 1000, UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(name if issues else _name(common_name))
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(random.getrandbits(SERIAL_BITS) | 1)
            .not_valid_before(now - timedelta(days=BACKDATED_DAYS))
            .not_valid_after(now + timedelta(days=VALID_DAYS))
            .add_extension(x509.BasicConstraints(ca=issues, path_length=None), critical=True)
            .add_extension(_usage(issues=issues), critical=True)
        )
        certificate = builder.sign(issuer_key, SHA256())
        return certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")

    return Stored(
        serv_prov_id=SERV_PROV_ID,
        mer_id=MER_ID,
        sub_app_id=SUB_APP_ID,
        merchant_private_key=_pem(merchant_key),
        merchant_certificate=issue(MERCHANT_CN, merchant_key, issues=False),
        platform_private_key=_pem(platform_key),
        platform_certificate=issue(SIGNER_CN, platform_key, issues=False),
        issuer_certificate=issue(ISSUER_CN, issuer_key, issues=True),
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "CN"),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _usage(*, issues: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not issues,
        content_commitment=not issues,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=issues,
        crl_sign=issues,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(key: rsa.RSAPrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode("ascii")
