"""Alipay's certificate mode: how a certificate is named on the wire, and a sandbox's own chain.

A certificate's serial on the wire is the MD5 of its issuer's name, most specific part first, and
its serial number in decimal. The root bundle's is that of each of its RSA-signed certificates,
joined by underscores.
"""

import hashlib
from datetime import UTC, datetime
from functools import cached_property
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from payments.channels.alipay.wire import Unreadable

RSA_SIGNATURES: Final = "1.2.840.113549.1.1."
"""Object identifiers of the signature algorithms with RSA begin so."""

VALID_FROM: Final = datetime(2020, 1, 1, tzinfo=UTC)
VALID_TO: Final = datetime(2120, 1, 1, tzinfo=UTC)
SERIAL_BITS: Final = 120

_SHORT: Final = {
    NameOID.COMMON_NAME: "CN",
    NameOID.ORGANIZATIONAL_UNIT_NAME: "OU",
    NameOID.ORGANIZATION_NAME: "O",
    NameOID.COUNTRY_NAME: "C",
    NameOID.LOCALITY_NAME: "L",
    NameOID.STATE_OR_PROVINCE_NAME: "ST",
}


def load(pem: str) -> x509.Certificate:
    """The first certificate of a PEM text. Raise Unreadable."""
    return load_all(pem)[0]


def load_all(pem: str) -> list[x509.Certificate]:
    """All certificates of a PEM bundle, at least one. Raise Unreadable."""
    try:
        return x509.load_pem_x509_certificates(pem.encode())
    except ValueError as error:
        raise Unreadable("not a certificate") from error


def rsa_key_of(certificate: x509.Certificate) -> RSAPublicKey:
    """Raise Unreadable: it certifies no RSA key."""
    key = certificate.public_key()
    if not isinstance(key, RSAPublicKey):
        raise Unreadable("a certificate of no RSA key")
    return key


def serial_of(certificate: x509.Certificate) -> str:
    """`app_cert_sn`, `alipay_cert_sn`: 32 hex digits."""
    parts = [
        f"{_SHORT.get(part.oid, part.oid.dotted_string)}={part.value!s}"
        for part in reversed(list(certificate.issuer))
    ]
    text = ",".join(parts) + str(certificate.serial_number)
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def root_serial_of(bundle: list[x509.Certificate]) -> str:
    """`alipay_root_cert_sn`: those of the RSA-signed certificates; others are left out."""
    return "_".join(
        serial_of(certificate)
        for certificate in bundle
        if certificate.signature_algorithm_oid.dotted_string.startswith(RSA_SIGNATURES)
    )


class Chain:
    """A sandbox's certificates: a root, the channel's and the application's. The same each time
    for the same keys, as serial numbers and dates are fixed and the signatures have no chance in
    them."""

    def __init__(self, app_key: RSAPrivateKey, alipay_key: RSAPrivateKey, seed: str) -> None:
        self._seed = seed
        self._key = alipay_key
        self.root = self._issue("Sandbox Root", alipay_key.public_key())
        self.alipay = self._issue("Sandbox Alipay", alipay_key.public_key())
        self.app = self._issue("Sandbox Application", app_key.public_key())

    def _issue(self, name: str, key: RSAPublicKey) -> x509.Certificate:
        digest = hashlib.sha256(f"{self._seed} {name}".encode()).digest()
        return (
            x509.CertificateBuilder()
            .subject_name(_name(name))
            .issuer_name(_name("Sandbox Root"))
            .public_key(key)
            .serial_number(int.from_bytes(digest, "big") >> (len(digest) * 8 - SERIAL_BITS))
            .not_valid_before(VALID_FROM)
            .not_valid_after(VALID_TO)
            .sign(self._key, SHA256())
        )

    @cached_property
    def app_serial(self) -> str:
        return serial_of(self.app)

    @cached_property
    def alipay_serial(self) -> str:
        return serial_of(self.alipay)

    @cached_property
    def root_serial(self) -> str:
        return root_serial_of([self.root])

    def pem(self) -> dict[str, str]:
        """What a client in certificate mode needs besides its private key."""
        each = {"app_cert": self.app, "alipay_cert": self.alipay, "alipay_root_cert": self.root}
        return {
            f"{name}_pem": certificate.public_bytes(Encoding.PEM).decode()
            for name, certificate in each.items()
        }


def _name(common: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "CN"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Tillway"),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "Sandbox"),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )
