"""The cryptography of WeChat Pay v3: RSA signatures, AES-GCM resources, OAEP fields, certificates.

Source: WeChat Pay API v3, "signatures", "certificates and callback decryption", "encrypted fields".
Everything is bytes in, bytes or text out; what does not fit raises `WireError`, whose text never
holds what was signed or sealed.
"""

import base64
import binascii
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP, PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

TAG_BYTES: Final = 16
"""AES-GCM's tag stands at the end of the ciphertext."""

OAEP_OVERHEAD_BYTES: Final = 42
"""What OAEP with SHA-1 takes of a modulus: a 2048-bit key leaves 214 bytes for the text."""

_PADDING: Final = PKCS1v15()
_DIGEST: Final = SHA256()
# WeChat Pay fixes SHA-1 for its encrypted fields; OAEP does not rest on collision resistance.
_OAEP: Final = OAEP(mgf=MGF1(algorithm=SHA1()), algorithm=SHA1(), label=None)  # noqa: S303


class WireError(ValueError):
    """Something that does not follow WeChat Pay's format. The text is safe to log."""


def sign(key: RSAPrivateKey, text: bytes) -> bytes:
    """RSASSA-PKCS1-v1_5 with SHA-256."""
    return key.sign(text, _PADDING, _DIGEST)


def verify(key: RSAPublicKey, text: bytes, signature: bytes) -> bool:
    """Whether `signature` is this key's over `text`."""
    try:
        key.verify(signature, text, _PADDING, _DIGEST)
    except InvalidSignature:
        return False
    return True


def to_base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def from_base64(text: str) -> bytes:
    """Standard base64 with its padding. Raise WireError for anything else."""
    try:
        return base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise WireError("not base64") from error


def seal(key: bytes, nonce: str, associated_data: str, plain: bytes) -> str:
    """AEAD_AES_256_GCM of a resource: base64 of the ciphertext with its tag behind it."""
    return to_base64(AESGCM(key).encrypt(nonce.encode(), plain, associated_data.encode()))


def unseal(key: bytes, nonce: str, associated_data: str, ciphertext: str) -> bytes:
    """The plaintext of a resource. Raise WireError when the key, nonce or data are not its own."""
    sealed = from_base64(ciphertext)
    if len(sealed) < TAG_BYTES:
        raise WireError("a sealed resource is shorter than its tag")
    try:
        return AESGCM(key).decrypt(nonce.encode(), sealed, associated_data.encode())
    except (InvalidTag, ValueError) as error:  # ValueError: a nonce of a length nobody allows.
        raise WireError("a sealed resource does not open") from error


def encrypt_field(key: RSAPublicKey, text: str) -> str:
    """A personal field of a request. Raise WireError when it is too long for the key."""
    plain = text.encode()
    room = key.key_size // 8 - OAEP_OVERHEAD_BYTES
    if len(plain) > room:
        raise WireError(f"a personal field has {len(plain)} bytes, the key has room for {room}")
    return to_base64(key.encrypt(plain, _OAEP))


def decrypt_field(key: RSAPrivateKey, ciphertext: str) -> str:
    """The text of a personal field. Raise WireError when it was not encrypted for this key."""
    try:
        return key.decrypt(from_base64(ciphertext), _OAEP).decode()
    except ValueError as error:
        raise WireError("a personal field does not open") from error


def load_private_key(pem: bytes) -> RSAPrivateKey:
    """Raise WireError for what is not an RSA private key in PEM."""
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError) as error:
        raise WireError("not a private key in PEM") from error
    if not isinstance(key, RSAPrivateKey):
        raise WireError("not an RSA private key")
    return key


def load_public_key(pem: bytes) -> RSAPublicKey:
    """Of a public key's PEM or of a certificate's. Raise WireError."""
    try:
        if b"BEGIN CERTIFICATE" in pem:
            key = x509.load_pem_x509_certificate(pem).public_key()
        else:
            key = load_pem_public_key(pem)  # type: ignore[assignment]
    except ValueError as error:
        raise WireError("not a public key or certificate in PEM") from error
    if not isinstance(key, RSAPublicKey):
        raise WireError("not an RSA public key")
    return key


def serial_of(certificate_pem: bytes) -> str:
    """A certificate's serial number as `Wechatpay-Serial` and `serial_no` write it."""
    try:
        certificate = x509.load_pem_x509_certificate(certificate_pem)
    except ValueError as error:
        raise WireError("not a certificate in PEM") from error
    return serial_text(certificate.serial_number)


def serial_text(number: int) -> str:
    """Upper-case hexadecimal digits, an even number of them."""
    digits = f"{number:X}"
    return digits if len(digits) % 2 == 0 else "0" + digits


def validity_ms(certificate_pem: bytes) -> tuple[int, int]:
    """From when until when a certificate is valid: milliseconds since 1970. Raise WireError."""
    try:
        certificate = x509.load_pem_x509_certificate(certificate_pem)
    except ValueError as error:
        raise WireError("not a certificate in PEM") from error
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return round(begin.timestamp() * 1000), round(end.timestamp() * 1000)
