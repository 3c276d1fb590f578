"""The keys that WeChat Pay's signatures are checked with: several at one time, found by serial.

Public keys (`PUB_KEY_ID_…`) are given; platform certificates are downloaded when a signature names
one that nobody knows. A download is believed twice over: only the holder of the API v3 key could
seal it, and the answer that brought it has to verify with one of the certificates in it.
Source: WeChat Pay API v3, "certificates", "changing to public keys".
"""

from collections.abc import Callable, Mapping
from typing import Final

from msgspec import Struct

from payments.channels.transport import HttpAnswer, Verifier
from payments.channels.wechat import crypto, wire
from payments.channels.wechat.orders import read
from payments.clock import Clock

CERTIFICATES_MAX: Final = 32
"""More platform certificates than this in one answer are not believed."""

DOWNLOAD_GAP_MS: Final = 60_000
"""Unknown serials cause a download at most this often: anybody can send us one."""


class Resource(Struct, frozen=True):
    """Something sealed with the API v3 key."""

    algorithm: str
    nonce: str
    ciphertext: str
    associated_data: str | None = None
    original_type: str = ""


class Certificate(Struct, frozen=True):
    serial_no: str
    encrypt_certificate: Resource


class Certificates(Struct, frozen=True):
    data: list[Certificate]


class PlatformKeys:
    """`known`: id or serial number to its key. `verifier_of`: a key from a certificate's PEM.

    `api_v3_key`: 32 bytes. Nothing of it is ever shown.
    """

    def __init__(
        self,
        known: Mapping[str, Verifier],
        api_v3_key: bytes,
        verifier_of: Callable[[bytes], Verifier],
        clock: Clock,
    ) -> None:
        if len(api_v3_key) != wire.API_V3_KEY_BYTES:
            raise ValueError(f"the API v3 key has {len(api_v3_key)} bytes instead of 32")
        self._keys = dict(known)
        self._expires_ms: dict[str, int] = {}
        self._api_v3_key = api_v3_key
        self._verifier_of = verifier_of
        self._clock = clock
        self._asked_ms: int | None = None

    def __repr__(self) -> str:
        return f"PlatformKeys({len(self._keys)} keys)"

    def find(self, serial: str) -> Verifier | None:
        """The key of this name that is valid now."""
        expires = self._expires_ms.get(serial)
        if expires is not None and self._clock.real_ms() > expires:
            return None
        return self._keys.get(serial)

    def add(self, serial: str, key: Verifier) -> None:
        """One more key is valid: before WeChat Pay begins to sign with it."""
        self._keys[serial] = key

    def remove(self, serial: str) -> None:
        """A key is valid no more: after WeChat Pay has ceased to sign with it."""
        self._keys.pop(serial, None)
        self._expires_ms.pop(serial, None)

    def may_download(self, serial: str) -> bool:
        """Whether a download could bring this key, and is not too soon after the last one."""
        if serial.startswith(wire.PUBLIC_KEY_PREFIX):
            return False
        now = self._clock.real_ms()
        if self._asked_ms is not None and now - self._asked_ms < DOWNLOAD_GAP_MS:
            return False
        self._asked_ms = now
        return True

    def unseal(self, resource: Resource) -> bytes:
        """The plaintext of a resource. Raise WireError."""
        if resource.algorithm != wire.ALGORITHM:
            raise crypto.WireError("a resource is sealed with another algorithm")
        data = resource.associated_data or ""
        return crypto.unseal(self._api_v3_key, resource.nonce, data, resource.ciphertext)

    async def learn(self, answer: HttpAnswer, seal: wire.Seal) -> bool:
        """Take the certificates of a download, if the answer verifies with one of them."""
        told = read(answer.body, Certificates)
        if told is None or len(told.data) > CERTIFICATES_MAX:
            return False
        found: dict[str, Verifier] = {}
        expiry: dict[str, int] = {}
        for certificate in told.data:
            try:
                pem = self.unseal(certificate.encrypt_certificate)
                serial, (_, expires) = crypto.serial_of(pem), crypto.validity_ms(pem)
                crypto.load_public_key(pem)
            except crypto.WireError:
                return False
            if serial != certificate.serial_no.upper():
                return False
            found[serial], expiry[serial] = self._verifier_of(pem), expires
        key = found.get(seal.serial)
        text = wire.answer_text(seal.timestamp, seal.nonce, answer.body)
        if key is None or not await key.verify(text, seal.signature):
            return False
        self._keys.update(found)
        self._expires_ms.update(expiry)
        return True
