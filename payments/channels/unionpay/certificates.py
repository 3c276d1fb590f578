"""ACP's certificates: the serial that names ours, and the one that stands inside every answer.

An answer brings the certificate of the key that signed it, so that anybody could sign. It counts
only when the account's own issuer has signed that certificate, its common name is the pinned one,
and it is valid now.
"""

from collections import OrderedDict
from datetime import UTC, datetime
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID

CHAIN_MAX: Final = 4
"""Certificates from the signer's up to a trusted root, the signer's own counted."""

KNOWN_MAX: Final = 16
"""Signers' certificates remembered as checked; the channel uses one or two at a time."""

PEM_MAX: Final = 16_384
"""Characters of a certificate in an answer."""

KEY_MIN_BITS: Final = 2048

PRODUCTION_HOLDER: Final = "中国银联股份有限公司"
"""Who signs ACP's answers, as the official clients check it."""

CN_SEPARATOR: Final = "@"
CN_NAME_AT: Final = 2
"""UnionPay's common names read `041@Z12@NAME@SERIAL`: the third part is the name."""


def cert_id(certificate: x509.Certificate) -> str:
    """`certId`: the certificate's serial number in decimal."""
    return str(certificate.serial_number)


def holder(certificate: x509.Certificate) -> str:
    """The name of whom a certificate was given to: its common name, or the name within that."""
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    if len(names) != 1:
        return ""
    text = str(names[0].value)
    parts = text.split(CN_SEPARATOR)
    return parts[CN_NAME_AT] if len(parts) > CN_NAME_AT else text


def verified(key: RSAPublicKey, text: bytes, signature: bytes) -> bool:
    """Whether RSASSA-PKCS1-v1_5 with SHA-256 of `text` is `signature`."""
    try:
        key.verify(signature, text, PKCS1v15(), SHA256())
    except InvalidSignature:
        return False
    return True


_Chain = tuple[x509.Certificate, ...]


class Trust:
    """Whose signatures on ACP's answers count.

    `authorities_pem`: the certificates of the channel's issuer, root first or last; one that may
    not issue (the signer's own, in the same file) is no authority. `names`: the holders that may
    sign.
    """

    def __init__(self, authorities_pem: bytes, names: tuple[str, ...]) -> None:
        certificates = x509.load_pem_x509_certificates(authorities_pem)
        self._authorities = tuple(one for one in certificates if _may_issue(one))
        if not self._authorities:
            raise ValueError("no certificate of an issuer among the channel's")
        if not names or "" in names:
            raise ValueError("a name that may sign is needed")
        self._names = frozenset(names)
        self._known: OrderedDict[str, tuple[_Chain, RSAPublicKey]] = OrderedDict()

    def key_of(self, pem: str, now_ms: int) -> RSAPublicKey | None:
        """The key in a signer's certificate; None when it does not count at `now_ms`."""
        known = self._known.get(pem)
        if known is None:
            known = self._checked(pem)
            if known is None:
                return None
            self._known[pem] = known
            while len(self._known) > KNOWN_MAX:
                self._known.popitem(last=False)
        chain, key = known
        now = datetime.fromtimestamp(now_ms / 1000, UTC)
        return key if all(_is_valid(one, now) for one in chain) else None

    def _checked(self, pem: str) -> tuple[_Chain, RSAPublicKey] | None:
        if len(pem) > PEM_MAX:
            return None
        try:
            return self._judged(x509.load_pem_x509_certificate(pem.encode()))
        except Exception:
            # Anybody may have written it, and the library has a dozen kinds of errors without a
            # common base (versions, algorithms, extensions): what it cannot read does not count.
            return None

    def _judged(self, certificate: x509.Certificate) -> tuple[_Chain, RSAPublicKey] | None:
        key = certificate.public_key()
        if not isinstance(key, RSAPublicKey) or key.key_size < KEY_MIN_BITS:
            return None
        if holder(certificate) not in self._names or not _may_sign(certificate):
            return None
        chain = self._chain(certificate)
        return (chain, key) if chain else None

    def _chain(self, certificate: x509.Certificate) -> _Chain:
        """From it up to an authority that issued itself; empty when that is not reached."""
        chain = [certificate]
        current = certificate
        while len(chain) < CHAIN_MAX:
            issuer = next((one for one in self._authorities if _issued(one, current)), None)
            if issuer is None:
                return ()
            chain.append(issuer)
            if issuer.issuer == issuer.subject:
                return tuple(chain)
            current = issuer
        return ()


def _issued(issuer: x509.Certificate, subject: x509.Certificate) -> bool:
    try:
        subject.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _may_issue(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, ValueError):
        return False


def _may_sign(certificate: x509.Certificate) -> bool:
    """An issuer signs certificates, not answers; where a use is named it must be signing."""
    if _may_issue(certificate):
        return False
    try:
        use = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return True
    except ValueError:
        return False
    return use.digital_signature


def _is_valid(certificate: x509.Certificate, now: datetime) -> bool:
    return certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc
